"""Programs as one would first write them, with SciPy's functions, against finite differences."""

import numpy as np
import pytest

import gdcore as gd

pytest.importorskip("scipy")

from scipy import sparse
from scipy.special import expit, log_expit, xlogy

from gdcore.scipy.integrate import odeint, solve_ivp
from gdcore.scipy.linalg import cho_factor, cho_solve, cholesky, expm, solve_triangular
from gdcore.scipy.optimize import fixed_point, root
from gdcore.scipy.signal import fftconvolve
from gdcore.scipy.special import logsumexp, softmax
from gdcore.scipy.stats import bernoulli, multivariate_normal, norm, poisson, weibull_min

RNG = np.random.default_rng(7)


def test_gaussian_process_hyperparameters():
    x = np.linspace(0, 3, 8)
    y = np.sin(2 * x) + 0.1 * RNG.standard_normal(8)

    def covariance(theta):
        scale, length, noise = np.exp(theta)
        return scale**2 * np.exp(-0.5 * (x[:, None] - x) ** 2 / length**2) + noise**2 * np.eye(8)

    def by_triangles(theta):
        lower = cholesky(covariance(theta), lower=True)
        z = solve_triangular(lower, y, lower=True)
        return 0.5 * z @ z + np.sum(np.log(np.diag(lower))) + 4 * np.log(2 * np.pi)

    def by_factor(theta):
        c = cho_factor(covariance(theta))
        return 0.5 * y @ cho_solve(c, y) + np.sum(np.log(np.diag(c[0]))) + 4 * np.log(2 * np.pi)

    def by_density(theta):
        return -multivariate_normal.logpdf(y, np.zeros(8), covariance(theta))

    theta = np.log([1.2, 0.7, 0.3])
    for loss in (by_triangles, by_factor, by_density):
        gd.check_grads(loss, theta)
        np.testing.assert_allclose(gd.grad(loss)(theta), gd.grad(by_triangles)(theta), rtol=1e-9)


def test_fit_of_a_differential_equation():
    times = np.linspace(0, 2, 9)

    def lotka_volterra(t, state, a, b, c, d):
        prey, predators = state
        return [a * prey - b * prey * predators, c * prey * predators - d * predators]

    seen = solve_ivp(lotka_volterra, (0, 2), [1.0, 0.5], t_eval=times, args=(1.5, 1.0, 0.8, 1.0), rtol=1e-9).y

    def loss(p):
        found = solve_ivp(lotka_volterra, (0, 2), p["start"], t_eval=times, args=p["rates"], rtol=1e-9, atol=1e-11)
        return np.mean((np.log(found.y) - np.log(seen)) ** 2)

    gd.check_grads(loss, {"start": np.array([0.9, 0.6]), "rates": np.array([1.4, 0.9, 0.9, 1.1])}, tol=1e-4)


def test_reaction_kinetics_with_odeint_and_with_expm():
    times = np.array([0.0, 0.5, 1.0])

    def rates(k):
        return np.array([[-k[0], 0.0, 0.0], [k[0], -k[1], 0.0], [0.0, k[1], 0.0]])

    by_steps = lambda k: odeint(lambda y, t: rates(k) @ y, [1.0, 0.0, 0.0], times)  # noqa: E731
    by_expm = lambda k: np.stack([expm(t * rates(k))[:, 0] for t in times])  # noqa: E731
    k = np.array([1.3, 0.6])
    np.testing.assert_allclose(gd.jacobian(by_steps)(k), gd.jacobian(by_expm)(k), atol=1e-6)
    gd.check_grads(by_expm, k)


def test_hidden_markov_model():
    seen = RNG.standard_normal(6) + np.array([0, 0, 3, 3, 0, 3])

    def loss(p):
        log_change = np.log(softmax(p["change"], axis=1))
        log_now = np.log(softmax(p["start"])) + norm.logpdf(seen[0], p["mean"], np.exp(p["width"]))
        for y in seen[1:]:
            log_now = logsumexp(log_now[:, None] + log_change, axis=0) + norm.logpdf(
                y, p["mean"], np.exp(p["width"])
            )
        return -logsumexp(log_now)

    gd.check_grads(
        loss, {"start": np.zeros(2), "change": np.eye(2), "mean": np.array([0.1, 2.8]), "width": np.zeros(2)}
    )


def test_survival_model():
    age, treated = RNG.uniform(0, 1, 12), RNG.integers(0, 2, 12)
    months, died = RNG.exponential(5, 12) + 0.1, RNG.integers(0, 2, 12) == 1

    def loss(p):
        scale = np.exp(p["b"][0] + p["b"][1] * age + p["b"][2] * treated)
        shape = np.exp(p["log_shape"])
        return -np.sum(
            np.where(
                died, weibull_min.logpdf(months, shape, scale=scale), weibull_min.logsf(months, shape, 0, scale)
            )
        )

    gd.check_grads(loss, {"b": np.array([1.5, 0.1, -0.2]), "log_shape": 0.1})


def test_mixture_density_net():
    x = np.linspace(-1, 1, 10)[:, None]
    y = np.sin(3 * x[:, 0]) + 0.1 * RNG.standard_normal(10)

    def loss(p):
        out = np.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        logits, mean, log_width = np.split(out, 3, axis=1)
        parts = norm(mean, np.exp(log_width)).logpdf(y[:, None])
        return -np.mean(logsumexp(logits - logsumexp(logits, axis=1, keepdims=True) + parts, axis=1))

    params = {"w1": RNG.standard_normal((1, 3)), "b1": np.zeros(3), "w2": RNG.standard_normal((3, 6)) / 2,
              "b2": np.zeros(6)}  # fmt: skip
    gd.check_grads(loss, params)


def test_poisson_regression_on_sparse_data():
    X = sparse.random_array((20, 6), density=0.3, rng=RNG, format="csr")
    counts = RNG.poisson(2, 20)

    def loss(w):
        return -np.sum(poisson.logpmf(counts, np.exp(X @ w))) + 0.1 * np.sum(w**2)

    w = RNG.standard_normal(6) / 3
    gd.check_grads(loss, w)
    by_hand = X.T @ (np.exp(X @ w) - counts) + 0.2 * w
    np.testing.assert_allclose(gd.grad(loss)(w), by_hand, rtol=1e-12)


def test_equilibrium_of_a_market():
    def excess(prices, p):
        supply = np.array([np.sqrt(prices[0]), prices[1] ** p["elasticity"]])
        return supply - p["income"] / (prices + p["cross"] * prices[::-1])

    def welfare(p):
        prices = root(excess, np.ones(2), args=(p,)).x
        return np.sum(np.log(prices)) + prices[0] * prices[1]

    gd.check_grads(welfare, {"elasticity": 0.7, "income": np.array([1.5, 2.0]), "cross": 0.3})


def test_deep_equilibrium_layer():
    x = RNG.standard_normal(3)

    def loss(p):
        state = fixed_point(
            lambda z: np.tanh(p["w"] @ z + p["u"] @ x), np.zeros(3), method="iteration", maxiter=200
        )
        return np.sum(state**2)

    gd.check_grads(loss, {"w": 0.3 * RNG.standard_normal((3, 3)), "u": RNG.standard_normal((3, 3))})


def test_laplace_approximation_with_error_bars():
    x = RNG.standard_normal((30, 2))
    y = RNG.integers(0, 2, 30)

    def loss(w):
        return -np.sum(bernoulli.logpmf(y, expit(x @ w))) - np.sum(norm.logpdf(w, scale=2.0))

    w = np.zeros(2)
    for _ in range(20):
        w = w - np.linalg.solve(gd.hessian(loss)(w), gd.grad(loss)(w))
    p = expit(x @ w)
    np.testing.assert_allclose(x.T @ (p - y) + w / 4, 0, atol=1e-9)
    covariance = np.linalg.inv(gd.hessian(loss)(w))
    np.testing.assert_allclose(covariance, np.linalg.inv((x.T * (p * (1 - p))) @ x + np.eye(2) / 4), rtol=1e-9)
    evidence = lambda s: (  # noqa: E731
        np.sum(np.where(y == 1, log_expit(x @ w), log_expit(-(x @ w)))) + np.sum(norm.logpdf(w, 0, s))
    )
    gd.check_grads(evidence, 2.0)


def test_blind_deconvolution():
    spikes, kernel = RNG.random(12), np.array([0.2, 0.5, 0.3])
    seen = fftconvolve(spikes, kernel, "same")

    def loss(p):
        wanted = fftconvolve(p["spikes"], softmax(p["kernel"]), mode="same")
        return np.sum((wanted - seen) ** 2) - 0.01 * np.sum(xlogy(softmax(p["kernel"]), softmax(p["kernel"])))

    gd.check_grads(loss, {"spikes": spikes + 0.1, "kernel": np.array([0.0, 0.3, 0.1])})
