"""What is smooth has its second derivatives, also where it is made of lengths, which have a kink there."""

import numpy as np
import pytest

import gdcore as gd

A = np.array
EYE = np.eye(2)
CENTRED = A([[0.5, -0.5], [-0.5, 0.5]])

SMOOTH = {
    "norm(w)**2": (lambda w: np.linalg.norm(w) ** 2, 2 * EYE),
    "norm(w)**2.0": (lambda w: np.linalg.norm(w) ** 2.0, 2 * EYE),
    "square(norm(w))": (lambda w: np.square(np.linalg.norm(w)), 2 * EYE),
    "power(norm(w), 2)": (lambda w: np.power(np.linalg.norm(w), A(2.0)), 2 * EYE),
    "norm * norm": (lambda w: np.linalg.norm(w) * np.linalg.norm(w), 2 * EYE),
    "norm of order 2": (lambda w: np.linalg.norm(w, 2) ** 2, 2 * EYE),
    "Frobenius": (lambda w: np.linalg.norm(w[None], "fro") ** 2, 2 * EYE),
    "norms of rows": (lambda w: np.sum(np.linalg.norm(w[None], axis=1) ** 2), 2 * EYE),
    "norms of columns": (lambda w: np.sum(np.linalg.norm(w[None], axis=0) ** 2), 2 * EYE),
    "keepdims": (lambda w: np.sum(np.linalg.norm(w[None], axis=1, keepdims=True) ** 2), 2 * EYE),
    "dot of norms": (lambda w: (n := np.linalg.norm(w[:, None], axis=1)) @ n, 2 * EYE),
    "norm of norms": (lambda w: np.linalg.norm(np.linalg.norm(w[:, None], axis=1)) ** 2, 2 * EYE),
    "norm of a multiple": (lambda w: np.linalg.norm(3 * w) ** 2 / 9, 2 * EYE),
    "hypot**2": (lambda w: np.hypot(w[0], w[1]) ** 2, 2 * EYE),
    "hypot of arrays": (lambda w: np.sum(np.hypot(w, 0.0) ** 2), 2 * EYE),
    "abs**2": (lambda w: np.sum(np.abs(w) ** 2), 2 * EYE),
    "fabs**2": (lambda w: np.sum(np.fabs(w) ** 2), 2 * EYE),
    "abs * abs": (lambda w: np.sum(abs(w) * np.abs(w)), 2 * EYE),
    "abs @ abs": (lambda w: np.abs(w) @ np.abs(w), 2 * EYE),
    "std**2": (lambda w: np.std(w) ** 2, CENTRED),
    "std with ddof": (lambda w: w.std(ddof=1) ** 2, 2 * CENTRED),
    "std of rows": (lambda w: np.sum(np.std(w[None], axis=1, keepdims=True) ** 2), CENTRED),
    "sqrt**2": (lambda w: np.sqrt(np.sum(w**2)) ** 2, 2 * EYE),
    "square(sqrt)": (lambda w: np.square(np.sqrt(w @ w)), 2 * EYE),
    "cosh": (lambda w: np.cosh(np.linalg.norm(w)), EYE),
    "cos of abs": (lambda w: np.sum(np.cos(np.abs(w))), -EYE),
    "of a trained-on net": (lambda w: np.log1p(np.exp(-(np.linalg.norm(w) ** 2))), -EYE),
    "norm**3": (lambda w: np.linalg.norm(w) ** 3, 0 * EYE),
    "norm of order 3, **3": (lambda w: np.linalg.norm(w, 3) ** 3, 0 * EYE),
    "in a block": (lambda w: gd.rematerialise(np.linalg.norm)(w) ** 2, 2 * EYE),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("f", "expected"), SMOOTH.values(), ids=SMOOTH)
def test_hessian_at_zero(f, expected, dtype):
    at = np.zeros(2, dtype)
    np.testing.assert_array_equal(gd.grad(f)(at), 0)
    got = gd.hessian(f)(at)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, atol=1e-7)
    v = A([1.0, -2.0], dtype)
    np.testing.assert_allclose(gd.hvp(f)(at, v), expected @ v, atol=1e-6)


def test_some_zeros_among_others():
    x = A([[0.0, 0.0], [3.0, 4.0]])

    def f(x):
        return np.sum(np.linalg.norm(x, axis=1) ** 2 * A([1.0, 2.0]))

    np.testing.assert_allclose(gd.hessian(f)(x).reshape(4, 4), np.diag([2.0, 2.0, 4.0, 4.0]), atol=1e-12)


def test_ridge_has_its_curvature_at_the_usual_start():
    x = np.random.default_rng(0).standard_normal((20, 3))
    x[:, 2] = x[:, 1]

    def loss(penalty):
        return lambda w: np.mean((x @ w - x[:, 0]) ** 2) + 0.1 * penalty(w)

    got = gd.hessian(loss(lambda w: np.linalg.norm(w) ** 2))(np.zeros(3))
    np.testing.assert_allclose(got, gd.hessian(loss(lambda w: np.sum(w * w)))(np.zeros(3)), atol=1e-14)
    assert np.linalg.eigvalsh(got)[0] > 0.19


def test_what_the_curvature_depends_on_is_differentiated():
    f = lambda v: np.linalg.norm(v[:2]) ** 2 * np.exp(v[2])  # noqa: E731
    np.testing.assert_allclose(gd.hessian(f)(A([0.0, 0.0, 0.5])), np.diag([2, 2, 0]) * np.exp(0.5), atol=1e-12)
    third = gd.jacobian(gd.hessian(f))(A([0.0, 0.0, 0.5]))
    np.testing.assert_allclose(third[:, :, 2], np.diag([2, 2, 0]) * np.exp(0.5), atol=1e-12)


def test_the_jacobian_of_a_jacobian_at_zero():
    f = lambda w: np.stack([np.linalg.norm(w) ** 2, 3 * np.linalg.norm(w) ** 2])  # noqa: E731
    np.testing.assert_allclose(gd.jacobian(gd.jacobian(f))(np.zeros(2)), [2 * EYE, 6 * EYE], atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        np.linalg.norm,
        np.std,
        lambda w: np.sum(np.abs(w)),
        lambda w: np.hypot(w[0], w[1]),
        lambda w: np.linalg.norm(w) * w[0],
        lambda w: np.sum(np.abs(w) * w),
    ],
)
def test_the_second_derivative_of_a_kink_is_0_by_convention(f):
    np.testing.assert_array_equal(gd.hessian(f)(np.zeros(2)), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_of_lengths_have_their_second_derivatives_along_each_axis(dtype):
    """Where the mixed ones do not exist, they are 0 by convention."""
    at = np.zeros(3, dtype)
    for f, expected in (
        (lambda w: np.prod(np.abs(w)[:2]), [0, 0, 0]),
        (lambda w: np.abs(w)[0] * np.abs(w)[1] + np.abs(w[2]) ** 2, [0, 0, 2]),
        (lambda w: np.sum(np.abs(w)) ** 2, [2, 2, 2]),
        (lambda w: np.linalg.norm(w, 1) ** 2 - np.abs(w)[0] ** 2, [0, 2, 2]),
        (lambda w: np.abs(w) ** 2 @ A([1, 2, 3], dtype), [2, 4, 6]),
    ):
        got = gd.hessian(f)(at)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, np.diag(expected), atol=1e-6)


def test_the_square_of_a_root_has_its_derivative_at_0():
    assert gd.grad(lambda x: np.sqrt(x) ** 2)(0.0) == 1
    assert gd.grad(lambda x: np.square(np.sqrt(3 * x)))(0.0) == 3
    assert gd.grad(gd.grad(lambda x: np.sqrt(x * x + x) ** 2))(0.0) == 2
    with np.errstate(divide="ignore"):
        assert gd.grad(lambda x: np.sqrt(x) ** 3.0)(1.0) == 1.5
        assert gd.grad(np.sqrt)(0.0) == np.inf
