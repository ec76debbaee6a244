"""The data of one epoch: batches of samples, in order or shuffled."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..arguments import Array, checked_int, flag


def minibatches(
    *arrays: Array, batch_size: int, rng: "np.random.Generator | None", shuffle: bool = True
) -> Iterator[tuple[Array, ...]]:
    """Return an iterator over the batches of one epoch, in which every sample comes once.

    Arguments:
        arrays: one or more NumPy arrays of any dtype with the same first length ``n >= 1``, the number of samples.
        batch_size: samples a batch, an int >= 1; the last batch has the ``n mod batch_size`` that are left.
        rng: draws the order, once, when ``minibatches`` is called. May be None if ``shuffle`` is False.
        shuffle: True yields copies of the samples in random order, made batch by batch; False yields views of
            them in the order of the arrays.

    Each batch is a tuple with a part of each array; for one array too.

    Raises TypeError or ValueError, at once, for an argument that is none of these.

    >>> import numpy as np, gdcore as gd
    >>> x = np.arange(5)
    >>> [batch.tolist() for (batch,) in gd.minibatches(x, batch_size=2, rng=None, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    >>> rng = np.random.default_rng(0)
    >>> sum(int(a.sum()) for a, b in gd.minibatches(x, x > 2, batch_size=2, rng=rng))
    10
    """
    size = checked_batches(arrays, batch_size, rng, shuffle)
    return batches_from(0, arrays, size, rng if shuffle else None)


def batches_from(
    first: int, arrays: Sequence[Array], size: int, rng: "np.random.Generator | None"
) -> Iterator[tuple[Array, ...]]:
    """Return the batches of an epoch from that with index ``first`` on; ``rng`` draws the order of all samples."""
    order = None if rng is None else rng.permutation(len(arrays[0]))
    return _batches(first, arrays, size, order)


def _batches(first: int, arrays: Sequence[Array], size: int, order: Array | None) -> Iterator[tuple[Array, ...]]:
    for start in range(first * size, len(arrays[0]), size):
        part = slice(start, start + size)
        where = part if order is None else order[part]
        yield tuple([array[where] for array in arrays])


def checked_batches(arrays: Sequence[Any], batch_size: Any, rng: Any, shuffle: Any, name: str = "arrays") -> int:
    """Return the batch size as an int; raise as :func:`minibatches` does."""
    flag("shuffle", shuffle)
    if not isinstance(rng, np.random.Generator) and not (rng is None and not shuffle):
        raise TypeError(
            f"rng: expected a numpy.random.Generator, such as np.random.default_rng(0), "
            f"{'' if shuffle else 'or None '}got {rng!r} of type {type(rng).__name__}"
        )
    size = checked_int("batch_size", batch_size, 1)
    check_arrays(name, arrays)
    return size


def check_arrays(name: str, arrays: Sequence[Any]) -> None:
    """Raise TypeError or ValueError unless ``arrays`` are NumPy arrays of one first length, at least 1."""
    if not arrays:
        raise ValueError(f"{name}: expected at least one array, got none")
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}[{index}]: expected a NumPy array, got {type(array).__name__}")
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(f"{name}[{index}]: expected at least one sample, got shape {array.shape}")
        if len(array) != len(arrays[0]):
            raise ValueError(
                f"{name}[{index}]: expected {len(arrays[0])} samples, as in {name}[0], got {len(array)}"
            )
