"""Which arguments are differentiated, and what comes beside the value."""

import functools

import numpy as np
import pytest

import gdcore as gd


def f(x, p, scale=1.0):
    return np.sum(x * p["w"]) ** 2 * scale


X, PARAMS = np.array([1.0, 2.0]), {"w": np.array([3.0, 4.0])}


def same(got, expected):
    assert type(got) is type(expected)
    if isinstance(got, dict | list | tuple):
        assert len(got) == len(expected)
        for a, b in zip(*((x.values() if isinstance(x, dict) else x) for x in (got, expected)), strict=True):
            same(a, b)
    elif isinstance(expected, str | None):
        assert got == expected
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.parametrize("derivative", [gd.grad, gd.value_and_grad, gd.jacobian, gd.hessian, gd.elementwise_grad])
def test_the_argument_at_a_place_is_differentiated(derivative):
    x_alone = derivative(lambda x: f(x, PARAMS, 2.0))(X)
    p_alone = derivative(lambda p: f(X, p, 2.0))(PARAMS)
    s_alone = derivative(lambda s: f(X, PARAMS, s))(2.0)
    same(derivative(f, 1)(X, PARAMS, 2.0), p_alone)
    same(derivative(f, argnums=-1)(X, PARAMS, scale=2.0), p_alone)
    same(derivative(f, argnums=-1)(X, PARAMS, 2.0), s_alone)
    same(derivative(f, argnums=1)(p=PARAMS, x=X, scale=2.0), p_alone)
    same(derivative(f, argnums=2)(X, PARAMS, scale=2.0), s_alone)
    same(derivative(f, argnums=0)(X, PARAMS, scale=2.0), x_alone)


def test_several_arguments_give_a_tuple():
    x, p, s = (gd.grad(f, i)(X, PARAMS, 2.0) for i in range(3))
    same(gd.grad(f, [2, 0])(X, PARAMS, 2.0), (s, x))
    same(gd.grad(f, (1,))(X, PARAMS, 2.0), (p,))
    same(gd.value_and_grad(f, (-1, 1))(X, PARAMS, 2.0)[1], (s, p))
    same(gd.jacobian(f, (0, 1))(X, PARAMS, scale=2.0), (x, p))
    same(gd.vjp(f, (0, 1))(X, PARAMS, scale=2.0)[1](1.0), (x, p))
    whole = gd.hessian(f, (0, 1))(X, PARAMS)
    same(whole[0][1]["w"], gd.jacobian(lambda p: gd.grad(f)(X, p))(PARAMS)["w"])


def test_the_place_is_found_in_partial_and_compiled_functions():
    same(gd.grad(functools.partial(f, X), argnums=0)(PARAMS), gd.grad(f, 1)(X, PARAMS))
    same(gd.grad(np.power, 1)(2.0, 3.0), np.array(8 * np.log(2.0)))


@pytest.mark.parametrize(
    "derivative", [gd.grad, gd.value_and_grad, gd.jacobian, gd.hessian, gd.vjp, gd.elementwise_grad]
)
@pytest.mark.parametrize(
    ("argnums", "error", "said"),
    [
        (2, ValueError, "f: argnums: expected the place of an argument that is given, got 2 with 2 by position"),
        (-3, ValueError, "f: argnums: expected the place of an argument that is given, got -3 with 2 by position"),
        ((0, -2), ValueError, r"f: argnums: expected arguments that differ, got \(0, -2\)"),
        ((), ValueError, "argnums: expected one argument at least, got none"),
        ("x", TypeError, "argnums: expected an int, or a list or tuple of ints, got 'x'"),
        ([0, 1.0], TypeError, r"argnums: expected an int, or a list or tuple of ints, got \[0, 1.0\]"),
        (True, TypeError, "argnums: expected an int, or a list or tuple of ints, got True"),
    ],
)
def test_a_place_where_nothing_is_given_is_refused(derivative, argnums, error, said):
    with pytest.raises(error, match=said):
        derivative(f, argnums)(X, PARAMS)


def test_errors_name_the_argument():
    with pytest.raises(
        TypeError, match=r"argument 1\['w'\]: expected an array of float32, float64, complex64 or complex128"
    ):
        gd.grad(f, 1)(X, {"w": np.arange(2)})
    with pytest.raises(
        TypeError, match=r"argument 2: expected an array of float32, float64, complex64 or complex128"
    ):
        gd.hessian(f, (1, 2))(X, PARAMS, 3)


# What a function gives beside its value.


def with_aux(p, x):
    h = np.tanh(p["w"] * x)
    return np.sum(h**2), {"hidden": h, "list": [h[0], 3, "text", None], "given": x, "filled": np.array([h[0], 2.0])}


@pytest.mark.parametrize(
    ("derivative", "taken"),
    [
        (gd.value_and_grad, lambda got: (got[0][1], (got[0][0], got[1]))),
        (gd.grad, lambda got: (got[1], got[0])),
        (gd.jacobian, lambda got: (got[1], got[0])),
        (gd.hessian, lambda got: (got[1], got[0])),
    ],
)
def test_aux_is_plain_and_no_part_of_the_derivative(derivative, taken):
    aux, rest = taken(derivative(with_aux, has_aux=True)(PARAMS, X))
    same(rest, derivative(lambda p, x: with_aux(p, x)[0])(PARAMS, X))
    h = np.tanh(PARAMS["w"] * X)
    same(aux, {"hidden": h, "list": [h[0], 3, "text", None], "given": X, "filled": np.array([h[0], 2.0])})
    assert aux["given"] is X


def test_aux_is_differentiated_by_derivatives_around():
    def f(x):
        grads, aux = gd.grad(lambda y: (y**2 * x, y * x**3), has_aux=True)(2.0)
        return grads + aux

    gd.check_grads(f, 1.5)


@pytest.mark.parametrize("derivative", [gd.value_and_grad, gd.grad, gd.jacobian, gd.hessian])
def test_a_function_that_returns_no_pair_is_refused(derivative):
    said = r"has_aux: expected a function that returns a pair, \(result, aux\), got "
    for result, got in (
        (np.sum, r"float64 \(\)"),
        (lambda x: (np.sum(x), x, x), "a tuple of 3"),
        (lambda x: [np.sum(x), x], "list"),
    ):
        with pytest.raises(TypeError, match=said + got):
            derivative(result, has_aux=True)(X)
    with pytest.raises(TypeError, match="has_aux: expected True or False, got 1"):
        derivative(f, has_aux=1)
    with pytest.raises(ValueError, match="escaped from another"):
        derivative(lambda x: (np.sum(x), kept[0]), has_aux=True)(X)


kept = []
gd.grad(lambda x: kept.append(x) or np.sum(x))(X)


def test_a_pair_without_has_aux_says_so():
    with pytest.raises(TypeError, match="one real number, got tuple; has_aux=True takes the second of a pair"):
        gd.grad(lambda x: (np.sum(x), x))(X)
