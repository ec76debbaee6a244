"""``gd.minimize``: SciPy's optimum, its fields, and every way in which a run ends."""

import signal
from functools import partial

import numpy as np
import pytest

import gdcore as gd


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def bowl(x):
    return np.sum((x - 3.0) ** 2)


STARTS = {
    "rosenbrock in 10 dimensions": (rosenbrock, np.tile([-1.2, 1.0], 5), 3000),
    "logistic regression": (None, np.zeros(4), 1000),
    "hyperparameters of a Gaussian process": (None, np.zeros(3), 1000),
}


def logistic():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4))
    y = (x @ [1.0, -2.0, 0.5, 0.0] + rng.standard_normal(60) > 0) * 1.0
    return lambda w: np.mean(gd.softplus(x @ w) - y * (x @ w)) + 1e-3 * np.sum(w**2)


def gaussian_process():
    x = np.linspace(0, 5, 20)
    y = np.sin(x) + 0.1 * np.random.default_rng(0).standard_normal(20)

    def loss(p):
        height, length, noise = np.exp(p)
        k = height * np.exp(-0.5 * (x[:, None] - x) ** 2 / length**2) + (noise + 1e-6) * np.eye(20)
        low = np.linalg.cholesky(k)
        return 0.5 * np.sum(np.linalg.solve(low, y) ** 2) + np.sum(np.log(np.diag(low)))

    return loss


@pytest.mark.parametrize("name", STARTS)
def test_it_finds_the_optimum_of_l_bfgs(name):
    optimize = pytest.importorskip("scipy.optimize")
    function, x0, steps = STARTS[name]
    function = function or {"l": logistic, "h": gaussian_process}[name[0]]()
    optimizer = partial(gd.Adam, betas=(0.9, 0.99)) if steps > 1000 else gd.Adam
    ours = gd.minimize(function, x0, steps=steps, optimizer=optimizer)
    tight = {"ftol": 1e-15, "gtol": 1e-10}
    theirs = optimize.minimize(gd.value_and_grad(function), x0, jac=True, method="L-BFGS-B", options=tight)
    assert ours.success
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-6)
    assert abs(ours.fun - theirs.fun) <= 1e-6


def test_the_result_has_the_fields_of_scipy_and_the_path():
    x0 = np.array([0.0, 10.0])
    result = gd.minimize(bowl, x0, steps=50)
    assert list(result) == ["x", "fun", "jac", "nit", "nfev", "status", "success", "message", "path"]
    assert (result["nit"], result.nfev, len(result.path), result.status) == (50, 51, 51, 0)
    assert (x0.tolist(), result.path[0]) == ([0.0, 10.0], 58.0)
    assert result.fun == min(result.path) == bowl(result.x)
    np.testing.assert_array_equal(result.jac, 2 * (result.x - 3.0))
    assert "message: all 50 steps are done" in repr(result)
    with pytest.raises(AttributeError, match="OptimizeResult has no 'hess'; it has x, fun"):
        result.hess  # noqa: B018


@pytest.mark.parametrize("x0", [1, 2.5, [1, 2], [[1.0, 2.0], [3.0, 4.0]], np.arange(3), np.float32([1, 2])])
def test_any_numbers_are_a_start(x0):
    result = gd.minimize(bowl, x0)
    assert result.x.dtype == (np.float32 if isinstance(x0, np.ndarray) and x0.dtype == np.float32 else np.float64)
    assert result.x.shape == np.shape(x0)
    np.testing.assert_allclose(result.x, 3.0, atol=1e-4)


def test_trees_and_arguments():
    result = gd.minimize(
        lambda p, a, b: (p["u"] - a) ** 2 + np.sum((p["v"] - b) ** 2), {"u": 0.0, "v": [0.0]}, (1, 2)
    )
    assert result.x["u"].shape == ()
    np.testing.assert_allclose([result.x["u"], *result.x["v"]], [1, 2], atol=1e-6)
    assert gd.minimize(lambda x, a: (x - a) ** 2, 0.0, 1.0).fun < 1e-12


def test_gradients_of_ones_own_are_taken():
    both = gd.minimize(lambda x: (bowl(x), 2 * (x - 3.0)), [0.0], jac=True)
    apart = gd.minimize(bowl, [0.0], jac=lambda x: 2 * (x - 3.0))
    assert both.path == apart.path == gd.minimize(bowl, [0.0]).path
    listed = gd.minimize(bowl, [0.0], jac=lambda x: [2 * (x[0] - 3.0)])
    assert listed.path == both.path
    whole = [gd.minimize(bowl, [0.0], jac=lambda x, of=of: of([-6]), steps=3).x for of in (list, np.array)]
    assert whole[0] == whole[1] == gd.minimize(lambda x: np.sum(-6 * x), [0.0], steps=3).x


def test_a_class_a_partial_and_an_optimizer():
    assert gd.minimize(bowl, [0.0], optimizer=gd.SGD).success
    first = gd.minimize(bowl, [0.0], optimizer=partial(gd.SGD, lr=0.25), steps=1)
    assert first.x == [1.5]
    w = np.zeros(1)
    stood = gd.minimize(bowl, w, optimizer=gd.SGD(w, lr=0.25), steps=2)
    assert stood.x is w
    assert w == [2.25]


def test_the_best_point_is_kept():
    result = gd.minimize(bowl, [2.0], optimizer=gd.SGD, lr=1.25, steps=5)  # each step goes further away
    assert (result.x, result.fun, result.nit) == ([2.0], 1.0, 5)
    assert result.path == sorted(result.path)


def test_climbing():
    result = gd.minimize(lambda x: -bowl(x), [0.0], maximize=True)
    np.testing.assert_allclose(result.x, [3.0], atol=1e-6)
    assert result.fun == max(result.path)


@pytest.mark.parametrize(("name", "status"), [("gtol", 1), ("ftol", 2), ("xtol", 3)])
def test_tolerances_end_a_run(name, status):
    result = gd.minimize(bowl, [0.0], optimizer=gd.SGD, lr=0.25, **{name: 1e-3})
    assert (result.status, result.success) == (status, True)
    assert 5 < result.nit < 40
    assert f"{name}=0.001" in result.message


@pytest.mark.parametrize("name", ["ftol", "xtol"])
def test_a_run_is_calm_after_ten_steps_in_a_row(name):
    def rate(t):
        return 0.0 if t < 9 else 0.25 if t < 12 else 0.0  # still for nine steps, then not, then still

    result = gd.minimize(bowl, [0.0], optimizer=gd.SGD, schedule=rate, **{name: 1e-6})
    assert result.nit == 22


def test_what_is_not_finite_ends_a_run_with_the_last_good_point():
    def edge(x):
        return np.sum(np.where(x < 2.0, bowl(x), np.nan))

    with np.errstate(invalid="ignore"):
        result = gd.minimize(edge, [0.0], optimizer=gd.SGD, lr=0.25)
    assert (result.x, result.status, result.success) == ([1.5], 4, False)
    assert result.message.startswith("fun is nan after step 2; x is the best point before")
    slope = gd.minimize(lambda x: (0.0, x * np.inf if x[0] else np.ones(1)), [0.0], jac=True)
    assert slope.message.startswith("the gradient is not finite after step 1")
    with pytest.raises(
        FloatingPointError, match="x0: expected a point where f and its gradient are finite; fun is nan"
    ):
        gd.minimize(edge, [5.0])


def test_ctrl_c_returns_what_there_is():
    def loss(x):
        loss.calls += 1
        if loss.calls == 4:
            signal.raise_signal(signal.SIGINT)
        return bowl(x)

    loss.calls = 0
    result = gd.minimize(loss, [0.0], optimizer=gd.SGD, lr=0.25)
    assert (result.nit, result.status, result.success) == (3, 5, False)
    assert result.x == [2.25]
    assert result.message == "interrupted after step 3; x is the best point before"


def test_callbacks_are_those_of_scipy():
    seen = []
    result = gd.minimize(bowl, [0.0], steps=9, callback=lambda x: seen.append(x) or len(seen) == 3)
    assert (result.nit, result.status, len({id(x) for x in seen})) == (3, 6, 3)

    def stopping(intermediate_result):
        assert intermediate_result.fun == bowl(intermediate_result.x)
        if intermediate_result.nit == 2:
            raise StopIteration

    assert gd.minimize(bowl, [0.0], steps=9, callback=stopping).nit == 2


def test_limits_and_schedules_are_those_of_a_step():
    result = gd.minimize(bowl, [0.0], optimizer=gd.SGD, schedule=lambda t: [1.0, 0.5][t], max_norm=1.0, steps=2)
    assert result.x == [1.5]


@pytest.mark.parametrize(
    ("error", "said", "arguments"),
    [
        (TypeError, "f: expected a callable, got int", {"f": 3}),
        (TypeError, "f: expected a loss that is one real number, got float64 (2,)",
         {"f": lambda x: (x, x), "jac": True}),
        (TypeError, "f: expected to return a loss and its gradients, got float64; jac=None works out the gradient",
         {"jac": True}),
        (TypeError, "f: expected one real number, got 2 items; jac=True takes a gradient too",
         {"f": lambda x: (bowl(x), 2 * x)}),
        (ValueError, "grads: expected float64 (2,), got float64 (3,)", {"jac": lambda x: [1.0, 2.0, 3.0]}),
        (TypeError, "jac: expected None, True or a function, got '2-point'", {"jac": "2-point"}),
        (TypeError, "x0: expected real numbers, got <U1", {"x0": "a"}),
        (TypeError, "x0['w']: expected real numbers, got complex128", {"x0": {"w": 1j}}),
        (ValueError, "x0: expected numbers, got list", {"x0": [[1.0], [1.0, 2.0]]}),
        (ValueError, "steps: expected an int >= 0, got -1", {"steps": -1}),
        (ValueError, "gtol: expected", {"gtol": -1.0}),
        (ValueError, "max_norm: expected", {"max_norm": 0.0}),
        (TypeError, "maximize: expected True or False, got 1", {"maximize": 1}),
        (TypeError, "optimizer: expected a class such as gd.Adam, a partial of one, or an optimizer, got 'adam'",
         {"optimizer": "adam"}),
        (TypeError, "optimizer: expected what makes an optimizer of gdcore, got a dict",
         {"optimizer": lambda x, lr: {}}),
        (ValueError, "lr: expected None with an optimizer, whose own is 0.5, got 1", {"optimizer": 0, "lr": 1.0}),
        (TypeError, "callback: expected a callable or None, got int", {"callback": 1}),
        (TypeError, "schedule: expected a callable or None, got float", {"schedule": 0.1}),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(error, said, arguments):
    given = {"f": bowl, "x0": np.zeros(2), **arguments}
    if given.get("optimizer") == 0:
        given["optimizer"] = gd.SGD(given["x0"], lr=0.5)
    with pytest.raises(error) as raised:
        gd.minimize(**given)
    assert str(raised.value).startswith(said)
