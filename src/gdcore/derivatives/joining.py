"""What functions of NumPy take for an array: traced values, numbers, lists of both, arrays of other libraries.

NumPy makes an array of objects of a list of traced values, which computes with them one by one; where it meets a
gate, it is joined to one traced array.
"""

from numbers import Rational
from typing import Any, Final

import numpy as np

from ..arguments import describe
from ._traced import Traced

NUMBERS: Final = (int, float, complex, np.number, np.bool)


def array(x: Any) -> Any:
    """Return ``x`` if it is an array, traced or not, and else the array of it, as functions of NumPy do.

    What holds traced values, a list or an array of objects, is joined to one traced array.
    """
    if type(x) is Traced or (type(x) is np.ndarray and x.dtype.char != "O"):
        return x
    if is_sparse(x):
        raise TypeError(
            f"expected a dense array with a traced one, got {describe(x)}; X @ w is differentiated by w, "
            f"and X.toarray() is dense"
        )
    if isinstance(x, np.ndarray) and has_arithmetic_of_its_own(type(x)):
        raise TypeError(
            f"expected an array that computes as those of NumPy do with a traced value, got {type(x).__name__}; "
            f"np.asarray(x) of it, or for masked arrays np.where(mask, 0, x), is one"
        )
    plain = np.asarray(x)
    if plain.dtype.char != "O":
        return plain
    if not plain.ndim and not isinstance(x, Rational | np.ndarray):
        raise TypeError(
            f"expected an array or a number with a traced value, got {describe(x)}; if it has a "
            f"method .to_numpy(), use that; gd.gate makes a gate of a function that takes it"
        )
    return joined(plain)


def joined(x: Any) -> Any:
    """Return an array of objects as one array, traced or not, if they are numbers."""
    elements = x.ravel().tolist()
    if not any(type(element) is Traced or _is_fraction(element) for element in elements):
        return np.array(elements).reshape(x.shape) if all(isinstance(y, NUMBERS) for y in elements) else x
    parts = [float(element) if _is_fraction(element) else element for element in elements]
    if all(type(part) is not Traced for part in parts):
        return np.array(parts).reshape(x.shape)
    return np.stack(parts).reshape(x.shape)


def _is_fraction(x: Any) -> bool:
    return isinstance(x, Rational) and not isinstance(x, int | np.generic)


def has_arithmetic_of_its_own(kind: type[np.ndarray[Any, Any]]) -> bool:
    """Return whether arrays of this kind give other values: matrices, masked arrays, quantities with units."""
    return kind.__mul__ is not np.ndarray.__mul__ or kind.__array_ufunc__ is not np.ndarray.__array_ufunc__


def is_sparse(x: Any) -> bool:
    """Return whether ``x`` is a sparse array or matrix of SciPy's."""
    return type(x).__module__.startswith("scipy.sparse") and hasattr(x, "tocsr")
