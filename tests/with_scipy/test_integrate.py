"""Differential equations: closed forms, each method, each argument, and what functions refer to."""

import numpy as np
import pytest

import gdcore as gd

pytest.importorskip("scipy.integrate")
integrate = gd.scipy.integrate

METHODS = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]
TIMES = np.array([0.0, 0.3, 0.5, 1.0])
FINE = {"rtol": 1e-9, "atol": 1e-11}


def decay(t, y, k):
    return -k * y


def logistic(t, y, r, c):
    return r * y * (1 - y / c)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("t_eval", [None, TIMES])
def test_each_method_has_the_derivatives_of_the_closed_form(method, t_eval):
    options = FINE if method in {"RK45", "DOP853"} else {"rtol": 1e-6, "atol": 1e-8}

    def end(p):
        found = integrate.solve_ivp(decay, (0, 1), [p[0], 2.0], method, t_eval, args=(p[1],), **options)
        return found.y[0, -1]

    p = np.array([1.5, 0.7])
    y = p[0] * np.exp(-p[1])
    np.testing.assert_allclose(gd.value_and_grad(end)(p)[0], y, rtol=1e-5)
    np.testing.assert_allclose(gd.grad(end)(p), [y / p[0], -y], rtol=1e-5)
    np.testing.assert_allclose(gd.hessian(end)(p), [[0, -y / p[0]], [-y / p[0], y]], rtol=5e-5, atol=1e-9)


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_values_are_those_of_scipy(method):
    for t_eval in (None, TIMES, TIMES[1:-1]):
        for span, times in (((0, 1), t_eval), ((1, 0), t_eval if t_eval is None else t_eval[::-1])):
            plain = integrate.solve_ivp(logistic, span, [0.2, 0.9], method, times, args=(1.5, 2.0))
            seen = []

            def total(r, span=span, times=times, seen=seen):
                seen.append(integrate.solve_ivp(logistic, span, [0.2, 0.9], method, times, args=(r, 2.0)))
                return np.sum(seen[0].y)

            gd.grad(total)(1.5)
            np.testing.assert_allclose(gd.stop_gradient(seen[0].y), plain.y, rtol=1e-12)
            np.testing.assert_array_equal(seen[0].t, plain.t)
            assert seen[0].success


@pytest.mark.parametrize("method", ["RK45", "Radau"])
def test_a_function_may_refer_to_what_is_differentiated(method):
    def end(k):
        return integrate.solve_ivp(lambda t, y: [-k * y[0], k * y[0]], (0, 1), [1.0, 0.0], method, rtol=1e-6).y[
            1, -1
        ]

    np.testing.assert_allclose(gd.grad(end)(0.7), np.exp(-0.7), rtol=5e-5)
    np.testing.assert_allclose(gd.grad(gd.grad(end))(0.7), -np.exp(-0.7), rtol=5e-5)


def test_times_are_differentiated():
    f = lambda t: np.sin(t) * np.exp(-(t**2))  # noqa: E731
    slope = lambda t, y: -2 * t * y + np.cos(t) * np.exp(-(t**2))  # noqa: E731
    by = {
        "end": lambda t: integrate.solve_ivp(slope, (0, t), [0.0], "DOP853", **FINE).y[0, -1],
        "t_eval": lambda t: integrate.solve_ivp(slope, (0, 1), [0.0], "DOP853", np.stack([t / 2, t]), **FINE).y[
            0, 1
        ],
        "odeint": lambda t: integrate.odeint(slope, 0.0, np.stack([0 * t, t]), tfirst=True)[1, 0],
    }
    for name, at in by.items():
        np.testing.assert_allclose(gd.grad(at)(0.6), gd.grad(f)(0.6), rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(gd.grad(gd.grad(at))(0.6), gd.grad(gd.grad(f))(0.6), rtol=1e-6, err_msg=name)
    begin = lambda t: integrate.solve_ivp(slope, (t, 1), [f(0.6)], "DOP853", **FINE).y[0, -1]  # noqa: E731
    np.testing.assert_allclose(gd.grad(begin)(0.6), -np.exp(0.36 - 1) * gd.grad(f)(0.6), rtol=1e-6)


def test_odeint_takes_what_scipys_takes():
    times = np.linspace(0, 2, 5)
    f = lambda p: integrate.odeint(lambda y, t, a, b: [a * y[0] - b * y[0] ** 2, t], p["y"], times, p["args"])  # noqa: E731
    gd.check_grads(f, {"y": np.array([0.3, 0.1]), "args": (1.2, 0.7)}, tol=1e-4)
    np.testing.assert_allclose(
        gd.value_and_grad(lambda a: np.sum(integrate.odeint(lambda y, t, a: -a * y, 2.0, times, args=a)))(0.5)[0],
        np.sum(2 * np.exp(-0.5 * times)), rtol=1e-7)  # fmt: skip
    backward = lambda a: integrate.odeint(lambda y, t: -a * y, 2.0, times[::-1])[-1, 0]  # noqa: E731
    np.testing.assert_allclose(gd.grad(backward)(0.5), 4 * np.exp(1.0), rtol=1e-6)


def test_times_that_are_equal():
    f = lambda k, times: integrate.odeint(lambda y, t: -k * y, k, times)[:, 0]  # noqa: E731
    np.testing.assert_array_equal(gd.jacobian(f)(0.5, [0.0]), [1])
    got = gd.jacobian(f)(0.5, [0.0, 1.0, 1.0])
    np.testing.assert_allclose(got, [1, 0.5 * np.exp(-0.5), 0.5 * np.exp(-0.5)], rtol=1e-7)


def test_a_stiff_problem_takes_few_steps():
    calls = []

    def relax(t, y, k):
        calls.append(t)
        return -k * (y - np.cos(t))

    end = lambda k: integrate.odeint(relax, [0.0], [0, 1.0], args=(k,), tfirst=True)[-1, 0]  # noqa: E731
    stiff = lambda k: integrate.solve_ivp(relax, (0, 1), [0.0], "Radau", args=(k,), rtol=1e-5, atol=1e-8).y[0, -1]  # noqa: E731
    k = 1e3
    exact = lambda k: (k**2 * np.cos(1.0) + k * np.sin(1.0)) / (1 + k**2)  # noqa: E731
    np.testing.assert_allclose(gd.grad(stiff)(k), gd.grad(exact)(k), rtol=5e-3)
    by_radau = len(calls)
    np.testing.assert_allclose(gd.grad(end)(k), gd.grad(exact)(k), rtol=5e-3)
    assert by_radau < len(calls)


def test_states_may_be_float32_and_solvers_compute_in_float64():
    end = lambda y: integrate.solve_ivp(decay, (0, 1), y, args=(0.5,)).y[:, -1]  # noqa: E731
    got = gd.jacobian(end)(np.ones(2, np.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.exp(-0.5) * np.eye(2), rtol=1e-3)


def test_a_vectorized_function_is_given_columns():
    def columns(t, y, k):
        assert y.ndim == 2
        return -k * y

    end = lambda k, **options: integrate.solve_ivp(  # noqa: E731
        columns, (0, 1), [1.0, 2.0], args=(k,), vectorized=True, **options).y[1, -1]  # fmt: skip
    np.testing.assert_allclose(gd.grad(end)(0.5), -2 * np.exp(-0.5), rtol=1e-3)
    np.testing.assert_allclose(gd.value_and_grad(end)(0.5)[0], end(0.5), rtol=1e-12)
