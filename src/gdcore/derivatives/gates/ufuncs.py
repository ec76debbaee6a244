"""The gates of rarer ufuncs, of what takes numbers apart, and of the methods of ufuncs.

``copysign`` at 0 has the gradient 0, as ``abs``; ``heaviside`` is a constant of its first argument. Elements that
share an infinite ``logaddexp.reduce`` share its gradient in equal parts.
"""

import math
from typing import Any, Final

import numpy as np

from .._gate import COMPLEX, HOLOMORPHIC, REAL, Gate
from .._tape import Pull
from .._traced import real
from ..joining import array
from .reductions import grower
from .table import TABLE, Row, derived, elementwise, of_complex, usual_binary, usual_unary

# np.sinc, whose derivative at 0 is a limit: the series is used within 1.


def _sinc_slope(x: Any) -> Any:
    z = math.pi * x
    near = np.abs(real(z)) < 1
    inner = np.where(near, z, 0)
    square = inner * inner
    series = np.zeros_like(real(z))
    for k in range(10, 0, -1):
        series = series * square + (-1) ** k * 2 * k / math.factorial(2 * k + 1)
    outer = np.where(near, 1, z)
    return math.pi * np.where(near, inner * series, (np.cos(outer) - np.sin(outer) / outer) / outer)


def _i0_slope(x: Any) -> Any:
    # The integral of cos(t) sinh(x cos t) over a period, which sums at even distances give to the last digit.
    largest = float(np.max(np.abs(real(x)), initial=0))
    count = 20 + int(math.sqrt(80 * largest)) if math.isfinite(largest) else 20
    cosine = np.cos(np.arange(count) * (2 * math.pi / count)).astype(x.dtype)
    return (cosine * np.sinh(x[..., None] * cosine)).mean(axis=-1)


def _unary(function: Any, slope: Any, domain: int) -> None:
    vjp = lambda ans, x: lambda g: g * slope(x)  # noqa: E731
    gate = Gate(f"np.{function.__name__}", function, (vjp,), stacks=True, domain=domain)
    TABLE.append(Row(function, usual_unary(-2.0, 2.0), function, gate, domain=domain))


_unary(np.sinc, _sinc_slope, HOLOMORPHIC)
_unary(np.i0, _i0_slope, REAL)


def _size(x: Any, y: Any) -> Any:
    return np.sign(real(x)) * np.copysign(x.dtype.type(1), real(y))


# fmt: off
elementwise(np.copysign, lambda ans, x, y: lambda g: g * _size(x, y), lambda ans, x, y: lambda g: g * 0)
elementwise(np.heaviside, lambda ans, x, y: lambda g: g * 0, lambda ans, x, y: lambda g: g * (real(x) == 0))
# fmt: on


def _power_examples(draw: Any) -> list[tuple[Any, ...]]:
    return list(usual_binary(0.5, 2.0)(draw))


@of_complex(np.float_power, examples=_power_examples)
def _float_power(x: Any, y: Any) -> Any:
    x, y = array(x), array(y)
    return np.power(*(z.astype(np.result_type(z.dtype, np.float64)) for z in (x, y)))


@derived(np.ldexp, examples=lambda draw: [(draw(3), np.array([0, 1, -2])), (draw(), 3)])
def _ldexp(x: Any, exponent: Any) -> Any:
    return x * np.ldexp(x.dtype.type(1), real(exponent))


@derived(np.divmod, examples=usual_binary(0.5, 2.0), of=lambda x, y: np.divmod(x, y)[1])
def _divmod(x: Any, y: Any) -> Any:
    return np.floor_divide(x, y), np.remainder(x, y)


@derived(np.modf, examples=usual_unary(0.5, 2.0), of=lambda x: np.modf(x)[0])
def _modf(x: Any) -> Any:
    whole = np.trunc(real(x))
    return x - whole, whole


@derived(np.frexp, examples=usual_unary(1.1, 1.9), of=lambda x: np.frexp(x)[0])
def _frexp(x: Any) -> Any:
    exponent = np.frexp(real(x))[1]
    return np.ldexp(x, -exponent), exponent


@of_complex(np.nan_to_num, examples=lambda draw: [(draw(3),), (np.array([1.0, 2.0]), True, 5.0)])
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    plain = real(x)
    if plain.dtype.kind == "c":
        parts = (_nan_to_num(part, copy, nan, posinf, neginf) for part in (x.real, x.imag))
        return sum(part * unit for part, unit in zip(parts, (1, 1j), strict=True))
    limits = np.finfo(plain.dtype)
    x = np.where(np.isnan(plain), nan, x)
    x = np.where(plain == np.inf, limits.max if posinf is None else posinf, x)
    return np.where(plain == -np.inf, limits.min if neginf is None else neginf, x)


# Methods of ufuncs.


def _method_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(3),),
        (draw(2, 3),),
        (draw(2, 3), 1),
        (draw(2, 3), {"axis": -1, "keepdims": True}),
        (draw(2, 3), None),
    ]


def _reduction(ufunc: np.ufunc, function: Any, join: Any) -> None:
    def entry(
        x: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: None = None,
        keepdims: Any = False,
        initial: Any = np._NoValue,
        where: Any = True,
    ) -> Any:
        options = {"dtype": dtype} if dtype is not None else {}
        ans = function(array(x), axis=axis, out=out, keepdims=keepdims, where=where, **options)
        return ans if initial is np._NoValue or initial is None else join(ans, initial)

    of_complex(ufunc.reduce, examples=_method_examples)(entry)


_reduction(np.add, np.sum, np.add)
_reduction(np.multiply, np.prod, np.multiply)


def _extremum(ufunc: np.ufunc, function: Any) -> None:
    def entry(
        x: Any, axis: Any = 0, dtype: None = None, out: None = None, keepdims: Any = False,
        initial: Any = np._NoValue, where: Any = True,
    ) -> Any:  # fmt: skip
        return function(array(x), axis=axis, out=out, keepdims=keepdims, initial=initial, where=where)

    of_complex(ufunc.reduce, examples=_method_examples)(entry)


_extremum(np.maximum, np.max)
_extremum(np.minimum, np.min)


def _pull_logaddexp(ans: Any, x: Any, axis: Any = 0, *, base: float, keepdims: bool = False) -> Pull:
    grow = grower(x.shape, axis, keepdims)
    grown = grow(ans)
    finite = np.isfinite(real(grown))
    part = np.exp((np.where(finite, x, 0) - np.where(finite, grown, 0)) * base)
    if not finite.all():
        at = real(x) == real(grown)
        kept = at / np.maximum(at.sum(axis=axis, keepdims=True), 1)
        part = np.where(finite, part, kept.astype(x.dtype))
    return lambda g: grow(g) * part


def _logaddexp(ufunc: np.ufunc, base: float) -> None:
    gate = Gate(
        f"np.{ufunc.__name__}.reduce",
        lambda x, axis=0, *, base, keepdims=False: ufunc.reduce(x, axis, keepdims=keepdims),
        (_pull_logaddexp,),
        stacks=True,
    )

    def entry(
        x: Any, axis: Any = 0, dtype: None = None, out: None = None, keepdims: bool = False, **more: Any
    ) -> Any:
        return gate(array(x), axis=axis, dtype=dtype, out=out, keepdims=keepdims, base=base, **more)

    derived(ufunc.reduce, examples=_method_examples)(entry)


_logaddexp(np.logaddexp, 1.0)
_logaddexp(np.logaddexp2, math.log(2))


def _accumulation(ufunc: np.ufunc, function: Any) -> None:
    def entry(x: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        return function(array(x), axis=axis, dtype=dtype, out=out)

    of_complex(ufunc.accumulate, examples=lambda draw: [(draw(4),), (draw(2, 3),), (draw(2, 3), 1)])(entry)


_accumulation(np.add, np.cumsum)
_accumulation(np.multiply, np.cumprod)


def _running(ufunc: np.ufunc) -> None:
    """Add the gate of the largest or smallest so far, which is the first of those that are equal."""

    def entry(x: Any, axis: int = 0, dtype: None = None, out: None = None) -> Any:
        x = np.moveaxis(array(x), axis, -1)
        plain = real(x)
        best = ufunc.accumulate(plain, -1)
        new = np.concatenate([np.ones_like(plain[..., :1], bool), best[..., 1:] != best[..., :-1]], -1)
        at = np.maximum.accumulate(np.where(new, np.arange(plain.shape[-1]), 0), -1)
        return np.moveaxis(np.take_along_axis(x, at, -1), -1, axis)

    of_complex(ufunc.accumulate, examples=lambda draw: [(draw(4),), (draw(2, 3),), (draw(2, 3), 1)])(entry)


_running(np.maximum)
_running(np.minimum)


def _outer(ufunc: np.ufunc, domain: int) -> None:
    def entry(x: Any, y: Any) -> Any:
        x, y = array(x), array(y)
        return ufunc(np.reshape(x, x.shape + (1,) * y.ndim), y)

    derived(
        ufunc.outer,
        examples=lambda draw: [(draw(3, low=0.5), draw(2, low=0.5)), (draw(2, low=0.5), draw(2, 2, low=0.5))],
        domain=domain,
    )(entry)


OF_COMPLEX: Final = (
    *(np.add, np.subtract, np.multiply, np.divide, np.power),
    *(np.maximum, np.minimum, np.fmax, np.fmin),
)
OF_REAL: Final = (np.hypot, np.arctan2, np.logaddexp, np.logaddexp2, np.remainder, np.fmod)

for _domain, _ufuncs in ((COMPLEX, OF_COMPLEX), (REAL, OF_REAL)):
    for _ufunc in _ufuncs:
        _outer(_ufunc, _domain)
