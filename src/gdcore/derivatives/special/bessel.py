"""SciPy's Bessel, Airy and hypergeometric functions, and orthogonal polynomials.

They have no derivative by their order, or by the parameters of a series. ``ive`` and ``i0e``, which have a kink at
0, have half the sum of both slopes there.
"""

from typing import Any

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .rows import holomorphic, outputs, ufunc

jv, yv, iv, ive, kv, kve, kn, yn = (
    getattr(special, name) for name in ("jv", "yv", "iv", "ive", "kv", "kve", "kn", "yn")
)


def _below(n: Any, f: Any) -> Any:
    """Return ``f(n - 1)``, and 0 for the polynomial of degree 0."""
    n = np.asarray(n)
    return f(np.maximum(n - 1, 0)) * (n > 0)


# fmt: off
ufunc("j0", lambda ans, x: -special.j1(x))
ufunc("j1", lambda ans, x: (special.j0(x) - jv(2, x)) / 2)
holomorphic("jv", None, lambda ans, v, x: (jv(v - 1, x) - jv(v + 1, x)) / 2, values=(2,))
ufunc("y0", lambda ans, x: -special.y1(x))
ufunc("y1", lambda ans, x: (special.y0(x) - yn(2.0, x)) / 2)
ufunc("yn", None, lambda ans, n, x: (yn(n - 1, x) - yn(n + 1, x)) / 2, values=(0,))
holomorphic("yv", None, lambda ans, v, x: (yv(v - 1, x) - yv(v + 1, x)) / 2, values=(0.5,))
ufunc("i0", lambda ans, x: special.i1(x))
ufunc("i0e", lambda ans, x: special.i1e(x) - np.sign(x) * ans)
ufunc("i1", lambda ans, x: (special.i0(x) + iv(2, x)) / 2, at=(-2, 2))
ufunc("i1e", lambda ans, x: (special.i0e(x) + ive(2, x)) / 2 - np.sign(x) * ans)
holomorphic("iv", None, lambda ans, v, x: (iv(v - 1, x) + iv(v + 1, x)) / 2, values=(0.5,))
ufunc("ive", None, lambda ans, v, x: (ive(v - 1, x) + ive(v + 1, x)) / 2 - np.sign(x) * ans, values=(2,))
ufunc("k0", lambda ans, x: -special.k1(x))
ufunc("k0e", lambda ans, x: ans - special.k1e(x))
ufunc("k1", lambda ans, x: -(special.k0(x) + kn(2.0, x)) / 2)
ufunc("k1e", lambda ans, x: ans - (special.k0e(x) + kve(2, x)) / 2)
ufunc("kn", None, lambda ans, n, x: -(kn(abs(n - 1), x) + kn(n + 1, x)) / 2, values=(0,))
holomorphic("kv", None, lambda ans, v, x: -(kv(v - 1, x) + kv(v + 1, x)) / 2, values=(0.5,))
holomorphic("kve", None, lambda ans, v, x: ans - (kve(v - 1, x) + kve(v + 1, x)) / 2, values=(2,))
ufunc("struve", None, lambda ans, v, x: special.struve(v - 1, x) - v / x * ans, values=(1.5,))
ufunc("modstruve", None, lambda ans, v, x: special.modstruve(v - 1, x) - v / x * ans, values=(1.5,))
holomorphic("hyp0f1", None, lambda ans, b, x: special.hyp0f1(b + 1, x) / b, values=(1.5,), at=(-1, 1))
holomorphic("hyp1f1", None, None, lambda ans, a, b, x: a / b * special.hyp1f1(a + 1, b + 1, x), values=(0.5, 1.5),
      at=(-1, 1))
holomorphic("hyp2f1", None, None, None, lambda ans, a, b, c, x: a * b / c * special.hyp2f1(a + 1, b + 1, c + 1, x),
      values=(0.5, 1.5, 2.5), at=(-0.7, 0.7))
ufunc("eval_hermite", None, lambda ans, n, x: 2 * n * _below(n, lambda m: special.eval_hermite(m, x)), values=(3,))
ufunc("eval_hermitenorm", None, lambda ans, n, x: n * _below(n, lambda m: special.eval_hermitenorm(m, x)),
      values=(3,))
ufunc("eval_legendre", None,
      lambda ans, n, x: (n + 1) / 2 * _below(n, lambda m: special.eval_jacobi(m, 1.0, 1.0, x)), values=(3,))
ufunc("eval_chebyt", None, lambda ans, n, x: n * _below(n, lambda m: special.eval_chebyu(m, x)), values=(3,))
ufunc("eval_chebyu", None, lambda ans, n, x: 2 * _below(n, lambda m: special.eval_gegenbauer(m, 2.0, x)),
      values=(3,))
ufunc("eval_gegenbauer", None, None,
      lambda ans, n, a, x: 2 * a * _below(n, lambda m: special.eval_gegenbauer(m, a + 1, x)), values=(3, 1.5))
ufunc("eval_laguerre", None, lambda ans, n, x: -_below(n, lambda m: special.eval_genlaguerre(m, 1.0, x)),
      values=(3,))
ufunc("eval_genlaguerre", None, None,
      lambda ans, n, a, x: -_below(n, lambda m: special.eval_genlaguerre(m, a + 1, x)), values=(3, 1.5))
ufunc("eval_jacobi", None, None, None,
      lambda ans, n, a, b, x: (n + a + b + 1) / 2 * _below(n, lambda m: special.eval_jacobi(m, a + 1, b + 1, x)),
      values=(3, 0.5, 1.5))
# fmt: on

outputs(
    "airy",
    lambda all_, x: all_[1],
    lambda all_, x: x * all_[0],
    lambda all_, x: all_[3],
    lambda all_, x: x * all_[2],
    at=(-2, 2),
)
