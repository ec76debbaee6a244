"""Samples as columns: what holds them along its first axis, whatever library it is of.

A column has a ``shape``, a ``dtype``, and gives samples by ``column[where]``, for a slice or an array of indices.
NumPy's arrays are columns, and so are SciPy's sparse matrices by rows; what NumPy can read becomes an
array, mostly without a copy; what lies in a file stays there, as :class:`Stored`.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from ..arguments import Array, checked_number, is_array, length

CHUNK: Final = 1 << 14
"""Samples that a pass over a whole column reads at once."""


class Stored:
    """Samples that lie in a file, or wherever reading costs: read a batch at a time, in the order they lie in.

    What is read is put into the order asked for. ``rows`` are those of ``source`` that it has, all without it.
    """

    def __init__(self, source: Any, rows: Array | None = None) -> None:
        self.source, self.rows = source, rows
        self.shape = (source.shape[0] if rows is None else len(rows), *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, where: Any) -> Array:
        if self.rows is not None:
            where = self.rows[where]
        if isinstance(where, slice):
            return np.asarray(self.source[where])
        order = np.argsort(where)
        # zarr reads rows by oindex; its plain brackets ask for an index an axis.
        read = np.asarray(getattr(self.source, "oindex", self.source)[np.asarray(where)[order]])
        samples = np.empty_like(read)
        samples[order] = read
        return samples

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all samples."""
        samples = self[:]
        return samples if dtype is None else samples.astype(dtype)


def as_column(name: str, value: Any) -> Any:
    """Return the column that ``value`` is or becomes; raise TypeError or ValueError, with ``name``, for none."""
    if is_array(value):
        return Stored(value) if isinstance(value, np.memmap) else value
    if _is_sparse(value):
        if value.ndim != 2:
            raise ValueError(f"{name}: expected a sparse matrix of samples by features, got shape {value.shape}")
        return value if value.format == "csr" else value.tocsr()
    try:
        column = _read(value)
    except Exception as error:
        raise type_of(error)(f"{name}: expected what NumPy can read, got {_kind(value)}: {error}") from error
    if column is None:
        way_out = "; np.array(list(...)) of it is one" if isinstance(value, Iterator) else ""
        raise TypeError(
            f"{name}: expected a NumPy array, or what NumPy can read as one, got {_kind(value)}{way_out}"
        )
    if column.dtype.hasobject or column.dtype.kind in "mM":
        raise TypeError(f"{name}: expected numbers, got {_odd(value)}; encode it in numbers, or leave it out")
    return column


def _read(value: Any) -> Any:
    """Return the column that something else than an array or a sparse matrix is or becomes, None for none."""
    if _is_stored(value):
        return Stored(value)
    if not (isinstance(value, list | tuple) or hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        return None
    plain = hasattr(value, "__array__") or not hasattr(value, "__dlpack__")
    array: Array = np.asarray(value) if plain else np.from_dlpack(value)
    if array.dtype.hasobject and not _odd(value):  # bools, and missing values, beside the numbers
        of_pandas = hasattr(value, "iloc")  # whose NA NumPy does not know
        return value.to_numpy(dtype=np.float64, na_value=np.nan) if of_pandas else array.astype(np.float64)
    return array


def type_of(error: Exception) -> type[Exception]:
    """Return what to raise in place of an error of another library."""
    return ValueError if isinstance(error, ValueError) else TypeError


def checked_columns(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return ``values`` as columns of one length, at least 1; raise TypeError or ValueError where they are none."""
    if not values:
        raise ValueError(f"{name}: expected at least one array, got none")
    columns = tuple(as_column(f"{name}[{index}]", value) for index, value in enumerate(values))
    for index, column in enumerate(columns):
        if not column.shape or column.shape[0] == 0:
            raise ValueError(f"{name}[{index}]: expected at least one sample, got shape {column.shape}")
        if column.shape[0] != columns[0].shape[0]:
            raise ValueError(
                f"{name}[{index}]: expected {columns[0].shape[0]} samples, as in {name}[0], got {column.shape[0]}"
            )
    return columns


def count(samples: Any) -> int:
    """Return how many samples the arrays of a batch have; the first one, or the first of a dict or tuple, tells."""
    first = samples
    while isinstance(first, tuple | dict):
        first = next(iter(first.values() if isinstance(first, dict) else first), ())
    return length(first)


def pieces(columns: Sequence[Any], size: int = CHUNK) -> Iterator[tuple[Any, ...]]:
    """Yield all samples in order, so many at a time."""
    for start in range(0, columns[0].shape[0], size):
        yield tuple([column[start : start + size] for column in columns])


def contents(column: Any) -> Iterator[Array]:
    """Yield arrays that say all that is in a column; of a file, one after the other."""
    if _is_sparse(column):
        yield from (column.data, column.indices, column.indptr)
    elif isinstance(column, Stored):
        yield from (part for (part,) in pieces([column]))
    else:
        yield column


def whole(column: Any) -> Any:
    """Return all samples of a column, as a function takes them that is given all at once."""
    return column[:] if isinstance(column, Stored) else column


def hold_out(
    columns: Sequence[Any], part: Any, rng: "np.random.Generator | None"
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the columns to train on and those held out: a part of the samples that ``rng`` draws."""
    if not checked_number("validation", part, 0, above=True) < 1:
        raise ValueError(f"validation: expected a part of the samples, > 0 and < 1, got {part!r}")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng: expected a numpy.random.Generator, such as np.random.default_rng(0), which draws the samples of "
            f"validation={part!r}, got {rng!r}"
        )
    n = columns[0].shape[0]
    if n < 2:
        raise ValueError(f"validation: expected two samples or more to hold a part out, got {n}")
    held = min(max(1, round(part * n)), n - 1)
    order = rng.permutation(n)
    rows = np.sort(order[held:]), np.sort(order[:held])
    kept, watched = (tuple([_rows(column, of) for column in columns]) for of in rows)
    return kept, watched


def _rows(column: Any, rows: Array) -> Any:
    if isinstance(column, Stored):
        return Stored(column.source, rows if column.rows is None else column.rows[rows])
    return column[rows]


def _of(library: str, name: str) -> Any:
    """Return what a library that is imported calls so; None where it is not imported."""
    return getattr(sys.modules.get(library), name, None)


def _is_sparse(value: Any) -> bool:
    issparse = _of("scipy.sparse", "issparse")
    return issparse is not None and bool(issparse(value))


def _is_stored(value: Any) -> bool:
    """Return whether it is kept in chunks, as by h5py, zarr and dask."""
    if not all(hasattr(value, name) for name in ("chunks", "shape", "dtype", "__getitem__")):
        return False
    array = _of("xarray", "DataArray")
    return array is None or not isinstance(value, array) or value.chunks is not None


def _kind(value: Any) -> str:
    return type(value).__name__


def _odd(value: Any) -> str:
    """Return what of a frame, series or anything else is no number; "" where all of it is one or a bool."""
    dtypes, names = getattr(value, "dtypes", None), getattr(value, "columns", None)
    numbers = ("int", "uint", "float", "bool")
    if dtypes is None or names is None:
        kind = str(getattr(value, "dtype", "objects"))
        return "" if kind.lower().startswith(numbers) else f"{_kind(value)} of {kind}"
    kinds = zip(map(str, names), map(str, dtypes), strict=True)
    return ", ".join(f"column {name!r} of {kind}" for name, kind in kinds if not kind.lower().startswith(numbers))
