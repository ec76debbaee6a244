"""The gates of decompositions, which give several arrays: one gate gives them packed in one, and parts are views.

Eigenvalues that are equal, and singular values that are equal or zero, have vectors that are a matter of choice: a
derivative by way of those is nan. That of the values alone is right for what does not depend on their order.
``eigh`` reads one triangle of a symmetric matrix; its gradient is the symmetric one. ``pinv`` and ``lstsq`` of a
matrix that lacks rank have the derivative among matrices of that rank.
"""

import math
from typing import Any

import numpy as np

from .._gate import COMPLEX, Gate, conj
from .._tape import Pull
from .._traced import Traced, real
from ..joining import array
from .determinants import adjoint, square_examples
from .lengths import square_size
from .table import of_complex, parted, row


def _pack(*parts: Any) -> Any:
    """Return arrays that have the axes of a stack in front as one, with all their elements along the last axis."""
    stack = parts[0].shape[: parts[0].ndim - 2]
    return np.concatenate([np.reshape(x, (*stack, math.prod(x.shape[len(stack) :]))) for x in parts], -1)


def _unpack(packed: Any, *shapes: tuple[int, ...]) -> list[Any]:
    """Return the parts of a packed array, or of its gradient, given their shapes without those of the stack."""
    parts, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        parts.append(np.reshape(packed[..., start : start + size], packed.shape[:-1] + shape))
        start += size
    return parts


def _used(g: Any) -> bool:
    """Return whether a part of the result has a gradient, or may have one that can be differentiated."""
    return type(g) is Traced or bool(g.any())


def _skew_over(inner: Any, values: Any) -> Any:
    """Return ``inner[i, j] / (values[j] - values[i])``, and 0 on the diagonal."""
    alone = np.eye(values.shape[-1], dtype=bool)
    apart = values[..., None, :] - values[..., :, None]
    equal = ~alone & (real(apart) == 0)
    return np.where(alone, 0, inner) / np.where(alone, 1, np.where(equal, np.nan, apart))


def _on_diagonal(x: Any) -> Any:
    return x[..., None] * np.eye(x.shape[-1], dtype=x.dtype)


# Symmetric matrices.


def _eigh_forward(a: Any, uplo: Any) -> Any:
    w, v = np.linalg.eigh(a, uplo)
    return _pack(v, w[..., None])


def _pull_eigh(ans: Any, a: Any, uplo: str) -> Pull:
    n = a.shape[-1]

    def pull(g: Any) -> Any:
        v, w = _unpack(ans, (n, n), (n,))
        gv, gw = _unpack(g, (n, n), (n,))
        w, inner = w.real, _on_diagonal(gw)
        if _used(gv):
            inner = inner + _skew_over(adjoint(v) @ gv, w)
        whole = v @ inner @ adjoint(v)
        return 0.5 * (whole + adjoint(whole))

    return pull


_eigh_gate = Gate("np.linalg.eigh", _eigh_forward, (_pull_eigh,), domain=COMPLEX)


def _symmetric(a: Any) -> Any:
    return a + adjoint(a)


def _eigh_of(a: Any, uplo: Any = "L") -> Any:
    w, v = np.linalg.eigh(_symmetric(a), uplo)
    # Vectors of any sign will do, so what is tried does not depend on it.
    return np.concatenate([w, np.ravel(square_size(v)).reshape((*w.shape[:-1], -1))], -1)


def _eigen_examples(draw: Any) -> list[tuple[Any, ...]]:
    spread = np.diag([0.0, 2.0, 5.0])
    return [(draw(3, 3) + spread,), (draw(2, 3, 3) + spread,), (draw(1, 1),)]


@of_complex(np.linalg.eigh, examples=lambda draw: [*_eigen_examples(draw), (draw(3, 3), "U")], of=_eigh_of)
def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # as NumPy names it
    n = a.shape[-1]
    v, w = _unpack(_eigh_gate(a, UPLO.upper()), (n, n), (n,))
    return type(np.linalg.eigh(np.eye(1)))(w.real, v)


@of_complex(np.linalg.eigvalsh, examples=_eigen_examples, of=lambda a: np.linalg.eigvalsh(_symmetric(a)))
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # as NumPy names it
    return _eigh(a, UPLO).eigenvalues


# Any matrices.


def _eig_forward(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    return _pack(v, w[..., None])


def _pull_eig(ans: Any, a: Any) -> Pull:
    n = a.shape[-1]

    def pull(g: Any) -> Any:
        v, w = _unpack(ans, (n, n), (n,))
        gv, gw = _unpack(g, (n, n), (n,))
        inner = _on_diagonal(gw)
        if _used(gv):
            turned = adjoint(v) @ gv
            # Vectors keep their length.
            kept = (conj(v) * gv).sum(axis=-2).real[..., None, :]
            inner = inner + _skew_over(turned - (adjoint(v) @ v) * kept, conj(w))
        return np.linalg.solve(adjoint(v), inner @ adjoint(v))

    return pull


_eig_gate = Gate("np.linalg.eig", _eig_forward, (_pull_eig,), domain=COMPLEX)


def _eig_of(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    # NumPy 2.5 has complex ones always, earlier ones where they are.
    return np.concatenate([w.real, w.imag, np.ravel(square_size(v)).reshape((*w.shape[:-1], -1))], -1)


def _eig_examples(draw: Any) -> list[tuple[Any, ...]]:
    spread = np.diag([0.0, 3.0, 7.0])
    return [(0.3 * draw(3, 3) + spread,), (0.3 * draw(2, 3, 3) + spread,)]


@of_complex(np.linalg.eig, examples=_eig_examples, of=_eig_of)
def _eig(a: Any) -> Any:
    n = a.shape[-1]
    v, w = _unpack(_eig_gate(a), (n, n), (n,))
    return type(np.linalg.eig(np.eye(1)))(w, v)


def _pull_eigvals(ans: Any, a: Any) -> Pull:
    w, v = np.linalg.eig(a)
    # Those of a large matrix may come in another order with their vectors than without.
    apart = np.abs(real(ans)[..., :, None] - real(w)[..., None, :])
    at = apart.argmin(axis=-2) if apart.size else np.zeros(w.shape, int)

    def pull(g: Any) -> Any:
        return np.linalg.solve(adjoint(v), _on_diagonal(np.take_along_axis(g, at, -1)) @ adjoint(v))

    return pull


row(np.linalg.eigvals, _pull_eigvals, examples=_eig_examples, of=parted(np.linalg.eigvals), domain=COMPLEX)


# Singular values.


def _svd_forward(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return _pack(u, s[..., None], vh)


def _pull_svd(ans: Any, a: Any) -> Pull:
    m, n = a.shape[-2:]
    k = min(m, n)

    def pull(g: Any) -> Any:
        u, s, vh = _unpack(ans, (m, k), (k,), (k, n))
        gu, gs, gvh = _unpack(g, (m, k), (k,), (k, n))
        s = s.real
        inner = _on_diagonal(gs)
        if not _used(gu) and not _used(gvh):
            return u @ inner @ vh
        gv, squares = adjoint(gvh), s * s
        for_u, for_v = adjoint(u) @ gu, vh @ gv
        turned_u = _skew_over(for_u - adjoint(for_u), squares)
        turned_v = _skew_over(for_v - adjoint(for_v), squares)
        divisor = np.where(real(s) == 0, np.nan, s)
        if real(u).dtype.kind == "c":  # what turns u alone by a phase
            inner = inner + _on_diagonal(1j * np.diagonal(for_u, 0, -2, -1).imag / divisor)
        whole = u @ (inner + turned_u * s[..., None, :] + s[..., :, None] * turned_v) @ vh
        if m > k:
            whole = whole + ((gu - u @ for_u) / divisor[..., None, :]) @ vh
        if n > k:
            whole = whole + (u / divisor[..., None, :]) @ (gvh - adjoint(for_v) @ vh)
        return whole

    return pull


_svd_gate = Gate("np.linalg.svd", _svd_forward, (_pull_svd,), domain=COMPLEX)


def _svd_of(a: Any, *args: Any, **kwargs: Any) -> Any:
    u, s, vh = np.linalg.svd(a, *args, **kwargs)
    back = (u * s[..., None, :]) @ vh
    parts = [np.reshape(square_size(x) * (i + 1), (*s.shape[:-1], -1)) for i, x in enumerate((u, vh, back))]
    return np.concatenate([s, *parts], -1)


def _svd_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3, 3),), (draw(4, 2), False), (draw(2, 3), {"full_matrices": False}), (draw(2, 3, 2), False)]


@of_complex(np.linalg.svd, examples=_svd_examples, of=_svd_of)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    m, n = a.shape[-2:]
    k = min(m, n)
    u, s, vh = _unpack(_svd_gate(a), (m, k), (k,), (k, n))
    s = s.real
    if not compute_uv:
        return s
    if full_matrices and m != n:
        raise TypeError(
            f"np.linalg.svd: full_matrices: expected False with a traced array of shape {a.shape}, as further "
            f"columns are a matter of choice, got True"
        )
    return type(np.linalg.svd(np.eye(1)))(u, s, vh)


def _values_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3, 3),), (draw(4, 2),), (draw(2, 2, 3),)]


@of_complex(np.linalg.svdvals, examples=_values_examples)
def _svdvals(x: Any, /) -> Any:
    return _svd(x, compute_uv=False)


# QR, of a matrix or of its first columns if it is wide.


def _pull_qr(ans: Any, a: Any) -> Pull:
    m, n = a.shape[-2:]

    def pull(g: Any) -> Any:
        q, r = _unpack(ans, (m, n), (n, n))
        gq, gr = _unpack(g, (m, n), (n, n))
        inner = r @ adjoint(gr) - adjoint(gq) @ q
        below = np.tril(inner, -1)
        lower = below + adjoint(below) + _on_diagonal(np.diagonal(inner, 0, -2, -1).real)
        return adjoint(np.linalg.solve(r, adjoint(gq + q @ lower)))

    return pull


_qr_gate = Gate("np.linalg.qr", lambda a: _pack(*np.linalg.qr(a)), (_pull_qr,), stacks=True, domain=COMPLEX)


def _qr_of(a: Any, mode: Any = "reduced") -> Any:
    if mode == "r":
        return np.linalg.qr(a, mode)
    q, r = np.linalg.qr(a, mode)
    return np.concatenate([np.reshape(x, (*a.shape[:-2], -1)) for x in (q, r)], -1)


def _qr_examples(draw: Any) -> list[tuple[Any, ...]]:
    tall = draw(4, 2) + 2 * np.eye(4, 2)
    wide = draw(2, 4) + 2 * np.eye(2, 4)
    return [
        (tall,),
        (wide,),
        (draw(3, 3) + 2 * np.eye(3), "complete"),
        (tall, "r"),
        (np.stack([tall, tall[::-1]]),),
    ]


@of_complex(np.linalg.qr, examples=_qr_examples, of=_qr_of)
def _qr(a: Any, mode: str = "reduced") -> Any:
    m, n = a.shape[-2:]
    if mode not in {"reduced", "r", "complete"} or (mode == "complete" and m > n):
        raise TypeError(f"np.linalg.qr: mode: expected 'reduced' or 'r' with a traced array, got {mode!r}")
    k = min(m, n)
    q, r = _unpack(_qr_gate(a[..., :k]), (m, k), (k, k))
    if n > k:
        r = np.concatenate([r, adjoint(q) @ a[..., k:]], -1)
    return r if mode == "r" else type(np.linalg.qr(np.eye(1)))(q, r)


# Inverses of any matrix.


def _pull_pinv(ans: Any, a: Any, *more: Any, **options: Any) -> Pull:
    def pull(g: Any) -> Any:
        # Golub and Pereyra (1973), "The differentiation of pseudo-inverses", theorem 4.3.
        p, back = adjoint(ans), adjoint(g)
        whole = -p @ g @ p
        whole = whole + (back - a @ (ans @ back)) @ ans @ p
        return whole + p @ ans @ (back - (back @ ans) @ a)

    return pull


_pinv_gate = Gate("np.linalg.pinv", np.linalg.pinv, (_pull_pinv, None), stacks=True, domain=COMPLEX)


@of_complex(
    np.linalg.pinv, examples=lambda draw: [(draw(3, 3),), (draw(4, 2),), (draw(2, 2, 3),), (draw(3, 1), 1e-10)]
)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    options = {} if rtol is np._NoValue else {"rtol": rtol}
    return _pinv_gate(a, **options) if rcond is None else _pinv_gate(a, rcond=rcond, **options)


@of_complex(
    np.linalg.lstsq,
    examples=lambda draw: [
        (draw(4, 2), draw(4)), (draw(2, 4), draw(2, 3)), (draw(3, 3), draw(3)), (draw(5, 2), draw(5, 2), 1e-10),
    ],
    of=lambda a, b, *more: np.concatenate([np.ravel(np.linalg.lstsq(a, b, *more)[i]) for i in (0, 1, 3)]),
)  # fmt: skip
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = array(a), array(b)
    plain = np.linalg.lstsq(real(a), real(b), rcond)
    limit = np.finfo(a.dtype).eps * max(a.shape) if rcond is None else rcond
    x = np.linalg.pinv(a, limit) @ b
    rest = np.sum(square_size(b - a @ x), 0)
    left = rest.reshape(plain[1].shape) if plain[1].size else plain[1]
    return x, left, plain[2], _svdvals(a)


def condition_examples(draw: Any) -> list[tuple[Any, ...]]:
    """Return matrices that have an inverse, with all orders of a norm."""
    (a,) = square_examples(draw)[0]
    norms = (1, "fro", np.inf) if np.isrealobj(np.linalg.cond(a, 1)) else ()  # NumPy 2.0 has complex ones
    return [(a,), (a, -2), *((a, p) for p in norms), (draw(3, 2),)]


@of_complex(np.linalg.cond, examples=condition_examples)
def _cond(x: Any, p: Any = None) -> Any:
    if p is None or p in {2, -2}:
        s = _svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, (-2, -1))
