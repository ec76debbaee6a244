"""fit in full: what it tells, when it stops, and what it refuses."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_table import every_kind

import gdcore as gd
from gdcore import metrics

X = np.linspace(-1, 1, 23)
Y = 3 * X - 2
HELD = (np.array([2.0, -3.0]), np.array([4.5, -11.5]))


def line(w, x):
    return w[0] * x + w[1]


def value_and_grad(w, x, y):
    r = line(w, x) - y
    return np.mean(r**2), np.array([2 * np.mean(r * x), 2 * np.mean(r)])


def run(w, opt=None, loss=value_and_grad, **changed):
    arguments = {"epochs": 6, "batch_size": 5, "rng": np.random.default_rng(7)} | changed
    return gd.fit(loss, w, (X, Y), opt or gd.Adam(w, lr=0.1), **arguments)


# What is told


def test_metrics_are_those_of_all_samples_after_the_epoch():
    w = np.zeros(2)
    seen = []
    history = run(
        w,
        metrics={"rmse": metrics.rmse(line), "slope": lambda w, x, y: w[0]},
        validation=HELD,
        callback=lambda record, w: seen.append(w.copy()),
    )
    for record, after in zip(history.records, seen, strict=True):
        for name, (x, y) in {"": (X, Y), "validation_": HELD}.items():
            error = np.sqrt(np.mean((line(after, x) - y) ** 2))
            np.testing.assert_allclose(record[f"{name}rmse"], error, rtol=1e-13)
            assert record[f"{name}slope"] == after[0]
        np.testing.assert_allclose(record["validation_loss"], value_and_grad(after, *HELD)[0], rtol=1e-13)


def test_running_metrics_are_those_met_before_each_step():
    w = np.zeros(2)
    met = []

    def noting(w, x, y):
        met.append((line(w, x) - y, w[0]))
        return value_and_grad(w, x, y)

    history = run(
        w, loss=noting, epochs=1, running=True, metrics={"rmse": metrics.rmse(line), "slope": lambda w, x, y: w[0]}
    )
    errors = np.concatenate([error for error, _ in met])
    record = history.records[0]
    np.testing.assert_allclose(record["running_rmse"], np.sqrt(np.mean(errors**2)), rtol=1e-13)
    np.testing.assert_allclose(record["running_rmse"] ** 2, record["loss"], rtol=1e-13)
    slope = sum(slope * len(error) for error, slope in met) / len(X)
    np.testing.assert_allclose(record["running_slope"], slope, rtol=1e-13)


@pytest.mark.parametrize("n", [1, metrics.CHUNK - 1, metrics.CHUNK, metrics.CHUNK + 1, 2 * metrics.CHUNK + 3])
def test_a_metric_over_many_samples_is_that_of_all_at_once(n):
    rng = np.random.default_rng(n)
    scores, y = rng.standard_normal((n, 3)), rng.integers(0, 3, n)
    x = np.arange(n)
    tops = scores.argmax(axis=1)
    np.testing.assert_allclose(metrics.accuracy(lambda _, x: scores[x])(None, x, y), np.mean(tops == y), rtol=1e-12)
    chosen = np.log(np.exp(scores).sum(axis=1)) - scores[x, y]
    np.testing.assert_allclose(metrics.cross_entropy(lambda _, x: scores[x])(None, x, y), chosen.mean(), rtol=1e-12)


def test_two_classes_have_one_score():
    scores, y = np.array([-2.0, 3.0, 0.5]), np.array([0, 1, 0])
    assert metrics.accuracy(lambda _, x: scores)(None, y, y) == 2 / 3
    p = 1 / (1 + np.exp(-scores))
    expected = -np.log(np.where(y == 1, p, 1 - p)).mean()
    np.testing.assert_allclose(metrics.cross_entropy(lambda _, x: scores)(None, y, y), expected, rtol=1e-12)


def test_a_metric_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"metric: expected one number a sample, shape \(3,\), got \(\)"):
        metrics.Metric(lambda _, x: 1.0)(None, np.zeros(3))
    with pytest.raises(ValueError, match=r"outputs: expected the shape of y, \(3,\), got \(3, 1\)"):
        metrics.rmse(lambda _, x: x[:, None])(None, np.zeros(3), np.zeros(3))


# When it stops


def test_patience_stops_and_puts_the_best_parameters_back():
    w = np.zeros(2)
    seen = []
    history = run(
        w,
        gd.SGD(w, lr=0.3),
        epochs=100,
        patience=3,
        validation=HELD,
        schedule=lambda t: 0.3 if t < 30 else 1.2,
        callback=lambda record, w: seen.append((record["validation_loss"], w.copy())),
    )
    losses = [loss for loss, _ in seen]
    best = int(np.argmin(losses))
    assert history.stopped == "patience"
    assert len(history) == best + 1 + 3
    assert history.best is history.records[best]
    np.testing.assert_array_equal(w, seen[best][1])
    assert w.tolist() != seen[-1][1].tolist()


@pytest.mark.parametrize("size", [5, 23])
@pytest.mark.parametrize("monitor", [None, "loss"])
@pytest.mark.parametrize(
    "make",
    [
        lambda w: gd.Momentum(w, lr=0.4, beta=0.9, dampening=0.0),
        lambda w: gd.SGD(w, lr=1.02),
        lambda w: gd.SGD(w, lr=100.0),
    ],
    ids=["overshoots", "grows", "diverges"],
)
def test_what_patience_puts_back_has_the_monitored_value(make, monitor, size):
    w = np.zeros(2)
    try:
        history = run(w, make(w), epochs=30, batch_size=size, patience=30, monitor=monitor)
    except gd.DivergenceError as error:
        history = error.history
    assert history.monitor == "loss"
    assert history.best["loss"] == pytest.approx(value_and_grad(w, X, Y)[0], rel=1e-12)


def test_with_patience_by_the_loss_it_is_that_after_the_epoch_beside_the_one_met_in_it():
    w, other = np.zeros(2), np.zeros(2)
    seen = []
    after = run(w, patience=9, callback=lambda record, w: seen.append(value_and_grad(w, X, Y)[0]))
    met = run(other)
    np.testing.assert_allclose(after.to_dict()["loss"], seen, rtol=1e-12)
    assert after.to_dict()["running_loss"] == met.to_dict()["loss"]
    assert w.tolist() == other.tolist()  # the last epoch is the best


def test_patience_compares_nothing_that_is_met_on_the_way():
    said = "monitor: expected a value of the parameters after an epoch .* 'running_rmse', .*; 'rmse' is one"
    with pytest.raises(ValueError, match=said):
        run(np.zeros(2), metrics={"rmse": metrics.rmse(line)}, running=True, monitor="running_rmse", patience=2)


def test_without_patience_the_last_parameters_stay():
    w = np.zeros(2)
    seen = []
    run(w, epochs=9, callback=lambda record, w: seen.append(w.copy()))
    np.testing.assert_array_equal(w, seen[-1])


def averaging(w, rate=0.9):
    return gd.SGD(w, lr=rate, average=0.8)


def test_with_averages_an_epoch_is_judged_by_them_and_the_callback_sees_the_weights():
    w = np.zeros(2)
    opt, seen = averaging(w), []
    history = run(
        w,
        opt,
        averages=True,
        metrics={"slope": lambda w, x, y: w[0]},
        validation=HELD,
        callback=lambda record, w: seen.append((w.copy(), opt.averages())),
    )
    for record, (weights, average) in zip(history.records, seen, strict=True):
        assert not np.allclose(weights, average)
        assert record["slope"] == record["validation_slope"] == average[0]
        assert record["validation_loss"] == pytest.approx(value_and_grad(average, *HELD)[0], rel=1e-13)
    assert w.tolist() == seen[-1][0].tolist()
    other = np.zeros(2)
    met = run(other, averaging(other))
    assert w.tolist() == other.tolist()
    assert [record["loss"] for record in met.records] == [record["loss"] for record in history.records]


@pytest.mark.parametrize("monitor", [None, "loss"])
def test_with_averages_patience_keeps_those_of_the_best_epoch(monitor):
    w = np.zeros(2)
    opt, seen = averaging(w), []
    history = run(
        w,
        opt,
        averages=True,
        epochs=40,
        patience=3,
        monitor=monitor,
        validation=None if monitor else HELD,
        schedule=lambda t: 0.9 if t < 30 else 1.2,
        callback=lambda record, w: seen.append(opt.averages()),
    )
    assert history.stopped == "patience"
    best = history.records.index(history.best)
    assert w.tolist() == seen[best].tolist() != seen[-1].tolist()
    data = (X, Y) if monitor else HELD
    assert history.best[history.monitor] == pytest.approx(value_and_grad(w, *data)[0], rel=1e-12)


def test_averages_need_an_optimizer_that_keeps_them():
    for opt in (gd.SGD(np.zeros(2), lr=0.1), type("Own", (), {"step": lambda self, grads: None})()):
        with pytest.raises(ValueError, match="averages: expected False with an optimizer that was made without"):
            run(np.zeros(2), opt, averages=True)
    with pytest.raises(TypeError, match="averages: expected True or False"):
        run(np.zeros(2), averages=1)


def test_larger_is_better_where_the_metric_says_so():
    w = np.zeros(2)
    values = iter([1.0, 3.0, 2.0, 2.5])
    metric = metrics.Metric(lambda w, x, y: np.full(len(x), next(values)), larger_is_better=True)
    history = run(w, epochs=4, metrics={"score": metric}, patience=2)
    assert history.monitor == "score"
    assert history.best["epoch"] == 2
    assert history.stopped == "patience"


def test_an_epoch_without_a_number_is_never_the_best():
    w = np.zeros(2)
    values = iter([math.nan, 5.0, math.nan, 4.0, math.nan, math.nan])
    history = run(w, epochs=6, metrics={"m": lambda *_: next(values)}, patience=2)
    assert [history.best["epoch"], history.stopped, len(history)] == [4, "patience", 6]


@pytest.mark.parametrize(
    ("changed", "monitor"),
    [
        ({}, "loss"),
        ({"validation": HELD}, "validation_loss"),
        ({"metrics": {"rmse": metrics.rmse(line)}}, "rmse"),
        ({"metrics": {"rmse": metrics.rmse(line)}, "validation": HELD}, "validation_rmse"),
        ({"metrics": {"rmse": metrics.rmse(line)}, "validation": HELD, "monitor": "loss"}, "loss"),
        ({"monitor": "mine", "callback": lambda record, _: record.update(mine=1.0)}, "mine"),
    ],
)
def test_what_epochs_are_compared_by(changed, monitor):
    history = run(np.zeros(2), epochs=2, **changed)
    assert history.monitor == monitor
    assert history.best["epoch"] in (1, 2)


def test_an_interrupt_at_any_call_leaves_whole_steps_and_the_history():
    for stop in range(1, 14):
        w, by_hand = np.zeros(2), np.zeros(2)
        calls = itertools.count(1)

        def interrupted(w, x, y, calls=calls, stop=stop):
            if next(calls) == stop:
                raise KeyboardInterrupt
            return value_and_grad(w, x, y)

        opt = gd.Adam(w, lr=0.1)
        history = run(w, opt, loss=interrupted)
        assert history.stopped == "interrupted"
        assert opt.t == stop - 1
        assert len(history) == (stop - 1) // 5
        rng, other = np.random.default_rng(7), gd.Adam(by_hand, lr=0.1)
        batches = itertools.chain.from_iterable(gd.minibatches(X, Y, batch_size=5, rng=rng) for _ in range(3))
        for x, y in itertools.islice(batches, stop - 1):
            other.step(value_and_grad(by_hand, x, y)[1])
        np.testing.assert_array_equal(w, by_hand)


# Floating point


@pytest.mark.parametrize("task", ["regression", "binary", "classes"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_underflows_and_is_right_raises_nothing(task, dtype):
    rng = np.random.default_rng(0)
    for scale in (1e-30, 1e3):
        x = (rng.standard_normal((40, 3)) * scale).astype(dtype)
        y = x[:, 0] if task == "regression" else (x[:, 0] > 0).astype(np.int64)
        for activation in ("relu", "tanh", "sigmoid"):
            net = gd.models.MLP((3, 4, 2 if task == "classes" else 1), task=task, activation=activation, rng=rng,
                                dtype=dtype)  # fmt: skip
            with np.errstate(all="raise"):
                history = gd.fit(net.value_and_grad, net.params, (x, y), gd.Adam(net.groups()), epochs=2,
                                 batch_size=20, rng=rng, metrics=net.metrics, running=True, validation=(x, y),
                                 patience=5)  # fmt: skip
            assert len(history) == 2


# Schedules and clipping


def test_a_schedule_is_asked_at_every_step():
    w, by_hand = np.zeros(2), np.zeros(2)
    schedule = gd.schedules.cosine(0.2, steps=30)
    opt, other = gd.Adam(w, lr=1.0), gd.Adam(by_hand, lr=1.0)
    history = run(w, opt, schedule=schedule)
    rng = np.random.default_rng(7)
    for _ in range(6):
        for x, y in gd.minibatches(X, Y, batch_size=5, rng=rng):
            other.lr = schedule(other.t)
            other.step(value_and_grad(by_hand, x, y)[1])
    np.testing.assert_array_equal(w, by_hand)
    assert history.to_dict()["lr"] == [schedule(5 * epoch - 1) for epoch in range(1, 7)]


@every_kind
@given(rates=st.lists(st.floats(0, 2), min_size=1, max_size=8))
@settings(max_examples=20)
def test_a_rate_set_at_every_step_is_that_of_a_new_optimizer(kind, rates):
    w, other = np.ones(3), np.ones(3)
    opt = kind(w, lr=1.0, l2=0.5)
    for rate in rates:
        opt.lr = rate
        opt.step(np.arange(3.0))
        assert opt.lr == rate
    twin = kind(other, lr=rates[0], l2=0.5)
    for rate in rates:
        state = twin.state_dict()
        state["groups"][0]["lr"] = rate
        twin.load_state_dict(state)
        twin.step(np.arange(3.0))
    np.testing.assert_array_equal(w, other)


def test_a_larger_rate_is_checked_in_full():
    w = np.zeros(1, np.float32)
    opt = gd.SGD(w, lr=1.0, weight_decay=0.5)
    opt.lr = 0.5
    with pytest.raises(ValueError, match=r"weight_decay: expected lr \* weight_decay <= 1"):
        opt.lr = 1e20
    for bad, error in ((-0.5, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)):
        with pytest.raises(error, match="lr: expected a finite number >= 0"):
            opt.lr = bad
    assert opt.lr == 0.5
    opt.groups[0]["weight_decay"] = 0.0
    opt.lr = 1e20
    opt.lr = 1.0
    with pytest.raises(ValueError, match=r"weight_decay: expected lr \* weight_decay <= 1"):
        opt.groups[0].update(weight_decay=1e38, lr=1e20)
    assert (opt.lr, opt.groups[0]["weight_decay"]) == (1.0, 0.0)


TREES = st.recursive(
    st.sampled_from([(), (3,), (2, 4)]).flatmap(
        lambda shape: st.sampled_from([np.float32, np.float64]).map(
            lambda dtype: np.random.default_rng(0).standard_normal(shape).astype(dtype)
        )
    )
    | st.none(),
    lambda trees: st.lists(trees, max_size=3) | st.dictionaries(st.sampled_from("abc"), trees, max_size=3),
    max_leaves=6,
)


@given(tree=TREES, limit=st.floats(1e-3, 10))
def test_clipping_by_norm_gives_the_same_direction_and_the_norm(tree, limit):
    from gdcore.trees import flatten

    leaves = [leaf.copy() for leaf in flatten(tree) if leaf is not None]
    clipped, norm = gd.clip_by_global_norm(tree, limit)
    flat = np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in leaves] or [np.zeros(0)])
    np.testing.assert_allclose(norm, np.linalg.norm(flat), rtol=1e-12)
    after = [leaf for leaf in flatten(clipped) if leaf is not None]
    factor = min(1.0, limit / norm) if norm else 1.0
    for one, other, untouched in zip(after, leaves, (x for x in flatten(tree) if x is not None), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other * factor, rtol=1e-6)
        np.testing.assert_array_equal(untouched, other)
    assert gd.clip_by_global_norm(clipped, limit * 1.001)[0] is clipped


def test_the_norm_of_a_long_array_is_worked_out_in_parts():
    long = np.random.default_rng(0).standard_normal(200_001).astype(np.float32)
    _, norm = gd.clip_by_global_norm(long, 1e9)
    np.testing.assert_allclose(norm, np.sqrt(np.sum(long.astype(np.float64) ** 2)), rtol=1e-13)


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e300, 5e-324])
def test_the_norm_is_right_where_the_squares_are_out_of_range(size):
    clipped, norm = gd.clip_by_global_norm([np.array([3.0, 0.0]) * size, np.array(4.0) * size], 1e308)
    np.testing.assert_allclose(norm, 5 * size, rtol=1e-12)
    clipped, _ = gd.clip_by_global_norm([np.array([3.0 * size, 4.0 * size])], size)
    np.testing.assert_allclose(clipped[0], [0.6 * size, 0.8 * size], rtol=1e-12)


@pytest.mark.parametrize("limit", [1e-3, 1e-8, 1e-30])
@pytest.mark.parametrize(("size", "dtype"), [(1e38, np.float32), (1e300, np.float64)])
def test_clipping_to_a_tiny_norm_keeps_the_direction(limit, size, dtype):
    given = np.array([3.0, -2.0, 1e-3]) * dtype(size)
    (clipped,), norm = gd.clip_by_global_norm([given.astype(dtype)], limit)
    assert clipped.dtype == dtype
    np.testing.assert_allclose(clipped, given / norm * limit, rtol=10 * np.finfo(dtype).eps)


def test_underflow_in_clipping_does_not_raise():
    with np.errstate(all="raise"):
        for tiny in (1e-30, 1e-44):
            clipped, _ = gd.clip_by_global_norm([np.array([1e30, tiny], np.float32)], 1e-5)
            np.testing.assert_allclose(clipped[0], [1e-5, 0], atol=1e-11)
        gd.clip_by_value([np.array([1e30, 1e-44], np.float32)], 1e-40)


def test_what_is_clipped_is_floating():
    for bad in (np.array([3, 4]), [3.0], "g"):
        with pytest.raises(TypeError, match="grads: expected arrays of floats or complex numbers, got"):
            gd.clip_by_global_norm({"w": bad} if not isinstance(bad, list) else bad, 1.0)
    tree = [np.float64(3.0), None]
    assert gd.clip_by_global_norm(tree, 1.0)[0] == [1.0, None]
    assert gd.clip_by_value([np.ones(2, np.float32)], 1e300)[0].dtype == np.float32


def test_clipping_in_fit_comes_by_value_and_then_by_norm():
    w, by_hand = np.zeros(2), np.zeros(2)
    run(w, gd.SGD(w, lr=0.1), max_value=1.0, max_norm=1.2)
    rng, other = np.random.default_rng(7), gd.SGD(by_hand, lr=0.1)
    for _ in range(6):
        for x, y in gd.minibatches(X, Y, batch_size=5, rng=rng):
            g = np.clip(value_and_grad(by_hand, x, y)[1], -1, 1)
            other.step(g * min(1.0, 1.2 / np.linalg.norm(g)))
    np.testing.assert_allclose(w, by_hand, rtol=1e-12)


# Divergence


def test_a_gradient_that_is_not_finite_is_divergence_where_it_is_clipped():
    w = np.zeros(2)
    calls = itertools.count(1)

    def broken(w, x, y):
        return 1.0, np.array([1.0, np.nan if next(calls) == 7 else 1.0])

    with pytest.raises(
        gd.DivergenceError, match="grads: expected a finite norm, got nan at step 2 of epoch 2"
    ) as info:
        run(w, gd.SGD(w, lr=0.1), loss=broken, max_norm=1.0)
    assert (info.value.epoch, info.value.step, len(info.value.history)) == (2, 2, 1)
    assert np.isfinite(w).all()


def test_a_loss_that_grows_without_end_is_divergence_long_before_it_is_infinite():
    w = np.zeros(2)
    opt = gd.SGD(w, lr=3.0)
    with pytest.raises(gd.DivergenceError, match=r"loss: expected a number that falls, got .*; try a smaller lr"):
        run(w, opt, epochs=1000)
    assert np.abs(w).max() < 1e30
    assert opt.t < 60


def test_a_start_at_the_optimum_is_no_divergence():
    w = np.array([3.0, -2.0])
    assert len(run(w, gd.Adam(w, lr=0.05), epochs=30)) == 30


def test_a_run_that_diverges_gives_the_best_parameters_back():
    w = np.zeros(2)
    seen = []
    with pytest.raises(gd.DivergenceError):
        run(
            w, gd.SGD(w, 0.1), epochs=400, patience=400, schedule=lambda t: 0.1 if t < 50 else 3.0,
            callback=lambda record, w: seen.append((record["loss"], w.copy())),
        )  # fmt: skip
    np.testing.assert_array_equal(w, min(seen, key=lambda pair: pair[0])[1])


def test_a_divergence_survives_the_way_between_processes():
    import pickle

    error = gd.DivergenceError("loss: too large", 2, 3, gd.History([{"epoch": 1}]))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.epoch, copy.step, len(copy.history)) == ("loss: too large", 2, 3, 1)


# The arrays that are stepped


def tree_loss(p, x, y):
    value, (slope, offset) = value_and_grad([p["w"][0], p["b"][0]], x, y)
    return value, {"w": np.array([slope]), "b": np.array([offset])}


def tree():
    return {"w": np.zeros(1), "b": np.zeros(1)}


REPLACED = r"params\['w'\]: expected the array that the optimizer was made for, got another .* p\['w'\]\[...\] = "


@pytest.mark.parametrize("grouped", [False, True])
def test_an_optimizer_of_other_arrays_is_refused_before_any_step(grouped, tmp_path):
    p, q = tree(), tree()
    opt = gd.SGD([{"params": {"w": q["w"]}}, {"params": {"b": q["b"]}}] if grouped else q, lr=0.1)
    label = r"\['0.w'\]" if grouped else r"\['w'\]"
    with pytest.raises(ValueError, match=rf"params{label}: expected the array that the optimizer was made for"):
        run(p, opt, loss=tree_loss)
    with pytest.raises(ValueError, match=rf"params{label}: expected the array that the optimizer was made for"):
        run(p, opt, loss=tree_loss, checkpoint=tmp_path / "run.npz")
    assert (opt.t, p, q, list(tmp_path.iterdir())) == (0, tree(), tree(), [])


def test_an_array_that_was_replaced_before_the_run_or_in_a_callback_is_an_error():
    p = tree()
    opt = gd.SGD(p, lr=0.1)
    p["w"] = np.ones(1)
    with pytest.raises(ValueError, match=REPLACED):
        run(p, opt, loss=tree_loss)
    p = tree()
    opt = gd.SGD({"w": p["w"], "b": p["b"]}, lr=0.1)  # a tree of its own
    with pytest.raises(ValueError, match=REPLACED):
        run(p, opt, loss=tree_loss, callback=lambda _, p: p.update(w=np.clip(p["w"], -1, 1)))
    assert opt.t == 5


def test_an_array_that_is_replaced_within_a_run_is_an_error_at_the_next_step():
    p = tree()
    opt = gd.SGD(p, lr=0.1)

    def normalising(p, x, y):
        if opt.t == 7:
            p["w"] = p["w"] / 2
        return tree_loss(p, x, y)

    with pytest.raises(ValueError, match=REPLACED):
        run(p, opt, loss=normalising)
    assert opt.t == 7


def test_frozen_arrays_views_and_values_written_in_place_are_in_order():
    p = tree() | {"frozen": np.ones(3)}
    opt = gd.SGD({"w": p["w"], "b": p["b"]}, lr=0.1)
    run(p, opt, loss=tree_loss, callback=lambda _, p: p["w"].__setitem__(..., np.clip(p["w"], -1, 1)))
    assert (opt.t, -1 <= p["w"] <= 1) == (30, True)
    # One vector is stepped, of which the model has views; and the other way round.
    flat, both = np.zeros(2), np.zeros(2)
    run(
        {"w": flat[:1], "b": flat[1:]},
        gd.SGD(flat, lr=0.1),
        loss=lambda p, *a: value_and_grad([*p["w"], *p["b"]], *a),
    )

    def halves(w, *batch):
        value, grads = value_and_grad(w, *batch)
        return value, [grads[:1], grads[1:]]

    run(both, gd.SGD([both[:1], both[1:]], lr=0.1), loss=halves)
    assert flat.tolist() == both.tolist() != [0, 0]


# What is refused


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"metrics": [1]}, TypeError, "metrics: expected a dict of callables by name, got list"),
        ({"metrics": {"a": 1}}, TypeError, r"metrics\['a'\]: expected a callable, got int"),
        ({"metrics": {1: len}}, TypeError, "metrics: expected names of type str, got 1 of type int"),
        ({"metrics": {"loss": len}}, ValueError, "metrics: expected names that the record does not have already"),
        ({"metrics": {"validation_x": len}}, ValueError, "got 'validation_x'"),
        ({"settings": 1}, TypeError, "settings: expected a dict or None, got int"),
        ({"checkpoint": "run.npz", "settings": {"a": {1}}}, TypeError, "settings"),
        ({"running": 1}, TypeError, "running: expected True or False, got 1 of type int"),
        ({"validation": X}, TypeError, "validation: expected a tuple of arrays, got ndarray"),
        ({"validation": (X,)}, ValueError, "validation: expected 2 arrays, as in data, got 1"),
        ({"validation": (X, Y[:3])}, ValueError, r"validation\[1\]: expected 23 samples"),
        ({"patience": 0}, ValueError, "patience: expected an int >= 1, got 0"),
        ({"patience": 1.5}, TypeError, "patience: expected an int >= 1, got 1.5 of type float"),
        ({"monitor": "rmse"}, ValueError, "monitor: expected one of 'loss', got 'rmse'"),
        ({"monitor": 1}, TypeError, "monitor: expected a key of the record, got 1 of type int"),
        ({"schedule": 0.1}, TypeError, "schedule: expected a callable or None, got float"),
        ({"max_norm": 0}, ValueError, "max_norm: expected a number > 0, got 0"),
        ({"max_norm": "1"}, TypeError, "max_norm: expected a number > 0, got '1' of type str"),
        ({"max_value": -1.0}, ValueError, "max_value: expected a number > 0, got -1.0"),
        ({"divergence": math.nan}, ValueError, "divergence: expected a number > 0, got nan"),
        ({"progress": 1}, TypeError, "progress: expected True, False or None, got 1 of type int"),
        ({"resume": True}, ValueError, "checkpoint: expected a path to resume from, got None"),
        ({"resume": 1}, TypeError, "resume: expected True or False, got 1 of type int"),
        ({"checkpoint": "run.txt"}, ValueError, r"checkpoint: expected a file named \*.npz or \*.safetensors"),
        ({"checkpoint": "no/run.npz"}, FileNotFoundError, "expected a directory that exists"),
        ({"checkpoint": 3}, TypeError, "checkpoint: expected a path or None, got 3 of type int"),
        (
            {"checkpoint": "run.npz", "checkpoint_every": -1},
            ValueError,
            "checkpoint_every: expected .* >= 0, got -1",
        ),
        ({"checkpoint": "run.npz", "checkpoint_every": "1"}, TypeError, "checkpoint_every: expected .* got '1'"),
    ],
)
def test_fit_refuses_before_any_step(tmp_path, monkeypatch, changed, error, said):
    monkeypatch.chdir(tmp_path)
    w = np.zeros(2)
    opt = gd.SGD(w, lr=0.1)
    with pytest.raises(error, match=said):
        run(w, opt, **changed)
    assert opt.t == 0
    assert w.tolist() == [0, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_monitor_that_no_callback_adds_is_refused_after_the_first_epoch():
    with pytest.raises(
        ValueError, match=r"monitor: expected a key of the record, one of 'epoch', 'loss', .* got 'x'"
    ):
        run(np.zeros(2), monitor="x", callback=lambda record, _: None)


def test_what_an_optimizer_of_another_make_cannot_do_is_refused():
    class Other:
        def step(self, grads):
            pass

    with pytest.raises(TypeError, match="schedule: expected None with an optimizer without 'lr', such as Other"):
        run(np.zeros(2), Other(), schedule=lambda t: 0.1)
    with pytest.raises(TypeError, match="checkpoint: expected None with an optimizer without 't', such as Other"):
        run(np.zeros(2), Other(), checkpoint="run.npz")
    with pytest.raises(TypeError, match="params: expected NumPy arrays, as patience puts them back, got str"):
        gd.fit(value_and_grad, ["w"], (X, Y), Other(), epochs=1, batch_size=5, rng=None, shuffle=False, patience=1)


def test_a_metric_that_tells_more_than_a_number_is_named():
    with pytest.raises(TypeError, match=r"metrics\['m'\]: expected to return one real number, got float64 \(23,\)"):
        run(np.zeros(2), metrics={"m": lambda w, x, y: x})


def test_what_no_file_can_hold_is_refused_after_the_first_epoch(tmp_path):
    w = np.zeros(2)
    opt = gd.SGD(w, lr=0.1)
    with pytest.raises(TypeError, match=r"record\['seen'\]"):
        run(w, opt, checkpoint=tmp_path / "run.npz", callback=lambda record, _: record.update(seen={1}))
    assert opt.t == 5


def test_a_schedule_that_reaches_a_decay_past_one_is_named_with_its_step():
    w = np.zeros(2)
    opt = gd.AdamW(w, lr=0.1, weight_decay=2.0)
    said = r"^schedule\(7\) = 0.75: weight_decay: expected lr \* weight_decay <= 1, .* got 0.75 \* 2.0 = 1.5$"
    with pytest.raises(ValueError, match=said):
        run(w, opt, schedule=lambda t: 0.1 if t < 7 else 0.75)
    assert opt.t == 7
    assert opt.lr == 0.1


def test_groups_of_different_rates_take_no_schedule():
    a, b = np.zeros(1), np.zeros(1)
    opt = gd.SGD([{"params": a}, {"params": b, "lr": 0.5}], lr=0.1)
    with pytest.raises(ValueError, match="lr: expected groups of one learning rate"):
        gd.fit(lambda *_: (0.0, [a, b]), [a, b], (X,), opt, epochs=1, batch_size=5, rng=None, shuffle=False,
               schedule=lambda t: 0.1)  # fmt: skip
    assert opt.t == 0


# Progress


def test_no_bar_is_drawn_where_nobody_looks(capsys):
    run(np.zeros(2))
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_is_asked_for_counts_every_step(capsys):
    run(np.zeros(2), progress=True, epochs=2)
    assert "/10" in capsys.readouterr().err


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install 'gdcore\[cli\]'"):
        run(np.zeros(2), progress=True)
