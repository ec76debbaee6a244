"""minibatches and fit: every sample once, and nothing but the loop one would write by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdcore as gd

LENGTHS = st.integers(1, 70)
SIZES = st.integers(1, 80)


def line_loss(w, x, y):
    r = w[0] * x + w[1] - y
    return np.mean(r**2), np.array([2 * np.mean(r * x), 2 * np.mean(r)])


@pytest.fixture
def line():
    x = np.linspace(-1, 1, 23)
    return x, 3 * x - 2


def run(line, w, **changed):
    arguments = {"epochs": 3, "batch_size": 5, "rng": np.random.default_rng(7)} | changed
    return gd.fit(line_loss, w, line, gd.Adam(w, lr=0.1), **arguments)


# minibatches


@given(n=LENGTHS, size=SIZES, seed=st.integers(0, 9), shuffle=st.booleans())
def test_minibatches_visit_every_sample_once(n, size, seed, shuffle):
    x = np.arange(n)
    rng = np.random.default_rng(seed)
    batches = list(gd.minibatches(x, batch_size=size, rng=rng, shuffle=shuffle))
    assert sorted(np.concatenate([batch for (batch,) in batches]).tolist()) == x.tolist()
    assert [len(batch) for (batch,) in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1][0]) <= size


@given(n=LENGTHS, size=SIZES, shuffle=st.booleans())
def test_minibatches_keep_samples_together(n, size, shuffle):
    x = np.arange(2 * n).reshape(n, 2)
    y = x[:, 0].astype(np.float32)
    for a, b in gd.minibatches(x, y, batch_size=size, rng=np.random.default_rng(1), shuffle=shuffle):
        assert a.shape == (len(b), 2)
        assert b.dtype == np.float32
        np.testing.assert_array_equal(a, np.stack([b, b + 1], axis=1))


def test_unshuffled_minibatches_are_views_in_order():
    x = np.arange(7.0)
    batches = [batch for (batch,) in gd.minibatches(x, batch_size=3, rng=None, shuffle=False)]
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(np.shares_memory(batch, x) for batch in batches)


def test_shuffled_minibatches_are_copies():
    x = np.arange(7.0)
    for (batch,) in gd.minibatches(x, batch_size=3, rng=np.random.default_rng(0)):
        batch[:] = -1
    assert x.tolist() == list(range(7))


def test_minibatches_follow_the_generator():
    x = np.arange(50)

    def order(rng):
        return [int(i) for (batch,) in gd.minibatches(x, batch_size=8, rng=rng) for i in batch]

    rng = np.random.default_rng(3)
    first, second = order(rng), order(rng)
    assert first == order(np.random.default_rng(3))
    assert first != second
    assert first != x.tolist()


def test_minibatches_copy_no_more_than_a_batch():
    import tracemalloc

    x = np.zeros((20_000, 50))
    batches = gd.minibatches(x, batch_size=10, rng=np.random.default_rng(0))
    tracemalloc.start()
    try:
        for _ in itertools.islice(batches, 3):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 20


@pytest.mark.parametrize(
    ("arrays", "changed", "error", "said"),
    [
        ((), {}, ValueError, r"arrays: expected at least one array, got none"),
        ((3,), {}, TypeError, r"arrays\[0\]: expected a NumPy array, or what NumPy can read as one, got int"),
        ((np.array(1.0),), {}, ValueError, r"arrays\[0\]: expected at least one sample, got shape \(\)"),
        ((np.zeros((0, 3)),), {}, ValueError, r"arrays\[0\]: expected at least one sample, got shape \(0, 3\)"),
        ((np.zeros(3), np.zeros(4)), {}, ValueError, r"arrays\[1\]: expected 3 samples, as in arrays\[0\], got 4"),
        ((np.zeros(3),), {"batch_size": 0}, ValueError, "batch_size: expected an int >= 1, got 0"),
        (
            (np.zeros(3),),
            {"batch_size": True},
            TypeError,
            "batch_size: expected an int >= 1, got True of type bool",
        ),
        ((np.zeros(3),), {"batch_size": 2.0}, TypeError, "batch_size: expected an int >= 1, got 2.0 of type float"),
        ((np.zeros(3),), {"rng": 0}, TypeError, "rng: expected a numpy.random.Generator, .* got 0 of type int"),
        ((np.zeros(3),), {"rng": None}, TypeError, "rng: expected a numpy.random.Generator, .* got None"),
        ((np.zeros(3),), {"rng": 0, "shuffle": False}, TypeError, "rng: expected .* or None got 0"),
        ((np.zeros(3),), {"shuffle": 1}, TypeError, "shuffle: expected True or False, got 1 of type int"),
    ],
)
def test_minibatches_refuse_at_once(arrays, changed, error, said):
    arguments = {"batch_size": 2, "rng": np.random.default_rng(0)} | changed
    with pytest.raises(error, match=said):
        gd.minibatches(*arrays, **arguments)


# fit


@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_equals_the_loop_written_by_hand(line, shuffle):
    x, y = line
    w, by_hand = np.zeros(2), np.zeros(2)
    history = run(line, w, shuffle=shuffle)

    rng = np.random.default_rng(7)
    opt = gd.Adam(by_hand, lr=0.1)
    losses = []
    for _ in range(3):
        order = rng.permutation(len(x)) if shuffle else np.arange(len(x))
        total = 0.0
        for start in range(0, len(x), 5):
            batch = order[start : start + 5]
            loss, grads = line_loss(by_hand, x[batch], y[batch])
            opt.step(grads)
            total += loss * len(batch)
        losses.append(total / len(x))

    np.testing.assert_array_equal(w, by_hand)
    np.testing.assert_allclose(history.to_dict()["loss"], losses, rtol=1e-14)
    assert history.to_dict()["epoch"] == [1, 2, 3]
    assert all(seconds >= 0 for seconds in history.to_dict()["seconds"])


def test_the_loss_of_an_epoch_weighs_a_short_batch_by_its_length():
    w = np.zeros(1)
    y = np.array([1.0, 1.0, 1.0, 9.0])
    history = gd.fit(
        lambda w, y: (np.mean(y), np.zeros(1)),
        w, (y,), gd.SGD(w, lr=0.0), epochs=1, batch_size=3, rng=None, shuffle=False,
    )  # fmt: skip
    assert history.records[0]["loss"] == 3.0


def test_fit_needs_no_optimizer_of_ours(line):
    seen = []

    class Recorder:
        def step(self, grads):
            seen.append(grads)

    history = gd.fit(
        lambda params, x, y: (1, params),
        {"any": "tree"}, line, Recorder(), epochs=2, batch_size=12, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert seen == [{"any": "tree"}] * 4
    assert history.to_dict()["loss"] == [1.0, 1.0]


def test_callback_adds_to_the_record_and_stops(line):
    w = np.zeros(2)

    def look(record, params):
        assert params is w
        record["a"] = float(params[0])
        return record["epoch"] == 2

    history = run(line, w, epochs=10, callback=look)
    assert len(history) == 2
    assert history.to_dict()["a"][-1] == w[0]


def test_a_callback_that_returns_something_else_does_not_stop(line):
    assert len(run(line, np.zeros(2), callback=lambda record, _: record.setdefault("a", 1))) == 3


def test_zero_epochs_change_nothing(line):
    w = np.zeros(2)
    history = run(line, w, epochs=0)
    assert len(history) == 0
    assert w.tolist() == [0, 0]
    assert repr(history) == "History(0 epochs)"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_stops_before_its_step(line, value):
    w = np.zeros(2)
    opt = gd.SGD(w, lr=0.1)
    calls = itertools.count(1)

    def value_and_grad(w, x, y):
        loss, grads = line_loss(w, x, y)
        return (value if next(calls) == 8 else loss), grads

    with pytest.raises(FloatingPointError, match=rf"got {value} at step 3 of epoch 2; try a smaller lr"):
        gd.fit(value_and_grad, w, line, opt, epochs=3, batch_size=5, rng=None, shuffle=False)
    assert opt.t == 7


@pytest.mark.parametrize("value", [np.ones(1), np.ones(3), 1j])
def test_a_loss_that_is_no_real_number_is_refused(line, value):
    w = np.zeros(2)
    with pytest.raises(TypeError, match="value_and_grad: expected a loss that is one real number, got"):
        gd.fit(
            lambda *_: (value, np.zeros(2)),
            w,
            line,
            gd.SGD(w, lr=1.0),
            epochs=1,
            batch_size=5,
            rng=None,
            shuffle=False,
        )


@pytest.mark.parametrize("value", [2, np.float32(2), np.array(2.0), np.int64(2)])
def test_any_real_scalar_is_a_loss(line, value):
    w = np.zeros(2)
    history = gd.fit(
        lambda *_: (value, np.zeros(2)), w, line, gd.SGD(w, lr=1.0), epochs=1, batch_size=5, rng=None, shuffle=False
    )
    assert history.records[0]["loss"] == 2.0
    assert type(history.records[0]["loss"]) is float


def test_an_interrupted_fit_leaves_whole_steps(line):
    w = np.zeros(2)
    opt = gd.Adam(w, lr=0.1)
    calls = itertools.count(1)

    def value_and_grad(w, x, y):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return line_loss(w, x, y)

    history = gd.fit(value_and_grad, w, line, opt, epochs=1, batch_size=5, rng=None, shuffle=False)
    assert opt.t == 3
    assert history.stopped == "interrupted"
    assert len(history) == 0


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"epochs": -1}, ValueError, "epochs: expected an int >= 0, got -1"),
        ({"epochs": 1.0}, TypeError, "epochs: expected an int >= 0, got 1.0 of type float"),
        ({"epochs": True}, TypeError, "epochs: expected an int >= 0, got True of type bool"),
        ({"batch_size": 0}, ValueError, "batch_size: expected an int >= 1, got 0"),
        ({"rng": 3}, TypeError, "rng: expected a numpy.random.Generator"),
        ({"data": np.zeros(3)}, TypeError, "data: expected a tuple of arrays, got ndarray"),
        ({"data": ()}, ValueError, "data: expected at least one array, got none"),
        ({"data": (np.zeros(2), np.zeros(3))}, ValueError, r"data\[1\]: expected 2 samples"),
        ({"optimizer": object()}, TypeError, r"optimizer: expected an object with step\(grads\), got object"),
        ({"value_and_grad": 3}, TypeError, "value_and_grad: expected a callable, got int"),
        ({"callback": 3}, TypeError, "callback: expected a callable or None, got int"),
    ],
)
def test_fit_refuses_before_any_step(line, changed, error, said):
    w = np.zeros(2)
    opt = gd.SGD(w, lr=0.1)
    arguments = {
        "value_and_grad": line_loss,
        "params": w,
        "data": line,
        "optimizer": opt,
        "epochs": 1,
        "batch_size": 2,
        "rng": np.random.default_rng(0),
    } | changed
    with pytest.raises(error, match=said):
        gd.fit(**arguments)
    assert opt.t == 0
    assert w.tolist() == [0, 0]


def test_history_has_columns_even_of_keys_that_some_records_lack():
    history = gd.History(
        [{"epoch": 1, "loss": 2.0, "seconds": 0.5}, {"epoch": 2, "loss": 1.0, "seconds": 0.5, "a": 3}]
    )
    assert history.to_dict() == {"epoch": [1, 2], "loss": [2.0, 1.0], "seconds": [0.5, 0.5], "a": [None, 3]}
    assert repr(history) == "History(2 epochs, loss 2 -> 1, 1 s)"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1.5, "value_and_grad: expected to return a loss and its gradients, got float; gd.value_and_grad.f. does"),
        ((1.5,), "value_and_grad: expected to return a loss and its gradients, got 1 items"),
        (("1.5", np.zeros(1)), "value_and_grad: expected a loss that is one real number, got str"),
        ((None, np.zeros(1)), "value_and_grad: expected a loss that is one real number, got NoneType"),
        ((True, np.zeros(1)), "value_and_grad: expected a loss that is one real number, got bool"),
        ((np.ones(2), np.zeros(1)), r"value_and_grad: expected a loss that is one real number, got float64 \(2,\)"),
    ],
)
def test_fit_says_what_a_gradient_must_return(returned, message):
    w = np.zeros(1)
    with pytest.raises(TypeError, match=message):
        gd.fit(
            lambda *_: returned, w, (np.ones(3),), gd.SGD(w, 0.1), epochs=1, batch_size=1, rng=None, shuffle=False
        )
    assert w == 0


def test_history_without_the_usual_keys_has_a_repr():
    assert repr(gd.History([{"epoch": 1}])) == "History(1 epoch, loss nan -> nan, 0 s)"
