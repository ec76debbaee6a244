"""Gradients of each sample: together they are those of one by one."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives import samples
from gdcore.derivatives.batched import RULES, Batched, NoRuleError

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((5, 4)), RNG.standard_normal(5)
X[0] = 0  # a tie of relu and of np.maximum
Y, SOFT = RNG.integers(0, 3, 5), RNG.dirichlet(np.ones(3), 5)
PARAMS = {"w": RNG.standard_normal((4, 6)), "b": np.zeros(6), "v": [RNG.standard_normal((6, 3)), 0.5]}


def log_likelihood(p, x, y):
    z = np.tanh(x @ p["w"] + p["b"]) @ p["v"][0]
    z = z - np.max(z, axis=1, keepdims=True)
    return -np.mean((z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True)))[np.arange(len(y)), y]) * p["v"][1]


def shapes(p, x, t):
    h = np.concatenate([np.dot(x, p["w"]), np.ones((len(x), 2)), x[:, None, 1:3].reshape(len(x), -1)], axis=1)
    h = np.stack([h.T, np.transpose(h)[::-1]]).mean(axis=(0, 1)).squeeze()
    row = p["w"][0] @ p["v"][0] + p["w"].T @ x[0] @ p["v"][0] + np.expand_dims(p["b"], 0).ravel()[:3]
    return (
        np.sum(np.where(row > 0, row, 0.1 * row**2)) * np.square(h - t).sum() / np.size(x) + row.max() * row.min()
    )


def net(activation):
    def loss(p, x, y):
        return gd.softmax_cross_entropy(gd.dense(x, p["w"], p["b"], activation) @ p["v"][0] + p["v"][1], y)

    return loss


TOGETHER = {
    "arithmetic": (log_likelihood, Y),
    "shapes": (shapes, T),
    "half of a tie": (lambda p, x, t: np.sum(np.maximum(x @ p["w"], 0) @ p["v"][0]), T),
    "vector": (lambda p, x, t: gd.squared_error((x @ p["w"])[:, 0], t), T),
    "all parameters alike": (lambda p, x, t: np.mean(p["w"] ** 2) * p["v"][1] * np.mean(t), T),
    "soft labels": (net("tanh"), SOFT),
    **{name: (net(name), Y) for name in ("relu", "tanh", "sigmoid", "softplus", "gelu", "silu")},
    "softmax": (lambda p, x, y: np.sum(gd.softmax(x @ p["w"]) * gd.log_softmax((x @ p["w"]).T, 0).T), T),
}
ONE_BY_ONE = {
    "no rule": (lambda p, x, t: np.sum(np.linalg.norm(x @ p["w"], axis=1) * t), T),
    "branch": (lambda p, x, t: np.sum(x @ p["w"]) * (2 if x[0, 0] > 0 else 3), T),
    "filled": (lambda p, x, t: np.sum(np.array([p["v"][1], 2 * p["v"][1]]) * t), T),
    "layer norm": (lambda p, x, t: np.sum(gd.layer_norm(x @ p["w"]) ** 3), T),
}


def alone(f, params, *data):
    of = gd.value_and_grad(f)
    return [of(params, *(x[i : i + 1] for x in data)) for i in range(len(data[0]))]


def compare(got, expected):
    values, grads = got
    assert values.shape == (5,)
    for i, (value, g) in enumerate(expected):
        np.testing.assert_allclose(values[i], value, rtol=1e-12)
        for a, b in (
            (grads["w"], g["w"]),
            (grads["b"], g["b"]),
            (grads["v"][0], g["v"][0]),
            (grads["v"][1], g["v"][1]),
        ):
            assert (a.shape, a.dtype) == ((5, *b.shape), b.dtype)
            np.testing.assert_allclose(a[i], b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", TOGETHER)
def test_samples_together_are_those_one_by_one(name, monkeypatch):
    f, y = TOGETHER[name]
    expected = alone(f, PARAMS, X, y)
    monkeypatch.setattr(samples, "_one_by_one", None)
    compare(gd.value_and_grads(f)(PARAMS, X, y), expected)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_what_has_no_rule_goes_one_by_one(name):
    f, y = ONE_BY_ONE[name]
    with pytest.raises((NoRuleError, ValueError)):
        samples._together(f, PARAMS, [X, y], {}, 5)
    compare(gd.value_and_grads(f)(PARAMS, X, y), alone(f, PARAMS, X, y))


def test_the_mean_of_the_gradients_is_that_of_the_batch():
    value, grads = gd.value_and_grad(net("gelu"))(PARAMS, X, Y)
    values, each = gd.value_and_grads(net("gelu"))(PARAMS, X, Y)
    np.testing.assert_allclose(values.mean(), value, rtol=1e-12)
    np.testing.assert_allclose(each["w"].mean(0), grads["w"], rtol=1e-10, atol=1e-14)


def test_float32_stays_and_data_may_be_trees_and_options_go_by_name():
    def loss(w, batch, *, scale):
        return np.mean(np.square(batch["x"] @ w - batch["t"])) * scale

    w, data = np.ones(4, np.float32), {"x": X.astype(np.float32), "t": T.astype(np.float32)}
    values, grads = gd.value_and_grads(loss)(w, data, scale=2.0)
    assert (values.dtype, grads.dtype, grads.shape) == (np.float32, np.float32, (5, 4))
    np.testing.assert_allclose(grads, 4 * (X @ w - T)[:, None] * X, rtol=1e-5, atol=1e-5)


def test_gradients_of_samples_are_differentiated():
    f = lambda w, x, t: np.mean((np.tanh(x @ w) - t) ** 2)  # noqa: E731
    gd.check_grads(lambda w: gd.value_and_grads(f)(w, X, T)[1], np.ones(4))
    gd.check_grads(lambda w: gd.value_and_grads(ONE_BY_ONE["no rule"][0])({"w": w}, X, T)[1]["w"], PARAMS["w"])


def test_data_without_a_common_first_axis_is_refused():
    of = gd.value_and_grads(lambda p, *data: np.sum(p))
    for data, error, said in (
        ((), TypeError, "expected params and the arrays of a batch by position"),
        ((X, T[:3]), ValueError, r"first axis counts the samples, as \(5, 4\) does, got float64 \(3,\)"),
        ((X, 1.0), ValueError, "first axis counts the samples"),
        ((X[:0],), ValueError, "expected at least one sample, got none"),
    ):
        with pytest.raises(error, match=said):
            of(np.ones(2), *data)


def test_an_error_of_the_function_is_that_of_one_sample():
    with pytest.raises(ValueError, match="expected a scalar result"):
        gd.value_and_grads(lambda p, x: x @ p["w"])(PARAMS, X)


def test_each_rule_is_that_of_its_function_on_each_sample():
    """What is not tried in a loss above; that every rule is tried somewhere is seen here."""
    a = RNG.standard_normal((3, 2, 1, 4))
    tried = {
        np.shape: [()], np.ndim: [()], np.size: [(), (0,)], np.sum: [(), (1,), ((0, -1),)], np.mean: [(-1,)],
        np.max: [(0,)], np.min: [(2,)], np.prod: [(), (0,)], np.reshape: [((4, 2),), ((-1, 2),), (8,)],
        np.ravel: [()],
        np.squeeze: [(), (1,)], np.expand_dims: [(0,), (-1,)], np.transpose: [(), ((2, 0, 1),)],
        np.amax: [(-1,)], np.amin: [()],
    }  # fmt: skip
    for function, arguments in tried.items():
        for args in arguments:
            got = function(Batched(a), *args)
            for i in range(3):
                expected = function(a[i], *args)
                one = got.value[i] if type(got) is Batched else got
                np.testing.assert_allclose(one, expected, err_msg=f"{function.__name__}{args}")
                assert np.shape(one) == np.shape(expected)
    b, c, m = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4, 5)), RNG.standard_normal((5, 4))
    for function in (np.matmul, np.dot):
        for x, y in ((b, b), (b, c), (m, b), (m, c), (c, m), (b, m.T), (a, c), (a, b), (m[0], c), (b, m[0])):
            if function is np.dot and x is a:
                continue
            ours = function(*(Batched(z) if len(z) == 3 else z for z in (x, y))).value
            for i in range(3):
                np.testing.assert_allclose(ours[i], function(*(z[i] if len(z) == 3 else z for z in (x, y))))
    for function in (np.concatenate, np.stack):
        got = function([Batched(c), np.ones((4, 5))], axis=-1).value
        np.testing.assert_array_equal(got[1], function([c[1], np.ones((4, 5))], axis=-1))
    got = np.where(Batched(c) > 0, Batched(c), Batched(b[:, :1]))
    np.testing.assert_array_equal(got.value[2], np.where(c[2] > 0, c[2], b[2, :1]))
    assert set(RULES) == {*tried, np.matmul, np.dot, np.concatenate, np.stack, np.where}
