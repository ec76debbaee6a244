"""The gates of sequences: differences and sums along an axis, interpolation, convolution, ranges.

``interp`` at a point of ``xp`` has the slope on its right, at the last that on its left; outside, the slope is 0.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .._gate import HOLOMORPHIC, Gate, conj
from .._tape import Pull
from .._traced import Traced, real
from ..joining import array
from .lengths import moderate
from .products import others
from .table import derived, of_complex


def _cut(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return x[(*(slice(None),) * axis, slice(start, stop))]


def _along(x: Any, ndim: int, axis: int) -> Any:
    """Return the sequence ``x`` such that it lies along an axis of ``ndim``."""
    return np.reshape(x, (-1,) + (1,) * (ndim - axis - 1))


def _joined_ends(x: Any, axis: int, before: Any, after: Any) -> Any:
    parts = []
    for part in (before, x, after):
        if part is not np._NoValue and part is not None:
            part = array(part)  # noqa: PLW2901
            if part.ndim == 0:
                part = np.broadcast_to(part, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))  # noqa: PLW2901
            parts.append(part)
    return np.concatenate(parts, axis) if len(parts) > 1 else x


@of_complex(
    np.diff,
    examples=lambda draw: [
        (draw(4),),
        (draw(4), 2),
        (draw(3, 3), 1, 0),
        (draw(2, 3), {"prepend": 0.0}),
        (draw(2), 1, -1, draw(1), draw()),
        (draw(3), 0),
        (draw(1),),
    ],
)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    if n < 0:
        raise ValueError(f"np.diff: n: expected 0 or more, got {n}")
    a = array(a)
    axis = normalize_axis_index(axis, a.ndim)
    if n:
        a = _joined_ends(a, axis, prepend, append)
    for _ in range(n):
        a = _cut(a, axis, 1, None) - _cut(a, axis, None, -1)
    return a


@of_complex(np.ediff1d, examples=lambda draw: [(draw(4),), (draw(2, 2), draw(2), 1.0)])
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    ary = np.ravel(array(ary))
    ends = [None if x is None else np.ravel(array(x)).astype(ary.dtype) for x in (to_begin, to_end)]
    return _joined_ends(ary[1:] - ary[:-1], 0, *ends)


def _pull_cumprod(ans: Any, x: Any) -> Pull:
    if moderate(real(x)) and moderate(real(ans)):
        return lambda g: np.flip(np.cumsum(np.flip(g * ans, -1), -1), -1) / x
    lower = np.tri(x.shape[-1], dtype=bool)
    parts = np.where(lower, others(np.where(lower, x[..., None, :], 1)), 0)
    return lambda g: (g[..., :, None] * parts).sum(axis=-2)


_cumprod_gate = Gate("np.cumprod", lambda x: np.cumprod(x, -1), (_pull_cumprod,), stacks=True, domain=HOLOMORPHIC)


def _cumprod_examples(draw: Any) -> list[tuple[Any, ...]]:
    one_zero, two_zeros = draw(4), draw(2, 4)
    one_zero[1] = two_zeros[0, 0] = two_zeros[0, 2] = 0
    return [
        (draw(4),),
        (draw(2, 3),),
        (draw(3, 2), 0),
        (one_zero,),
        (two_zeros, 1),
        (draw(0),),
        (draw(2, 2, 2), -2),
    ]


@of_complex(np.cumprod, examples=_cumprod_examples)
def _cumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    a = a if dtype is None else a.astype(dtype)
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.moveaxis(_cumprod_gate(np.moveaxis(a, axis, -1), out=out), -1, axis)


def _cumulative(
    x: Any, axis: Any, dtype: Any, out: None, include_initial: bool, accumulate: Any, first: int
) -> Any:
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"axis: expected one for an array of {x.ndim} axes, got None")
        axis = 0
    ans = accumulate(x, axis=axis, dtype=dtype, out=out)
    return _joined_ends(ans, axis % x.ndim, ans.dtype.type(first), None) if include_initial else ans


if hasattr(np, "cumulative_sum"):  # since NumPy 2.1

    def _cumulative_examples(draw: Any) -> list[tuple[Any, ...]]:
        return [(draw(4),), (draw(2, 3), {"axis": 1}), (draw(2, 3), {"axis": 0, "include_initial": True})]

    @of_complex(np.cumulative_sum, examples=_cumulative_examples)
    def _cumulative_sum(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: None = None, include_initial: bool = False
    ) -> Any:
        return _cumulative(x, axis, dtype, out, include_initial, np.cumsum, 0)

    @of_complex(np.cumulative_prod, examples=_cumulative_examples)
    def _cumulative_prod(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: None = None, include_initial: bool = False
    ) -> Any:
        return _cumulative(x, axis, dtype, out, include_initial, np.cumprod, 1)


@derived(
    np.unwrap, examples=lambda draw: [(draw(5, low=-6.0, high=6.0),), (draw(2, 4), {"period": 2.0, "axis": 0})]
)
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    return p + (np.unwrap(real(p), discont, axis, period=period) - real(p))


# Calculus.


@of_complex(
    np.trapezoid,
    examples=lambda draw: [
        (draw(4),), (draw(2, 3), None, 0.5), (draw(3), draw(3)), (draw(2, 3), draw(2), 1.0, 0),
        (draw(2, 3), draw(2, 3)), (draw(2, 3), {"dx": 2.0, "axis": 0}),
    ],
)  # fmt: skip
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = array(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        x = array(x)
        dx = _along(x[1:] - x[:-1], y.ndim, axis) if x.ndim == 1 else np.diff(x, axis=axis)
    return (dx * (_cut(y, axis, 1, None) + _cut(y, axis, None, -1)) / 2.0).sum(axis=axis)


def _gradient_examples(draw: Any) -> list[tuple[Any, ...]]:
    places = np.array([0.0, 1.0, 1.5, 3.5])
    return [
        (draw(4),), (draw(4), 0.5), (draw(4), places), (draw(4), places, {"edge_order": 2}),
        (draw(4), {"edge_order": 2}), (draw(3, 2), {"axis": 0}), (draw(2, 4), places, {"axis": 1}),
    ]  # fmt: skip


@of_complex(np.gradient, examples=_gradient_examples)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = array(f)
    axes = range(f.ndim) if axis is None else normalize_axis_tuple(axis, f.ndim)
    spaces = [*varargs] if len(varargs) > 1 else [*varargs, 1.0][:1] * len(axes)
    if len(spaces) != len(axes):
        raise TypeError(f"np.gradient: varargs: expected one spacing or {len(axes)}, got {len(varargs)}")
    if edge_order not in {1, 2}:
        raise ValueError(f"np.gradient: edge_order: expected 1 or 2, got {edge_order}")
    slopes = [_slope(f, array(space), a, edge_order) for a, space in zip(axes, spaces, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _slope(f: Any, space: Any, axis: int, edge_order: int) -> Any:
    n, f = f.shape[axis], np.moveaxis(f, axis, -1)
    if n <= edge_order or (space.ndim and space.shape != (n,)):
        raise ValueError(
            f"np.gradient: expected more than {edge_order} elements along axis {axis}, and a spacing that is a "
            f"number or one coordinate for each, got {n} elements and a spacing of shape {space.shape}"
        )
    if not space.ndim and edge_order == 1:
        ends = (f[..., 1:2] - f[..., :1]) / space, (f[..., -1:] - f[..., -2:-1]) / space
        inner = (f[..., 2:] - f[..., :-2]) / (2 * space)
        return np.moveaxis(np.concatenate([ends[0], inner, ends[1]], -1), -1, axis).astype(f.dtype)
    steps = np.diff(space) if space.ndim else np.broadcast_to(space, (n - 1,))
    rise = (f[..., 1:] - f[..., :-1]) / steps
    left, right = steps[:-1], steps[1:]
    # The slopes of the two sides; the shorter side counts more.
    inner = (rise[..., :-1] * right + rise[..., 1:] * left) / (left + right)
    first, last = rise[..., :1], rise[..., -1:]
    if edge_order == 2:
        first = first + (first - rise[..., 1:2]) * (steps[0] / (steps[0] + steps[1]))
        last = last + (last - rise[..., -2:-1]) * (steps[-1] / (steps[-1] + steps[-2]))
    return np.moveaxis(np.concatenate([first, inner, last], -1), -1, axis).astype(f.dtype)


def _interp_examples(draw: Any) -> list[tuple[Any, ...]]:
    xp = np.array([-1.5, -0.4, 0.3, 1.6])
    return [(draw(6), xp, draw(4)), (draw(2, 3), xp, draw(4), 0.5, {"right": 2.0}), (draw(), xp, draw(4)),
            (draw(3), np.array([0.1]), draw(1))]  # fmt: skip


@derived(np.interp, examples=_interp_examples)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if period is not None:
        raise TypeError("np.interp: period: expected None with a traced array, got one; use x % period")
    x, xp, fp = (array(z).astype(np.float64) for z in (x, xp, fp))
    places = real(xp)
    left, right = (fp[0] if left is None else left), (fp[-1] if right is None else right)
    if len(places) == 1:
        inside: Any = fp[0]
    else:
        at = np.clip(np.searchsorted(places, real(x), "right") - 1, 0, len(places) - 2)
        begin, low = xp[at], fp[at]
        inside = low + (x - begin) * ((fp[at + 1] - low) / (xp[at + 1] - begin))
    return np.where(real(x) < places[0], left, np.where(real(x) > places[-1], right, inside))


def _convolution_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(a), draw(b), mode) for a, b in ((5, 3), (2, 4), (3, 3), (1, 4)) for mode in ("full", "same", "valid")
    ]


_full = Gate(
    "np.convolve",
    np.convolve,
    (
        lambda ans, a, v: lambda g: np.correlate(g, conj(v), "valid"),
        lambda ans, a, v: lambda g: np.correlate(g, conj(a), "valid"),
    ),
    domain=HOLOMORPHIC,
)


@of_complex(np.convolve, examples=_convolution_examples)
def _convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = np.atleast_1d(array(a), array(v))
    return _fitting(_full(a, v), len(a), len(v), mode, (min(len(a), len(v)) - 1) // 2)


@of_complex(np.correlate, examples=_convolution_examples)
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v = np.atleast_1d(array(a), array(v))
    shorter = min(len(a), len(v))
    return _fitting(_full(a, conj(v[::-1])), len(a), len(v), mode, (shorter - (len(v) <= len(a))) // 2)


def _fitting(full: Any, n: int, m: int, mode: Any, start: int) -> Any:
    shorter, longer = min(n, m), max(n, m)
    if mode in {"full", "f", 2}:
        return full
    if mode in {"same", "s", 1}:
        return full[start : start + longer]
    if mode in {"valid", "v", 0}:
        return full[shorter - 1 : longer]
    raise ValueError(f"mode: expected 'full', 'same' or 'valid', got {mode!r}")


# Polynomials and ranges.


def _common(*ends: Any) -> Any:
    """Return the dtype of a range: that of its ends, where a number of Python's takes that of the other."""
    return np.result_type(*(x.dtype if type(x) is Traced else x for x in ends), 1.0)


@of_complex(
    np.linspace,
    examples=lambda draw: [
        (draw(), draw(), 5),
        (draw(), 3.0, 4, False),
        (draw(2), draw(2), 3),
        (draw(2), draw(), {"num": 3, "axis": 1}),
        (draw(), 1.0, 1),
    ],
)
def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    kind = _common(start, stop) if dtype is None else dtype
    start, stop = array(start), array(stop)
    parts = num - 1 if endpoint else num
    share = np.arange(num) / max(parts, 1)
    shape = np.broadcast_shapes(start.shape, stop.shape)
    share = np.reshape(share, (-1,) + (1,) * len(shape))
    points = (start * (1 - share) + stop * share).astype(kind)
    points = np.moveaxis(points, 0, axis) if shape else points
    return (points, (stop - start) / parts) if retstep else points


@of_complex(
    np.logspace,
    examples=lambda draw: [(draw(), draw(), 4), (draw(), 1.0, 3, False, 2.0), (0.0, 1.0, 3, True, draw(low=1.0))],
)
def _logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    points = np.linspace(start, stop, num, endpoint, axis=axis)
    ans = np.power(base, points)
    return ans if dtype is None else ans.astype(dtype)


@derived(np.geomspace, examples=lambda draw: [(draw(low=1.0), draw(low=1.0), 4), (draw(low=0.5), 8.0, 3, False)])
def _geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    start, stop = array(start), array(stop)
    sign = np.sign(real(start))
    ans = sign * np.exp(np.linspace(np.log(start * sign), np.log(stop * sign), num, endpoint, axis=axis))
    return ans.astype(np.result_type(ans.dtype, np.float64) if dtype is None else dtype)


@of_complex(
    np.full_like, examples=lambda draw: [(np.zeros(3), draw()), (np.zeros((2, 3)), draw(3)), (draw(3), draw())]
)
def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    **options: Any,
) -> Any:
    a = array(a)
    whole = np.broadcast_to(array(fill_value), a.shape if shape is None else shape)
    return whole.astype(a.dtype if dtype is None else dtype)
