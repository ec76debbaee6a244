"""SciPy's error functions, normal distribution and logistic function.

Far out in a tail, slopes are quotients of scaled functions, in which nothing cancels.
"""

import math
from typing import Any, Final

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .rows import holomorphic, outputs, ufunc

TWO: Final = 2 / math.sqrt(math.pi)
ROOT: Final = math.sqrt(2 * math.pi)
FAR: Final = 12.0
"""From here on the asymptotic series of ``erfcx`` and ``dawsn`` have the digits that a difference loses."""


def _scaled_slope(ans: Any, x: Any, start: float, sign: float) -> Any:
    """Return ``start + sign * 2 * x * ans``, which is small for large ``x``: its series in ``1 / x^2`` there."""
    far = np.abs(x) > FAR if sign < 0 else x > FAR
    z = 1 / np.square(np.where(far, x, FAR))
    total = np.zeros_like(z)
    for k in range(14, 0, -1):
        total = -sign * (k - 0.5) * z * (1 + total)
    return np.where(far, -start * total, start + sign * 2 * x * ans)


def _hazard(x: Any) -> Any:
    """Return the density of a normal variable divided by the probability of less than ``x``."""
    low = x < 0
    left = (2 / ROOT) / special.erfcx(np.where(low, x, 0) * -math.sqrt(0.5))
    right = np.where(low, 0, x)
    return np.where(low, left, np.exp(-0.5 * right * right) / (ROOT * special.ndtr(right)))


# fmt: off
holomorphic("erf", lambda ans, x: TWO * np.exp(-x * x), at=(-2, 2))
holomorphic("erfc", lambda ans, x: -TWO * np.exp(-x * x), at=(-2, 2))
ufunc("erfcx", lambda ans, x: _scaled_slope(ans, x, -TWO, 1.0), at=(-2, 20))
holomorphic("erfi", lambda ans, x: TWO * np.exp(x * x), at=(-1.5, 1.5))
ufunc("dawsn", lambda ans, x: _scaled_slope(ans, x, 1.0, -1.0), at=(-20, 20))
ufunc("erfinv", lambda ans, x: np.exp(ans * ans) / TWO, at=(-0.9, 0.9))
ufunc("erfcinv", lambda ans, x: -np.exp(ans * ans) / TWO, at=(0.1, 1.9))
ufunc("ndtr", lambda ans, x: np.exp(-0.5 * x * x) / ROOT, at=(-2, 2))
ufunc("log_ndtr", lambda ans, x: _hazard(x), at=(-30, 4))
ufunc("ndtri", lambda ans, x: ROOT * np.exp(0.5 * ans * ans), at=(0.05, 0.95))
ufunc("ndtri_exp", lambda ans, x: 1 / _hazard(ans), at=(-30, -0.1))
ufunc("expit", lambda ans, x: ans * special.expit(-x), at=(-3, 3))
ufunc("logit", lambda ans, x: 1 / (x * (1 - x)), at=(0.1, 0.9))
ufunc("log_expit", lambda ans, x: special.expit(-x), at=(-3, 3))
ufunc("owens_t",
      lambda ans, h, a: -np.exp(-0.5 * h * h) / (2 * ROOT) * special.erf(a * h * math.sqrt(0.5)),
      lambda ans, h, a: np.exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a)), at=(-2, 2))
# fmt: on

outputs(
    "fresnel",
    lambda both, x: np.sin(math.pi / 2 * x * x),
    lambda both, x: np.cos(math.pi / 2 * x * x),
    at=(-2, 2),
)
