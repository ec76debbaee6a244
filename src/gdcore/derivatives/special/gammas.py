"""SciPy's gamma and beta functions, and the distributions that are their integrals.

``gammainc``, ``betainc`` and their like have a derivative by their last argument; none by their parameters, where
there is no simple formula.
"""

from typing import Any

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .._gate import Gate
from .rows import constant, ufunc

psi = special.psi


def _polygamma_of(n: Any, x: Any) -> Any:
    if np.iscomplexobj(x):
        raise TypeError(
            "scipy.special.polygamma: expected real numbers, as SciPy has it for no others, got complex"
        )
    return np.asarray(special.polygamma(n, x)).astype(np.result_type(x, np.float32))[()]


polygamma: Gate = Gate(
    "scipy.special.polygamma",
    _polygamma_of,
    (None, lambda ans, n, x: lambda g: g * polygamma(np.add(n, 1), x)),
    stacks=True,
)


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp(special.xlogy(a - 1, x) - x - special.gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))


def _t_density(df: Any, t: Any) -> Any:
    factor = special.poch(0.5 * df, 0.5) / np.sqrt(np.pi * df)
    return factor * np.exp(-0.5 * (df + 1) * np.log1p(t * t / df))


def _poisson(k: Any, m: Any) -> Any:
    k = np.floor(k)
    return np.exp(special.xlogy(k, m) - m - special.gammaln(k + 1))


# fmt: off
ufunc("gamma", lambda ans, x: ans * psi(x))
ufunc("rgamma", lambda ans, x: -ans * psi(x))
ufunc("gammaln", lambda ans, x: psi(x))
ufunc("loggamma", lambda ans, x: psi(x))
ufunc("psi", lambda ans, x: polygamma(1, x))
ufunc("poch", lambda ans, x, m: ans * (psi(x + m) - psi(x)), lambda ans, x, m: ans * psi(x + m))
ufunc("binom", lambda ans, n, k: ans * (psi(n + 1) - psi(n - k + 1)),
      lambda ans, n, k: ans * (psi(n - k + 1) - psi(k + 1)), at=((3.2, 6), (0.3, 2)))
ufunc("beta", lambda ans, a, b: ans * (psi(a) - psi(a + b)), lambda ans, a, b: ans * (psi(b) - psi(a + b)))
ufunc("betaln", lambda ans, a, b: psi(a) - psi(a + b), lambda ans, a, b: psi(b) - psi(a + b))
ufunc("gammainc", None, lambda ans, a, x: _gamma_density(a, x), values=(1.7,))
ufunc("gammaincc", None, lambda ans, a, x: -_gamma_density(a, x), values=(1.7,))
ufunc("gammaincinv", None, lambda ans, a, p: 1 / _gamma_density(a, ans), values=(1.7,), at=(0.1, 0.9))
ufunc("gammainccinv", None, lambda ans, a, p: -1 / _gamma_density(a, ans), values=(1.7,), at=(0.1, 0.9))
ufunc("betainc", None, None, lambda ans, a, b, x: _beta_density(a, b, x), values=(1.7, 2), at=(0.1, 0.9))
ufunc("betaincc", None, None, lambda ans, a, b, x: -_beta_density(a, b, x), values=(1.7, 2), at=(0.1, 0.9))
ufunc("betaincinv", None, None, lambda ans, a, b, p: 1 / _beta_density(a, b, ans), values=(1.7, 2), at=(0.1, 0.9))
ufunc("betainccinv", None, None, lambda ans, a, b, p: -1 / _beta_density(a, b, ans), values=(1.7, 2), at=(0.1, 0.9))
ufunc("stdtr", None, lambda ans, df, t: _t_density(df, t), values=(3,), at=(-2, 2))
ufunc("stdtrit", None, lambda ans, df, p: 1 / _t_density(df, ans), values=(3,), at=(0.1, 0.9))
ufunc("chdtr", None, lambda ans, v, x: _gamma_density(v / 2, x / 2) / 2, values=(3,))
ufunc("chdtrc", None, lambda ans, v, x: -_gamma_density(v / 2, x / 2) / 2, values=(3,))
ufunc("chdtri", None, lambda ans, v, p: -2 / _gamma_density(v / 2, ans / 2), values=(3,), at=(0.1, 0.9))
ufunc("pdtr", None, lambda ans, k, m: -_poisson(k, m), values=(2,))
ufunc("pdtrc", None, lambda ans, k, m: _poisson(k, m), values=(2,))
# fmt: on
constant("gammasgn")
