"""What the parts of a model file have to be like: whoever has made one can put anything into it."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .forms import GROUPS

Plan = Any
"""A type; None; a set of the texts that are allowed; a function that says whether a value is; ``[plan]``, a list;
``{key: plan}``, a dict of these keys, or of any with ``...`` for a key; a tuple of plans, one of which fits."""


def check_plan(what: str, value: Any, plan: Plan) -> None:
    """Raise ValueError unless ``value`` is as planned."""
    if not _fits(value, plan):
        raise ValueError(f"{what}: expected what is in a model, got {value!r:.100}")


def _fits(value: Any, plan: Plan) -> bool:
    match plan:
        case tuple():
            fits = any(_fits(value, one) for one in plan)
        case [inner]:
            fits = isinstance(value, list | tuple) and all(_fits(one, inner) for one in value)
        case dict() if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            fits = False
        case dict():
            inner = dict.fromkeys(value, plan[...]) if ... in plan else plan
            fits = value.keys() == inner.keys() and all(_fits(value[key], one) for key, one in inner.items())
        case frozenset():
            fits = isinstance(value, str) and value in plan
        case type():
            fits = type(value) is plan
        case _:
            fits = value is None if plan is None else bool(plan(value))
    return fits


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
