"""What functions of NumPy take for an array: traced values, numbers, and lists of both."""

from typing import Any

import numpy as np

from .._traced import Traced


def array(x: Any) -> Any:
    """Return ``x`` if it is an array, traced or not, and else the array of it, as functions of NumPy do.

    What holds traced values, a list or an array of objects, is joined to one traced array.
    """
    if type(x) is Traced or (type(x) is np.ndarray and x.dtype.char != "O"):
        return x
    x = np.asarray(x)
    return joined(x) if x.dtype.char == "O" else x


def joined(x: Any) -> Any:
    """Return an array of objects as one traced array, if there are traced values among them."""
    elements = x.ravel().tolist()
    if not any(type(element) is Traced for element in elements):
        return x
    return np.stack([e if type(e) is Traced else _number(e) for e in elements]).reshape(x.shape)


def _number(x: Any) -> Any:
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.char == "O" else x  # a Fraction
