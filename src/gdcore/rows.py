"""Gradients that are 0 but for some rows."""

from typing import Any

import numpy as np

from .arguments import Array, checked_int, describe

__all__ = ["Rows"]


class Rows:
    """The gradient of an array of which only some rows were used: an embedding table and a batch, say.

    ``opt.step`` steps those rows alone: rule, decay and average, as if the array were these rows, with the
    optimizer's ``t``. Other rows and their state stay as they are. Rows that are named more than once are summed in
    their order.

    Arguments:
        index: integers in ``[0, length)`` of shape (n,): which rows along axis 0, in any order.
        values: float32 or float64, or complex numbers, of shape (n, ...): the gradient of each.
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
        self.index, self.values, self.length = (
            np.asarray(index),
            np.asarray(values),
            checked_int("length", length, 0),
        )
        if self.index.size == 0 and self.index.ndim == 1:
            self.index = self.index.astype(np.int64)  # of an empty list
        self.check("")

    def check(self, where: str) -> None:
        """Raise TypeError or ValueError, with ``where`` before it, unless all of it is as it has to be."""
        index, values = self.index, self.values
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise TypeError(f"{where}index: expected integers of shape (n,), got {describe(index)}")
        if values.dtype.char not in "fdFD" or not values.dtype.isnative:
            raise TypeError(f"{where}values: expected float32 or float64, got {describe(values)}")
        if values.ndim == 0 or len(values) != len(index):
            raise ValueError(f"{where}values: expected {len(index)} rows as in the index, got {describe(values)}")
        if index.size and not (index.min() >= 0 and index.max() < self.length):
            wrong = index[(index < 0) | (index >= self.length)][0]
            raise ValueError(f"{where}index: expected rows in [0, {self.length}), got {wrong}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the whole gradient, with its zeros."""
        if copy is False:
            raise ValueError("copy: expected None or True, as the whole gradient is made anew, got False")
        whole = np.zeros((self.length, *self.values.shape[1:]), self.values.dtype)
        np.add.at(whole, self.index, self.values)
        return whole if dtype is None else whole.astype(dtype)

    def __repr__(self) -> str:
        return f"Rows({len(self.index)} of {self.length}, {describe(self.values)})"


for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
