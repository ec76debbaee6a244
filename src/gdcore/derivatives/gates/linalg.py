"""The gates of linear algebra: products, and what ``np.linalg`` solves.

At the zero vector, ``norm`` has the gradient 0. ``cholesky`` reads one triangle of a symmetric matrix; its gradient
is the symmetric one, that of both triangles.
"""

import math
import operator
from string import ascii_letters
from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .._gate import COMPLEX, HOLOMORPHIC, Gate, conj, shrink
from .._layers import Matmul
from .._tape import Pull
from .._traced import real
from ..joining import array, is_sparse
from .determinants import adjoint, square_examples
from .lengths import along, in_range, moderate, power_of_two, square_size
from .table import TABLE, Row, of_complex, row


def _fit(pull: Pull, made: tuple[int, ...], wanted: tuple[int, ...]) -> Pull:
    return pull if made == wanted else shrink(pull, made, wanted)


def _stack_times(g: Any, m: Any) -> Any:
    """Return ``g @ m``; of basis vectors, one after the other, as for a Jacobian, that is a view of ``m``."""
    rows = len(g) if g.ndim == 2 else 0
    if rows and type(g) is np.ndarray and type(m) is np.ndarray and g.dtype is m.dtype:
        first = int(g[0].argmax())
        unit = g.diagonal(first)
        if len(unit) == rows == np.count_nonzero(unit == 1) == np.count_nonzero(g) and np.isfinite(m.sum()):
            return m[first : first + rows]
    return g @ m


def _pull_matmul_x(ans: Any, x: Any, y: Any) -> Pull:
    if y.ndim == 2:
        return (lambda g: _stack_times(g, y.T)) if x.ndim == 1 else lambda g: g @ y.T
    if y.ndim == 1:
        return lambda g: g[..., None] * y
    if x.ndim == 1:
        return _fit(lambda g: (g[..., None, :] @ y.mT)[..., 0, :], (*ans.shape[:-1], len(x)), x.shape)
    return _fit(lambda g: g @ y.mT, (*ans.shape[:-1], x.shape[-1]), x.shape)


def _pull_matmul_y(ans: Any, x: Any, y: Any) -> Pull:
    if x.ndim == 2 == y.ndim:
        return lambda g: x.T @ g
    if x.ndim == 2 and y.ndim == 1:
        return lambda g: _stack_times(g, x)
    if x.ndim == 1:
        return (lambda g: g[..., None] * x) if y.ndim == 1 else (lambda g: x[:, None] * g[..., None, :])
    if y.ndim == 1:
        return _fit(lambda g: g[..., None] * x, x.shape, y.shape)
    if y.ndim == 2:
        ndim, rows = ans.ndim, math.prod(x.shape[:-1])
        return lambda g: x.reshape(rows, x.shape[-1]).T @ g.reshape(*g.shape[: g.ndim - ndim], rows, g.shape[-1])
    return _fit(lambda g: x.mT @ g, ans.shape[:-2] + y.shape[-2:], y.shape)


def _product_examples(draw: Any) -> list[tuple[Any, ...]]:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((5, 2, 3), (3, 4)),
        ((3,), (5, 3, 2)), ((2, 0), (0, 3)), ((0, 2), (2, 3)),
    ]  # fmt: skip
    return [(draw(*a), draw(*b)) for a, b in shapes]


def _stacked_product_examples(draw: Any) -> list[tuple[Any, ...]]:
    more: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (3, 3, 1)),
    ]  # fmt: skip
    return [*_product_examples(draw), *((draw(*a), draw(*b)) for a, b in more)]


_matmul = Gate("np.matmul", np.matmul, (_pull_matmul_x, _pull_matmul_y), stacks=True, domain=HOLOMORPHIC)
_sparse_product: Gate = Gate(
    "scipy.sparse @",
    lambda w, x: x @ w,
    (lambda ans, w, x: lambda g: _sparse_product(g, x.T), None),
    domain=HOLOMORPHIC,
)


def _matmul_of_others(x: Any, y: Any) -> Any:
    if is_sparse(x):
        return _sparse_product(array(y), x)
    if is_sparse(y):
        x = array(x)
        return _sparse_product(x, y.T) if x.ndim == 1 else _sparse_product(x.T, y.T).T
    return matmul(array(x), array(y))  # the vjps ask a constant for its axes too


matmul = Matmul(_matmul, _matmul_of_others)
"""``x @ y``, one or both of them traced."""

TABLE.append(Row(np.matmul, _stacked_product_examples, np.matmul, matmul, operator.matmul, matmul, HOLOMORPHIC))


@of_complex(
    np.dot,
    examples=lambda draw: [
        *_product_examples(draw),
        (draw(2, 3), draw(4, 3, 2)),
        (draw(), draw(3)),
        (draw(3), 2.0),
    ],
)
def _dot(x: Any, y: Any, out: None = None) -> Any:
    x, y = array(x), array(y)
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return x * y
    return _tensordot(x, y, ((-1,), (-2,))) if np.ndim(y) > 2 else matmul(x, y)


@of_complex(np.vdot, examples=lambda draw: [(draw(3), draw(3)), (draw(2, 3), draw(3, 2))])
def _vdot(x: Any, y: Any) -> Any:
    return conj(np.ravel(x)) @ np.ravel(y)


@of_complex(np.inner, examples=lambda draw: [(draw(3), draw(3)), (draw(2, 3), draw(4, 3)), (draw(), draw(3))])
def _inner(x: Any, y: Any) -> Any:
    return x * y if np.ndim(x) == 0 or np.ndim(y) == 0 else _tensordot(x, y, ((-1,), (-1,)))


@of_complex(np.outer, examples=lambda draw: [(draw(3), draw(2)), (draw(2, 2), draw(3)), (draw(0), draw(3))])
def _outer(x: Any, y: Any, out: None = None) -> Any:
    return np.ravel(x)[:, None] * np.ravel(y)


def _tensordot_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(2, 3, 4), draw(3, 4, 5)),
        (draw(2, 3), draw(3, 2), 1),
        (draw(2), draw(3), 0),
        (draw(2, 3, 4), draw(4, 3), {"axes": ([1, 2], [1, 0])}),
        (draw(2, 3), draw(4, 3), (1, 1)),
        (draw(2, 0), draw(0, 2), 1),
    ]


@of_complex(np.tensordot, examples=_tensordot_examples)
def _tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int | np.integer):
        axes = tuple(range(-int(axes), 0)), tuple(range(int(axes)))
    x, y = array(x), array(y)
    at_x, at_y = (
        list(normalize_axis_tuple(tuple(np.atleast_1d(group).astype(int)), x_or_y.ndim))
        for group, x_or_y in zip(axes, (x, y), strict=True)
    )
    if [x.shape[a] for a in at_x] != [y.shape[a] for a in at_y]:
        raise ValueError(
            f"np.tensordot: axes: expected axes of equal lengths, got {at_x} of {x.shape} and {at_y} of {y.shape}"
        )
    free_x = [a for a in range(x.ndim) if a not in at_x]
    free_y = [a for a in range(y.ndim) if a not in at_y]
    inner = math.prod(x.shape[a] for a in at_x)
    shape_x = tuple(x.shape[a] for a in free_x)
    shape_y = tuple(y.shape[a] for a in free_y)
    left = np.transpose(x, free_x + at_x).reshape(math.prod(shape_x), inner)
    right = np.transpose(y, at_y + free_y).reshape(inner, math.prod(shape_y))
    return matmul(left, right).reshape(shape_x + shape_y)


FEW: Final = 30_000  # products, which take less time than to look for a path by which BLAS could make them


def _pull_einsum(i: int, ans: Any, subscripts: str, *operands: Any, optimize: Any = False) -> Pull:
    i -= 1
    terms, output = subscripts.split("->")
    inputs = terms.split(",")
    sizes: dict[str, int] = {}
    for term, operand in zip(inputs, operands, strict=True):
        for letter, size in zip(term, operand.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, size)) if size else 0
    unused = iter(sorted(set(ascii_letters) - set(sizes)))
    x = operands[i]
    others = [*inputs[:i], *inputs[i + 1 :]]
    factors = [*operands[:i], *operands[i + 1 :]]
    target = ""
    for letter in inputs[i]:
        if letter in target:  # a diagonal: what is beside it gets no gradient
            fresh = next(unused)
            sizes[fresh] = sizes[letter]
            others.append(letter + fresh)
            factors.append(np.eye(sizes[letter], dtype=x.dtype))
            letter = fresh  # noqa: PLW2901
        target += letter
    # A letter is known where an array has its full length: one that is broadcast from 1 says nothing of it.
    known = set(output)
    for term, factor in zip(others, factors, strict=True):
        known |= {letter for letter, size in zip(term, factor.shape, strict=True) if size == sizes[letter]}
    for letter in target:
        if letter not in known:  # summed over in this operand alone
            others.append(letter)
            factors.append(np.ones(sizes[letter], x.dtype))
    back = f"{','.join([output, *others])}->{target}"
    optimize = math.prod(sizes.values()) > FEW
    made = tuple(sizes[letter] for letter in target)
    return _fit(lambda g: np.einsum(back, g, *factors, optimize=optimize), made, x.shape)


_einsum = row(
    np.einsum,
    _pull_einsum,
    variadic=True,
    domain=HOLOMORPHIC,
    entry=lambda *args, **kwargs: _einsum_entry(*args, **kwargs),  # noqa: PLW0108  # declared below
    examples=lambda draw: [
        ("ij,jk->ik", draw(2, 3), draw(3, 2)),
        ("ij,jk", draw(2, 3), draw(3, 2)),
        ("i,i", draw(3), draw(3)),
        ("ij->", draw(2, 3)),
        ("ii->i", draw(3, 3)),
        ("ii", draw(3, 3)),
        ("ij->ji", draw(2, 3)),
        ("i,j,k->kij", draw(2), draw(3), draw(2)),
        ("...ij,...jk->...ik", draw(4, 2, 3), draw(3, 2)),
        ("b...,b->...", draw(2, 3), draw(2)),
        ("ij,kj->i", draw(2, 3), draw(4, 3)),
        ("ij,jk->ik", draw(2, 0), draw(0, 2)),
        (draw(2, 3), [0, 1], draw(3, 2), [1, 2], [0, 2]),
        (draw(3, 3), [0, 0]),
        (draw(2, 3), [..., 1], draw(3), [1], [...]),
        ("ij,jk,k->i", draw(2, 3), draw(3, 2), draw(2), {"optimize": True}),
    ],
)


def _einsum_entry(subscripts: Any, *operands: Any, optimize: Any = False, **kwargs: Any) -> Any:
    if not isinstance(subscripts, str):
        subscripts, operands = _written_out(subscripts, *operands)
    operands = tuple(map(array, operands))
    kwargs |= {"optimize": optimize} if optimize else {}
    return _einsum(_explicit(subscripts.replace(" ", ""), operands), *operands, **kwargs)


def _written_out(*args: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the subscripts as a string, given operands that are followed by lists of numbers."""
    terms = ["".join("..." if k is ... else ascii_letters[k] for k in term) for term in args[1::2]]
    written = ",".join(terms)
    if len(args) % 2:
        written += "->" + "".join("..." if k is ... else ascii_letters[k] for k in args[-1])
    return written, args[: len(args) // 2 * 2 : 2]


def _explicit(subscripts: str, operands: tuple[Any, ...]) -> str:
    """Return the subscripts with their output written out and letters for the ellipsis."""
    terms, arrow, output = subscripts.partition("->")
    inputs = terms.split(",")
    if len(inputs) != len(operands):
        raise ValueError(f"np.einsum: expected {len(inputs)} operands for {subscripts!r}, got {len(operands)}")
    spare = [letter for letter in ascii_letters if letter not in subscripts]
    hidden = [x.ndim - len(term) + 3 for term, x in zip(inputs, operands, strict=True) if "..." in term]
    dots = "".join(spare[: max(hidden, default=0)])
    if not arrow:
        output = ("..." if dots else "") + "".join(sorted(c for c in set(terms) - set(",.") if terms.count(c) == 1))
    inputs = [
        term.replace("...", dots[len(dots) - (x.ndim - len(term) + 3) :] if "..." in term else "")
        for term, x in zip(inputs, operands, strict=True)
    ]
    return f"{','.join(inputs)}->{output.replace('...', dots)}"


def _solve_b(a: Any, g: Any, b_ndim: int) -> Any:
    return np.linalg.solve(a.mT, g[..., None])[..., 0] if b_ndim == 1 else np.linalg.solve(a.mT, g)


def _pull_solve_a(ans: Any, a: Any, b: Any) -> Pull:
    if b.ndim == 1:
        made = (*ans.shape, ans.shape[-1])
        return _fit(lambda g: -_solve_b(a, g, 1)[..., None] * ans[..., None, :], made, a.shape)
    return _fit(lambda g: -_solve_b(a, g, 2) @ ans.mT, ans.shape[:-2] + a.shape[-2:], a.shape)


def _pull_solve_b(ans: Any, a: Any, b: Any) -> Pull:
    ndim = min(b.ndim, 2)
    return _fit(lambda g: _solve_b(a, g, ndim), ans.shape, b.shape)


def _pull_cholesky(ans: Any, a: Any, *, upper: bool = False) -> Pull:
    def pull(g: Any) -> Any:
        lower, g = (adjoint(ans), adjoint(g)) if upper else (ans, g)
        # Murray (2016), "Differentiation of the Cholesky decomposition", section 4.
        inner = np.tril(adjoint(lower) @ g)
        inner = inner - 0.5 * (inner * np.eye(inner.shape[-1], dtype=inner.dtype))
        half = np.linalg.solve(adjoint(lower), inner)
        whole = np.linalg.solve(adjoint(lower), adjoint(half))
        return 0.5 * (whole + adjoint(whole))

    return pull


def _well_conditioned(draw: Any, *shape: int) -> Any:
    return draw(*shape, low=-0.3, high=0.3) + np.eye(shape[-1])


def _solve_examples(draw: Any) -> list[tuple[Any, ...]]:
    a = _well_conditioned(draw, 3, 3)
    return [
        (a, draw(3)),
        (a, draw(3, 2)),
        (_well_conditioned(draw, 2, 3, 3), draw(3, 2)),
        (a, draw(2, 3, 1)),
        (_well_conditioned(draw, 2, 3, 3), draw(3)),
    ]


row(
    np.linalg.inv,
    lambda ans, a: lambda g: -(ans.mT @ g @ ans.mT),
    stacks=True,
    domain=HOLOMORPHIC,
    examples=square_examples,
)
row(np.linalg.solve, _pull_solve_a, _pull_solve_b, examples=_solve_examples, stacks=True, domain=HOLOMORPHIC)
row(
    np.linalg.cholesky,
    _pull_cholesky,
    of=lambda a: np.linalg.cholesky(a @ adjoint(a)),
    examples=square_examples,
    stacks=True,
    domain=COMPLEX,
)


def _pull_norm(ans: Any, x: Any, axis: tuple[int, ...]) -> Pull:
    kept = tuple(a - x.ndim for a in axis)
    return along(ans, x, lambda g: np.expand_dims(g, kept))


def _euclidean(x: Any, axis: tuple[int, ...]) -> Any:
    return np.sqrt(np.sum(square_size(x), axis))


def _norm_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(3),), (draw(2, 3),), (draw(2, 3), "fro"), (draw(2, 3), None, 0),
        (draw(2, 3), {"axis": 1, "keepdims": True}),
        (draw(3), 1), (draw(3), np.inf), (draw(3), -np.inf), (draw(3), 3), (draw(2, 3), 1), (draw(2, 3), np.inf),
        (draw(2, 3, 2), "fro", (0, 2)), (draw(2, 3, 2), -1, (0, 1)), (draw(3, 2), 2, 1), (draw(0),),
        (draw(2, 3), 2), (draw(3, 3), -2), (draw(2, 3, 2), "nuc", (0, 2)),
    ]  # fmt: skip


euclidean = Gate(
    "np.linalg.norm", lambda x, axis: in_range(_euclidean, x, axis), (_pull_norm,), stacks=True, domain=COMPLEX
)


@of_complex(np.linalg.norm, examples=_norm_examples)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002
    axes: Any = (
        tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    )
    axes = normalize_axis_tuple(axes, x.ndim)
    if ord is None or ord == "fro" or (ord == 2 and len(axes) == 1):
        ans = euclidean(x, axes)
    elif len(axes) == 1 and isinstance(ord, int | float | np.number) and ord != 0:
        ans = _vector_norm(np.abs(x), ord, axes[0])
    elif len(axes) == 1 and ord == 0:
        return np.linalg.norm(real(x), 0, axes[0], keepdims)
    elif len(axes) == 2 and ord in {2, -2, "nuc"}:
        s = np.linalg.svdvals(np.moveaxis(x, axes, (-2, -1)))
        ans = s.sum(axis=-1) if ord == "nuc" else s[..., 0] if ord == 2 else s[..., -1]
    elif len(axes) == 2 and ord in {1, -1, np.inf, -np.inf}:
        first, last = axes if abs(ord) == 1 else axes[::-1]
        sums = np.abs(x).sum(axis=first, keepdims=True)
        ans = np.squeeze((np.max if ord > 0 else np.min)(sums, axis=last, keepdims=True), axes)
    else:
        raise TypeError(
            f"np.linalg.norm: ord: expected None, 'fro', 'nuc', 1, -1, 2, -2, inf, -inf, or another number for "
            f"vectors, got {ord!r} for {len(axes)} axes"
        )
    return np.expand_dims(ans, axes) if keepdims else ans


def _vector_norm(size: Any, order: Any, axis: int) -> Any:
    if math.isinf(order):
        return (np.max if order > 0 else np.min)(size, axis=axis)
    if order == 1:
        return size.sum(axis=axis)
    # A length is as much larger as its vector, so that a constant can be put before it. Of a negative order, the
    # smallest element counts most.
    plain = real(size)
    with np.errstate(all="ignore"):
        total = (size ** float(order)).sum(axis=axis)
    if moderate(real(total)):
        return total ** (1 / order)
    scale = power_of_two(plain if order > 0 else np.min(plain, axis, keepdims=True, initial=np.inf), axis)
    total = ((size / scale) ** float(order)).sum(axis=axis)
    scale = scale.reshape(total.shape)
    if order < 0:
        return scale * total ** (1 / order)
    # At 0 the root has no derivative; that of the norm is 0 by convention.
    return scale * np.where(real(total) == 0, 0, np.where(real(total) == 0, 1, total) ** (1 / order))
