"""The loop over epochs and batches, once everything that it is given has been checked."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Batches, Samples, ahead
from ..data import count as count_samples
from .divergence import DivergenceError, advice
from .evaluation import Evaluation
from .history import Record
from .progress import Count, counting
from .rates import setter, told
from .run import Place, Run
from .team import Team, checked_loss, checked_pair, grouped

if TYPE_CHECKING:
    from .resume import Saver

FLOATS = (float, np.floating)


@dataclass(frozen=True)
class Loop:
    """One run of :func:`gdcore.fit`, whose arguments these are."""

    run: Run
    team: Team
    source: Samples | Batches
    evaluation: Evaluation
    schedule: Any
    patience: int | None
    saver: "Saver | None"
    judged: Callable[[], AbstractContextManager[None]]
    """Within it the parameters are those by which an epoch is judged."""
    accumulate: int
    prefetch: int

    def go(self, epochs: int, progress: bool | None) -> None:
        """Train until the epochs are done or something ends the run before; then put the best parameters back."""
        run, history, saver = self.run, self.run.history, self.saver
        steps = None if self.source.steps is None else -(-self.source.steps // self.accumulate)
        total, done = None if steps is None else epochs * steps, run.at.before + run.at.step
        self._check_patience()  # a run that is resumed may have waited enough
        try:
            with counting(total, done, progress) as count:
                while run.epoch <= epochs and history.stopped == "epochs":
                    self._steps(count)
                    self._end_epoch()
            if saver is not None:
                saver.save()
        except KeyboardInterrupt:
            history.stopped = "interrupted"
            if saver is not None:
                saver.save_interrupted()
        finally:
            run.restore_best()

    def _steps(self, count: Count | None) -> None:
        """Do the steps that are left of the epoch."""
        batches = self.run.batches(self.source, self.accumulate)
        with closing(ahead(grouped(batches, self.accumulate), self.prefetch)) as groups:
            self._steps_of(groups, count)

    def _steps_of(self, batches: Iterator[tuple[Any, ...]], count: Count | None) -> None:
        run, optimizer, saver = self.run, self.run.optimizer, self.saver
        set_rate = None if self.schedule is None else setter(self.schedule, optimizer)
        value_and_grad, make_step, due = self.team.value_and_grad, self.team.step, self.team.due
        params, watch, running = run.params, run.watch, bool(self.evaluation.running)
        plain = self.source.plain and self.accumulate == 1
        epoch, step, sums, order, drawn, before, best = run.at
        total, met = sums[0], sums[1:]
        largest = watch.LARGEST
        started = time.perf_counter() - run.seconds
        for batch in batches:
            if set_rate is not None:
                set_rate(optimizer.t)
            returned = value_and_grad(params, *batch)
            # What usually comes is spared the calls: what they cost is in the overhead of the loop.
            value, grads = returned if type(returned) is tuple and len(returned) == 2 else checked_pair(returned)
            loss = float(value) if isinstance(value, FLOATS) else checked_loss(value)
            step += 1
            total += loss * (len(batch[0]) if plain else self._count(batch))
            if running:
                for part in (batch,) if self.accumulate == 1 else batch:
                    met = tuple(map(add, met, self.evaluation.met(params, part)))
            if saver is not None:
                run.ahead = Place(epoch, step, (total, *met), order, run.state(), before, best)
            try:
                if not -largest <= loss <= watch.limit:
                    watch.judge(loss, before + step, params)
                make_step(grads)
            except FloatingPointError as error:
                said = f"{error} at step {step} of epoch {epoch}; {advice(batch)}"
                raise DivergenceError(said, epoch, step, run.history) from error
            if saver is not None:
                run.at = run.ahead
                if due():
                    run.seconds = time.perf_counter() - started
                    saver.save()
            if count is not None:
                count()
        if saver is None:
            run.at = Place(epoch, step, (total, *met), order, drawn, before, best)
        run.seconds = time.perf_counter() - started

    def _count(self, batch: tuple[Any, ...]) -> int:
        return count_samples(batch) if self.accumulate == 1 else sum(map(count_samples, batch))

    def _end_epoch(self) -> None:
        run, history = self.run, self.run.history
        run.watch.end_epoch(run.at.sums[0] / self.source.samples, run.params)
        with self.judged():
            record: Record = {"epoch": run.epoch, **self.evaluation.record(run.params, run.at.sums)}
        if self.schedule is not None:
            record |= told(run.optimizer)
        record["seconds"] = run.seconds
        history.records.append(record)
        returned = self.team.callback(record, run.params)
        if history.monitor not in record:
            keys = ", ".join(map(repr, record))
            raise ValueError(f"monitor: expected a key of the record, one of {keys}, got {history.monitor!r}")
        if isinstance(returned, bool | np.bool_) and returned:
            history.stopped = "callback"
        if self.saver is not None:
            self.saver.check(record)
        with self.judged():
            run.end_epoch(record, compared=self.patience is not None)
        self._check_patience()

    def _check_patience(self) -> None:
        if self.patience is not None and self.run.waited >= self.patience:
            self.run.history.stopped = "patience"
