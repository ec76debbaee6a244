"""Complex numbers: every row of the table that takes them, against finite differences of both parts and autograd.

The gradient by z = x + iy is dL/dx + i dL/dy.
"""

import warnings

import autograd
import autograd.numpy
import numpy as np
import pytest
from derivatives.test_gates import (
    NOT_IN_JAX,
    REFUSALS,
    as_function,
    comparable,
    drawer,
    in_autograd,
    namesake,
    narrowed,
    split,
)

import gdcore as gd
from gdcore.derivatives._gate import REAL
from gdcore.derivatives.gates.table import TABLE
from gdcore.derivatives.refusals import name_of
from gdcore.trees import flatten

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


def of_complex(example, dtype=np.complex128):
    """Return the example, its arrays of complex numbers in a dtype, and with a dtype that can hold the result."""
    args, kwargs = split(example)
    wide = lambda x: np.complex128 if x is np.float64 else x  # noqa: E731
    return (*map(wide, narrowed(args, dtype)), {name: wide(x) for name, x in kwargs.items()})


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
            examples = [of_complex(x, dtype) for x in row.examples(complex_drawer(name, dtype))]
            yield pytest.param(row, examples, id=name)


@pytest.mark.parametrize(("row", "examples"), list(cases(lambda row: row.domain != REAL)))
def test_a_gate_of_complex_numbers_agrees_with_finite_differences_to_second_order(row, examples):
    compared = 0
    for example in examples:
        f, params = as_function(row, example, is_parameter)
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
        f, params = as_function(row, example, is_parameter)
        try:
            gd.check_grads(f, params, order=1)
        except TypeError as error:
            if "complex" not in str(error):
                raise
            refused += 1
    assert refused or name_of(row.function) in {"gd.layer_norm", "gd.logsumexp", "gd.dense"}


@pytest.mark.parametrize(("row", "examples"), list(cases(lambda row: row.domain != REAL, np.complex64)))
def test_a_gate_keeps_complex64_and_a_real_argument_has_a_real_gradient(row, examples):
    for example in examples:
        f, params = as_function(row, example, is_parameter)
        for some in mixtures(params):
            if not taken(f, some):
                continue
            grads = gd.grad(lambda p, f=f: np.sum(np.abs(f(p)) ** 2))(some)
            for g, x in zip(grads, some, strict=True):
                for a, b in zip(g, x, strict=True) if isinstance(x, list) else [(g, x)]:
                    assert a.dtype == np.result_type(b)


@pytest.mark.parametrize(("row", "examples"), list(cases(lambda row: row.domain != REAL)))
def test_basis_vectors_pulled_together_or_one_by_one_are_the_same(row, examples, monkeypatch):
    for example in examples[:4]:
        f, params = as_function(row, example, is_parameter)
        if not taken(f, params):
            continue
        real = lambda p, f=f: np.real(f(p)) + 2 * np.imag(f(p))  # noqa: E731
        monkeypatch.setattr("gdcore.derivatives.jacobians.MOST_TOGETHER", 1 << 15)
        together = gd.jacobian(real)(params)
        monkeypatch.setattr("gdcore.derivatives.jacobians.MOST_TOGETHER", 0)
        for a, b in zip(flatten(together), flatten(gd.jacobian(real)(params)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# Those of which autograd has other gradients, at complex numbers, than finite differences have, and those of jax.
UNLIKE_AUTOGRAD = {"np.linalg.pinv"}
UNLIKE_JAX = {"np.logspace", "np.sign"}
NOT_OF_COMPLEX_IN_JAX = {"np.median", "np.partition"}


def peer_cases(knows):
    for row in TABLE:
        name = name_of(row.function)
        whole = row.of is row.function or name.startswith("np.fft.")
        if row.domain != REAL and whole and name.startswith("np.") and knows(name):
            examples = comparable(map(of_complex, row.examples(complex_drawer(name))))
            if examples:
                yield pytest.param(row, examples, id=name)


def compared_with(gradient, numpy, row, examples):
    """Hold our gradients against the conjugates of theirs, and return how many there were."""
    compared = 0
    for example in examples:
        args, kwargs = split(example)
        at = [i for i, x in enumerate(args) if is_parameter(x)]

        def total(params, np_, args=args, kwargs=kwargs, at=at):
            given = list(args)
            for i, x in zip(at, params, strict=True):
                given[i] = x
            y = namesake(np_, name_of(row.function))(*given, **kwargs)
            return np_.sum(np_.real(y) + 2 * np_.imag(y))

        params = tuple(args[i] for i in at)
        got = gd.grad(total)(params, np)
        try:
            expected = gradient(lambda params: total(params, numpy))(params)
        except REFUSALS:
            continue
        if not all(np.isfinite(np.asarray(b)).all() for b in expected):
            continue
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, np.conj(b), rtol=1e-8, atol=1e-10)
        compared += 1
    return compared


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("row", "examples"), list(peer_cases(lambda name: name not in UNLIKE_AUTOGRAD and in_autograd(name)))
)
def test_gradients_are_the_conjugates_of_autograds(row, examples):
    assert compared_with(autograd.grad, autograd.numpy, row, examples)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("row", "examples"), list(peer_cases(lambda name: name not in UNLIKE_JAX | NOT_IN_JAX | NOT_OF_COMPLEX_IN_JAX))
)
def test_gradients_are_the_conjugates_of_jaxs(row, examples):
    import jax

    jax.config.update("jax_enable_x64", True)
    with jax.default_device(jax.devices("cpu")[0]):
        compared = compared_with(jax.grad, jax.numpy, row, examples[:3])
    assert compared or namesake(jax.numpy, name_of(row.function)) is None


# The convention, and what derivatives of derivatives are.


def in_parts(f):
    """Return f as a function of the real and imaginary parts, one after the other."""
    return lambda v: f(v[: len(v) // 2] + 1j * v[len(v) // 2 :])


def wavy(z):
    return np.sum(np.abs(np.exp(z) * z.real + np.sin(z[::-1])) ** 2)


def test_the_gradient_is_that_by_the_real_part_and_i_times_that_by_the_imaginary_part():
    by_parts = gd.grad(in_parts(wavy))(np.concatenate([Z3.real, Z3.imag]))
    np.testing.assert_allclose(gd.grad(wavy)(Z3), by_parts[:3] + 1j * by_parts[3:], rtol=1e-12)


def test_hvp_is_the_hessian_of_both_parts_times_a_vector():
    v = np.array([0.5 - 1j, 2j, -1.0])
    hessian = gd.hessian(in_parts(wavy))(np.concatenate([Z3.real, Z3.imag]))
    by_parts = hessian @ np.concatenate([v.real, v.imag])
    np.testing.assert_allclose(gd.hvp(wavy)(Z3, v), by_parts[:3] + 1j * by_parts[3:], rtol=1e-11)


def test_rows_of_a_jacobian_are_gradients_of_real_results():
    f = lambda z: np.abs(np.fft.fft(z)) ** 2  # noqa: E731
    rows = [gd.grad(lambda z, k=k: f(z)[k])(Z3) for k in range(3)]
    np.testing.assert_allclose(gd.jacobian(f)(Z3), rows, rtol=1e-12, atol=1e-12)


def refuses(said, call):
    with pytest.raises(TypeError, match=said):
        call()


def test_what_is_not_real_is_refused():
    f = lambda z: z * z  # noqa: E731
    hint = r"got complex128 \(.*\); take its real part, z.real, or its size, np.abs\(z\)"
    refuses(f"expected a scalar result, one real number, {hint}", lambda: gd.value_and_grad(f)(1 + 2j))
    refuses(f"expected a scalar result, one real number, {hint}", lambda: gd.grad(lambda z: np.complex128(1j))(1.0))
    refuses(f"expected an array of real numbers, {hint}", lambda: gd.jacobian(f)(Z3))
    refuses(f"expected an array of real numbers, {hint}", lambda: gd.jacobian(lambda x: x * 1j)(Z3.real))
    nested = gd.grad(lambda y: gd.grad(lambda z: z * y)(1j).real)
    refuses(f"expected a scalar result, one real number, {hint}", lambda: nested(2.0))
    for leaf in (Z3, 1j, np.complex64(1j)):
        refuses("expected real parameters for a Hessian", lambda leaf=leaf: gd.hessian(wavy)([1.0, leaf]))


def test_a_gate_of_real_numbers_alone_says_so():
    said = r"np.clip: expected real numbers with a traced value, as its gate is of those alone, got complex128"
    refuses(said, lambda: gd.grad(lambda z: np.clip(z, 0, 1).real.sum())(Z3))
    refuses(said, lambda: gd.grad(lambda x: np.clip(x, Z3, 2).real.sum())(Z3.real))
    refuses("np.quantile: expected real numbers", lambda: gd.grad(lambda z: np.quantile(z, 0.5).real)(Z3))
    refuses("np.unwrap: expected real numbers", lambda: gd.grad(lambda z: np.unwrap(p=z).real.sum())(Z3))


# At 0, and where real numbers meet complex ones.


def test_lengths_angles_and_signs_of_zero_have_the_gradient_0():
    for f in (np.abs, np.angle, lambda z: np.sign(z).real, np.linalg.norm, np.std):
        assert not gd.grad(lambda z, f=f: np.sum(f(z)))(np.zeros(2, complex)).any()
    for f in (lambda z: np.abs(z) ** 2, lambda z: (z * np.conj(z)).real, lambda z: z.real**2 + z.imag**2):
        np.testing.assert_array_equal(gd.hvp(lambda z, f=f: np.sum(f(z)))(np.zeros(2, complex), Z3[:2]), 2 * Z3[:2])


def test_parts_and_angles_of_real_numbers_are_themselves_or_constants():
    x = np.array([1.0, -2.0])
    np.testing.assert_array_equal(gd.grad(lambda x: np.sum(x.real + np.conj(x) + np.real_if_close(x)))(x), 3)
    for f in (np.imag, np.angle, np.sign, lambda x: x.imag):
        np.testing.assert_array_equal(gd.grad(lambda x, f=f: np.sum(f(x) + x))(x), 1)


@pytest.mark.parametrize(
    "number",
    [1 + 2j, np.complex128(1 + 2j), np.complex64(1 + 2j), np.array(1 + 2j), np.array([1 + 2j], np.complex64)],
)
def test_numbers_of_all_kinds_are_parameters(number):
    f = lambda p: np.sum(np.abs(2j * p["z"] + p["z"] ** 2 / (1 - 0.5j) - 1) ** 2 + 0.1 * p["x"] * p["z"].imag)  # noqa: E731
    gd.check_grads(f, {"z": number, "x": 1.5})
    grads = gd.grad(f)({"z": number, "x": np.float32(1.5)})
    assert (grads["z"].dtype, grads["x"].dtype) == (np.result_type(number), np.float32)


def test_powers_of_all_kinds_of_numbers():
    for x, y in ((Z3, 2), (Z3, 0), (Z3, -1.5), (Z3, 1 - 0.5j), (Z3, Z3), (-2.0, Z3), (2j, Z3), (0.0, Z3 + 1),
                 (np.array([-1.0, 0.5, 2.0]), Z3), (np.zeros(2, complex), 3)):  # fmt: skip
        params = [z for z in (x, y) if isinstance(z, np.ndarray)]
        gd.check_grads(lambda p, x=x, y=y: (p[0] if isinstance(x, np.ndarray) else x)
                       ** (p[-1] if isinstance(y, np.ndarray) else y), params)  # fmt: skip


def test_functions_near_their_cuts_and_far_out():
    far = np.array([40 - 2j, -40 + 1j, 0.5 + 0.3j])
    np.testing.assert_allclose(gd.grad(lambda z: np.sum(np.tanh(z).real))(far), np.conj(1 / np.cosh(far) ** 2))
    for f in (np.arcsin, np.arccos, np.arctan, np.arcsinh, np.arccosh, np.arctanh, np.log, np.sqrt, np.log1p):
        gd.check_grads(f, np.array([2 + 0.1j, 2 - 0.1j, -2 + 0.1j, 0.1 + 2j, -0.1 - 2j, 0.99 + 0.01j]))


# Lists, gates of a user, blocks.


def test_lists_of_complex_values_are_joined():
    gd.check_grads(lambda z: np.abs(np.array([z[0] * z[1], 1, 2j * z[2]])), Z3)
    gd.check_grads(lambda z: np.mean([z[0], z[1] * 1j]), Z3)
    gd.check_grads(lambda x: np.array([[np.exp(1j * x[0]), 0], [0, 1]]) @ np.array([1j, x[1]]), Z3.real)


def test_methods_and_operators():
    gd.check_grads(lambda z: z.conj().T @ z + (z.imag - 1j * z.real).sum() - 1j / z.conjugate().prod(), Z3)
    gd.check_grads(lambda z: np.vdot(z, 1j * z[::-1]) + np.vecdot(z, z**2) + abs(z).max(), Z3)


def test_a_users_gate_of_complex_numbers():
    square = gd.gate(lambda z: z * z, lambda ans, z: lambda g: g * np.conj(2 * z))
    gd.check_grads(square, Z3)
    gd.check_grads(lambda x: square(1j + x), Z3.real)
    turn = gd.gate(lambda x: np.exp(1j * x), lambda ans, x: lambda g: g * np.conj(1j * ans))
    assert gd.grad(lambda x: turn(x).real)(0.5).dtype == np.float64
    gd.check_grads(turn, 0.5)


def test_blocks_that_run_again_and_constants():
    block = gd.rematerialise(lambda z: np.exp(z) * z.real)
    np.testing.assert_array_equal(
        gd.grad(lambda z: np.abs(block(z)).sum())(Z3), gd.grad(lambda z: np.abs(np.exp(z) * z.real).sum())(Z3)
    )
    np.testing.assert_array_equal(gd.grad(lambda z: (z * gd.stop_gradient(z)).real.sum())(Z3), np.conj(Z3))


@pytest.mark.parametrize("turn", [0.1, 2.0], ids=["real", "complex"])
def test_real_losses_of_eigenvalues_of_a_real_matrix_have_real_gradients(turn):
    a = np.array([[0.5, turn, 0.1], [-turn / 2, 0.3, 0.2], [0.3, 0.1, 4.0]])
    assert np.iscomplex(np.linalg.eigvals(a)).any() == (turn > 1)
    for loss in (
        lambda a: np.sum(np.abs(np.linalg.eigvals(a)) ** 2),
        lambda a: np.sum(np.linalg.eigvals(a)[:2].real ** 3),
        lambda a: np.sum(np.linalg.eig(a).eigenvalues[:2].imag ** 2),
        lambda a: np.sum(np.abs(np.linalg.eig(a).eigenvectors) ** 2 * [[1], [2], [5]]),
        lambda a: np.sum(np.abs(np.roots(a[1])) ** 3 + np.abs(np.roots(a[2])) ** 3),
    ):
        gd.check_grads(loss, a)
        assert gd.grad(loss)(a).dtype == np.float64


SPREAD = np.diag([1.0, 3.0, 7.0]) + 0.1
AS_NUMPY = {
    "eigenvalues": (np.linalg.eigvals, SPREAD),
    "eigenvalues of none": (np.linalg.eigvals, np.zeros((0, 0))),
    "eigenvalues of a turn": (np.linalg.eigvals, np.array([[1.0, -2.0], [1.0, 0.5]])),
    "many eigenvalues": (np.linalg.eigvals, np.random.default_rng(1).standard_normal((150, 150))),
    "vectors": (lambda a: np.linalg.eig(a).eigenvectors, SPREAD),
    "real roots": (np.roots, np.poly([3.0, 2.0, -1.0])),
    "complex roots": (np.roots, np.array([1.0, 2.0, 5.0])),
    "real roots of complex coefficients": (np.roots, np.array([2.0, -2.0, -12.0]) * (1 + 1j)),
    "roots and zeros": (np.roots, np.array([0.0, 1.0, -3.0, 2.0, 0.0, 0.0])),
    "only zeros": (np.roots, np.array([3.0, 0.0])),
    "remainder": (lambda p: np.polydiv(p[:2], p[2:])[1], np.array([3.0, 2.0, 7.0, 5.0])),
    "polynomial of a matrix": (np.poly, SPREAD),
    "polynomial of a turn": (np.poly, np.array([[1.0, -2.0], [1.0, 0.5]])),
}


@pytest.mark.parametrize(("f", "x"), AS_NUMPY.values(), ids=AS_NUMPY)
def test_eigenvalues_and_polynomials_are_those_of_this_numpy_with_their_dtype_and_order(f, x):
    for dtype in (x.dtype, np.complex64 if np.iscomplexobj(x) else np.float32):
        given, seen = x.astype(dtype), []

        def loss(x, seen=seen):
            seen.append(gd.stop_gradient(f(x)))
            return np.sum(np.abs(f(x) + x.sum()))

        grad, expected = gd.grad(loss)(given), f(given)
        assert (grad.dtype, seen[0].dtype) == (given.dtype, expected.dtype)
        np.testing.assert_array_equal(seen[0], expected)


def test_each_eigenvalue_of_a_large_matrix_has_its_own_gradient():
    a = AS_NUMPY["many eigenvalues"][1]
    values = np.linalg.eigvals(a)
    # The sum of their squares is the trace of the square.
    np.testing.assert_allclose(
        gd.grad(lambda a: np.sum(np.linalg.eigvals(a) * values).real)(a), a.T, rtol=1e-6, atol=1e-8
    )


def test_check_grads_sees_a_wrong_imaginary_part():
    wrong = gd.gate(lambda z: z * z, lambda ans, z: lambda g: g * 2 * z)
    with pytest.raises(
        AssertionError, match=r"params\[0\]: expected the gradient .*j, by finite differences, got .*j"
    ):
        gd.check_grads(lambda z: np.abs(wrong(z) + 1) ** 2, Z3)


# Extremes: NumPy orders complex numbers by their real parts, then by their imaginary parts.


def test_the_largest_of_complex_numbers_gets_the_gradient_and_equal_ones_share_it():
    z = np.array([1 + 2j, 1 - 3j, 0 + 9j, 1 + 2j])
    slope = lambda f: gd.grad(lambda z: np.real(f(z)) + 2 * np.imag(f(z)))(z)  # noqa: E731
    one = 1 + 2j
    for largest in (
        np.max,
        np.maximum.reduce,
        lambda z: np.maximum(z[0], np.maximum(z[1], np.maximum(z[2], z[3]))),
    ):
        np.testing.assert_array_equal(slope(largest), [one / 2, 0, 0, one / 2])
    np.testing.assert_array_equal(slope(np.min), [0, 0, one, 0])
    np.testing.assert_array_equal(slope(np.ptp), [one / 2, 0, -one, one / 2])
    np.testing.assert_array_equal(slope(np.median), [one / 2, one / 2, 0, 0])
    np.testing.assert_array_equal(slope(lambda z: np.maximum.accumulate(z)[1]), [one, 0, 0, 0])
