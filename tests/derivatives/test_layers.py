"""A layer in plain code, ``gd.relu(x @ w + b)``, shares memory and loops, and gives the bits of its parts."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives.nets import reference

DTYPES = [np.float32, np.float64]


def layer(dtype, rows=130, n=7, m=5):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, n), (n, m), (m,)))
    return {"x": x, "w": w, "b": b}, rng.standard_normal((rows, m)).astype(dtype)


def by_parts(params, g, slope):
    """Return the gradients as the gates of the parts give them: ``slope`` is that of the activation."""
    h = params["x"] @ params["w"] + params["b"]
    d = slope(g, h)
    return {"x": d @ params["w"].T, "w": params["x"].T @ d, "b": reference.column_sum(d)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("held", ["nothing", "the product", "the sum", "both"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_layer_in_plain_code_has_the_bits_of_its_parts(dtype, held, turned):
    params, g = layer(dtype)
    kept = []

    def f(p):
        z = p["x"] @ p["w"]
        kept.append(z if held in {"the product", "both"} else None)
        z = p["b"] + z if turned else z + p["b"]
        kept.append(z if held in {"the sum", "both"} else None)
        return np.sum(gd.relu(z) * g)

    value, grads = gd.value_and_grad(f)(params)
    h = params["x"] @ params["w"] + params["b"]
    assert value == np.sum(np.maximum(h, 0) * g)
    expected = by_parts(params, g, lambda g, h: np.where(h > 0, g, dtype(0)))
    for name in params:
        np.testing.assert_array_equal(grads[name], expected[name], strict=True)


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid", "softplus", "gelu", "silu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dense_layer_has_the_bits_of_its_kernels(dtype, activation):
    params, g = layer(dtype)
    value, grads = gd.value_and_grad(lambda p: np.sum(gd.dense(p["x"], p["w"], p["b"], activation) * g))(params)
    kind = activation or "none"
    s, h = reference.activate(kind, params["x"] @ params["w"], params["b"])
    d, db = reference.activate_back(kind, g, h if kind in {"none", "relu", "tanh", "sigmoid"} else s)
    assert value == np.sum(h * g)
    np.testing.assert_array_equal(grads["x"], d @ params["w"].T, strict=True)
    np.testing.assert_array_equal(grads["w"], params["x"].T @ d, strict=True)
    np.testing.assert_array_equal(grads["b"], db, strict=True)


@pytest.mark.parametrize("constant", ["x", "w", "b", "xw", "wb", "xb"])
def test_what_is_constant_in_a_layer_changes_no_other_gradient(constant):
    params, g = layer(np.float64)

    def f(p):
        q = {name: params[name] if name in constant else p[name] for name in params}
        return np.sum(gd.dense(q["x"], q["w"], q["b"], "relu") * g) + np.sum(gd.relu(q["x"] @ q["w"] + q["b"]) * g)

    grads = gd.grad(f)(params)
    expected = by_parts(params, g, lambda g, h: np.where(h > 0, g, 0.0))
    for name in params:
        whole = np.zeros_like(params[name]) if name in constant else 2 * expected[name]
        np.testing.assert_array_equal(grads[name], whole)


ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


@pytest.mark.parametrize("order", ORDERS)
def test_parts_of_a_layer_that_are_used_again_keep_their_values(order):
    params, g = layer(np.float64)
    product = params["x"] @ params["w"]
    sums = product + params["b"]
    values = [product, sums, np.maximum(sums, 0)]

    def f(p):
        z = p["x"] @ p["w"]
        s, t = z + p["b"], z + 2 * p["b"]
        parts = [z, s, gd.relu(s)]
        total = 0.0
        for i in order:
            np.testing.assert_array_equal(parts[i].value, values[i])
            total = total + (i + 1) * np.sum(parts[i] * g)
        np.testing.assert_array_equal(t.value, product + 2 * params["b"])
        return total + np.sum(gd.relu(s) * g) + np.sum(t * g)

    grads = gd.grad(f)(params)
    d = g * (2 + 4 * (sums > 0))  # by the sum
    np.testing.assert_allclose(grads["w"], params["x"].T @ (d + 2 * g), rtol=1e-12)
    np.testing.assert_allclose(grads["b"], np.sum(d + 2 * g, axis=0), rtol=1e-12, atol=1e-12)


def test_products_in_an_array_of_objects_keep_their_values():
    """NumPy adds to those one by one, and nothing but the array holds them."""
    params, g = layer(np.float64, rows=3)
    product = params["x"] @ params["w"]

    def f(p):
        products, biases = np.empty((2, 2), object)
        products[0], products[1] = p["x"] @ p["w"], p["x"] @ p["w"]
        biases[:] = [p["b"], p["b"]]
        sums = products + biases
        for s, z in zip(sums, products, strict=True):
            np.testing.assert_array_equal(gd.relu(s).value, np.maximum(product + params["b"], 0))
            np.testing.assert_array_equal(s.value, product + params["b"])
            np.testing.assert_array_equal(z.value, product)
        return np.sum(gd.relu(sums[0]) * g) + np.sum(products[1] * g)

    grads = gd.grad(f)(params)
    d = g * (product + params["b"] > 0)
    np.testing.assert_allclose(grads["w"], params["x"].T @ (d + g), rtol=1e-12)
    np.testing.assert_allclose(grads["b"], np.sum(d, axis=0), rtol=1e-12)


def test_threads_that_ask_for_a_layer_at_once_get_it():
    params, _ = layer(np.float32, rows=2000, m=64)
    expected = params["x"] @ params["w"] + params["b"]

    def f(p):
        s = p["x"] @ p["w"] + p["b"]
        start = Barrier(4)

        def value(_):
            start.wait()
            return s.value.copy()

        with ThreadPoolExecutor(4) as pool:
            for got in pool.map(value, range(4)):
                np.testing.assert_array_equal(got, expected)
        return np.sum(s)

    for _ in range(20):
        gd.grad(f)(params)


@pytest.mark.parametrize("kept", [False, True])
def test_a_layer_in_plain_code_takes_the_memory_of_one_array(kept):
    params, _ = layer(np.float32, rows=1000, m=100)
    size = 1000 * 100 * 4
    room = []

    def f(p):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        s = p["x"] @ p["w"] + p["b"]
        h = gd.relu(s)
        if not kept:
            del s
        h = np.sum(h)
        room.append(tracemalloc.get_traced_memory()[1] - before)
        return h

    tracemalloc.start()
    try:
        gd.grad(f)(params)
    finally:
        tracemalloc.stop()
    assert size < room[0] < size * (2.1 if kept else 1.1)


def test_what_overflows_in_a_layer_is_told():
    big = np.float32(3e38)
    x, w, b = np.ones((2, 2), np.float32), np.full((2, 3), 0.4 * big), np.full(3, big)
    for params in ((x, w, b), (x, np.full((2, 3), big), np.zeros(3, np.float32))):
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
            gd.grad(lambda p: np.sum(gd.relu(p[0] @ p[1] + p[2])))(params)
    with (
        np.errstate(over="raise"),
        pytest.raises(FloatingPointError, match="overflow encountered in "),
    ):
        gd.grad(lambda w: np.sum((x @ w) * big))(np.zeros((2, 3), np.float32))


def test_a_layer_is_differentiated_again():
    params, g = layer(np.float64, rows=4)

    def f(p):
        return np.sum(gd.tanh(p["x"] @ p["w"] + p["b"]) * g) ** 2 + np.sum(gd.dense(p["x"], p["w"], p["b"], "tanh"))

    gd.check_grads(f, params)
    gd.check_grads(gd.grad(lambda w: f(params | {"w": w})), params["w"])
