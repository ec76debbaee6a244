"""Arguments that are numbers: which may be given, and how the others are refused."""

import operator
from typing import Any

import numpy as np


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
