"""Arguments that are numbers: which may be given, and how the others are refused."""

import math
import numbers
import operator
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.lib.stride_tricks import as_strided

Array = np.ndarray[Any, Any]
"""An array of any shape and dtype."""

BFLOAT16: Final = np.dtype([("bfloat16", np.uint16)])
"""The dtype of bits that ``gd.bfloat16`` has marked."""


def checked_int(name: str, value: Any, least: int) -> int:
    """Return ``value`` as an int; raise TypeError or ValueError unless it is an integer >= ``least``."""
    said = f"{name}: expected an int >= {least}, got {value!r}"
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{said} of type {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{said} of type {type(value).__name__}") from None
    if number < least:
        raise ValueError(said)
    return number


def checked_number(name: str, value: Any, least: float, *, above: bool) -> float:
    """Return ``value`` as a float; raise TypeError or ValueError unless it is >= ``least``, or > with ``above``."""
    said = f"{name}: expected a number {'>' if above else '>='} {least:g}, got {value!r}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{said} of type {type(value).__name__}")
    if not (value > least or (value == least and not above)):
        raise ValueError(said)
    return float(value)


def real_number(name: str, value: object, expected: str) -> float:
    """Return ``value`` as a float; raise TypeError or ValueError unless it is a real number."""
    if type(value) is float:  # spares the usual value the slow test
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {expected}, got {value!r} of type {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected {expected}, got a larger one") from None


def nonnegative(name: str, value: object) -> float:
    """Return ``value`` as a float; raise TypeError or ValueError unless it is a finite number >= 0."""
    expected = "a finite number >= 0"
    number = real_number(name, value, expected)
    if not (0.0 <= number < math.inf):
        raise ValueError(f"{name}: expected {expected}, got {value}")
    return number


def positive(name: str, value: object) -> float:
    """Return ``value`` as a float; raise TypeError or ValueError unless it is a finite number > 0."""
    expected = "a finite number > 0"
    number = real_number(name, value, expected)
    if not (0.0 < number < math.inf):
        raise ValueError(f"{name}: expected {expected}, got {value}")
    return number


def flag(name: str, value: object) -> bool:
    """Return ``value`` as a bool; raise TypeError unless it is one."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {value!r} of type {type(value).__name__}")
    return bool(value)


def describe(value: Any) -> str:
    """Return what errors say of an array: ``float32 (64, 10)``."""
    if not (is_array(value) or issubclass(type(value), np.generic)):
        return type(value).__name__
    plain = issubclass(type(value), np.generic) or type(value) is np.ndarray
    dtype = "bfloat16" if value.dtype == BFLOAT16 else value.dtype
    return f"{'' if plain else f'{type(value).__name__} of '}{dtype} {value.shape}"


def is_array(value: object) -> TypeGuard[np.ndarray[Any, Any]]:
    """Return whether a value is a NumPy array by its real type: ``isinstance`` believes what an object says."""
    return issubclass(type(value), np.ndarray)


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """Raise TypeError unless a value can be called, or, with ``optional``, is None."""
    if not (callable(value) or (optional and value is None)):
        raise TypeError(f"{name}: expected a callable{' or None' if optional else ''}, got {type(value).__name__}")


def is_complex(value: object) -> TypeGuard[Array]:
    """Return whether a value is an array of complex64 or complex128, and no masked one."""
    return is_array(value) and value.dtype.char in "FD" and not isinstance(value, np.ma.MaskedArray)


def as_pairs(value: Any) -> Any:
    """Return an array of complex numbers as a view of pairs of reals, of shape (..., 2); all else as it is."""
    if not is_complex(value):
        return value
    real = np.asarray(value).real
    return as_strided(real, (*real.shape, 2), (*real.strides, real.itemsize))


def as_complex(pairs: Array) -> Array:
    """Return a copy of pairs of reals, of shape (..., 2), as complex numbers."""
    numbers = np.array(pairs, order="C")
    return numbers.view(np.result_type(numbers, 1j)).reshape(pairs.shape[:-1])
