"""Distributions have SciPy's values, inside, outside and at the edges, and finite gradients everywhere."""

import numpy as np
import pytest

import gdcore as gd

plain = pytest.importorskip("scipy.stats")
stats = gd.scipy.stats

INF, NAN = np.inf, np.nan
X = np.array([-3.0, -1.0, -0.2, 0.0, 0.25, 0.3, 0.5, 0.9, 1.0, 1.5, 2.0, 2.25, 4.0, 30.0])
K = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 2.5, 40.0])
CONTINUOUS = {
    "norm": [()], "t": [(3.5,), (INF,), (1e6,)],
    "beta": [(2.5, 0.7), (1.0, 1.0), (0.5, 0.5), (2.0, 1.0), (1.0, 3.0)],
    "gamma": [(1.7,), (1.0,), (0.5,), (3.0,)], "chi2": [(3.0,), (2.0,), (1.0,)], "expon": [()], "laplace": [()],
    "uniform": [()], "cauchy": [()], "logistic": [()], "lognorm": [(0.8,)], "weibull_min": [(1.6,), (1.0,), (0.5,)],
    "pareto": [(2.5,)], "halfnorm": [()], "invgamma": [(2.2,)],
}  # fmt: skip
DISCRETE = {
    "poisson": [(2.3,), (0.0,)], "binom": [(5, 0.3), (5, 0.0), (5, 1.0), (0, 0.5)], "geom": [(0.3,), (1.0,)],
    "bernoulli": [(0.3,), (0.0,), (1.0,)], "nbinom": [(2.5, 0.4), (2.0, 1.0)],
}  # fmt: skip
DENSITIES = ("logpdf", "pdf", "logpmf", "pmf")
SUMS = ("cdf", "sf", "logcdf", "logsf")
FREE = {"cauchy", "logistic", "lognorm", "weibull_min", "pareto"}
"""Those whose sums have a derivative by the shape."""


def cases():
    for name, shapes in (CONTINUOUS | DISCRETE).items():
        for shape in shapes:
            yield pytest.param(name, shape, id=f"{name}{shape}")


def at_all_points(name, method, shape):
    """Return a function of a list of the differentiated arguments, and those."""
    function = getattr(getattr(stats, name), method)
    if name in DISCRETE:
        by = [len(shape) - 1]  # the last shape: a probability or a mean
        args = (K, *shape)
    else:
        args = (X, *shape, 0.25, 2.0)
        by = [0, len(args) - 2, len(args) - 1]
        if method in DENSITIES or name in FREE:
            by = list(range(len(args)))
    by = [i + 1 for i in by] if name in DISCRETE else by

    def f(params):
        given = list(args)
        for i, x in zip(by, params, strict=True):
            given[i] = x
        return function(*given)

    return f, [args[i] for i in by], args


def methods(name):
    return ("logpmf", "pmf", *SUMS) if name in DISCRETE else ("logpdf", "pdf", *SUMS)


@pytest.mark.parametrize(("name", "shape"), [*cases()])
def test_values_are_scipys_and_gradients_are_finite_at_all_points(name, shape):
    for method in methods(name):
        f, params, args = at_all_points(name, method, shape)
        given = []

        def kept(params, f=f, given=given):
            y = f(params)
            given.append(gd.stop_gradient(y))
            return y

        with np.errstate(all="raise", under="ignore"):
            jacobians = gd.jacobian(kept)([np.asarray(x, float) for x in params])
        with np.errstate(all="ignore"):
            expected = getattr(getattr(plain, name), method)(*args)
        np.testing.assert_allclose(given[0], expected, rtol=1e-12, atol=1e-14, err_msg=method)
        assert np.isclose(given[0], expected, rtol=1e-12).mean() > 0.5
        for jacobian in jacobians:
            assert np.isfinite(jacobian).all(), method


INSIDE = {"beta": (0.3, 0.8), "uniform": (0.4, 1.9), "pareto": (2.4, 5.0)}


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_gradients_agree_with_finite_differences(name):
    shape = (CONTINUOUS | DISCRETE)[name][0]
    for method in methods(name):
        f, params, args = at_all_points(name, method, shape)
        if name in DISCRETE:
            inner = np.array([0.0] if name == "bernoulli" else [1.0, 2.0, 3.0])
            function = getattr(getattr(stats, name), method)
            gd.check_grads(lambda p, g=function, k=inner, a=args: g(k, *a[1:-1], p), args[-1])
        else:
            low, high = INSIDE.get(name, (0.4, 3.0))
            gd.check_grads(f, [np.linspace(low, high, 4), *params[1:]])


@pytest.mark.parametrize(("name", "shape"), [*cases()])
def test_gradients_outside_are_0(name, shape):
    outside = np.array([-5.0, -1.0])
    if name in DISCRETE:
        got = gd.grad(lambda p: np.sum(getattr(stats, name).pmf(outside, *shape[:-1], p)))(float(shape[-1]))
        assert got == 0
    elif getattr(stats, name).low > -np.inf:
        for method in methods(name):
            got = gd.grad(
                lambda x, m=method: np.sum(np.where(True, getattr(getattr(stats, name), m)(x, *shape), 0))
            )
            assert not np.any(got(outside))


@pytest.mark.parametrize(("name", "shape"), [case for case in cases() if case.values[0] in CONTINUOUS])
def test_infinitely_far_out_there_is_nothing(name, shape):
    """SciPy says so of all but some, of which it says nan."""
    far = np.array([INF, -INF])
    for method, expected in (("logpdf", [-INF, -INF]), ("pdf", [0, 0]), ("cdf", [1, 0]), ("logsf", [-INF, 0])):
        function = getattr(getattr(stats, name), method)
        with np.errstate(all="raise"):
            by_x, by_scale = gd.jacobian(lambda p, f=function: f(p[0], *shape, 0.5, p[1]))([far, np.array([2.0])])
            given = []
            gd.grad(lambda s, f=function, given=given: given.append(f(far, *shape, 0.5, s)) or 0.0 * s)(2.0)
        np.testing.assert_array_equal(gd.stop_gradient(given[0]), expected)
        assert not by_x.any()
        assert not by_scale.any()


def test_numbers_may_be_given_by_name():
    f = lambda mu: stats.poisson.cdf(k=[1, 2], mu=mu) + stats.poisson.pmf(k=[1, 2], mu=mu)  # noqa: E731
    gd.check_grads(f, 1.5)


def test_what_is_no_parameter_gives_nan_and_the_others_their_gradients():
    scale = np.array([1.0, -1.0, 2.0, 0.0])
    value, grads = gd.value_and_grad(lambda s: np.nansum(stats.norm.logpdf(0.5, 0.0, s)))(scale)
    np.testing.assert_allclose(value, np.sum(plain.norm.logpdf(0.5, 0.0, scale[[0, 2]])))
    np.testing.assert_array_equal(grads[[1, 3]], 0)
    np.testing.assert_allclose(
        grads[[0, 2]], gd.grad(lambda s: np.sum(stats.norm.logpdf(0.5, 0, s)))(scale[[0, 2]])
    )


def test_parameters_are_broadcast_and_given_by_place_or_name():
    x, loc, scale = np.linspace(0.1, 2, 6).reshape(2, 3), np.array([0.1, 0.0, -0.1]), np.array([[1.0], [2.0]])
    f = lambda p: stats.gamma.logpdf(p["x"], 2.0, scale=p["scale"], loc=p["loc"])  # noqa: E731
    params = {"x": x + 0.3, "loc": loc, "scale": scale}
    gd.check_grads(f, params)
    np.testing.assert_allclose(gd.jacobian(f)(params)["loc"], gd.jacobian(
        lambda loc: stats.gamma(a=2.0, loc=loc, scale=scale).logpdf(x + 0.3))(loc))  # fmt: skip
    np.testing.assert_array_equal(f(params), plain.gamma.logpdf(x + 0.3, 2.0, loc, scale))


def test_what_scipy_has_besides_takes_plain_values():
    assert stats.norm(1.0, 2.0).mean() == 1
    assert stats.gamma.rvs(2.0, size=3, random_state=0).shape == (3,)
    assert stats.multivariate_normal.rvs(np.zeros(2), random_state=0).shape == (2,)
    with pytest.raises(AttributeError):
        stats.norm.nothing  # noqa: B018


# Several variables.

COV = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]])


def symmetric(root):
    return root @ root.T


def test_multivariate_normal():
    normal, theirs = stats.multivariate_normal, plain.multivariate_normal
    root, mean = np.linalg.cholesky(COV), np.array([0.1, -0.2, 0.3])
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    for function in (normal.logpdf, normal.pdf):
        gd.check_grads(lambda p, f=function: f(p[0], p[1], symmetric(p[2])), [x[0], mean, root])
        for given in (x, x[0], x[0, 0]):
            got = gd.value_and_grad(lambda m, f=function, x=given: np.sum(f(x, m, COV)))(mean)[0]
            np.testing.assert_allclose(
                got, np.sum(getattr(theirs, function.__name__)(given, mean, COV)), rtol=1e-12
            )
    gd.check_grads(lambda root: normal.entropy(mean, symmetric(root)), root)
    gd.check_grads(lambda p: normal(mean, p[1]).logpdf(p[0]), [x[0], 1.5])
    gd.check_grads(lambda p: normal.logpdf(p[0], mean, p[1]), [x[0], np.array([1.5, 1.0, 2.0])])
    gd.check_grads(lambda p: normal.logpdf(p[0], 0.5, p[1]), [x[0, 0], 2.0])
    gd.check_grads(lambda p: normal.logpdf(p[0], 0.5, p[1]), [0.3, 2.0])
    g = gd.grad(lambda c: normal.logpdf(x[0, 0], mean, c))(COV)
    np.testing.assert_allclose(g, g.T)


def test_a_singular_normal_has_a_density_in_its_plane():
    cov = np.diag([1.0, 2.0, 0.0])
    f = lambda p: stats.multivariate_normal.logpdf(p * [1, 1, 0], cov=cov, allow_singular=True)  # noqa: E731
    gd.check_grads(f, np.array([0.3, -0.2, 0.0]))
    outside = gd.value_and_grad(lambda p: stats.multivariate_normal.pdf(p, cov=cov, allow_singular=True))(
        np.ones(3)
    )
    assert outside[0] == 0
    assert not outside[1].any()


def test_dirichlet():
    alpha, x = np.array([1.5, 2.0, 0.8]), np.array([0.2, 0.5, 0.3])
    ours, theirs = stats.dirichlet, plain.dirichlet
    for function in (ours.logpdf, ours.pdf):
        gd.check_grads(lambda p, f=function: f(p[0] / np.sum(p[0]), p[1]), [x, alpha])
        gd.check_grads(lambda a, f=function: f(np.array([x, x[::-1]]).T, a), alpha)
        gd.check_grads(lambda a, f=function: f(x[:-1], a), alpha)
        got = gd.value_and_grad(lambda a, f=function: f(x, a))(alpha)[0]
        np.testing.assert_allclose(got, getattr(theirs, function.__name__)(x, alpha), rtol=1e-12)
    gd.check_grads(ours.entropy, alpha)
    np.testing.assert_allclose(gd.value_and_grad(ours.entropy)(alpha)[0], theirs.entropy(alpha), rtol=1e-12)
    with pytest.raises(ValueError, match="must lie within the normal simplex"):
        gd.grad(lambda a: ours.logpdf(x * 2, a))(alpha)
