"""Which runs are called diverged: those whose loss and weights grow without end, and no others."""

import itertools

import numpy as np
import pytest
from scipy import sparse

import gdcore as gd

T = np.arange(640)
X = np.random.default_rng(0).standard_normal((640, 2))


def fit(model, y, lr, **changed):
    arguments = {"epochs": 2, "batch_size": 10, "rng": np.random.default_rng(1)} | changed
    return gd.fit(model.value_and_grad, model.params, (X, y), gd.SGD(model.groups(), lr=lr), **arguments)


IN_ORDER = {"rng": None, "shuffle": False}
WELL = {
    "silent at first": (np.where(T < 320, 0.0, 5 * X[:, 0]), 1e-2, IN_ORDER),
    "silent for the first ten steps alone": (np.where(T < 100, 0.0, 5 * X[:, 0]), 1e-2, IN_ORDER),
    "quiet at first, and nothing is learned": (np.where(T < 320, 1e-3 * X[:, 0], 50 * X[:, 0]), 0.0, IN_ORDER),
    "ever louder": (np.exp(T / 20), 1e-3, IN_ORDER),
    "seldom heard": (np.where(T % 100 == 0, 1e3, 0.0), 1e-3, {"batch_size": 1}),
    "silent but for rounding": (1e-12 * X[:, 0], 1e-2, {}),
}


@pytest.mark.parametrize("case", WELL)
def test_a_healthy_run_is_not_called_diverged(case):
    y, lr, changed = WELL[case]
    assert len(fit(gd.models.Linear(2), y, lr, **changed)) == 2


@pytest.mark.parametrize("target", [0.0, 50.0])
@pytest.mark.parametrize("silent", [20, 64, 70, 150])  # steps; an epoch has 64
def test_a_term_that_is_warmed_up_from_0_is_no_divergence(silent, target):
    w = np.array([2.0])
    steps = itertools.count()

    def warmed(w, _):
        beta = min(1.0, max(0.0, (next(steps) - silent) / 50))
        return beta * float((w[0] - target) ** 2), beta * 2 * (w - target)

    opt = gd.SGD(w, lr=1e-2)
    assert len(gd.fit(warmed, w, (X,), opt, epochs=5, batch_size=10, rng=np.random.default_rng(0))) == 5


def test_where_nothing_is_stepped_nothing_diverges():
    w = np.ones(1)
    losses = itertools.chain([1.0] * 64, itertools.count(1e9))
    gd.fit(lambda *_: (next(losses), np.ones(1)), w, (X,), gd.SGD(w, lr=0.0), epochs=3, batch_size=10, **IN_ORDER)


def test_a_peak_of_nine_steps_is_no_divergence():
    w = np.ones(1)
    losses = itertools.chain([1.0] * 64, itertools.cycle([*np.linspace(1e9, 2e9, 9), 1.0]))
    opt = gd.SGD(w, lr=1.0)  # the weights grow all the time
    gd.fit(lambda *_: (next(losses), -w), w, (X,), opt, epochs=3, batch_size=10, **IN_ORDER)
    assert w > 1e30


@pytest.mark.parametrize("size", [10, 64, 640])
@pytest.mark.parametrize("lr", [1.5, 3.0, 30.0])
def test_a_rate_that_is_too_large_is_found_while_the_weights_are_numbers(lr, size):
    model = gd.models.Linear(2)
    with pytest.raises(gd.DivergenceError, match=r"try a smaller lr") as caught:
        fit(model, 5 * X[:, 0], lr, epochs=400, batch_size=size)
    assert np.isfinite(model.params[0][0]).all()
    assert caught.value.step + (caught.value.epoch - 1) * -(-640 // size) < 400


def test_growth_is_found_ten_steps_after_its_limit_and_the_message_names_divergence():
    # The loss is 4^t and the weight 2^t: of epoch 1, steps 0 to 3, the largest are 4^3 and 2^4.
    w = np.ones(1)
    opt = gd.SGD(w, lr=1.5)
    said = r"loss: expected a number that falls, got .* more than divergence=1000 times those of a whole epoch"
    with pytest.raises(gd.DivergenceError, match=said) as caught:
        gd.fit(lambda w, _: (float(w[0] ** 2), 2 * w), w, (np.ones(4),), opt, epochs=99, batch_size=1,
               divergence=1000, **IN_ORDER)  # fmt: skip
    # Above 1000 * 4^3 are 4^8 and more, from the ninth step on; the tenth of those is the 18th.
    assert (caught.value.epoch, caught.value.step, opt.t) == (5, 2, 17)


def test_divergence_may_be_switched_off():
    w = np.ones(1)
    opt = gd.SGD(w, lr=1.5)
    gd.fit(lambda w, _: (float(w[0] ** 2), 2 * w), w, (np.ones(4),), opt, epochs=20, batch_size=1, divergence=None,
           **IN_ORDER)  # fmt: skip
    assert opt.t == 80


@pytest.mark.parametrize("until", [2, 4, 12, 17])
def test_divergence_is_found_at_the_same_step_whether_or_not_the_run_was_broken_off(tmp_path, until):
    class PowerCutError(BaseException):
        pass

    def fit(until):
        w = np.ones(1)
        opt = gd.SGD(w, lr=1.5)

        def value_and_grad(w, _):
            if opt.t == until:
                raise PowerCutError
            return float(w[0] ** 2), 2 * w

        gd.fit(value_and_grad, w, (np.ones(4),), opt, epochs=99, batch_size=1, rng=None, shuffle=False,
               checkpoint=tmp_path / "run.npz", checkpoint_every=0, resume=True)  # fmt: skip

    with pytest.raises(PowerCutError):
        fit(until)
    with pytest.raises(gd.DivergenceError, match="at step 3 of epoch 6"):
        fit(None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "y", "sparse", "dict", "accumulated"])
def test_samples_that_are_not_finite_are_named_in_place_of_the_rate(value, where):
    x, y = X[:20].copy(), X[:20, 0].copy()
    (y if where == "y" else x)[13] = value
    model = gd.models.Linear(2)
    data, changed = (sparse.csr_array(x) if where == "sparse" else x, y), {"batch_size": 5, **IN_ORDER}
    value_and_grad = model.value_and_grad
    if where == "dict":
        data, changed = [({"x": x, "y": y},)], {}
        value_and_grad = lambda params, batch: model.value_and_grad(params, batch["x"], batch["y"])  # noqa: E731
    if where == "accumulated":
        changed["accumulate"] = 2
    said = f"the samples of this step have {value} in them: fill it in, or leave such samples out"
    with pytest.raises(gd.DivergenceError, match=said) as caught:
        gd.fit(value_and_grad, model.params, data, gd.SGD(model.groups(), lr=0.01), epochs=1, **changed)
    assert caught.value.step == {"dict": 1, "accumulated": 2}.get(where, 3)
