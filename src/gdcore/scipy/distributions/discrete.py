"""Discrete distributions, one class each: the formulas of the number."""

from typing import Any

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from ...derivatives import real
from .common import Discrete


# ruff: noqa: D101, D102, N801  # they bear SciPy's names, and their functions are described where they are abstract
class poisson(Discrete):
    shapes = ("mu",)
    safe = (1.0,)

    def valid(self, mu: Any) -> Any:
        return np.greater_equal(mu, 0)

    def log_density(self, k: Any, mu: Any) -> Any:
        return special.xlogy(k, mu) - special.gammaln(k + 1) - mu

    def below(self, k: Any, mu: Any) -> Any:
        return special.pdtr(np.floor(k), mu)

    def beyond(self, k: Any, mu: Any) -> Any:
        return special.pdtrc(np.floor(k), mu)


class binom(Discrete):
    shapes = ("n", "p")
    safe = (1.0, 0.5)

    def valid(self, n: Any, p: Any) -> Any:
        return np.greater_equal(n, 0) & (np.floor(n) == n) & np.greater_equal(p, 0) & np.less_equal(p, 1)

    def highest(self, n: Any, p: Any) -> Any:
        return n

    def log_density(self, k: Any, n: Any, p: Any) -> Any:
        ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        return ways + special.xlogy(k, p) + special.xlog1py(n - k, -p)

    def below(self, k: Any, n: Any, p: Any) -> Any:
        k = np.floor(k)
        return special.betaincc(k + 1, n - k, p)

    def beyond(self, k: Any, n: Any, p: Any) -> Any:
        k = np.floor(k)
        return special.betainc(k + 1, n - k, p)


class bernoulli(Discrete):
    shapes = ("p",)
    safe = (0.5,)
    high = 1.0

    def valid(self, p: Any) -> Any:
        return np.greater_equal(p, 0) & np.less_equal(p, 1)

    def log_density(self, k: Any, p: Any) -> Any:
        return special.xlogy(k, p) + special.xlog1py(1 - k, -p)

    def below(self, k: Any, p: Any) -> Any:
        return 1 - p + 0 * k

    def beyond(self, k: Any, p: Any) -> Any:
        return p + 0 * k


class geom(Discrete):
    shapes = ("p",)
    safe = (0.5,)
    low = 1.0
    interior = 1.0

    def valid(self, p: Any) -> Any:
        return np.greater(p, 0) & np.less_equal(p, 1)

    def log_density(self, k: Any, p: Any) -> Any:
        return special.xlog1py(k - 1, -p) + np.log(p)

    def below(self, k: Any, p: Any) -> Any:
        return -special.expm1(self.log_beyond(k, p))

    def beyond(self, k: Any, p: Any) -> Any:
        return np.exp(self.log_beyond(k, p))

    def log_beyond(self, k: Any, p: Any) -> Any:
        sure = real(p) == 1
        return np.where(sure, -np.inf, special.xlog1py(np.floor(k), -np.where(sure, 0, p)))


class nbinom(Discrete):
    shapes = ("n", "p")
    safe = (1.0, 0.5)

    def valid(self, n: Any, p: Any) -> Any:
        return np.greater(n, 0) & np.greater(p, 0) & np.less_equal(p, 1)

    def log_density(self, k: Any, n: Any, p: Any) -> Any:
        ways = special.gammaln(n + k) - special.gammaln(k + 1) - special.gammaln(n)
        return ways + n * np.log(p) + special.xlog1py(k, -p)

    def below(self, k: Any, n: Any, p: Any) -> Any:
        return special.betainc(n, np.floor(k) + 1, p)

    def beyond(self, k: Any, n: Any, p: Any) -> Any:
        return special.betaincc(n, np.floor(k) + 1, p)
