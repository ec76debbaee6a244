"""Roots and fixed points depend on what their equations depend on, to any order."""

import numpy as np
import pytest

import gdcore as gd

pytest.importorskip("scipy.optimize")
optimize = gd.scipy.optimize
C = np.array([2.0, 0.5])


def equations(x, c):
    return np.array([x[0] ** 2 + x[1] ** 2 - c[0], x[0] - c[1] * x[1]])


@pytest.mark.parametrize("method", ["hybr", "lm", "krylov"])
def test_a_root_has_the_derivatives_of_the_closed_form(method):
    root = lambda c: optimize.root(equations, [1.0, 1.0], args=(c,), method=method).x  # noqa: E731
    closed = lambda c: np.sqrt(c[0] / (1 + c[1] ** 2)) * np.stack([c[1], 1.0])  # noqa: E731
    np.testing.assert_allclose(gd.jacobian(root)(C), gd.jacobian(closed)(C), rtol=1e-5)
    np.testing.assert_allclose(gd.jacobian(gd.jacobian(root))(C), gd.jacobian(gd.jacobian(closed))(C), rtol=1e-4)


def test_derivatives_of_a_root_to_the_fourth_order():
    f = lambda c: optimize.root_scalar(lambda x: x**3 - c, bracket=(0.1, 3)).root  # noqa: E731
    g, c, expected, power = f, 1.7, 1.0, 1 / 3
    for _ in range(4):
        g = gd.grad(g)
        expected, power = expected * power, power - 1
        np.testing.assert_allclose(g(c), expected * c**power, rtol=1e-7)


def test_a_root_takes_args_jac_and_what_the_function_refers_to():
    closed_over = lambda c: optimize.root(lambda x: equations(x, c), [1.0, 1.0]).x  # noqa: E731
    slopes = lambda x, c: np.array([[2 * x[0], 2 * x[1]], [1.0, -c[1]]])  # noqa: E731
    with_jac = lambda c: optimize.root(equations, [1.0, 1.0], args=(c,), jac=slopes).x  # noqa: E731
    both = lambda c: optimize.root(lambda x: (equations(x, c), slopes(x, c)), [1.0, 1.0], jac=True).x  # noqa: E731
    for f in (closed_over, with_jac, both):
        gd.check_grads(f, C)


def test_the_start_has_no_influence():
    def f(p):
        return optimize.root(equations, p[:2], args=(p[2:],)).x

    g = gd.jacobian(f)(np.array([1.0, 1.0, 2.0, 0.5]))
    assert not g[:, :2].any()
    assert g[:, 2:].any()


def test_fixed_points():
    gd.check_grads(lambda c: optimize.fixed_point(lambda x, c: np.cos(c * x), 0.5, args=(c,)), 1.2)
    gd.check_grads(
        lambda c: optimize.fixed_point(lambda x: 0.5 * np.tanh(c * x) + c, np.zeros(2)), np.array([0.5, 0.8])
    )


def test_root_scalar_with_slopes_and_starts():
    scalar = optimize.root_scalar
    cube, slope = lambda x, c: x**3 - c, lambda x, c: 3 * x**2
    for root in (
        lambda c: scalar(lambda x: (cube(x, c), slope(x, c)), x0=1.0, fprime=True).root,
        lambda c: scalar(cube, args=(c,), x0=1.0, fprime=slope, method="newton").root,
        lambda c: scalar(lambda x: cube(x, c), bracket=[0.0, 2 + c], method="brentq").root,
    ):
        gd.check_grads(root, 1.7)
