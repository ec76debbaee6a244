"""What bad input to derivatives gets: an error that names the argument, what was expected and what came."""

import math
import re

import numpy as np
import pytest

import gdcore as gd

x3 = np.array([1.0, 2.0, 3.0])


def refuses(error, said, call):
    with pytest.raises(error, match=re.escape(said)):
        call()


def grad_of(f, x=x3):
    return lambda: gd.grad(f)(x)


# Functions without a gate.


def test_function_without_a_gate():
    said = "np.unique: expected a function that has a gate, got none for it; register one with gd.gate(np.unique,"
    refuses(TypeError, said, grad_of(np.unique))
    refuses(TypeError, "np.spacing: expected a function that has a gate", grad_of(np.spacing))
    refuses(
        TypeError,
        "np.add.reduceat: expected a function that has a gate",
        grad_of(lambda x: np.add.reduceat(x, [0])),
    )
    refuses(TypeError, "np.nextafter.outer: expected", grad_of(lambda x: np.nextafter.outer(x, x)))


def test_ufunc_of_another_library_without_a_gate():
    special = pytest.importorskip("scipy.special")

    said = "scipy.special.ellipk: expected a function that has a gate"
    refuses(TypeError, said, grad_of(lambda x: special.ellipk(x).sum()))


def test_method_without_a_gate():
    refuses(
        AttributeError,
        "expected an attribute of ndarray that has a gate, got 'byteswap'",
        grad_of(lambda x: x.byteswap),
    )


# Writing.


def assign(x):
    x[0] = 1.0


def delete(x):
    del x[0]


def augment(x):
    y = x * 1.0
    x = y
    x += 1.0  # would change y too
    return np.sum(y)


@pytest.mark.parametrize(
    "write",
    [assign, augment, delete, lambda x: x.fill(1.0), lambda x: x.sort(), lambda x: x.put(0, 1.0),
     lambda x: np.add.at(x, 0, 1.0),
     lambda x: x.resize(2), lambda x: x.partition(1)],
)  # fmt: skip
def test_writing_to_a_traced_value(write):
    refuses(TypeError, "traced value: expected to be read only", grad_of(write))


def test_writing_a_traced_value_to_an_array():
    buffer = np.zeros(3)

    def element(x):
        buffer[0] = x[0]

    def whole(x):
        buffer[:] = x

    def augmented(x):
        b = buffer
        b += x

    refuses(TypeError, "expected to stay traced", grad_of(element))
    refuses(TypeError, "expected to stay traced", grad_of(whole))
    refuses(TypeError, "np.add: out: expected no such option with a traced array", grad_of(augmented))
    refuses(TypeError, "np.exp: out: expected no such option", grad_of(lambda x: np.exp(x, out=buffer)))
    refuses(TypeError, "np.sum: out: expected no such option", grad_of(lambda x: np.sum(x, out=buffer[0])))
    assert not buffer.any()


@pytest.mark.parametrize(
    "write",
    [
        lambda x: np.copyto(np.zeros(3), x),
        lambda x: np.put(np.zeros(3), [0], x[0]),
        lambda x: np.putmask(x, x > 0, 1.0),
        lambda x: np.place(x, x > 0, [1.0]),
    ],
)
def test_functions_that_write(write):
    refuses(TypeError, "expected no writing to arrays, as a traced value would lose its gradient", grad_of(write))


@pytest.mark.parametrize("option", [{"where": x3 > 1}, {"initial": 2.0}, {"dtype": np.float64}])
def test_options_that_no_gate_has(option):
    (name,) = option
    said = f"np.logaddexp.reduce: {name}: expected no such option"
    refuses(TypeError, said, grad_of(lambda x: np.logaddexp.reduce(x, **option)))


def test_where_of_a_ufunc():
    refuses(TypeError, "np.exp: where: expected no such option", grad_of(lambda x: np.exp(x, where=x3 > 1)))


# Conversions that would lose the gradient.


@pytest.mark.parametrize(
    "convert",
    [float, int, bool, complex, math.sin, range, lambda x: x.item(), lambda x: x.tolist(), lambda x: 1 if x else 2,
     lambda x: [1, 2][x]],
)  # fmt: skip
def test_converting_to_a_python_number(convert):
    refuses(TypeError, "traced value: expected to stay traced", grad_of(convert, 1.5))


def test_converting_to_an_array_of_numbers():
    said = (
        "expected to stay traced, as its gradient would be lost, got converted from float64 (3,) to a plain array "
        "of float64"
    )
    refuses(TypeError, said, grad_of(lambda x: np.asarray(x, np.float64)))
    refuses(TypeError, said, grad_of(lambda x: np.array(x, dtype=float)))
    refuses(TypeError, "expected to stay traced", grad_of(lambda x: np.array([x[0], x[1]]).astype(np.float64)))


def test_iterating_over_a_scalar():
    refuses(TypeError, "expected an array to iterate over", grad_of(list, 1.5))


def test_traced_index():
    refuses(IndexError, "only integers", grad_of(lambda x: x3[x]))
    refuses(TypeError, "index: expected integers, slices or booleans, got a traced", grad_of(lambda x: x[x]))


def test_hashing():
    refuses(TypeError, "unhashable", grad_of(lambda x: {x: 1}))


# Results.


def test_result_that_is_no_scalar():
    def loss(x):
        return x * 2

    refuses(
        ValueError, "loss: expected a scalar result, got float64 (3,); sum it, or use gd.jacobian", grad_of(loss)
    )
    refuses(ValueError, "loss: expected a scalar result, got float64 (1, 2)", grad_of(loss, np.ones((1, 2))))
    refuses(ValueError, "loss: expected a scalar result, got float64 (0,)", grad_of(loss, np.ones(0)))
    refuses(ValueError, "loss: expected a scalar result", lambda: gd.hessian(loss)(x3))
    refuses(ValueError, "loss: expected a scalar result", lambda: gd.hvp(loss)(x3, x3))
    refuses(ValueError, "expected a scalar result, got float64 (3,)", grad_of(lambda x: x3))
    refuses(ValueError, "expected a scalar result", grad_of(lambda x: gd.grad(lambda y: x)(1.0)))


@pytest.mark.parametrize("result", [None, "1", [1.0], (1.0, 2.0), {"loss": 1.0}])
def test_result_that_is_no_array(result):
    refuses(
        TypeError,
        f"expected a scalar result, one real number, got {type(result).__name__}",
        grad_of(lambda x: result),
    )
    refuses(TypeError, f"expected an array, got {type(result).__name__}", lambda: gd.jacobian(lambda x: result)(x3))


class Odd:
    """No number, but it multiplies."""

    def __rmul__(self, _):
        return self


def test_complex_and_object_results():
    said = "expected a result of float32, float64, complex64 or complex128, got"
    whole = "expected a scalar result, one real number, got complex128 (); take its real part, z.real, or its size"
    refuses(TypeError, whole, grad_of(lambda x: np.sum(x * 1j)))
    refuses(TypeError, whole, grad_of(lambda x: x @ (x3 + 1j)))
    refuses(TypeError, whole, grad_of(lambda x: np.concatenate([x, x3 * 1j]).sum()))
    refuses(TypeError, f"np.multiply: {said} object (3,)", grad_of(lambda x: np.sum(x * np.array([Odd()] * 3))))
    refuses(TypeError, "expected a scalar result, one real number, got complex", grad_of(lambda x: 1j))
    refuses(TypeError, "one real number, got bool", grad_of(lambda x: np.allclose(x, x)))
    refuses(TypeError, "one real number, got bool ()", grad_of(lambda x: np.all(x > 0)))


# The argument.

LONGER = (np.longdouble, np.clongdouble) if np.dtype(np.longdouble) != np.float64 else ()  # as on Windows


@pytest.mark.parametrize(
    ("leaf", "got"),
    [
        (np.arange(3), "int64 (3,); convert it with .astype(np.float64)"),
        (np.ones(3, bool), "bool (3,); convert it with .astype(np.float64)"),
        (3, "int"),
        (True, "bool"),
        (np.int64(3), "int64 ()"),
        (np.ones(3, np.float16), "float16 (3,)"),
        (np.ones(3, object), "object (3,)"),
        (np.array(["a"]), "<U1 (1,)"),
        ("a", "str"),
        (None, "NoneType"),
        (np.ma.ones(3), "MaskedArray of float64 (3,)"),
        (np.ones(3, ">f8"), ">f8 (3,)"),
        ({1.5}, "set"),
        *[(np.ones(3, kind), f"{np.dtype(kind)} (3,)") for kind in LONGER],
    ],
)
def test_argument_that_has_no_gradient(leaf, got):
    said = (
        f"params['layer.1']: expected an array of float32, float64, complex64 or complex128, a float or a complex, "
        f"got {got}"
    )
    for derivative in (gd.grad, gd.value_and_grad, gd.jacobian, gd.hessian):
        refuses(TypeError, said, lambda derivative=derivative: derivative(lambda p: 1.0)({"layer": [1.0, leaf]}))


def test_tree_with_a_bad_key():
    refuses(
        TypeError, "params: expected keys of type str or int, got 1.5", lambda: gd.grad(lambda p: 1.0)({1.5: None})
    )


@pytest.mark.parametrize(
    "derivative", [gd.grad, gd.value_and_grad, gd.jacobian, gd.hessian, gd.hvp, gd.rematerialise]
)
def test_function_that_is_none(derivative):
    refuses(TypeError, "f: expected a function, got float", lambda: derivative(1.5))


def test_vector_of_hvp():
    product = gd.hvp(lambda p: p["a"] ** 2)
    refuses(ValueError, "v['a']: expected shape (), got float64 (3,)", lambda: product({"a": 1.0}, {"a": x3}))
    refuses(ValueError, "v['a']: expected in the tree, got nothing", lambda: product({"a": 1.0}, {}))
    refuses(TypeError, "v: expected a dict, got float", lambda: product({"a": 1.0}, 1.0))


def test_argument_of_a_gate_that_is_not_differentiated():
    scaled = gd.gate(lambda x, k: x * k, lambda ans, x, k: lambda g: g * k, None)
    assert gd.grad(lambda x: scaled(x, 2.0))(1.5) == 2.0
    refuses(
        TypeError,
        "argument 1: expected an array that is not differentiated",
        grad_of(lambda k: scaled(1.5, k), 2.0),
    )
    refuses(TypeError, "x: expected a traced array as a positional argument", grad_of(lambda x: scaled(x=x, k=2.0)))


# Gates of a user.


def test_registering():
    vjp = lambda ans, x: lambda g: g  # noqa: E731
    refuses(TypeError, "function: expected a function, got float", lambda: gd.gate(1.5, vjp))
    refuses(TypeError, "vjps: expected one for each argument", lambda: gd.gate(np.spacing))
    refuses(TypeError, "vjps[1]: expected a function or None, got int", lambda: gd.gate(np.spacing, vjp, 3))
    refuses(ValueError, "function: expected one that has no gate yet, got np.exp", lambda: gd.gate(np.exp, vjp))


def test_wrong_gradient_of_a_users_gate():
    def named(x):
        return x.sum()

    def wrong(d):
        gate = gd.gate(named, lambda ans, x: lambda g: d)
        return grad_of(lambda x: gate(x) * 1.0)

    said = "named: vjp 0: expected a gradient of float64 (3,), got"
    refuses(ValueError, f"{said} float64 (2,)", wrong(np.ones(2)))
    refuses(ValueError, f"{said} float64 ()", wrong(1.0))
    refuses(TypeError, f"{said} int64 (3,)", wrong(np.ones(3, int)))
    refuses(TypeError, f"{said} NoneType", wrong(None))
    refuses(
        TypeError, "vjp 0: expected to return a function of g, got int", grad_of(gd.gate(named, lambda ans, x: 3))
    )


def test_result_of_a_users_gate():
    whole = gd.gate(lambda x: 3, lambda ans, x: lambda g: g)
    refuses(TypeError, "expected a result of float32, float64, complex64 or complex128, got int", grad_of(whole))


def test_gate_whose_vjp_has_no_gates_cannot_be_differentiated_twice():
    gate = gd.gate(lambda x: x**2, lambda ans, x: lambda g: g * np.asarray(x, np.float64) * 2)
    assert gd.grad(gate)(3.0) == 6.0
    refuses(TypeError, "expected to stay traced", lambda: gd.grad(gd.grad(gate))(3.0))


def test_rematerialising_with_a_value_from_outside():
    def loss(x):
        return gd.rematerialise(lambda y: y * x)(x)

    refuses(ValueError, "expected all traced values that the function uses among its arguments", grad_of(loss, 2.0))
    refuses(
        TypeError,
        "expected a result of float32, float64, complex64 or complex128, got tuple",
        grad_of(gd.rematerialise(lambda x: (x, x))),
    )


# The gates of a net.


def test_labels():
    logits = np.zeros((4, 3))

    def entropy(labels, logits=logits):
        return lambda: gd.softmax_cross_entropy(logits, labels)

    refuses(
        ValueError,
        "labels: expected shape (4,) for logits of shape (4, 3), got int64 (3,)",
        entropy(np.zeros(3, int)),
    )
    refuses(
        ValueError,
        "labels: expected shape (4, 3) for logits of shape (4, 3), got float64 (4,)",
        entropy(np.zeros(4)),
    )
    refuses(ValueError, "labels: expected classes from 0 to 2, got -1", entropy(np.array([0, 1, 2, -1])))
    refuses(ValueError, "labels: expected classes from 0 to 2, got 3", entropy(np.array([0, 1, 2, 3])))
    refuses(TypeError, "labels: expected integers or floats, got <U1 (4,)", entropy(np.array(list("abcd"))))
    refuses(
        ValueError,
        "logits: expected at least one sample and one class",
        entropy(np.zeros(0, int), np.zeros((0, 3))),
    )
    refuses(ValueError, "labels: expected classes", grad_of(lambda z: gd.softmax_cross_entropy(z, np.array(7))))


def test_shapes_of_squared_error():
    said = "target: expected float64 (3,), got float64 (3, 1)"
    refuses(ValueError, said, lambda: gd.squared_error(x3, x3[:, None]))
    refuses(ValueError, "prediction: expected at least one element", lambda: gd.squared_error(x3[:0], x3[:0]))


# check_grads.


def test_check_grads_names_the_wrong_element():
    wrong = gd.gate(lambda x: x**2, lambda ans, x: lambda g: g * x * np.array([[2, 2], [2, 3]]))
    params = {"w": np.array([[1.0, 2.0], [3.0, 4.0]])}
    said = "params['w'][1, 1]: expected the gradient 8, by finite differences, got 12"

    def loss(p):
        return np.sum(wrong(p["w"])) / weight

    weight = np.random.default_rng(0).uniform(0.5, 1.5)  # what check_grads multiplies a result with
    refuses(AssertionError, said, lambda: gd.check_grads(loss, params))


def test_check_grads_finds_a_wrong_second_derivative():
    wrong = gd.gate(lambda x: x**3, lambda ans, x: lambda g: g * 3 * gd.stop_gradient(x) ** 2)
    gd.check_grads(wrong, x3, order=1)
    refuses(AssertionError, "params[0]: expected the Hessian times a vector", lambda: gd.check_grads(wrong, x3))


def test_check_grads_refuses_other_orders():
    refuses(ValueError, "order: expected an int >= 1, got 0", lambda: gd.check_grads(np.sin, 1.0, order=0))
    refuses(TypeError, "order: expected an int >= 1, got 1.5", lambda: gd.check_grads(np.sin, 1.0, order=1.5))


def test_check_grads_sees_what_is_wrong_of_any_order_and_of_any_part():
    def power(vjp):  # whose derivatives are those of x**4 until the one that is wrong
        return gd.gate(lambda x: x**4, vjp)

    third = gd.gate(lambda x: 12 * x**2, lambda ans, x: lambda g: g * 25 * x)
    second = gd.gate(lambda x: 4 * x**3, lambda ans, x: lambda g: g * third(x))
    wrong = power(lambda ans, x: lambda g: g * second(x))
    gd.check_grads(wrong, x3)
    said = "expected the Hessian times a vector"
    refuses(AssertionError, said, lambda: gd.check_grads(wrong, x3, order=3))
    gd.check_grads(lambda x: x**4 * np.sin(x), x3, order=4)
    half = gd.gate(lambda g: g, lambda ans, g: lambda h: h * 1.01)
    bent = gd.gate(lambda x: x * 2, lambda ans, x: lambda g: half(g) * 2)
    refuses(AssertionError, "expected the tangent", lambda: gd.check_grads(bent, x3))
    gd.check_grads(lambda x: {"a": (np.sin(x), x[0]), "b": [x**2]}, x3)
    off = gd.gate(lambda x: x**2, lambda ans, x: lambda g: g * x)
    refuses(AssertionError, "params[0]: expected the gradient", lambda: gd.check_grads(lambda x: (x, off(x)), x3))


def test_check_grads_refuses_nan():
    nan = gd.gate(lambda x: x * 1.0, lambda ans, x: lambda g: g * np.nan)
    refuses(AssertionError, "got nan", lambda: gd.check_grads(nan, x3))
