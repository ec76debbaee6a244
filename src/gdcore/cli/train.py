"""``gdcore train``: what it makes of a table before it trains: features, a target, and the rows to hold out."""

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints import check_path
from ..distributed import agree, only_first_speaks, started
from ..files import check_destination
from ..models import MLP, OPTIMIZERS, Network
from ..tables import Columns, Table, TableError, TableModel, Target, said_missing
from .errors import SUCCESS, USAGE, CommandError, check_plot
from .options import DEFAULTS
from .report import count, warn
from .table_run import Job, make_optimizer


def train(args: argparse.Namespace) -> int:
    """Fit a model to a table; without a table, run the worked example."""
    given = {name: value for name, value in vars(args).items() if name != "command"}
    if "data" not in given:
        return _train_worked_example(given)
    if "target" not in given:
        raise CommandError("--target: expected the column to predict (see gdcore train --help)", USAGE)
    options = argparse.Namespace(**{**DEFAULTS, **given})
    if options.lr is None:
        options.lr = OPTIMIZERS[options.optimizer][1]
    comm = started()
    with only_first_speaks(comm) as speaks:
        if not speaks:
            options.output = options.plot = None
        jobs: list[Job] = []

        def prepare() -> list[str]:
            _check_options(options)
            try:
                jobs.append(prepared(options, Table(options.data)))
            except TableError as error:
                raise CommandError(str(error)) from error
            return []

        if comm is None:
            prepare()
        else:
            agree(comm, prepare)
        return replace(jobs[0], comm=comm).run()


def _train_worked_example(given: dict[str, Any]) -> int:
    from . import example as worked_example  # noqa: PLC0415

    epochs = given.pop("epochs", worked_example.EPOCHS)
    if given:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise CommandError(f"{flag}: expected a file DATA with it (see gdcore train --help)", USAGE)
    print(worked_example.report(epochs))
    return SUCCESS


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what can be refused before the table is read."""
    try:
        make_optimizer(options, [{"params": np.zeros(1)}])
    except (TypeError, ValueError) as error:
        name, _, said = str(error).partition(":")
        flag = f"--{name.replace('_', '-')}" if name in DEFAULTS else name
        raise CommandError(f"{flag}:{said}", USAGE) from error
    if options.resume and options.checkpoint is None:
        raise CommandError("--resume: expected --checkpoint FILE with it", USAGE)
    for flag, path in (("--output", options.output), ("--checkpoint", options.checkpoint)):
        if path is not None:
            _check_other(flag, path, options.data)
            _check_suffix(flag, path)
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


def _check_suffix(flag: str, path: str) -> None:
    try:
        check_path(path)
    except ValueError as error:
        raise CommandError(f"{flag}: {str(error).removeprefix('path: ')}", USAGE) from error


def _check_other(flag: str, path: str, *read: str) -> None:
    check_destination(path)
    for other in read:
        if Path(path).exists() and Path(other).exists() and Path(path).samefile(other):
            raise CommandError(f"{flag}: expected another file than {other!r}, which is read", USAGE)


Rows = NDArray[np.intp]


def prepared(options: argparse.Namespace, table: Table) -> Job:
    """Return what is to be trained, and on what. Raises TableError and CommandError."""
    features = _features(options, table)
    categorical = _names("--categorical", options.categorical) if options.categorical else ()
    _check_categorical(options, table, categorical, features)
    table = _without_missing(options, table, features)
    rng = np.random.default_rng(options.seed)
    held = _held_out(len(table), options)
    order = _drawn(len(table), held, rng)
    columns, x = Columns.of(table, features, categorical, order, held, fill=options.missing == "fill")
    target, y = Target.of(table, options.target, options.task, order, held)
    _check_constant(columns, target, x[held:], y[held:])
    sizes = (columns.width, *options.hidden, target.outputs)
    network = (
        MLP(sizes, task=target.task, activation=options.activation, rng=rng)
        if options.hidden
        else Network(sizes, target.task)
    )
    validation = (x[:held], y[:held]) if held else None
    return Job(options, TableModel(network, columns, target), (x[held:], y[held:]), validation, rng)


def _names(flag: str, text: str) -> tuple[str, ...]:
    try:
        names = tuple(name.strip() for name in next(csv.reader([text], strict=True), []))
    except csv.Error as error:
        raise CommandError(f"{flag}: expected columns as in a CSV header, got {text!r}: {error}", USAGE) from error
    if not names:
        raise CommandError(f"{flag}: expected at least one column, got none", USAGE)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CommandError(f"{flag}: expected each column once, got {twice!r} again", USAGE)
    return names


def _features(options: argparse.Namespace, table: Table) -> tuple[str, ...]:
    table.require([options.target])
    if options.features is None:
        features = tuple(name for name in table.columns if name != options.target)
        if not features:
            raise CommandError(f"{options.data}: expected columns beside the target, got {options.target!r} alone")
        return features
    features = _names("--features", options.features)
    if options.target in features:
        raise CommandError(f"--features: expected columns beside the target, got {options.target!r}", USAGE)
    table.require(features)
    return features


def _check_categorical(
    options: argparse.Namespace, table: Table, categorical: tuple[str, ...], features: tuple[str, ...]
) -> None:
    table.require(categorical)
    if options.target in categorical:
        raise CommandError(
            f"--categorical: expected features, got the target {options.target!r}; see --task classification", USAGE
        )
    other = next((name for name in categorical if name not in features), None)
    if other is not None:
        raise CommandError(f"--categorical: expected columns among --features, got {other!r}", USAGE)


def _without_missing(options: argparse.Namespace, table: Table, features: tuple[str, ...]) -> Table:
    """Do to the rows that miss a value what ``--missing`` says; a row without its target is of no use."""
    needed = (options.target,) if options.missing == "fill" else (*features, options.target)
    missing = table.missing(needed)
    if not missing:
        return table
    if options.missing == "error":
        raise TableError(said_missing(table, missing, "fill them in, or see --missing drop and --missing fill"))
    kept = table.without_missing(needed)
    warn(f"{count(len(table) - len(kept), 'row')} of {len(table)} left out, as values are missing")
    return kept


def _drawn(rows: int, held: int, rng: np.random.Generator) -> Rows:
    """Return the rows held out, then the others, each in the order of the table: memory is read in order too."""
    chosen = np.zeros(rows, bool)
    chosen[rng.permutation(rows)[:held]] = True
    return np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)])


def _held_out(rows: int, options: argparse.Namespace) -> int:
    """Return how many rows are held out."""
    if rows < 2:
        raise CommandError(f"{options.data}: expected at least 2 rows below the header, got {rows}")
    held: int = round(options.validation * rows)
    if rows - held < 2:
        raise CommandError(
            f"--validation: expected a part that leaves at least 2 of {rows} rows to train on, "
            f"got {options.validation:g}"
        )
    if options.validation and not held:
        warn(f"no row is held out: {options.validation:g} of {rows} rows is less than one")
    return held


def _check_constant(columns: Columns, target: Target, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Say what does not vary in the rows to train on, ``x`` and ``y``."""
    names = [name for name, constant in zip(columns.numbers, columns.scaling.constant, strict=True) if constant]
    stops = np.cumsum([len(columns.numbers), *map(len, columns.texts.values())])
    kinds = zip(columns.texts, np.split(x, stops[:-1], axis=1)[1:], strict=True)
    names += [name for name, features in kinds if (features == features[0]).all()]
    if len(names) == len(columns.names):
        raise CommandError("no usable feature: every one has the same value in all rows to train on")
    if names:
        warn(f"constant in the rows to train on, so of no use: {', '.join(map(repr, names))}")
    if (y == y[0]).all():
        warn(f"the target {target.name!r} is constant in the rows to train on")
