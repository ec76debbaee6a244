"""What ``gdcore train`` makes of a table before it trains: features, a target, and the rows to hold out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models import MLP, Network, held_out
from ..tables import Columns, Table, TableError, TableModel, Target, said_missing
from .errors import USAGE, CommandError
from .options import Options
from .report import counted, warn

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A model to be trained, and the rows to do it with: those trained on, and those held out."""

    model: TableModel
    data: tuple[Floats, NDArray[Any]]
    validation: tuple[Floats, NDArray[Any]] | None
    rng: np.random.Generator


def posed(options: Options, table: Table) -> Problem:
    """Return what is to be trained, and on what. Raises TableError and CommandError."""
    features = _features(options, table)
    _check_categorical(options, table, features)
    table = _without_missing(options, table, features)
    rng = np.random.default_rng(options.seed)
    chosen = held_out(
        len(table), _held(len(table), options), rng, Target.kinds(table, options.target, options.task)
    )
    # Held out, then the others, each in the order of the table: memory is read in order too.
    order, held = np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)]), int(chosen.sum())
    columns, x = Columns.of(table, features, options.categorical, order, held, fill=options.missing == "fill")
    target, y = Target.of(table, options.target, options.task, order, held)
    _check_constant(columns, target, x[held:], y[held:])
    sizes = (columns.width, *options.hidden, target.outputs)
    network = (
        MLP(sizes, task=target.task, activation=options.activation, rng=rng)
        if options.hidden
        else Network(sizes, target.task)
    )
    validation = (x[:held], y[:held]) if held else None
    return Problem(TableModel(network, columns, target), (x[held:], y[held:]), validation, rng)


def _features(options: Options, table: Table) -> tuple[str, ...]:
    table.require([options.target])
    if options.features is None:
        features = tuple(name for name in table.columns if name != options.target)
        if not features:
            raise CommandError(f"{options.data}: expected columns beside the target, got {options.target!r} alone")
        return features
    if options.target in options.features:
        raise CommandError(f"--features: expected columns beside the target, got {options.target!r}", USAGE)
    table.require(options.features)
    return options.features


def _check_categorical(options: Options, table: Table, features: Iterable[str]) -> None:
    table.require(options.categorical)
    if options.target in options.categorical:
        raise CommandError(
            f"--categorical: expected features, got the target {options.target!r}; see --task classification", USAGE
        )
    other = next((name for name in options.categorical if name not in features), None)
    if other is not None:
        raise CommandError(f"--categorical: expected columns among --features, got {other!r}", USAGE)


def _without_missing(options: Options, table: Table, features: tuple[str, ...]) -> Table:
    """Do to the rows that miss a value what ``--missing`` says; a row without its target is of no use."""
    needed = (options.target,) if options.missing == "fill" else (*features, options.target)
    missing = table.missing(needed)
    if not missing:
        return table
    if options.missing == "error":
        raise TableError(said_missing(table, missing, "fill them in, or see --missing drop and --missing fill"))
    kept = table.without_missing(needed)
    warn(f"{counted(len(table) - len(kept), 'row')} of {len(table)} left out, as values are missing")
    return kept


def _held(rows: int, options: Options) -> int:
    """Return how many rows are to be held out."""
    if rows < 2:
        raise CommandError(f"{options.data}: expected at least 2 rows below the header, got {rows}")
    held = round(options.validation * rows)
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
