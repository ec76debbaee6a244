"""``gdcore train``: a model fitted to a table, from the first line that is printed to the last."""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..checkpoints import CheckpointError
from ..distributed import ShardedOptimizer, agree, only_first_speaks, started
from ..models import OPTIMIZERS, SCHEDULES, constant_error, default_epochs, least_squares
from ..tables import Dialect, Table, TableModel
from ..training import DivergenceError, History, OtherRunError, ScheduleError, fit
from . import example
from .errors import INTERRUPTED, SUCCESS, USAGE, CommandError
from .judgement import Judgement, judged
from .options import Options, add_arguments, flag_of
from .outputs import check_plot, check_saved
from .problem import Problem, posed
from .report import (
    CLASSIFICATION,
    REGRESSION,
    EpochTable,
    Measure,
    Titles,
    Voice,
    brief,
    counted,
    pace,
    scored,
    summary,
    warn,
    warn_of_outcome,
)

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION: Final = """\
Fit a model to a CSV or Parquet file by mini-batch gradient descent: linear regression, or
logistic or softmax regression where the target is text, or a net with --hidden.
Numbers are standardised for the run, texts one-hot encoded; RMSEs and predictions are in the
table's own units. Ctrl-C ends the run and keeps what was learned. Without a file, run the worked
example y = 2x + 30 with all optimizers."""

HOPELESS: Final = 2.0
"""A run that gets worse, and ends this many times worse than a constant prediction, counts as diverged."""


def run(args: argparse.Namespace) -> int:
    """Fit a model to a table; without a table, run the worked example."""
    given = {name: value for name, value in vars(args).items() if name != "run"}
    if "data" not in given:
        return _run_example(given)
    if "target" not in given:
        raise CommandError("--target: expected the column to predict (see gdcore train --help)", USAGE)
    comm = started()
    with only_first_speaks(comm) as speaks:
        options = Options(**given)
        if not speaks:
            options = replace(options, output=None, plot=None)
        problems: list[Problem] = []

        dialect = Dialect(**options.keywords("dialect"))

        def pose() -> list[str]:
            _check_outputs(options, comm)
            problem = posed(options, Table(options.data, dialect))
            problems.append(replace(problem, test=_read_test(options, problem.model)))
            return []

        if comm is None:
            pose()
        else:
            agree(comm, pose)
        return TableRun(options, problems[0], comm).run()


def _run_example(given: dict[str, Any]) -> int:
    epochs = given.pop("epochs", example.EPOCHS)
    for name in given:
        raise CommandError(f"{flag_of(name)}: expected a file DATA with it (see gdcore train --help)", USAGE)
    print(example.followed(epochs))
    return SUCCESS


def _read_test(options: Options, model: TableModel) -> Table | None:
    """Return the table of ``--test``. Raises TableError, before a step, where the model cannot be judged by it."""
    if options.test is None:
        return None
    table = Table(options.test, Dialect(options.separator, options.encoding, na=options.na)).without_empty_end()
    if not len(table):
        raise CommandError(f"--test: expected at least 1 row below the header, got 0 in {options.test}")
    target = model.target
    table.require([target.name])
    if options.missing == "drop":
        kinds = (*model.columns.texts, *[target.name] * bool(target.classes))
        table = table.without_missing((*model.columns.names, target.name), kinds)
    model.score(table, model.predict(table))
    return table


def _check_outputs(options: Options, comm: Any) -> None:
    """Refuse what can be refused before the table is read."""
    if options.json and options.quiet:
        raise CommandError("--quiet: expected without --json, which says all that is said", USAGE)
    if options.data == "-" and (comm is not None or options.test == "-"):
        whom = "each rank reads it" if comm is not None else "--test reads standard input"
        raise CommandError(f"DATA: expected a file, as {whom}, got '-'", USAGE)
    if options.resume and options.checkpoint is None:
        raise CommandError("--resume: expected --checkpoint FILE with it", USAGE)
    for flag, path in (("--output", options.output), ("--checkpoint", options.checkpoint)):
        if path is not None:
            check_saved(flag, path, options.data)
    if options.plot is not None:
        check_plot(options.plot)
    if options.output is not None and options.output == options.checkpoint:
        raise CommandError(
            f"--output: expected another file than --checkpoint, got {options.output!r} for both", USAGE
        )
    if options.checkpoint is not None and not options.resume and Path(options.checkpoint).exists():
        raise CommandError(
            f"--checkpoint: expected a new file, got {options.checkpoint!r}, which exists; "
            f"add --resume to go on from it",
            USAGE,
        )


def make_optimizer(options: Options, groups: list[dict[str, Any]], comm: Any = None) -> Any:
    """Return the optimizer that is asked for; that over the ranks of ``comm`` limits the gradients too."""
    kind, _ = OPTIMIZERS[options.optimizer]
    values = {**options.keywords("optimizer"), "lr": options.rate}
    try:
        if comm is None:
            return kind(groups, **values)
        return ShardedOptimizer(kind, groups, comm, **values, **options.keywords("limits"))
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error


class Tested(NamedTuple):
    """How good a model is for the rows of ``--test``, for people and for programs."""

    line: str
    values: dict[str, Any]


@dataclass(frozen=True)
class TableRun:
    """A run of ``gdcore train``: what was asked for, what is to be trained, and who trains."""

    options: Options
    problem: Problem
    comm: Any = None
    """Of the ranks that train together; None for one process."""

    def run(self) -> int:
        """Train, telling how it goes; save and draw what is asked for; return the exit status."""
        options, measure = self.options, self._measure()
        optimizer = make_optimizer(options, self.problem.model.network.groups(), self.comm)
        needed = not (options.output or options.plot or options.checkpoint)
        voice = Voice(needed, options.json, options.quiet)
        table = EpochTable(measure.columns, self.epochs, options.log_every, voice)
        for aside in self.problem.warnings:
            warn(aside)
        voice.text("\n".join([*self._head(measure), "", table.head()]))
        voice.data("start", self._facts())
        history = self._fit(optimizer, table, measure)
        self._check_hopeless(history, measure)
        judgement, test, kept = self._judged(), self._tested(), options.patience is not None
        said = summary(history, measure, judgement.line, best_kept=kept) if len(history) else "not one whole epoch"
        if options.output is not None:
            notes = {"data": self._rows(), **self.problem.weighing, "run": self._course(measure), "result": said}
            notes |= {"test": test.line} if test else {}
            replace(self.problem.model, training=notes).save(options.output)
        if options.plot is not None and len(history):
            history.plot(options.plot)
        if len(history):
            end = history.best if kept else history.records[-1]
            voice.data("end", {"stopped": history.stopped, **end, **(test.values if test else {})})
        if history.stopped == "interrupted":
            return self._end_interrupted(history)
        warn_of_outcome(history, measure, self._best_linear(), steady=options.schedule != "constant")
        if judgement.warning:
            warn(judgement.warning)
        rows = len(self.problem.data[0])
        voice.text(f"\n{said}; {pace(history, rows)}; {self._written(history)}{judgement.table}")
        if test:
            voice.text(test.line)
        return SUCCESS

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self.problem.data[0]) // self.options.batch_size)

    @property
    def epochs(self) -> int:
        """How many epochs there are to be."""
        return self.options.epochs or default_epochs(len(self.problem.data[0]), self.options.batch_size)

    def _measure(self) -> Measure:
        target = self.problem.model.target
        columns: Titles
        if target.classes:
            columns, error = CLASSIFICATION, ("cross_entropy", "loss")
        else:
            columns, error = REGRESSION, ("rmse", "RMSE")
        constant, said = constant_error(*self.problem.data[1:], classes=bool(target.classes))
        if self.problem.validation is None:
            columns = tuple((key, title) for key, title in columns if not key.startswith("validation_"))
        if self.options.schedule != "constant":
            columns = (*columns, ("lr", "lr"))
        return Measure(columns, error, (target.scale * constant, said))

    def _head(self, measure: Measure) -> list[str]:
        """Return in lines what is about to be done."""
        options, problem = self.options, self.problem
        lines = [f"{problem.source}: {self._rows()}", *problem.said, self._course(measure)]
        resumed = options.checkpoint if options.resume else None
        return lines + [f"going on from {resumed}"] * bool(resumed and Path(resumed).exists())

    def _rows(self) -> str:
        target, problem = self.problem.model.target, self.problem
        held = 0 if problem.validation is None else len(problem.validation[0])
        what = f"{counted(len(target.classes), 'class')}" if target.classes else "a number"
        features = counted(problem.model.network.sizes[0], "feature")
        return (
            f"{len(problem.data[0])} rows to train on, {held} held out; {features}, target {target.name!r}: {what}"
        )

    def _course(self, measure: Measure) -> str:
        options, network = self.options, self.problem.model.network
        hidden = f", hidden layers {', '.join(map(str, network.sizes[1:-1]))} ({network.activation})"
        alone, baseline = measure.alone
        return (
            f"{options.optimizer}, lr {options.rate:g} ({options.schedule}): {counted(self.epochs, 'epoch')} of "
            f"{counted(self.steps, 'step')}{hidden if options.hidden else ''}; "
            f"{baseline} has {measure.error[1]} {brief(alone)} on the rows to train on"
        )

    def _facts(self) -> dict[str, Any]:
        """Return what programs are told at the start."""
        options, problem = self.options, self.problem
        return {
            "data": problem.source,
            "rows": len(problem.data[0]),
            "held_out": 0 if problem.validation is None else len(problem.validation[0]),
            "features": list(problem.model.columns.features_named),
            "target": problem.model.target.name,
            "classes": list(problem.model.target.classes),
            "optimizer": options.optimizer,
            "lr": options.rate,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps,
        }

    def _fit(self, optimizer: Any, table: EpochTable, measure: Measure) -> History:
        options, problem = self.options, self.problem
        network = problem.model.network
        schedule, _ = SCHEDULES[options.schedule]
        error, _ = measure.error
        try:
            return fit(
                network.value_and_grad,
                network.params,
                problem.data,
                optimizer,
                epochs=self.epochs,
                rng=problem.rng,
                metrics=problem.model.target.metrics(network),
                validation=problem.validation,
                monitor=error if problem.validation is None else f"validation_{error}",
                schedule=None if schedule is None else schedule(options.rate, self.epochs * self.steps),
                comm=self.comm,
                settings={"task": network.task, **options.keywords("settings")},
                callback=table.show,
                **options.keywords("fit"),
                **(options.keywords("limits") if self.comm is None else {}),
            )
        except DivergenceError as error:
            said = f"the run diverged: {error.__cause__} at step {error.step} of epoch {error.epoch}"
            raise CommandError(f"{said}; try a smaller lr than {options.rate:g}") from error
        except (CheckpointError, ValueError) as error:
            if options.checkpoint is None:
                raise
            way_out = (
                "; give the --schedule, --lr and --epochs that it was begun with, or begin anew with another "
                "--checkpoint"
                if isinstance(error, ScheduleError)
                else ""
            )
            reason = error.difference if isinstance(error, OtherRunError) else error
            raise CommandError(f"--resume: {reason}{way_out}") from error

    def _best_linear(self) -> float | None:
        """Return the RMSE that the best linear fit has on the rows trained on, where the run is to find it."""
        options, target = self.options, self.problem.model.target
        if (
            target.classes
            or options.hidden
            or options.weight_decay
            or options.l2
            or options.clip
            or options.patience
        ):
            return None
        best = least_squares(*self.problem.data)
        return None if best is None else target.scale * best

    def _judged(self) -> Judgement:
        """Return how good the model is for the rows held out, or, without, for those trained on."""
        problem = self.problem
        held = problem.validation is not None
        x, y, *weights = problem.data if problem.validation is None else problem.validation
        target, network = problem.model.target, problem.model.network
        out = network.outputs(network.params, x)
        return judged(out, y, target.scale, target.classes, *weights, held=held)

    def _tested(self) -> Tested | None:
        """Return how good the model is for the rows of ``--test``."""
        table, model = self.problem.test, self.problem.model
        if table is None:
            return None
        name, value = model.score(table, model.predict(table))
        line = f"{self.options.test}: {scored(name, value, len(table))}"
        return Tested(line, {"test_rows": len(table), f"test_{name.lower()}": value})

    def _check_hopeless(self, history: History, measure: Measure) -> None:
        alone, baseline = measure.alone
        key, name = measure.error
        if history.stopped == "interrupted" or self.options.patience is not None or alone <= 0 or not len(history):
            return
        first, last = history.records[0][key], history.records[-1][key]
        if not last <= max(first, HOPELESS * alone):
            raise CommandError(
                f"the run diverged: {name} {brief(last)} after the last epoch, {brief(first)} after the first, "
                f"where {baseline} has {brief(alone)}; try a smaller lr than {self.options.rate:g}"
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
