"""Pulls, tangents and the two ways of a Jacobian, against each other; a tree as a vector."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives import jacobians


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def close(got, expected, rtol=1e-9):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-11)


# Pulls.


def field(p, scale=1.0):
    return {"out": scale * np.outer(np.sin(p["w"]), p["w"]), "rest": [np.sum(p["w"]) * p["b"], 3.0]}


PARAMS = {"w": np.array([1.0, 2.0, 3.0]), "b": 0.5}


def test_vjp_of_trees_is_the_gradient_of_the_weighted_sum(rng):
    value, pull = gd.vjp(field)(PARAMS, scale=2.0)
    np.testing.assert_array_equal(value["out"], field(PARAMS, 2.0)["out"])
    assert type(value["rest"][0]) is np.float64
    g = {"out": rng.standard_normal((3, 3)), "rest": [2.0, 7.0]}

    def total(p):
        ans = field(p, 2.0)
        return np.sum(ans["out"] * g["out"]) + 2.0 * ans["rest"][0]

    expected = gd.grad(total)(PARAMS)
    for _ in range(3):
        grads = pull(g)
        close(grads["w"], expected["w"])
        close(grads["b"], expected["b"])


def test_a_pull_takes_no_memory_of_its_gradient_or_its_inputs():
    x, g = np.ones(3), np.ones(3)
    for f, gs, slope in ((lambda x: x, g, 1), (lambda x: (x, x, 2 * x), (g, g, g), 4), (lambda x: +x, g, 1)):
        _, pull = gd.vjp(f)(x)
        d = pull(gs)
        assert not any(np.shares_memory(d, y) for y in (x, g))
        np.testing.assert_array_equal(d, slope)
    _, tangent = gd.jvp(lambda x: x)(x, g)
    assert not np.shares_memory(tangent, g)
    np.testing.assert_array_equal(g, 1)


def test_a_pull_that_failed_leaves_nothing_behind():
    def vjp(ans, x):
        def pull(g):
            if g[0] == 0:
                raise KeyError
            return g

        return pull

    passed = gd.gate(lambda x: x.copy(), vjp)

    def f(x):
        pending = x * x  # has its part of the gradient when the pull fails
        return passed(2 * x) * 3 + pending

    _, pull = gd.vjp(f)(np.ones(2))
    for _ in range(2):
        with pytest.raises(KeyError):
            pull(np.array([0.0, 1.0]))
        np.testing.assert_array_equal(pull(np.array([1.0, 1.0])), 8)


def test_pulls_of_several_threads_do_not_mix():
    def vjp(ans, x):
        return lambda g: time.sleep(0.002) or g  # lets the others run

    slow = gd.gate(lambda x: x.copy(), vjp)
    _, pull = gd.vjp(lambda x: x + slow(2 * x) + slow(3 * x))(np.ones(3))
    got = {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: pull(np.full(3, float(i)))})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        np.testing.assert_array_equal(got[i], 6 * i)


def test_pulls_and_tangents_are_differentiated(rng):
    x, v, g = rng.standard_normal((3, 4))
    f = lambda x: np.sin(x) * np.sum(x**2)  # noqa: E731
    gd.check_grads(lambda x: gd.jvp(f)(x, v)[1], x)
    gd.check_grads(lambda v: gd.jvp(f)(x, v)[1], v)
    gd.check_grads(lambda x: gd.vjp(f)(x)[1](g), x)
    _, pull = gd.vjp(f)(x)
    gd.check_grads(pull, g)
    for mode in ("forward", "reverse"):
        gd.check_grads(gd.jacobian(f, mode=mode), x, order=1)


def test_a_pull_of_a_derivative_that_is_done_is_refused():
    kept = []

    def f(x):
        kept.append(gd.vjp(lambda y: y * x)(np.ones(2))[1])
        return np.sum(kept[0](np.ones(2)))

    gd.grad(f)(2.0)
    with pytest.raises((RuntimeError, ValueError), match="derivative"):
        kept[0](np.ones(2))


LONG = """
import threading
import gdcore as gd

def f(x):
    for _ in range(30_000):
        x = x + 1.0
    return x

value, pull = gd.vjp(f)(1.0)
kept = [pull]
print(value, pull(2.0))
del pull
threading.stack_size(256 * 1024)
thread = threading.Thread(target=kept.clear)
thread.start()
thread.join()
print("let go")
"""


def test_a_long_tape_is_let_go_of_without_recursion():
    """In a process of its own, with a short stack: it would not survive."""
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    assert done.stdout == "30001.0 2.0\nlet go\n"


@pytest.mark.parametrize(
    ("g", "error", "said"),
    [
        (
            {"out": np.ones(3), "rest": [1.0, 1.0]},
            ValueError,
            r"g\['out'\]: expected shape \(3, 3\), got float64 \(3,\)",
        ),
        ({"out": np.ones((3, 3))}, ValueError, r"g\['rest'\]: expected in the tree, got nothing"),
        (1.0, TypeError, "g: expected a dict, got float"),
        ({"out": np.ones((3, 3)), "rest": ["1", 1.0]}, TypeError, r"g\['rest.0'\]: expected an array of real"),
    ],
)
def test_a_gradient_that_is_not_like_the_result_is_refused(g, error, said):
    _, pull = gd.vjp(field)(PARAMS)
    with pytest.raises(error, match=said):
        pull(g)


def test_a_tangent_that_is_not_like_the_parameters_is_refused():
    with pytest.raises(ValueError, match=r"v\['w'\]: expected shape \(3,\), got float64 \(2,\)"):
        gd.jvp(field)(PARAMS, {"w": np.ones(2), "b": 1.0})
    with pytest.raises(TypeError, match="<lambda>: expected an array, got str"):
        gd.jvp(lambda x: "text")(1.0, 1.0)


def test_the_dtypes_are_those_of_parameters_and_results():
    x = np.ones(3, np.float32)
    value, tangent = gd.jvp(lambda x: (x * 2, x.astype(np.float64) * 2, 5.0))(x, np.arange(3))
    assert [y.dtype for y in (*value[:2], *tangent)] == [np.float32, np.float64, np.float32, np.float64, np.float64]
    value, pull = gd.vjp(lambda x: x.astype(np.float64) * 2)(x)
    assert (value.dtype, pull(np.ones(3, np.float32)).dtype) == (np.float64, np.float32)


X, W = np.random.default_rng(1).standard_normal((2, 3, 3))
F32 = np.float32
PATHS = {
    "a row beside a constant matrix": (lambda b: X + b - W, X[0]),
    "a row taken from one": (lambda b: (X - b) / (b * b), X[0]),
    "the bias of a layer alone": (lambda b: gd.dense(X, W, b, "tanh"), X[0]),
    "a bias in plain code, used twice": (lambda b: gd.relu(X @ W + b) + np.sum(np.tanh(X @ W + b)), X[0]),
    "a layer in plain code": (lambda p: gd.relu(X @ p[0] + p[1]), [W, X[0]]),
    "float32 beside float64": (lambda x: (x + X[0]) * x - X[1] / x, X[0].astype(F32)),
    "numbers": (lambda x: np.sin(x[0]) * x[1] ** 2 / (x[1] - x[0]) + np.tanh(x[1]) * np.sqrt(np.exp(-x[0])), X[0]),
    "numbers of float32": (
        lambda x: x[0] * np.float64(2) + np.log(x[0] ** 2) - (-x[1]) + 3.0 * x[2],
        X[0].astype(F32),
    ),
    "the root of a square": (lambda x: np.sqrt(x * x) ** 2 + np.sqrt(x**2) ** 2, X),
    "a loss of classes": (lambda x: gd.softmax_cross_entropy(x, np.array([0, 2, 1])), X),
    "means, indices": (lambda x: np.mean(x) * x[1:, [0, 2]] - x[0, 1], X),
    "complex numbers on the way": (lambda x: np.abs(np.exp(1j * x[0]) + x[1] * 1j * x[2]), X[0]),
}


@pytest.mark.parametrize("path", PATHS)
def test_tangents_are_those_of_the_pulls(path):
    f, params = PATHS[path]
    rng = np.random.default_rng(2)
    v = (
        [rng.standard_normal(x.shape) for x in params]
        if type(params) is list
        else rng.standard_normal(params.shape)
    )
    value, pull = gd.vjp(f)(params)
    got, tangent = gd.jvp(f)(params, v)
    g = rng.standard_normal(np.shape(value))
    pairs = zip(pull(g), v, strict=True) if type(params) is list else [(pull(g), v)]
    assert (tangent.shape, tangent.dtype) == (np.shape(value), value.dtype)
    np.testing.assert_array_equal(got, value)
    np.testing.assert_allclose(np.sum(g * tangent), sum(np.sum(d * w) for d, w in pairs), rtol=1e-5)


def test_what_no_result_depends_on_is_not_worked_out_for_tangents():
    def f(x):
        unused = np.sqrt(x[0]) + np.log(x[1:] + 1)  # whose slopes are infinite at 0
        return x * 2 if unused is not None else None

    _, tangent = gd.jvp(f)(np.zeros(3), np.ones(3))
    np.testing.assert_array_equal(tangent, 2)


# Jacobians.


def ways(monkeypatch):
    taken = []
    for name in ("_by_rows", "_by_columns"):
        way = getattr(jacobians, name)
        monkeypatch.setattr(jacobians, name, lambda *args, way=way, name=name: taken.append(name) or way(*args))
    return taken


def test_a_jacobian_goes_the_way_of_fewer_vectors(monkeypatch):
    taken = ways(monkeypatch)
    tall, wide = np.ones((1000, 3)), np.ones((3, 1000))
    for matrix in (tall, wide):
        close(gd.jacobian(lambda x, matrix=matrix: matrix @ x)(np.ones(matrix.shape[1])), matrix)
    for mode in ("forward", "reverse"):
        gd.jacobian(lambda x: wide @ x, mode=mode)(np.ones(1000))
    assert taken == ["_by_columns", "_by_rows", "_by_columns", "_by_rows"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_jacobian_of_a_product_is_the_matrix(dtype, rng):
    """Basis vectors pick its rows and columns, unless there are infinities in it."""
    x = rng.standard_normal((7, 4)).astype(dtype)
    for f, expected in ((lambda w: x @ w, x), (lambda w: w @ x.T, x), (lambda w: 2 * (x[::-1] @ w), 2 * x[::-1])):
        np.testing.assert_array_equal(gd.jacobian(f)(np.ones(4, dtype)), expected, strict=True)
    x[2, 1] = np.inf
    for f in (lambda w: x @ w, lambda w: w @ x.T):
        with np.errstate(invalid="ignore"):
            together = gd.jacobian(f, mode="reverse")(np.ones(4, dtype))
            _, pull = gd.vjp(f)(np.ones(4, dtype))
            np.testing.assert_array_equal(together, [pull(e) for e in np.eye(7, dtype=dtype)])


def test_a_users_gate_whose_vjp_cannot_be_differentiated_goes_in_reverse():
    tall = np.ones((1000, 3))
    product = gd.gate(lambda x: tall @ x, lambda ans, x: lambda g: np.asarray(tall.T @ g, np.float64))
    close(gd.jacobian(product)(np.ones(3)), tall)
    with pytest.raises(TypeError, match="traced value"):
        gd.jacobian(product, mode="forward")(np.ones(3))


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(ValueError, match="mode: expected 'forward', 'reverse' or None, got 'fwd'"):
        gd.jacobian(np.sin, mode="fwd")


def test_the_elementwise_gradient_is_the_diagonal(rng):
    x, y = rng.standard_normal(4), rng.standard_normal(4)
    f = lambda x, y: np.sin(x) * y**2  # noqa: E731
    close(gd.elementwise_grad(f)(x, y), np.cos(x) * y**2)
    close(gd.elementwise_grad(f, 1)(x, y), np.sin(x) * 2 * y)
    close(gd.elementwise_grad(gd.elementwise_grad(np.tanh))(x), -2 * np.tanh(x) / np.cosh(x) ** 2)


# Vectors.

TREE = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "rest": (1.5, np.array(2.5), [np.zeros((0, 2))])}


def test_flatten_and_back_is_the_tree_again():
    vector, back = gd.flatten(TREE)
    assert (vector.dtype, vector.shape) == (np.float64, (8,))
    again = back(vector)
    assert type(again["rest"]) is tuple
    assert (again["w"].dtype, again["rest"][2][0].shape) == (np.float32, (0, 2))
    np.testing.assert_array_equal(again["w"], TREE["w"])
    assert (type(again["rest"][0]), type(again["rest"][1])) == (np.float64, np.ndarray)
    assert not np.shares_memory(again["rest"][1], vector)
    assert gd.flatten(np.ones(2, np.float32))[0].dtype == np.float32
    assert gd.flatten({})[1](np.zeros(0)) == {}
    assert back(np.arange(8, dtype=np.float32))["rest"][0].dtype == np.float64


def test_complex_leaves_make_a_complex_vector():
    tree = {"z": np.array([1 + 2j, 3]), "x": np.float32(4.0), "w": 5j}
    vector, back = gd.flatten(tree)
    again = back(vector)
    assert (vector.dtype, again["z"].dtype, again["x"].dtype) == (np.complex128, np.complex128, np.float32)
    np.testing.assert_array_equal(again["z"], tree["z"])
    assert (again["x"], again["w"]) == (4, 5j)


def test_flatten_and_back_are_differentiated(rng):
    x = rng.standard_normal(8)
    _, back = gd.flatten({"w": np.ones((2, 3)), "b": [1.0, np.ones(1)]})
    gd.check_grads(lambda v: np.sum(back(v)["w"] ** 3) * back(v)["b"][0] + back(v)["b"][1], x)
    gd.check_grads(lambda p: np.sum(gd.flatten(p)[0] ** 3), {"a": x, "b": 2.0})


def test_what_cannot_be_flattened_is_refused():
    with pytest.raises(TypeError, match=r"tree\['n'\]: expected an array of floats or a float, got int64 \(3,\)"):
        gd.flatten({"n": np.arange(3)})
    with pytest.raises(TypeError, match=r"tree\['n'\]: expected an array of floats or a float, got str"):
        gd.flatten({"n": "3"})
    with pytest.raises(ValueError, match=r"vector: expected shape \(8,\), got float64 \(7,\)"):
        gd.flatten(TREE)[1](np.ones(7))
