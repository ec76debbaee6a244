"""The gates that reduce or accumulate along axes.

Elements that share the maximum or the minimum share its gradient in equal parts; complex ones are ordered by their
real parts, then by their imaginary parts. ``std`` of equal elements has the
gradient 0.
"""

import math
from typing import Any, Final

import numpy as np

from .._gate import COMPLEX, HOLOMORPHIC, REAL, Gate
from .._tape import Pull
from .._traced import real
from .._usual import Total
from ..joining import array
from ..refusals import name_of, refuse_options
from .lengths import MODERATE, along, in_range, moderate, power_of_two, square_size
from .products import others
from .table import TABLE, Row


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes counted from the end, so that they hold for a stack too; None means all."""
    if axis is None:
        return tuple(range(-ndim, 0))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(a - ndim if a >= 0 else a for a in axes)


def grower(shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return the function that gives a reduced array its axes back, each of length 1."""
    ndim = len(shape)
    if keepdims or not ndim:
        return lambda g: g
    if axis is None:
        ones = (1,) * ndim
        return lambda g: g.reshape(g.shape + ones)
    axes = {a % ndim for a in axes_of(axis, ndim)}
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    reduced = ndim - len(axes)
    return lambda g: g.reshape(g.shape[: g.ndim - reduced] + kept)


def spread(shape: tuple[int, ...], axis: Any, keepdims: bool) -> Pull:
    """Return the function that repeats a reduced array along the axes that it has lost."""
    grow = grower(shape, axis, keepdims)
    ndim = len(shape)

    def pull(g: Any) -> Any:
        g = grow(g)
        return np.broadcast_to(g, g.shape[: g.ndim - ndim] + shape)

    return pull


def elements_of(shape: tuple[int, ...], axis: Any) -> int:
    """Return how many elements are reduced to one."""
    count = 1
    for a in axes_of(axis, len(shape)):
        count *= shape[a]
    return count


def _pull_sum(ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Pull:
    return spread(x.shape, axis, keepdims)


def _pull_mean(ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Pull:
    n = elements_of(x.shape, axis)
    pull = spread(x.shape, axis, keepdims)
    return lambda g: pull(g / n)


def _moderate_products(x: Any, axis: Any) -> bool:
    """Return whether the product of any of the elements is in the range of the dtype."""
    size, most = np.abs(x), MODERATE[x.dtype] ** 3
    with np.errstate(under="ignore", over="ignore"):
        least, largest = np.prod(np.minimum(size, 1), axis), np.prod(np.maximum(size, 1), axis)
    return bool(np.all((least > 1 / most) & (largest < most)))


def _pull_prod(ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Pull:
    grow = grower(x.shape, axis, keepdims)
    if moderate(real(x)) and (moderate(real(ans)) or _moderate_products(real(x), axis)):
        return lambda g: grow(g) * (grow(ans) / x)
    axes = tuple(a + x.ndim for a in axes_of(axis, x.ndim))
    free = tuple(a for a in range(x.ndim) if a not in axes)
    moved = np.transpose(x, free + axes)
    flat = moved.reshape(*moved.shape[: len(free)], elements_of(x.shape, axis))
    back = sorted(range(x.ndim), key=(free + axes).__getitem__)
    return lambda g: grow(g) * np.transpose(others(flat).reshape(moved.shape), back)


def _inverse(count: float) -> float:
    return 1 / count if count else math.nan  # as NumPy, which divides by it on the way forward


def _pull_var(ans: Any, x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Pull:
    grow = grower(x.shape, axis, keepdims)
    factor = 2 * _inverse(elements_of(x.shape, axis) - ddof)
    return lambda g: grow(g) * (factor * (x - np.mean(x, axis, keepdims=True)))


def _std(x: Any, axis: Any = None, **options: Any) -> Any:
    return in_range(np.std, x, axis, **options)


def _pull_std(ans: Any, x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Pull:
    grow = grower(x.shape, axis, keepdims)
    factor = _inverse(elements_of(x.shape, axis) - ddof)
    if moderate(real(ans)):
        return along(ans, x - np.mean(x, axis, keepdims=True), grow, factor)
    scale = power_of_two(real(x), axis)
    scaled = x / scale
    return along(ans, (scaled - np.mean(scaled, axis, keepdims=True)) * scale, grow, factor)


def _pull_extremum(ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Pull:
    grow = grower(x.shape, axis, keepdims)
    at = x == grow(ans)
    ties = at.sum(axis=None if axis is None else axes_of(axis, x.ndim), keepdims=True)
    share = np.divide(at, np.maximum(ties, 1), dtype=x.dtype)  # no element equals a maximum that is nan
    return lambda g: grow(g) * share


def _pull_cumsum(ans: Any, x: Any, axis: Any = None) -> Pull:
    if axis is None:
        ndim, shape = 1, x.shape
    else:
        ndim, shape = -axes_of(axis, x.ndim)[0], x.shape
    back: Any = (..., slice(None, None, -1), *(slice(None),) * (ndim - 1))
    if axis is None:
        return lambda g: np.cumsum(g[back], axis=-1)[back].reshape(g.shape[:-1] + shape)
    return lambda g: np.cumsum(g[back], axis=g.ndim - ndim)[back]


WHERE: Final = np.array([[True, False, True], [True, True, False]])


def _reduce_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(),), (draw(3),), (draw(2, 3),), (draw(2, 3), 0), (draw(2, 3), -1),
        (draw(2, 3), {"axis": 1, "keepdims": True}),
        (draw(2, 3, 2), {"axis": (0, 2)}), (draw(2, 3), {"keepdims": True}),
    ]  # fmt: skip


def _sum_examples(draw: Any) -> list[tuple[Any, ...]]:
    further = [(draw(2, 3), {"where": WHERE, "axis": 1, "initial": 2.0}), (draw(3), {"dtype": np.float64})]
    return [*_reduce_examples(draw), (draw(0),), (draw(2, 0), 1), (draw(0, 2), 0), *further]


def _prod_examples(draw: Any) -> list[tuple[Any, ...]]:
    one_zero, two_zeros = draw(2, 3), draw(2, 3)
    one_zero[0, 1] = two_zeros[0, 1] = two_zeros[0, 2] = 0
    return [*_sum_examples(draw), (one_zero,), (one_zero, 0), (one_zero, 1), (two_zeros,), (two_zeros, 1)]


def _spread_examples(draw: Any) -> list[tuple[Any, ...]]:
    some = _reduce_examples(draw)[1:]
    further = [
        (draw(2, 3), {"where": WHERE, "axis": 1, "ddof": 0.5}),
        (draw(2, 3), {"where": WHERE, "keepdims": True}),
    ]
    further += [(draw(2, 3), {"axis": 1, "correction": 1}), (draw(2, 3), {"axis": 1, "mean": np.ones((2, 1))})]
    return [*some, (draw(3), {"ddof": 1}), (draw(2, 3), {"axis": 1, "ddof": 1}), (draw(0, 2), 1), *further]


def _extremum_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [*_reduce_examples(draw), (draw(0, 2), 1)]


def _mean_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [*_extremum_examples(draw), (draw(2, 3), {"where": WHERE, "axis": 1}), (draw(2, 3), {"where": WHERE})]


def _max_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [*_extremum_examples(draw), (draw(2, 3), {"where": WHERE, "axis": 1, "initial": -1.0})]


def _min_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [*_extremum_examples(draw), (draw(2, 3), {"where": WHERE, "axis": 0, "initial": 1.0})]


def _cumsum_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(4),), (draw(2, 3),), (draw(2, 3), 0), (draw(2, 3, 2), -2), (draw(2, 3), {"axis": 1}), (draw(0),)]


def reduction(
    function: Any,
    pull: Any,
    names: str,
    examples: Any,
    forward: Any = None,
    further: Any = None,
    domain: int = REAL,
) -> None:
    """Add the gate of a function whose options come in the order of ``names``.

    ``further(way, x, where, initial, **options)`` is what ``where`` and ``initial`` mean.
    """
    order = tuple(names.split())

    def entry(x: Any, *given: Any, **named: Any) -> Any:
        x = array(x)
        options = dict(zip(order, given, strict=False), **named)
        if options.get("dtype") is not None:
            x = x.astype(options["dtype"])
        options.pop("dtype", None)
        if "correction" in options:
            options["ddof"] = options.pop("correction")
        if (middle := options.pop("mean", np._NoValue)) is not np._NoValue:
            return _about(function, x, array(middle), **options)
        if options.get("keepdims") is np._NoValue:
            del options["keepdims"]
        where, initial = options.pop("where", True), options.pop("initial", None)
        where = True if where is np._NoValue else where
        initial = None if initial is np._NoValue else initial
        if where is True and initial is None:
            return gate(x, **options)
        if further is None:
            refuse_options(name, {"where": where, "initial": initial})
        return further(entry, x, real(where), initial, **options)

    name = name_of(function)
    gate = Gate(name, forward or function, (pull,), stacks=True, domain=domain)
    total = function in {np.sum, np.mean}
    way = Total(gate, entry, mean=function is np.mean) if total else entry
    TABLE.append(Row(function, examples, function, way, domain=domain))


def _further(join: Any, fill: Any) -> Any:
    """Return what ``where`` and ``initial`` mean where elements that do not count can be filled with a number."""

    def further(way: Any, x: Any, where: Any, initial: Any, **options: Any) -> Any:
        if where is not True:
            if fill is None and initial is None:
                raise ValueError("initial: expected a number with where, got none")
            x = np.where(where, x, np.asarray(real(initial) if fill is None else fill, x.dtype))
        ans = way(x, **options)
        return ans if initial is None else join(ans, initial)

    return further


def _further_mean(way: Any, x: Any, where: Any, initial: None, **options: Any) -> Any:
    return _chosen_sum(x, where, **options) / _count(x, where, **options)


def _chosen_sum(x: Any, where: Any, axis: Any = None, **options: Any) -> Any:
    return np.sum(np.where(where, x, 0), axis, **options)


def _count(x: Any, where: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
    return np.asarray(np.sum(np.broadcast_to(where, x.shape), axis, keepdims=keepdims), real(x).real.dtype)[()]


def _deviations(x: Any, where: Any, axis: Any) -> Any:
    return np.where(where, x - _further_mean(None, x, where, None, axis=axis, keepdims=True), 0)


def _about(
    function: Any,
    x: Any,
    mean: Any,
    axis: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    where: Any = True,
    **more: Any,
) -> Any:
    """Return ``np.var`` or ``np.std`` about a mean that is given."""
    refuse_options(name_of(function), more)
    total = _chosen_sum(square_size(x - mean), real(where), axis, keepdims=bool(keepdims))
    count = _count(x, real(where), axis, keepdims=bool(keepdims)) - ddof
    ans = total / np.maximum(count, 0).astype(real(x).real.dtype)
    return ans if function is np.var else np.sqrt(ans)


def _further_var(
    way: Any, x: Any, where: Any, initial: None, *, ddof: float = 0, axis: Any = None, **options: Any
) -> Any:
    count = np.maximum(_count(x, where, axis, **options) - ddof, 0).astype(real(x).real.dtype)
    return np.sum(square_size(_deviations(x, where, axis)), axis, **options) / count.astype(real(x).real.dtype)


def _further_std(
    way: Any, x: Any, where: Any, initial: None, *, ddof: float = 0, axis: Any = None, **options: Any
) -> Any:
    # The deviation of all, of which those that do not count are 0 and leave the mean, 0, as it is.
    count = np.maximum(_count(x, where, axis, **options) - ddof, 0)
    apart = _deviations(x, where, axis)
    n = elements_of(x.shape, axis)
    return way(apart, axis=axis, **options) * np.sqrt(n / count).astype(real(x).real.dtype)


reduction(
    np.sum, _pull_sum, "axis dtype out keepdims initial where", _sum_examples, further=_further(np.add, 0),
    domain=COMPLEX,
)  # fmt: skip
reduction(np.mean, _pull_mean, "axis dtype out keepdims", _mean_examples, further=_further_mean, domain=COMPLEX)
reduction(
    np.prod, _pull_prod, "axis dtype out keepdims initial where", _prod_examples, further=_further(np.multiply, 1),
    domain=HOLOMORPHIC,
)  # fmt: skip
reduction(np.var, _pull_var, "axis dtype out ddof keepdims", _spread_examples, further=_further_var, domain=COMPLEX)
reduction(
    np.std, _pull_std, "axis dtype out ddof keepdims", _spread_examples, _std, further=_further_std, domain=COMPLEX
)
reduction(
    np.max, _pull_extremum, "axis out keepdims initial where", _max_examples, further=_further(np.maximum, None),
    domain=COMPLEX,
)  # fmt: skip
reduction(
    np.min, _pull_extremum, "axis out keepdims initial where", _min_examples, further=_further(np.minimum, None),
    domain=COMPLEX,
)  # fmt: skip
reduction(np.cumsum, _pull_cumsum, "axis dtype out", _cumsum_examples, domain=COMPLEX)
