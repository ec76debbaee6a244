"""What the parts of a model file have to be like: whoever has made one can put anything into it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from .forms import GROUPS

Plan = Any
"""A type; None; a set of the texts that are allowed; a function that says whether a value is; ``[plan]``, a list;
``{key: plan}``, a dict of these keys, or of any with ``...`` for a key; a tuple of plans, one of which fits."""


def check_plan(what: str, value: Any, plan: Plan) -> None:
    """Raise ValueError, of the part that differs, unless ``value`` is as planned."""
    for place, found in _misfits(what, value, plan):
        raise ValueError(f"{place}: expected what a model has there, got {type(found).__name__}")


def _misfits(place: str, value: Any, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Yield where a value is not as planned, and what is there."""
    match plan:
        case tuple():
            fits = any(not [*_misfits(place, value, one)] for one in plan)
        case [inner]:
            fits = isinstance(value, list | tuple)
            for index, one in enumerate(value if fits else ()):
                yield from _misfits(f"{place}[{index}]", one, inner)
        case dict():
            fits = isinstance(value, dict) and all(isinstance(key, str) for key in value)
            inner = dict.fromkeys(value, plan[...]) if fits and ... in plan else plan
            fits = fits and value.keys() == inner.keys()
            for key in inner if fits else ():
                yield from _misfits(f"{place}[{key!r:.40}]", value[key], inner[key])
        case frozenset():
            fits = isinstance(value, str) and value in plan
        case type():
            fits = type(value) is plan
        case _:
            fits = value is None if plan is None else plan(value)
    if not fits:
        yield place, value


def _array(kind: type) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        one = isinstance(value, np.ndarray) and value.dtype == kind and value.ndim == 1
        return one and bool(np.isfinite(value).all())

    return fits


FLOATS: Final = _array(np.float64)
BOOLS: Final = _array(np.bool_)


def finite(value: Any) -> bool:
    """Return whether a value is a finite float."""
    return type(value) is float and bool(np.isfinite(value))


NUMBERS: Final = {
    "before": str,
    "after": str,
    "group": frozenset(GROUPS),
    "decimal": frozenset({".", ","}),
    "minus": frozenset({"-", "()", "1-"}),
}
"""How numbers are written."""
