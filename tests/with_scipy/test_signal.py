"""Convolutions agree with their definition."""

import numpy as np
import pytest

import gdcore as gd

plain = pytest.importorskip("scipy.signal")
signal = gd.scipy.signal

RNG = np.random.default_rng(0)
NAMES = ["convolve", "correlate", "fftconvolve", "oaconvolve"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(
    "shapes", [((5,), (3,)), ((3,), (5,)), ((4, 4), (4, 3)), ((2, 3, 4), (2, 1, 3)), ((1,), (1,))]
)
def test_the_derivative_of_what_is_linear_is_its_values(name, mode, shapes):
    x, y = RNG.standard_normal(shapes[0]), RNG.standard_normal(shapes[1])
    function, theirs = getattr(signal, name), getattr(plain, name)
    by_x, by_y = gd.jacobian(lambda p: function(p[0], p[1], mode))([x, y])
    v, w = RNG.standard_normal(x.shape), RNG.standard_normal(y.shape)
    along = np.tensordot(by_x, v, v.ndim) + np.tensordot(by_y, w, w.ndim)
    np.testing.assert_allclose(along, theirs(v, y, mode) + theirs(x, w, mode), atol=1e-12)


@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
def test_convolve_takes_scipys_methods(method):
    x, y = RNG.standard_normal(6), RNG.standard_normal(4)
    value, _ = gd.value_and_grad(lambda p: np.sum(signal.convolve(*p, "same", method) ** 2))((x, y))
    np.testing.assert_allclose(value, np.sum(plain.convolve(x, y, "same") ** 2))


def test_numbers():
    gd.check_grads(lambda x: signal.convolve(x, 3.0), 2.0)
