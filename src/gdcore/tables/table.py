"""CSV and Parquet files as columns of numbers and texts, and what is wrong with them in one line."""

import io
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

MISSING: Final = ("", "na", "n/a", "nan", "null", "none")
"""What stands for a missing value, in lower case; an empty field does too."""

SHOWN: Final = 10
"""How many columns an error lists."""


class TableError(ValueError):
    """A table that cannot be used as it is asked for."""


@dataclass(frozen=True)
class _Column:
    """A column as numbers: ``values`` is null where there is none, ``bad`` the first row that is neither."""

    values: "pl.Series"
    missing: int
    bad: int | None = None
    bad_count: int = 0


class Table:
    """The columns of a file or a pipe: CSV with a header line, or Parquet.

    ``columns`` are their names, stripped of white space; ``len`` is the number of rows below the header. Empty
    rows at the end do not count.

    Raises OSError for a file that cannot be read, TableError for one that is empty, is neither CSV nor Parquet or
    has two columns of one name, and ImportError without polars.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        source, start, end = _opened(path)
        if start[:4] == end == b"PAR1":
            frame = _parsed(path, "a Parquet file", lambda polars: polars.read_parquet(source, glob=False))
            polars = _polars()
            kinds = polars.col(polars.Boolean, polars.Categorical, polars.Enum)
            self._frame = frame.with_columns(kinds.cast(polars.String))
            names = frame.columns
        else:
            if not start.strip():
                raise TableError(f"{path}: expected a header and rows, got an empty file")
            # The header is read as a row: polars would rename columns of one name. All is text, for the errors.
            frame = _parsed(
                path,
                "comma-separated values in UTF-8",
                lambda polars: polars.read_csv(source, has_header=False, infer_schema=False, glob=False),
            )
            names = [name or "" for name in frame.row(0)]
            self._frame = _without_empty_end(frame.slice(1))
        self.columns = tuple(name.strip() for name in names)
        name, count = Counter(self.columns).most_common(1)[0] if self.columns else ("", 0)
        if count > 1:
            raise TableError(f"{path}: expected columns whose names differ, got {name!r} {count} times")
        self._numbers: dict[str, _Column] = {}

    def __len__(self) -> int:
        return self._frame.height

    def require(self, names: Iterable[str]) -> None:
        """Raise TableError unless the table has all columns ``names``."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            there = _listed(self.columns)
            separator = next((s for s in ";\t|" if len(self.columns) == 1 and s in self.columns[0]), None)
            hint = f"; the file seems to be separated by {separator!r}, not by ','" if separator else ""
            raise TableError(f"{self.path}: expected a column {_listed(absent)}, got {there}{hint}")

    def is_text(self, name: str) -> bool:
        """Return whether most of what stands in a column is no number."""
        column = self._parse([name])[0]
        return 2 * column.bad_count > len(self) - column.missing

    def missing(self, names: Sequence[str]) -> dict[str, int]:
        """Return by column how many values are missing, where some are."""
        found = zip(names, self._parse(names), strict=True)
        return {name: column.missing for name, column in found if column.missing}

    def without_missing(self, names: Sequence[str]) -> "Table":
        """Return the rows in which no column ``names`` misses its value."""
        kept = np.ones(len(self), bool)
        for name in self.missing(names):
            kept &= ~self._missing(name)
        table = Table.__new__(Table)
        table.path, table.columns, table._numbers = self.path, self.columns, {}
        table._frame = self._frame.filter(_polars().Series(kept))
        return table

    def numbers(self, names: Sequence[str], hints: Mapping[str, str] = MappingProxyType({})) -> NDArray[np.float64]:
        """Return the columns ``names`` as float64 (rows, len(names)), in C order; nan where a value is missing.

        Raises TableError for a column that the table lacks, and for a field that is no finite number. Rows count
        from 1, below the header; ``hints`` by column end the message.
        """
        columns = self._parse(names)
        for name, column in zip(names, columns, strict=True):
            if column.bad is not None:
                got = str(self._series(name)[column.bad]).strip()[:40]
                raise TableError(
                    f"{self.path}: column {name!r}: expected finite numbers, got {got!r} "
                    f"in row {column.bad + 1}{hints.get(name, '')}"
                )
        if not columns:
            return np.empty((len(self), 0))
        frame = _polars().DataFrame([column.values.alias(str(index)) for index, column in enumerate(columns)])
        return np.require(frame.to_numpy(order="c"), np.float64, ["C", "W"])

    def texts(self, name: str, rows: NDArray[np.intp] | None = None) -> tuple[str, ...]:
        """Return the different texts of a column, sorted; only those in ``rows`` if these are given."""
        texts = self._texts(name)
        chosen = texts if rows is None else texts.gather(rows)
        return tuple(chosen.drop_nulls().unique().sort().to_list())

    def codes(self, name: str, texts: Sequence[str]) -> NDArray[np.intp]:
        """Return which of ``texts`` stands in each row of a column, -1 where none of them does."""
        polars = _polars()
        numbers = polars.Series(range(len(texts)), dtype=polars.Int64)
        codes = self._texts(name).replace_strict(
            polars.Series(texts, dtype=polars.String), numbers, default=-1, return_dtype=polars.Int64
        )
        return np.asarray(codes.to_numpy(), np.intp)

    def _series(self, name: str) -> "pl.Series":
        self.require([name])
        return self._frame.to_series(self.columns.index(name))

    def _texts(self, name: str) -> "pl.Series":
        series = self._series(name).cast(_polars().String).str.strip_chars()
        # The same number is the same text, were it 1 in one file and 1.0 in another.
        series = series.str.replace(r"^(-?\d+)\.0+$", "$1")
        return series.set(_stands_for_nothing(series), None)

    def _missing(self, name: str) -> NDArray[np.bool_]:
        return np.asarray(_stands_for_nothing(self._texts(name)).to_numpy(), bool)

    def _parse(self, names: Sequence[str]) -> list[_Column]:
        self.require(names)
        new = [self.columns.index(name) for name in names if name not in self._numbers]
        if new:
            polars = _polars()
            for series in self._frame[:, new]:
                if series.dtype.is_temporal() or series.dtype.is_nested() or series.dtype == polars.Binary:
                    name = self.columns[self._frame.columns.index(series.name)]
                    raise TableError(
                        f"{self.path}: column {name!r}: expected numbers or texts, got {series.dtype}; "
                        f"choose among the columns with --features"
                    )
            cast = self._frame[:, new].select(polars.all().cast(polars.Float64, strict=False))
            for index, values in zip(new, cast, strict=True):
                self._numbers[self.columns[index]] = _judged(self._frame.to_series(index), values)
        return [self._numbers[name] for name in names]


def _judged(series: "pl.Series", values: "pl.Series") -> _Column:
    if values.null_count() == 0 and values.is_finite().all():
        return _Column(values, 0)
    polars = _polars()
    texts = series.cast(polars.String).str.strip_chars()
    values = texts.cast(polars.Float64, strict=False)
    missing = _stands_for_nothing(texts)
    bad = ~missing & ~values.is_finite().fill_null(value=False)
    values = values.set(missing | bad, None)
    count = int(bad.sum())
    return _Column(values, int(missing.sum()), bad.arg_max() if count else None, count)


def _stands_for_nothing(texts: "pl.Series") -> "pl.Series":
    return texts.is_null() | texts.str.to_lowercase().is_in(MISSING)


def _without_empty_end(frame: "pl.DataFrame") -> "pl.DataFrame":
    height = frame.height
    while height and all(field is None or not field.strip() for field in frame.row(height - 1)):
        height -= 1
    return frame.slice(0, height)


def _listed(names: Iterable[str]) -> str:
    parts = [*map(repr, names)]
    return ", ".join(parts[:SHOWN]) + (", ..." if len(parts) > SHOWN else "")


def _opened(path: str | Path) -> tuple[str | Path | io.BytesIO, bytes, bytes]:
    """Return what polars can read, and how it starts and ends.

    That is the name, which spares a copy, but not of a pipe, which can be read once alone, nor a name that is not
    in UTF-8, of which polars knows nothing.
    """
    with Path(path).open("rb") as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        by_name = regular and str(path).encode(errors="ignore") == os.fsencode(path)
        content = file if by_name else io.BytesIO(file.read())
        start = content.read(4096)
        content.seek(max(0, content.seek(0, os.SEEK_END) - 4))
        end = content.read()
        content.seek(0)
    return content if isinstance(content, io.BytesIO) else path, start, end


def _parsed(path: str | Path, expected: str, read: Callable[[ModuleType], "pl.DataFrame"]) -> "pl.DataFrame":
    polars = _polars()
    try:
        return read(polars)
    except (polars.exceptions.PolarsError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TableError(f"{path}: expected {expected}: {reason}") from error


def _polars() -> ModuleType:
    try:
        import polars  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("reading a table needs polars: pip install 'gdcore[cli]'") from error
    return polars
