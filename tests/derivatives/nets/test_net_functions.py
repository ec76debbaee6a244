"""How exact the elementary functions are: against 40 digits, on a dense sample with the edges of their ranges."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from gdcore.derivatives.nets import functions

DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def digits():
    with np.errstate(all="ignore"), localcontext(prec=40):
        yield


def series(x, term, ratio):
    """Return the sum of terms, each the one before times ``ratio(k)``, until they add nothing."""
    total, k = term, 0
    while abs(term) > abs(total) * Decimal("1e-38"):
        k += 1
        term *= ratio(k)
        total += term
    return total


def true_tanh(x):
    if abs(x) < Decimal("0.01"):  # where the other formula would lose digits: sinh / cosh, both as series
        sinh = series(x, x, lambda k: x * x / (2 * k * (2 * k + 1)))
        cosh = series(x, Decimal(1), lambda k: x * x / (2 * k * (2 * k - 1)))
        return sinh / cosh if x else x
    e = (2 * x).exp()
    return (e - 1) / (e + 1)


def true_log1p(x):
    s = x / (2 + x)
    return 2 * series(s, s, lambda k: s * s * (2 * k - 1) / (2 * k + 1)) if x else x


def true_cdf(x):
    root = (2 * Decimal("3.14159265358979323846264338327950288419716939937510582")).sqrt()
    density = (-x * x / 2).exp() / root
    if not x:
        return Decimal("0.5")
    return Decimal("0.5") + density * series(x, x, lambda k: x * x / (2 * k + 1))


TRUE = {
    "exp": lambda x: x.exp(),
    "log": lambda x: x.ln(),
    "tanh": true_tanh,
    "log1p": true_log1p,
    "normal_cdf": true_cdf,
}


def sample(name, dtype, rng, n=1500):
    edge = np.finfo(dtype)
    least, most = (-103.9, 88.7) if dtype is np.float32 else (-745.1, 709.7)
    if name == "exp":
        return [rng.uniform(least, most, n), rng.uniform(-1, 1, n), [least, most]]
    if name == "log":
        everywhere = np.exp(rng.uniform(np.log(edge.tiny), np.log(edge.max) * 0.999, n))
        return [everywhere, rng.uniform(0.5, 2, n), 1 + rng.uniform(-1e-4, 1e-4, n), [edge.tiny, edge.max, 1]]
    if name == "log1p":
        return [np.exp(rng.uniform(-60, 0, n)), rng.uniform(0, 1, n), [edge.tiny, 1, 0]]
    if name == "tanh":
        return [rng.uniform(-20, 20, n), rng.uniform(-1.2, 1.2, n), np.exp(rng.uniform(-60, 1, n)), [0, 1, -1]]
    return [rng.uniform(-0.5, 9, n), rng.uniform(-0.5, 1, n), [0, -0.5, 1]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TRUE)
def test_functions_are_within_two_units_in_the_last_place(name, dtype):
    x = np.concatenate(sample(name, dtype, np.random.default_rng(0))).astype(dtype)
    y = getattr(functions, name)(x)
    y = y[0] if name == "normal_cdf" else y
    for a, b in zip(x, y, strict=True):
        true = TRUE[name](Decimal(float(a)))
        unit = Decimal(float(np.spacing(np.abs(dtype(float(true))))))
        assert abs(Decimal(float(b)) - true) <= 2 * unit, (a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_lower_tail_of_the_normal_distribution_keeps_its_digits(dtype):
    x = np.random.default_rng(1).uniform(-6, -0.5, 400).astype(dtype)
    for a, b in zip(x, functions.normal_cdf(x)[0], strict=True):
        true = TRUE["normal_cdf"](Decimal(float(a)))
        assert abs(Decimal(float(b)) - true) <= 6 * Decimal(float(np.spacing(dtype(float(true)))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_take_the_limits_at_the_ends_of_the_range(dtype):
    inf, nan, tiny = np.inf, np.nan, np.finfo(dtype).smallest_subnormal
    most = np.finfo(dtype).max

    def at(function, *x):
        return function(np.array(x, dtype)).tolist()

    assert at(functions.exp, inf, -inf, 0.0, -0.0, most, -most) == [inf, 0.0, 1.0, 1.0, inf, 0.0]
    assert at(functions.log, inf, 0.0, -0.0, 1.0) == [inf, -inf, -inf, 0.0]
    assert np.isnan(at(functions.log, -inf, -1.0, -tiny)).all()
    assert at(functions.log, tiny) == [pytest.approx(np.log(np.float64(tiny)), rel=1e-6)]
    assert at(functions.tanh, inf, -inf, 0.0, tiny, most) == [1.0, -1.0, 0.0, float(tiny), 1.0]
    assert np.signbit(at(functions.tanh, -0.0, 0.0)).tolist() == [True, False]
    assert at(functions.sigmoid, inf, -inf, 0.0) == [1.0, 0.0, 0.5]
    assert at(functions.softplus, inf, -inf) == [inf, 0.0]
    assert at(functions.gelu, inf, -inf, -most) == at(functions.silu, inf, -inf, -most) == [inf, 0.0, 0.0]
    for slope in (functions.gelu_slope, functions.silu_slope):
        assert at(slope, inf, -inf, 0.0) == [1.0, 0.0, 0.5]
    for name in ("exp", "log", "log1p", "tanh", "sigmoid", "softplus", "gelu", "silu", "gelu_slope", "silu_slope"):
        assert np.isnan(at(getattr(functions, name), nan, -nan)).all(), name
    assert np.isnan(functions.normal_cdf(np.array([nan], dtype))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_underflow_gradually(dtype):
    edge = np.finfo(dtype)
    x = np.linspace(np.log(float(edge.smallest_subnormal)) - 2, np.log(float(edge.tiny)) + 1, 500).astype(dtype)
    true = np.array([float(Decimal(float(a)).exp()) for a in x]).astype(dtype)
    difference = np.abs(functions.exp(x) - true)
    assert (difference <= np.maximum(np.spacing(true), edge.smallest_subnormal)).all()
    assert ((true > 0) & (true < edge.tiny)).any()


def test_exponential_of_the_largest_arguments_is_infinite_where_it_has_to_be():
    for dtype in DTYPES:
        x = dtype(np.log(np.float64(np.finfo(dtype).max)))
        around = np.array([x, *(np.nextafter(x, dtype(s * np.inf)) for s in (1, -1))], dtype)
        for a, b in zip(around, functions.exp(around), strict=True):
            true = Decimal(float(a)).exp()
            if true <= Decimal(float(np.finfo(dtype).max)):
                assert abs(Decimal(float(b)) / true - 1) < Decimal(float(np.finfo(dtype).eps))
            else:
                assert b == np.inf
