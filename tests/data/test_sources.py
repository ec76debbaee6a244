"""Sources of batches: a run on the batches of somebody else is the run on the same samples here."""

import threading
import time

import numpy as np
import pytest
from scipy import sparse

import gdcore as gd

from .line import X, Y, outputs, trained, value_and_grad


def of_epoch(epoch):
    """The batches of an epoch, the same whenever it is asked for."""
    return gd.minibatches(X, Y, batch_size=10, rng=np.random.default_rng([4, epoch]))


def by_hand(epochs=3, batches=of_epoch):
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    optimizer = gd.Adam(params, lr=0.05)
    for epoch in range(1, epochs + 1):
        for batch in batches(epoch):
            optimizer.step(value_and_grad(params, *batch)[1])
    return np.append(params["w"], params["b"])


class Loader:
    """What can be gone through again and again, and says how many batches it has."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


BATCHES = [*of_epoch(1)]
SOURCES = {
    "a list": BATCHES,
    "a list of lists": [list(batch) for batch in BATCHES],
    "lists of numbers": [tuple(part.tolist() for part in batch) for batch in BATCHES],
    "a loader": Loader(BATCHES),
    "a function": lambda epoch: iter(BATCHES),
    "a generator function": lambda: (batch for batch in BATCHES),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_source_is_trained_on_batch_by_batch(kind, prefetch):
    got, history = trained(SOURCES[kind], batch_size=None, prefetch=prefetch)
    np.testing.assert_array_equal(got, by_hand(batches=lambda _: BATCHES))
    assert len(history) == 3


def test_a_function_is_asked_for_each_epoch_from_1():
    asked = []
    got, _ = trained(lambda epoch: asked.append(epoch) or of_epoch(epoch), batch_size=None)
    assert asked == [1, 2, 3]
    np.testing.assert_array_equal(got, by_hand())


def test_the_loss_of_a_source_is_the_mean_over_its_samples():
    _, history = trained((X, Y), epochs=2, shuffle=False)
    in_order = [*gd.minibatches(X, Y, batch_size=10, rng=None, shuffle=False)]
    _, told = trained(in_order, epochs=2, batch_size=None)
    assert told["loss"] == history["loss"]


def test_a_batch_may_be_one_array_or_a_dict():
    def value_and_grad_of(w, batch):
        x = batch["x"] if isinstance(batch, dict) else batch
        assert type(x) is np.ndarray
        return float(np.mean((w - x) ** 2)), np.array([2 * np.mean(w - x)])

    for batches in ([{"x": [1.0, 3.0]}, {"x": [5.0]}], Loader([np.array([1.0, 3.0]), np.array([5.0])])):
        w = np.zeros(1)
        data = batches if isinstance(batches, Loader) else Loader(batches)
        history = gd.fit(value_and_grad_of, w, data, gd.SGD(w, lr=0.0), epochs=1)
        assert history["loss"] == [pytest.approx((1 + 9 + 25) / 3)]


@pytest.mark.parametrize("cut", range(0, 33, 4))
def test_a_function_of_the_epoch_is_resumed_bit_for_bit(tmp_path, cut):
    calls = iter(range(100))

    def failing(*args):
        if next(calls) == cut:
            raise KeyError
        return value_and_grad(*args)

    def run(function):
        params = {"w": np.zeros(3), "b": np.array(0.0)}
        arguments = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 0, "resume": True, "prefetch": 1}
        history = gd.fit(function, params, of_epoch, gd.Adam(params, lr=0.05), epochs=3, **arguments)
        return np.append(params["w"], params["b"]), history

    with pytest.raises(KeyError):
        run(failing)
    got, told = run(value_and_grad)
    np.testing.assert_array_equal(got, by_hand())
    assert told["loss"] == trained(of_epoch, batch_size=None)[1]["loss"]


@pytest.mark.parametrize("kind", ["a list", "a loader", "a generator function"])
def test_what_is_no_function_of_the_epoch_is_not_resumed_and_it_is_said_why(kind, tmp_path):
    said = "checkpoint: expected None with .* no function of the epoch, .* in the middle of .*data=lambda epoch"
    with pytest.raises(TypeError, match=said):
        trained(SOURCES[kind], batch_size=None, checkpoint=tmp_path / "run.npz")


def test_a_source_that_has_shrunk_is_not_gone_on_with(tmp_path):
    calls = iter(range(100))

    def interrupted(*args):
        if next(calls) == 8:
            raise KeyboardInterrupt
        return value_and_grad(*args)

    params = {"w": np.zeros(3), "b": np.array(0.0)}
    arguments = {"checkpoint": tmp_path / "run.npz", "resume": True, "epochs": 1}
    gd.fit(interrupted, params, of_epoch, gd.Adam(params, lr=0.05), **arguments)
    with pytest.raises(ValueError, match="data: expected 8 batches or more, got 3 in epoch 1"):
        gd.fit(value_and_grad, params, lambda _: BATCHES[:3], gd.Adam(params, lr=0.05), **arguments)


@pytest.mark.parametrize("kind", SOURCES)
def test_validation_may_be_a_source_too(kind):
    metrics = {"rmse": gd.metrics.rmse(outputs), "r2": gd.metrics.r2(outputs)}
    got, told = trained((X, Y), validation=SOURCES[kind], metrics=metrics, patience=2)
    expected, history = trained((X, Y), validation=(X, Y), metrics=metrics, patience=2)
    np.testing.assert_array_equal(got, expected)
    for key in ("validation_loss", "validation_rmse", "validation_r2"):
        np.testing.assert_allclose(told[key], history[key], rtol=1e-12)


def test_the_metrics_of_a_source_weigh_its_samples():
    def weighed(params, x, y, w):
        r = outputs(params, x) - y
        return np.mean(w * r**2), {"w": 2 * (x.T @ (w * r)) / len(r), "b": np.array(2 * np.mean(w * r))}

    weights = np.random.default_rng(6).uniform(0.5, 1.5, len(Y))
    data = (X, Y, weights / weights.mean())
    batches = [*gd.minibatches(*data, batch_size=10, rng=None, shuffle=False)]
    metrics = {"rmse": gd.metrics.rmse(outputs), "r2": gd.metrics.r2(outputs)}
    params = {"w": np.ones(3), "b": np.array(0.0)}
    told = [
        gd.fit(weighed, params, data, gd.SGD(params, lr=0.0), epochs=1, validation=watched, metrics=metrics)[0]
        for watched in (data, batches)
    ]
    for key in ("validation_loss", "validation_rmse", "validation_r2"):
        assert told[0][key] == pytest.approx(told[1][key], rel=1e-12)


def test_of_a_source_metrics_are_told_as_met_or_of_the_validation():
    metrics = {"rmse": gd.metrics.rmse(outputs)}
    _, history = trained(BATCHES, batch_size=None, metrics=metrics, running=True, validation=(X, Y))
    assert history[0].keys() == {
        "epoch", "loss", "running_rmse", "validation_loss", "validation_rmse", "seconds"
    }  # fmt: skip
    assert history["running_rmse"] == pytest.approx(np.sqrt(history["loss"]))
    assert history.monitor == "validation_rmse"
    with pytest.raises(ValueError, match="metrics: expected validation, or running=True, with a source of batches"):
        trained(BATCHES, batch_size=None, metrics=metrics)
    with pytest.raises(ValueError, match="patience: expected validation with a source of batches"):
        trained(BATCHES, batch_size=None, patience=2)
    with pytest.raises(TypeError, match=r"metrics\['f'\]: expected one of gd.metrics with a source of batches as"):
        trained((X, Y), validation=BATCHES, metrics={"f": lambda *_: 1.0})


@pytest.mark.parametrize("kind", [tuple, list])
def test_an_item_of_several_arrays_stays_several_and_rows_become_one(kind):
    def nested(params, parts, y):
        return value_and_grad(params, np.concatenate(parts, axis=1), y)

    expected, *_ = trained(lambda epoch: BATCHES, batch_size=None)
    rows = [(kind(x), kind(y)) for x, y in BATCHES]
    got, _ = trained(lambda epoch: rows, batch_size=None)
    np.testing.assert_array_equal(got, expected)
    parts = [((x[:, :1], x[:, 1:]), y) for x, y in BATCHES]
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    arguments = {"epochs": 3, "accumulate": 2, "validation": lambda epoch: parts}
    told = gd.fit(nested, params, lambda epoch: parts, gd.Adam(params, lr=0.05), **arguments)
    whole = trained(lambda epoch: BATCHES, batch_size=None, accumulate=2, validation=BATCHES)
    np.testing.assert_array_equal(np.append(params["w"], params["b"]), whole[0])
    assert told["validation_loss"] == whole[1]["validation_loss"]


ONCE = iter(BATCHES)


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (
            iter(BATCHES),
            TypeError,
            r".* got list_iterator, which is used up after one epoch; .*data=lambda epoch: \.\.\.",
        ),
        ((batch for batch in BATCHES), TypeError, ".* got generator, which is used up after one epoch"),
        (X, TypeError, r"expected a tuple of arrays, got ndarray; one alone is \(data,\)"),
        ({"x": X}, TypeError, "expected a tuple of arrays, got dict; a source of batches is iterable"),
        (3, TypeError, "expected a tuple of arrays, got int; a source of batches is iterable"),
        (lambda epoch: 3, TypeError, "expected a function of the epoch to return an iterator, got int"),
        (lambda epoch: (X, Y), TypeError, ".* to return an iterator, got tuple; a list of it is one of one batch"),
        (lambda epoch: X, TypeError, ".* to return an iterator, got ndarray; a list of it is one of one batch"),
        (lambda epoch: [], ValueError, "expected 1 batches or more, got 0 in epoch 1"),
        (
            lambda epoch: ONCE,
            ValueError,
            "expected 1 batches or more, got 0 in epoch 2; what gives its batches once is made anew in each: data=",
        ),
        (
            lambda epoch: [()],
            ValueError,
            "expected batches of one sample or more, got tuple .* as batch 1 of epoch 1",
        ),
        (Loader([(X[:0], Y[:0])]), ValueError, "expected batches of one sample or more"),
        (Loader([(X, ["a", None])]), TypeError, "in a batch: expected numbers, got list of objects"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_what_yields_no_batches_is_refused_with_what_is_missing(data, error, said):
    with pytest.raises(error, match=f"data: {said}"):
        trained(data, batch_size=None)


def test_a_source_has_its_own_batch_size_and_no_part_of_it_is_held_out():
    with pytest.raises(
        TypeError, match="batch_size: expected None with a source of batches, which has its own, got 9"
    ):
        trained(BATCHES, batch_size=9)
    with pytest.raises(TypeError, match=r"validation: expected samples or a source of batches, .* got 0.2"):
        trained(BATCHES, batch_size=None, validation=0.2)


@pytest.mark.parametrize("data", [BATCHES, (sparse.csr_array(X), Y)], ids=["a source", "sparse rows"])
def test_ranks_share_arrays_only(data):
    size = None if isinstance(data, list) else 10
    with pytest.raises(TypeError, match="comm: expected None with a source of batches or a sparse matrix"):
        trained(data, batch_size=size, comm=object())
    with pytest.raises(ValueError, match="accumulate: expected 1 with comm, got 2"):
        trained((X, Y), accumulate=2, comm=object())


# reading ahead


@pytest.mark.parametrize("depth", [1, 4])
def test_so_many_batches_are_read_ahead_and_no_more(depth):
    read = []

    def batches(epoch):
        for index in range(20):
            read.append(index)
            yield X[:4], Y[:4]

    def watching(params, x, y):
        deadline = time.monotonic() + 5
        while len(read) < min(watching.done + 1 + depth, 20) and time.monotonic() < deadline:
            time.sleep(0)
        assert len(read) == min(watching.done + 1 + depth, 20)
        watching.done += 1
        return value_and_grad(params, x, y)

    watching.done = 0
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    gd.fit(watching, params, batches, gd.SGD(params, lr=0.01), epochs=1, prefetch=depth)
    assert watching.done == 20


def test_what_the_reader_raises_is_raised_and_no_thread_is_left():
    before = threading.active_count()

    def failing(epoch):
        yield X, Y
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        trained(failing, batch_size=None, prefetch=2)
    w = np.zeros(1)
    with pytest.raises(ZeroDivisionError):
        gd.fit(lambda *_: 1 / 0, w, (X, Y), gd.SGD(w, lr=1.0), epochs=1, prefetch=2)
    for (batch,) in gd.minibatches(X, batch_size=5, rng=np.random.default_rng(0), prefetch=2):
        assert len(batch) == 5
        break
    del batch
    assert threading.active_count() == before


def test_minibatches_read_ahead_are_the_same():
    def batches(prefetch):
        return gd.minibatches(X, Y, batch_size=10, rng=np.random.default_rng(3), prefetch=prefetch)

    for got, expected in zip(batches(2), batches(0), strict=True):
        np.testing.assert_array_equal(got[0], expected[0])
    with pytest.raises(ValueError, match="prefetch: expected an int >= 0, got -1"):
        batches(-1)
