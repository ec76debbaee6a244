"""One run of ``gdcore train``, from the first line it prints to the last."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..checkpoints import CheckpointError
from ..models import OPTIMIZERS
from ..tables import TableModel
from ..training import DivergenceError, History, ScheduleError, fit
from .errors import INTERRUPTED, SUCCESS, CommandError
from .options import LEAST_EPOCHS, LEAST_STEPS, SCHEDULES
from .report import (
    CLASSIFICATION,
    REGRESSION,
    EpochTable,
    Measure,
    Titles,
    count,
    number,
    say,
    summary,
    warn_of_outcome,
)

Floats = NDArray[np.float64]

HOPELESS: Final = 2.0
"""A run that gets worse, and ends this many times worse than a constant prediction, counts as diverged."""


def make_optimizer(options: argparse.Namespace, groups: list[dict[str, Any]], comm: Any = None) -> Any:
    """Return the optimizer that ``options`` ask for."""
    kind, _ = OPTIMIZERS[options.optimizer]
    values = {"lr": options.lr, "weight_decay": options.weight_decay, "l2": options.l2}
    if comm is None:
        return kind(groups, **values)
    from ..distributed import ShardedOptimizer  # noqa: PLC0415

    return ShardedOptimizer(kind, groups, comm, max_norm=options.clip, **values)


@dataclass(frozen=True)
class Job:
    """A model to be trained, and the rows to do it with: those trained on, and those held out."""

    options: argparse.Namespace
    model: TableModel
    data: tuple[Floats, NDArray[Any]]
    validation: tuple[Floats, NDArray[Any]] | None
    rng: np.random.Generator
    comm: Any = None
    """Of the ranks that train together; None for one process."""

    def run(self) -> int:
        """Train, telling how it goes; save and draw what is asked for; return the exit status."""
        options, measure = self.options, self._measure()
        needed = not (options.output or options.plot or options.checkpoint)
        table = EpochTable(measure.columns, self.epochs, options.log_every, needed=needed)
        say(f"{self._head(measure)}\n\n{table.head()}", needed=needed)
        history = self._fit(table, measure)
        self._check_hopeless(history, measure)
        if options.output is not None:
            self.model.save(options.output)
        if options.plot is not None and len(history):
            history.plot(options.plot)
        if history.stopped == "interrupted":
            return self._end_interrupted(history)
        warn_of_outcome(history, measure, steady=options.schedule != "constant")
        written, kept = self._written(history), options.patience is not None
        said = summary(history, measure, len(self.data[0]), written, best_kept=kept)
        say(f"\n{said}", needed=needed)
        return SUCCESS

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        size: int = self.options.batch_size
        return -(-len(self.data[0]) // size)

    @property
    def epochs(self) -> int:
        """How many epochs there are to be."""
        asked: int | None = self.options.epochs
        return asked or max(LEAST_EPOCHS, -(-LEAST_STEPS // self.steps))

    def _measure(self) -> Measure:
        target, y = self.model.target, self.data[1]
        columns: Titles
        if target.classes:
            share = np.bincount(y, minlength=len(target.classes)) / len(y)
            surprise = abs(float(np.sum(share[share > 0] * np.log(share[share > 0]))))
            columns, error = CLASSIFICATION, ("cross_entropy", "loss")
            alone = (surprise, "predicting the parts of the classes alone")
        else:
            columns, error = REGRESSION, ("rmse", "RMSE")
            alone = (target.scale * float(np.sqrt(np.mean(y**2))), "predicting the mean alone")
        if self.validation is None:
            columns = tuple((key, title) for key, title in columns if not key.startswith("validation_"))
        if self.options.schedule != "constant":
            columns = (*columns, ("lr", "lr"))
        return Measure(columns, error, alone)

    def _head(self, measure: Measure) -> str:
        options, target, network = self.options, self.model.target, self.model.network
        held = 0 if self.validation is None else len(self.validation[0])
        what = f"{count(len(target.classes), 'class')}" if target.classes else "a number"
        hidden = f", hidden layers {', '.join(map(str, network.sizes[1:-1]))} ({network.activation})"
        alone, constant = measure.alone
        resumed = options.resume and Path(options.checkpoint).exists()
        return (
            f"{options.data}: {len(self.data[0])} rows to train on, {held} held out; "
            f"{count(network.sizes[0], 'feature')}, target {target.name!r}: {what}\n"
            f"{options.optimizer}, lr {options.lr:g} ({options.schedule}): {count(self.epochs, 'epoch')} of "
            f"{count(self.steps, 'step')}{hidden if options.hidden else ''}; "
            f"{constant} has {measure.error[1]} {number(alone)}"
            + (f"\ngoing on from {options.checkpoint}" if resumed else "")
        )

    def _fit(self, table: EpochTable, measure: Measure) -> History:
        options, network = self.options, self.model.network
        schedule, _ = SCHEDULES[options.schedule]
        error, _ = measure.error
        try:
            return fit(
                network.value_and_grad,
                network.params,
                self.data,
                make_optimizer(options, network.groups(), self.comm),
                epochs=self.epochs,
                batch_size=options.batch_size,
                rng=self.rng,
                metrics=self.model.target.metrics(network),
                validation=self.validation,
                patience=options.patience,
                monitor=error if self.validation is None else f"validation_{error}",
                schedule=None if schedule is None else schedule(options.lr, self.epochs * self.steps),
                max_norm=options.clip if self.comm is None else None,
                comm=self.comm,
                checkpoint=options.checkpoint,
                checkpoint_every=options.checkpoint_every,
                resume=options.resume,
                settings={"task": network.task, "activation": network.activation, "missing": options.missing},
                callback=table.show,
            )
        except DivergenceError as error:
            raise CommandError(f"the run diverged: {error} than {options.lr:g}") from error
        except ScheduleError as error:
            raise CommandError(
                f"--resume: {str(error).removeprefix('checkpoint: ')}; give the --schedule, --lr and --epochs that "
                f"it was begun with, or begin anew with another --checkpoint"
            ) from error
        except (CheckpointError, ValueError) as error:
            if options.checkpoint is None:
                raise
            raise CommandError(f"--resume: {str(error).removeprefix('checkpoint: ')}") from error

    def _check_hopeless(self, history: History, measure: Measure) -> None:
        alone, constant = measure.alone
        key, name = measure.error
        if history.stopped == "interrupted" or self.options.patience is not None or alone <= 0 or not len(history):
            return
        first, last = history.records[0][key], history.records[-1][key]
        if not last <= max(first, HOPELESS * alone):
            raise CommandError(
                f"the run diverged: {name} {number(last)} after the last epoch, {number(first)} after the first, "
                f"where {constant} has {number(alone)}; try a smaller lr than {self.options.lr:g}"
            )

    def _end_interrupted(self, history: History) -> int:
        epoch = 1 + (history.records[-1]["epoch"] if len(history) else 0)
        resume = "; add --resume to go on" if self.options.checkpoint else ""
        print(f"gdcore: interrupted in epoch {epoch}; {self._written(history)}{resume}", file=sys.stderr)
        return INTERRUPTED

    def _written(self, history: History) -> str:
        names = {"model": self.options.output, "curves": self.options.plot if len(history) else None}
        written = [f"{what} saved to {path}" for what, path in names.items() if path is not None]
        return ", ".join(written) if self.options.output else ", ".join(["model not saved (no --output)", *written])
