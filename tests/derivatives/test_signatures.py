"""Derivatives have the parameters of their function; the typed examples run."""

import functools
import inspect
import math
import runpy
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd


def loss(w, x, *, params=1.0, v=0.0):
    return np.sum(w * x) ** 2 * params + v


W, X = np.array([1.0, 2.0]), np.array([3.0, 4.0])


@pytest.mark.parametrize("derivative", [gd.value_and_grad, gd.grad, gd.jacobian, gd.hessian, gd.rematerialise])
def test_a_derivative_has_the_signature_and_the_name_of_its_function(derivative):
    of = derivative(loss)
    assert inspect.signature(of) == inspect.signature(loss)
    assert (of.__name__, of.__module__, of.__wrapped__) == ("loss", __name__, loss)


def test_hvp_has_the_signature_of_its_function_and_v():
    assert str(inspect.signature(gd.hvp(lambda w, x, *, k=1: w * x))) == "(w, v, /, x, *, k=1)"


@pytest.mark.parametrize("derivative", [gd.value_and_grad, gd.grad, gd.jacobian, gd.hessian])
def test_the_first_argument_may_be_given_by_name_and_others_may_have_any_name(derivative):
    by_place = derivative(loss)(W, X, params=2.0, v=1.0)
    by_name = derivative(loss)(x=X, w=W, params=2.0, v=1.0)
    for a, b in zip(by_place, by_name, strict=True):
        np.testing.assert_array_equal(a, b)


def test_hvp_leaves_the_names_of_others_alone():
    got = gd.hvp(lambda w, x, params, v: np.sum(w * x) ** 2 * params + v)(W, W, X, params=2.0, v=1.0)
    np.testing.assert_allclose(got, 4 * X * np.sum(W * X))


def test_a_function_without_a_first_argument_by_position_is_refused():
    said = "expected the argument that is differentiated by position, got none"
    for derivative, named in (
        (gd.grad(loss), {"x": X}),
        (gd.grad(loss), {}),
        (gd.grad(lambda *, w: w), {"w": 1.0}),
        (gd.value_and_grad(np.sin), {"x": 1.0}),
        (gd.hessian(functools.partial(loss, W)), {}),
    ):
        with pytest.raises(TypeError, match=said):
            derivative(**named)


def test_functions_without_a_signature_are_differentiated():
    np.testing.assert_array_equal(gd.grad(np.sum)(W), 1)
    np.testing.assert_array_equal(gd.hvp(np.sum)(W, W), 0)
    assert math.isclose(gd.grad(np.sin)(0.5), math.cos(0.5))


def test_the_typed_examples_run():
    runpy.run_path(str(Path(__file__).parents[1] / "typing" / "right.py"))
