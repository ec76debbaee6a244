"""The gates of arithmetic, one row each: the function, its forward and its vjps.

Where a derivative does not exist: ``abs``, ``sign`` and ``hypot`` at 0 have the gradient 0; equal arguments of
``maximum`` and ``minimum`` get half of the gradient each.
"""

import math
import operator
from typing import Any, Final

import numpy as np

from .._gate import COMPLEX, HOLOMORPHIC, Gate
from .._tape import Pull
from .._traced import Traced, real
from .._usual import Elementwise
from .lengths import along
from .table import CONSTANTS, PLAIN, elementwise, holomorphic

LN2: Final = math.log(2)
LN10: Final = math.log(10)
NEARLY_ONE: Final = 0.999


def same(g: Any) -> Any:
    """Return the gradient as it is."""
    return g


def _power_x(ans: Any, x: Any, y: Any) -> Any:
    if isinstance(y, int | float | complex):
        if y == 2:
            return lambda g: g * (2 * x)
        return lambda g: g * (y * x ** (y - 1 if y else 0))
    # At 0^0 the derivative is 0; elsewhere the exponent has to depend on y, for the next derivative.
    return lambda g: g * (y * x ** np.where(np.logical_and(real(x) == 0, real(y) == 0), 1, y - 1))


def _power_y(ans: Any, x: Any, y: Any) -> Any:
    # 0^y has the derivative 0 for y > 0, though log 0 is infinite.
    if ans.dtype.kind == "c":
        x = x + ans.dtype.type(0)
    elif isinstance(x, int | float):
        log = math.log(x) if x > 0 else 0.0 if x == 0 else math.nan
        return lambda g: g * (ans * log)
    return lambda g: g * (ans * np.log(np.where(x == 0, 1, x)))


def masked(g: Any, mask: Any) -> Any:
    """Return ``g`` where the mask is true, and zero elsewhere."""
    kept = mask.astype(g.dtype)
    if type(g) is Traced or g.shape != kept.shape:
        return g * kept
    kept *= g  # twice as fast as g * mask, and no more memory
    return kept


def _wins(g: Any, greater: Any, equal_or_greater: Any) -> Any:
    """Return ``g`` where the argument is chosen, half of it at ties, and else zero."""
    return g * (np.add(greater, equal_or_greater, dtype=g.dtype) * 0.5)


def _or_nan(chosen: Any, other: Any) -> Any:
    """Return where an argument is chosen: fmax and fmin choose it over NaN too."""
    return np.logical_or(chosen, np.isnan(real(other)))


def _share(x: Any, y: Any, ans: Any, exp: Any) -> Any:
    """Return the part of ``x`` in the sum; in an infinite one, that of the larger, or half."""
    finite = np.isfinite(real(ans))
    if finite.all():
        return exp(x - ans)
    part = exp(np.where(finite, x, 0) - np.where(finite, ans, 0))
    return np.where(finite, part, np.add(x > y, x >= y, dtype=real(ans).dtype) * 0.5)


def _pull_absolute(ans: Any, x: Any) -> Pull:
    # Of a complex x, np.sign is x / abs(x).
    return along(ans, x) if type(ans) is Traced else lambda g: g * np.sign(x)


def _pull_arctan(ans: Any, x: Any) -> Pull:
    if x.dtype.kind == "c":
        return lambda g: g / _one_more_square(x)

    def pull(g: Any) -> Any:
        r = np.hypot(x, 1)
        return g / r / r

    return pull


def _pull_arcsinh(ans: Any, x: Any) -> Pull:
    return lambda g: g / (np.sqrt(_one_more_square(x)) if x.dtype.kind == "c" else np.hypot(x, 1))


def _pull_tanh(ans: Any, x: Any) -> Pull:
    if x.dtype.kind == "c":
        return lambda g: g * _sech(x) ** 2
    # Near 1 little is left of 1 - tanh(x)^2.
    size = abs(real(ans))
    if (np.maximum.reduce(size, None, initial=0) if size.ndim else size) > NEARLY_ONE:
        return lambda g: g * _sech(x) ** 2
    return lambda g: g * (1 - ans * ans)


def _sech(x: Any) -> Any:
    e = np.exp(-(np.where(real(x).real < 0, -x, x) if x.dtype.kind == "c" else np.abs(x)))
    return 2 * e / (1 + e * e)


def _one_less_square(x: Any) -> Any:
    """Return ``1 - x^2``, exact where x is near 1, and with a derivative that is exact where x is near 0."""
    return _one_less_square_of(x) if type(x) is Traced else (1 - x) * (1 + x)


_one_less_square_of = Elementwise(
    Gate("1 - x^2", _one_less_square, (lambda ans, x: lambda g: g * (-2 * x),), stacks=True, domain=HOLOMORPHIC),
    _one_less_square,
)


def _one_more_square(x: Any) -> Any:
    """Return ``1 + x^2`` of complex numbers, exact where x is near i."""
    return _one_less_square(1j * x)


# fmt: off
elementwise(np.positive, lambda ans, x: same, symbol=operator.pos, domain=COMPLEX)
elementwise(np.negative, lambda ans, x: lambda g: -g, symbol=operator.neg, domain=COMPLEX)
elementwise(np.add, lambda ans, x, y: same, lambda ans, x, y: same, symbol=operator.add, domain=COMPLEX)
elementwise(np.subtract, lambda ans, x, y: same, lambda ans, x, y: lambda g: -g, symbol=operator.sub,
            domain=COMPLEX)
holomorphic(np.multiply, lambda ans, x, y: lambda g: g * y, lambda ans, x, y: lambda g: g * x, symbol=operator.mul)
holomorphic(np.divide, lambda ans, x, y: lambda g: g / y, lambda ans, x, y: lambda g: -g * (ans / y),
            symbol=operator.truediv, low=0.5)
holomorphic(np.power, _power_x, _power_y, symbol=operator.pow, low=0.5)
elementwise(np.remainder, lambda ans, x, y: same, lambda ans, x, y: lambda g: g * -np.floor_divide(x, y),
            symbol=operator.mod, low=0.5)
elementwise(np.fmod, lambda ans, x, y: same, lambda ans, x, y: lambda g: g * -np.trunc(x / y), low=0.5)
holomorphic(np.square, lambda ans, x: lambda g: g * (2 * x))
holomorphic(np.reciprocal, lambda ans, x: lambda g: -g * (ans * ans), low=0.5)
holomorphic(np.sqrt, lambda ans, x: lambda g: g * (0.5 / ans), low=0.5)
elementwise(np.cbrt, lambda ans, x: lambda g: g / (3 * ans * ans), low=0.5)
holomorphic(np.exp, lambda ans, x: lambda g: g * ans)
holomorphic(np.exp2, lambda ans, x: lambda g: g * (LN2 * ans))
holomorphic(np.expm1, lambda ans, x: lambda g: g * np.exp(x))
holomorphic(np.log, lambda ans, x: lambda g: g / x, low=0.5)
holomorphic(np.log2, lambda ans, x: lambda g: g / (LN2 * x), low=0.5)
holomorphic(np.log10, lambda ans, x: lambda g: g / (LN10 * x), low=0.5)
holomorphic(np.log1p, lambda ans, x: lambda g: g / (1 + x), low=-0.5)
elementwise(np.absolute, _pull_absolute, symbol=operator.abs, domain=COMPLEX)
elementwise(np.fabs, _pull_absolute)
holomorphic(np.sin, lambda ans, x: lambda g: g * np.cos(x))
holomorphic(np.cos, lambda ans, x: lambda g: -g * np.sin(x))
holomorphic(np.tan, lambda ans, x: lambda g: g * (1 + ans * ans), low=-1.2, high=1.2)
holomorphic(np.arcsin, lambda ans, x: lambda g: g / np.sqrt(_one_less_square(x)), low=-0.8, high=0.8)
holomorphic(np.arccos, lambda ans, x: lambda g: -g / np.sqrt(_one_less_square(x)), low=-0.8, high=0.8)
holomorphic(np.arctan, _pull_arctan)
elementwise(np.arctan2, lambda ans, y, x: lambda g: g * (x / (r := np.hypot(x, y)) / r),
            lambda ans, y, x: lambda g: -g * (y / (r := np.hypot(x, y)) / r))
elementwise(np.hypot, lambda ans, x, y: along(ans, x), lambda ans, x, y: along(ans, y))
holomorphic(np.sinh, lambda ans, x: lambda g: g * np.cosh(x))
holomorphic(np.cosh, lambda ans, x: lambda g: g * np.sinh(x))
holomorphic(np.tanh, _pull_tanh)
holomorphic(np.arcsinh, _pull_arcsinh)
holomorphic(np.arccosh, lambda ans, x: lambda g: g / (np.sqrt(x - 1) * np.sqrt(x + 1)), low=1.2)
holomorphic(np.arctanh, lambda ans, x: lambda g: g / _one_less_square(x), low=-0.8, high=0.8)
elementwise(np.deg2rad, lambda ans, x: lambda g: g * (math.pi / 180))
elementwise(np.radians, lambda ans, x: lambda g: g * (math.pi / 180))
elementwise(np.rad2deg, lambda ans, x: lambda g: g * (180 / math.pi))
elementwise(np.degrees, lambda ans, x: lambda g: g * (180 / math.pi))
elementwise(np.logaddexp, lambda ans, x, y: lambda g: g * _share(x, y, ans, np.exp),
            lambda ans, x, y: lambda g: g * _share(y, x, ans, np.exp))
elementwise(np.logaddexp2, lambda ans, x, y: lambda g: g * _share(x, y, ans, np.exp2),
            lambda ans, x, y: lambda g: g * _share(y, x, ans, np.exp2))
elementwise(np.maximum, lambda ans, x, y: lambda g: _wins(g, x > y, x >= y),
            lambda ans, x, y: lambda g: _wins(g, y > x, y >= x), domain=COMPLEX)
elementwise(np.minimum, lambda ans, x, y: lambda g: _wins(g, x < y, x <= y),
            lambda ans, x, y: lambda g: _wins(g, y < x, y <= x), domain=COMPLEX)
elementwise(np.fmax, lambda ans, x, y: lambda g: _wins(g, _or_nan(x > y, y), _or_nan(x >= y, y)),
            lambda ans, x, y: lambda g: _wins(g, _or_nan(y > x, x), _or_nan(y >= x, x)), domain=COMPLEX)
elementwise(np.fmin, lambda ans, x, y: lambda g: _wins(g, _or_nan(x < y, y), _or_nan(x <= y, y)),
            lambda ans, x, y: lambda g: _wins(g, _or_nan(y < x, x), _or_nan(y <= x, x)), domain=COMPLEX)

CONSTANTS.extend([
    np.floor, np.ceil, np.rint, np.trunc, np.floor_divide, np.round, np.zeros_like, np.ones_like,
    np.empty_like, np.zeros, np.ones, np.empty,
    *([np.fix] if hasattr(np, "fix") else []),  # deprecated by NumPy 2.5
])
PLAIN.extend([
    np.signbit, np.isnan, np.isinf, np.isfinite, np.greater, np.greater_equal, np.less, np.less_equal, np.equal,
    np.not_equal, np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.all, np.any, np.argmax,
    np.argmin, np.argsort, np.argwhere, np.nonzero, np.flatnonzero, np.count_nonzero, np.searchsorted,
    np.isclose, np.allclose, np.array_equal, np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj,
    np.isrealobj, np.may_share_memory, np.shares_memory, np.digitize, np.lexsort, np.argpartition,
    np.array_repr, np.array_str, np.array2string, np.can_cast, np.min_scalar_type, np.common_type,
    np.isin, np.linalg.matrix_rank, np.nanargmax, np.nanargmin, np.array_equiv, np.einsum_path,
    np.histogram_bin_edges, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
    np.iscomplex, np.isreal, np.isneginf, np.isposinf,
])
# fmt: on
