"""The compiled update rules as functions on arrays that the caller holds.

Each makes one step in place and returns None. ``param`` and the slots are writeable arrays of float32 or float64
of one shape and dtype; ``grad`` is another such array, which is only read. Any strides work. Slots start at 0.
Complex arrays are taken as pairs of reals, of shape (..., 2), which their slots may be too.
Hyperparameters mean what they mean for the optimizer of that name.

With ``rows``, integers of shape (n,), these rows along axis 0 alone are stepped, as if the arrays were they.
``grad`` is then the gradient of each, of shape (n, ...), and rows that are named more than once are summed in their
order, as those of :class:`gdcore.Rows`. (``adam(w[rows], ...)`` would step a copy.)

:mod:`gdcore.reference` has the same functions in plain NumPy: they leave the same bits.

Raises TypeError or ValueError, before anything is written, for a hyperparameter out of its range, for arrays that
differ in shape or dtype or are read-only, and for arrays that overlap.

>>> import numpy as np, gdcore as gd
>>> w = np.array([1.0, 2.0])
>>> gd.updates.sgd(w, np.array([10.0, 0.0]), lr=0.1)
>>> w
array([0., 2.])
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import reference, rules
from .arguments import as_pairs, is_complex
from .engine import check_like, update


def _namesake(rule: rules.Rule) -> Callable[..., None]:
    """Return the function that makes one compiled step, with the signature and the docstring of the reference."""
    like = inspect.unwrap(getattr(reference, rule.name))
    parameters = inspect.signature(like).parameters
    switches = {asks: slot for slot, asks in rule.slots.items() if asks not in parameters}
    values = [name if name in parameters else f"{switches[name]} is not None" for name in rule.hyperparameters]
    arrays = ["param", *(["grad"] if rule.has_gradient else []), *rule.slots]
    names = [f"None if {name} is None else {name!r}" if rule.slots.get(name) else repr(name) for name in arrays]
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    head = ", ".join([*positional, "*", *list(parameters)[len(positional) :]])
    t = "t" if rule.corrections else "1"
    # A call of its own signature, so that Python itself refuses other arguments, as it does for the reference.
    source = (
        f"def {rule.name}({head}):\n"
        f"    step(rule, {t}, ({', '.join(values)},), ({', '.join(names)},), ({', '.join(arrays)},), rows)"
    )
    scope: dict[str, Any] = {"__name__": __name__, "rule": rule, "step": _step}
    exec(source, scope)
    made: Callable[..., None] = scope[rule.name]
    for attribute in ("__defaults__", "__kwdefaults__", "__annotations__"):
        setattr(made, attribute, getattr(like, attribute))
    made.__doc__ = _help_of(rule, like)
    return made


def _help_of(rule: rules.Rule, like: Callable[..., None]) -> str:
    """Return the docstring of the reference, and below it what can be told of any rule."""
    parameters = inspect.signature(like).parameters
    slots = [name for name in rule.slots if name in parameters]
    needed = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    values = {"t": 1, "lr": 0.1, "weight_decay": 0.5}
    options = [
        f"{name}={values[name]}" for name, p in parameters.items() if name not in needed and p.default is p.empty
    ]
    others = [name for name in parameters if name not in {"param", "grad", *slots, "t", "rows"}]
    said = [inspect.cleandoc(like.__doc__ or ""), "", "Arguments:", "    param: what is stepped in place."]
    said += ["    grad: its gradient, which is only read."] if rule.has_gradient else []
    said += [f"    {', '.join(slots)}: state, like ``param``, written; 0 at first."] if slots else []
    said += ["    t: the number of the step, an int >= 1."] if "t" in parameters else []
    said += [f"    {', '.join(others)}: as for the optimizer of this name."]
    said += ["    rows: which rows alone are stepped, integers of shape (n,); None for all.", ""]
    said += ["Returns None. Raises TypeError or ValueError, before anything is written: see ``gd.updates``.", ""]
    said += [">>> import numpy as np, gdcore as gd"]
    said += [
        f">>> {', '.join(needed)} = {', '.join(['np.zeros(2)' if n in slots else 'np.ones(2)' for n in needed])}"
    ]
    said += [f">>> gd.updates.{rule.name}({', '.join([*needed, *options])})", ">>> bool(param[0] < 1)", "True"]
    return "\n".join(said)


def _step(
    rule: rules.Rule,
    t: int,
    values: tuple[Any, ...],
    names: tuple[str | None, ...],
    arrays: tuple[Any, ...],
    rows: Any,
) -> None:
    if isinstance(t, bool) or not isinstance(t, int | np.integer):
        raise TypeError(f"t: expected an integer >= 1, got {t!r}")
    if t < 1:
        raise ValueError(f"t: expected an integer >= 1, got {t}")
    given = dict(zip(rule.hyperparameters, values, strict=True))
    # NumPy's own reductions return scalars for 0-d arrays.
    if rule.has_gradient and issubclass(type(arrays[1]), np.inexact):
        arrays = (arrays[0], np.asarray(arrays[1]), *arrays[2:])
    if is_complex(arrays[0]):
        if rule.has_gradient and rows is None:
            check_like("grad", arrays[1], arrays[0])
        arrays = tuple(map(as_pairs, arrays))
    ordered = rule.check(given, (getattr(arrays[0], "dtype", None),))
    for (slot, asks), array in zip(rule.slots.items(), arrays[2:], strict=False):
        if asks is not None:
            rules.check_slot(slot, array, asks, given[asks])
    update(rule.name, rule.coefficients(int(t), *ordered), names, arrays, rows)


if TYPE_CHECKING:  # the same signatures
    from .reference import *
else:
    globals().update({name: _namesake(rule) for name, rule in rules.RULES.items()})
