"""Plain values go to SciPy's own functions; what is not differentiated is refused by name."""

from importlib import import_module

import numpy as np
import pytest

import gdcore as gd

scipy = pytest.importorskip("scipy")
for _name in ("integrate", "linalg", "optimize", "signal", "special", "stats"):
    import_module(f"scipy.{_name}")

X = np.array([[2.0, 0.5], [0.5, 1.0]])
PLAIN = {
    "special": {"logsumexp": (X,), "softmax": (X,), "log_softmax": (X, 1), "polygamma": (1, X), "zeta": (2.0, X),
                "multigammaln": (3.0, 2)},
    "linalg": {"cholesky": (X,), "cho_factor": (X, True), "cho_solve": ((X, True), X), "det": (X,), "expm": (X,),
               "inv": (X,), "solve": (X, X), "solve_banded": ((0, 1), X, X[0]), "solve_sylvester": (X, X, X),
               "solve_triangular": (X, X), "sqrtm": (X,), "block_diag": (X, X)},
    "signal": dict.fromkeys(("convolve", "correlate", "fftconvolve", "oaconvolve"), (X, X, "same")),
    "integrate": {"odeint": (lambda y, t: -y, [1.0], [0.0, 1.0])},
}  # fmt: skip


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in PLAIN.items() for n in names])
def test_plain_values_go_to_scipys_own_functions(module, name):
    args = PLAIN[module][name]
    ours = getattr(getattr(gd.scipy, module), name)(*args)
    theirs = getattr(getattr(scipy, module), name)(*args)
    for a, b in zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]:
        np.testing.assert_array_equal(a, b)


def test_every_function_is_tried_with_plain_values():
    for module, names in PLAIN.items():
        assert set(getattr(gd.scipy, module).__all__) - {"solve_ivp"} == set(names)


def test_solvers_of_plain_problems_are_scipys():
    ours = gd.scipy.integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], events=lambda t, y: y[0] - 0.5)
    theirs = scipy.integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], events=lambda t, y: y[0] - 0.5)
    np.testing.assert_array_equal(ours.y, theirs.y)
    np.testing.assert_array_equal(ours.t_events, theirs.t_events)
    f = lambda x: x**3 - 2  # noqa: E731
    assert gd.scipy.optimize.root(f, 1.0).x == scipy.optimize.root(f, 1.0).x
    assert gd.scipy.optimize.root_scalar(f, x0=1.0).root == scipy.optimize.root_scalar(f, x0=1.0).root
    assert gd.scipy.optimize.fixed_point(np.cos, 0.5) == scipy.optimize.fixed_point(np.cos, 0.5)
    failed = gd.scipy.optimize.root(lambda x: x**2 + 1, 1.0)
    assert not failed.success


def test_ufuncs_are_scipys():
    from gdcore.scipy.special import erf, gammaln
    from gdcore.scipy.stats import norm

    assert erf is scipy.special.erf
    assert gammaln is scipy.special.gammaln
    assert norm is gd.scipy.stats.norm


def test_what_is_not_there_says_whether_scipy_has_it():
    said = r"gdcore.scipy.special: expected what is differentiated, got 'lambertw'; scipy.special has it, for plain"
    with pytest.raises(AttributeError, match=said):
        gd.scipy.special.lambertw  # noqa: B018
    with pytest.raises(AttributeError, match=r"got 'nothing'; nor has SciPy"):
        gd.scipy.stats.nothing  # noqa: B018
    with pytest.raises(AttributeError, match=r"gdcore.scipy' has no attribute 'cluster'; it has integrate, linalg"):
        gd.scipy.cluster  # noqa: B018


def traced(f):
    return lambda: gd.grad(lambda x: np.sum(f(x)))(2.0)


decay = lambda t, y: -y  # noqa: E731
REFUSED = {
    "dense_output": lambda x: gd.scipy.integrate.solve_ivp(decay, (0, 1), [x], dense_output=True).y,
    "events": lambda x: gd.scipy.integrate.solve_ivp(decay, (0, 1), [x], events=decay).y,
    "method": lambda x: gd.scipy.integrate.solve_ivp(decay, (0, 1), [x], method="Euler").y,
    "full_output": lambda x: gd.scipy.integrate.odeint(decay, x, [0.0, 1.0], full_output=True),
    "within": lambda x: gd.scipy.integrate.solve_ivp(decay, (0, 1), [x], t_eval=[2.0]).y,
    "in the order of": lambda x: gd.scipy.integrate.solve_ivp(decay, (0, 1), [x], t_eval=[0.5, 0.2]).y,
    "axes": lambda x: gd.scipy.signal.fftconvolve(X * x, X, axes=0),
    "mode": lambda x: gd.scipy.signal.convolve(X * x, X, "most"),
    "as many axes": lambda x: gd.scipy.signal.convolve(X * x, X[0]),
    "contain the other": lambda x: gd.scipy.signal.convolve(X * x, np.ones((1, 3)), "valid"),
    "trans": lambda x: gd.scipy.linalg.solve_triangular(X * x, X, trans="X"),
    "one matrix": lambda x: gd.scipy.linalg.solve_triangular(X[None] * x, X),
    "one or two axes": lambda x: gd.scipy.linalg.solve_triangular(X * x, X[None]),
    "assume_a='banded'": lambda x: gd.scipy.linalg.solve(X * x, X, assume_a="banded"),
    "got none: ": lambda x: gd.scipy.optimize.root(lambda z: z**2 + x, 1.0).x,
    "expected a root": lambda x: gd.scipy.optimize.root_scalar(lambda z: z**2 + x, x0=1.0, maxiter=5).root,
    "polygamma: n": lambda x: gd.scipy.special.polygamma(x, 1.0),
    "zeta: x": lambda x: gd.scipy.special.zeta(x, 1.0),
    "k or loc": lambda x: gd.scipy.stats.poisson.logpmf(x, 1.0),
    "norm.ppf": gd.scipy.stats.norm.ppf,
    "at most 2 parameters": lambda x: gd.scipy.stats.norm.pdf(x, 1, 2, 3),
    "each of a, loc, scale once": lambda x: gd.scipy.stats.gamma.pdf(x, 1, a=2),
    "a: expected a parameter": gd.scipy.stats.gamma.pdf,
    "stdtr: argument 0": lambda x: gd.scipy.stats.t.cdf(1.0, x),
    "cov: expected none": lambda x: gd.scipy.stats.multivariate_normal.logpdf(
        np.ones(2), cov=np.ones((2, 2)) * x, allow_singular=True),
    "positive definite": lambda x: gd.scipy.stats.multivariate_normal.logpdf(np.ones(2), cov=np.ones((2, 2)) * -x),
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
@pytest.mark.filterwarnings("ignore:The iteration is not making good progress")
def test_what_is_not_differentiated_is_refused_by_name(said):
    with pytest.raises((TypeError, ValueError, np.linalg.LinAlgError), match=said):
        traced(REFUSED[said])()
