"""Gates at the edges of their domains, and with arguments in their less usual forms."""

import numpy as np
import pytest

import gdcore as gd

A = np.array


def test_the_hessian_of_a_power_is_right_where_the_exponent_is_0():
    hessian = gd.hessian(lambda v: v[0] ** v[1])(A([2.0, 0.0]))
    np.testing.assert_allclose(hessian, [[0, 0.5], [0.5, np.log(2) ** 2]], atol=1e-15)
    assert gd.grad(lambda v: v[0] ** v[1])(A([0.0, 0.0]))[0] == 0


def test_the_derivative_of_a_power_of_a_negative_number_by_its_exponent_is_nan():
    assert np.isnan(gd.grad(lambda y: (-2.0) ** y)(2.0))


CASES = {
    "einsum broadcasts": (lambda x: np.einsum("i,i->", x, A([2.0])), A([1.0, 2, 3])),
    "einsum broadcasts a traced value": (lambda x: np.einsum("i,i->", np.cumsum(x), A([1.0])), A([1.0, 2, 3])),
    "einsum broadcasts rows": (lambda x: np.einsum("ij,ij->", x, A([[1.0, 2, 3]])), np.arange(6.0).reshape(2, 3)),
    "take_along_axis broadcasts": (
        lambda x: np.take_along_axis(x, A([[0, 2]]), 1).sum(),
        np.arange(6.0).reshape(2, 3),
    ),
    "take_along_axis broadcasts down": (
        lambda x: np.take_along_axis(x, A([[1]]), 0).sum(),
        np.arange(6.0).reshape(2, 3),
    ),
    "atleast_1d of several": (
        lambda x: np.sum(np.atleast_1d(x, 1.0)[1]) + np.sum(np.atleast_1d(x, x)[0]),
        A([3.0, 7]),
    ),
    "array_split uneven": (lambda x: np.sum(np.array_split(x, 2)[1] * 3), np.arange(5.0)),
    "split backwards": (lambda x: np.sum(np.split(x, [3, 1])[2]), np.ones(5)),
    "tensordot of a list": (lambda x: np.tensordot([1.0, 2.0], x, 1).sum(), np.ones((2, 3))),
    "indices": (lambda x: np.sum(x[range(2)]) + np.sum(x[True]) + np.sum(x[(0, 1), :]), np.ones((3, 2))),
    "norm 3": (lambda x: np.linalg.norm(x, np.int64(3)), A([1.0, -2, 3])),
    "norm -2": (lambda x: np.linalg.norm(x, -2), A([1.0, -2, 3])),
}


@pytest.mark.parametrize(("f", "x"), CASES.values(), ids=CASES)
def test_value_and_gradient_are_those_of_numpy(f, x):
    value, gradient = gd.value_and_grad(f)(x)
    np.testing.assert_allclose(value, f(x))
    step = 1e-6
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        np.testing.assert_allclose(gradient[i], (f(up) - f(down)) / (2 * step), rtol=1e-6, atol=1e-6)


def test_a_constant_0d_array_has_no_gradient():
    assert gd.grad(lambda x: np.array(3.0))(1.0) == 0


def test_the_gradient_of_a_norm_is_0_at_0():
    for order in (None, 2, 3, 4.5):
        np.testing.assert_array_equal(gd.grad(lambda x, order=order: np.linalg.norm(x, order))(np.zeros(2)), 0)
    rows = gd.grad(lambda x: np.linalg.norm(x, 4, axis=1).sum())(A([[0.0, 0], [1, 0]]))
    np.testing.assert_array_equal(rows, [[0, 0], [1, 0]])


def test_logaddexp_at_infinity_has_the_gradient_of_the_larger():
    for x, y, expected in [(-np.inf, -np.inf, 0.5), (np.inf, np.inf, 0.5), (np.inf, 1.0, 1), (1.0, np.inf, 0)]:
        assert gd.grad(lambda x, y=y: np.logaddexp(x, y))(x) == expected
    assert gd.grad(lambda x: np.logaddexp(x, np.float32(1)))(np.float32(1)).dtype == np.float32


def test_fmax_and_fmin_have_the_gradient_of_what_is_not_nan():
    assert gd.grad(lambda x: np.fmax(x, np.nan))(2.0) == 1
    assert gd.grad(lambda x: np.fmin(np.nan, x))(2.0) == 1


def test_remainder_counts_whole_divisors():
    assert gd.grad(lambda y: 1.0 % y)(0.1) == -9


def test_variance_of_too_few_is_nan():
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        assert np.isnan(gd.grad(lambda x: np.var(x, ddof=1))(np.ones(1))).all()


@pytest.mark.parametrize("labels", [A([1, 0]), np.eye(2)[[1, 0]]])
def test_cross_entropy_of_a_logit_of_minus_infinity_is_finite_where_its_class_is_not_meant(labels):
    logits = A([[-np.inf, 1.0], [2.0, 3.0]])
    value, gradient = gd.value_and_grad(lambda z: gd.softmax_cross_entropy(z, labels))(logits)
    assert np.isfinite(value)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-12)


def test_what_numpy_refuses_is_refused():
    x = np.ones((2, 3))
    refused = [
        lambda x: np.tensordot(x, np.ones((3, 2)), axes=([0, 1], [0, 1])),
        lambda x: np.take(x, 0, axis=5),
        lambda x: np.linalg.norm(x, axis=2),
        lambda x: np.split(x, 2, axis=4),
    ]
    for f in refused:
        with pytest.raises((ValueError, IndexError)):
            f(x)
        with pytest.raises((ValueError, IndexError)):
            gd.jacobian(f)(x)


def test_what_would_lose_the_gradient_is_refused():
    for f in (
        lambda x: np.sum(np.pad(x, 1, "reflect", reflect_type="odd")),
        lambda x: np.sum(np.linalg.svd(np.outer(x, x[:2])).U),
        lambda x: np.sum(np.quantile(x, x[0] / 4)),
        lambda x: np.sum(np.linalg.eigvals(x[0] * A([[0.0, -1.0], [1.0, 0.0]]))),
        lambda x: np.sum(np.interp(x, x, x, period=2.0)),
    ):
        with pytest.raises(TypeError, match="expected"):
            gd.grad(f)(A([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(gd.grad(lambda x: np.sum(np.full_like(x, x.mean())))(np.ones(3)), 1)
    np.testing.assert_array_equal(gd.grad(lambda x: np.sum(np.heaviside(np.zeros(3), x)))(np.ones(3)), 1)


# Decompositions whose vectors are a matter of choice.


def test_values_that_are_equal_have_a_derivative_of_what_does_not_depend_on_their_order():
    for f in (
        lambda a: np.sum(np.linalg.eigvalsh(a) ** 3),
        lambda a: np.sum(np.linalg.eigh(a).eigenvalues ** 3),
        lambda a: np.sum(np.linalg.svdvals(a) ** 3),
    ):
        np.testing.assert_allclose(gd.grad(f)(np.eye(3)), 3 * np.eye(3), atol=1e-12)


def test_by_way_of_vectors_that_are_a_matter_of_choice_the_derivative_is_nan():
    def rebuilt(a):
        w, v = np.linalg.eigh(a)
        return (v * w) @ v.T

    def rebuilt_from_singular(a):
        u, s, vh = np.linalg.svd(a)
        return (u * s) @ vh

    for f in (rebuilt, rebuilt_from_singular):
        assert np.isnan(gd.jacobian(f)(np.eye(2))).any()
    assert np.isnan(gd.hessian(lambda a: np.sum(np.linalg.eigvalsh(a) ** 3))(np.eye(2))).any()


def test_the_series_and_the_formula_of_sinc_meet():
    for x in (0.0, 1e-8, 1e-3, 0.3183, 0.3184, 2.0):
        slope, bend = gd.grad(np.sinc)(x), gd.grad(gd.grad(np.sinc))(x)
        t = (np.arange(2000) + 0.5) / 2000  # sinc(x) is the mean of cos(pi x t)
        np.testing.assert_allclose(slope, np.mean(-np.pi * t * np.sin(np.pi * x * t)), rtol=1e-6, atol=1e-14)
        np.testing.assert_allclose(bend, np.mean(-((np.pi * t) ** 2) * np.cos(np.pi * x * t)), rtol=1e-6)


def test_where_and_initial_keep_nan_out_of_the_gradient():
    x, known = A([1.0, np.nan, 3.0]), A([True, False, True])
    for f in (np.sum, np.mean, np.prod, np.var, np.std, np.nansum, np.nanmean, np.nanstd, np.nanmax, np.nanmedian):
        options = {} if f.__name__.startswith("nan") else {"where": known}
        gradient = gd.grad(lambda x, f=f, options=options: f(x, **options))(x)
        assert gradient[1] == 0
        plain = getattr(np, f.__name__.removeprefix("nan"))
        np.testing.assert_allclose(gradient[known], gd.grad(plain)(x[known]))


def test_logaddexp_of_infinities_has_a_gradient():
    minus = np.full(2, -np.inf)
    np.testing.assert_array_equal(gd.grad(np.logaddexp.reduce)(minus), [0.5, 0.5])
    np.testing.assert_array_equal(gd.grad(np.logaddexp.reduce)(A([-np.inf, 1.0])), [0, 1])


def test_a_users_gate_must_get_traced_values_as_arguments():
    def loss(x):
        return gd.gate(lambda y: x * y, lambda ans, y: lambda g: g * y)(x)

    with pytest.raises(ValueError, match="among its arguments, got one from outside"):
        gd.grad(loss)(2.0)
    listed = gd.gate(lambda x, y: x * y[0], lambda ans, x, y: lambda g: g * y[0])
    with pytest.raises(TypeError, match="argument 1: expected an array that is not differentiated"):
        gd.grad(lambda x: listed(x, [x]))(2.0)


def test_gradients_through_a_block_that_is_computed_again_are_ones_own():
    cache = np.ones(2)
    total = gd.gate(lambda x: x.sum(), lambda ans, x: lambda g: cache)
    gradient = gd.grad(gd.rematerialise(total))(np.ones(2))
    gradient *= 0
    np.testing.assert_array_equal(cache, 1)


@pytest.mark.parametrize("function", [np.nanmean, np.nanvar, np.nanstd])
def test_of_what_is_not_nan_where_names_what_counts(function):
    x = np.array([1.0, np.nan, 4.0, 100.0])
    where = np.array([True, True, True, False])
    value, slope = gd.value_and_grad(lambda x: function(x, where=where))(x)
    assert value == function(np.array([1.0, 4.0]))
    np.testing.assert_allclose(slope[[0, 2]], gd.grad(function)(np.array([1.0, 4.0])), rtol=1e-15)
    np.testing.assert_array_equal(slope[[1, 3]], 0)
