"""SciPy's ufuncs: found by themselves, exact in the tails, refused by name where there is no derivative."""

import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd

special = pytest.importorskip("scipy.special")

A = np.array


def test_scipy_is_read_when_a_traced_value_meets_it_and_no_sooner():
    code = (
        "import sys, numpy as np, gdcore as gd\n"
        "gd.grad(np.sin)(0.0); gd.scipy\n"
        "assert 'scipy' not in sys.modules\n"
        "from scipy import special\n"
        "gd.grad(np.cos)(0.0)\n"
        "assert 'gdcore.derivatives.special' not in sys.modules\n"
        "assert gd.grad(special.erf)(0.0) == 2 / np.pi**0.5\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_works_without_scipy():
    code = (
        "import sys, numpy as np, gdcore as gd\n"
        "sys.modules['scipy'] = None\n"
        "try: gd.grad(np.unique)(np.ones(2))\n"
        "except TypeError as error: print(error)\n"
        "try: gd.scipy.stats\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("np.unique: expected a function that has a gate")
    assert second == "gd.scipy.stats needs SciPy: pip install 'gdcore[scipy]'"


def test_a_gate_of_gdcores_is_refused_from_the_first_moment_on():
    code = (
        "import gdcore as gd\nfrom scipy import special\n"
        "try: gd.gate(special.erf, lambda ans, x: lambda g: g)\n"
        "except ValueError as error: print(error)\n"
        "gd.gate(special.erf, lambda ans, x: lambda g: g * 7, replace=True)\n"
        "print(gd.grad(special.erf)(0.0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, slope = done.stdout.splitlines()
    assert said.startswith("function: expected one that has no gate yet, got scipy.special.erf; ")
    assert float(slope) == 7


TAILS = {
    "log_ndtr": (-1e3, 1000.00099999800001, -0.99999900000599995),
    "log_ndtr nearer": (-5.0, 5.1865039671258421156, -0.96730356538288777465),
    "log_ndtr at 0": (0.0, 0.79788456080286535588, -0.63661977236758134308),
    "erfcx": (1e3, -5.6418873726549666885e-7, 1.1283757819707054937e-9),
    "erfcx where the series begins": (12.5, -0.0035766920698145527735, 0.0005668962566920223529),
    "dawsn": (1e3, -5.0000075000187500656e-7, 1.0000030000112500525e-9),
    "dawsn where the series begins": (13.0, -0.0029852361882015161303, 0.000463430417223918148),
    "expit": (40.0, 4.2483542552915889592e-18, -4.2483542552915889231e-18),
    "log_expit": (40.0, 4.2483542552915889773e-18, -4.2483542552915889592e-18),
}
"""The point, the slope and the curvature there, worked out with 60 digits by mpmath."""


@pytest.mark.parametrize("name", TAILS)
def test_slopes_are_exact_in_the_tails(name):
    function = getattr(special, name.split()[0])
    x, slope, curvature = TAILS[name]
    np.testing.assert_allclose(gd.grad(function)(x), slope, rtol=1e-13)
    np.testing.assert_allclose(gd.grad(gd.grad(function))(x), curvature, rtol=1e-9)


def test_limits():
    gd.check_grads(lambda p: special.boxcox(A([0.5, 2.0]), p), 0.0)
    gd.check_grads(lambda p: special.boxcox1p(A([0.5, 2.0]), p), 0.0)
    gd.check_grads(lambda p: special.inv_boxcox(A([0.5, 2.0]), p), 0.0)
    gd.check_grads(special.exprel, 0.0)
    gd.check_grads(special.spence, 1.0)
    gd.check_grads(special.i1, 0.0)
    gd.check_grads(special.j1, 0.0)


def test_nothing_of_a_logarithm_is_nothing():
    assert gd.grad(lambda y: special.xlogy(0.0, y))(0.0) == 0
    assert gd.grad(lambda y: special.xlog1py(0.0, y))(-1.0) == 0
    assert gd.grad(lambda y: special.rel_entr(0.0, y))(0.5) == 0


def test_huber_has_the_slopes_of_both_its_branches():
    slopes = gd.grad(lambda r: np.sum(special.huber(1.0, r)))(A([-3.0, -1.0, 0.5, 1.0, 2.0]))
    np.testing.assert_array_equal(slopes, [-1, -1, 0.5, 1, 1])
    np.testing.assert_array_equal(gd.grad(lambda d: special.huber(d, 3.0))(1.0), 2)


@pytest.mark.parametrize(
    ("name", "args", "at"),
    [
        ("gammainc", (1.5, 2.0), 0),
        ("betainc", (1.5, 2.0, 0.5), 1),
        ("jv", (1.5, 2.0), 0),
        ("expn", (2.0, 2.0), 0),
        ("hyp2f1", (0.5, 1.5, 2.5, 0.5), 2),
    ],
)
def test_an_argument_without_a_derivative_is_refused_by_name(name, args, at):
    function = getattr(special, name)
    with pytest.raises(
        TypeError, match=rf"scipy\.special\.{name}: argument {at}: expected an array that is not diff"
    ):
        gd.grad(lambda x: function(*args[:at], x, *args[at + 1 :]))(args[at])


def test_lists_and_numbers_go_as_scipy_reads_them():
    gd.check_grads(lambda x: special.betainc([1.5, 2.0], 3, x), A([0.3, 0.4]))
    gd.check_grads(lambda x: special.xlogy([1.5, 2.0], x), A([0.3, 0.4]))
    gd.check_grads(lambda x: special.jv([0, 1, 2], x), 0.7)
    gd.check_grads(lambda x: special.xlogy(x[0], [x[1], 2.0]), A([0.3, 0.4]))


def test_round_and_gammasgn_are_constants():
    assert gd.grad(lambda x: x * special.round(x) + special.gammasgn(x))(2.2) == 2


def direct(module, name, *args):
    def call(x):
        function = getattr(pytest.importorskip(f"scipy.{module}"), name)
        return function(*args, x)

    return call


OWN = {
    "logsumexp": direct("special", "logsumexp"),
    "log_softmax": direct("special", "log_softmax"),
    "polygamma": direct("special", "polygamma", 1),
    "solve": direct("linalg", "solve", np.eye(3)),
    "solve_triangular": direct("linalg", "solve_triangular", np.eye(3)),
    "fftconvolve": direct("signal", "fftconvolve", np.ones(2)),
    "inv": lambda x: direct("linalg", "inv")(np.outer(x, x)),
    "cholesky": lambda x: direct("linalg", "cholesky")(np.outer(x, x)),
    "expm": lambda x: direct("linalg", "expm")(np.outer(x, x)),
    "odeint": lambda x: pytest.importorskip("scipy.integrate").odeint(lambda y, t: -y, x, [0.0, 1.0]),
    "solve_ivp": lambda x: (
        pytest.importorskip("scipy.integrate").solve_ivp(lambda t, y: -y * x, (0, 1), x * 0 + 1).y
    ),
    "its distributions": lambda x: pytest.importorskip("scipy.stats").norm.logpdf(1.0, x),
}


@pytest.mark.parametrize("name", OWN)
def test_scipys_own_function_says_where_the_one_is_that_differentiates(name):
    said = rf"scipy\.\w+: expected plain values for {name}, .* gd\.scipy\.\w+ has the same, differentiated"
    with pytest.raises(TypeError, match=said):
        gd.grad(lambda x: np.sum(OWN[name](x)))(np.ones(3))


def test_functions_of_scipys_that_take_arrays_of_objects_work():
    integrate = pytest.importorskip("scipy.integrate")
    gd.check_grads(lambda x: integrate.simpson(x**2), A([1.0, 2.0, 4.0]))
    gd.check_grads(lambda x: integrate.trapezoid(x**2), A([1.0, 2.0, 4.0]))


def test_every_function_that_is_named_is_there():
    from gdcore.derivatives.callers import OWN

    for area, names in OWN.items():
        assert names <= set(getattr(gd.scipy, area).__all__)
