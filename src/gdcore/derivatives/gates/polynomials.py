"""The gates of polynomials, given by their coefficients, the highest power first.

Leading coefficients that are 0 are left out where NumPy leaves them out, and have the gradient 0 then. Equal roots
have none.
"""

from typing import Any

import numpy as np

from .._traced import real
from ..joining import array
from .table import of_complex


@of_complex(
    np.polyval,
    examples=lambda draw: [(draw(3), draw(4)), (draw(3), 0.5), ([1.0, 2.0], draw(2, 2)), (draw(1), draw())],
)
def _polyval(p: Any, x: Any) -> Any:
    p, x = array(p), array(x)
    y = np.zeros_like(real(x))
    for k in range(len(p)):
        y = y * x + p[k]
    return y


@of_complex(np.vander, examples=lambda draw: [(draw(3),), (draw(3), 2), (draw(2), 4, True), (draw(2), 0)])
def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:  # noqa: N803  # as NumPy names it
    powers = np.arange(len(x) if N is None else N)
    # Of zero, too, the power 1 has the derivative 1 and the power 0 none.
    x = x.astype(np.promote_types(x.dtype, int))
    columns = [x ** int(k) for k in (powers if increasing else powers[::-1])]
    return np.stack(columns, 1) if columns else np.zeros((len(x), 0), x.dtype) + x[:, None][:, :0]


def _row(p: Any) -> Any:
    return np.atleast_1d(array(p))


def _trimmed(p: Any) -> Any:
    """Return the coefficients without leading zeros."""
    p = _row(p)
    at = np.flatnonzero(real(p))
    return p[int(at[0]) if len(at) else len(p) - 1 :]


def _aligned(a: Any, b: Any) -> tuple[Any, Any]:
    a, b = _row(a), _row(b)
    n = max(len(a), len(b))
    return tuple(np.concatenate([np.zeros(n - len(p), p.dtype), p]) if len(p) < n else p for p in (a, b))  # type: ignore[return-value]


def _two_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3), draw(2)), (draw(2), draw(3)), (draw(2), [1.0, 2.0]), (draw(), draw(2))]


@of_complex(np.polyadd, examples=_two_examples)
def _polyadd(a1: Any, a2: Any) -> Any:
    a, b = _aligned(a1, a2)
    return a + b


@of_complex(np.polysub, examples=_two_examples)
def _polysub(a1: Any, a2: Any) -> Any:
    a, b = _aligned(a1, a2)
    return a - b


@of_complex(np.polymul, examples=_two_examples)
def _polymul(a1: Any, a2: Any) -> Any:
    return np.convolve(_trimmed(a1), _trimmed(a2))


def _sum_of_polydiv(u: Any, v: Any) -> Any:
    return np.concatenate(np.polydiv(u, v))


@of_complex(
    np.polydiv,
    examples=lambda draw: [(draw(4), draw(2, low=0.5)), (draw(3), draw(3, low=0.5)), (draw(2), [2.0, 1.0, 3.0])],
    of=_sum_of_polydiv,
)
def _polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    u, v = _row(u), _row(v)
    u = u.astype(np.result_type(u.dtype, v.dtype, 1.0))
    n = len(v)
    rest, quotient, scale = u, [], 1.0 / v[0]  # rounded as NumPy does, as what is next to 0 is left out
    for k in range(len(u) - n + 1):
        d = scale * rest[k]
        quotient.append(d)
        rest = np.concatenate([rest[:k], rest[k : k + n] - d * v, rest[k + n :]])
    while np.allclose(real(rest[0]), 0, rtol=1e-14) and len(rest) > 1:
        rest = rest[1:]
    return np.stack(quotient) if quotient else np.zeros(1, u.dtype), rest


@of_complex(np.polyder, examples=lambda draw: [(draw(4),), (draw(4), 2), (draw(1),), (draw(3), 0)])
def _polyder(p: Any, m: int = 1) -> Any:
    p = _row(p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@of_complex(
    np.polyint,
    examples=lambda draw: [(draw(3),), (draw(3), 2), (draw(2), 2, draw(2)), (draw(2), 1, 3.0), (draw(2), 0)],
)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    p, k = _row(p), np.zeros(m) if k is None else _row(k)
    k = np.broadcast_to(k, (m,)) if len(k) == 1 else k
    if len(k) < m:
        raise ValueError(f"np.polyint: k: expected a number or {m} of them, got {len(k)}")
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), k[i : i + 1]])
    return p


def _apart(draw: Any, n: int) -> Any:
    return draw(n, low=-0.3, high=0.3) + np.arange(1.0, n + 1)


@of_complex(np.poly, examples=lambda draw: [(draw(3),), (0.3 * draw(2, 2) + np.diag([0.0, 3.0]),)])
def _poly(seq_of_zeros: Any) -> Any:
    zeros = _row(seq_of_zeros)
    zeros = np.linalg.eigvals(zeros) if zeros.ndim == 2 else zeros
    ans = np.ones(1, zeros.dtype)
    for zero in zeros:
        ans = np.convolve(ans, np.stack([np.ones((), zeros.dtype), -zero]))
    plain = real(zeros)
    if plain.dtype.kind == "c" and np.all(np.sort(plain) == np.sort(plain.conj())):
        return ans.real
    return ans


@of_complex(
    np.roots,
    examples=lambda draw: [(np.array([1.0, -6.0, 11.0, -6.0]) + 0.01 * draw(4),), (_apart(draw, 2),)],
)
def _roots(p: Any) -> Any:
    p = _row(p)
    at = np.flatnonzero(real(p))
    if not len(at):
        return np.array([])
    behind, p = len(p) - 1 - int(at[-1]), p[int(at[0]) : int(at[-1]) + 1]
    if len(p) == 1:
        return np.zeros(behind)
    top = -p[1:] / p[0]
    found = np.linalg.eigvals(np.concatenate([top[None], np.eye(len(top) - 1, len(top), dtype=top.dtype)]))
    # Of real coefficients, roots that are all real are given as real numbers, also where eigvals has complex ones.
    if top.dtype.kind == "f" and not real(found).imag.any():
        found = found.real
    return np.concatenate([found, np.zeros(behind, found.dtype)]) if behind else found


@of_complex(
    np.polyfit,
    examples=lambda draw: [
        (np.arange(4.0), draw(4), 2),
        (_apart(draw, 4), draw(4), 1),
        (_apart(draw, 4), draw(4, 2), 1, {"w": np.array([1.0, 2.0, 1.0, 0.5])}),
    ],
)
def _polyfit(
    x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    if full or cov:
        raise TypeError("np.polyfit: full, cov: expected False with a traced array, got True")
    x, y = array(x), array(y)
    x, y = x.astype(np.result_type(x.dtype, 1.0)), y.astype(np.result_type(y.dtype, 1.0))
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    columns = np.vander(x, int(deg) + 1)
    if w is not None:
        w = array(w)
        columns, y = columns * w[:, None], (y * w[:, None] if y.ndim == 2 else y * w)
    # Columns of very different sizes would be solved with few digits.
    size = np.sqrt(np.sum(real(columns * np.conj(columns)), axis=0))
    ans = np.linalg.lstsq(columns / size, y, rcond)[0]
    return ans / (size[:, None] if y.ndim == 2 else size)
