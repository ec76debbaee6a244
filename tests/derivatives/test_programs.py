"""Programs as one would first write them, in plain NumPy, against finite differences.

Those that need SciPy lie in tests/with_scipy/test_programs.py.
"""

from itertools import pairwise

import numpy as np
import pytest

import gdcore as gd


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_variational_autoencoder(rng):
    x = (rng.random((6, 5)) > 0.5).astype(float)
    noise = rng.standard_normal((6, 2))

    def layer(n_in, n_out):
        return {"w": rng.standard_normal((n_in, n_out)) / 2, "b": np.zeros(n_out)}

    params = {
        "encoder": [layer(5, 4), layer(4, 4)],
        "decoder": [layer(2, 4), layer(4, 5)],
    }

    def net(layers, x):
        for i, layer in enumerate(layers):
            x = x @ layer["w"] + layer["b"]
            if i < len(layers) - 1:
                x = np.tanh(x)
        return x

    def negative_elbo(params):
        mean, log_var = np.split(net(params["encoder"], x), 2, axis=1)
        z = mean + np.exp(0.5 * log_var) * noise
        p = 1 / (1 + np.exp(-net(params["decoder"], z)))
        log_likelihood = np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)
        kl = -0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var), axis=1)
        return np.mean(kl - log_likelihood)

    gd.check_grads(negative_elbo, params)
    optimizer = gd.Adam(params, lr=0.05)
    before = negative_elbo(params)
    for _ in range(20):
        optimizer.step(gd.grad(negative_elbo)(params))
    assert negative_elbo(params) < before - 0.3


def test_kalman_filter(rng):
    dt = 0.5
    seen = np.cumsum(rng.standard_normal(8) * 0.3 + 0.5) + 0.2 * rng.standard_normal(8)

    def log_likelihood(theta):
        q, r = np.exp(theta["log_noise"])
        F = np.array([[1.0, dt], [0.0, theta["decay"]]])
        Q = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        H = np.array([[1.0, 0.0]])
        R = np.array([[r]])
        m, P = np.zeros(2), np.eye(2)
        total = 0.0
        for y in seen:
            m = F @ m
            P = F @ P @ F.T + Q
            S = H @ P @ H.T + R
            K = P @ H.T @ np.linalg.inv(S)
            residual = y - H @ m
            total += -0.5 * (residual @ np.linalg.solve(S, residual) + np.log(np.linalg.det(2 * np.pi * S)))
            m = m + K @ residual
            P = (np.eye(2) - K @ H) @ P
        return total

    gd.check_grads(log_likelihood, {"log_noise": np.log([0.3, 0.1]), "decay": 0.9})


def test_neural_ordinary_differential_equation(rng):
    times = np.linspace(0, 1, 6)
    truth = np.stack([np.cos(3 * times), np.sin(3 * times)], axis=1)

    def field(p, y, t):
        return np.tanh(np.append(y, t) @ p["w1"] + p["b1"]) @ p["w2"]

    def rk4(f, y, times):
        ys = [y]
        for t, t_next in pairwise(times):
            h = t_next - t
            k1 = f(y, t)
            k2 = f(y + h / 2 * k1, t + h / 2)
            k3 = f(y + h / 2 * k2, t + h / 2)
            k4 = f(y + h * k3, t_next)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            ys.append(y)
        return np.array(ys)

    def loss(p):
        return np.mean((rk4(lambda y, t: field(p, y, t), p["start"], times) - truth) ** 2)

    gd.check_grads(
        loss,
        {
            "w1": rng.standard_normal((3, 4)),
            "b1": np.zeros(4),
            "w2": rng.standard_normal((4, 2)) / 2,
            "start": np.array([0.9, 0.1]),
        },
    )


def test_natural_gradient_of_logistic_regression_is_newtons_step(rng):
    X = rng.standard_normal((20, 3))
    y = rng.integers(0, 2, 20)

    def log_probability(w, x, y):
        z = x @ w
        return y * z - np.log(1 + np.exp(z))

    def loss(w):
        return -np.sum(log_probability(w, X, y))

    def fisher(w):
        p = 1 / (1 + np.exp(-X @ w))
        total = np.zeros((3, 3))
        for label, chance in ((1, p), (0, 1 - p)):
            scores = gd.jacobian(log_probability)(w, X, np.full(20, label))
            total = total + scores.T @ (chance[:, None] * scores)
        return total

    w = np.array([0.3, -0.2, 0.1])
    gd.check_grads(loss, w)
    # For this family Fisher's matrix is the Hessian.
    np.testing.assert_allclose(fisher(w), gd.hessian(loss)(w), rtol=1e-10)
    for _ in range(12):
        w = w - np.linalg.solve(fisher(w), gd.grad(loss)(w))
    np.testing.assert_allclose(gd.grad(loss)(w), 0, atol=1e-9)
    # A step of it depends on w through derivatives of derivatives.
    gd.check_grads(lambda w: w - np.linalg.solve(fisher(w), gd.grad(loss)(w)), np.array([0.3, -0.2, 0.1]))


def sines(rng, tasks=3, points=6):
    x = rng.uniform(-2, 2, (tasks, 2, points))
    phase = rng.uniform(0, np.pi, (tasks, 1, 1))
    return x, np.sin(x + phase)


def predict(params, x):
    hidden = np.tanh(np.outer(x, params["w1"]) + params["b1"])
    return hidden @ params["w2"] + params["b2"]


def start_of_net(rng, hidden=4):
    return {
        "w1": rng.standard_normal(hidden),
        "b1": np.zeros(hidden),
        "w2": rng.standard_normal(hidden) / 2,
        "b2": 0.0,
    }


def mean_squared(params, x, y):
    return np.mean((predict(params, x) - y) ** 2)


def test_model_agnostic_meta_learning(rng):
    xs, ys = sines(rng)

    def adapted(params, x, y, lr=0.1):
        for _ in range(2):
            grads = gd.grad(mean_squared)(params, x, y)
            params = {name: params[name] - lr * grads[name] for name in params}
        return params

    def meta_loss(params):
        total = 0
        for x, y in zip(xs, ys, strict=True):
            total += mean_squared(adapted(params, x[0], y[0]), x[1], y[1])
        return total / len(xs)

    gd.check_grads(meta_loss, start_of_net(rng))


def test_learning_rates_that_are_learned(rng):
    xs, ys = sines(rng, tasks=1, points=8)
    x, y = xs[0], ys[0]
    start = start_of_net(rng)

    def after_training(meta):
        params = dict(start)
        velocity = {name: np.zeros_like(value) for name, value in params.items()}
        beta = 1 / (1 + np.exp(-meta["momentum"]))
        for log_lr in meta["log_lrs"]:
            grads = gd.grad(mean_squared)(params, x[0], y[0])
            for name, grad in grads.items():
                velocity[name] = beta * velocity[name] + grad
                params[name] = params[name] - np.exp(log_lr) * velocity[name]
        return mean_squared(params, x[1], y[1])

    meta = {"log_lrs": np.log([0.1, 0.05, 0.02]), "momentum": 0.0}
    gd.check_grads(after_training, meta)
    better = {name: value - 0.1 * gd.grad(after_training)(meta)[name] for name, value in meta.items()}
    assert after_training(better) < after_training(meta)


def test_robust_pca_through_the_singular_value_decomposition(rng):
    spoiled = np.outer(rng.standard_normal(5), rng.standard_normal(4)) + 0.1 * rng.standard_normal((5, 4))
    spoiled[1, 2] += 5

    def objective(sparse, weight=0.4):
        low_rank = spoiled - sparse
        nuclear = np.sum(np.linalg.svd(low_rank, compute_uv=False))
        return nuclear + weight * np.sum(np.sqrt(sparse**2 + 1e-4))

    sparse = 0.1 * rng.standard_normal((5, 4))
    gd.check_grads(objective, sparse)
    np.testing.assert_allclose(
        gd.grad(lambda s: np.linalg.norm(spoiled - s, "nuc"))(sparse),
        gd.grad(lambda s: np.sum(np.linalg.svdvals(spoiled - s)))(sparse),
    )

    def shrunk(x, threshold):
        U, s, Vt = np.linalg.svd(x, full_matrices=False)
        return U @ np.diag(np.maximum(s - threshold, 0)) @ Vt

    # An unrolled step of alternating shrinkage, by the data and by the threshold.
    def step(p):
        low_rank = shrunk(p["data"], p["threshold"])
        residual = p["data"] - low_rank
        outliers = np.sign(residual) * np.maximum(np.abs(residual) - p["threshold"] / 4, 0)
        return np.sum((p["data"] - low_rank - outliers) ** 2)

    gd.check_grads(step, {"data": spoiled, "threshold": 0.33})
    optimizer = gd.Adam(sparse, lr=0.1)
    for _ in range(120):
        optimizer.step(gd.grad(objective)(sparse))
    assert np.argmax(np.abs(sparse)) == 6
    assert abs(sparse[1, 2]) > 3


def test_fit_of_a_spline(rng):
    knots = np.linspace(0, 1, 5)
    x = np.sort(rng.random(12))
    y = np.sin(5 * x) + 0.1 * rng.standard_normal(12)

    def natural_spline(heights, x):
        n = len(knots)
        h = np.diff(knots)
        A = np.eye(n)
        for i in range(1, n - 1):
            A[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        slopes = np.diff(heights) / h
        rhs = np.concatenate([[0.0], 6 * np.diff(slopes), [0.0]])
        bends = np.linalg.solve(A, rhs)
        i = np.clip(np.searchsorted(knots, x) - 1, 0, n - 2)
        t, s = x - knots[i], knots[i + 1] - x
        return (
            bends[i] * s**3 / (6 * h[i])
            + bends[i + 1] * t**3 / (6 * h[i])
            + (heights[i] / h[i] - bends[i] * h[i] / 6) * s
            + (heights[i + 1] / h[i] - bends[i + 1] * h[i] / 6) * t
        )

    def loss(heights):
        return np.sum((natural_spline(heights, x) - y) ** 2)

    heights = np.zeros(5)
    gd.check_grads(loss, heights)
    gd.check_grads(lambda x: natural_spline(np.array([0.0, 1.0, 0.5, -0.5, 0.2]), x), x)  # where it is read
    # It is linear in the heights, so one step of Newton's is the fit.
    J = gd.jacobian(natural_spline)(heights, x)
    fit = heights - np.linalg.solve(gd.hessian(loss)(heights), gd.grad(loss)(heights))
    np.testing.assert_allclose(fit, np.linalg.lstsq(J, y, rcond=None)[0], rtol=1e-8)


def test_bilevel_optimisation_of_a_penalty(rng):
    X, held_out = rng.standard_normal((8, 3)), rng.standard_normal((6, 3))
    w = np.array([1.0, -2.0, 0.0])
    y, wanted = X @ w + 0.3 * rng.standard_normal(8), held_out @ w

    def inner(w, log_penalty):
        return np.sum((X @ w - y) ** 2) / 2 + np.sum(np.exp(log_penalty) * w**2) / 2

    def outer(log_penalty):
        """By the normal equations."""
        w = np.linalg.solve(X.T @ X + np.diag(np.exp(log_penalty)), X.T @ y)
        return np.mean((held_out @ w - wanted) ** 2)

    def unrolled(log_penalty):
        """By the steps of gradient descent that lead there."""
        w = np.zeros(3)
        for _ in range(60):
            w = w - 0.05 * gd.grad(inner)(w, log_penalty)
        return np.mean((held_out @ w - wanted) ** 2)

    def implicit(log_penalty):
        """By the theorem of implicit functions."""
        w = np.linalg.solve(X.T @ X + np.diag(np.exp(log_penalty)), X.T @ y)
        by_w = 2 * held_out.T @ (held_out @ w - wanted) / len(wanted)
        mixed = gd.jacobian(lambda log_penalty: gd.grad(inner)(w, log_penalty))(log_penalty)
        return -np.linalg.solve(gd.hessian(inner)(w, log_penalty), by_w) @ mixed

    log_penalty = np.log([0.5, 1.0, 2.0])
    gd.check_grads(outer, log_penalty)
    gd.check_grads(unrolled, log_penalty)
    np.testing.assert_allclose(implicit(log_penalty), gd.grad(outer)(log_penalty), rtol=1e-9)
    np.testing.assert_allclose(gd.grad(unrolled)(log_penalty), gd.grad(outer)(log_penalty), rtol=1e-2, atol=1e-4)


def test_step_of_hamiltonian_monte_carlo(rng):
    y = rng.standard_normal(7) + 1

    def log_density(q):
        mean, log_scale = q
        return (
            -np.sum(((y - mean) / np.exp(log_scale)) ** 2) / 2 - len(y) * log_scale - (mean**2 + log_scale**2) / 2
        )

    force = gd.grad(log_density)

    def leapfrog(q, p, step, n=5):
        p = p + step / 2 * force(q)
        for i in range(n):
            q = q + step * p
            p = p + (step if i < n - 1 else step / 2) * force(q)
        return q, p

    def energy(q, p):
        return p @ p / 2 - log_density(q)

    q, p = np.array([0.8, 0.2]), np.array([0.4, -0.7])
    gd.check_grads(log_density, q)

    # How far a step changes the energy, by the length of the step, as samplers that tune themselves ask.
    def drift(step, n=5):
        return energy(*leapfrog(q, p, step, n)) - energy(q, p)

    gd.check_grads(drift, 0.3)
    np.testing.assert_allclose(drift(0.02, 5) / drift(0.01, 10), 4, rtol=0.05)  # its error is of second order
    there = leapfrog(q, p, 0.05)
    back = leapfrog(there[0], -there[1], 0.05)
    np.testing.assert_allclose(back, (q, -p), atol=1e-12)

    # The map keeps volumes: the determinant of its Jacobian is 1.
    def flow(z):
        return np.concatenate(leapfrog(z[:2], z[2:], 0.1))

    np.testing.assert_allclose(np.linalg.det(gd.jacobian(flow)(np.concatenate([q, p]))), 1, rtol=1e-10)
