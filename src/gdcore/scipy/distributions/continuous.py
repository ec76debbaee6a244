"""Continuous distributions of one variable, one class each: the formulas of the standard variable."""

import math
from typing import Any, Final

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from ...derivatives import real
from .common import Continuous, times_log

ROOT: Final = 0.5 * math.log(2 * math.pi)
LOG2: Final = math.log(2)


# ruff: noqa: D101, D102, N801  # they bear SciPy's names, and their functions are described where they are abstract
class norm(Continuous):
    def log_density(self, y: Any) -> Any:
        return -0.5 * y * y - ROOT

    def below(self, y: Any) -> Any:
        return special.ndtr(y)

    def beyond(self, y: Any) -> Any:
        return special.ndtr(-y)

    def log_below(self, y: Any) -> Any:
        return special.log_ndtr(y)

    def log_beyond(self, y: Any) -> Any:
        return special.log_ndtr(-y)


class t(Continuous):
    shapes = ("df",)
    safe = (1.0,)

    def log_density(self, y: Any, df: Any) -> Any:
        return _or_normal(_t_log_density, norms.log_density, y, df)

    def below(self, y: Any, df: Any) -> Any:
        return _or_normal(lambda y, df: special.stdtr(df, y), norms.below, y, df)

    def beyond(self, y: Any, df: Any) -> Any:
        return self.below(-y, df)


def _t_log_density(y: Any, df: Any) -> Any:
    factor = np.log(special.poch(0.5 * df, 0.5)) - 0.5 * np.log(math.pi * df)
    return factor - 0.5 * (df + 1) * np.log1p(y * y / df)


def _or_normal(formula: Any, normal: Any, y: Any, df: Any) -> Any:
    """Return ``formula(y, df)``, or what is its limit at an infinite ``df``."""
    limit = np.isinf(real(df))
    if not np.any(limit):
        return formula(y, df)
    return np.where(limit, normal(y), formula(y, np.where(limit, 1, df)))


class cauchy(Continuous):
    def log_density(self, y: Any) -> Any:
        return -math.log(math.pi) - np.log1p(y * y)

    def below(self, y: Any) -> Any:
        return np.arctan2(1, -y) / math.pi

    def beyond(self, y: Any) -> Any:
        return np.arctan2(1, y) / math.pi


class logistic(Continuous):
    def log_density(self, y: Any) -> Any:
        return special.log_expit(y) + special.log_expit(-y)

    def below(self, y: Any) -> Any:
        return special.expit(y)

    def beyond(self, y: Any) -> Any:
        return special.expit(-y)

    def log_below(self, y: Any) -> Any:
        return special.log_expit(y)

    def log_beyond(self, y: Any) -> Any:
        return special.log_expit(-y)


class laplace(Continuous):
    def log_density(self, y: Any) -> Any:
        return -np.abs(y) - LOG2

    def below(self, y: Any) -> Any:
        half = 0.5 * np.exp(-np.abs(y))
        return np.where(real(y) > 0, 1 - half, half)

    def beyond(self, y: Any) -> Any:
        return self.below(-y)

    def log_below(self, y: Any) -> Any:
        size = np.abs(y)
        return np.where(real(y) > 0, np.log1p(-0.5 * np.exp(-size)), -size - LOG2)

    def log_beyond(self, y: Any) -> Any:
        return self.log_below(-y)


class expon(Continuous):
    low = 0.0

    def log_density(self, y: Any) -> Any:
        return -y

    def below(self, y: Any) -> Any:
        return -np.expm1(-y)

    def beyond(self, y: Any) -> Any:
        return np.exp(-y)

    def log_beyond(self, y: Any) -> Any:
        return -y


class uniform(Continuous):
    low, high = 0.0, 1.0

    def log_density(self, y: Any) -> Any:
        return 0 * y

    def below(self, y: Any) -> Any:
        return y


class gamma(Continuous):
    low = 0.0
    shapes = ("a",)
    safe = (1.0,)

    def log_density(self, y: Any, a: Any) -> Any:
        return times_log(a - 1, y) - y - special.gammaln(a)

    def below(self, y: Any, a: Any) -> Any:
        return special.gammainc(a, y)

    def beyond(self, y: Any, a: Any) -> Any:
        return special.gammaincc(a, y)


class chi2(Continuous):
    low = 0.0
    shapes = ("df",)
    safe = (2.0,)

    def log_density(self, y: Any, df: Any) -> Any:
        return times_log(0.5 * df - 1, y) - 0.5 * y - special.gammaln(0.5 * df) - 0.5 * LOG2 * df

    def below(self, y: Any, df: Any) -> Any:
        return special.chdtr(df, y)

    def beyond(self, y: Any, df: Any) -> Any:
        return special.chdtrc(df, y)


class invgamma(Continuous):
    low = 0.0
    shapes = ("a",)
    safe = (1.0,)

    def log_density(self, y: Any, a: Any) -> Any:
        inner = np.where(real(y) == 0, 1, y)
        return np.where(real(y) == 0, -np.inf, -(a + 1) * np.log(inner) - special.gammaln(a) - 1 / inner)

    def below(self, y: Any, a: Any) -> Any:
        return special.gammaincc(a, 1 / y)

    def beyond(self, y: Any, a: Any) -> Any:
        return special.gammainc(a, 1 / y)


class beta(Continuous):
    low, high = 0.0, 1.0
    shapes = ("a", "b")
    safe = (1.0, 1.0)

    def log_density(self, y: Any, a: Any, b: Any) -> Any:
        one = real(y) == 1
        if np.any(one):
            inner = np.where(one, 0, y)
            right = np.where(one, special.xlog1py(real(b) - 1, -real(y)), special.xlog1py(b - 1, -inner))
        else:
            right = special.xlog1py(b - 1, -y)
        return right + times_log(a - 1, y) - special.betaln(a, b)

    def below(self, y: Any, a: Any, b: Any) -> Any:
        return special.betainc(a, b, y)

    def beyond(self, y: Any, a: Any, b: Any) -> Any:
        return special.betaincc(a, b, y)


class halfnorm(Continuous):
    low = 0.0

    def log_density(self, y: Any) -> Any:
        return -0.5 * y * y + (LOG2 - ROOT)

    def below(self, y: Any) -> Any:
        return special.erf(y * math.sqrt(0.5))

    def beyond(self, y: Any) -> Any:
        return special.erfc(y * math.sqrt(0.5))


class lognorm(Continuous):
    low = 0.0
    shapes = ("s",)
    safe = (1.0,)

    def log_density(self, y: Any, s: Any) -> Any:
        zero = real(y) == 0
        logarithm = np.log(np.where(zero, 1, y))
        return np.where(zero, -np.inf, -0.5 * (logarithm / s) ** 2 - logarithm - np.log(s) - ROOT)

    def below(self, y: Any, s: Any) -> Any:
        return special.ndtr(np.log(y) / s)

    def beyond(self, y: Any, s: Any) -> Any:
        return special.ndtr(-np.log(y) / s)

    def log_below(self, y: Any, s: Any) -> Any:
        return special.log_ndtr(np.log(y) / s)

    def log_beyond(self, y: Any, s: Any) -> Any:
        return special.log_ndtr(-np.log(y) / s)


class weibull_min(Continuous):
    low = 0.0
    shapes = ("c",)
    safe = (1.0,)

    def log_density(self, y: Any, c: Any) -> Any:
        return np.log(c) + times_log(c - 1, y) - self._power(y, c)

    def below(self, y: Any, c: Any) -> Any:
        return -np.expm1(-self._power(y, c))

    def beyond(self, y: Any, c: Any) -> Any:
        return np.exp(-self._power(y, c))

    def log_beyond(self, y: Any, c: Any) -> Any:
        return -self._power(y, c)

    def _power(self, y: Any, c: Any) -> Any:
        return np.power(y, c)


class pareto(Continuous):
    low = 1.0
    interior = 2.0
    shapes = ("b",)
    safe = (1.0,)

    def log_density(self, y: Any, b: Any) -> Any:
        return np.log(b) - (b + 1) * np.log(y)

    def below(self, y: Any, b: Any) -> Any:
        return -np.expm1(-b * np.log(y))

    def beyond(self, y: Any, b: Any) -> Any:
        return np.exp(-b * np.log(y))

    def log_beyond(self, y: Any, b: Any) -> Any:
        return -b * np.log(y)


norms: Final = norm()
