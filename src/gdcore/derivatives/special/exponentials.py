"""SciPy's exponentials, logarithms, entropies, losses and power transforms.

What is nothing, 0 times a logarithm, has the slope 0 by what the logarithm is of. ``huber`` has the slope of both
its branches where they meet; ``boxcox`` and ``inv_boxcox`` have their limits at the power 0.
"""

import math
from typing import Any, Final

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .rows import constant, holomorphic, near_zero, outputs, ufunc

DEGREE: Final = math.pi / 180
TERMS: Final = 22
EXPREL: Final = tuple((k + 1) / math.factorial(k + 2) for k in range(TERMS))
"""Of the derivative of ``expm1(x) / x``."""
LOGREL: Final = tuple((-1) ** k * -(k + 1) / (k + 2) for k in range(TERMS))
"""Of the derivative of ``log1p(x) / x``."""


def _exprel_slope(x: Any) -> Any:
    return near_zero(x, EXPREL, 1.0, lambda x: (np.exp(x) * (x - 1) + 1) / (x * x))


def _logrel_slope(x: Any) -> Any:
    return near_zero(x, LOGREL, 0.1, lambda x: (x / (1 + x) - np.log1p(x)) / (x * x))


def _spence_slope(x: Any) -> Any:
    series = tuple((-1.0) ** (k + 1) / (k + 1) for k in range(TERMS))
    return near_zero(x - 1, series, 0.1, lambda u: -np.log1p(u) / u)


def _ratio(x: Any, y: Any) -> Any:
    """Return ``x / y``, where 0 of nothing is 0."""
    return x / np.where((x == 0) & (y == 0), 1, y)


def _expn_slope(ans: Any, n: Any, x: Any) -> Any:
    n = np.asarray(n)
    return np.where(n == 0, -np.exp(-x) * (1 + x) / (x * x), -special.expn(np.maximum(n - 1, 0), x))


def _root(delta: Any, r: Any) -> Any:
    return np.sqrt(1 + np.square(r / delta))


# fmt: off
holomorphic("expm1", lambda ans, x: np.exp(x), at=(-2, 2))
ufunc("exprel", lambda ans, x: _exprel_slope(x), at=(-2, 2))
ufunc("exp2", lambda ans, x: ans * math.log(2), at=(-2, 2))
ufunc("exp10", lambda ans, x: ans * math.log(10), at=(-1, 1))
holomorphic("log1p", lambda ans, x: 1 / (1 + x))
ufunc("cbrt", lambda ans, x: 1 / (3 * ans * ans))
ufunc("powm1", lambda ans, x, y: y * x ** (y - 1), lambda ans, x, y: x**y * np.log(x))
ufunc("cosm1", lambda ans, x: -np.sin(x), at=(-2, 2))
ufunc("sindg", lambda ans, x: DEGREE * special.cosdg(x), at=(-2, 2))
ufunc("cosdg", lambda ans, x: -DEGREE * special.sindg(x), at=(-2, 2))
ufunc("tandg", lambda ans, x: DEGREE * (1 + ans * ans), at=(-20, 20))
ufunc("cotdg", lambda ans, x: -DEGREE * (1 + ans * ans), at=(20, 60))
holomorphic("xlogy", lambda ans, x, y: np.log(y), lambda ans, x, y: _ratio(x, y))
holomorphic("xlog1py", lambda ans, x, y: np.log1p(y), lambda ans, x, y: _ratio(x, 1 + y))
ufunc("entr", lambda ans, x: -np.log(x) - 1)
ufunc("rel_entr", lambda ans, x, y: np.log(x / y) + 1, lambda ans, x, y: -_ratio(x, y))
ufunc("kl_div", lambda ans, x, y: np.log(x / y), lambda ans, x, y: 1 - _ratio(x, y))
ufunc("huber", lambda ans, d, r: np.maximum(np.abs(r) - d, 0), lambda ans, d, r: np.maximum(np.minimum(r, d), -d),
      at=((0.3, 0.9), (1, 3)))
ufunc("pseudo_huber",
      lambda ans, d, r: 2 * d * (_root(d, r) - 1) - r * r / (d * _root(d, r)), lambda ans, d, r: r / _root(d, r),
      at=((0.5, 2), (-2, 2)))
ufunc("boxcox",
      lambda ans, x, p: x ** (p - 1), lambda ans, x, p: np.square(np.log(x)) * _exprel_slope(p * np.log(x)),
      at=((0.5, 2), (-2, 2)))
ufunc("boxcox1p",
      lambda ans, x, p: (1 + x) ** (p - 1),
      lambda ans, x, p: np.square(np.log1p(x)) * _exprel_slope(p * np.log1p(x)),
      at=((0.5, 2), (-2, 2)))
ufunc("inv_boxcox",
      lambda ans, y, p: ans / (1 + p * y), lambda ans, y, p: ans * y * y * _logrel_slope(p * y),
      at=((-0.6, 0.6), (-1, 1)))
ufunc("inv_boxcox1p",
      lambda ans, y, p: (ans + 1) / (1 + p * y), lambda ans, y, p: (ans + 1) * y * y * _logrel_slope(p * y),
      at=((-0.6, 0.6), (-1, 1)))
holomorphic("exp1", lambda ans, x: -np.exp(-x) / x)
holomorphic("expi", lambda ans, x: np.exp(x) / x)
ufunc("expn", None, _expn_slope, values=(2,))
holomorphic("spence", lambda ans, x: _spence_slope(x))
# fmt: on

outputs("sici", lambda both, x: np.sin(x) / x, lambda both, x: np.cos(x) / x)
outputs("shichi", lambda both, x: np.sinh(x) / x, lambda both, x: np.cosh(x) / x)
constant("round")
