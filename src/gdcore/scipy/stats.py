"""``scipy.stats``: distributions, under SciPy's names."""

from typing import Any

from scipy import stats as plain_stats  # type: ignore[import-untyped,unused-ignore]

from .distributions import continuous, discrete, multivariate
from .passing import missing

beta, cauchy, chi2, expon, gamma = (
    continuous.beta(), continuous.cauchy(), continuous.chi2(), continuous.expon(), continuous.gamma(),
)  # fmt: skip
halfnorm, invgamma, laplace, logistic = (
    continuous.halfnorm(), continuous.invgamma(), continuous.laplace(), continuous.logistic(),
)  # fmt: skip
lognorm, norm, pareto, t = continuous.lognorm(), continuous.norms, continuous.pareto(), continuous.t()
uniform, weibull_min = continuous.uniform(), continuous.weibull_min()
bernoulli, binom, geom, nbinom, poisson = (
    discrete.bernoulli(), discrete.binom(), discrete.geom(), discrete.nbinom(), discrete.poisson(),
)  # fmt: skip
dirichlet, multivariate_normal = multivariate.dirichlet(), multivariate.multivariate_normal()

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "cauchy",
    "chi2",
    "dirichlet",
    "expon",
    "gamma",
    "geom",
    "halfnorm",
    "invgamma",
    "laplace",
    "logistic",
    "lognorm",
    "multivariate_normal",
    "nbinom",
    "norm",
    "pareto",
    "poisson",
    "t",
    "uniform",
    "weibull_min",
]


def __getattr__(name: str) -> Any:
    missing(plain_stats, name, __name__)
