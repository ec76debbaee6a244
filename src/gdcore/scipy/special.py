"""``scipy.special``: what is no ufunc; ufuncs are SciPy's own, which traced values go through by themselves."""

from typing import Any

import numpy as np
from scipy import special as plain_special  # type: ignore[import-untyped,unused-ignore]

from ..derivatives import Gate, array, real
from ..derivatives import log_softmax as _log_softmax
from ..derivatives import logsumexp as _logsumexp
from ..derivatives import softmax as _softmax
from .passing import instead_of, is_traced, missing, refuse

__all__ = ["log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax", "zeta"]


def _floats(x: Any) -> Any:
    x = array(x)
    if x.dtype.kind == "c":
        raise TypeError("gd.scipy.special: expected real numbers, got complex ones; x.real takes their real part")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _sum_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(3),),
        (draw(2, 3), 0),
        (draw(2, 3), (0, 1)),
        (draw(2, 3), {"axis": 1, "keepdims": True}),
        (draw(2, 3), 1, draw(2, 3, low=0.5)),
        (draw(2, 3), None, np.array([1, 0, 2])),
    ]


@instead_of(plain_special.logsumexp, examples=_sum_examples)
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """Return ``log(sum(b * exp(a)))`` over ``axis``, as ``scipy.special.logsumexp``."""
    a = _floats(a)
    if b is None and not return_sign:
        return _logsumexp(a, axis, keepdims=keepdims)
    b = _floats(1.0 if b is None else b)
    a = np.where((b == 0) & np.isinf(real(a)), 0, a)  # which adds nothing
    top = np.max(real(a), axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    total = np.sum(b * np.exp(a - top), axis=axis, keepdims=True)
    sign = np.sign(real(total))
    size = np.abs(total) if return_sign else np.where(sign < 0, np.nan, total)
    ans = np.where(sign == 0, -np.inf, np.log(np.where(sign == 0, 1, size)) + top)
    if not keepdims:
        axes = tuple(range(ans.ndim)) if axis is None else axis
        ans, sign = np.squeeze(ans, axes), np.squeeze(sign, axes)
    return (ans, sign) if return_sign else ans


def _along_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3),), (draw(2, 3),), (draw(2, 3), 0), (draw(2, 3, 2), (0, -1)), (draw(2, 3), {"axis": -1})]


@instead_of(plain_special.softmax, examples=_along_examples)
def softmax(x: Any, axis: Any = None) -> Any:
    """Return ``exp(x) / sum(exp(x))``, over all elements or along ``axis``, as ``scipy.special.softmax``."""
    x = _floats(x)
    if isinstance(axis, int | np.integer):
        return _softmax(x, int(axis))
    return np.exp(x - _logsumexp(x, axis, keepdims=True))


@instead_of(plain_special.log_softmax, examples=_along_examples)
def log_softmax(x: Any, axis: Any = None) -> Any:
    """Return the logarithm of :func:`softmax`, as ``scipy.special.log_softmax``."""
    x = _floats(x)
    if isinstance(axis, int | np.integer):
        return _log_softmax(x, int(axis))
    return x - _logsumexp(x, axis, keepdims=True)


_zeta: Gate = Gate(
    "gd.scipy.special.zeta",
    plain_special.zeta,
    (None, lambda ans, s, q: lambda g: g * -s * _zeta(s + 1, q)),
    stacks=True,
)


@instead_of(
    plain_special.zeta, examples=lambda draw: [(2.5, draw(low=0.5)), (np.array([2, 3, 2]), draw(2, 1, low=0.5))]
)
def zeta(x: Any, q: Any = None) -> Any:
    """Return Hurwitz's zeta function; there is no derivative by ``x``, the power."""
    if is_traced(x):
        refuse("special.zeta", "x", "there is a derivative by q alone")
    power, q = x if isinstance(x, int | float) else _floats(x), _floats(q)
    shape = np.broadcast_shapes(np.shape(power), q.shape)
    return _zeta(power, q if q.shape == shape else np.broadcast_to(q, shape))


def _polygamma_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(1, draw(low=0.5)), (np.array([0, 1, 2]), draw(2, 3, low=0.5)), (3, draw(0))]


@instead_of(plain_special.polygamma, examples=_polygamma_examples)
def polygamma(n: Any, x: Any) -> Any:
    """Return the derivative of order ``n`` of ``psi`` at ``x``; there is none by ``n``."""
    if is_traced(n):
        refuse("special.polygamma", "n", "there is a derivative by x alone")
    n, x = np.asarray(n), _floats(x)
    factor = (-1.0) ** (n + 1) * plain_special.gamma(n + 1.0)
    if not n.ndim:
        return plain_special.psi(x) if n == 0 else factor * _zeta(float(n) + 1, x)
    return np.where(n == 0, plain_special.psi(x), factor * zeta(np.where(n == 0, 2.0, n + 1.0), x))


@instead_of(plain_special.multigammaln, examples=lambda draw: [(draw(low=3), 3), (draw(2, 3, low=3), 2)])
def multigammaln(a: Any, d: Any) -> Any:
    """Return the logarithm of the gamma function of ``d`` variables, as ``scipy.special.multigammaln``."""
    if not np.ndim(d) == 0 < d == int(d) or not np.all(real(a) > (d - 1) / 2):
        plain_special.multigammaln(real(a), d)  # which says what is wrong
    parts = [plain_special.gammaln(a - j / 2) for j in range(int(d))]
    return sum(parts, d * (d - 1) / 4 * np.log(np.pi))


def __getattr__(name: str) -> Any:
    value = getattr(plain_special, name, None)
    if not isinstance(value, np.ufunc):
        missing(plain_special, name, __name__)
    return value
