"""Theorems about derivatives, the worked cases, and how the circuit behaves: nested, in threads, in memory."""

import gc
import os
import sys
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdcore as gd

Pair = namedtuple("Pair", "left right")


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def close(a, b, **options):
    np.testing.assert_allclose(a, b, **{"rtol": 1e-10, "atol": 1e-12} | options)


# The worked cases.


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_worked_jacobian(x, y):
    jacobian = gd.jacobian(lambda v: np.stack([v[0] ** 2 * v[1], 5 * v[0] + np.sin(v[1])]))(np.array([x, y]))
    close(jacobian, [[2 * x * y, x**2], [5, np.cos(y)]])


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_worked_hessian(x, y):
    close(gd.hessian(lambda v: v[0] ** 2 * v[1])(np.array([x, y])), [[2 * y, 2 * x], [2 * x, 0]])


# Theorems.


def f(x):
    return np.sum(np.sin(x) * np.exp(x / 3)) + np.max(x)


def g(x):
    return np.prod(np.tanh(x) + 2) + x[1] * x[2] ** 3


def field(x):
    return np.stack([x[0] * x[1], np.sin(x[2]), x[0] ** 2 + x[2], np.exp(x[1])])


def other_field(y):
    return np.concatenate([y[1:] * y[:-1], np.cos(y)])


def test_gradient_is_linear(rng):
    x = rng.standard_normal(4)
    close(gd.grad(lambda x: 3 * f(x) - 2 * g(x))(x), 3 * gd.grad(f)(x) - 2 * gd.grad(g)(x))


def test_product_rule(rng):
    x = rng.standard_normal(4)
    close(gd.grad(lambda x: f(x) * g(x))(x), f(x) * gd.grad(g)(x) + g(x) * gd.grad(f)(x))


def test_chain_rule(rng):
    x = rng.standard_normal(4)
    close(gd.grad(lambda x: np.sin(f(x)))(x), np.cos(f(x)) * gd.grad(f)(x))


def test_jacobian_of_a_composition_is_the_product(rng):
    x = rng.standard_normal(3)
    composed = gd.jacobian(lambda x: other_field(field(x)))(x)
    close(composed, gd.jacobian(other_field)(field(x)) @ gd.jacobian(field)(x))


def test_gradient_of_a_quadratic_form(rng):
    a, x = rng.standard_normal((5, 5)), rng.standard_normal(5)
    close(gd.grad(lambda x: x @ a @ x)(x), (a + a.T) @ x)
    close(gd.hessian(lambda x: x @ a @ x)(x), a + a.T)


def test_hessian_is_symmetric(rng):
    x = rng.standard_normal(4)
    hessian = gd.hessian(lambda x: f(x) * g(x))(x)
    close(hessian, hessian.T)
    assert np.abs(hessian).min() > 0


def test_hvp_equals_hessian_times_v(rng):
    x, v = rng.standard_normal(4), rng.standard_normal(4)
    close(gd.hvp(lambda x: f(x) * g(x))(x, v), gd.hessian(lambda x: f(x) * g(x))(x) @ v)


def test_hvp_of_a_tree_equals_its_hessian_times_v(rng):
    params = {"w": rng.standard_normal((2, 3)), "b": [rng.standard_normal(3), 0.5]}
    v = {"w": rng.standard_normal((2, 3)), "b": [rng.standard_normal(3), -1.5]}

    def loss(p):
        return np.sum(np.tanh(p["w"] + p["b"][0]) ** 2) * p["b"][1]

    h, product = gd.hessian(loss)(params), gd.hvp(loss)(params, v)

    def row(blocks, ndim):
        return (
            np.tensordot(blocks["w"], v["w"], 2)
            + np.tensordot(blocks["b"][0], v["b"][0], 1)
            + blocks["b"][1] * v["b"][1]
        )

    close(product["w"], row(h["w"], 2))
    close(product["b"][0], row(h["b"][0], 1))
    close(product["b"][1], row(h["b"][1], 0))
    assert h["w"]["b"][0].shape == (2, 3, 3)


def test_jacobian_of_the_gradient_is_the_hessian(rng):
    x = rng.standard_normal(4)
    close(gd.jacobian(gd.grad(f))(x), gd.hessian(f)(x))


def test_jacobian_has_the_shape_of_output_then_input(rng):
    w, x = rng.standard_normal((3, 2)), rng.standard_normal((4, 3))
    jacobian = gd.jacobian(lambda w: x @ w)(w)
    assert jacobian.shape == (4, 2, 3, 2)
    close(jacobian, np.einsum("ai,bj->abij", x, np.eye(2)))


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_an_array_of_one_element_is_a_result(shape):
    f = lambda x: (x**3).reshape(shape)  # noqa: E731
    value, grads = gd.value_and_grad(f)(np.array([2.0]))
    assert (np.shape(value), float(value), grads.tolist()) == ((), 8, [12])
    assert gd.grad(lambda x: np.ones(shape))(2.0) == 0
    close(gd.hessian(f)(np.array([2.0])), [[12]])
    close(gd.grad(lambda y: gd.value_and_grad(f)(y)[0])(np.array([2.0])), [12])


def test_jacobian_of_a_scalar_is_the_gradient(rng):
    x = rng.standard_normal(4)
    close(gd.jacobian(f)(x), gd.grad(f)(x))


@pytest.mark.parametrize("together", [0, 1, 10, 1 << 20])
def test_jacobian_does_not_depend_on_how_many_vectors_go_together(together, rng, monkeypatch):
    x = rng.standard_normal(6)
    expected = gd.jacobian(lambda x: np.outer(np.sin(x), x)[1:])(x)
    monkeypatch.setattr("gdcore.derivatives.jacobians.MOST_TOGETHER", together)
    close(gd.jacobian(lambda x: np.outer(np.sin(x), x)[1:])(x), expected)


def test_third_derivative():
    close(gd.grad(gd.grad(gd.grad(lambda x: np.sin(x) * x**2)))(0.7), 6 * np.cos(0.7) - 6 * 0.7 * np.sin(0.7)
          - 0.49 * np.cos(0.7))  # fmt: skip


def test_gradient_descent_finds_the_least_squares_solution(rng):
    x, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    params = {"w": np.zeros(3)}
    opt = gd.Momentum(params, lr=0.3, beta=0.5)
    for _ in range(200):
        _, grads = gd.value_and_grad(lambda p: gd.squared_error(x @ p["w"], y))(params)
        opt.step(grads)
    close(params["w"], np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-8)


# Trees, dtypes and memory of the results.


def test_gradient_has_the_structure_of_the_parameters(rng):
    params = {"layers": [{"w": rng.standard_normal(2)}, (1.5, np.float32(2.0))], "pair": Pair(np.ones(1), [])}
    value, grads = gd.value_and_grad(
        lambda p: np.sum(p["layers"][0]["w"]) * p["layers"][1][0] * p["layers"][1][1] + p["pair"].left[0]
    )(params)
    assert isinstance(value, np.float64)
    assert type(grads["pair"]) is Pair
    assert grads["pair"].right == []
    close(grads["layers"][0]["w"], [3.0, 3.0])
    assert isinstance(grads["layers"][1], tuple)
    assert [g.dtype for g in grads["layers"][1]] == [np.float64, np.float32]
    assert all(type(g) is np.ndarray and g.shape == () for g in grads["layers"][1])


def test_gradient_of_an_unused_leaf_is_zeros_of_its_shape():
    grads = gd.grad(lambda p: p["a"] * 2.0)({"a": 1.0, "b": np.ones((2, 3), np.float32), "c": 1.5})
    assert grads["b"].dtype == np.float32
    close(grads["b"], np.zeros((2, 3)))
    assert grads["c"].shape == ()
    close(gd.grad(lambda x: 3.0)(np.ones(2)), np.zeros(2))
    close(gd.jacobian(lambda x: np.ones(3))(np.ones(2)), np.zeros((3, 2)))
    close(gd.hessian(np.sum)(np.ones(2)), np.zeros((2, 2)))


ALIASING = {
    "both get g": lambda p: np.sum(p["a"] + p["b"]),
    "a view of g": lambda p: np.sum(np.ones(6) * p["a"].reshape(6)) + np.sum(p["b"].T * 2),
    "the other argument": lambda p: np.sum(p["a"] * p["b"]),
    "a constant": lambda p: np.vdot(p["a"], CONSTANT) + 0 * np.sum(p["b"]),
    "transposed": lambda p: np.sum((p["a"].T @ p["b"]) ** 2),
}
CONSTANT = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("name", ALIASING)
def test_gradients_are_contiguous_and_in_memory_of_their_own(name, rng):
    params = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal((2, 3))}
    before = {key: x.copy() for key, x in params.items()}
    grads = gd.grad(ALIASING[name])(params)
    arrays = [*grads.values(), *params.values(), CONSTANT]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:i])
    for grad in grads.values():
        assert grad.flags.c_contiguous
        assert grad.flags.writeable
        grad[...] = 7
    assert all((params[key] == before[key]).all() for key in params)
    close(CONSTANT, np.arange(6.0).reshape(2, 3))


def test_gradients_of_a_users_gate_are_copied():
    kept = np.ones(3)
    held = gd.gate(lambda x: x.sum(), lambda ans, x: lambda g: kept)
    grad = gd.grad(held)(np.zeros(3))
    assert not np.shares_memory(grad, kept)


def test_value_is_no_view_of_a_parameter():
    x = np.array(2.0)
    value, _ = gd.value_and_grad(lambda x: x)(x)
    x[...] = 5
    assert value == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(dtype, rng):
    w = rng.standard_normal((3, 2)).astype(dtype)
    x = rng.standard_normal((5, 3)).astype(dtype)
    labels = np.array([0, 1, 1, 0, 1])

    def loss(w):
        return gd.softmax_cross_entropy(np.tanh(x @ w) * 1.5 + 2, labels)

    value, grad = gd.value_and_grad(loss)(w)
    assert value.dtype == grad.dtype == dtype
    assert gd.jacobian(lambda w: gd.relu(x @ w))(w).dtype == dtype
    assert gd.hessian(loss)(w).dtype == dtype
    assert gd.hvp(loss)(w, w).dtype == dtype


def test_float32_parameter_among_float64_data_gets_a_float32_gradient():
    grad = gd.grad(lambda w: np.sum(np.linspace(0, 1, 3) * w))(np.ones(3, np.float32))
    assert grad.dtype == np.float32
    close(grad, [0, 0.5, 1])


def test_memory_map_is_a_parameter(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3,))
    x[:] = 2
    grad = gd.grad(lambda x: np.sum(x**2))(x)
    assert type(grad) is np.ndarray
    close(grad, [4, 4, 4])


def test_further_arguments_are_passed_on():
    assert gd.value_and_grad(lambda x, a, *, b: x * a + b)(2.0, 3.0, b=4.0) == (10.0, 3.0)


def test_lists_are_constants():
    def f(x):
        return np.sum(x * [1.0, 2.0] + np.power(x, [1, 2]) + np.maximum([0.0, 9.0], x))

    close(gd.grad(f)(np.array([3.0, 4.0])), [3.0, 10.0])


def test_nan_gives_no_further_warning():
    assert np.isnan(gd.value_and_grad(np.max)(np.array([1.0, np.nan]))[0])


# Traced values are arrays.


def test_traced_values_have_what_arrays_have():
    seen = {}

    def probe(x):
        seen.update(
            shape=x.shape, ndim=x.ndim, size=x.size, dtype=x.dtype, length=len(x), text=repr(x), above=x > 1,
            same=x == 2, parts=[part.shape for part in x], where=np.argmax(x), finite=np.isfinite(x), floor=x // 2,
            zeros=np.zeros_like(x), flat=x.flatten().shape, t=x.T.shape, m=x.mT.shape, sign=np.sign(x),
            order=x.argsort(), some=(x > 1).any(), back=2.0 // x, n=np.shape(x),
            shown=f"{x[0, 0]:.2f}",
        )  # fmt: skip
        return x.sum()

    gd.grad(probe)(np.array([[1.0, 2.0, 3.0]]))
    assert (seen["shape"], seen["ndim"], seen["size"], seen["length"]) == ((1, 3), 2, 3, 1)
    assert seen["shown"] == "1.00"
    assert seen["n"] == (1, 3)
    assert seen["dtype"] == np.float64
    assert "2." in seen["text"]
    assert seen["parts"] == [(3,)]
    assert seen["where"] == 2
    assert seen["t"] == seen["m"] == (3, 1)
    assert seen["flat"] == (3,)
    for name in ("above", "same", "finite", "floor", "zeros", "sign", "order", "back"):
        assert type(seen[name]) is np.ndarray
    assert seen["some"]


def test_control_flow_follows_the_values():
    def f(x):
        while np.abs(x).max() < 10:
            x = x * 2
        return x[0] if x[0] > 0 else -x[0]

    close(gd.grad(f)(np.array([-3.0, 1.0])), [-4.0, 0.0])


def test_sum_of_a_generator_and_augmented_assignment():
    def f(xs):
        total = 0.0
        for x in xs:
            total += x * x
        return total + sum(xs)

    close(gd.grad(f)(np.array([1.0, 2.0])), [3.0, 5.0])


# The conventions where there is no derivative.


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (gd.relu, 0.0, 0.0),
        (np.abs, 0.0, 0.0),
        (np.sign, 1.0, 0.0),
        (lambda x: np.maximum(x, 0), 0.0, 0.5),
        (lambda x: np.minimum(x, 0), 0.0, 0.5),
        (lambda x: np.clip(x, 0, 1), 0.0, 1.0),
        (lambda x: np.clip(x, 0, 1), 1.0, 1.0),
        (np.max, np.array([1.0, 3.0, 3.0]), [0.0, 0.5, 0.5]),
        (np.min, np.array([1.0, 1.0, 3.0]), [0.5, 0.5, 0.0]),
        (np.linalg.norm, np.zeros(2), [0.0, 0.0]),
        (np.std, np.ones(2), [0.0, 0.0]),
        (lambda x: np.hypot(x, 0.0), 0.0, 0.0),
        (np.prod, np.array([0.0, 0.0, 3.0]), [0.0, 0.0, 0.0]),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: 0.0**x, 2.0, 0.0),
        (lambda x: np.floor(x) * x, 1.5, 1.0),
    ],
)
def test_convention_at_kinks(f, x, expected):
    close(gd.grad(f)(x), expected)


def test_net_gates_do_not_overflow():
    x = np.array([-1e4, -50.0, 0.0, 50.0, 1e4])
    for gate in (gd.sigmoid, gd.softplus, gd.softmax, gd.log_softmax, gd.tanh):
        value, grad = gd.value_and_grad(lambda x, gate=gate: np.sum(gate(x) * [1, 2, 3, 4, 5]))(x)
        assert np.isfinite(value)
        assert np.isfinite(grad).all()
    loss = gd.grad(lambda x: gd.softmax_cross_entropy(x, np.array(0)))(x)
    close(loss, [-1, 0, 0, 0, 1])


# Levels.


def test_levels_are_not_confused():
    # The derivative by y of x + y is 1, whatever x is traced for.
    close(gd.grad(lambda x: x * gd.grad(lambda y: x + y)(2.0))(3.0), 1.0)
    close(gd.grad(lambda x: x * gd.grad(lambda y: x * y)(2.0))(3.0), 6.0)
    close(gd.grad(lambda x: gd.grad(lambda y: y * y * x)(x))(3.0), 12.0)


def test_inner_jacobian_is_differentiated():
    def loss(a):
        return np.sum(gd.jacobian(lambda x: np.sin(a * x))(np.array([0.3, 0.4])) ** 2)

    gd.check_grads(loss, np.array([0.7, 1.1]))


def test_gradient_step_inside_a_loss_is_differentiated():
    def inner(w, a):
        return np.sum((w * a - 1) ** 2)

    def outer(a):
        w = np.ones(2)
        for _ in range(3):
            w = w - 0.1 * gd.grad(inner)(w, a)
        return np.sum(w**2)

    gd.check_grads(outer, np.array([0.5, 0.8]))


def test_an_error_leaves_nothing_behind():
    def broken(x):
        gd.grad(lambda y: y * x)(1.0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        gd.grad(broken)(1.0)
    close(gd.grad(lambda x: x * gd.grad(lambda y: x + y)(2.0))(3.0), 1.0)


def test_stop_gradient_makes_a_constant(rng):
    x = rng.standard_normal(3)
    close(gd.grad(lambda x: np.sum(x * gd.stop_gradient(x)))(x), x)
    tree = gd.stop_gradient({"x": x, "y": [1.5]})
    assert tree["x"] is x
    close(gd.grad(gd.grad(lambda x: gd.stop_gradient(x) * x**2))(3.0), 6.0)


# Gates of a user.


def test_a_users_gate_takes_part():
    cube = gd.gate(lambda x: x**3, lambda ans, x: lambda g: g * 3 * x**2)
    gd.check_grads(lambda x: np.sin(cube(x)), np.array([0.5, -0.7]))
    assert cube(2.0) == 8.0


def test_a_gate_of_scipy_works_wherever_the_ufunc_is_called():
    special = pytest.importorskip("scipy.special")

    gd.gate(special.wrightomega, lambda ans, x: lambda g: g * ans / (1 + ans))
    gd.gate(special.ellipkinc, lambda ans, x, m: lambda g: g / np.sqrt(1 - m * np.sin(x) ** 2), None)
    gd.check_grads(special.wrightomega, np.array([[0.5], [-0.7]]))
    gd.check_grads(lambda x: special.ellipkinc(x, np.array([0.5, 0.7])), 1.5)


def test_compiled_code_that_returns_floats_becomes_a_gate():
    import math

    log = gd.gate(math.lgamma, lambda ans, x: lambda g: float(g) * 0.25)
    close(gd.grad(lambda x: log(x) * 2)(3.0), 0.5)


# Rematerialisation.


def layer(h, p):
    return np.tanh(h @ p["w"] + p["b"])


def chain(params, block):
    h = np.eye(3)
    for p in params:
        h = block(h, p)
    return np.sum(h**2)


@pytest.fixture
def layers(rng):
    return [{"w": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)} for _ in range(4)]


def test_rematerialising_changes_no_derivative(layers):
    block = gd.rematerialise(layer)
    plain, again = gd.grad(chain)(layers, layer), gd.grad(chain)(layers, block)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_array_equal(a["w"], b["w"])
        np.testing.assert_array_equal(a["b"], b["b"])
    gd.check_grads(chain, layers, block)
    first, then = gd.jacobian(lambda h: layer(h, layers[0]))(np.eye(3)), gd.jacobian(block)(np.eye(3), layers[0])
    close(first, then)


def test_rematerialising_runs_the_block_twice_and_keeps_its_arguments_only(layers):
    calls = []

    def counted(h, p):
        calls.append(1)
        return layer(h, p)

    gd.grad(chain)(layers, gd.rematerialise(counted))
    assert len(calls) == 2 * len(layers)
    assert peak(lambda: deep(gd.rematerialise(inner_steps))) < 0.5 * peak(lambda: deep(inner_steps))


def inner_steps(x):
    for _ in range(20):
        x = np.sin(x)
    return x


def deep(block):
    def f(x):
        for _ in range(20):
            x = block(x)
        return np.sum(x)

    return gd.grad(f)(np.ones(10_000))


def peak(run):
    import tracemalloc

    tracemalloc.start()
    run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


# Graphs: long ones, freed, and in threads.


def test_a_chain_of_100_000_gates():
    def f(x):
        for _ in range(50_000):
            x = np.sin(x) + 0.001
        return x

    slope, x = 1.0, 0.5
    for _ in range(50_000):
        slope *= np.cos(x)
        x = np.sin(x) + 0.001
    assert sys.getrecursionlimit() < 50_000
    close(gd.grad(f)(0.5), slope)


def test_a_long_chain_is_dropped_after_an_error_without_recursion():
    kept = []

    def f(x):
        for _ in range(100_000):
            x = x + 1.0
        kept.append(x)
        raise KeyError("stop")

    with pytest.raises(KeyError):
        gd.grad(f)(0.5)
    kept.clear()


def test_no_reference_cycles(layers):
    i = np.array([0, 1, 0])

    def everything(p):
        h = layer(np.eye(3), p[0])
        h = gd.rematerialise(layer)(h, p[1])
        h = np.concatenate([h[i], np.sort(h, 0), np.where(h > 0, h, 0)[[0, 1], :]])
        return gd.softmax_cross_entropy(h[:, i], np.zeros(len(h), int)) + np.linalg.slogdet(h[3:6]).logabsdet

    run = [
        lambda: gd.value_and_grad(everything)(layers),
        lambda: gd.jacobian(lambda h: layer(h, layers[0]))(np.eye(3)),
        lambda: gd.hessian(everything)(layers),
        lambda: gd.hvp(everything)(layers, layers),
    ]
    gc.freeze()  # what other tests left is not to be counted
    gc.disable()
    try:
        for derivative in run:
            derivative()
            gc.collect()
            derivative()
            assert gc.collect() == 0
    finally:
        gc.enable()
        gc.unfreeze()


def test_the_circuit_is_freed_as_the_backward_pass_goes():
    n, size = 50, 100_000

    def f(x):
        for _ in range(n):
            x = np.sin(x)
        return np.sum(x)

    f_peak = peak(lambda: gd.grad(f)(np.ones(size)))
    assert f_peak < (n + 6) * size * 8
    gc.disable()
    try:
        assert peak(lambda: [gd.grad(f)(np.ones(size)).sum() for _ in range(3)]) < (n + 8) * size * 8
    finally:
        gc.enable()


def test_a_traced_value_that_escapes_holds_no_circuit():
    escaped = []

    def f(x):
        y = np.sin(x)
        escaped.append(y)
        return np.sum(np.sin(y))

    gd.grad(f)(np.ones(3))
    assert escaped[0].node.links == ()
    with pytest.raises(RuntimeError, match="used after the derivative it belongs to was done"):
        np.sin(escaped[0])


def test_threads_do_not_disturb_each_other(rng):
    points = rng.standard_normal((64, 4))
    expected = [(gd.grad(f)(x), gd.hessian(g)(x)) for x in points]
    barrier = threading.Barrier(4)

    def work(k):
        barrier.wait()
        return [(gd.grad(f)(x), gd.hessian(g)(x)) for x in points[k::4]]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(before)
    for k, found in enumerate(results):
        for (a, h), (b, k_h) in zip(found, expected[k::4], strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(h, k_h)


def test_one_circuit_may_be_built_by_several_threads(rng):
    x = rng.standard_normal(8)

    def f(x):
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(lambda i: np.sin(x[i]) * x[i], range(8)))

    close(gd.grad(f)(x), np.sin(x) + x * np.cos(x))


def test_gates_import_no_optimizer():
    import subprocess

    code = (
        "import sys, types, importlib.util as u; package = types.ModuleType('gdcore'); "
        "package.__path__ = [sys.argv[1]]; sys.modules['gdcore'] = package; "
        "import gdcore._together, gdcore.derivatives.operators, gdcore.derivatives.gates.nets; "
        "import gdcore.derivatives.extend, gdcore.derivatives.check; "
        "print(*(m for m in sys.modules if m.startswith('gdcore.')))"
    )
    folder = os.path.dirname(gd.__file__)  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[1] for name in done.stdout.split()}
    of_engine = {
        "_cython",
        "_together",
        "tensors",
        "engine",
        "environment",
        "arguments",
        "halves",
        "_version",
        "rules",
        "corrections",
        "powers",
        "rows",
        "stages",
    }
    assert {name for name in loaded if not name.startswith("_kernels")} == {"derivatives", "trees", *of_engine}
