"""Errors of other libraries that met traced values, in words that say what to write instead."""

import re
from types import TracebackType
from typing import Any, Final

import numpy as np

OBJECTS: Final = re.compile(
    r"Cannot cast ufunc '(?P<cast>[a-z]+)\w*' input (?:\d+ )?from dtype\('O'\)"
    r"|loop of ufunc does not support.* callable (?P<loop>\w+)"
)
"""What NumPy says where it cannot compute with an array of objects."""
NOT_SUPPORTED: Final = re.compile(r"ufunc '(?P<name>\w+)' not supported for the input types")
"""What it says of these and of others, such as texts, if it has no way for objects at all."""
OTHER: Final = np.add
JOIN_AT_ONCE: Final = (
    "np.block of the same numbers, or np.stack of arrays, makes a traced one; of an array y of objects it is "
    "np.block(y.tolist())"
)
CANNOT_CONVERT: Final = re.compile(r"cannot convert.*\b_traced\.Traced\b")
"""What another library says that would make a number of its own of a traced value."""


def explain(error: TypeError | AttributeError) -> None:
    """Raise a TypeError that says what to write, where an error about traced values does not."""
    said = str(error)
    name = _in_numpy(error.__traceback__)
    if name is None and (match := OBJECTS.search(said)):
        name = match[match.lastgroup or 0]
    if name is not None:
        raise TypeError(
            f"{name}: expected a traced array, got one of objects, which np.array makes of a list of traced "
            f"values; {JOIN_AT_ONCE}"
        ) from error
    if (match := NOT_SUPPORTED.search(said)) and "O" not in "".join(getattr(np, match["name"], OTHER).types):
        raise TypeError(f"{said}; if it is an array of objects, as np.array makes of traced values: {JOIN_AT_ONCE}")
    if CANNOT_CONVERT.search(said):
        raise TypeError(
            f"{said}; y.to_numpy() of the other operand works with a traced value, and gd.gate makes a gate of a "
            f"function that computes otherwise"
        ) from error


def _in_numpy(at: TracebackType | None) -> str | None:
    """Return the function of NumPy in which an array of objects led to an error, if it is one that computes."""
    name, met = None, False
    while at is not None:
        root = str(at.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if root == "numpy":
            name = name or at.tb_frame.f_code.co_name
            met = met or _holds_objects(at.tb_frame)
        elif root != "gdcore":  # a user's, which NumPy may have called
            name, met = None, False
        at = at.tb_next
    return name if met else None


def _holds_objects(frame: Any) -> bool:
    return any(isinstance(x, np.ndarray) and x.dtype.char == "O" for x in frame.f_locals.values())
