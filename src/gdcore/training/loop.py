"""The loop over epochs and batches, once everything that it is given has been checked."""

import numbers
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import Array, is_array
from .divergence import DivergenceError
from .evaluation import Evaluation
from .history import Record
from .progress import Count, counting
from .run import Place, Run
from .team import Team

if TYPE_CHECKING:
    from .resume import Saver

FLOATS = (float, np.floating)


@dataclass(frozen=True)
class Loop:
    """One run of :func:`gdcore.fit`, whose arguments these are."""

    run: Run
    team: Team
    data: Sequence[Array]
    batch_size: int
    evaluation: Evaluation
    schedule: Callable[[int], float] | None
    patience: int | None
    saver: "Saver | None"
    judged: Callable[[], AbstractContextManager[None]]
    """Within it the parameters are those by which an epoch is judged."""

    @property
    def steps_an_epoch(self) -> int:
        """How many batches there are."""
        return -(-len(self.data[0]) // self.batch_size)

    def go(self, epochs: int, progress: bool | None) -> None:
        """Train until the epochs are done or something ends the run before; then put the best parameters back."""
        run, history, saver = self.run, self.run.history, self.saver
        steps = self.steps_an_epoch
        self._check_patience()  # a run that is resumed may have waited enough
        try:
            with counting(epochs * steps, (run.epoch - 1) * steps + run.at.step, progress) as count:
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
        run, optimizer, schedule, saver = self.run, self.run.optimizer, self.schedule, self.saver
        value_and_grad, make_step, due = self.team.value_and_grad, self.team.step, self.team.due
        params, watch, running = run.params, run.watch, bool(self.evaluation.running)
        epoch, step, sums, order, drawn, best = run.at
        total, met = sums[0], sums[1:]
        largest = watch.LARGEST
        started = time.perf_counter() - run.seconds
        for batch in run.batches(self.data, self.batch_size):
            if schedule is not None:
                rate = schedule(optimizer.t)
                try:
                    optimizer.lr = rate
                except ValueError as error:
                    raise ValueError(f"schedule({optimizer.t}) = {rate}: {error}") from error
            returned = value_and_grad(params, *batch)
            # What usually comes is spared the calls: what they cost is in the overhead of the loop.
            value, grads = returned if type(returned) is tuple and len(returned) == 2 else checked_pair(returned)
            loss = float(value) if isinstance(value, FLOATS) else checked_loss(value)
            step += 1
            total += loss * len(batch[0])
            if running:
                met = tuple(map(add, met, self.evaluation.met(params, batch)))
            if saver is not None:
                run.ahead = Place(epoch, step, (total, *met), order, run.state(), best)
            try:
                if not -largest <= loss <= watch.limit:
                    watch.judge(loss, (epoch - 1) * self.steps_an_epoch + step, params)
                make_step(grads)
            except FloatingPointError as error:
                said = f"{error} at step {step} of epoch {epoch}; try a smaller lr"
                raise DivergenceError(said, epoch, step, run.history) from error
            if saver is not None:
                run.at = run.ahead
                if due():
                    run.seconds = time.perf_counter() - started
                    saver.save()
            if count is not None:
                count()
        if saver is None:
            run.at = Place(epoch, step, (total, *met), order, drawn, best)
        run.seconds = time.perf_counter() - started

    def _end_epoch(self) -> None:
        run, history = self.run, self.run.history
        run.watch.end_epoch(run.at.sums[0] / len(self.data[0]), run.params)
        with self.judged():
            record: Record = {"epoch": run.epoch, **self.evaluation.record(run.params, run.at.sums)}
        if self.schedule is not None:
            record["lr"] = run.optimizer.lr
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


def checked_pair(returned: Any, name: str = "value_and_grad") -> tuple[Any, Any]:
    """Return a loss and its gradients, which ``name`` returned; raise TypeError for anything else."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        got = f"{len(returned)} items" if isinstance(returned, tuple | list) else type(returned).__name__
        raise TypeError(f"{name}: expected to return a loss and its gradients, got {got}")
    return returned[0], returned[1]


def checked_loss(value: Any, name: str = "value_and_grad") -> float:
    """Return a loss, which ``name`` returned, as a float; raise TypeError unless it is a real number."""
    real = isinstance(value, numbers.Real) or (is_array(value) and value.ndim == 0 and value.dtype.kind in "fiu")
    if not real or isinstance(value, bool | np.bool_):
        got = f"{value.dtype} {value.shape}" if is_array(value) else type(value).__name__
        raise TypeError(f"{name}: expected a loss that is one real number, got {got}")
    return float(value)
