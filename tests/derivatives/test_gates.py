"""Every row of the table of gates, against finite differences and against other libraries."""

from functools import reduce
from zlib import crc32

import autograd
import autograd.numpy
import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives.gates.table import TABLE
from gdcore.derivatives.refusals import name_of

DTYPES = [np.float64, np.float32]


def drawer(name, dtype=np.float64):
    """Return draw(*shape, low, high): values apart from each other, so that no difference crosses a tie."""
    rng = np.random.default_rng(crc32(name.encode()))

    def draw(*shape, low=-2.0, high=2.0):
        size = int(np.prod(shape))
        places = rng.permutation(size) + rng.uniform(0.2, 0.8, size)
        values = (low + (high - low) * (places / max(size, 1))).reshape(shape)
        return values.astype(dtype)[()] if shape else dtype(values)

    return draw


def split(example):
    return (example[:-1], example[-1]) if isinstance(example[-1], dict) else (example, {})


def is_parameter(x):
    return (isinstance(x, np.ndarray | np.floating) and x.dtype.kind == "f") or (
        isinstance(x, list) and any(is_parameter(y) for y in x)
    )


def narrowed(x, dtype):
    """Return an example with its arrays of that kind in a dtype, as what is made of those drawn may be wider."""
    if isinstance(x, list | tuple):
        return type(x)(narrowed(y, dtype) for y in x)
    like = isinstance(x, np.ndarray | np.inexact) and x.dtype.kind == np.dtype(dtype).kind
    return x.astype(dtype, copy=False) if like else x


def every_row(dtype=np.float64):
    """Let a test of one example be one for each row, with all its examples: there are thousands."""

    def decorate(test):
        @pytest.mark.parametrize("row", [pytest.param(row, id=name_of(row.function)) for row in TABLE])
        def whole(row):
            for example in row.examples(drawer(name_of(row.function), dtype)):
                test(row, narrowed(example, dtype))

        return whole

    return decorate


def as_function(row, example, chosen=is_parameter):
    """Return the example as a function of a list of its parameters, those that are ``chosen``, and these."""
    args, kwargs = split(example)
    at = [i for i, x in enumerate(args) if chosen(x)]

    def f(params):
        given = list(args)
        for i, x in zip(at, params, strict=True):
            given[i] = x
        return row.of(*given, **kwargs)

    return f, [args[i] for i in at]


@every_row()
def test_gate_agrees_with_finite_differences_to_second_order(row, example):
    f, params = as_function(row, example)
    gd.check_grads(f, params)


@every_row()
def test_gate_gives_what_the_function_gives(row, example):
    f, params = as_function(row, example)
    given, plain = [], f(params)

    def loss(params):
        given.append(gd.stop_gradient(f(params)))
        return np.sum(f(params))

    gd.grad(loss)(params)
    assert given[0].shape == plain.shape
    np.testing.assert_allclose(given[0], plain, rtol=1e-13, atol=1e-13)


@every_row(np.float32)
def test_gate_keeps_float32(row, example):
    f, params = as_function(row, example)
    plain = np.asarray(f(params))

    def loss(params):
        y = f(params)
        assert y.dtype == plain.dtype
        return np.sum(y * y)

    grads = gd.grad(loss)(params)
    assert all(g.dtype == np.result_type(x) for g, x in flat(grads, params))
    again = gd.grad(lambda p: sum(np.sum(g * g) for g, _ in flat(gd.grad(loss)(p), p)))(params)
    assert all(g.dtype == np.result_type(x) for g, x in flat(again, params))


def flat(grads, params):
    for g, x in zip(grads, params, strict=True):
        yield from zip(g, x, strict=True) if isinstance(x, list) else [(g, x)]


@every_row()
def test_gradients_share_no_memory_with_arguments_or_each_other(row, example):
    f, params = as_function(row, example)
    given = [x for x in split(example)[0] if isinstance(x, np.ndarray)]
    seen = given + [y for x in params if isinstance(x, list) for y in x]
    for loss in (lambda p: np.sum(f(p)), lambda p: np.sum(f(p) * f(p))):
        for grad, _ in flat(gd.grad(loss)(params), params):
            assert grad.flags.c_contiguous
            assert grad.flags.writeable
            assert not any(np.shares_memory(grad, x) for x in seen)
            seen.append(grad)


@every_row()
def test_basis_vectors_pulled_together_or_one_by_one_are_the_same(row, example):
    f, params = as_function(row, example)
    together = gd.jacobian(f)(params)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gdcore.derivatives.jacobians.MOST_TOGETHER", 0)
        apart = gd.jacobian(f)(params)
    for (a, x), (b, _) in zip(flat(together, params), flat(apart, params), strict=True):
        assert a.shape == np.shape(f(params)) + np.shape(x)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def like(x, rng):
    return [like(y, rng) for y in x] if isinstance(x, list) else rng.standard_normal(np.shape(x))


@every_row()
def test_columns_are_those_of_the_rows_and_products_those_of_the_jacobian(row, example):
    rng = np.random.default_rng(0)
    f, params = as_function(row, example)
    rows, columns = (gd.jacobian(f, mode=mode)(params) for mode in ("reverse", "forward"))
    for (a, _), (b, _) in zip(flat(rows, params), flat(columns, params), strict=True):
        assert (b.shape, b.dtype, b.flags.c_contiguous) == (a.shape, a.dtype, True)
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11)
    v = like(params, rng)
    value, tangent = gd.jvp(f)(params, v)
    np.testing.assert_allclose(value, f(params), rtol=1e-13, atol=1e-13)
    expected = sum(np.tensordot(a, x, np.ndim(x)) for a, x in flat(rows, v))
    np.testing.assert_allclose(tangent, expected, rtol=1e-9, atol=1e-11)
    _, pull = gd.vjp(f)(params)
    g = rng.standard_normal(np.shape(value))
    for (a, _), (d, _), (again, _) in zip(flat(rows, v), flat(pull(g), v), flat(pull(g), v), strict=True):
        np.testing.assert_allclose(d, np.tensordot(g, a, np.ndim(g)), rtol=1e-9, atol=1e-11)
        np.testing.assert_array_equal(d, again)
        assert not np.shares_memory(d, again)


# Other libraries. Ours has to give a gradient; where theirs lacks one of the function's forms, or gives nan, there
# is nothing to compare with: finite differences have judged that example above.


# Those of which autograd takes none of our examples, although it has a rule for the function.
NOT_IN_AUTOGRAD = {"np.diagonal", "np.pad"}
# There eigenvalues and roots are complex, and the parts of a partition in another order, which is nobody's.
UNLIKE_JAX = {"np.linalg.eigvals", "np.roots", "np.partition"}
# It takes no function of NumPy's.
NOT_IN_JAX = {"np.apply_over_axes"}
# What libraries raise where they lack a form. Ours is worked out before, outside of the try, and each row has to be
# compared at least once.
REFUSALS = (AttributeError, NotImplementedError, TypeError, ValueError, AssertionError, IndexError, ArithmeticError)


def scalar_of(function, args, kwargs, at, np_):
    """Return the weighted sum of the function's result, as a function of a tuple of its parameters."""
    shape = np.shape(function(*args, **kwargs)) if np_ is np else None

    def total(params, weights):
        given = list(args)
        for i, x in zip(at, params, strict=True):
            given[i] = x
        return np_.sum(function(*given, **kwargs) * weights)

    return total, shape


LOST = {"where", "initial", "norm", "correction", "mean"}
"""Options that autograd takes and then leaves out of its gradients, as it does with all of np.full_like."""


def comparable(examples):
    """Return the examples that other libraries take."""
    parts = [(example, *split(example)) for example in examples]
    return [
        example
        for example, args, kwargs in parts
        if not any(isinstance(x, list) for x in args) and not kwargs.keys() & LOST
    ]


def peer_cases(knows):
    for row in TABLE:
        name = name_of(row.function)
        if row.of is row.function and name.startswith("np.") and row.function is not np.full_like and knows(name):
            examples = comparable(row.examples(drawer(name)))
            if examples:
                yield pytest.param(row, examples, id=name)


def namesake(numpy, name):
    return reduce(lambda x, part: getattr(x, part, None), name.split(".")[1:], numpy)


def in_autograd(name):
    function = namesake(autograd.numpy, name)
    composed = function and not getattr(function, "_is_autograd_primitive", False)
    return (composed or function in autograd.core.primitive_vjps) and name not in NOT_IN_AUTOGRAD


def compared_with(gradient, numpy, row, example):
    """Hold our gradient against theirs, and return whether there was one."""
    args, kwargs = split(example)
    at = [i for i, x in enumerate(args) if is_parameter(x)]
    params = tuple(args[i] for i in at)
    ours, shape = scalar_of(row.function, args, kwargs, at, np)
    weights = np.random.default_rng(3).uniform(0.5, 1.5, shape)
    got = gd.grad(ours)(params, weights)
    try:
        function = reduce(getattr, name_of(row.function).split(".")[1:], numpy)
        theirs, _ = scalar_of(function, args, kwargs, at, numpy)
        expected = gradient(theirs)(params, weights)
    except REFUSALS:
        return False
    if not all(np.isfinite(np.asarray(b)).all() for b in expected):
        return False
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-8, atol=1e-10)
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("row", "examples"), list(peer_cases(in_autograd)))
def test_gate_agrees_with_autograd(row, examples):
    compared = [compared_with(autograd.grad, autograd.numpy, row, example) for example in examples]
    assert any(compared)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("row", "examples"), list(peer_cases(lambda name: name not in UNLIKE_JAX | NOT_IN_JAX)))
def test_gate_agrees_with_jax(row, examples):
    import jax

    jax.config.update("jax_enable_x64", True)
    with jax.default_device(jax.devices("cpu")[0]):
        compared = [compared_with(jax.grad, jax.numpy, row, example) for example in examples[:3]]  # compiles each
    assert any(compared) or namesake(jax.numpy, name_of(row.function)) is None
