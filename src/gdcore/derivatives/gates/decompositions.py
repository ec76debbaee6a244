"""The gates of decompositions, which give several arrays: one gate gives them packed in one, and parts are views.

Eigenvalues that are equal, and singular values that are equal or zero, have vectors that are a matter of choice: a
derivative by way of those is nan. That of the values alone is right for what does not depend on their order.
``eigh`` reads one triangle of a symmetric matrix; its gradient is the symmetric one. ``pinv`` and ``lstsq`` of a
matrix that lacks rank have the derivative among matrices of that rank.
"""

import math
from typing import Any

import numpy as np

from .._gate import Gate
from .._tape import Pull
from .._traced import Traced, real
from ..joining import array
from .determinants import square_examples
from .table import derived


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
        inner = _on_diagonal(gw)
        if _used(gv):
            inner = inner + _skew_over(v.mT @ gv, w)
        whole = v @ inner @ v.mT
        return 0.5 * (whole + whole.mT)

    return pull


_eigh_gate = Gate("np.linalg.eigh", _eigh_forward, (_pull_eigh,))


def _symmetric(a: Any) -> Any:
    return a + a.mT


def _eigh_of(a: Any, uplo: Any = "L") -> Any:
    w, v = np.linalg.eigh(_symmetric(a), uplo)
    # Vectors of either sign will do, so what is tried does not depend on it.
    return np.concatenate([w, np.ravel(v * v).reshape((*w.shape[:-1], -1))], -1)


def _eigen_examples(draw: Any) -> list[tuple[Any, ...]]:
    spread = np.diag([0.0, 2.0, 5.0])
    return [(draw(3, 3) + spread,), (draw(2, 3, 3) + spread,), (draw(1, 1),)]


@derived(np.linalg.eigh, examples=lambda draw: [*_eigen_examples(draw), (draw(3, 3), "U")], of=_eigh_of)
def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # as NumPy names it
    n = a.shape[-1]
    v, w = _unpack(_eigh_gate(a, UPLO.upper()), (n, n), (n,))
    return type(np.linalg.eigh(np.eye(1)))(w, v)


@derived(np.linalg.eigvalsh, examples=_eigen_examples, of=lambda a: np.linalg.eigvalsh(_symmetric(a)))
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # as NumPy names it
    return _eigh(a, UPLO).eigenvalues


# Matrices with real eigenvalues.


def _eig_forward(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    if w.dtype.kind == "c":
        raise TypeError(
            "np.linalg.eig: expected real eigenvalues with a traced array, got complex ones, which have no gate"
        )
    return _pack(v, w[..., None])


def _pull_eig(ans: Any, a: Any) -> Pull:
    n = a.shape[-1]

    def pull(g: Any) -> Any:
        v, w = _unpack(ans, (n, n), (n,))
        gv, gw = _unpack(g, (n, n), (n,))
        inner = _on_diagonal(gw)
        if _used(gv):
            turned = v.mT @ gv
            # Vectors keep their length.
            inner = inner + _skew_over(turned - (v.mT @ v) * (v * gv).sum(axis=-2)[..., None, :], w)
        return np.linalg.solve(v.mT, inner @ v.mT)

    return pull


_eig_gate = Gate("np.linalg.eig", _eig_forward, (_pull_eig,))


def _eig_of(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    return np.concatenate([w, np.ravel(v * v).reshape((*w.shape[:-1], -1))], -1)


def _eig_examples(draw: Any) -> list[tuple[Any, ...]]:
    spread = np.diag([0.0, 3.0, 7.0])
    return [(0.3 * draw(3, 3) + spread,), (0.3 * draw(2, 3, 3) + spread,)]


@derived(np.linalg.eig, examples=_eig_examples, of=_eig_of)
def _eig(a: Any) -> Any:
    n = a.shape[-1]
    v, w = _unpack(_eig_gate(a), (n, n), (n,))
    return type(np.linalg.eig(np.eye(1)))(w, v)


@derived(np.linalg.eigvals, examples=_eig_examples)
def _eigvals(a: Any) -> Any:
    return _eig(a).eigenvalues


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
        inner = _on_diagonal(gs)
        if not _used(gu) and not _used(gvh):
            return u @ inner @ vh
        gv, squares = gvh.mT, s * s
        for_u, for_v = u.mT @ gu, vh @ gv
        turned_u, turned_v = _skew_over(for_u - for_u.mT, squares), _skew_over(for_v - for_v.mT, squares)
        whole = u @ (inner + turned_u * s[..., None, :] + s[..., :, None] * turned_v) @ vh
        divisor = np.where(real(s) == 0, np.nan, s)
        if m > k:
            whole = whole + ((gu - u @ for_u) / divisor[..., None, :]) @ vh
        if n > k:
            whole = whole + (u / divisor[..., None, :]) @ (gvh - for_v.mT @ vh)
        return whole

    return pull


_svd_gate = Gate("np.linalg.svd", _svd_forward, (_pull_svd,))


def _svd_of(a: Any, *args: Any, **kwargs: Any) -> Any:
    u, s, vh = np.linalg.svd(a, *args, **kwargs)
    back = (u * s[..., None, :]) @ vh
    parts = [np.reshape(x * x * (i + 1), (*s.shape[:-1], -1)) for i, x in enumerate((u, vh, back))]
    return np.concatenate([s, *parts], -1)


def _svd_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3, 3),), (draw(4, 2), False), (draw(2, 3), {"full_matrices": False}), (draw(2, 3, 2), False)]


@derived(np.linalg.svd, examples=_svd_examples, of=_svd_of)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    m, n = a.shape[-2:]
    k = min(m, n)
    u, s, vh = _unpack(_svd_gate(a), (m, k), (k,), (k, n))
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


@derived(np.linalg.svdvals, examples=_values_examples)
def _svdvals(x: Any, /) -> Any:
    return _svd(x, compute_uv=False)


# QR, of a matrix or of its first columns if it is wide.


def _pull_qr(ans: Any, a: Any) -> Pull:
    m, n = a.shape[-2:]

    def pull(g: Any) -> Any:
        q, r = _unpack(ans, (m, n), (n, n))
        gq, gr = _unpack(g, (m, n), (n, n))
        inner = r @ gr.mT - gq.mT @ q
        lower = np.tril(inner)
        lower = lower + np.tril(inner, -1).mT
        return np.linalg.solve(r, (gq + q @ lower).mT).mT

    return pull


_qr_gate = Gate("np.linalg.qr", lambda a: _pack(*np.linalg.qr(a)), (_pull_qr,), stacks=True)


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


@derived(np.linalg.qr, examples=_qr_examples, of=_qr_of)
def _qr(a: Any, mode: str = "reduced") -> Any:
    m, n = a.shape[-2:]
    if mode not in {"reduced", "r", "complete"} or (mode == "complete" and m > n):
        raise TypeError(f"np.linalg.qr: mode: expected 'reduced' or 'r' with a traced array, got {mode!r}")
    k = min(m, n)
    q, r = _unpack(_qr_gate(a[..., :k]), (m, k), (k, k))
    if n > k:
        r = np.concatenate([r, q.mT @ a[..., k:]], -1)
    return r if mode == "r" else type(np.linalg.qr(np.eye(1)))(q, r)


# Inverses of any matrix.


def _pull_pinv(ans: Any, a: Any, *more: Any, **options: Any) -> Pull:
    def pull(g: Any) -> Any:
        # Golub and Pereyra (1973), "The differentiation of pseudo-inverses", theorem 4.3.
        p, back = ans.mT, g.mT
        whole = -p @ g @ p
        whole = whole + (back - a @ (ans @ back)) @ ans @ p
        return whole + p @ ans @ (back - (back @ ans) @ a)

    return pull


_pinv_gate = Gate("np.linalg.pinv", np.linalg.pinv, (_pull_pinv, None), stacks=True)


@derived(
    np.linalg.pinv, examples=lambda draw: [(draw(3, 3),), (draw(4, 2),), (draw(2, 2, 3),), (draw(3, 1), 1e-10)]
)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    options = {} if rtol is np._NoValue else {"rtol": rtol}
    return _pinv_gate(a, **options) if rcond is None else _pinv_gate(a, rcond=rcond, **options)


@derived(
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
    rest = np.sum(np.square(b - a @ x), 0)
    left = rest.reshape(plain[1].shape) if plain[1].size else plain[1]
    return x, left, plain[2], _svdvals(a)


def condition_examples(draw: Any) -> list[tuple[Any, ...]]:
    """Return matrices that have an inverse, with all orders of a norm."""
    (a,) = square_examples(draw)[0]
    return [(a,), (a, -2), (a, 1), (a, "fro"), (a, np.inf), (draw(3, 2),)]


@derived(np.linalg.cond, examples=condition_examples)
def _cond(x: Any, p: Any = None) -> Any:
    if p is None or p in {2, -2}:
        s = _svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, (-2, -1))
