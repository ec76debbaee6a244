"""Complex numbers: every row of the table that takes them, against finite differences of both parts and autograd.

The gradient by z = x + iy is dL/dx + i dL/dy.
"""

import warnings

import autograd
import autograd.numpy
import numpy as np
import pytest
from derivatives.test_gates import LOST, REFUSALS, drawer, in_autograd, namesake, split

import gdcore as gd
from gdcore.derivatives._gate import REAL
from gdcore.derivatives.gates.table import TABLE
from gdcore.derivatives.refusals import name_of

NARROW = {np.complex128: np.float64, np.complex64: np.float32}
Z3 = np.array([1.0 + 2.0j, 0.5 - 1.0j, -0.3 + 0.2j])


def complex_drawer(name, dtype=np.complex128):
    """Return draw(*shape, low, high), as drawer(name) does, with imaginary parts."""
    x, y = drawer(name, NARROW[dtype]), drawer(f"{name} imaginary", NARROW[dtype])
    return lambda *shape, **options: dtype(1) * (x(*shape, **options) + dtype(1j) * y(*shape, **options))


def is_parameter(x):
    return (isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "fc") or (
        isinstance(x, list) and any(is_parameter(y) for y in x)
    )


def of_complex(example):
    """Return the example, with a dtype that can hold it."""
    args, kwargs = split(example)
    wide = lambda x: np.complex128 if x is np.float64 else x  # noqa: E731
    return (*map(wide, args), {name: wide(x) for name, x in kwargs.items()})


def as_function(row, example):
    """Return the example as a function of a list of its parameters, and those."""
    args, kwargs = split(example)
    at = [i for i, x in enumerate(args) if is_parameter(x)]

    def f(params):
        given = list(args)
        for i, x in zip(at, params, strict=True):
            given[i] = x
        return row.of(*given, **kwargs)

    return f, [args[i] for i in at]


def mixtures(params):
    """Return the parameters, all complex, and with every other one real."""
    if len(params) == 1:
        return [params]
    real = [[y.real for y in x] if isinstance(x, list) else x.real for x in params]
    pairs = list(enumerate(zip(params, real, strict=True)))
    return [params, *([pair[(i + k) % 2] for i, pair in pairs] for k in (0, 1))]


def taken(f, params):
    """Return whether NumPy itself takes them, without a warning that imaginary parts are lost."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            f(params)
        except (np.exceptions.ComplexWarning, TypeError):
            return False
    return True


def cases(chosen, dtype=np.complex128):
    for row in TABLE:
        if chosen(row):
            name = name_of(row.function)
            examples = [of_complex(x) for x in row.examples(complex_drawer(name, dtype))]
            yield pytest.param(row, examples, id=name)


@pytest.mark.parametrize(("row", "examples"), list(cases(lambda row: row.domain != REAL)))
def test_a_gate_of_complex_numbers_agrees_with_finite_differences_to_second_order(row, examples):
    compared = 0
    for example in examples:
        f, params = as_function(row, example)
        for some in mixtures(params):
            if taken(f, some):
                gd.check_grads(f, some)
                compared += 1
    assert compared


@pytest.mark.parametrize(("row", "examples"), list(cases(lambda row: row.domain == REAL)))
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_a_gate_of_real_numbers_refuses_complex_ones_unless_it_is_right(row, examples):
    refused = 0
    for example in examples:
        f, params = as_function(row, example)
        try:
            gd.check_grads(f, params, order=1)
        except TypeError as error:
            if not any(said in str(error) for said in ("complex", "not supported for the input types")):
                raise
            refused += 1
    assert refused or name_of(row.function) in {"gd.layer_norm", "gd.logsumexp", "gd.dense"}


@pytest.mark.parametrize(("row", "examples"), list(cases(lambda row: row.domain != REAL, np.complex64)))
def test_a_gate_keeps_complex64_and_a_real_argument_has_a_real_gradient(row, examples):
    for example in examples:
        f, params = as_function(row, example)
        for some in mixtures(params):
            if not taken(f, some):
                continue
            grads = gd.grad(lambda p, f=f: np.sum(np.abs(f(p)) ** 2))(some)
            for g, x in zip(grads, some, strict=True):
                for a, b in zip(g, x, strict=True) if isinstance(x, list) else [(g, x)]:
                    assert a.dtype == np.result_type(b)


def autograd_cases():
    for row in TABLE:
        name = name_of(row.function)
        whole = row.of is row.function or name.startswith("np.fft.")
        if (
            row.domain != REAL
            and whole
            and name.startswith("np.")
            and in_autograd(name)
            and name not in UNLIKE_AUTOGRAD
        ):
            drawn = [of_complex(x) for x in row.examples(complex_drawer(name))]
            examples = [x for x in drawn if not split(x)[1].keys() & LOST]
            yield pytest.param(row, examples, id=name)


# Those where autograd 1.9 has other gradients than finite differences have, or none, at complex numbers.
UNLIKE_AUTOGRAD = {"np.linalg.pinv"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("row", "examples"), list(autograd_cases()))
def test_gradients_are_the_conjugates_of_autograds(row, examples):
    for example in examples:
        args, kwargs = split(example)
        at = [i for i, x in enumerate(args) if is_parameter(x)]
        if any(isinstance(x, list) for x in args):
            continue

        def total(params, np_, args=args, kwargs=kwargs, at=at):
            given = list(args)
            for i, x in zip(at, params, strict=True):
                given[i] = x
            y = namesake(np_, name_of(row.function))(*given, **kwargs)
            return np_.sum(np_.real(y) + 2 * np_.imag(y))

        params = tuple(args[i] for i in at)
        got = gd.grad(total)(params, np)
        try:
            expected = autograd.grad(total)(params, autograd.numpy)
        except REFUSALS:
            continue
        if not all(np.isfinite(np.asarray(b)).all() for b in expected):
            continue
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, np.conj(b), rtol=1e-8, atol=1e-10)
