"""The compiled ways back through the usual gates give the bits of the pulls that their rows state."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives._gate import broadcast_axes
from gdcore.derivatives._usual import Elementwise
from gdcore.derivatives.gates.table import TABLE
from gdcore.derivatives.refusals import name_of

ROWS = [row for row in TABLE if isinstance(row.way, Elementwise)]


def drawn(row, dtype):
    rng = np.random.default_rng(len(name_of(row.function)))

    def draw(*shape, low=-2.0, high=2.0):
        return np.asarray(rng.uniform(low, high, shape), dtype)

    return [example for example in row.examples(draw) if not isinstance(example[-1], dict)]


def summed(d, shape):
    if d.shape == shape:
        return d
    axes, kept = broadcast_axes(d.shape, shape)
    d = np.add.reduce(d, axes)
    return d if kept is None else d.reshape(shape)


@pytest.mark.parametrize("by", ["operator", "function"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: name_of(row.function))
def test_a_way_gives_the_bits_of_its_row(row, dtype, by):
    function = row.symbol if by == "operator" and row.symbol is not None else row.function
    vjps = row.way.gate.vjps
    for example in drawn(row, dtype):
        args = [x[()] if isinstance(x, np.ndarray) else x for x in example]
        ans = function(*args)
        weights = np.asarray(np.random.default_rng(1).uniform(0.5, 2.0, np.shape(ans)), dtype)[()]
        for i, vjp in enumerate(vjps):
            if not isinstance(args[i], np.ndarray | np.generic):
                continue
            of = [*args]

            def weighted(x, i=i, of=of, weights=weights):
                return np.sum(function(*of[:i], x, *of[i + 1 :]) * weights)

            got = gd.grad(weighted)(args[i])
            expected = summed(np.asarray(vjp(ans, *args)(weights)), np.shape(args[i]))
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [2, 3, -1, 0, 0.5, 2.5])
def test_a_power_with_a_plain_exponent_gives_the_bits_of_its_row(exponent, dtype):
    vjp = next(row for row in ROWS if row.function is np.power).way.gate.vjps[0]
    for x in (np.asarray([0.3, 1.0, 2.7], dtype), dtype(0.3), dtype(2.7)):
        ans = x**exponent
        got = gd.grad(lambda x: np.sum(x**exponent * dtype(1.5)))(x)
        expected = vjp(ans, x, exponent)(np.full(np.shape(x), 1.5, dtype)[()])
        np.testing.assert_array_equal(got, np.asarray(expected), strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scalars_have_the_bits_of_numpy(dtype):
    """Forward too: what is worked out in C is what NumPy's scalars and functions give."""
    rng = np.random.default_rng(3)
    functions = [lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: -x]
    functions += [lambda x, y, f=f: f(x) for f in (np.exp, np.log, np.sqrt, np.sin, np.cos, np.tanh, np.square)]
    functions += [
        lambda x, y: x**2,
        lambda x, y: x**3,
        lambda x, y: x**0.7,
        lambda x, y: 2 / x,
        lambda x, y: 1.1 * x,
    ]
    for x, y in rng.uniform(0.01, 20, (200, 2)).astype(dtype):
        for f in functions:
            value, _ = gd.value_and_grad(f)(x, y)
            assert value.dtype == dtype
            assert value == f(x, y)


@pytest.mark.parametrize("first", [np.float32, np.float64])
@pytest.mark.parametrize("second", [np.float32, np.float64, float, int])
def test_dtypes_are_those_of_numpy(first, second):
    for x, y in ((first(1.1), second(3)), (np.full(2, first(1.1)), second(3))):
        expected = np.sum(x * y + y / x)
        value, grad = gd.value_and_grad(lambda x, y=y: np.sum(x * y + y / x))(x)
        assert (value.dtype, value) == (expected.dtype, expected)
        assert grad.dtype == first
