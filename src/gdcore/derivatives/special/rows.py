"""How a row of the table is made for a ufunc of SciPy's: by the slope of the function by each of its arguments."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .._gate import HOLOMORPHIC, REAL, Gate, Vjp, cast, shrink
from .._usual import Elementwise
from ..gates.table import CONSTANTS, TABLE, Row
from ..joining import array
from ..refusals import name_of

Slope = Callable[..., Any]
"""``slope(ans, *args)`` returns the derivative by one argument, element by element, made of gates."""

RANGE: Final = (0.5, 2.0)
SHAPES: Final[tuple[tuple[tuple[int, ...], ...], ...]] = (((), (), ()), ((2, 3), (3,), (2, 1)), ((0,), (), (1,)))
"""The shapes of the arguments that the tests try."""


def ufunc(name: str, *slopes: Slope | None, at: Any = RANGE, values: Any = (), domain: int = REAL) -> None:
    """Add a gate for a ufunc of ``scipy.special``, if this SciPy has it; None for an argument without a derivative.

    The tests try values ``at`` a range, which is one for all arguments that have a slope or one for each of them;
    those without have one of ``values``.
    """
    function = getattr(special, name, None)
    if function is None:
        return
    vjps = tuple(slope and _vjp(slope) for slope in slopes)
    ranges = iter([at] * len(slopes) if type(at[0]) is not tuple else at)
    constants = iter(values)
    kinds = [next(constants) if slope is None else next(ranges) for slope in slopes]

    def examples(draw: Any) -> list[tuple[Any, ...]]:
        return [
            tuple(
                draw(*shape, low=kind[0], high=kind[1]) if type(kind) is tuple else kind
                for kind, shape in zip(kinds, shapes, strict=False)
            )
            for shapes in (SHAPES if len(kinds) <= len(SHAPES[0]) else [s + s for s in SHAPES])
        ]

    way: Any
    if len(slopes) < 3 and None not in slopes:
        way = Elementwise(Gate(name_of(function), function, vjps, stacks=True, domain=domain), function)
    else:
        fitted = tuple(vjp and _fitting(i, vjp) for i, vjp in enumerate(vjps))
        way = _entry(Gate(name_of(function), function, fitted, stacks=True, domain=domain))
    TABLE.append(Row(function, examples, function, way, domain=domain))


def outputs(name: str, *slopes: Slope, at: Any = RANGE) -> None:
    """Add a gate for a ufunc of one argument that returns several arrays; each slope is given all of them."""
    function = getattr(special, name)

    def part(k: int) -> Elementwise:
        def vjp(ans: Any, x: Any) -> Any:
            return lambda g: g * slopes[k](function(x), x)

        def forward(x: Any) -> Any:
            return function(x)[k]

        return Elementwise(Gate(name_of(function), forward, (vjp,), stacks=True, domain=HOLOMORPHIC), forward)

    parts = [part(k) for k in range(len(slopes))]

    def entry(x: Any) -> tuple[Any, ...]:
        return tuple(part(x) for part in parts)

    def examples(draw: Any) -> list[tuple[Any, ...]]:
        return [(draw(*shape, low=at[0], high=at[1]),) for shape in ((), (2, 3), (0,))]

    TABLE.append(Row(function, examples, lambda x: np.stack(function(x)), entry, domain=HOLOMORPHIC))


holomorphic: Final = partial(ufunc, domain=HOLOMORPHIC)
"""The same, for a ufunc that has a derivative at complex numbers too, which is stated as that of real ones."""


def constant(*names: str) -> None:
    """Add ufuncs whose result is a constant of all derivatives."""
    CONSTANTS.extend(getattr(special, name) for name in names)


def _vjp(slope: Slope) -> Vjp:
    return lambda ans, *args: lambda g: g * slope(ans, *args)


def _fitting(i: int, vjp: Vjp) -> Vjp:
    def fitted(ans: Any, *args: Any) -> Any:
        pull = vjp(ans, *args)
        if ans.dtype.char in "fF":  # which constants would widen
            pull = cast(pull, ans.dtype)
        return pull if args[i].shape == ans.shape else shrink(pull, ans.shape, args[i].shape)

    return fitted


def _entry(gate: Gate) -> Callable[..., Any]:
    def entry(*args: Any) -> Any:
        return gate(*(x if isinstance(x, int | float | np.generic) else array(x) for x in args))

    return entry


def near_zero(x: Any, series: tuple[float, ...], radius: float, outer: Callable[[Any], Any]) -> Any:
    """Return ``series[0] + series[1] * x + ...`` where ``abs(x) < radius``, and ``outer(x)`` elsewhere."""
    near = np.abs(x) < radius
    inner = np.where(near, x, 0)
    total = np.zeros_like(inner)
    for coefficient in reversed(series):
        total = total * inner + coefficient
    return np.where(near, total, outer(np.where(near, 1, x)))
