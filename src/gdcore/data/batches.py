"""The data of one epoch: batches of samples, in order or shuffled."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final

import numpy as np

from ..arguments import Array, checked_int, flag
from ..derivatives import alone
from .ahead import ahead
from .columns import checked_columns

SETS: Final = 2
"""Batches whose memory is kept: while one is made, the caller mostly still holds the one before."""


def minibatches(
    *arrays: Any, batch_size: int, rng: "np.random.Generator | None", shuffle: bool = True, prefetch: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Return an iterator over the batches of one epoch, in which every sample comes once.

    Arguments:
        arrays: one or more columns with the same first length ``n >= 1``, the number of samples: NumPy arrays of
            any dtype; frames, series, tensors, lists and whatever else NumPy can read, which become arrays, without
            a copy where that is possible; sparse matrices of SciPy, whose batches are CSR; and datasets of h5py,
            zarr or dask and memory maps, of which each batch is read by itself, in the order of the file, and
            put into its own.
        batch_size: samples a batch, an int >= 1; the last batch has the ``n mod batch_size`` that are left.
        rng: draws the order, once, when ``minibatches`` is called. May be None if ``shuffle`` is False.
        shuffle: True yields copies of the samples in random order, made batch by batch; False yields views of
            them in the order of the arrays.
        prefetch: how many batches one thread makes ahead of those asked for, an int >= 0.

    Each batch is a tuple with a part of each array; for one array too. The memory of a copy is used again once
    nothing holds it any more.

    Raises TypeError or ValueError, at once, for an argument that is none of these.

    >>> import numpy as np, gdcore as gd
    >>> x = np.arange(5)
    >>> [batch.tolist() for (batch,) in gd.minibatches(x, batch_size=2, rng=None, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    >>> rng = np.random.default_rng(0)
    >>> sum(int(a.sum()) for a, b in gd.minibatches(x, x > 2, batch_size=2, rng=rng))
    10
    """
    columns, size = checked_batches(arrays, batch_size, rng, shuffle)
    depth = checked_int("prefetch", prefetch, 0)
    return ahead(batches_from(0, columns, size, rng if shuffle else None), depth)


def batches_from(
    first: int, columns: Sequence[Any], size: int, rng: "np.random.Generator | None"
) -> Generator[tuple[Any, ...], None, None]:
    """Return the batches of an epoch from that with index ``first`` on; ``rng`` draws the order of all samples."""
    n = columns[0].shape[0]
    starts = range(first * size, n, size)
    if rng is None:
        return (tuple([column[start : start + size] for column in columns]) for start in starts)
    order = rng.permutation(n)
    plain = all(type(c) is np.ndarray and c.flags.c_contiguous and not c.dtype.hasobject for c in columns)
    return (_taken if plain else _chosen)(starts, columns, size, order)


def _chosen(
    starts: range, columns: Sequence[Any], size: int, order: Array
) -> Generator[tuple[Any, ...], None, None]:
    for start in starts:
        where = order[start : start + size]
        yield tuple([column[where] for column in columns])


def _taken(
    starts: range, columns: Sequence[Array], size: int, order: Array
) -> Generator[tuple[Array, ...], None, None]:
    """Yield what ``_chosen`` does, in less time."""
    sets: list[list[Array]] = []
    for start in starts:
        where = order[start : start + size]
        if len(where) < size:
            yield tuple([column.take(where, axis=0) for column in columns])
            continue
        for arrays in sets:
            if alone(arrays):
                break
        else:
            arrays = [np.empty((size, *column.shape[1:]), column.dtype) for column in columns]
            sets = [arrays, *sets[: SETS - 1]]
        # The indices are in range; with another mode, NumPy would write to memory of its own first.
        yield tuple(
            [column.take(where, axis=0, out=out, mode="clip") for column, out in zip(columns, arrays, strict=True)]
        )


def checked_batches(
    arrays: Sequence[Any], batch_size: Any, rng: Any, shuffle: Any, name: str = "arrays"
) -> tuple[tuple[Any, ...], int]:
    """Return the columns and the batch size as an int; raise as :func:`minibatches` does."""
    check_rng(rng, optional=not flag("shuffle", shuffle))
    size = checked_int("batch_size", batch_size, 1)
    return checked_columns(name, arrays), size


def check_rng(rng: Any, *, optional: bool) -> None:
    """Raise TypeError unless it is a generator, or, with ``optional``, None."""
    if not isinstance(rng, np.random.Generator) and not (rng is None and optional):
        raise TypeError(
            f"rng: expected a numpy.random.Generator, such as np.random.default_rng(0), "
            f"{'or None ' if optional else ''}got {rng!r} of type {type(rng).__name__}"
        )
