"""How the columns of a table become the features of a model: numbers standardised, texts one-hot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..models import Scaling
from .table import Table, TableError

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

MOST_TEXTS: Final = 100
"""How many different texts a column may have: more are names, not kinds, or numbers with an error in them."""


@dataclass(frozen=True)
class Columns:
    """The features of a model: a standardised column for each of ``numbers``, a 0 or 1 for each text of ``texts``.

    Arguments:
        numbers: the names of the columns of numbers.
        scaling: theirs, over the rows trained on.
        fill: what a missing number becomes, float64 (k,); None where none may be missing.
        texts: by column of texts, those met in the rows trained on. Any other text is none of them, as a missing
            one.
    """

    numbers: tuple[str, ...]
    scaling: Scaling
    fill: Floats | None
    texts: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that the table must have."""
        return (*self.numbers, *self.texts)

    @property
    def width(self) -> int:
        """How many features there are."""
        return len(self.numbers) + sum(map(len, self.texts.values()))

    @classmethod
    def of(
        cls, table: Table, names: Sequence[str], categorical: Sequence[str], order: Rows, held: int, *, fill: bool
    ) -> tuple["Columns", Floats]:
        """Find out about the columns ``names``; return that, and the features of all rows, in ``order``.

        The first ``held`` rows of that order are not looked at.

        Raises TableError for columns that are neither numbers nor a few texts.
        """
        texts = [name for name in names if name in categorical or table.is_text(name)]
        numbers = tuple(name for name in names if name not in texts)
        hints = "; choose among the columns with --features, or name it in --categorical"
        raw = table.numbers(numbers, dict.fromkeys(numbers, hints)).take(order, axis=0)
        fills = None
        if fill:
            fills = np.array(
                [_mean(table, column, name) for column, name in zip(raw[held:].T, numbers, strict=True)]
            )
            np.copyto(raw, fills, where=np.isnan(raw))
        scaling = measured(table, raw[held:], numbers)
        found = {name: table.texts(name, order[held:]) for name in texts}
        for name, values in found.items():
            if len(values) > MOST_TEXTS:
                raise TableError(
                    f"{table.path}: column {name!r}: expected numbers, or at most {MOST_TEXTS} different texts, "
                    f"got {len(values)}, such as {values[0][:40]!r}; choose among the columns with --features"
                )
        columns = cls(numbers, scaling, fills, found)
        return columns, columns._assembled(table, raw, order)

    def features(self, table: Table) -> Floats:
        """Return the features of a table, float64 (rows, width).

        Raises TableError for a column that it lacks, a field that is no number or one too large, a column of texts
        none of which was met in training, and, without ``fill``, a missing value.
        """
        raw = table.numbers(self.numbers)
        table.require(self.texts)
        if self.fill is not None:
            np.copyto(raw, self.fill, where=np.isnan(raw))
        elif missing := table.missing(self.names):
            raise TableError(said_missing(table, missing, "fill them in, or train with --missing fill"))
        return self._assembled(table, raw)

    def unknown(self, table: Table) -> dict[str, int]:
        """Return by column in how many rows a text stands that was not met in training."""
        absent = table.missing(tuple(self.texts))
        counts = {name: int((table.codes(name, texts) < 0).sum()) for name, texts in self.texts.items()}
        return {name: n - absent.get(name, 0) for name, n in counts.items() if n > absent.get(name, 0)}

    def _assembled(self, table: Table, raw: Floats, order: Rows | slice = slice(None)) -> Floats:
        features = np.zeros((len(table), self.width)) if self.texts else raw
        start = len(self.numbers)
        standardised(table, self.scaling, raw, self.numbers, out=features[:, :start])
        for name, texts in self.texts.items():
            codes = table.codes(name, texts)[order]
            known = np.flatnonzero(codes >= 0)
            if texts and not known.size and table.missing([name]).get(name, 0) < len(table):
                raise TableError(
                    f"{table.path}: column {name!r}: expected texts that were there in training, such as "
                    f"{texts[0]!r}, got others alone, such as {table.texts(name)[0][:40]!r}"
                )
            features[known, start + codes[known]] = 1
            start += len(texts)
        return features

    def to_metadata(self) -> dict[str, Any]:
        """Return all of it for a file."""
        return {
            "numbers": list(self.numbers),
            "center": self.scaling.center,
            "scale": self.scaling.scale,
            "constant": self.scaling.constant,
            "fill": self.fill,
            "texts": {name: list(texts) for name, texts in self.texts.items()},
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "Columns":
        """Return what :meth:`to_metadata` described. Raises KeyError, TypeError or ValueError for anything else."""
        numbers, texts = tuple(metadata["numbers"]), metadata["texts"]
        scaling = Scaling(metadata["center"], metadata["scale"], metadata["constant"])
        fill = () if metadata["fill"] is None else (metadata["fill"],)
        for array in (scaling.center, scaling.scale, scaling.constant, *fill):
            if not isinstance(array, np.ndarray) or array.shape != (len(numbers),):
                raise ValueError(f"columns: expected an array of {len(numbers)}, got {array!r}")
        return cls(numbers, scaling, metadata["fill"], {name: tuple(values) for name, values in texts.items()})


def said_missing(table: Table, missing: Mapping[str, int], way_out: str) -> str:
    """Return how an error tells of missing values."""
    shown = 10
    listed = ", ".join(f"{name!r} ({count})" for name, count in list(missing.items())[:shown])
    more = f" and {len(missing) - shown} more" if len(missing) > shown else ""
    return f"{table.path}: expected no missing values, got some in the columns {listed}{more}; {way_out}"


def measured(table: Table, x: Floats, names: Sequence[str]) -> Scaling:
    """Return where the columns ``names`` lie. Raises TableError as :meth:`Scaling.of` raises ValueError."""
    try:
        return Scaling.of(x, names)
    except ValueError as error:
        raise TableError(f"{table.path}: {error}") from error


def standardised(
    table: Table, scaling: Scaling, x: Floats, names: Sequence[str], out: Floats | None = None
) -> Floats:
    """Return :meth:`Scaling.standardised`. Raises TableError for a column that leaves float64."""
    z = scaling.standardised(x, out)
    finite = np.isfinite(z).all(axis=0)
    if not finite.all():
        name = names[int(finite.argmin())]
        raise TableError(f"{table.path}: column {name!r}: expected values of the size trained on, got larger ones")
    return z


def _mean(table: Table, column: Floats, name: str) -> float:
    known = column[~np.isnan(column)]
    return float(measured(table, known[:, None], [name]).center[0]) if len(known) else 0.0
