"""What ``gdcore train`` makes of a table before it trains: features, a target, and the rows to hold out."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models import MLP, Network, balanced, check_sum, held_out, of_mean_one
from ..tables import (
    PLAIN,
    Account,
    Columns,
    Numbers,
    Table,
    TableError,
    TableModel,
    Target,
    Wishes,
    account_of,
    cut,
    listed,
    matrix,
    said_missing,
    taken_for_missing,
)
from .errors import USAGE, CommandError
from .options import Options
from .report import brief, counted

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A model to be trained, and the rows to do it with: those trained on, and those held out.

    These are features, targets and, where rows do not weigh alike, their weights, of mean 1.
    """

    source: str
    """What the rows are from."""
    model: TableModel
    data: tuple[NDArray[Any], ...]
    validation: tuple[NDArray[Any], ...] | None
    rng: np.random.Generator
    said: tuple[str, ...]
    """What was made of the table, in lines."""
    warnings: tuple[str, ...]
    """What people may not have meant."""
    weighing: Mapping[str, str]
    """What rows weigh, in words by subject; empty where all are alike."""
    test: Table | None = None
    """Other rows, to judge the model by."""


def posed(options: Options, table: Table) -> Problem:
    """Return what is to be trained, and on what. Raises TableError and CommandError."""
    wishes = _wishes(options, table)
    table = table.without_empty_end()
    _check_rows(table)
    ways = _weights_written(options, table)
    account = account_of(table, wishes)
    if not account.features:
        raise CommandError(
            f"{table.path}: expected columns beside the target that can be used, got none: "
            f"{'; '.join(_asides(account))}"
        )
    table, warnings = _without_missing(options, table, account)
    rng = np.random.default_rng(options.seed)
    rows = len(table)
    asked = _held(table, options)
    chosen = held_out(rows, asked, rng, Target.kinds(table, options.target, account.target))
    # Held out, then the others, each in the order of the table: memory is read in order too.
    order, held = np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)]), int(chosen.sum())
    if options.validation and not asked:
        warnings += [f"no row is held out: {options.validation:g} of {rows} rows is less than one"]
    columns, x = Columns.of(table, account, order, held, fill=options.missing == "fill")
    target, y = Target.of(table, options.target, account.target, order, held)
    unknown = columns.unknown(table, order[:held]).items()
    warnings += [
        f"column {name!r} has texts in {n} of {held} rows held out that no other row has" for name, n in unknown
    ]
    warnings += _constant(columns, target, x[held:], y[held:])
    sizes = (columns.width, *options.hidden, target.outputs)
    network = (
        MLP(sizes, task=target.task, activation=options.activation, rng=rng)
        if options.hidden
        else Network(sizes, target.task)
    )
    weights = _weights(table, ways)
    trained, watched, told = _weighed(options, target, y, None if weights is None else weights[order], held)
    validation = (x[:held], y[:held], *watched) if held else None
    said = (*_said_of(table, account, columns), *(f"  {of}: {what}" for of, what in told.items()))
    asides = (*_asides(account), *warnings)
    return Problem(
        str(table.path),
        TableModel(network, columns, target),
        (x[held:], y[held:], *trained),
        validation,
        rng,
        said,
        asides,
        told,
    )


def _wishes(options: Options, table: Table) -> Wishes:
    """Return what is asked of the table. Raises TableError for columns that it lacks, CommandError for misfits."""
    asked = {"--features": options.features, "--exclude": options.exclude, "--categorical": options.categorical}
    asked["--dates"] = tuple(name for name, _ in options.dates)
    asked["--weights"] = (options.weights,) if options.weights is not None else ()
    table.require([options.target, *(name for names in asked.values() for name in names or ())])
    for flag, names in asked.items():
        if options.target in (names or ()):
            expected, more = "columns beside the target, got", ""
            if flag == "--categorical":
                expected, more = "features, got the target", "; see --task classification"
            raise CommandError(f"{flag}: expected {expected} {options.target!r}{more}", USAGE)
    features = {*(table.columns if options.features is None else options.features)}
    if features <= {options.target}:
        raise CommandError(f"{table.path}: expected columns beside the target, got {options.target!r} alone")
    usable = features.difference(options.exclude)
    for flag in ("--features", "--categorical", "--dates"):
        if options.weights in (asked[flag] or ()):
            raise CommandError(f"{flag}: expected columns beside that of --weights, got {options.weights!r}", USAGE)
    for flag in ("--categorical", "--dates"):
        other = [name for name in asked[flag] or () if name not in usable]
        if other:
            raise CommandError(f"{flag}: expected columns among --features, got {listed(other)}", USAGE)
    exclude = options.exclude if options.weights is None else (*options.exclude, options.weights)
    return Wishes(options.target, options.task, options.features, exclude, options.categorical, dict(options.dates))


def _weights_written(options: Options, table: Table) -> dict[str, Numbers]:
    """Return the column of weights, and how its numbers are written. Raises TableError for other values."""
    name = options.weights
    if name is None:
        return {}
    ways = {name: account_of(table, Wishes(name, "regression", features=())).target or PLAIN}
    values = _weights(table, ways)
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        raise TableError(
            f"{table.path}: column {name!r}: expected a weight in each row, got none in row {missing[0] + 1}"
        )
    try:
        check_sum(f"{table.path}: column {name!r}", values, "row", first=1)
    except ValueError as error:
        raise TableError(str(error)) from None
    return ways


def _weights(table: Table, ways: Mapping[str, Numbers]) -> Any:
    """Return what each row weighs, float64; None where nobody says."""
    return matrix(table.numbers(ways), len(table))[:, 0] if ways else None


def _weighed(
    options: Options, target: Target, y: NDArray[Any], weights: Floats | None, held: int
) -> tuple[tuple[Floats, ...], tuple[Floats, ...], dict[str, str]]:
    """Return the weights of rows to train on and of those held out, of mean 1, or none; and what to say of them.

    ``weights`` are those of ``--weights``; the first ``held`` rows are held out.
    """
    asked, classes = options.class_weight, target.classes
    said = {} if weights is None else {"weights": repr(options.weights)}
    if asked is not None:
        if not classes:
            raise CommandError("--class-weight: expected a target of classes, got one of numbers", USAGE)
        if isinstance(asked, str):
            factors = balanced(y[held:], len(classes), None if weights is None else weights[held:])
        else:
            strange = [name for name, _ in asked if name not in classes]
            if strange:
                raise CommandError(
                    f"--class-weight: expected classes among {listed(classes)}, got {listed(strange)}", USAGE
                )
            factors = np.array([dict(asked).get(name, 1.0) for name in classes])
        weights = factors[y] if weights is None else factors[y] * weights
        said["class weights"] = cut([f"{name!r} ({brief(f)})" for name, f in zip(classes, factors, strict=True)])
    if weights is None:
        return (), (), said
    for rows, part in (("to train on", weights[held:]), ("held out", weights[:held])):
        if len(part) and not part.any():
            raise CommandError(f"the rows {rows} weigh nothing; see --weights, --class-weight and --validation")
    if of_mean_one(weights) is None:
        return (), (), said
    trained, watched = (part / part.max() for part in (weights[held:], weights[:held] if held else weights))
    return (trained / trained.mean(),), (watched / watched.mean(),), said


def _asides(account: Account) -> list[str]:
    left_out = [f"{name!r} ({why})" for name, why in account.left_out.items()]
    return [f"left out: {cut(left_out)}"] * bool(left_out) + account.asides


def _said_of(table: Table, account: Account, columns: Columns) -> tuple[str, ...]:
    """Return in lines what is made of a table."""
    found: dict[str, list[str]] = {"file": [*table.found], "target": []}
    if account.target not in (None, PLAIN):
        found["target"] = [f"numbers {account.target}"]
    for name, numbers in account.numbers.items():
        found.setdefault(f"numbers {numbers}".strip(), []).append(repr(name))
    found["kinds"] = [f"{name!r} ({len(texts)})" for name, texts in columns.texts.items()]
    found["dates"] = [f"{name!r} ({', '.join(dates.parts)})" for name, dates in account.dates.items()]
    if columns.fill is not None:
        filled = table.missing(account.features, account.kinds)
        found["filled in"] = [f"{name!r} ({count})" for name, count in filled.items()]
    found["left out"] = [f"{name!r} ({why})" for name, why in account.left_out.items()]
    return tuple(f"  {what}: {cut(names)}" for what, names in found.items() if names)


def _without_missing(options: Options, table: Table, account: Account) -> tuple[Table, list[str]]:
    """Do to the rows that miss a value what ``--missing`` says, and tell; a row without its target is of no use."""
    needed = (options.target,) if options.missing == "fill" else (*account.features, options.target)
    kinds = {*account.kinds, *[options.target] * (account.target is None)}
    missing = table.missing(needed, kinds)
    if not missing:
        return table, []
    if options.missing == "error":
        raise TableError(said_missing(table, missing, "fill them in, or see --missing drop and --missing fill"))
    kept, rows = table.without_missing(needed, kinds), len(table)
    left = len(kept)
    costly = sorted(missing, key=lambda name: -missing[name])
    why = f"in the columns {cut([f'{name!r} ({missing[name]})' for name in costly])}; see --exclude"
    if left < 2:
        raise TableError(
            f"{table.path}: expected at least 2 rows without missing values, got {left} of {rows}; "
            f"values are missing {why} and --missing fill"
        )
    said = f"{counted(rows - left, 'row')} of {rows} left out, as values are missing"
    return kept, [f"{said} {why}" if 2 * left < rows else f"{said}{taken_for_missing(table, missing)}"]


def _check_rows(table: Table) -> None:
    if len(table) < 2:
        raise CommandError(f"{table.path}: expected at least 2 rows below the header, got {len(table)}")


def _held(table: Table, options: Options) -> int:
    """Return how many rows are to be held out."""
    rows = len(table)
    _check_rows(table)
    held = round(options.validation * rows)
    if rows - held < 2:
        raise CommandError(
            f"--validation: expected a part that leaves at least 2 of {rows} rows to train on, "
            f"got {options.validation:g}"
        )
    return held


def _constant(columns: Columns, target: Target, x: NDArray[Any], y: NDArray[Any]) -> list[str]:
    """Say what does not vary in the rows to train on, ``x`` and ``y``."""
    same = iter(columns.scaling.constant.tolist())
    constant = dict(zip(columns.numbers, same, strict=False))
    constant |= {name: all(tuple(islice(same, len(dates.parts)))) for name, dates in columns.dates.items()}
    ends = np.cumsum([len(columns.measured), *map(len, columns.texts.values())])
    for name, (start, stop) in zip(columns.texts, pairwise(ends), strict=True):
        constant[name] = bool((x[:, start:stop] == x[0, start:stop]).all())
    names = [name for name, same in constant.items() if same]
    if len(names) == len(constant):
        raise CommandError("no usable feature: every one has the same value in all rows to train on")
    said = [f"constant in the rows to train on, so of no use: {listed(names)}"] * bool(names)
    return said + [f"the target {target.name!r} is constant in the rows to train on"] * bool((y == y[0]).all())
