"""``scipy.linalg``: factors, solutions and functions of matrices.

A triangle that is not read has the gradient 0, but for ``cholesky`` and what is said to be symmetric: there it is
the symmetric one, that of both triangles.
"""

from functools import partial
from typing import Any

import numpy as np
from scipy import linalg as plain_linalg  # type: ignore[import-untyped,unused-ignore]

from ..derivatives import COMPLEX, HOLOMORPHIC, Gate, array
from .passing import instead_of, missing, refuse

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "expm",
    "inv",
    "solve",
    "solve_banded",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
]

of_complex = partial(instead_of, domain=COMPLEX)


def _regular(draw: Any, n: int = 3) -> Any:
    return draw(n, n, low=-0.4, high=0.4) + np.eye(n)


def _definite(a: Any) -> Any:
    return a @ np.conj(a.mT)


@of_complex(plain_linalg.cholesky, examples=lambda draw: [(_regular(draw),), (_regular(draw), True)],
            first=_definite)  # fmt: skip
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return Cholesky's factor of a symmetric, positive definite matrix, as ``scipy.linalg.cholesky``."""
    return np.linalg.cholesky(array(a), upper=not lower)


@of_complex(plain_linalg.cho_factor)
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return :func:`cholesky` of ``a`` and ``lower``, as :func:`cho_solve` takes them; the other triangle is 0."""
    return cholesky(a, lower), lower


@of_complex(plain_linalg.cho_solve, examples=lambda draw: [(_regular(draw), draw(3)), (_regular(draw), draw(3, 2))],
            first=lambda a: cho_factor(_definite(a)))  # fmt: skip
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Return the solution of ``a @ x = b``, given what :func:`cho_factor` returned of ``a``."""
    c, lower = c_and_lower
    half = solve_triangular(c, b, trans=0 if lower else 2, lower=lower)
    return solve_triangular(c, half, trans=2 if lower else 0, lower=lower)


def _triangular_of(a: Any, b: Any, trans: int, lower: bool, unit_diagonal: bool) -> Any:
    return plain_linalg.solve_triangular(a, b, trans=trans, lower=lower, unit_diagonal=unit_diagonal)


def _pull_triangular_a(ans: Any, a: Any, b: Any, trans: int, lower: bool, unit_diagonal: bool) -> Any:
    def pull(g: Any) -> Any:
        s = _triangular(a, g, 1 - trans, lower, unit_diagonal)
        first, second = (s, ans) if trans == 0 else (ans, s)
        whole = first[:, None] * second if ans.ndim == 1 else first @ second.T
        return -np.tril(whole, -unit_diagonal) if lower else -np.triu(whole, int(unit_diagonal))

    return pull


_triangular: Gate = Gate(
    "gd.scipy.linalg.solve_triangular",
    _triangular_of,
    (
        _pull_triangular_a,
        lambda ans, a, b, trans, lower, unit: lambda g: _triangular(a, g, 1 - trans, lower, unit),
    ),
    domain=HOLOMORPHIC,
)


def _triangular_examples(draw: Any) -> list[tuple[Any, ...]]:
    a = _regular(draw)
    return [
        (a, draw(3)),
        (a, draw(3, 2)),
        (a, draw(3), {"lower": True, "trans": 1}),
        (a, draw(3, 2), {"unit_diagonal": True, "trans": "T"}),
    ]


@of_complex(plain_linalg.solve_triangular, examples=_triangular_examples)
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """Return the solution of ``a @ x = b`` for a triangular ``a``, as ``scipy.linalg.solve_triangular``."""
    a, b = _one("solve_triangular", a), array(b)
    flipped = {0: 0, "N": 0, 1: 1, "T": 1, 2: 1, "C": 1}
    if trans not in flipped:
        raise ValueError(
            f"gd.scipy.linalg.solve_triangular: trans: expected 0, 1, 2, 'N', 'T' or 'C', got {trans!r}"
        )
    if not 1 <= b.ndim <= 2:
        raise ValueError(f"gd.scipy.linalg.solve_triangular: b: expected one or two axes, got shape {b.shape}")
    if trans in {2, "C"}:
        a = np.conj(a)
    return _triangular(a, b, flipped[trans], bool(lower), bool(unit_diagonal))


SYMMETRIC = {"sym", "symmetric", "her", "hermitian", "pos", "positive definite"}


@of_complex(plain_linalg.solve, examples=lambda draw: [(_regular(draw), draw(3)), (_regular(draw), draw(3, 2))])
def solve(
    a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
    check_finite: bool = True, assume_a: str | None = None, transposed: bool = False,
) -> Any:  # fmt: skip
    """Return the solution of ``a @ x = b``, as ``scipy.linalg.solve``."""
    a = _one("solve", a)
    if assume_a in {"upper triangular", "lower triangular"}:
        return solve_triangular(a, b, int(transposed), lower=assume_a == "lower triangular")
    if assume_a in SYMMETRIC:
        a = (a + (a.T if assume_a in {"sym", "symmetric"} else np.conj(a.T))) / 2
    elif assume_a not in {None, "gen", "general"}:
        refuse("linalg.solve", f"assume_a={assume_a!r}", "without it the solution is the same")
    return np.linalg.solve(a.T if transposed else a, array(b))


@of_complex(plain_linalg.inv, examples=lambda draw: [(_regular(draw),)])
def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True, **options: Any) -> Any:
    """Return the inverse of a matrix, as ``scipy.linalg.inv``."""
    return np.linalg.inv(array(a))


@of_complex(plain_linalg.det, examples=lambda draw: [(_regular(draw),)])
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return the determinant of a matrix, as ``scipy.linalg.det``."""
    a = array(a)
    return np.linalg.det(a.astype(np.promote_types(a.dtype, float)))  # of float32, too, SciPy has float64


def _pull_expm(ans: Any, a: Any) -> Any:
    # The derivative of a function of a matrix is a block of the function of a larger one. Najfeld, Havel (1995),
    # "Derivatives of the matrix exponential and their computation".
    n = a.shape[-1]

    def pull(g: Any) -> Any:
        corner = a.mT + np.zeros_like(g)
        above = np.concatenate([corner, g], axis=-1)
        beneath = np.concatenate([np.zeros_like(g), corner], axis=-1)
        return _expm(np.concatenate([above, beneath], axis=-2))[..., :n, n:]

    return pull


_expm: Gate = Gate("gd.scipy.linalg.expm", plain_linalg.expm, (_pull_expm,), stacks=True, domain=HOLOMORPHIC)


@of_complex(plain_linalg.expm, examples=lambda draw: [(draw(3, 3),), (draw(2, 2, 2),)])
def expm(A: Any) -> Any:  # noqa: N803
    """Return the exponential of a matrix, as ``scipy.linalg.expm``."""
    return _expm(array(A))


def _sqrtm_of(a: Any) -> Any:
    root = plain_linalg.sqrtm(a)
    if a.dtype.kind != "c" and np.iscomplexobj(root) and not np.any(root.imag):
        root = root.real
    return root.astype(np.result_type(a, root.dtype.type(0)) if root.dtype.kind == "f" else root.dtype, copy=False)


_sqrtm: Gate = Gate(
    "gd.scipy.linalg.sqrtm",
    _sqrtm_of,
    (lambda ans, a: lambda g: _sylvester(ans.T, ans.T, g),),
    domain=HOLOMORPHIC,
)


@of_complex(plain_linalg.sqrtm, examples=lambda draw: [(_regular(draw),)],
            first=_definite)  # fmt: skip
def sqrtm(A: Any) -> Any:  # noqa: N803
    """Return the root of a matrix, which may be complex, as ``scipy.linalg.sqrtm``."""
    return _sqrtm(_one("sqrtm", A))


def _sylvester_of(*matrices: Any) -> Any:
    # Of one dtype: SciPy takes Schur's real form of a real matrix, which beside a complex one is no triangle.
    dtype = np.result_type(*matrices)
    return plain_linalg.solve_sylvester(*(np.asarray(matrix, dtype) for matrix in matrices))


_sylvester: Gate = Gate(
    "gd.scipy.linalg.solve_sylvester",
    _sylvester_of,
    (
        lambda ans, a, b, q: lambda g: -(_sylvester(a.T, b.T, g) @ ans.T),
        lambda ans, a, b, q: lambda g: -(ans.T @ _sylvester(a.T, b.T, g)),
        lambda ans, a, b, q: lambda g: _sylvester(a.T, b.T, g),
    ),
    domain=HOLOMORPHIC,
)


@of_complex(_sylvester_of,
            examples=lambda draw: [(_regular(draw), _regular(draw, 2), draw(3, 2))])  # fmt: skip
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Return the solution of ``a @ x + x @ b = q``, as ``scipy.linalg.solve_sylvester``."""
    return _sylvester(_one("solve_sylvester", a), _one("solve_sylvester", b), _one("solve_sylvester", q))


def _flipped(l_and_u: tuple[int, int], ab: Any) -> Any:
    """Return the bands of the transposed matrix."""
    lower, upper = l_and_u
    return np.stack([np.roll(ab[lower + upper - r], lower - r) for r in range(lower + upper + 1)])


def _pull_bands(ans: Any, l_and_u: tuple[int, int], ab: Any, b: Any) -> Any:
    lower, upper = l_and_u
    n = len(ans)
    columns = np.arange(n)

    def pull(g: Any) -> Any:
        s = _banded((upper, lower), _flipped(l_and_u, ab), g)
        rows = []
        for d in range(-upper, lower + 1):
            product = np.roll(s, -d, axis=0) * ans
            within = (columns + d >= 0) & (columns + d < n)
            rows.append(-(product if ans.ndim == 1 else np.sum(product, axis=1)) * within)
        return np.stack(rows)

    return pull


_banded: Gate = Gate(
    "gd.scipy.linalg.solve_banded",
    plain_linalg.solve_banded,
    (
        None,
        _pull_bands,
        lambda ans, l_and_u, ab, b: lambda g: _banded(l_and_u[::-1], _flipped(l_and_u, ab), g),
    ),
    domain=HOLOMORPHIC,
)


def _banded_examples(draw: Any) -> list[tuple[Any, ...]]:
    ab = draw(3, 4, low=-0.5, high=0.5)
    ab[1] += 2
    wide = draw(4, 4, low=-0.5, high=0.5)
    wide[1] += 2
    return [((1, 1), ab, draw(4)), ((2, 1), wide, draw(4, 2))]


@of_complex(plain_linalg.solve_banded, examples=_banded_examples)
def solve_banded(
    l_and_u: tuple[int, int], ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """Return the solution of ``a @ x = b`` for a matrix given by its bands, as ``scipy.linalg.solve_banded``."""
    return _banded(tuple(l_and_u), array(ab), array(b))


@of_complex(plain_linalg.block_diag, examples=lambda draw: [(draw(2, 2), draw(3), draw(1, 2))])
def block_diag(*arrs: Any) -> Any:
    """Return the matrix with these blocks on its diagonal, as ``scipy.linalg.block_diag``."""
    blocks = [np.atleast_2d(array(block)) for block in arrs]
    width, left, rows = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        right = width - left - block.shape[1]
        rows.append(np.pad(block, ((0, 0), (left, right))))
        left += block.shape[1]
    return np.concatenate(rows)


def _one(name: str, a: Any) -> Any:
    a = array(a)
    if a.ndim != 2:
        raise ValueError(f"gd.scipy.linalg.{name}: expected one matrix, got shape {a.shape}")
    return a


def __getattr__(name: str) -> Any:
    missing(plain_linalg, name, __name__)
