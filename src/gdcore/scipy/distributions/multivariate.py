"""Distributions of several variables.

The gradient by a covariance is the symmetric one, that of both triangles, though one is read.
"""

import math
from typing import Any

import numpy as np
from scipy import special, stats  # type: ignore[import-untyped,unused-ignore]

from ...derivatives import real
from ..passing import is_traced, refuse
from .common import Frozen, floats, plain_only, times_log


class Multivariate:
    """What both share: frozen parameters, and what SciPy has besides."""

    def __init__(self) -> None:
        self.name = type(self).__name__
        self.plain = getattr(stats, self.name)

    def __repr__(self) -> str:
        return f"gd.scipy.stats.{self.name}"

    def __call__(self, *args: Any, **kwargs: Any) -> Frozen:
        """Return the distribution with these parameters."""
        return Frozen(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return what SciPy has besides, such as ``rvs``, for plain values."""
        if name.startswith("_") or name in {"plain", "name"}:
            raise AttributeError(name)
        return plain_only(getattr(self.plain, name), f"{self!r}.{name}")


class multivariate_normal(Multivariate):  # noqa: N801
    """The normal distribution of several variables."""

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
        """Return the logarithm of the density at ``x`` of shape (..., n)."""
        if not is_traced((x, mean, cov)):
            return self.plain.logpdf(x, mean, cov, allow_singular)
        mean, cov = _filled(mean, cov)
        n = len(cov)
        x = floats(x)
        if np.ndim(x) == 0:
            x = np.reshape(x, (1,))
        elif np.ndim(x) == 1 and n == 1:
            x = x[:, None]
        if np.shape(x)[-1] != n:
            raise ValueError(f"{self!r}: x: expected {n} variables along the last axis, got shape {np.shape(x)}")
        away = x - mean
        if allow_singular and _rank(real(cov)) < n:
            if is_traced(cov):
                refuse("stats.multivariate_normal", "cov", "of a singular one there is no derivative")
            return _singular(away, cov)
        lower = _cholesky(self, cov)
        scaled = np.linalg.solve(lower, np.reshape(away, (-1, n)).T)
        distance = np.sum(scaled * scaled, axis=0).reshape(np.shape(away)[:-1])
        return -0.5 * (n * math.log(2 * math.pi) + distance) - np.sum(np.log(np.diagonal(lower)))

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
        """Return the density at ``x`` of shape (..., n)."""
        if not is_traced((x, mean, cov)):
            return self.plain.pdf(x, mean, cov, allow_singular)
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def entropy(self, mean: Any = None, cov: Any = 1) -> Any:
        """Return the entropy."""
        if not is_traced((mean, cov)):
            return self.plain.entropy(mean, cov)
        _, cov = _filled(mean, cov)
        lower = _cholesky(self, cov)
        return 0.5 * len(cov) * (1 + math.log(2 * math.pi)) + np.sum(np.log(np.diagonal(lower)))


class dirichlet(Multivariate):  # noqa: N801
    """Dirichlet's distribution of parts of a whole."""

    def logpdf(self, x: Any, alpha: Any) -> Any:
        """Return the logarithm of the density at ``x`` of shape (k, ...), or (k - 1, ...) without the last part."""
        if not is_traced((x, alpha)):
            return self.plain.logpdf(x, alpha)
        x, alpha = floats(x), floats(alpha)
        given, powers = real(x), real(alpha)
        if np.ndim(alpha) != 1 or np.shape(x)[:1] != alpha.shape or given.min() <= 0 or powers.min() <= 0:
            self.plain.logpdf(given, powers)  # which says what is wrong, if it is
        if len(x) == len(alpha) - 1:
            x = np.concatenate([x, (1 - np.sum(x, axis=0))[None]])
        elif np.max(np.abs(given.sum(axis=0) - 1)) > 1e-9:
            self.plain.logpdf(given, powers)
        factor = np.sum(special.gammaln(alpha)) - special.gammaln(np.sum(alpha))
        return np.sum(times_log(alpha - 1, x.T).T, axis=0) - factor

    def pdf(self, x: Any, alpha: Any) -> Any:
        """Return the density at ``x``."""
        if not is_traced((x, alpha)):
            return self.plain.pdf(x, alpha)
        return np.exp(self.logpdf(x, alpha))

    def entropy(self, alpha: Any) -> Any:
        """Return the entropy."""
        if not is_traced(alpha):
            return self.plain.entropy(alpha)
        alpha = floats(alpha)
        whole = np.sum(alpha)
        factor = np.sum(special.gammaln(alpha)) - special.gammaln(whole)
        inner = np.sum((alpha - 1) * special.psi(alpha))
        return factor + (whole - len(alpha)) * special.psi(whole) - inner


def _filled(mean: Any, cov: Any) -> tuple[Any, Any]:
    """Return the mean as a vector and the covariance as a matrix: SciPy takes less for what is plain."""
    mean = None if mean is None else floats(mean)
    cov = floats(1.0 if cov is None else cov)
    n = np.size(mean) if mean is not None else len(cov) if np.ndim(cov) == 2 else 1
    if np.ndim(cov) == 0:
        cov = cov * np.eye(n)
    elif np.ndim(cov) == 1:
        cov = cov[:, None] * np.eye(len(cov))
    if np.shape(cov) != (n, n):
        raise ValueError(f"multivariate_normal: cov: expected shape {(n, n)}, got {np.shape(cov)}")
    return np.zeros(n) if mean is None else np.reshape(mean, (n,)), cov


def _cholesky(self: Any, cov: Any) -> Any:
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(f"{self!r}: cov: expected a positive definite matrix, got another") from None


def _rank(cov: Any) -> int:
    values = np.linalg.eigvalsh(cov)
    return int(np.sum(values > 1e6 * np.finfo(np.float64).eps * np.max(np.abs(values))))


def _singular(away: Any, cov: Any) -> Any:
    values, vectors = np.linalg.eigh(cov)
    kept = values > 1e6 * np.finfo(np.float64).eps * np.max(np.abs(values))
    root = vectors[:, kept] / np.sqrt(values[kept])
    scaled = away @ root
    constant = np.sum(kept) * math.log(2 * math.pi) + np.sum(np.log(values[kept]))
    ans = -0.5 * (constant + np.sum(scaled * scaled, axis=-1))
    outside = np.abs(real(away) @ vectors[:, ~kept]).max(axis=-1, initial=0) > 1e-10
    return np.where(outside, -np.inf, ans)
