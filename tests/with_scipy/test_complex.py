"""Complex numbers in SciPy's functions: those that have a derivative there, and the others refused."""

import numpy as np
import pytest

import gdcore as gd

special = pytest.importorskip("scipy.special")

RNG = np.random.default_rng(0)
Z = RNG.uniform(0.3, 1.2, 3) + 1j * RNG.uniform(0.1, 0.5, 3)
A = RNG.standard_normal((3, 3)) + 1j * RNG.standard_normal((3, 3)) + 3 * np.eye(3)
B = RNG.standard_normal((3, 2)) + 1j * RNG.standard_normal((3, 2))


def size(f):
    return lambda z: np.sum(np.abs(f(z)) ** 2) + np.sum(np.real(f(z)))


TWICE = {
    "erf": special.erf, "erfc": special.erfc, "erfi": special.erfi, "expm1": special.expm1, "log1p": special.log1p,
    "xlogy": lambda z: special.xlogy(z, z * z), "jv": lambda z: special.jv(1.5, z),
    "yv": lambda z: special.yv(1, z),
    "iv": lambda z: special.iv(1, z), "kv": lambda z: special.kv(0.5, z), "kve": lambda z: special.kve(1, z),
    "exp1": special.exp1, "spence": special.spence, "hyp2f1": lambda z: special.hyp2f1(0.5, 1.0, 1.5, z / 2),
    "airy": lambda z: special.airy(z)[0], "sici": lambda z: special.sici(z)[1],
    "convolve": lambda z: gd.scipy.signal.convolve(z, A[0], "same"),
    "correlate": lambda z: gd.scipy.signal.correlate(A[0], z),
    "correlate valid": lambda z: gd.scipy.signal.correlate(z[:2], z, "valid"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_functions_agree_with_finite_differences_to_second_order(name):
    gd.check_grads(size(TWICE[name]), Z)


linalg = gd.scipy.linalg
MATRICES = {
    "solve": lambda a: linalg.solve(a, B), "inv": linalg.inv, "det": linalg.det,
    "expm": lambda a: linalg.expm(a / 3),
    "solve_triangular": lambda a: linalg.solve_triangular(a, B, trans="T"),
    "solve_triangular C": lambda a: linalg.solve_triangular(a, B, trans="C", lower=True),
    "cholesky": lambda a: linalg.cholesky(a @ np.conj(a.T)), "sqrtm": linalg.sqrtm,
    "cho_solve": lambda a: linalg.cho_solve(linalg.cho_factor(a @ np.conj(a.T)), B),
    "pos": lambda a: linalg.solve(a @ np.conj(a.T), B, assume_a="pos"),
    "solve_sylvester": lambda a: linalg.solve_sylvester(a, a.T + 1, a),
    "solve_banded": lambda a: linalg.solve_banded((1, 1), a.T, B),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_functions_of_matrices_agree_with_finite_differences(name):
    gd.check_grads(size(MATRICES[name]), A, order=1)


def test_a_root_of_a_real_matrix_may_be_complex():
    gd.check_grads(size(linalg.sqrtm), np.array([[-1.0, 0.5], [0.2, 2.0]]))


def test_what_is_of_real_numbers_alone_refuses_complex_ones():
    for f in (special.ndtr, special.gamma, gd.scipy.special.softmax, special.wofz, gd.scipy.stats.norm.logpdf):
        with pytest.raises(TypeError, match=r"expected (an array of )?real|expected a function that has a gate"):
            gd.grad(size(f))(Z)
