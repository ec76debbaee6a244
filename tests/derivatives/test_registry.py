"""One registry of gates: what it owns is refused or replaced everywhere, and a user's own gates take part."""

import math
import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives._traced import GATES, OPERATORS, let_operator
from gdcore.derivatives.gates import registry
from gdcore.derivatives.gates.table import CONSTANTS, PLAIN, TABLE
from gdcore.derivatives.refusals import name_of

x3 = np.array([1.0, 2.0, 3.0])


@pytest.fixture
def restored(monkeypatch):
    """Put back what a test replaces."""
    operators = dict(OPERATORS)
    for function, way in list(GATES.items()):
        monkeypatch.setitem(GATES, function, way)
    before = set(GATES)
    yield
    for function in set(GATES) - before:
        del GATES[function]
    for symbol, way in operators.items():
        let_operator(symbol, way)


def scaled(factor):
    """Return the vjps that give the gradient ``factor``, for one argument or two of the shape of the result."""
    return [lambda ans, *args, **options: lambda g: g * factor * np.ones_like(args[0])] * 2


@pytest.mark.parametrize(
    "first",
    [
        "",
        "gd.value_and_grad; ",
        "gd.grad(np.cos)(0.0); ",
        "from gdcore.derivatives.extend import gate; gd.gate = gate; ",
    ],
)
def test_a_gate_of_gdcores_is_refused_from_the_first_moment_on(first):
    code = (
        f"import numpy as np, gdcore as gd; {first}\n"
        "try: gd.gate(np.sin, lambda ans, x: lambda g: g * 100)\n"
        "except ValueError as error: print(error)\n"
        "print(gd.grad(np.sin)(0.0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, slope = done.stdout.splitlines()
    assert said == "function: expected one that has no gate yet, got np.sin; gd.gate(..., replace=True) replaces it"
    assert float(slope) == 1


def test_a_function_has_one_row():
    functions = [row.function for row in TABLE] + CONSTANTS + PLAIN + list(registry.ALIASES)
    assert len(functions) == len(set(functions))
    with pytest.raises(ValueError, match=r"np\.sin: expected one row, got two"):
        registry._add(np.sin, GATES[np.sin])


def test_every_gate_is_refused_and_then_replaced_or_refused_by_name(restored):
    vjp = lambda ans, *args: lambda g: g  # noqa: E731
    for function in [row.function for row in TABLE] + CONSTANTS + PLAIN:
        with pytest.raises(ValueError, match="expected one that has no gate yet"):
            gd.gate(function, vjp)
        if function not in PLAIN and registry.dispatched(function):
            assert gd.gate(function, vjp, replace=True) is GATES[function]
        else:
            with pytest.raises(ValueError, match="whose gate cannot be replaced"):
                gd.gate(function, vjp, replace=True)


@pytest.mark.parametrize(
    ("function", "uses"),
    [
        (np.add, [lambda x: np.add(x, 1.0), lambda x: x + 1.0, lambda x: 1.0 + x, lambda x: sum([x])]),
        (np.matmul, [lambda x: x @ x3, lambda x: x3 @ x, lambda x: np.matmul(x, x3)]),
        (np.absolute, [abs, np.abs]),
        (np.sum, [np.sum, lambda x: x.sum()]),
        (np.max, [np.max, np.amax, lambda x: x.max()]),
        (np.amin, [np.min, np.amin, lambda x: x.min()]),
        (np.around, [np.round, np.around, lambda x: x.round()]),
        (np.floor_divide, [lambda x: x // 1.0, lambda x: 1.0 // x, lambda x: np.floor_divide(x, 1.0)]),
        (np.sign, [np.sign]),
        (np.ravel, [np.ravel, lambda x: x.ravel(), lambda x: x.flatten()]),
        (np.transpose, [np.transpose, lambda x: x.T, lambda x: x.transpose()]),
    ],
    ids=lambda value: name_of(value) if callable(value) else "",
)
def test_a_gate_that_is_replaced_is_replaced_everywhere(function, uses, restored):
    gd.gate(function, *scaled(7.0), replace=True)
    for use in uses:
        np.testing.assert_array_equal(
            gd.jacobian(use)(x3).sum(), 7.0 * np.size(use(x3)) * 3 ** (np.ndim(use(x3)) < 1)
        )


def test_a_users_gate_may_be_registered_anew(restored):
    for factor in (2.0, 3.0):
        gd.gate(np.spacing, *scaled(factor)[:1])
        assert gd.grad(np.spacing)(1.0) == factor


def test_methods_follow_a_users_gate(restored):
    del GATES[np.cumprod]
    with pytest.raises(AttributeError, match="has a gate, got 'cumprod'"):
        gd.grad(lambda x: x.cumprod().sum())(x3)
    gd.gate(np.cumprod, lambda ans, x: lambda g: np.cumsum((g * ans)[::-1])[::-1] / x, replace=True)
    gd.check_grads(lambda x: x.cumprod() * np.cumprod(x), x3, order=1)


def test_a_method_of_a_ufunc_can_be_given_a_gate(restored):
    gd.gate(np.add.reduceat, lambda ans, x, at: lambda g: np.repeat(g, np.diff([*at, len(x)])))
    gd.check_grads(lambda x: np.add.reduceat(x, [0, 2]) ** 2, x3)


# Lists.


def test_a_function_that_takes_a_list_can_be_given_a_gate(restored):
    gd.gate(np.column_stack, lambda ans, xs: lambda g: [2 * g[:, i] for i in range(len(xs))], replace=True)
    f = lambda p: np.column_stack([p["x"], x3, np.sin(p["y"])])  # noqa: E731
    once = gd.jacobian(lambda p: np.stack([p["x"], x3, np.sin(p["y"])], 1))({"x": x3, "y": x3 / 2})
    twice = gd.jacobian(f)({"x": x3, "y": x3 / 2})
    np.testing.assert_array_equal(twice["x"], 2 * once["x"])
    np.testing.assert_array_equal(twice["y"], 2 * once["y"])
    np.testing.assert_array_equal(gd.jacobian(lambda x: np.column_stack((x, x)))(x3).sum(axis=(0, 1)), 4)


def test_a_tree_within_an_argument_has_a_tree_of_gradients():
    calls = []

    def vjp(ans, scale, p):
        def pull(g):
            calls.append(1)
            return {"w": g * scale * p["w"], "b": [g * scale, None]}

        return pull

    energy = gd.gate(
        lambda scale, p: scale * (np.sum(p["w"] ** 2) / 2 + p["b"][0] + p["b"][1]),
        lambda ans, scale, p: lambda g: g * ans / scale,
        vjp,
    )
    gd.check_grads(lambda q: energy(q[0], {"w": q[1], "b": [q[2], 3.0]}), [2.0, x3, 0.5])
    calls.clear()
    gd.grad(lambda q: energy(1.0, {"w": q[0], "b": [q[1], 3.0]}))([x3, 0.5])
    assert calls == [1]


def test_wrong_gradients_of_a_list(restored):
    f = lambda x: np.sum(np.column_stack([x, x]))  # noqa: E731
    gd.gate(np.column_stack, lambda ans, xs: lambda g: g, replace=True)
    with pytest.raises(TypeError, match=r"vjp 0: expected a gradient for each of 2 arrays.*, got float64 \(3, 2\)"):
        gd.grad(f)(x3)
    gd.gate(np.column_stack, lambda ans, xs: lambda g: [g[:, 0]], replace=True)
    with pytest.raises(TypeError, match="vjp 0: expected a gradient for each of 2 arrays"):
        gd.grad(f)(x3)
    gd.gate(np.column_stack, lambda ans, xs: lambda g: [g[:, 0], g], replace=True)
    with pytest.raises(
        ValueError, match=r"vjp 0: leaf 1: expected a gradient of float64 \(3,\), got float64 \(3, 2\)"
    ):
        gd.grad(f)(x3)
    with pytest.raises(TypeError, match="tup: expected a traced array as a positional argument"):
        gd.grad(lambda x: np.column_stack(tup=[x, x]).sum())(x3)


def _pull_eigh(ans, a):
    w, v = ans
    apart = np.where(np.eye(len(w)), 1, w - w[:, None])

    def pull(g):
        gw, gv = g
        return v @ np.where(np.eye(len(w)), np.diag(gw), v.T @ gv / apart) @ v.T

    return pull


def test_a_function_of_several_outputs_can_be_given_a_gate(restored):
    gd.gate(np.linalg.eigh, _pull_eigh, replace=True)

    def f(a):
        found = np.linalg.eigh(a + a.T)
        assert type(found) is type(np.linalg.eigh(np.eye(2)))
        return found.eigenvalues * np.sum(found.eigenvectors**4, 0)

    a = np.array([[1.0, 0.2, 0.3], [0.1, 3.0, -0.5], [0.4, 0.2, 7.0]])
    gd.check_grads(f, a, order=1)
    assert gd.jacobian(f)(a).shape == (3, 3, 3)


def test_the_outputs_of_a_users_gate_may_be_a_tree_of_any_shapes_and_dtypes():
    def parts(x, scale):
        return {"sum": float(np.sum(x) * scale), "all": [np.float32(scale) * x.astype(np.float32), x[0] * scale]}

    def pull_x(ans, x, scale):
        assert ans["sum"].dtype == np.float64

        def pull(g):
            first, row = g["all"]
            assert (g["sum"].dtype, first.dtype, first.shape) == (np.float64, np.float32, x.shape)
            return scale * (g["sum"] + first.astype(np.float64) + row * (np.arange(2) == 0)[:, None])

        return pull

    several = gd.gate(parts, pull_x, None)
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert several(x, 2.0)["sum"] == 20

    def f(x):
        given = several(x, 2.0)
        first, row = given["all"]
        assert (first.dtype, row.shape) == (np.float32, (2,))
        return given["sum"] ** 2 * np.sum(row**3) + np.sum(first.astype(np.float64) ** 2)

    gd.check_grads(f, x, order=2, tol=1e-4)  # the float32 on its way
    np.testing.assert_array_equal(gd.grad(lambda x: several(x, 2.0)["all"][1][1])(x), [[0, 2], [0, 0]])


def test_a_gradient_may_be_filled_with_traced_values():
    total = gd.gate(lambda x: np.log(np.sum(np.exp(x))), lambda ans, x: lambda g: np.full(3, g) * np.exp(x - ans))
    gd.check_grads(lambda x: total(x**2), x3)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda x: (x, 3), "expected a result of float32, float64, complex64 or complex128, got int"),
        (lambda x: (x, "done"), "expected a result of float32, float64, complex64 or complex128, got str"),
        (
            lambda x: (x, np.arange(3)),
            r"expected a result of float32, float64, complex64 or complex128, got int64 \(3,\)",
        ),
    ],
)
def test_an_output_that_is_no_float_is_refused(result, said):
    with pytest.raises(TypeError, match=said):
        gd.grad(lambda x: np.sum(gd.gate(result, lambda ans, x: lambda g: g[0])(x)[0]))(x3)


def test_what_numpy_does_not_dispatch_is_to_be_called_by_its_gate():
    def erf(x):
        return np.array([math.erf(y) for y in x])

    gated = gd.gate(erf, lambda ans, x: lambda g: g * 2 / math.pi**0.5 * np.exp(-(x**2)))
    gd.check_grads(gated, x3)
    with pytest.raises(TypeError, match=r"erf: .* NumPy does not dispatch .* call what gd\.gate returned"):
        gd.grad(lambda x: np.sum(erf(x)))(x3)
    assert (gated.__name__, gated.__wrapped__) == ("erf", erf)


def test_each_operator_of_traced_values_has_a_row():
    assert set(OPERATORS) == {row.symbol.__name__.strip("_") for row in TABLE if row.symbol}
