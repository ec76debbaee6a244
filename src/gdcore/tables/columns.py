"""How the columns of a table become the features of a model: numbers standardised, texts one-hot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..models import Scaling
from .account import Account
from .errors import TableError
from .forms import PARTS, Dates, Numbers, is_format
from .plan import BOOLS, FLOATS, NUMBERS, check_plan
from .table import Table, cut, listed, matrix

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


PLAN: Final = {
    "numbers": {...: NUMBERS},
    "dates": {...: {"format": is_format, "parts": [frozenset(PARTS)]}},
    "center": FLOATS,
    "scale": FLOATS,
    "constant": BOOLS,
    "fill": (None, FLOATS),
    "texts": {...: [str]},
    "na": (None, [str]),
}
"""What :meth:`Columns.to_metadata` is like."""


@dataclass(frozen=True)
class Columns:
    """The features of a model: a standardised column for each number and part of a date, a 0 or 1 for each text.

    Arguments:
        numbers, dates: by column how they are written.
        scaling: of the numbers, then of the parts of the dates, over the rows trained on.
        fill: what a missing number becomes, float64 (k,); None where none may be missing.
        texts: by column of texts, those met in the rows trained on. Any other text is none of them, as a missing
            one.
        na: what was said to stand for a missing value; None for what usually does.
    """

    numbers: Mapping[str, Numbers]
    dates: Mapping[str, Dates]
    scaling: Scaling
    fill: Floats | None
    texts: Mapping[str, tuple[str, ...]]
    na: tuple[str, ...] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that the table must have."""
        return (*self.numbers, *self.dates, *self.texts)

    @property
    def measured(self) -> tuple[str, ...]:
        """What is standardised, by name."""
        return _measured(self.numbers, self.dates)

    @property
    def features_named(self) -> tuple[str, ...]:
        """What each feature is: a number, a part of a date, or ``column=text``."""
        return (*self.measured, *(f"{name}={text}" for name, texts in self.texts.items() for text in texts))

    @property
    def width(self) -> int:
        """How many features there are."""
        return len(self.features_named)

    @classmethod
    def of(cls, table: Table, account: Account, order: Rows, held: int, *, fill: bool) -> tuple["Columns", Floats]:
        """Find out about the columns of ``account``; return that, and the features of all rows, in ``order``.

        The first ``held`` rows of that order are not looked at.
        """
        numbers, dates = account.numbers, account.dates
        names = _measured(numbers, dates)
        raw = _raw(table, numbers, dates).take(order, axis=0)
        fills = None
        if fill:
            fills = np.array([_mean(table, column, name) for column, name in zip(raw[held:].T, names, strict=True)])
            np.copyto(raw, fills, where=np.isnan(raw))
        scaling = measured(table, raw[held:], names)
        texts = {name: table.texts(name, order[held:]) for name in account.kinds}
        columns = cls(numbers, dates, scaling, fills, texts, table.said_na)
        return columns, columns._assembled(table, raw, order)

    def features(self, table: Table) -> Floats:
        """Return the features of a table, float64 (rows, width).

        Raises TableError for a column that it lacks, a field that is not written as in training or one too large,
        and, without ``fill``, a missing value.
        """
        table.require(self.names)
        raw = _raw(table, self.numbers, self.dates)
        if self.fill is not None:
            np.copyto(raw, self.fill, where=np.isnan(raw))
        elif missing := table.missing(self.names, self.texts):
            raise TableError(said_missing(table, missing, "fill them in, or train with --missing fill"))
        return self._assembled(table, raw)

    def unknown(self, table: Table, rows: Rows | slice = slice(None)) -> dict[str, int]:
        """Return by column in how many of the rows a text stands that was not met in training."""
        counts = {}
        for name, texts in self.texts.items():
            there = table.text(name).is_not_null().to_numpy()
            counts[name] = int((there & (table.codes(name, texts) < 0))[rows].sum())
        return {name: count for name, count in counts.items() if count}

    def _assembled(self, table: Table, raw: Floats, order: Rows | slice = slice(None)) -> Floats:
        features = np.zeros((len(table), self.width)) if self.texts else raw
        start = len(self.measured)
        standardised(table, self.scaling, raw, self.measured, out=features[:, :start])
        for name, texts in self.texts.items():
            codes = table.codes(name, texts)[order]
            known = np.flatnonzero(codes >= 0)
            features[known, start + codes[known]] = 1
            start += len(texts)
        return features

    def to_metadata(self) -> dict[str, Any]:
        """Return all of it for a file."""
        return {
            "numbers": {name: asdict(numbers) for name, numbers in self.numbers.items()},
            "dates": {name: asdict(dates) for name, dates in self.dates.items()},
            "center": self.scaling.center,
            "scale": self.scaling.scale,
            "constant": self.scaling.constant,
            "fill": self.fill,
            "texts": {name: list(texts) for name, texts in self.texts.items()},
            "na": None if self.na is None else list(self.na),
        }

    @classmethod
    def from_metadata(cls, metadata: Any) -> "Columns":
        """Return what :meth:`to_metadata` described. Raises ValueError for anything else."""
        check_plan("columns", metadata, PLAN)
        numbers = {name: Numbers(**one) for name, one in metadata["numbers"].items()}
        dates = {name: Dates(one["format"], tuple(one["parts"])) for name, one in metadata["dates"].items()}
        scaling = Scaling(metadata["center"], metadata["scale"], metadata["constant"])
        texts = {name: tuple(values) for name, values in metadata["texts"].items()}
        na = None if metadata["na"] is None else tuple(metadata["na"])
        columns = cls(numbers, dates, scaling, metadata["fill"], texts, na)
        k = len(columns.measured)
        arrays = [
            scaling.center,
            scaling.scale,
            scaling.constant,
            *([] if columns.fill is None else [columns.fill]),
        ]
        if any(len(array) != k for array in arrays) or not (scaling.scale > 0).all():
            raise ValueError(f"columns: expected {k} numbers each, and scales > 0, got others")
        if len({*columns.names}) < len(columns.names) or any(
            len({*kinds}) < len(kinds) for kinds in texts.values()
        ):
            raise ValueError("columns: expected names and texts that differ, got one twice")
        return columns


def said_missing(table: Table, missing: Mapping[str, int], way_out: str) -> str:
    """Return how an error tells of missing values."""
    shown = cut([f"{name!r} ({count})" for name, count in missing.items()])
    taken = taken_for_missing(table, missing)
    return f"{table.path}: expected no missing values, got some in the columns {shown}; {way_out}{taken}"


def taken_for_missing(table: Table, names: Iterable[str]) -> str:
    """Return how is told of a text that counts as missing, if there is one in the columns ``names``."""
    for name in names:
        if text := table.na_in(name):
            return f"; {text!r}, as in column {name!r}, counts as one, unless --na says otherwise"
    return ""


def measured(table: Table, x: Floats, names: Sequence[str]) -> Scaling:
    """Return where the columns ``names`` lie. Raises TableError as :meth:`Scaling.of` raises ValueError."""
    try:
        return Scaling.of(x, names)
    except ValueError as error:
        raise TableError(f"{table.path}: {error}") from error


def standardised(
    table: Table, scaling: Scaling, x: Floats, names: Sequence[str], out: Floats | None = None
) -> Floats:
    """Return :meth:`Scaling.standardised`. Raises TableError for columns that leave float64."""
    z = scaling.standardised(x, out)
    finite = np.isfinite(z).all(axis=0)
    if not finite.all():
        far = [names[int(index)] for index in np.flatnonzero(~finite)]
        said = f"column {far[0]!r}" if len(far) == 1 else f"columns {listed(far)}"
        raise TableError(f"{table.path}: {said}: expected values of the size trained on, got larger ones")
    return z


def _measured(numbers: Mapping[str, Numbers], dates: Mapping[str, Dates]) -> tuple[str, ...]:
    return (*numbers, *(f"{name}: {part}" for name, one in dates.items() for part in one.parts))


def _raw(table: Table, numbers: Mapping[str, Numbers], dates: Mapping[str, Dates]) -> Floats:
    return matrix([*table.numbers(numbers), *table.dates(dates)], len(table))


def _mean(table: Table, column: Floats, name: str) -> float:
    known = column[~np.isnan(column)]
    return float(measured(table, known[:, None], [name]).center[0]) if len(known) else 0.0
