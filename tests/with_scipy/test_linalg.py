"""Functions of matrices: conventions of triangles, options, and NumPy as the other route."""

import numpy as np
import pytest

import gdcore as gd

scipy_linalg = pytest.importorskip("scipy.linalg")
linalg = gd.scipy.linalg

RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 4)) + 4 * np.eye(4)
S = A @ A.T
B = RNG.standard_normal((4, 2))


@pytest.mark.parametrize("lower", [True, False])
def test_cholesky_has_the_symmetric_gradient(lower):
    g = gd.grad(lambda s: np.sum(linalg.cholesky(s, lower=lower) * B[:, :1]))(S)
    np.testing.assert_allclose(g, g.T)
    np.testing.assert_allclose(g, gd.grad(lambda s: np.sum(np.linalg.cholesky(s, upper=not lower) * B[:, :1]))(S))


def test_a_triangle_that_is_not_read_has_no_gradient():
    g = gd.grad(lambda a: np.sum(linalg.solve_triangular(a, B)))(A)
    assert not np.tril(g, -1).any()
    g = gd.grad(lambda a: np.sum(linalg.solve_triangular(a, B, lower=True, unit_diagonal=True)))(A)
    assert not np.triu(g).any()


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("b", [B, B[:, 0]])
def test_solve_triangular_agrees_with_solve(trans, lower, b):
    def by_numpy(p):
        a = np.tril(p[0]) if lower else np.triu(p[0])
        return np.linalg.solve(a if trans in {0, "N"} else a.T, p[1])

    ours = gd.jacobian(lambda p: linalg.solve_triangular(p[0], p[1], trans, lower))([A, b])
    for x, y in zip(ours, gd.jacobian(by_numpy)([A, b]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("assume_a", [None, "gen", "sym", "pos", "upper triangular", "lower triangular"])
def test_solve_takes_scipys_assumptions(assume_a):
    a = S if assume_a in {"sym", "pos"} else np.tril(A) if assume_a == "lower triangular" else np.triu(A)
    f = lambda a: np.sum(linalg.solve(a, B, assume_a=assume_a) ** 2)  # noqa: E731
    np.testing.assert_allclose(gd.value_and_grad(f)(a)[0], f(a), rtol=1e-10)
    g = gd.grad(f)(a)
    full = gd.grad(lambda a: np.sum(np.linalg.solve(a, B) ** 2))(a)
    if assume_a in {"sym", "pos"}:
        full = (full + full.T) / 2
    elif assume_a in {"upper triangular", "lower triangular"}:
        full *= a != 0
    np.testing.assert_allclose(g, full, rtol=1e-10, atol=1e-14)
    flipped = lambda a: np.sum(linalg.solve(a, B, transposed=True) ** 2)  # noqa: E731
    np.testing.assert_allclose(gd.value_and_grad(flipped)(a)[0], flipped(a), rtol=1e-10)


def test_expm_of_what_commutes_is_the_exponential_of_its_elements():
    t = np.array([0.3, -0.7])
    turn = lambda t: linalg.expm(t[0] * np.array([[0.0, -1.0], [1.0, 0.0]]) + t[1] * np.eye(2))  # noqa: E731
    by_hand = lambda t: np.exp(t[1]) * np.array(  # noqa: E731
        [[np.cos(t[0]), -np.sin(t[0])], [np.sin(t[0]), np.cos(t[0])]])  # fmt: skip
    np.testing.assert_allclose(gd.jacobian(turn)(t), gd.jacobian(by_hand)(t), atol=1e-14)
    np.testing.assert_allclose(gd.jacobian(gd.jacobian(turn))(t), gd.jacobian(gd.jacobian(by_hand))(t), atol=1e-13)


def test_expm_agrees_with_scipys_derivative():
    v = RNG.standard_normal((4, 4))
    _, derivative = scipy_linalg.expm_frechet(A / 4, v)
    np.testing.assert_allclose(gd.jacobian(linalg.expm)(A / 4).reshape(16, 16) @ v.ravel(), derivative.ravel())


def test_solve_banded_agrees_with_solve():
    ab = RNG.standard_normal((4, 5))
    ab[1] += 5

    def by_numpy(p):
        a = sum(np.diag(p[0][1 + d, max(-d, 0) : 5 - max(d, 0)], -d) for d in range(-1, 3))
        return np.linalg.solve(a, p[1])

    for b in (RNG.standard_normal(5), RNG.standard_normal((5, 2))):
        ours = gd.jacobian(lambda p: linalg.solve_banded((2, 1), p[0], p[1]))([ab, b])
        for x, y in zip(ours, gd.jacobian(by_numpy)([ab, b]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-13)


def test_block_diag_takes_numbers_vectors_and_matrices():
    f = lambda p: linalg.block_diag(p[0], p[1], p[2])  # noqa: E731
    params = [2.0, np.array([1.0, 2.0]), B]
    gd.check_grads(f, params)
    np.testing.assert_array_equal(gd.value_and_grad(lambda p: np.sum(f(p) * 2))(params)[0], 2 * f(params).sum())
