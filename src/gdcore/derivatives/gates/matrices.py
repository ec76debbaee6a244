"""The gates of products of vectors and matrices that are made of others, of norms of every order, and aliases."""

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .._gate import HOLOMORPHIC, Gate, conj
from .._tape import Pull
from ..joining import array
from .linalg import matmul
from .table import of_complex


def _vectors(x: Any, axis: int) -> Any:
    return x if axis == -1 else np.moveaxis(x, axis, -1)


def _vecdot_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3), draw(3)), (draw(2, 3), draw(3)), (draw(3, 2), draw(3, 2), {"axis": 0})]


def _vecdot(x: Any, y: Any, /, *, axis: int = -1, axes: None = None) -> Any:
    if axes is not None:
        raise TypeError("np.vecdot: axes: expected None with a traced array, got some; use np.moveaxis")
    return (conj(_vectors(array(x), axis)) * _vectors(array(y), axis)).sum(axis=-1)


of_complex(np.vecdot, np.linalg.vecdot, examples=_vecdot_examples)(_vecdot)

if hasattr(np, "matvec"):  # since NumPy 2.2

    @of_complex(
        np.matvec, examples=lambda draw: [(draw(2, 3), draw(3)), (draw(4, 2, 3), draw(3)), (draw(2, 3), draw(4, 3))]
    )
    def _matvec(x: Any, y: Any) -> Any:
        return matmul(x, array(y)[..., None])[..., 0]

    @of_complex(
        np.vecmat, examples=lambda draw: [(draw(2), draw(2, 3)), (draw(4, 2), draw(2, 3)), (draw(2), draw(4, 2, 3))]
    )
    def _vecmat(x: Any, y: Any) -> Any:
        return matmul(conj(array(x))[..., None, :], y)[..., 0, :]


def _pull_kron(first: bool) -> Any:
    def vjp(ans: Any, a: Any, b: Any) -> Pull:
        ndim, shape = a.ndim, tuple(n for pair in zip(a.shape, b.shape, strict=True) for n in pair)
        at_a, at_b = [*range(0, 2 * ndim, 2)], [*range(1, 2 * ndim, 2)]
        at, other, at_other = (at_a, b, at_b) if first else (at_b, a, at_a)

        def pull(g: Any) -> Any:
            parts = g.reshape(g.shape[: g.ndim - ndim] + shape)
            return np.einsum(parts, [..., *range(2 * ndim)], other, at_other, [..., *at])

        return pull

    return vjp


_kron_gate = Gate("np.kron", np.kron, (_pull_kron(True), _pull_kron(False)), stacks=True, domain=HOLOMORPHIC)


@of_complex(
    np.kron,
    examples=lambda draw: [(draw(2, 3), draw(3, 2)), (draw(2), draw(3)), (draw(2), draw(2, 2)), (2.0, draw(2))],
)
def _kron(a: Any, b: Any) -> Any:
    a, b = array(a), array(b)
    ndim = max(a.ndim, b.ndim)
    return _kron_gate(*(x if x.ndim == ndim else np.reshape(x, (1,) * (ndim - x.ndim) + x.shape) for x in (a, b)))


def _cross_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(3), draw(3)), (draw(2, 3), draw(3)), (draw(3, 2), draw(3, 2), {"axis": 0})]


@of_complex(np.cross, examples=_cross_examples)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _vectors(array(a), axisa), _vectors(array(b), axisb)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(f"np.cross: expected vectors of 3 elements, got {a.shape[-1]} and {b.shape[-1]}")
    ahead, behind = np.array([1, 2, 0]), np.array([2, 0, 1])
    ans = a[..., ahead] * b[..., behind] - a[..., behind] * b[..., ahead]
    return np.moveaxis(ans, -1, axisc) if ans.ndim > 1 else ans


@of_complex(np.linalg.cross, examples=_cross_examples)
def _linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return _cross(x1, x2, axis=axis)


@of_complex(
    np.linalg.matrix_power,
    examples=lambda draw: [(draw(3, 3), 3), (draw(2, 2, 2), 2), (draw(3, 3), 5), (draw(2, 2) + 3 * np.eye(2), -2),
                           (draw(2, 2), 1), (draw(2, 2), 0)],
)  # fmt: skip
def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    ans = None
    if n == 0:
        return a * 0 + np.eye(a.shape[-1], dtype=a.dtype)
    while n:
        if n % 2:
            ans = a if ans is None else ans @ a
        n //= 2
        a = a @ a if n else a
    return ans


@of_complex(
    np.linalg.multi_dot,
    examples=lambda draw: [
        ([draw(2, 3), draw(3, 2)],),
        ([draw(3), draw(3, 2), draw(2)],),
        ([draw(2, 3), draw(3, 4), draw(4, 1), draw(1, 2)],),
    ],
)
def _multi_dot(arrays: Any, *, out: None = None) -> Any:
    parts = [*map(array, arrays)]
    if len(parts) < 2:
        raise ValueError(f"np.linalg.multi_dot: arrays: expected at least two, got {len(parts)}")
    first, last = parts[0], parts[-1]
    parts[0] = first[None] if first.ndim == 1 else first
    parts[-1] = last[:, None] if last.ndim == 1 else last
    ans = _chain(parts)
    return ans[(0 if first.ndim == 1 else slice(None), 0 if last.ndim == 1 else slice(None))]


def _chain(parts: list[Any]) -> Any:
    """Return the product of matrices, worked out in the order that takes the fewest multiplications."""
    sizes = [parts[0].shape[0], *(x.shape[1] for x in parts)]
    count = len(parts)
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(count)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            best[i, j] = min(
                (best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def product(i: int, j: int) -> Any:
        k = best[i, j][1]
        return parts[i] if i == j else product(i, k) @ product(k + 1, j)

    return product(0, count - 1)


@of_complex(np.linalg.tensorinv, examples=lambda draw: [(np.reshape(draw(6, 6) + 5 * np.eye(6), (2, 3, 6)),)])
def _tensorinv(a: Any, ind: int = 2) -> Any:
    shape = a.shape[ind:] + a.shape[:ind]
    return np.reshape(np.linalg.inv(np.reshape(a, (math.prod(a.shape[:ind]), -1))), shape)


@of_complex(
    np.linalg.tensorsolve,
    examples=lambda draw: [(np.reshape(draw(6, 6) + 5 * np.eye(6), (2, 3, 6)), draw(2, 3))],
)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = array(a), array(b)
    if axes is not None:
        axes = [normalize_axis_index(k, a.ndim) for k in axes]
        a = np.transpose(a, (*(k for k in range(a.ndim) if k not in axes), *axes))
    shape = a.shape[b.ndim :]
    return np.reshape(np.linalg.solve(np.reshape(a, (-1, math.prod(shape))), np.ravel(b)), shape)


# Norms.


def _vector_norm_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(3),), (draw(2, 3),), (draw(2, 3), {"axis": 1}), (draw(2, 3), {"axis": 0, "ord": 3, "keepdims": True}),
        (draw(2, 3), {"ord": np.inf}), (draw(2, 3, 2), {"axis": (0, 2), "ord": 1}),
    ]  # fmt: skip


@of_complex(np.linalg.vector_norm, examples=_vector_norm_examples)
def _vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:  # noqa: A002
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    axes = tuple(normalize_axis_index(k, x.ndim) for k in axes)
    free = tuple(k for k in range(x.ndim) if k not in axes)
    moved = np.transpose(x, free + axes)
    flat = np.reshape(moved, (*moved.shape[: len(free)], math.prod(x.shape[k] for k in axes)))
    ans = np.linalg.norm(flat, ord, -1)
    return np.expand_dims(ans, axes) if keepdims else ans


@of_complex(
    np.linalg.matrix_norm,
    examples=lambda draw: [
        (draw(2, 3),),
        (draw(2, 2, 3), {"ord": "nuc"}),
        (draw(2, 3), {"ord": 2, "keepdims": True}),
    ],
)
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:  # noqa: A002
    return np.linalg.norm(x, ord, (-2, -1), keepdims)


# np.linalg's own names of what NumPy has.


def _alias(function: Any, plain: Any, examples: Any) -> None:
    of_complex(function, examples=examples)(lambda *args, **kwargs: plain(*map(array, args), **kwargs))


_alias(np.linalg.matmul, np.matmul, lambda draw: [(draw(2, 3), draw(3, 2))])
_alias(np.linalg.outer, np.outer, lambda draw: [(draw(2), draw(3))])


@of_complex(np.linalg.tensordot, examples=lambda draw: [(draw(2, 3), draw(3, 2), {"axes": 1})])
def _tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return np.tensordot(array(x1), array(x2), axes)


@of_complex(np.linalg.diagonal, examples=lambda draw: [(draw(2, 3, 3),), (draw(3, 3), {"offset": 1})])
def _diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return np.diagonal(x, offset, -2, -1)


@of_complex(np.linalg.trace, examples=lambda draw: [(draw(2, 3, 3),), (draw(3, 3), {"offset": 1})])
def _trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return np.trace(x, offset, -2, -1, dtype)
