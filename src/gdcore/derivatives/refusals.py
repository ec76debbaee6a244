"""What is refused of functions that meet traced values, in words."""

import sys
from typing import Any, Final, NoReturn

import numpy as np

from ..arguments import describe

JOIN: Final = (
    "write values into np.zeros(n, object), or np.array, np.stack or np.concatenate a list of them, "
    "without dtype=float"
)
"""What to do instead of writing traced values into an array of numbers."""

REFUSED: Final = {
    "out": "an array of numbers cannot take traced values, nor y += x: y = y + x, without out, makes a new array",
    "where": "np.where(condition, x, 0) selects elements",
    "initial": "np.maximum or + joins a further value",
    "dtype": ".astype(np.float64) changes the dtype",
    "casting": ".astype(np.float64) changes the dtype",
    "subok": "traced values have no subclass",
}
_DEFAULTS: Final[dict[str, Any]] = {"where": True, "casting": "same_kind", "subok": True, "initial": np._NoValue}


def refuse_by_name(name: str, option: str) -> NoReturn:
    """Raise the TypeError for a traced value that is given by name."""
    raise TypeError(f"{name}: {option}: expected a traced array as a positional argument, got one by name")


def refuse_options(name: str, kwargs: dict[str, Any]) -> None:
    """Raise TypeError for an option that no gate has; drop what is default."""
    for option in list(kwargs):
        value = kwargs[option]
        if option in REFUSED:
            if value is not None and value is not _DEFAULTS.get(option, None) and value is not np._NoValue:
                raise TypeError(
                    f"{name}: {option}: expected no such option with a traced array, got one; {REFUSED[option]}"
                )
            del kwargs[option]


WRITING: Final = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
"""Functions of NumPy that write to an argument: no gate of them could work."""


def refuse_function(function: Any) -> NoReturn:
    """Raise the TypeError for a function that has no gate, or can have none."""
    if function in WRITING:
        raise TypeError(
            f"{name_of(function)}: expected no writing to arrays, as a traced value would lose its gradient, "
            f"got a traced one; np.where, np.stack and np.concatenate make a new array"
        )
    no_gate(name_of(function))


GATED: Final[dict[Any, str]] = {}
"""The code of functions that users have made gates of although NumPy does not dispatch them, and their names."""


def refuse_complex(name: str, args: Any) -> NoReturn:
    """Raise the TypeError for complex numbers that meet a gate of real ones."""
    kinds = [describe(x) for x in args if np.iscomplexobj(x)]
    raise TypeError(
        f"{name}: expected real numbers with a traced value, as its gate is of those alone, got "
        f"{kinds[0] if kinds else 'complex ones'}; z.real, z.imag and np.abs(z) are real"
    )


def refuse_result(name: str, expected: str, got: Any) -> NoReturn:
    """Raise the TypeError for a function that gives what has no gradient, or none of its own."""
    hint = "; has_aux=True takes the second of a pair as it is" if isinstance(got, tuple) else ""
    if isinstance(got, np.ndarray | np.generic | complex) and np.iscomplexobj(got):
        hint = "; take its real part, z.real, or its size, np.abs(z)"
    raise TypeError(f"{name}: expected {expected}, got {describe(got)}{hint}")


def refuse_conversion(plain: Any) -> NoReturn:
    """Raise the TypeError for a traced value that would become a number."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code in GATED:
            raise TypeError(
                f"{GATED[frame.f_code]}: expected plain arrays, as NumPy does not dispatch this function to its "
                f"gate, got a traced {describe(plain)}; call what gd.gate returned in its place"
            )
        frame = frame.f_back
    raise TypeError(
        f"traced value: expected to stay traced, as its gradient would be lost, got converted from "
        f"{describe(plain)} to a Python number, a list or a bool, or written into an array of numbers; {JOIN}; "
        f"use np.sin for math.sin, comparisons such as x > 0, f'{{x:.3f}}' to print, or gd.stop_gradient(x)"
    )


def refuse_writing() -> NoReturn:
    """Raise the TypeError for writing to a traced value."""
    raise TypeError(
        "traced value: expected to be read only, as its earlier value is needed on the way back, got written "
        "to in place; use np.where, np.concatenate or arithmetic to make a new array"
    )


def refuse_pickling(plain: Any) -> NoReturn:
    """Raise the TypeError for pickling a traced value."""
    raise TypeError(
        f"traced value: expected to stay within the derivative, as its gradient would be lost, got "
        f"{describe(plain)} to pickle; gd.stop_gradient(x) makes it plain"
    )


def no_gate(name: str) -> NoReturn:
    """Raise the TypeError for a function that has no gate."""
    raise TypeError(
        f"{name}: expected a function that has a gate, got none for it; register one with "
        f"gd.gate({name}, lambda ans, x: lambda g: ...), or take it out of the derivative with "
        f"gd.stop_gradient(x); docs/differentiated.md lists those that have one"
    )


def name_of(function: Any) -> str:
    """Return how a function is written in code: ``np.linalg.inv``."""
    name: str = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc):
        if getattr(np, name, None) is function:
            return f"np.{name}"
        special = sys.modules.get("scipy.special")
        return f"scipy.special.{name}" if getattr(special, name, None) is function else name
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{name_of(owner)}.{name}"
    if function is np.ndarray.astype:
        return "astype"
    module = (getattr(function, "__module__", None) or "").split(".")
    parts = {"numpy": ["np", *module[1:]], "gdcore": ["gd", *module[1:]] if "scipy" in module else ["gd"]}
    return ".".join([*parts.get(module[0], []), name])
