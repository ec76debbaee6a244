"""A tree of arrays as one vector, for what takes nothing else: SciPy's optimizers, samplers."""

from collections.abc import Callable
from math import prod
from typing import Any, TypeVar

import numpy as np

from ..arguments import describe
from ..trees import Structure, rebuild
from ..trees import flatten as leaves_of
from ._traced import Traced, real
from .joining import array

T = TypeVar("T")


def flatten(tree: T) -> tuple[Any, Callable[[Any], T]]:
    """Return all elements of a tree as one vector, and the function that makes such a tree of such a vector.

    ``vector, back = flatten(tree)``, and ``back(vector)`` equals ``tree``. The vector has the dtype that NumPy
    gives arrays of the leaves' dtypes together: float64, if they are not all float32. ``back`` gives each leaf its
    own dtype and shape again, in memory of its own, whatever the dtype of the vector. Both may be used within
    derivatives.

    Raises TypeError for a leaf that is no array of floats; ``back`` raises ValueError for another shape.

    Arguments:
        tree: an array of floats, or nested dicts, lists and tuples of them.

    >>> import numpy as np, gdcore as gd
    >>> vector, back = gd.flatten({"w": np.array([[1.0, 2.0]]), "b": 3.0})
    >>> vector
    array([1., 2., 3.])
    >>> back(2 * vector)
    {'w': array([[2., 4.]]), 'b': np.float64(6.0)}
    >>> gd.grad(lambda v: np.sum(back(v)["w"] ** 2))(vector)
    array([2., 4., 0.])
    """
    leaves, likes = [], []
    for label, leaf in zip(Structure(tree, "tree").labels, leaves_of(tree), strict=True):
        x = leaf if isinstance(leaf, np.ndarray | np.generic | float | complex | Traced) else None
        if x is None or np.result_type(real(x)).kind not in "fc":
            raise TypeError(f"tree{label}: expected an array of floats or a float, got {describe(real(leaf))}")
        leaves.append(np.reshape(array(x), -1))
        likes.append((np.shape(x), np.result_type(real(x)), isinstance(x, np.ndarray)))
    size = sum(prod(shape) for shape, _, _ in likes)

    def back(vector: Any) -> T:
        vector = array(vector)
        if vector.shape != (size,):
            raise ValueError(f"vector: expected shape ({size},), got {describe(real(vector))}")
        parts, start = [], 0
        for shape, dtype, whole in likes:
            part: Any = vector[start : start + prod(shape)]
            part = np.real(part) if dtype.kind == "f" and part.dtype.kind == "c" else part
            part = np.reshape(part.astype(dtype), shape)
            parts.append(part if whole or type(part) is Traced else part[()])
            start += prod(shape)
        tree_again: T = rebuild(tree, iter(parts))
        return tree_again

    return np.concatenate(leaves) if leaves else np.zeros(0), back
