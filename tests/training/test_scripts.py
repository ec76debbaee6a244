"""What scripts ask of fit: full batches, several callbacks, lines, rates by group and by plateau, accumulation."""

import itertools

import numpy as np
import pytest

import gdcore as gd

X = np.random.default_rng(0).standard_normal((46, 2))
Y = X @ [1.0, -2.0] + 0.3


def value_and_grad(params, x, y):
    w, b = params
    r = x @ w + b - y
    return np.mean(r**2), [2 * (x.T @ r) / len(r), np.array(2 * r.mean())]


def start():
    return [np.zeros(2), np.array(0.0)]


def trained(function=value_and_grad, optimizer=gd.Adam, data=(X, Y), groups=False, lr=0.05, **changed):
    params = start()
    opt = optimizer([{"params": part} for part in params] if groups else params, lr=lr)
    arguments = {"epochs": 3, "batch_size": 8, "rng": np.random.default_rng(3)} | changed
    history = gd.fit(function, params, data, opt, **arguments)
    return np.append(*params), history, opt


def test_a_callback_may_end_a_run_as_one_of_scipy_does():
    heard = []

    def ending(record, params):
        raise StopIteration

    _, history, _ = trained(callback=[ending, lambda record, params: heard.append(record["epoch"])])
    assert (len(history), history.stopped, heard) == (1, "callback", [1])


def test_a_class_in_the_place_of_an_optimizer_is_refused_with_the_call():
    with pytest.raises(TypeError, match=r"optimizer: expected one of your parameters, Adam\(params, lr=...\), got"):
        gd.fit(value_and_grad, start(), (X, Y), gd.Adam, epochs=1)
    with pytest.raises(TypeError, match=r"got generator; list\(...\) makes a tree of it"):
        gd.Adam((part for part in start()), lr=0.1)


def test_groups_of_several_rates_have_schedules_and_plateaus():
    def run(**changed):
        params = start()
        opt = gd.SGD([{"params": params[0]}, {"params": params[1], "lr": 0.01}], lr=0.05)
        given = {name: make(opt) for name, make in changed.items()}
        history = gd.fit(value_and_grad, params, (X, Y), opt, epochs=2, **given)
        return [(record["lr_0"], record["lr_1"]) for record in history], [group["lr"] for group in opt.groups]

    told, rates = run(schedule=lambda opt: {0: lambda t: 0.1 / (1 + t)})
    assert (told, rates) == ([(0.1, 0.01), (0.05, 0.01)], [0.05, 0.01])
    told, rates = run(callback=lambda opt: gd.ReduceOnPlateau(opt, factor=0.5, patience=0, threshold=1.0))
    assert told == [(0.05, 0.01)] * 2
    assert rates == [0.025, 0.005]


def test_without_batch_size_a_step_takes_all_samples_in_order():
    got, history, opt = trained(batch_size=None, rng=None, epochs=7)
    params = start()
    other = gd.Adam(params, lr=0.05)
    losses = []
    for _ in range(7):
        loss, grads = value_and_grad(params, X, Y)
        other.step(grads)
        losses.append(loss)
    np.testing.assert_array_equal(got, np.append(*params))
    assert history["loss"] == pytest.approx(losses, rel=1e-15)
    assert opt.t == 7


def test_a_history_is_a_list_of_records_and_a_dict_of_columns():
    _, history, _ = trained()
    assert history[-1] is history.records[2]
    assert history[:2] == history.records[:2]
    assert [*history] == history.records
    assert history["loss"] == [record["loss"] for record in history]
    with pytest.raises(KeyError, match="rmse: expected a key of the records, one of epoch, loss, seconds"):
        history["rmse"]
    with pytest.raises(IndexError):
        history[3]


def test_all_callbacks_are_called_in_order_and_each_may_stop_the_run():
    said = []
    callbacks = [
        lambda record, _: said.append(("a", record["epoch"])) or record["epoch"] == 2,
        lambda record, _: said.append(("b", record["epoch"])),
    ]
    _, history, _ = trained(callback=callbacks)
    assert said == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert history.stopped == "callback"
    with pytest.raises(TypeError, match=r"callback\[1\]: expected a callable, got int"):
        trained(callback=[print, 3])


def test_verbose_prints_a_line_an_epoch(capsys):
    trained(verbose=1, metrics={"w": lambda p, *_: p[0][0]}, callback=lambda record, _: record.update(note="new"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(f"{name} " in line for line in lines for name in ("loss", "w", "note new,"))
    trained(verbose=False)
    assert not capsys.readouterr().out
    with pytest.raises(TypeError, match="verbose: expected an int >= 0, got 'yes'"):
        trained(verbose="yes")


# accumulation


@pytest.mark.parametrize("kind", [gd.SGD, gd.Adam])
@pytest.mark.parametrize("limits", [{}, {"max_norm": 0.5}, {"max_value": 0.1}], ids=str)
def test_four_batches_in_a_step_are_one_of_four_times_the_size(kind, limits):
    got, history, opt = trained(optimizer=kind, batch_size=4, accumulate=4, **limits)
    expected, whole, other = trained(optimizer=kind, batch_size=16, **limits)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(history["loss"], whole["loss"], rtol=1e-12)
    assert opt.t == other.t == 3 * 3


def test_gradients_that_are_written_to_again_are_summed_all_the_same():
    buffers = [np.zeros(2), np.zeros(())]

    def reusing(params, x, y):
        value, grads = value_and_grad(params, x, y)
        for buffer, grad in zip(buffers, grads, strict=True):
            buffer[...] = grad
        return value, buffers

    np.testing.assert_array_equal(trained(reusing, accumulate=3)[0], trained(accumulate=3)[0])


def test_a_parameter_without_a_gradient_in_some_batches_is_stepped_by_the_others():
    calls = itertools.count()

    def sometimes(params, x, y):
        value, (w, b) = value_and_grad(params, x, y)
        return value, [w, None if next(calls) % 2 == 0 else b]

    params, others = start(), start()
    arguments = {"epochs": 1, "batch_size": 23}
    gd.fit(sometimes, params, (X, Y), gd.SGD(params, lr=0.1), accumulate=2, rng=None, shuffle=False, **arguments)
    _, (_, b) = value_and_grad(others, X[23:], Y[23:])
    assert params[1] == -0.1 * (b / 2)


class Plain:
    """An optimizer of somebody else."""

    def __init__(self, params, lr):
        self.params, self.lr = params, lr

    def step(self, grads):
        for param, grad in zip(self.params, grads, strict=True):
            param[...] -= self.lr * grad


def test_another_optimizer_gets_the_mean_too():
    got, *_ = trained(optimizer=Plain, batch_size=4, accumulate=4, max_norm=0.5)
    np.testing.assert_allclose(got, trained(optimizer=gd.SGD, batch_size=16, max_norm=0.5)[0], rtol=1e-12)


def test_running_metrics_of_accumulated_batches_are_over_all_samples():
    metrics = {"rmse": gd.metrics.rmse(lambda p, x: x @ p[0] + p[1])}
    _, history, _ = trained(accumulate=3, metrics=metrics, running=True)
    np.testing.assert_allclose(history["running_rmse"], np.sqrt(history["loss"]), rtol=1e-12)


@pytest.mark.parametrize("cut", range(1, 18, 3))
def test_accumulation_is_resumed_bit_for_bit(tmp_path, cut):
    calls = itertools.count()

    def failing(*args):
        if next(calls) == cut:
            raise ZeroDivisionError
        return value_and_grad(*args)

    run = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 0, "resume": True, "accumulate": 4}
    with pytest.raises(ZeroDivisionError):
        trained(failing, **run)
    got, history, opt = trained(**run)
    expected, whole, other = trained(accumulate=4)
    np.testing.assert_array_equal(got, expected)
    assert (history["loss"], opt.t) == (whole["loss"], other.t)
    with pytest.raises(ValueError, match="checkpoint: expected a run with accumulate 2, got one with 4"):
        trained(**run | {"accumulate": 2})


def test_only_floats_are_accumulated():
    with pytest.raises(TypeError, match=r"accumulate: expected gradients in arrays of floats, got int64 \(2,\)"):
        trained(lambda params, x, y: (0.0, [np.ones(2, int), None]), accumulate=2)
    with pytest.raises(ValueError, match="accumulate: expected an int >= 1, got 0"):
        trained(accumulate=0)


# rates


SCHEDULES = (gd.schedules.cosine(0.1, 18), gd.schedules.constant(0.02))


@pytest.mark.parametrize("given", [[SCHEDULES[0], None], {0: SCHEDULES[0]}, list(SCHEDULES), SCHEDULES], ids=str)
def test_each_group_has_the_rate_of_its_schedule(given, tmp_path):
    def grouped(params, x, y):
        return value_and_grad(params, x, y)

    got, history, _ = trained(grouped, groups=True, schedule=given)
    params = start()
    opts = [gd.Adam(part, lr=0.05) for part in params]
    schedules = [given.get(i) for i in range(2)] if isinstance(given, dict) else given
    rng = np.random.default_rng(3)
    for _ in range(3):
        for x, y in gd.minibatches(X, Y, batch_size=8, rng=rng):
            _, grads = value_and_grad(params, x, y)
            for opt, schedule, grad in zip(opts, schedules, grads, strict=True):
                if schedule is not None:
                    opt.lr = schedule(opt.t)
                opt.step(grad)
    np.testing.assert_array_equal(got, np.append(*params))
    assert history[-1]["lr_0"] == opts[0].lr
    assert history[-1]["lr_1"] == opts[1].lr
    path = tmp_path / "run.npz"
    trained(groups=True, schedule=given, checkpoint=path, epochs=2)
    again, *_ = trained(groups=True, schedule=given, checkpoint=path, resume=True)
    np.testing.assert_array_equal(again, got)
    with pytest.raises(
        ValueError, match=r"checkpoint: expected a run with schedule .* and other rates in its 18 steps"
    ):
        trained(groups=True, schedule=[gd.schedules.constant(0.5), None], checkpoint=path, resume=True, epochs=2)


def test_a_rate_that_a_schedule_sets_may_begin_otherwise_and_no_other(tmp_path):
    path = tmp_path / "run.npz"
    trained(groups=True, schedule=list(SCHEDULES), checkpoint=path, epochs=1)
    got, *_ = trained(groups=True, schedule=list(SCHEDULES), checkpoint=path, resume=True, lr=0.5)
    np.testing.assert_array_equal(got, trained(groups=True, schedule=list(SCHEDULES))[0])
    path = tmp_path / "other.npz"
    trained(groups=True, schedule=[SCHEDULES[0], None], checkpoint=path, epochs=1)
    with pytest.raises(ValueError, match="checkpoint: expected a run with hyperparameters"):
        trained(groups=True, schedule=[SCHEDULES[0], None], checkpoint=path, resume=True, lr=0.5)


@pytest.mark.parametrize(
    ("schedule", "error", "said"),
    [
        ([SCHEDULES[0]], ValueError, "schedule: expected one a group, 2, got 1"),
        ([SCHEDULES[0], 3], TypeError, r"schedule\[1\]: expected a callable or None, got int"),
        ({2: SCHEDULES[0]}, ValueError, r"schedule: expected the indices of groups, below 2, as keys, got \[2\]"),
        (
            [SCHEDULES[0], lambda t: -1.0],
            ValueError,
            r"schedule\[1\]\(0\) = -1.0: lr: expected a finite number >= 0",
        ),
    ],
    ids=["one", "no schedule", "no such group", "a negative rate"],
)
def test_schedules_that_fit_no_groups_are_refused(schedule, error, said):
    with pytest.raises(error, match=said):
        trained(groups=True, schedule=schedule)
    with pytest.raises(TypeError, match="schedule: expected one with an optimizer without groups, such as Plain"):
        trained(optimizer=Plain, schedule=[SCHEDULES[0]])


def test_the_rate_falls_after_so_many_epochs_that_are_no_better():
    opt = gd.SGD(np.zeros(1), lr=1.0)
    reduce = gd.ReduceOnPlateau(opt, factor=0.5, patience=1, threshold=0.1, min_lr=0.2)
    rates = []
    for loss in (10.0, 9.5, 9.2, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0):
        record = {"loss": loss}
        reduce(record, None)
        rates.append((record["lr"], opt.lr))
    after = [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]
    assert rates == [*zip([1.0, *after], after, strict=False)]


def test_a_run_with_a_plateau_is_resumed_bit_for_bit(tmp_path):
    noisy = Y + np.random.default_rng(1).standard_normal(len(Y))

    def run(**changed):
        params = start()
        opt = gd.SGD(params, lr=0.4)
        reduce = gd.ReduceOnPlateau(opt, factor=0.3, patience=1, threshold=0.3)
        arguments = {"epochs": 9, "batch_size": 8, "rng": np.random.default_rng(3)} | changed
        history = gd.fit(value_and_grad, params, (X, noisy), opt, callback=reduce, **arguments)
        return np.append(*params), history["lr"]

    expected, rates = run()
    assert len(set(rates)) > 2
    for epochs in range(1, 9):
        path = tmp_path / f"{epochs}.npz"
        run(epochs=epochs, checkpoint=path)
        got, told = run(checkpoint=path, resume=True)
        np.testing.assert_array_equal(got, expected)
        assert told == rates


def test_a_plateau_is_refused_beside_a_schedule_and_without_its_value():
    opt = gd.SGD(np.zeros(1), lr=1.0)
    for changed, error, said in (
        ({"factor": 1.0}, ValueError, "factor: expected a number > 0 and < 1"),
        ({"patience": -1}, ValueError, "patience: expected an int >= 0"),
        ({"monitor": 3}, TypeError, "monitor: expected a key of the record, got 3"),
        ({"larger_is_better": 1}, TypeError, "larger_is_better: expected True or False"),
    ):
        with pytest.raises(error, match=said):
            gd.ReduceOnPlateau(opt, **changed)
    with pytest.raises(TypeError, match="optimizer: expected one of gdcore, got Plain"):
        gd.ReduceOnPlateau(Plain([], 1.0))
    with pytest.raises(ValueError, match="schedule: expected None with ReduceOnPlateau"):
        trained(schedule=SCHEDULES[0], callback=[gd.ReduceOnPlateau(opt)])
    with pytest.raises(
        ValueError, match=r"monitor: expected a number in the record, one of 'epoch', .* got 'accuracy'"
    ):
        trained(callback=gd.ReduceOnPlateau(opt, monitor="accuracy"))
