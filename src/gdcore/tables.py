"""CSV files as NumPy arrays, and what is wrong with them in one line."""

from collections import Counter
from collections.abc import Mapping, Sequence
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


class Table:
    """The columns of a CSV file with a header line, as text until numbers are asked for.

    ``columns`` are their names, stripped of white space; ``len`` is the number of rows below the header. Empty
    rows at the end do not count.

    Raises OSError for a file that cannot be read, TableError for one that is empty, is no CSV or has two columns of
    one name, and ImportError without polars.
    """

    def __init__(self, path: str | Path) -> None:
        polars = _polars()
        self.path = path
        content = Path(path).read_bytes()
        if not content.strip():
            raise TableError(f"{path}: expected a header and rows, got an empty file")
        try:
            # The header is read as a row: polars would rename columns of one name. All is text, for the errors.
            frame = polars.read_csv(content, has_header=False, infer_schema=False)
        except (polars.exceptions.PolarsError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TableError(f"{path}: expected comma-separated values in UTF-8: {reason}") from error
        self.columns = tuple((name or "").strip() for name in frame.row(0))
        name, count = Counter(self.columns).most_common(1)[0]
        if count > 1:
            raise TableError(f"{path}: expected columns whose names differ, got {name!r} {count} times")
        self._frame = _without_empty_end(frame.slice(1))

    def __len__(self) -> int:
        return self._frame.height

    def require(self, names: Sequence[str]) -> None:
        """Raise TableError unless the table has all columns ``names``."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            wanted = ", ".join(map(repr, absent[:SHOWN])) + (", ..." if len(absent) > SHOWN else "")
            there = ", ".join(map(repr, self.columns[:SHOWN])) + (", ..." if len(self.columns) > SHOWN else "")
            separator = next((s for s in ";\t|" if len(self.columns) == 1 and s in self.columns[0]), None)
            hint = f"; the file seems to be separated by {separator!r}, not by ','" if separator else ""
            raise TableError(f"{self.path}: expected a column {wanted}, got {there}{hint}")

    def numbers(self, names: Sequence[str], hints: Mapping[str, str] = MappingProxyType({})) -> NDArray[np.float64]:
        """Return the columns ``names`` as finite float64 (rows, len(names)), in C order.

        Raises TableError for a column that the table lacks, a field that is no finite number (rows count from 1,
        below the header; ``hints`` by column end the message), and missing values.
        """
        self.require(names)
        numbers = np.empty((len(self), len(names)))
        absent: dict[str, int] = {}
        for index, name in enumerate(names):
            column = self._frame.to_series(self.columns.index(name)).str.strip_chars()
            values = column.cast(_polars().Float64, strict=False)
            missing = column.is_null() | column.str.to_lowercase().is_in(MISSING)
            bad = ~missing & ~values.is_finite().fill_null(value=False)
            if bad.any():
                row = bad.arg_max()
                assert row is not None
                raise TableError(
                    f"{self.path}: column {name!r}: expected finite numbers, got {column[row][:40]!r} "
                    f"in row {row + 1}{hints.get(name, '')}"
                )
            if missing.any():
                absent[name] = int(missing.sum())
            else:
                numbers[:, index] = values.to_numpy()
        if absent:
            listed = ", ".join(f"{name!r} ({count})" for name, count in list(absent.items())[:SHOWN])
            more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
            raise TableError(
                f"{self.path}: expected no missing values, got some in the columns {listed}{more}; "
                f"fill them in or leave these rows out"
            )
        return numbers


def _without_empty_end(frame: "pl.DataFrame") -> "pl.DataFrame":
    height = frame.height
    while height and all(field is None or not field.strip() for field in frame.row(height - 1)):
        height -= 1
    return frame.slice(0, height)


def _polars() -> ModuleType:
    try:
        import polars  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("reading a CSV file needs polars: pip install 'gdcore[cli]'") from error
    return polars
