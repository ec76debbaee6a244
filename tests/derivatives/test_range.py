"""Derivatives are right wherever they are in the range of the dtype, whatever leaves it on the way."""

import math
from fractions import Fraction

import numpy as np
import pytest

import gdcore as gd

A = np.array


def close(got, expected, rtol=1e-12):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=0)


ELEMENTWISE = {
    "expm1": (np.expm1, -40.0, 4.248354255291589e-18),
    "expm1 of little": (np.expm1, 1e-300, 1.0),
    "tanh": (np.tanh, 20.0, 4 * math.exp(-40)),
    "tanh of -300": (np.tanh, -300.0, 4 * math.exp(-600)),
    "tanh of 800": (np.tanh, 800.0, 0.0),
    "sigmoid": (gd.sigmoid, 40.0, math.exp(-40)),
    "sigmoid of -700": (gd.sigmoid, -700.0, math.exp(-700)),
    "sigmoid of 700": (gd.sigmoid, 700.0, math.exp(-700)),
    "sigmoid of infinity": (gd.sigmoid, math.inf, 0.0),
    "softplus": (gd.softplus, -700.0, math.exp(-700)),
    "arcsinh": (np.arcsinh, 1e200, 1e-200),
    "arccosh": (np.arccosh, 1e200, 1e-200),
    "arccosh near 1": (np.arccosh, 1 + 2**-40, 1 / math.sqrt(2**-40 * (2 + 2**-40))),
    "arctan": (np.arctan, 1e150, 1e-300),
    "arctanh near 1": (np.arctanh, 1 - 2**-50, 1 / (2**-50 * (2 - 2**-50))),
    "log1p near -1": (np.log1p, -1 + 2**-50, 2.0**50),
    "sinh": (np.sinh, 709.0, math.cosh(709)),
    "cbrt": (np.cbrt, 1e-300, 1e200 / 3),
    "power 0": (lambda x: x**0, 0.0, 0.0),
    "power 0 at infinity": (lambda x: x**0, math.inf, 0.0),
    "power 1": (lambda x: x**1, 0.0, 1.0),
    "power of an array": (lambda x: np.sum(x ** A([0.0, 1.0, 2.0])), 0.0, 1.0),
    "0 to the power": (lambda y: 0.0**y, 2.0, 0.0),
    "logaddexp": (lambda x: np.logaddexp(x, 0.0), -700.0, math.exp(-700)),
    "logaddexp of infinity": (lambda x: np.logaddexp(x, -np.inf), -np.inf, 0.5),
    "logaddexp with infinity": (lambda x: np.logaddexp(x, -np.inf), 3.0, 1.0),
}


@pytest.mark.parametrize(("f", "x", "expected"), ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_gradient_at_an_extreme_point(f, x, expected):
    close(gd.grad(f)(x), expected)


FLOAT32 = {
    "arcsinh": (np.arcsinh, 1e25, 1e-25),
    "arccosh": (np.arccosh, 1e25, 1e-25),
    "arctan": (np.arctan, 1e18, 1e-36),
    "tanh": (np.tanh, 10.0, 4 * math.exp(-20)),
    "sigmoid": (gd.sigmoid, 20.0, math.exp(-20)),
    "expm1": (np.expm1, -30.0, math.exp(-30)),
}


@pytest.mark.parametrize(("f", "x", "expected"), FLOAT32.values(), ids=FLOAT32)
def test_gradient_at_an_extreme_point_in_float32(f, x, expected):
    got = gd.grad(f)(np.float32(x))
    assert got.dtype == np.float32
    close(got, expected, rtol=1e-5)


SECOND = {
    "tanh": (np.tanh, 20.0, -8 * math.exp(-40)),
    "expm1": (np.expm1, -40.0, math.exp(-40)),
    "sigmoid near 0": (gd.sigmoid, 1e-20, -1e-20 / 8),
    "sigmoid": (gd.sigmoid, 40.0, -math.exp(-40)),
    "softplus": (gd.softplus, 40.0, math.exp(-40)),
    "arcsin near 0": (np.arcsin, 1e-20, 1e-20),
    "arctanh near 0": (np.arctanh, 1e-20, 2e-20),
    "arcsinh": (np.arcsinh, 1e100, -1e-200),
    "arctan": (np.arctan, 1e100, -2e-300),
}


@pytest.mark.parametrize(("f", "x", "expected"), SECOND.values(), ids=SECOND)
def test_second_derivative_at_an_extreme_point(f, x, expected):
    close(gd.grad(gd.grad(f))(x), expected)


@pytest.mark.parametrize(("dtype", "sizes"), [(np.float64, [1e-300, 1e-170, 1.0, 1e170, 1e300]),
                                              (np.float32, [1e-36, 1e-23, 1.0, 1e23, 1e36])])  # fmt: skip
def test_lengths_and_angles_of_any_size(dtype, sizes):
    rtol = 1e2 * np.finfo(dtype).eps
    for size in sizes:
        v = A([3 * size, 4 * size], dtype)
        value, gradient = gd.value_and_grad(np.linalg.norm)(v)
        close(value, 5 * size, rtol)
        close(gradient, [0.6, 0.8], rtol)
        rows = gd.jacobian(lambda x: np.linalg.norm(x, axis=1))(np.stack([v, v * 0, np.ones_like(v)]))
        close(rows[0, 0], [0.6, 0.8], rtol)
        close(rows[2, 2], [0.5**0.5] * 2, rtol)
        assert not rows[1].any()
        close(gd.grad(lambda x: np.hypot(x[0], x[1]))(v), [0.6, 0.8], rtol)
        close(gd.grad(lambda x: np.linalg.norm(x, 3))(v), A([9.0, 16]) / 91 ** (2 / 3), rtol)
        close(gd.grad(lambda x: np.linalg.norm(x, -3))(v), A([64.0, 27]) ** (4 / 3) / 91 ** (4 / 3), rtol)
        value, gradient = gd.value_and_grad(np.std)(v)
        close(value, size / 2, rtol)
        close(gradient, [-0.5, 0.5], rtol)
        close(gd.grad(lambda x: np.std(x, ddof=1))(v), [-(0.5**0.5), 0.5**0.5], rtol)
        with np.errstate(over="ignore"):
            close(gd.grad(lambda x: np.arctan2(x[0], x[1]))(v), A([0.16, -0.12], dtype) / dtype(size), rtol)


def test_columns_of_very_different_sizes_keep_their_lengths():
    x = A([[3e-200, 3.0, 3e200], [4e-200, 4.0, 4e200]])
    got = gd.jacobian(lambda x: np.linalg.norm(x, axis=0))(x)
    close(got[range(3), :, range(3)], [[0.6, 0.8]] * 3)
    got = gd.jacobian(lambda x: np.std(x, axis=0))(x)
    close(got[range(3), :, range(3)], [[-0.5, 0.5]] * 3)


# Products: without division, and with the exponents apart.

FACTORS = [
    [1e-200, 1e-200, 1e200],
    [1e200, 1e200, 1e-200, 1e-200, 1e-200],
    [1e-310, 1.0, 1.0],
    [0.0, 1e200, 1e-200, 3.0],
    [0.0, 0.0, 2.0],
    [-2.0, 0.0, 1e300, 1e-300, 5.0, 7.0],
    [1e-100] * 3 + [1e100] * 3,
]


def product_of(factors):
    return math.prod(map(Fraction, factors), start=Fraction(1))


@pytest.mark.parametrize("factors", FACTORS, ids=str)
def test_gradient_and_hessian_of_a_product(factors):
    n = len(factors)
    with np.errstate(all="ignore"):
        gradient = gd.grad(np.prod)(A(factors))
        hessian = gd.hessian(np.prod)(A(factors))
    for i in range(n):
        close(gradient[i], float(product_of(factors[:i] + factors[i + 1 :])), 1e-14)
        for j in range(n):
            others = [x for k, x in enumerate(factors) if k not in {i, j}]
            close(hessian[i, j], float(product_of(others)) if i != j else 0, 1e-14)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_gradient_of_a_product_of_a_thousand_factors(zeros):
    """Half of them are so small that no product of those alone is in the range, and half so large."""
    rng = np.random.default_rng(1)
    x = rng.choice([-1.0, 1.0], 1200) * rng.uniform(1, 1.02, 1200) * np.repeat([2.0**-30, 2.0**30], 600)
    x[900 : 900 + zeros] = 0
    whole = product_of(x[x != 0])
    expected = np.zeros(1200) if zeros else A([float(whole / Fraction(y)) for y in x])
    if zeros == 1:
        expected[900] = float(whole)
    with np.errstate(all="ignore"):
        close(gd.grad(np.prod)(x), expected, 1e-12)
        close(gd.grad(lambda x: np.sum(np.prod(x, axis=0)))(np.stack([x, x], 1))[:, 1], expected, 1e-12)


def test_gradient_of_a_product_with_an_infinite_factor():
    with np.errstate(all="ignore"):
        close(gd.grad(np.prod)(A([np.inf, 2.0, 3.0])), [6, np.inf, np.inf])
        assert np.isnan(gd.grad(np.prod)(A([np.inf, 0.0, 3.0]))[2])


def test_products_along_an_axis_with_zeros():
    x = A([[0.0, 2.0, 3.0], [4.0, 5.0, 6.0], [0.0, 0.0, 7.0]])
    close(gd.grad(lambda x: np.sum(np.prod(x, axis=1)))(x), [[6, 0, 0], [30, 24, 20], [0, 0, 0]])
    gd.check_grads(lambda x: np.prod(x, axis=(0, 2), keepdims=True), x.reshape(3, 1, 3))
    third = gd.jacobian(gd.hessian(np.prod))(A([0.0, 2.0, 3.0, 5.0]))
    close(third[0, 1, 2], 5)
    assert gd.grad(np.prod)(np.zeros(5000)).shape == (5000,)


# Determinants: polynomials.


def cofactors(a):
    rows = range(len(a))
    return A([[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in rows] for i in rows])


rng = np.random.default_rng(5)
RANKS = {
    f"rank {r} of {n}": rng.standard_normal((n, r)) @ rng.standard_normal((r, n))
    for n in (3, 5)
    for r in range(n + 1)
}
MATRICES = {
    **RANKS,
    "numbers": np.arange(1.0, 10).reshape(3, 3),
    "ill conditioned": np.vander(np.linspace(1, 1.001, 4)),
    "one by one": np.zeros((1, 1)),
}


@pytest.mark.parametrize("a", MATRICES.values(), ids=MATRICES)
def test_gradient_of_a_determinant_is_the_matrix_of_cofactors(a):
    size = max(1.0, float(np.abs(cofactors(a)).max()))
    np.testing.assert_allclose(gd.grad(np.linalg.det)(a), cofactors(a), atol=1e-12 * size)
    gd.check_grads(np.linalg.det, a)


def test_a_stack_that_holds_singular_matrices():
    a = np.stack([*(RANKS[f"rank {r} of 3"] for r in range(4))])
    got = gd.grad(lambda a: np.sum(np.linalg.det(a) * A([1.0, 2, 3, 4])))(a)
    np.testing.assert_allclose(got, [k * cofactors(one) for k, one in enumerate(a, 1)], atol=1e-12)
    a[1, 0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        got = gd.grad(lambda a: np.sum(np.linalg.det(a)))(a)
    assert np.isnan(got[1]).all()
    np.testing.assert_allclose(got[2:], [cofactors(one) for one in a[2:]], atol=1e-12)


def test_determinants_out_of_range_have_cofactors_in_range():
    with np.errstate(all="ignore"):
        for size in (1e-200, 1e200):
            close(gd.grad(np.linalg.det)(np.eye(2) * size), np.eye(2) * size)
            close(gd.hessian(np.linalg.det)(np.eye(2) * size)[0, 0], [[0, 0], [0, 1]])


def test_the_logarithm_of_a_determinant_of_0_has_no_gradient_and_spoils_no_other():
    a = np.stack([np.eye(2), np.ones((2, 2)), 2 * np.eye(2)])
    got = gd.grad(lambda a: np.sum(np.linalg.slogdet(a).logabsdet[A([0, 2])]))(a)
    close(got[[0, 2]], [np.eye(2), np.eye(2) / 2])
    assert np.isnan(got[1]).all()


# np.seterr(all="raise"): what is right although it underflows does not raise.

NETS = (gd.softmax, gd.log_softmax, gd.sigmoid, gd.softplus, gd.relu, gd.tanh)
POINTS = (
    A([0.0, -800.0, 3.0, 750.0]),
    A([0.0, -800.0, 90.0], np.float32),
    A([1e-300, 1e-305, 0.0, -1e-307]),
    A([0.0, -707.5, -705.0, 2.0]),
)


@pytest.mark.parametrize("function", NETS)
@pytest.mark.parametrize("x", POINTS, ids=str)
def test_underflow_in_gates_of_nets_and_in_their_derivatives_does_not_raise(function, x):
    with np.errstate(all="raise"):
        function(x)
        loss = lambda x: np.sum(function(x)[:3] * 1.5)  # noqa: E731
        for derivative in (gd.value_and_grad(loss), gd.jacobian(function), gd.hessian(loss), gd.grad(loss)):
            assert np.isfinite(np.concatenate([np.ravel(part) for part in derivative(x)])).all()
        gd.hvp(loss)(x, np.ones_like(x))


@pytest.mark.parametrize("x", POINTS, ids=str)
def test_underflow_in_losses_does_not_raise(x):
    one_hot = np.eye(len(x), dtype=x.dtype)
    with np.errstate(all="raise"):
        for labels in (A([0]), A([2]), one_hot[:1], one_hot[:1] * x.dtype.type(0.9)):
            gd.softmax_cross_entropy(x[None], labels)
            for derivative in (gd.value_and_grad, gd.hessian):
                derivative(lambda x, labels=labels: gd.softmax_cross_entropy(x[None], labels))(x)
        gd.value_and_grad(gd.squared_error)(x, x * x.dtype.type(0.9))


def test_an_error_that_is_one_is_still_raised():
    with np.errstate(all="raise"):
        for f, x in ((np.log, 0.0), (np.exp, 1000.0), (lambda x: x * 1e300, 1e300)):
            with pytest.raises(FloatingPointError):
                gd.grad(f)(x)
