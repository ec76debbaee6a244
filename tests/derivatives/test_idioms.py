"""What people write: lists of traced values, arrays that are filled, fractions, arrays of other libraries."""

import re
from fractions import Fraction
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
    "round": lambda x: x * round(x[0], 1) * round(x[1]),
    "reversed": lambda x: np.stack([*reversed(x)]) ** 2,
    "real and imag": lambda x: x.real * x.conj() + x.imag,
    "methods": lambda x: x.cumprod() * x.compress([True, True, True]) + x.conjugate(),
}


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
    said = "write values into np.zeros(n, object), or np.stack or np.concatenate a list of them"
    with pytest.raises(TypeError, match=re.escape(said)):
        gd.grad(write)(x3)


def test_adding_to_an_array_in_place_says_what_to_write():
    def add(x):
        y = np.zeros(3)
        y += x

    with pytest.raises(TypeError, match=r"y = y \+ x, without out, makes a new array"):
        gd.grad(add)(x3)


def test_printing_with_a_percent_sign_says_what_to_write():
    assert gd.grad(lambda x: x * len(f"{x:.3f}"))(2.0) == 5
    with pytest.raises(TypeError, match=re.escape("f'{x:.3f}' to print")):
        gd.grad(lambda x: x * len("%.3f" % x))(2.0)  # noqa: UP031


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
