"""The gates of statistics: quantiles, averages, covariances, and what leaves out nan.

Quantiles are between sorted elements: equal ones are in the order of ``np.argsort``, as in ``np.sort``. What is nan
gets the gradient 0 from the functions that leave it out.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .._gate import conj
from .._traced import Traced, real
from ..joining import array
from ..refusals import refuse_options
from .reductions import elements_of
from .table import derived, of_complex


def _quantile_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(5), 0.3), (draw(4), 1.0), (draw(2, 5), [0.1, 0.5], 1), (draw(3, 2), 0.25, 0),
        (draw(2, 3, 2), {"q": 0.4, "axis": (0, 2), "keepdims": True}), (draw(5), 0.3, {"method": "nearest"}),
        (draw(6), 0.4, {"method": "averaged_inverted_cdf"}), (draw(5), 0.62, {"method": "weibull"}),
        (draw(), 0.3),
    ]  # fmt: skip


def _percentile_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(5), 30.0), (draw(2, 5), [10.0, 50.0], 1), (draw(3, 2), 25, 0), (draw(4), 100.0)]


def _ordered(a: Any, axis: Any) -> Any:
    """Return ``a`` with the elements along the axes sorted along the last one."""
    axes = normalize_axis_tuple(range(a.ndim) if axis is None else axis, a.ndim)
    free = [k for k in range(a.ndim) if k not in axes]
    moved = np.transpose(a, (*free, *axes))
    return np.sort(np.reshape(moved, (*moved.shape[: len(free)], elements_of(a.shape, axes))), -1)


def _between(ordered: Any, q: Any, method: Any) -> Any:
    # A quantile of 0, 1, 2, ... is the place, between two elements, of that of any other sorted numbers.
    n = ordered.shape[-1]
    places = np.quantile(np.arange(n, dtype=np.float64), q, method=method)
    low = np.clip(np.floor(places), 0, n - 1).astype(np.intp)
    share = (places - low).astype(ordered.dtype)
    low_value = ordered[..., low]
    ans = low_value + share * (ordered[..., np.minimum(low + 1, n - 1)] - low_value)
    unknown = np.isnan(real(ordered)[..., -1])
    if unknown.any():
        ans = ans + np.where(unknown, np.nan, 0).astype(ordered.dtype).reshape(unknown.shape + (1,) * np.ndim(q))
    return np.moveaxis(ans, range(ans.ndim - np.ndim(q), ans.ndim), range(np.ndim(q))) if np.ndim(q) else ans


def _axes_back(ans: Any, shape: Any, axis: Any, new: int) -> Any:
    axes = normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape))
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    return np.reshape(ans, ans.shape[:new] + kept)


def _dtype_of(dtype: Any, q: Any) -> Any:
    half: Any = np.full(np.shape(q), 0.5) if isinstance(q, list | tuple | np.ndarray) else q * 0 + 0.5
    return np.quantile(np.zeros(1, dtype), half).dtype


def _quantile_of(name: str, part: float, between: Any = _between) -> Any:
    def entry(
        a: Any, q: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
        keepdims: bool = False, *, weights: Any = None, interpolation: None = None,
    ) -> Any:  # fmt: skip
        if type(q) is Traced or out is not None or weights is not None or interpolation is not None:
            raise TypeError(
                f"{name}: expected no out, weights, interpolation nor traced q with a traced array, got one"
            )
        a = array(a)
        a = a.astype(_dtype_of(a.dtype, q))
        q = np.asarray(q, np.float64) * part
        ans = between(_ordered(a, axis), q, method)
        return _axes_back(ans, a.shape, axis, q.ndim) if keepdims else ans

    return entry


derived(np.quantile, examples=_quantile_examples)(_quantile_of("np.quantile", 1))
derived(np.percentile, examples=_percentile_examples)(_quantile_of("np.percentile", 0.01))


def _nan_between(ordered: Any, q: Any, method: Any) -> Any:
    known = (~np.isnan(real(ordered))).sum(axis=-1)  # nan is sorted behind the others
    if not known.ndim:
        return _between(ordered[: int(known)], q, method) if known else np.full(q.shape, np.nan) + ordered[0]
    if known.size and (known == known.flat[0]).all() and known.flat[0]:
        return _between(ordered[..., : int(known.flat[0])], q, method)
    rows = [_nan_between(ordered[i], q, method) for i in range(len(ordered))]
    return np.stack(rows, q.ndim) if rows else _between(ordered, q, method)


def _some_nan(examples: Any) -> Any:
    """Return the examples with nan among their elements, as constants: parameters are the others."""

    def with_nan(draw: Any) -> list[tuple[Any, ...]]:
        return [(x, np.arange(np.size(x)).reshape(np.shape(x)) % 3 == 1, *more) for x, *more in examples(draw)]

    return with_nan


def _leaving_out(function: Any) -> Any:
    return lambda x, unknown, *args, **kwargs: function(np.where(unknown, np.nan, x), *args, **kwargs)


derived(np.nanquantile, examples=_some_nan(_quantile_examples), of=_leaving_out(np.nanquantile))(
    _quantile_of("np.nanquantile", 1, _nan_between)
)
derived(np.nanpercentile, examples=_some_nan(_percentile_examples), of=_leaving_out(np.nanpercentile))(
    _quantile_of("np.nanpercentile", 0.01, _nan_between)
)


def _median_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(5),),
        (draw(4),),
        (draw(2, 3), 1),
        (draw(4, 2), {"axis": 0, "keepdims": True}),
        (draw(2, 2, 2), (0, 1)),
    ]


@of_complex(np.median, examples=_median_examples)
def _median(
    a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    a = array(a)
    if a.dtype.kind != "c":
        return np.quantile(a, 0.5, axis, out, keepdims=keepdims)
    refuse_options("np.median", {"out": out})
    ordered = _ordered(a, axis)  # NumPy's quantiles are of real numbers alone
    n = ordered.shape[-1]
    ans = np.mean(ordered[..., (n - 1) // 2 : n // 2 + 1], -1)
    return _axes_back(ans, a.shape, axis, 0) if keepdims else ans


@derived(np.nanmedian, examples=_some_nan(_median_examples), of=_leaving_out(np.nanmedian))
def _nanmedian(
    a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    return np.nanquantile(a, 0.5, axis, out, keepdims=_options(keepdims))


@of_complex(
    np.ptp, examples=lambda draw: [(draw(4),), (draw(2, 3), 1), (draw(2, 3), {"axis": 0, "keepdims": True})]
)
def _ptp(a: Any, axis: Any = None, out: None = None, keepdims: Any = False) -> Any:
    keepdims = False if keepdims is np._NoValue else keepdims
    return np.max(a, axis, out, keepdims) - np.min(a, axis, out, keepdims)


@of_complex(
    np.average,
    examples=lambda draw: [
        (draw(4),), (draw(2, 3), 1, draw(3, low=0.5)), (draw(2, 3), None, draw(2, 3, low=0.5)),
        (draw(2, 3), {"axis": 0, "weights": np.array([1.0, 3.0]), "keepdims": True}),
    ],
)  # fmt: skip
def _average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    a, keepdims = array(a), False if keepdims is np._NoValue else keepdims
    if weights is None:
        ans, total = np.mean(a, axis, keepdims=keepdims), a.dtype.type(elements_of(a.shape, axis))
    else:
        weights = array(weights)
        if weights.shape != a.shape:
            axes = normalize_axis_tuple(() if axis is None else axis, a.ndim)
            if weights.shape != tuple(a.shape[k] for k in axes):
                raise ValueError(
                    f"np.average: weights: expected the shape of a, {a.shape}, or of its axes {axes}, "
                    f"got {weights.shape}"
                )
            weights = np.transpose(weights, np.argsort(axes))
            weights = np.reshape(weights, tuple(n if k in axes else 1 for k, n in enumerate(a.shape)))
        weights = np.broadcast_to(weights, a.shape)
        total = np.sum(weights, axis, keepdims=keepdims)
        if (real(total) == 0).any():
            raise ZeroDivisionError("np.average: weights: expected a sum other than 0, got 0")
        ans = np.sum(a * weights, axis, keepdims=keepdims) / total
    return (ans, np.broadcast_to(total, ans.shape)) if returned else ans


# Without nan.


def _nan_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(5),),
        (draw(2, 4), 1),
        (draw(2, 4), {"axis": 0}),
        (draw(2, 3, 2), {"axis": (0, 2), "keepdims": True}),
    ]


def _nan_reduction(function: Any, plain: Any, fill: float, examples: Any = _nan_examples) -> None:
    def entry(a: Any, *args: Any, **kwargs: Any) -> Any:
        unknown = np.isnan(real(a))
        if not unknown.any():
            return plain(a, *args, **kwargs)
        filled = np.where(unknown, fill, a)
        ans = plain(filled, *args, **kwargs)
        if np.isinf(fill):  # of nothing but nan, the largest is nan
            ans = np.where(np.isnan(function(real(a), *args, **kwargs)), np.nan, ans)
        return ans

    of_complex(function, examples=_some_nan(examples), of=_leaving_out(function))(entry)


def _accumulate_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(5),), (draw(2, 4), 1)]


_nan_reduction(np.nansum, np.sum, 0.0)
_nan_reduction(np.nanprod, np.prod, 1.0)
_nan_reduction(np.nanmax, np.max, -np.inf)
_nan_reduction(np.nanmin, np.min, np.inf)
_nan_reduction(np.nancumsum, np.cumsum, 0.0, _accumulate_examples)
_nan_reduction(np.nancumprod, np.cumprod, 1.0, _accumulate_examples)


def _options(keepdims: Any) -> bool:
    return False if keepdims is np._NoValue else bool(keepdims)


def _known(a: Any, where: Any) -> Any:
    """Return which elements count: those that ``where`` names and that are not nan."""
    known = ~np.isnan(real(a))
    return known if where is True else known & where


@of_complex(np.nanmean, examples=_some_nan(_nan_examples), of=_leaving_out(np.nanmean))
def _nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    return np.mean(a, axis, dtype, out, _options(keepdims), where=_known(a, where))


@of_complex(np.nanvar, examples=_some_nan(_nan_examples), of=_leaving_out(np.nanvar))
def _nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    return np.var(a, axis, dtype, out, ddof, _options(keepdims), where=_known(a, where))


@of_complex(np.nanstd, examples=_some_nan(_nan_examples), of=_leaving_out(np.nanstd))
def _nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    return np.std(a, axis, dtype, out, ddof, _options(keepdims), where=_known(a, where))


# Of several variables.


@of_complex(
    np.cov,
    examples=lambda draw: [
        (draw(4),), (draw(2, 4),), (draw(4, 2), {"rowvar": False}), (draw(2, 4), draw(1, 4)), (draw(4), draw(4)),
        (draw(2, 4), {"bias": True}), (draw(2, 4), {"ddof": 0}),
        (draw(2, 4), {"aweights": np.array([1.0, 2.0, 0.5, 1.0])}),
        (draw(2, 4), {"fweights": np.array([1, 2, 1, 1]), "aweights": np.array([1.0, 2.0, 0.5, 1.0])}),
    ],
)  # fmt: skip
def _cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    parts = []
    for x in (m, y):
        if x is not None:
            x = np.atleast_2d(array(x))  # noqa: PLW2901
            parts.append(x.T if not rowvar and np.ndim(m) > 1 else x)
    x = parts[0] if len(parts) == 1 else np.concatenate(parts)
    x = x.astype(np.result_type(x.dtype, np.float64) if dtype is None else dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    n = x.shape[1]
    weights: Any = None
    for given in (fweights, aweights):
        if given is not None:
            given = np.asarray(given, x.dtype)  # noqa: PLW2901
            weights = given if weights is None else weights * given
    total = n if weights is None else weights.sum()
    factor = total - ddof
    if weights is not None and ddof and aweights is not None:
        factor = total - ddof * (weights * np.asarray(aweights, x.dtype)).sum() / total
    means = np.mean(x, 1, keepdims=True) if weights is None else (x * weights).sum(axis=1, keepdims=True) / total
    apart = x - means
    ans = (apart @ conj(apart if weights is None else apart * weights).T) / max(factor, 0)
    return np.squeeze(ans)


@of_complex(
    np.corrcoef,
    examples=lambda draw: [(draw(2, 4),), (draw(4, 2), None, False), (draw(4), draw(4))],
)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, *args: Any, dtype: Any = None) -> Any:
    c = np.cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diag(c).real)
    return c / deviation[:, None] / deviation[None, :]


@derived(
    np.bincount,
    examples=lambda draw: [(np.array([0, 2, 0]), draw(3)), (np.array([1, 1]), draw(2), 4)],
)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    x = np.asarray(x)
    n = max(int(x.max(initial=-1)) + 1, minlength)
    return (weights.astype(np.float64)[:, None] * (x[:, None] == np.arange(n))).sum(axis=0)


@derived(
    np.histogram,
    examples=lambda draw: [
        (np.array([0.1, 0.9, 0.4, 2.0]), 3, None, None, draw(4)),
        (np.array([[0.1, 0.9], [0.4, 2.0]]), [0.0, 0.5, 1.0], {"weights": draw(2, 2, low=0.5), "density": True}),
    ],
    of=lambda *args, **kwargs: np.histogram(*args, **kwargs)[0],
)
def _histogram(
    a: Any,
    bins: Any = 10,
    range: Any = None,  # noqa: A002  # as NumPy
    density: Any = None,
    weights: Any = None,
) -> Any:
    plain = np.asarray(real(array(a)))
    if type(weights) is not Traced:  # numbers of elements are constants
        return np.histogram(plain, real(bins), range, density, weights)
    edges = np.histogram_bin_edges(plain, real(bins), range, real(weights))
    at = np.searchsorted(edges, plain.ravel(), "right") - 1
    at[plain.ravel() == edges[-1]] = len(edges) - 2
    counts = np.sum(np.ravel(weights)[:, None] * (at[:, None] == np.arange(len(edges) - 1)), axis=0)
    return (counts / np.diff(edges) / np.sum(counts) if density else counts), edges
