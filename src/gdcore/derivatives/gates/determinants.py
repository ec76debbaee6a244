"""The gates of ``det`` and ``slogdet``.

``det`` is a polynomial: its gradient is the matrix of cofactors everywhere. Where the matrix has no inverse, or
none that is exact, they come from the singular values, by products in which nothing is divided.
"""

from typing import Any, Final

import numpy as np

from .._gate import COMPLEX, HOLOMORPHIC, Gate, conj
from .._tape import Pull
from .._traced import Traced, real
from .lengths import moderate
from .products import others, without_two
from .table import of_complex, row

WELL_CONDITIONED: Final = 1e6
AHEAD, BEHIND = np.array([1, 2, 0]), np.array([2, 0, 1])


def adjoint(x: Any) -> Any:
    """Return the matrices transposed, and conjugated if they are complex."""
    return conj(x.mT)


def square_examples(draw: Any) -> list[tuple[Any, ...]]:
    """Return matrices that have an inverse."""
    shapes = ((3, 3), (1, 1), (2, 3, 3), (0, 2, 2))
    return [(draw(*shape, low=-0.3, high=0.3) + np.eye(shape[-1]),) for shape in shapes]


def _det_examples(draw: Any) -> list[tuple[Any, ...]]:
    rank_1 = draw(3, 1) @ draw(1, 3)
    rank_2 = rank_1 + draw(3, 1) @ draw(1, 3)
    return [*square_examples(draw), (rank_2,), (np.stack([rank_1, rank_2, np.eye(3)]),), (np.zeros((2, 2)),)]


def _inverse_of(a: Any) -> Any:
    """Return the inverses of a stack of matrices, nan where there is none."""
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        if a.ndim == 2:
            return np.full_like(a, np.nan)
        return np.stack([_inverse_of(one) for one in a])


_inverse = Gate(
    "inverse", _inverse_of, (lambda ans, a: lambda g: -(ans.mT @ g @ ans.mT),), stacks=True, domain=HOLOMORPHIC
)


def _usual(a: Any, det: Any) -> Any:
    """Return the transposed inverse if it is exact enough for cofactors, else None."""
    if not moderate(det):
        return None
    inverse = _inverse_of(a).mT
    size = np.abs(a).sum(axis=(-2, -1)) * np.abs(inverse).sum(axis=(-2, -1))
    return inverse if np.all(size < WELL_CONDITIONED) else None


def _minors(a: Any) -> Any:
    """Return the cofactors of matrices of 3 by 3, cross products of their rows."""
    b, c = a[..., AHEAD, :], a[..., BEHIND, :]
    return b[..., AHEAD] * c[..., BEHIND] - b[..., BEHIND] * c[..., AHEAD]


def _turned(a: Any) -> tuple[Any, Any, Any]:
    """Return ``u``, the singular values, and ``v`` of ``a = u @ diag(s) @ v`` such that ``det(u) det(v)`` is 1."""
    known = np.isfinite(a).all(axis=(-2, -1), keepdims=True)
    u, s, v = np.linalg.svd(np.where(known, a, 0))
    s = np.where(known[..., 0], s, np.nan)
    sign = np.linalg.det(u) * np.linalg.det(v)
    sign = sign if a.dtype.kind == "c" else np.rint(sign).astype(a.dtype)
    u[..., :, -1] *= conj(sign)[..., None]
    s = s.astype(a.dtype)
    s[..., -1] *= sign
    return u, s, v


def _cofactors_of(a: Any) -> Any:
    with np.errstate(under="ignore", over="ignore"):
        det = np.linalg.det(a)
        inverse = _usual(a, det)
        if inverse is not None:
            return det[..., None, None] * inverse
        if a.shape[-1] == 3 and np.isfinite(minors := _minors(a)).all():
            return minors
    u, s, v = _turned(a)
    return (conj(u) * others(s)[..., None, :]) @ conj(v)


def _pull_cofactors(ans: Any, a: Any) -> Pull:
    def pull(c: Any) -> Any:
        if type(c) is Traced or type(a) is Traced:
            inverse = _inverse(a).mT
            share = (inverse * c).sum(axis=(-2, -1))[..., None, None] * inverse - inverse @ c.mT @ inverse
            return np.linalg.det(a)[..., None, None] * share
        u, s, v = _turned(a)
        c = adjoint(u) @ c @ adjoint(v)
        rest = without_two(s)
        inner = -rest * c.mT
        at = np.arange(a.shape[-1])
        inner[..., at, at] = (rest @ c[..., at, at, None])[..., 0]
        return conj(u) @ inner @ conj(v)

    return pull


_cofactors = Gate("cofactors", _cofactors_of, (_pull_cofactors,), stacks=True, domain=HOLOMORPHIC)

row(
    np.linalg.det,
    lambda ans, a: lambda g: g[..., None, None] * _cofactors(a),
    examples=_det_examples,
    stacks=True,
    domain=HOLOMORPHIC,
)


def _logdet(a: Any) -> Any:
    return np.linalg.slogdet(a).logabsdet


_logdet_gate = row(
    _logdet,
    lambda ans, a: lambda g: g[..., None, None] * adjoint(_inverse(a)),
    examples=square_examples,
    of=lambda a: np.linalg.slogdet(a).logabsdet,
    stacks=True,
    domain=COMPLEX,
)
_angle_gate = Gate(
    "np.linalg.slogdet",
    lambda a: np.angle(np.linalg.slogdet(a).sign),
    (lambda ans, a: lambda g: g[..., None, None] * 1j * adjoint(_inverse(a)),),
    stacks=True,
    domain=COMPLEX,
)


def _sum_of_slogdet(a: Any) -> Any:
    sign, logabsdet = np.linalg.slogdet(a)
    return sign + logabsdet


@of_complex(np.linalg.slogdet, examples=square_examples, of=_sum_of_slogdet)
def _slogdet(a: Any) -> Any:
    plain = np.linalg.slogdet(real(a))
    sign = np.exp(1j * _angle_gate(a)) if plain.sign.dtype.kind == "c" else plain.sign
    return type(plain)(sign, _logdet_gate(a))
