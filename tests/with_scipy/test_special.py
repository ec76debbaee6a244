"""Functions of ``scipy.special`` that are no ufuncs: every option, and what lies at the limits."""

import numpy as np
import pytest

import gdcore as gd

plain = pytest.importorskip("scipy.special")
special = gd.scipy.special

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((3, 1))


def value_of(f, x):
    """Return what ``f`` gives for a traced ``x``."""
    kept = []

    def total(x):
        kept.append(f(x))
        return np.sum(kept[0])

    gd.grad(total)(x)
    return gd.stop_gradient(kept[0])


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("b", [None, np.abs(B), 2.0, [1, 0, 2, 0]])
def test_logsumexp_takes_scipys_options(axis, keepdims, b):
    f = lambda a: special.logsumexp(a, axis, b, keepdims)  # noqa: E731
    with np.errstate(divide="ignore"):
        expected = plain.logsumexp(A, axis, b, keepdims)
    np.testing.assert_allclose(value_of(f, A), expected, rtol=1e-13)
    assert np.isfinite(gd.grad(lambda a: np.sum(f(a)))(A)).all()
    if axis != 0 or type(b) is not list:  # else there are sums of nothing
        gd.check_grads(f, A[:1])


@pytest.mark.parametrize("axis", [None, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_of_signed_terms_gives_the_sign(axis, keepdims):
    expected, sign = plain.logsumexp(A, axis, B, keepdims, return_sign=True)
    signs = []

    def f(params):
        ans, given = special.logsumexp(params[0], axis, params[1], keepdims, return_sign=True)
        signs.append(given)
        return ans

    np.testing.assert_allclose(value_of(f, [A, B]), expected, rtol=1e-12)
    np.testing.assert_array_equal(signs[0], sign)
    gd.check_grads(f, [A, B])


def test_logsumexp_where_elements_are_infinite():
    x, b = np.array([-np.inf, 1.0, np.inf, -np.inf]), np.array([1.0, 2.0, 0.0, 1.0])
    np.testing.assert_allclose(value_of(lambda b: special.logsumexp(x[:2], b=b), b[:2]), 1 + np.log(2))
    np.testing.assert_allclose(value_of(lambda x: special.logsumexp(x, b=b), x), 1 + np.log(2))
    np.testing.assert_array_equal(gd.grad(lambda x: special.logsumexp(x, b=b))(x), [0, 1, 0, 0])
    np.testing.assert_array_equal(gd.grad(special.logsumexp)(x[[0, 1, 3]]), [0, 1, 0])


def test_whole_numbers_beside_traced_ones():
    np.testing.assert_allclose(
        gd.grad(lambda b: special.logsumexp([1, 2], b=b))(np.ones(2)), np.exp([1, 2]) / np.exp([1, 2]).sum()
    )
    gd.check_grads(lambda x: special.logsumexp([x[0], 0, x[1]]), np.ones(2))


@pytest.mark.parametrize("axis", [None, 0, -1, (1, 2)])
def test_softmax_along_axes(axis):
    for name in ("softmax", "log_softmax"):
        f = lambda a, name=name: getattr(special, name)(a, axis)  # noqa: E731
        np.testing.assert_allclose(value_of(f, A), getattr(plain, name)(A, axis), rtol=1e-13, atol=1e-15)
        gd.check_grads(f, A[:1])


def test_polygamma_of_orders_at_once():
    n, x = np.array([[0], [1], [3]]), np.array([0.5, 2.0])
    np.testing.assert_allclose(value_of(lambda x: special.polygamma(n, x), x), plain.polygamma(n, x), rtol=1e-13)
    np.testing.assert_allclose(gd.grad(plain.psi)(0.5), plain.polygamma(1, 0.5), rtol=1e-14)
    np.testing.assert_allclose(gd.grad(gd.grad(plain.gammaln))(-1.5), plain.polygamma(1, -1.5), rtol=1e-13)


def test_multigammaln_refuses_what_scipy_refuses():
    for a, d in ((0.4, 2), (3.0, 1.5)):
        with pytest.raises(ValueError, match=r"condition a|positive integer"):
            gd.grad(lambda a, d=d: special.multigammaln(a, d))(a)
