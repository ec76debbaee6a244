"""What people write: lists of traced values, arrays that are filled, fractions, arrays of other libraries."""

import copy
import logging
import math
import pickle
import re
from fractions import Fraction
from functools import reduce
from itertools import accumulate
from operator import mul
from types import SimpleNamespace

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives._traced import Traced

x3 = np.array([1.0, 2.0, 3.0])
A = np.arange(6.0).reshape(2, 3)


def filled(x):
    y = np.zeros(3, object)
    for i in range(3):
        y[i] = np.sin(x[i])
    y[1] += x[0] * x[2]
    return y


IDIOMS = {
    "array of a list": lambda x: np.array([x[0], 2 * x[1]]) ** 2,
    "array of traced values and numbers": lambda x: x[:2] * np.array([x[0], 1.0]),
    "array of arrays": lambda x: np.array([x, x**2]) * x,
    "asarray": lambda x: np.asarray(x) * x,
    "matrix": lambda x: np.array([[x[0], 1.0], [x[1], x[2]]]) @ x[:2],
    "functions of an array of a list": lambda x: np.exp(np.array([x[0], x[1]])) + np.sqrt(np.array([x[1], x[2]])),
    "mean": lambda x: np.mean([x[0], x[1] ** 2]),
    "mean along an axis": lambda x: np.mean([x, x * x], axis=0),
    "std": lambda x: np.std([x[0], x[1] ** 2]) + np.var([x[0], x[2]]),
    "sum and max": lambda x: np.sum([x[0], x[1] ** 2]) + np.max([x[0], x[1]]),
    "norm": lambda x: np.linalg.norm(np.array([x[0], x[1]])),
    "matrix times list": lambda x: A @ [x[0], x[1], x[2] ** 2],
    "vector times list": lambda x: x @ [x[1], 2.0, 3.0],
    "concatenate": lambda x: np.concatenate([[x[0]], x]) ** 2,
    "hstack": lambda x: np.hstack([x[0], x, [x[1]]]) ** 2,
    "stack": lambda x: np.stack([x, [x[0], 1.0, 2.0]]) ** 2,
    "solve": lambda x: np.linalg.solve(np.diag(x), [x[0], 1.0, x[1]]),
    "where": lambda x: np.where(x > 1, [x[0], x[1], 1.0], x) ** 2,
    "maximum": lambda x: np.maximum([x[2], 0.0, 0.0], x) ** 2,
    "dot and outer": lambda x: np.dot(x, [x[0], x[1], 1.0]) * np.outer([x[0], 1.0], x),
    "r_": lambda x: np.r_[x[0], x, 1.0] ** 2,
    "c_": lambda x: np.c_[x, x] * x[:, None],
    "full": lambda x: np.full(3, x[0]) * x,
    "array that is filled": filled,
    "fractions": lambda x: x[0] * Fraction(1, 3) + Fraction(1, 2) * x + x ** Fraction(2, 1),
    "divmod": lambda x: divmod(x, 0.7)[1] * divmod(x[0] * 5, x[1])[1],
    "rounded elements": lambda x: (
        np.round(np.array([x[0], x[1]]), 1) * np.floor(np.array([x[1], x[2]]) + 0.5) * x[0]
    ),
    "array like a traced value": lambda x: np.exp(np.array([x[0], 1.0], like=x)) * np.zeros(2, like=x).size,
    "round": lambda x: x * round(x[0], 1) * round(x[1]),
    "reversed": lambda x: np.stack([*reversed(x)]) ** 2,
    "real and imag": lambda x: x.real * x.conj() + x.imag,
    "floor, ceil and trunc": lambda x: (
        x * (math.floor(x[1] + 0.5) + math.ceil(x[0] + 0.5) + math.trunc(x[2] + 0.5))
    ),
    "flat": lambda x: x.flat[0] * np.array([y**2 for y in np.outer(x, x).flat]),
    "vectorize": np.vectorize(lambda t: t**2 if t > 1.5 else -t),
    "apply along an axis": lambda x: np.apply_along_axis(lambda row: row[0] * row, 1, np.outer(x, x)),
    "apply over axes": lambda x: np.apply_over_axes(np.prod, np.outer(x, x + 1), [0, 1]),
    "block of numbers": lambda x: np.linalg.inv(np.block([[x[0], 0.3], [0.3, x[1] ** 2]])),
    "builtins": lambda x: x * (min(x) + max(x[0], x[1] ** 2) + sum(y**2 for y in x) + math.prod(x)),
    "in and sorted": lambda x: np.array(sorted(x, key=lambda y: -y)) * (x if 7.0 in x else x**2),
    "accumulate and reduce": lambda x: np.array([*accumulate(x)]) * reduce(mul, x),
    "comparisons": lambda x: x**2 if x[0] > 0 and np.all(x > 0) and not np.isnan(x).any() else x,
    "where with one argument": lambda x: x[np.where(x > 1.5)] * x[np.nonzero(x < 2.5)],
    "order": lambda x: np.sort(-x) * x[np.argsort(-x)] * x[np.argmax(x)] * x[x > 2.5],
    "total of a loop": lambda x: reduce(lambda total, y: total + y**2, x, np.float64(0.0)) * x,
    "isin and matrix_rank": lambda x: x * np.linalg.matrix_rank(np.outer(x, x)) + np.isin(x, [7.0]) * x,
    "methods": lambda x: x.cumprod() * x.compress([True, True, True]) + x.conjugate(),
}


NETS = {
    f.__name__: lambda x, f=f: f([x[0], -x[1]]) * f(np.array([-x[1], x[0]]))
    for f in (
        gd.relu,
        gd.tanh,
        gd.sigmoid,
        gd.softplus,
        gd.gelu,
        gd.silu,
        gd.softmax,
        gd.log_softmax,
        gd.layer_norm,
    )
} | {
    "logsumexp": lambda x: gd.logsumexp([x[0], 1.0], b=[x[1], 2.0]),
    "softmax_cross_entropy": lambda x: gd.softmax_cross_entropy([[x[0], 1.0], [x[1], x[2]]], [1, 0]),
    "squared_error": lambda x: gd.squared_error([x[0], 1.0], [x[1], 2.0]),
    "dense": lambda x: gd.dense([[x[0], 1.0]], [[x[1]], [x[2]]], [x[0]], "tanh"),
    "embedding": lambda x: gd.embedding([[x[0], 1.0], [x[1], x[2]]], [1, 1, 0]),
    "dropout": lambda x: gd.dropout([x[0], x[1] * x[2]], 0.3, np.random.default_rng(0)),
    "conv2d": lambda x: gd.conv2d([[[[x[0], x[1]], [1.0, x[2]]]]], [[[[x[1], 2.0]]]], [x[0]]),
    "max_pool2d": lambda x: gd.max_pool2d([[[[x[0], x[1]], [1.0, x[2]]]]], 2),
}


@pytest.mark.parametrize("f", NETS.values(), ids=NETS)
def test_gates_of_nets_take_lists_of_traced_values(f):
    gd.check_grads(f, x3)


@pytest.mark.parametrize("f", IDIOMS.values(), ids=IDIOMS)
def test_idiom_agrees_with_finite_differences_to_second_order(f):
    gd.check_grads(f, x3)
    np.testing.assert_allclose(np.asarray(gd.stop_gradient(f(x3)), float), value_of(f, x3))


def value_of(f, x):
    """Return the value that ``f`` has of traced values."""
    seen = []

    def loss(x):
        y = f(x)
        joined = y if isinstance(y, Traced) else np.stack([*y.ravel()]).reshape(y.shape)
        seen.append(gd.stop_gradient(joined))
        return np.sum(joined)

    gd.grad(loss)(x)
    return seen[0]


def test_elements_keep_float32():
    x = x3.astype(np.float32)
    assert gd.grad(lambda x: np.sum(np.asarray(x) * x))(x).dtype == np.float32
    assert gd.jacobian(lambda x: np.array([x[0], x[1] * x[2]]))(x).dtype == np.float32


@pytest.mark.parametrize("shaped", [np.sum, np.ravel, lambda y: np.reshape(y, ()), lambda y: y])
def test_elements_beside_numbers_of_float64_have_gradients_of_float32(shaped):
    x, two = x3.astype(np.float32), np.float64(2.0)
    for f in (lambda x: x[0] + two, lambda x: x[1] * (two - x[0]), lambda x: (x[0] + two) / x[1] + x[2]):
        assert gd.grad(lambda x, f=f: shaped(f(x)))(x).dtype == np.float32
        assert gd.jacobian(lambda x, f=f: shaped(f(x)))(x).dtype == np.float32
        assert gd.vjp(f)(x)[1](1.0).dtype == np.float32


def test_lists_of_values_of_two_derivatives():
    f = lambda x: gd.grad(lambda y: np.sum(np.array([y * x[0], x[1] * y**2]) ** 2))(x[2])  # noqa: E731
    y, a, b = x3[2], x3[0], x3[1]
    np.testing.assert_allclose(f(x3), 2 * y * a**2 + 4 * y**3 * b**2)
    np.testing.assert_allclose(gd.grad(f)(x3), [4 * y * a, 8 * y**3 * b, 2 * a**2 + 12 * y**2 * b**2])


def element(x):
    y = np.zeros(3)
    y[0] = x[0]


def part(x):
    y = np.zeros(3)
    y[1:] = x[1:]


@pytest.mark.parametrize("write", [element, part])
def test_filling_an_array_of_numbers_says_what_to_write(write):
    said = "write values into np.zeros(n, object), or np.array, np.stack or np.concatenate a list of them"
    with pytest.raises(TypeError, match=re.escape(said)):
        gd.grad(write)(x3)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: np.array([x[0], 1.0], dtype=float),
        lambda x: np.asarray(x, np.float64),
        lambda x: np.fromiter((y**2 for y in x), float),
        lambda x: np.float32(x[0]),
    ],
)
def test_a_dtype_that_would_lose_the_gradient_is_to_be_left_out(make):
    with pytest.raises(TypeError, match=r"np\.array.*of them, without dtype=float"):
        gd.grad(lambda x: np.sum(make(x)))(x3)


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("exp", lambda x: np.exp(np.array([x[0], 1.0]))),
        ("inv", lambda x: np.linalg.inv(np.array([[x[0], 1.0], [0.0, x[1]]]))),
        ("solve", lambda x: np.linalg.solve([[x[0], 1.0], [0.0, x[1]]], [1.0, 2.0])),
        ("cholesky", lambda x: np.linalg.cholesky(np.array([[x[0], 0.1], [0.1, x[1]]]))),
        ("eigh", lambda x: np.linalg.eigh(np.array([[x[0], 0.1], [0.1, x[1]]]))[0]),
        ("fft", lambda x: np.abs(np.fft.fft([x[0], x[1]]))),
        ("interp", lambda x: np.interp(0.5, [0.0, 1.0], np.array([x[0], x[1]]))),
        ("percentile", lambda x: np.percentile(np.array([x[0], x[1], x[2]]), 30)),
        ("cov", lambda x: np.cov(np.array([x[0], x[1], x[2]]))),
        ("gradient", lambda x: np.gradient(np.array([x[0], x[1], x[2]]))),
        ("norm", lambda x: np.linalg.norm(np.array([[x[0], x[1]], [1.0, 2.0]]), 2)),
    ],
)
def test_what_cannot_compute_with_an_array_of_traced_values_says_what_to_write(name, f):
    for differentiate in (gd.jacobian, lambda f: gd.grad(lambda a, x: np.sum(f(x)), argnums=1)):
        args = (x3,) if differentiate is gd.jacobian else (0.0, x3)
        with pytest.raises(TypeError, match=rf"^{name}: expected a traced array.*np\.block of the same numbers"):
            differentiate(f)(*args)


@pytest.mark.parametrize("ufunc", [np.isfinite, lambda y: np.logaddexp(y, 0.0)], ids=["isfinite", "logaddexp"])
def test_what_has_no_way_for_objects_says_what_to_write(ufunc):
    with pytest.raises(
        TypeError, match=r"not supported for the input types.*makes of traced values: np\.block of the"
    ):
        gd.grad(lambda x: np.sum(ufunc(np.array([x[0], x[1]])) * x[0]))(x3)


def test_what_the_error_says_to_write_is_right():
    numbers = lambda x: np.linalg.inv(np.block([[x[0], 0.3], [0.3, x[1]]]))  # noqa: E731
    like = lambda x: np.linalg.inv(np.array([[x[0], 0.3], [0.3, x[1]]], dtype=float, like=x))  # noqa: E731

    def filled(x):
        y = np.zeros((2, 2), object)
        y[0, 0], y[1, 1] = x[:2]
        y[0, 1] = y[1, 0] = 0.3
        return np.linalg.inv(np.block(y.tolist()))

    for f in (numbers, like, filled):
        gd.check_grads(f, x3)
        np.testing.assert_array_equal(gd.jacobian(f)(x3), gd.jacobian(numbers)(x3))


def test_an_error_of_a_function_that_numpy_calls_is_its_own():
    def own(row):
        raise TypeError("mine")

    for call in (np.vectorize(own, otypes=[object]), lambda y: np.apply_along_axis(own, 0, y)):
        with pytest.raises(TypeError, match=r"^mine$"):
            gd.grad(lambda x, call=call: np.sum(call(np.array([x[0], x[1]]))))(x3)


def test_errors_that_have_nothing_to_do_with_traced_values_stay_as_they_are():
    with pytest.raises(TypeError, match=r"^ufunc 'bitwise_and' not supported for the input types"):
        gd.grad(lambda x: np.sum(x * (x3 & 1)))(x3)


def test_a_match_statement_takes_an_array_for_a_sequence_where_numpy_does():
    def f(x):
        match x:
            case [first, *_, last]:
                return first * last
            case _:
                return np.sum(x)

    x = np.array([3.0, 1.0, 4.0])
    value, gradient = gd.value_and_grad(f)(x)
    assert value == f(x)
    np.testing.assert_array_equal(gradient, [4, 0, 3] if value == 12 else 1)


def test_copies_keep_the_gradient_and_pickles_are_refused():
    gd.check_grads(lambda x: copy.copy(x) * copy.deepcopy({"x": [x]})["x"][0], x3)
    with pytest.raises(TypeError, match=r"to pickle; gd\.stop_gradient"):
        gd.grad(lambda x: np.sum(pickle.loads(pickle.dumps(x))))(x3)


def test_adding_to_an_array_in_place_says_what_to_write():
    def add(x):
        y = np.zeros(3)
        y += x

    with pytest.raises(TypeError, match=r"y = y \+ x, without out, makes a new array"):
        gd.grad(add)(x3)


def test_orders_of_elements_are_those_of_the_memory():
    x, weights = np.arange(6.0).reshape(3, 2), np.arange(1.0, 7)
    for given in (x, np.asfortranarray(x)):
        for order in "CFAK":
            f = lambda x, order=order: np.ravel(x, order)  # noqa: E731
            value, pull = gd.vjp(f)(given)
            np.testing.assert_array_equal(value, f(given))
            expected = np.zeros(6)
            expected[f(given).astype(int)] = weights
            np.testing.assert_array_equal(pull(weights).ravel(), expected)
            if order != "K":
                value = gd.vjp(lambda x, order=order: x.reshape((2, -1), order=order))(given)[0]
                np.testing.assert_array_equal(value, given.reshape((2, -1), order=order))
    with pytest.raises(TypeError, match=r"np.ravel: order: expected 'C', 'F' or 'A' with a traced array, got 'K'"):
        gd.vjp(lambda x: np.ravel(x, "K"))(np.ones((2, 4))[:, ::2])


def test_what_is_printed_is_the_value():
    assert gd.grad(lambda x: x * len(f"{x:.3f}"))(2.0) == 5
    texts = []

    def f(x):
        text = "%.3f, %5.1e" % (x, x)  # noqa: UP031
        text += ", %d"
        text %= x * x
        texts.extend([text, logging.makeLogRecord({"msg": "at %.2f", "args": (x,)}).getMessage()])
        return x * x

    assert gd.grad(f)(2.5) == 5
    assert texts == ["2.500, 2.5e+00, 6", "at 2.50"]
    for number in (lambda x: float(x) % 2, lambda x: 5 % int(x), lambda x: math.fmod(x, 2.0)):
        with pytest.raises(TypeError, match=re.escape("f'{x:.3f}' to print")):
            gd.grad(number)(2.0)
    assert gd.grad(lambda x: 5.0 % x)(2.0) == -2


class Series:
    """A column of another library, which NumPy can read."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_arrays_of_other_libraries_that_numpy_can_read():
    column = Series(x3)
    for f in (
        lambda x: x * column,
        lambda x: np.dot(x, column) * x,
        lambda x: np.concatenate([x, column]) ** 2,
        lambda x: x @ column,
    ):
        gd.check_grads(f, x3)


class Quantity(np.ndarray):
    """An array that computes in its own way."""

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError("not asked")


@pytest.mark.parametrize(
    "other",
    [np.ma.masked_array(x3, [1, 0, 0]), np.diag(x3).view(np.matrix), x3.view(Quantity)],
    ids=lambda x: type(x).__name__,
)
def test_arrays_with_an_arithmetic_of_their_own_are_refused(other):
    for f in (lambda x: x * other, lambda x: np.multiply(x, other), lambda x: np.dot(x, other)):
        with pytest.raises(TypeError, match="computes as those of NumPy do with a traced value, got"):
            gd.jacobian(f)(x3)


def test_columns_of_pandas_on_either_side():
    pandas = pytest.importorskip("pandas")
    column, table = pandas.Series(x3, index=[7, 8, 9]), pandas.DataFrame(A)
    for f in (
        lambda x: np.sum((column - x[0]) ** 2 * x),
        lambda x: column * x + x / column - (column > 1.5) * x**2,
        lambda x: np.exp(-column * x),
        lambda x: np.asarray(table, float) * x - np.mean(column * x),
        lambda x: column.to_numpy() ** x[1],
    ):
        gd.check_grads(lambda x, f=f: f(x) if type(y := f(x)) is not pandas.Series else y.to_numpy(), x3)


def test_columns_of_polars_behind_a_traced_value():
    polars = pytest.importorskip("polars")
    column = polars.Series(x3)
    np.testing.assert_allclose(gd.jacobian(lambda x: x * column)(x3), np.diag(x3))
    with pytest.raises(TypeError, match=re.escape("y.to_numpy() of the other operand works with a traced value")):
        gd.jacobian(lambda x: column * x)(x3)


def test_what_numpy_cannot_read_is_named():
    for f in (lambda x: x * SimpleNamespace(), lambda x: np.dot(x, {1, 2}), lambda x: x @ SimpleNamespace()):
        with pytest.raises(
            TypeError, match=r"expected an array or a number.*got (SimpleNamespace|set); .*to_numpy"
        ):
            gd.grad(f)(x3)


def test_sparse_matrices_times_traced_values():
    sparse = pytest.importorskip("scipy.sparse")
    for kind in (sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix):
        X = kind(A)
        for f, dense in (
            (lambda x, m: m @ x, A),
            (lambda x, m: m.dot(x) ** 2, A),
            (lambda x, m: m.T @ (m @ x), A),
            (lambda x, m: x[:2] @ m, A),
            (lambda x, m: m @ np.outer(x, x), A),
            (lambda x, m: np.outer(x[:2], x[:2]) @ m, A),
        ):
            gd.check_grads(f, x3, X)
            np.testing.assert_allclose(gd.jacobian(f)(x3, X), gd.jacobian(f)(x3, dense))


def test_sparse_matrices_are_not_multiplied_element_by_element():
    sparse = pytest.importorskip("scipy.sparse")
    for X in (sparse.csr_array(A), sparse.csr_matrix(A)):
        with pytest.raises(TypeError, match=r"expected a dense array.*X @ w is differentiated by w"):
            gd.grad(lambda x, m=X: (x * m).sum())(x3)


def test_sparse_matrices_take_no_traced_values():
    sparse = pytest.importorskip("scipy.sparse")
    linalg = pytest.importorskip("scipy.sparse.linalg")
    X = sparse.csr_array(A)
    for f in (
        lambda x: X * x,
        X.multiply,
        lambda x: X * x[0],
        lambda x: sparse.csr_array((x, ([0, 1, 1], [0, 1, 2]))) @ x3,
        lambda x: linalg.spsolve(sparse.csc_array(np.eye(3)), x),
    ):
        with pytest.raises(TypeError, match=r"^scipy\.sparse: expected plain values.*X @ w is differentiated by w"):
            gd.jacobian(f)(x3)


def test_what_is_made_whole_numbers_or_truth_values_is_a_constant():
    x = np.array([1.5, 2.0, 0.5])
    for made in (
        lambda x: x.astype(int),
        lambda x: np.int64(x),  # noqa: PLW0108  # for the traced value to meet it
        lambda x: np.asarray(x, np.int32),
        lambda x: x.astype(bool),
    ):
        whole = made(x)
        np.testing.assert_array_equal(gd.grad(lambda x, made=made: np.sum(x * made(x)))(x), whole)
    np.testing.assert_array_equal(gd.grad(lambda x: x[np.int64(x[1])])(x), [0, 0, 1])


def test_what_an_array_says_of_its_memory_and_spread_about_a_mean():
    said = gd.grad(lambda x: x.sum() * x.itemsize + x.nbytes + x.strides[0] * x.flags.c_contiguous)
    np.testing.assert_array_equal(said(x3), 8)
    for spread in (np.var, np.std):
        gd.check_grads(lambda x, f=spread: f(x[0], mean=np.mean(x[1]), correction=1, where=[True, True, False]), A)
        expected = spread(A, axis=1, mean=A[:, :1], keepdims=True)
        value, _ = gd.vjp(lambda x, f=spread: f(x, axis=1, mean=x[:, :1], keepdims=True))(A)
        np.testing.assert_allclose(value, expected)
