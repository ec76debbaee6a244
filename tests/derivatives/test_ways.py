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


OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


def pairs(dtype):
    """Return pairs of arrays whose elements lie in every way: short, long, in parts of others, turned, in a row."""
    rng = np.random.default_rng(5)
    wide = rng.standard_normal((6, 90)).astype(dtype)
    x, row = np.ascontiguousarray(wide[:, :20]), wide[0, :20].copy()
    by_shape = [(wide[:, 5:25], x), (x, wide[:, 70:]), (wide[:, ::-3], wide[:, :30]), (wide[::2, :9], x[3:, :9])]
    by_row = [(x, row), (wide[:, 3:23], wide[1, 2:22]), (wide[:, :4], row[:4]), (row, row), (x, row[:1])]
    others = [(x.T, x.T), (np.asfortranarray(x), x), (x[:0], x[:0]), (x.reshape(2, 3, 20), x.reshape(2, 3, 20))]
    long = rng.standard_normal((300, 120)).astype(dtype)
    return [*by_shape, *by_row, *others, (long[:, 1:], long[:, :-1]), (x, x.astype(np.float64))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_arrays_that_lie_anyhow_have_the_bits_of_numpy(name, dtype):
    function = OPERATIONS[name]
    for x, y in pairs(dtype):
        seen = []

        def total(p, function=function, seen=seen):
            ans = function(p[0], p[1])
            seen.append(ans.value)
            return np.sum(ans * ans)

        of_x, of_y = gd.grad(total)([x, y])
        ans = function(x, y)
        np.testing.assert_array_equal(seen[0], ans, strict=True)
        g = ans + ans
        slopes = {"+": (g, g), "-": (g, -g), "*": (g * y, g * x), "/": (g / y, -g * (ans / y))}[name]
        for got, slope, of in zip((of_x, of_y), slopes, (x, y), strict=True):
            np.testing.assert_allclose(got, summed(slope, of.shape), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_arrays_overflow_to_is_told_as_by_numpy(dtype):
    big = np.full((4, 10), np.finfo(dtype).max)
    of = {
        "overflow encountered in add": ("over", lambda x: x + x),
        "overflow encountered in multiply": ("over", lambda x: x * x),
        "invalid value encountered in subtract": ("invalid", lambda x: x * np.inf - np.inf * x),
        "divide by zero encountered in divide": ("divide", lambda x: x / np.zeros(9, dtype)),
    }
    whole = np.pad(big, ((0, 0), (1, 0)), constant_values=1)
    for said, (kind, f) in of.items():
        derivative = gd.grad(lambda x, f=f: np.sum(f(x[:, 2:])))
        with np.errstate(**{"all": "ignore", kind: "raise"}), pytest.raises(FloatingPointError) as error:
            derivative(whole)
        assert str(error.value) == said


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_gradients_that_overflow_are_told(dtype):
    big = np.full((4, 10), np.finfo(dtype).max)
    ways = [
        lambda x: np.sum(x * big) + np.sum(x * big),
        lambda x: np.sum(x[:, :9] * big[:, 1:]) + np.sum(x[:, 1:] * big[:, 1:]),
    ]
    for f in ways:
        with pytest.warns(RuntimeWarning, match=r"^overflow encountered in add$"):
            assert np.isinf(gd.grad(f)(np.zeros((4, 10), dtype))).any()
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match=r"^overflow encountered in add$"):
            gd.grad(f)(np.zeros((4, 10), dtype))


def test_an_array_that_a_gate_of_a_user_keeps_is_never_written_to():
    kept = np.ones((3, 4))
    keeps = gd.gate(lambda x: x.copy(), lambda ans, x: lambda g: kept)
    views = gd.gate(lambda x: x.copy(), lambda ans, x: lambda g: kept[:, :])
    for gate in (keeps, views):
        got = gd.grad(lambda x, gate=gate: np.sum(gate(x)) + np.sum(x * x) + np.sum(gate(x)))(np.ones((3, 4)))
        assert (got == 4).all()
        assert (kept == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2, 8, 32, 33])
def test_gradients_by_few_rows_are_those_of_many(rows, dtype):
    """Whichever way round the product of the gradient and the weights is made."""
    rng = np.random.default_rng(6)
    for n, m in ((5, 4), (256, 160), (300, 1100)):
        x, w, g = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, n), (n, m), (rows, m)))
        got = gd.grad(lambda x, w=w, g=g: np.sum((x @ w) * g))(x)
        assert got.flags.c_contiguous
        assert got.dtype == dtype
        expected = g.astype(np.float64) @ w.T.astype(np.float64)
        np.testing.assert_allclose(got, expected, rtol=0, atol=m * np.finfo(dtype).eps * 10)
