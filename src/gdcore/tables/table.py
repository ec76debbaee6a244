"""CSV and Parquet files as columns of numbers, dates and texts, and what is wrong with them in one line."""

import io
import math
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import TableError, need_polars, polars
from .forms import PLAIN, Dates, Numbers
from .source import NA, QUOTED, SAMPLE, Dialect, fields_of

if TYPE_CHECKING:
    import polars as pl

SHOWN: Final = 10
"""How many columns an error lists."""

STDIN: Final = "standard input"


@dataclass(frozen=True)
class _Column:
    """A column as numbers: ``values`` is null where there is none, ``bad`` the first row that is neither."""

    values: "pl.Series"
    missing: int
    bad: int | None = None
    bad_count: int = 0


class Table:
    """The columns of a file, a pipe or, ``"-"``, standard input: CSV with a header line, packed or not, or Parquet.

    ``columns`` are their names, stripped of white space; ``len`` is the number of rows below the header; ``found``
    tells how the file is written, where that had to be found out.

    Raises OSError for a file that cannot be read, TableError for one that is empty, is neither CSV nor Parquet or
    has two columns of one name, and ImportError without polars.
    """

    def __init__(self, path: str | Path, dialect: Dialect | None = None) -> None:
        need_polars()
        dialect = dialect or Dialect()
        self.path = path = STDIN if str(path) == "-" else path
        self.separator, self.decimal = ",", dialect.decimal
        self.found: tuple[str, ...] = ()
        self._quoted = False
        content, head, end = _opened(path)
        self.said_na = na = dialect.na
        if head[:4] == end == b"PAR1":
            names, frame = _of_parquet(path, content)
            na = () if na is None else na  # its texts are texts
        else:
            fields = fields_of(path, content, head, dialect)
            names, frame = fields.names, fields.frame
            self.separator, self.found, self._quoted = fields.separator, fields.found, fields.quoted
        self.na = NA if na is None else na
        self._na_numbers = [number for number in map(_number, self.na) if math.isfinite(number)]
        names = [name.strip() for name in names]
        used = [
            index for index, name in enumerate(names) if name or frame.to_series(index).null_count() < len(frame)
        ]
        self._place = {names[index]: index for index in used}
        self.columns = tuple(names[index] for index in used)
        self._frame = frame
        name, count = Counter(self.columns).most_common(1)[0] if self.columns else ("", 0)
        if count > 1:
            raise TableError(f"{path}: expected columns whose names differ, got {name!r} {count} times")
        self._of_other_kinds = {
            name: kind
            for name, kind in zip(names, frame.dtypes, strict=True)
            if kind.is_nested() or kind in (polars.Binary, polars.Duration, polars.Object)
        }
        self._parsed: dict[tuple[str, Numbers], _Column] = {}
        self._texts: dict[str, pl.Series] = {}

    def __len__(self) -> int:
        return self._frame.height

    def require(self, names: Iterable[str]) -> None:
        """Raise TableError unless the table has all columns ``names``."""
        absent = [name for name in names if name not in self._place]
        if absent:
            found = f"; found it {', '.join(self.found)}" if self.found else ""
            raise TableError(f"{self.path}: expected a column {listed(absent)}, got {listed(self.columns)}{found}")
        for name in names if self._of_other_kinds else ():
            if name in self._of_other_kinds:
                raise TableError(
                    f"{self.path}: column {name!r}: expected numbers or texts, got {self._of_other_kinds[name]}; "
                    f"choose among the columns with --features or --exclude"
                )

    def without_empty_end(self) -> "Table":
        """Return the table without the rows at its end in which all fields are empty."""
        height = len(self)
        while height and all(field is None or not str(field).strip() for field in self._frame.row(height - 1)):
            height -= 1
        return self if height == len(self) else self._with(self._frame.slice(0, height))

    def without_missing(self, names: Sequence[str], kinds: Iterable[str]) -> "Table":
        """Return the rows in which no column ``names`` misses its value, as :meth:`missing` counts them."""
        kept = np.ones(len(self), bool)
        for name in self.missing(names, kinds):
            kept &= (self.text(name) if name in kinds else self.written(name)).is_not_null().to_numpy()
        return self._with(self._frame.filter(polars.Series(kept)))

    def _with(self, frame: "pl.DataFrame") -> "Table":
        table = Table.__new__(Table)
        table.__dict__.update(self.__dict__, _frame=frame, _parsed={}, _texts={})
        return table

    def missing(self, names: Sequence[str], kinds: Iterable[str]) -> dict[str, int]:
        """Return by column how many values are missing, where some are; those in quotes are not in ``kinds``."""
        counts = {name: column.missing for name, column in zip(names, self.plain(names), strict=True)}
        counts |= {name: self.text(name).null_count() for name in kinds if counts.get(name)}
        return {name: count for name, count in counts.items() if count}

    def text(self, name: str) -> "pl.Series":
        """Return a column as texts without white space around; null where a value is missing."""
        texts = self._stripped(name)
        return texts.str.strip_prefix(QUOTED) if self._quoted else texts

    def written(self, name: str) -> "pl.Series":
        """Return a column as :meth:`text` does, as numbers or dates are to be read: no text in quotes is one."""
        texts = self._stripped(name)
        return texts.set(texts.str.starts_with(QUOTED), None) if self._quoted else texts

    def _stripped(self, name: str) -> "pl.Series":
        if name not in self._texts:
            self.require([name])
            series = self._frame.to_series(self._place[name]).cast(polars.String).str.strip_chars()
            missing = series.is_null() | series.is_in(["", *self.na])
            if self._na_numbers:
                missing |= series.cast(polars.Float64, strict=False).is_in(self._na_numbers).fill_null(value=False)
            self._texts[name] = series.set(missing, None)
        return self._texts[name]

    def na_in(self, name: str) -> str:
        """Return the first text of a column that stands for a missing value; "" where all that do are empty."""
        texts = self._frame.to_series(self._place[name]).cast(polars.String).str.strip_chars()
        found = texts.filter(texts.is_in(self.na))
        return str(found[0]) if len(found) else ""

    def is_written(self, name: str) -> bool:
        """Return whether a column is of texts, and no numbers of a Parquet file."""
        return bool(self._frame.dtypes[self._place[name]] == polars.String)

    def plain(self, names: Iterable[str]) -> list[_Column]:
        """Return columns read as Python writes numbers."""
        names = list(names)
        self.require(names)
        new = [name for name in dict.fromkeys(names) if (name, PLAIN) not in self._parsed]
        if new:
            cast = self._frame[:, [self._place[name] for name in new]].select(
                polars.all().cast(polars.Float64, strict=False)
            )
            for name, values in zip(new, cast, strict=True):
                whole = values.null_count() == 0 and values.is_finite().all()
                whole = whole and not (self._na_numbers and values.is_in(self._na_numbers).any())
                self._parsed[name, PLAIN] = _Column(values, 0) if whole else self._judged(name, PLAIN)
        return [self._parsed[name, PLAIN] for name in names]

    def _judged(self, name: str, numbers: Numbers) -> _Column:
        texts = self.written(name)
        values = numbers.parsed(texts)
        bad = texts.is_not_null() & ~values.is_finite().fill_null(value=False)
        count = int(bad.sum())
        return _Column(values.set(bad, None), texts.null_count(), bad.arg_max() if count else None, count)

    def numbers(self, columns: Mapping[str, Numbers]) -> "list[pl.Series]":
        """Return columns as they are written, float64 and null where a value is missing.

        Raises TableError for columns that the table lacks, and for fields that are no finite numbers written so.
        Rows count from 1, below the header.
        """
        self.plain([name for name, numbers in columns.items() if numbers == PLAIN])
        self.require(columns)
        found, bad = [], []
        for name, numbers in columns.items():
            if (name, numbers) not in self._parsed:
                self._parsed[name, numbers] = self._judged(name, numbers)
            column = self._parsed[name, numbers]
            found.append(column.values)
            if column.bad is not None:
                bad.append((name, f"finite numbers {numbers}".strip(), column.bad))
        self._check(bad)
        return found

    def dates(self, columns: Mapping[str, Dates]) -> "list[pl.Series]":
        """Return the parts of columns of dates, as :meth:`numbers` does."""
        found, bad = [], []
        for name, dates in columns.items():
            texts = self.written(name)
            parts = dates.parsed(texts)
            none = texts.is_not_null() & parts.to_series().is_null()
            found += parts.get_columns()
            if none.any():
                bad.append((name, f"dates {dates.format}".strip(), none.arg_max()))
        self._check(bad)
        return found

    def _check(self, bad: "list[tuple[str, str, Any]]") -> None:
        """Raise TableError for columns of which the first row is given that is not what is expected."""
        if not bad:
            return
        texts = [self.written(name)[row][:40] for name, _, row in bad]
        if len(bad) == 1:
            (name, expected, row), text = bad[0], texts[0]
            raise TableError(f"{self.path}: column {name!r}: expected {expected}, got {text!r} in row {row + 1}")
        got = [f"{name!r} ({text!r} in row {row + 1})" for (name, _, row), text in zip(bad, texts, strict=True)]
        expected = " or ".join(dict.fromkeys(expected for _, expected, _ in bad))
        raise TableError(f"{self.path}: expected {expected}, got others in the columns {cut(got)}")

    def texts(self, name: str, rows: NDArray[np.intp] | None = None) -> tuple[str, ...]:
        """Return the different texts of a column, sorted; only those in ``rows`` if these are given."""
        texts = self._kinds(name)
        chosen = texts if rows is None else texts.gather(rows)
        return tuple(chosen.drop_nulls().unique().sort().to_list())

    def codes(self, name: str, texts: Sequence[str]) -> NDArray[np.intp]:
        """Return which of ``texts`` stands in each row of a column, -1 where none of them does."""
        numbers = polars.Series(range(len(texts)), dtype=polars.Int64)
        codes = self._kinds(name).replace_strict(
            polars.Series(texts, dtype=polars.String), numbers, default=-1, return_dtype=polars.Int64
        )
        return np.asarray(codes.to_numpy(), np.intp)

    def _kinds(self, name: str) -> "pl.Series":
        # The same number is the same text, were it 1 in one file and 1.0 in another.
        return self.text(name).str.replace(r"^(-?\d+)\.0+$", "$1")


def matrix(columns: "Sequence[pl.Series]", rows: int) -> NDArray[np.float64]:
    """Return columns as float64 (rows, columns), in C order; nan where they are null."""
    if not columns:
        return np.empty((rows, 0))
    frame = polars.DataFrame([column.alias(str(index)) for index, column in enumerate(columns)])
    return np.require(frame.to_numpy(order="c"), np.float64, ["C", "W"])


def listed(names: Iterable[str]) -> str:
    """Return names as errors and warnings list them."""
    return cut([*map(repr, names)])


def cut(parts: Sequence[str], between: str = ", ") -> str:
    """Return what is listed, of which not all is shown if it is much."""
    return between.join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _opened(path: str | Path) -> tuple[bytes | None, bytes, bytes]:
    """Return the content of a file, how it begins and how it ends.

    The content is None where polars can be given the name, which spares a copy. It cannot that of a pipe, which can
    be read once alone, nor one that is not in UTF-8, of which it knows nothing.
    """
    if path == STDIN:
        content = sys.stdin.buffer.read()
        return content, content[:SAMPLE], content[-4:]
    with Path(path).open("rb") as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if regular and str(path).encode(errors="ignore") == os.fsencode(path):
            head = file.read(SAMPLE)
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4))
            return None, head, file.read()
        content = file.read()
        return content, content[:SAMPLE], content[-4:]


def _of_parquet(path: str | Path, content: bytes | None) -> "tuple[list[str], pl.DataFrame]":
    """Return names and fields of a Parquet file: numbers as they are, and all else as texts."""
    try:
        frame = polars.read_parquet(path if content is None else io.BytesIO(content), glob=False)
    except (polars.exceptions.PolarsError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TableError(f"{path}: expected a Parquet file: {reason}") from error
    columns = []
    for series in frame:
        kind = series.dtype
        if kind.is_temporal() and kind != polars.Duration:
            local = series.dt.replace_time_zone(None) if kind == polars.Datetime else series
            columns.append(local.cast(polars.String))
        elif kind in (polars.Boolean, polars.Categorical, polars.Enum):
            columns.append(series.cast(polars.String))
        else:
            columns.append(series.fill_nan(None) if kind.is_float() else series)
    return frame.columns, polars.DataFrame(columns)
