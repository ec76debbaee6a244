"""No gradient gets lost: copies keep it, pickles are refused, and so is what comes from another derivative."""

import copy
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gdcore as gd

P = {"w": np.array([1.0, 2.0]), "b": [3.0]}
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "of a leaf": lambda p: {**p, "w": copy.deepcopy(p["w"])},
    "of a scalar": lambda p: {**p, "b": [copy.copy(p["b"][0])]},
    "within an object": lambda p: copy.deepcopy(Holder(p)).held,
    "method": lambda p: {**p, "w": p["w"].copy()},
    "function": lambda p: {**p, "w": np.copy(p["w"])},
    "twice": lambda p: copy.deepcopy(copy.deepcopy([p, p]))[1],
}


class Holder:
    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_copies_keep_the_gradient(duplicate):
    def loss(p, q):
        return np.sum(q["w"] ** 2) * p["w"][0] + q["b"][0] * p["b"][0]

    value, grads = gd.value_and_grad(lambda p: loss(p, duplicate(p)))(P)
    assert type(value) is np.float64
    expected = gd.grad(lambda p: loss(p, p))(P)
    np.testing.assert_array_equal(grads["w"], expected["w"])
    assert grads["b"] == expected["b"]
    np.testing.assert_array_equal(gd.jacobian(lambda p: duplicate(p)["w"] * 2)(P)["w"], 2 * np.eye(2))
    hessians = [gd.hessian(lambda p, f=f: loss(p, f(p)))(P)["w"]["w"] for f in (duplicate, lambda p: p)]
    np.testing.assert_array_equal(*hessians)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_refused(protocol):
    for pickled in (lambda x: x, lambda x: [x, 1.0], Holder):
        with pytest.raises(TypeError, match=r"its gradient would be lost, got float64 \(\) to pickle"):
            gd.grad(lambda x, f=pickled: pickle.loads(pickle.dumps(f(x), protocol)))(2.0)


def escaped(derivative=gd.grad, x=2.0):
    """Return a traced value of a derivative that is done."""
    kept = []
    derivative(lambda x: (kept.append(x * 1.0), np.sum(x))[1])(x)
    return kept[0]


@functools.cache
def cached():
    return escaped()


def from_an_object_array(x):
    holder = np.empty(1, object)
    holder[0] = escaped()
    return holder[0]


def from_a_generator(x):
    return next(y for y in [escaped()])


ESCAPES = {
    "list": lambda x: escaped(),
    "cache": lambda x: cached(),
    "object array": from_an_object_array,
    "generator": from_a_generator,
    "of a Jacobian": lambda x: escaped(gd.jacobian),
    "of a thread": lambda x: ThreadPoolExecutor(1).submit(escaped).result(),
    "copied": lambda x: copy.deepcopy(escaped()),
}


@pytest.mark.parametrize("f", ESCAPES.values(), ids=ESCAPES)
@pytest.mark.parametrize("derivative", [gd.grad, gd.value_and_grad, gd.jacobian, gd.hessian])
def test_a_result_that_has_escaped_from_another_derivative_is_an_error(derivative, f):
    with pytest.raises(ValueError, match="expected a result that is traced by this derivative, got float64"):
        derivative(f)(1.5)


def test_what_has_escaped_is_an_error_in_blocks_and_gates():
    for f in (gd.rematerialise(lambda y: escaped()), gd.gate(lambda y: escaped(), lambda ans, y: lambda g: g)):
        with pytest.raises(ValueError, match="among its arguments, got one from outside"):
            gd.grad(f)(1.5)


def test_a_gradient_that_has_escaped_is_an_error():
    from_outside = gd.gate(lambda x: x * 2, lambda ans, x: lambda g: escaped())
    from_within = lambda x: gd.gate(lambda y: y * 2, lambda ans, y: lambda g: g * x)(x * 1.0)  # noqa: E731
    for f in (from_outside, from_within, lambda x: np.sum(gd.jacobian(from_outside)(x))):
        for derivative in (gd.grad, gd.jacobian):
            with pytest.raises((ValueError, RuntimeError), match=r"traced by this derivative|was done"):
                derivative(f)(1.5)


def test_arithmetic_with_what_has_escaped_is_an_error():
    stale = escaped()
    for f in (lambda x: x * stale, lambda x: stale * x, lambda x: np.sin(stale), lambda x: np.stack([x, stale])[0]):
        with pytest.raises(RuntimeError, match="used after the derivative it belongs to was done"):
            gd.grad(f)(1.5)


def test_a_parameter_that_has_escaped_is_an_error():
    for f in (lambda x: x, lambda x: x * 1.0):
        with pytest.raises((ValueError, RuntimeError), match="derivative"):
            gd.grad(f)(escaped())


def test_a_result_may_be_traced_by_the_derivative_around():
    assert gd.grad(lambda x: gd.value_and_grad(lambda y: x)(1.0)[0] * 3)(2.0) == 3
    np.testing.assert_array_equal(gd.grad(lambda x: np.sum(gd.jacobian(lambda y: x)(np.ones(2))))(2.0), 0)


def test_an_array_of_objects_is_no_result_unless_it_holds_traced_values():
    def objects(x):
        holder = np.empty((), object)
        holder[()] = x
        return holder

    assert gd.grad(objects)(1.5) == gd.jacobian(objects)(1.5) == 1
    for f in (lambda x: np.array([None, 1.0]), lambda x: np.array("a"), lambda x: np.array(1j)):
        with pytest.raises(TypeError, match="real number"):
            gd.jacobian(f)(1.5)
        with pytest.raises(TypeError, match="expected a scalar result, one real number"):
            gd.grad(lambda x, f=f: f(x).reshape(-1)[:1].reshape(()))(1.5)
