"""Gradients that are 0 but for some rows."""

from typing import Any

import numpy as np

from .arguments import Array, checked_int, describe
from .halves import half_of, widen

__all__ = ["Rows"]


class Rows:
    """The gradient of an array of which only some rows were used: an embedding table and a batch, say.

    ``opt.step`` steps those rows alone: rule, decay and average, as if the array were these rows, with the
    optimizer's ``t``. Other rows and their state stay as they are. Rows that are named more than once are summed in
    their order.

    Arguments:
        index: integers in ``[0, length)`` of shape (n,): which rows along axis 0, in any order.
        values: float32, float64, half precision or complex numbers, of shape (n, ...): the gradient of each.
        length: how many rows the whole array has, an int >= 0.

    Raises TypeError or ValueError for anything else.

    >>> import numpy as np, gdcore as gd
    >>> table = np.zeros((1000, 2))
    >>> gd.SGD(table, lr=1.0).step(gd.Rows(np.array([7, 3, 7]), np.array([[1.0, 1], [2, 2], [3, 3]]), 1000))
    >>> table[[3, 7]]
    array([[-2., -2.],
           [-4., -4.]])
    """

    __slots__ = ("index", "length", "values")

    index: Array
    values: Array
    length: int

    def __init__(self, index: Any, values: Any, length: int) -> None:
        self.index, self.values, self.length = as_index(index), np.asarray(values), checked_int("length", length, 0)
        self.check("")

    def check(self, where: str) -> None:
        """Raise TypeError or ValueError, with ``where`` before it, unless all of it is as it has to be."""
        index, values = self.index, self.values
        check_index(f"{where}index", index, self.length)
        known = values.dtype.char in "fdFD" and values.dtype.isnative
        if not known and half_of(values.dtype) is None:
            raise TypeError(f"{where}values: expected float32 or float64, got {describe(values)}")
        if values.ndim == 0 or len(values) != len(index):
            raise ValueError(f"{where}values: expected {len(index)} rows as in the index, got {describe(values)}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the whole gradient, with its zeros."""
        if copy is False:
            raise ValueError("copy: expected None or True, as the whole gradient is made anew, got False")
        values = self.values
        if half_of(values.dtype):
            values = widen(values)
        whole = np.zeros((self.length, *values.shape[1:]), values.dtype)
        np.add.at(whole, self.index, values)
        return whole if dtype is None else whole.astype(dtype)

    def __repr__(self) -> str:
        return f"Rows({len(self.index)} of {self.length}, {describe(self.values)})"


def as_index(rows: Any) -> Array:
    """Return an array of what names rows; an empty list has the dtype of an index."""
    index = np.asarray(rows)
    return index.astype(np.int64) if index.shape == (0,) and index.dtype == np.float64 else index


def check_index(name: str, index: Array, length: int) -> None:
    """Raise TypeError or ValueError unless ``index`` names rows of an array that has ``length`` of them."""
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers of shape (n,), got {describe(index)}")
    if index.size and not (index.min() >= 0 and index.max() < length):
        wrong = index[(index < 0) | (index >= length)][0]
        raise ValueError(f"{name}: expected rows in [0, {length}), got {wrong}")


for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
