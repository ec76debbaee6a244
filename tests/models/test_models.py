"""Models: the gradient by hand is that of the specification, and the named ones are what textbooks say."""

import copy
import json
import math
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.models import networks as models

TASKS = ("regression", "binary", "classes")


def draw_targets(rng, task, n, outputs):
    if task == "regression":
        return rng.standard_normal((n, outputs))[:, 0] if outputs == 1 else rng.standard_normal((n, outputs))
    return rng.integers(0, 2 if task == "binary" else outputs, n)


def draw_model(rng, sizes, task, activation="relu", dtype=np.float64):
    """Return a model whose biases are not 0 either."""
    model = models.MLP(sizes, task=task, rng=rng, activation=activation, dtype=dtype)
    for b in model.params[1]:
        b[:] = rng.standard_normal(b.shape)
    return model


def draw_batch(rng, model, n):
    x = rng.standard_normal((n, model.sizes[0])).astype(model.dtype)
    return x, draw_targets(rng, model.task, n, model.sizes[-1])


def same_gradients(got, expected, **tolerance):
    for ours, theirs in zip(got[0] + got[1], expected[0] + expected[1], strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, **tolerance)


# the gradient


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", models.ACTIVATIONS)
@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=30)
@given(
    seed=st.integers(0, 99),
    n=st.integers(1, 33),
    features=st.integers(1, 9),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    outputs=st.integers(2, 5),
)
def test_gradient_by_hand_is_that_of_the_loss(task, activation, dtype, seed, n, features, hidden, outputs):
    rng = np.random.default_rng(seed)
    outputs = {"regression": outputs - 1, "binary": 1, "classes": outputs}[task]
    model = draw_model(rng, (features, *hidden, outputs), task, activation, dtype)
    x, y = draw_batch(rng, model, n)
    value, grads = model.value_and_grad(model.params, x, y)
    expected, specified = gd.value_and_grad(model.loss)(model.params, x, y)
    error = 200 * float(np.finfo(dtype).eps)
    assert value == pytest.approx(float(expected), rel=error, abs=error)
    assert type(value) is float
    scale = 1 + max(np.abs(g).max() for g in specified[0] + specified[1])
    same_gradients(grads, specified, rtol=error, atol=error * scale)


@pytest.mark.parametrize("activation", models.ACTIVATIONS)
@pytest.mark.parametrize("task", TASKS)
def test_gradient_agrees_with_finite_differences(task, activation):
    rng = np.random.default_rng(3)
    model = draw_model(rng, (3, 4, 2 if task == "classes" else 1), task, activation)
    x, y = draw_batch(rng, model, 6)
    gd.check_grads(lambda params: model.loss(params, x, y), model.params)


@pytest.mark.parametrize(
    ("task", "y"),
    [
        ("regression", np.array([1, 2, 3])),
        ("regression", np.array([1.0, 2.0, 3.0], np.float32)),
        ("binary", np.array([True, False, True])),
        ("binary", np.array([0.0, 1.0, 0.25])),
        ("classes", np.array([2, 0, 1], np.uint8)),
    ],
)
def test_targets_of_any_real_dtype_mean_the_same(task, y):
    rng = np.random.default_rng(1)
    model = draw_model(rng, (2, 3, 3 if task == "classes" else 1), task)
    x = rng.standard_normal((3, 2))
    usual = y.astype(np.int64 if task == "classes" else np.float64)
    expected = model.value_and_grad(model.params, x, usual)
    got = model.value_and_grad(model.params, x, y)
    specified = gd.value_and_grad(model.loss)(model.params, x, y)
    assert got[0] == expected[0] == pytest.approx(float(specified[0]))
    same_gradients(got[1], expected[1], rtol=0)
    same_gradients(specified[1], expected[1], rtol=1e-12)


def test_value_and_grad_reads_its_arguments_only():
    rng = np.random.default_rng(2)
    for task in TASKS:
        model = draw_model(rng, (3, 4, 2 if task == "classes" else 1), task)
        x, y = draw_batch(rng, model, 5)
        before = copy.deepcopy((model.params, x, y))
        _, grads = model.value_and_grad(model.params, x, y)
        for g in grads[0] + grads[1]:
            g[:] = np.nan
        for now, then in zip(gd.trees.flatten((model.params, x, y)), gd.trees.flatten(before), strict=True):
            np.testing.assert_array_equal(now, then)


def test_threads_may_share_a_model():
    rng = np.random.default_rng(5)
    model = draw_model(rng, (20, 30, 4), "classes")
    batches = [draw_batch(rng, model, int(n)) for n in rng.integers(1, 60, 40)]
    alone = [model.value_and_grad(model.params, *batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda batch: model.value_and_grad(model.params, *batch), batches))
    for (value, grads), (expected, specified) in zip(together, alone, strict=True):
        assert value == expected
        same_gradients(grads, specified, rtol=0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_out_of_range_show_in_the_loss_and_do_not_warn(task, dtype):
    rng = np.random.default_rng(0)
    model = draw_model(rng, (2, 3, 2 if task == "classes" else 1), task, dtype=dtype)
    for w in model.params[0]:
        w[:] = np.finfo(dtype).max
    x, y = draw_batch(rng, model, 4)
    value, _ = model.value_and_grad(model.params, x, y)
    assert not math.isfinite(value)
    assert not math.isfinite(model.loss(model.params, x, y))
    assert model.predict(x).shape == (4,)


# what the models are


def test_linear_regression_reaches_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    model = models.Linear(3, 2)
    optimizer = gd.Momentum(model.groups(), lr=0.05)
    gd.fit(model.value_and_grad, model.params, (x, y), optimizer, epochs=1500, batch_size=50, rng=rng)
    solution = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y)[0]
    np.testing.assert_allclose(model.params[0][0], solution[:3], atol=1e-9)
    np.testing.assert_allclose(model.params[1][0], solution[3], atol=1e-9)


def test_loss_of_linear_regression_is_the_mean_of_squares():
    model = models.Linear(1, 2)
    y = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert model.loss(model.params, np.zeros((2, 1)), y) == (1 + 4 + 9 + 16) / 2


def test_softmax_of_two_classes_is_logistic_regression():
    rng = np.random.default_rng(4)
    two, one = models.Softmax(3, 2), models.Logistic(3)
    x, y = rng.standard_normal((7, 3)), rng.integers(0, 2, 7)
    for i in (0, 1):
        two.params[i][0][..., 1] = rng.standard_normal(two.params[i][0][..., 1].shape)
        one.params[i][0][..., 0] = two.params[i][0][..., 1]
    assert one.loss(one.params, x, y) == pytest.approx(two.loss(two.params, x, y), rel=1e-12)
    np.testing.assert_allclose(one.predict_proba(x), two.predict_proba(x), rtol=1e-12)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    got, expected = (model.value_and_grad(model.params, x, y)[1] for model in (one, two))
    np.testing.assert_allclose(got[0][0][:, 0], expected[0][0][:, 1], rtol=1e-12)


def test_perceptron_without_hidden_layers_is_the_linear_model():
    rng = np.random.default_rng(6)
    deep, flat = draw_model(rng, (3, 4), "classes"), models.Softmax(3, 4)
    flat.params[0][0][:], flat.params[1][0][:] = deep.params[0][0], deep.params[1][0]
    x, _ = draw_batch(rng, flat, 5)
    np.testing.assert_array_equal(flat.predict_proba(x), deep.predict_proba(x))


@pytest.mark.parametrize("task", ["binary", "classes"])
def test_probabilities_sum_to_one_and_the_largest_is_predicted(task):
    rng = np.random.default_rng(7)
    model = draw_model(rng, (3, 5, 1 if task == "binary" else 4), task)
    x = 100 * rng.standard_normal((40, 3))
    p = model.predict_proba(x)
    assert p.shape == (40, 2 if task == "binary" else 4)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(x), p.argmax(axis=1))


def test_probabilities_of_improbable_classes_keep_their_digits():
    model = models.Logistic(1)
    model.params[0][0][:] = 1
    np.testing.assert_allclose(model.predict_proba(np.array([[600.0], [-600.0]])).min(axis=1), np.exp(-600.0))


# weights at the start


@pytest.mark.parametrize(
    ("activation", "init", "variance"),
    [
        ("relu", None, 2 / 300),
        ("tanh", None, 2 / 500),
        ("sigmoid", None, 2 / 500),
        ("relu", "glorot", 2 / 500),
        ("tanh", "he", 2 / 300),
    ],
)
def test_initial_weights_have_the_variance_of_their_paper(activation, init, variance):
    rng = np.random.default_rng(0)
    model = models.MLP((300, 200, 3), task="classes", rng=rng, activation=activation, init=init)
    w = model.params[0][0]
    # The variance of 60,000 draws strays by sqrt(2 / 60,000) = 0.6 % where they are normal, by less where uniform.
    assert w.var() == pytest.approx(variance, rel=0.03)
    assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
    bounded = np.abs(w).max() <= math.sqrt(3 * variance)
    assert bounded == (variance == 2 / 500)
    assert not any(b.any() for b in model.params[1])


def test_initial_weights_follow_the_generator_and_not_the_dtype():
    def weights(seed, dtype):
        return models.MLP((3, 4, 2), task="classes", rng=np.random.default_rng(seed), dtype=dtype).params[0]

    for single, double, other in zip(weights(1, "f4"), weights(1, "f8"), weights(2, "f8"), strict=True):
        np.testing.assert_array_equal(single, double.astype(np.float32))
        assert (double != other).all()


# training


def test_relu_keeps_the_scale_of_its_input_through_many_layers():
    model = models.MLP([100] * 20, task="regression", rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((200, 100))
    assert 0.3 < np.sqrt(np.mean(model.predict(x) ** 2) / 2) < 3


def test_groups_leave_biases_out_of_decay_and_params_do_not():
    for kept, make in ((True, models.Network.groups), (False, lambda model: model.params)):
        model = draw_model(np.random.default_rng(0), (3, 4, 1), "regression")
        before = copy.deepcopy(model.params)
        optimizer = gd.SGD(make(model), lr=0.1, weight_decay=0.5)
        optimizer.step(([np.zeros_like(w) for w in before[0]], [np.zeros_like(b) for b in before[1]]))
        for w, b, old_w, old_b in zip(*model.params, *before, strict=True):
            np.testing.assert_allclose(w, old_w * 0.95)
            np.testing.assert_allclose(b, old_b if kept else old_b * 0.95)


def test_metrics_tell_of_the_model():
    rng = np.random.default_rng(0)
    for task in TASKS:
        model = draw_model(rng, (3, 4, 3 if task == "classes" else 1), task)
        x, y = draw_batch(rng, model, 20)
        told = {name: metric(model.params, x, y) for name, metric in model.metrics.items()}
        predictions = model.predict(x)
        if task == "regression":
            assert told == {"rmse": pytest.approx(math.sqrt(np.mean((predictions - y) ** 2)))}
        else:
            loss = model.loss(model.params, x, y)
            assert told == {"accuracy": np.mean(predictions == y), "cross_entropy": pytest.approx(loss)}


# configs


@pytest.mark.parametrize(
    "model",
    [
        models.Linear(3),
        models.Linear(3, 2, dtype=np.float32),
        models.Logistic(4),
        models.Softmax(4, 3),
        models.MLP((4, 5, 3), task="classes", rng=np.random.default_rng(0), activation="tanh"),
    ],
    ids=repr,
)
def test_a_model_is_its_config_and_its_params(model):
    config = json.loads(json.dumps(model.config))
    x = np.random.default_rng(1).standard_normal((6, model.sizes[0]))
    again = models.from_config(config, model.params)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.config == model.config
    assert all(a is b for a, b in zip(again.params[0], model.params[0], strict=True))
    empty = models.from_config(config)
    assert not any(a.any() for a in gd.trees.flatten(empty.params))
    for target, source in zip(gd.trees.flatten(empty.params), gd.trees.flatten(model.params), strict=True):
        target[:] = source
    np.testing.assert_array_equal(empty.predict(x), model.predict(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(x), model.predict(x))


# bad input


RNG = np.random.default_rng(0)
CONFIG = models.Linear(2).config


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: models.Linear(0), ValueError, r"sizes: expected two ints >= 1 or more, got \(0, 1\)"),
        (lambda: models.Linear(2.0), TypeError, r"sizes: expected two ints >= 1 or more, got \(2.0, 1\)"),
        (lambda: models.Linear(True), TypeError, r"sizes: expected two ints >= 1 or more, got \(True, 1\)"),
        (lambda: models.Network("34", "regression"), TypeError, "sizes: expected two ints .* got '34'"),
        (lambda: models.Network((3,), "regression"), ValueError, r"sizes: expected two ints .* got \(3,\)"),
        (
            lambda: models.Softmax(2, 1),
            ValueError,
            "sizes: expected 2 or more outputs, got 1",
        ),
        (lambda: models.Network((2, 2), "binary"), ValueError, "sizes: expected 1 outputs, got 2"),
        (lambda: models.Network((2, 2), "ranks"), ValueError, "task: expected one of 'regression', .* got 'ranks'"),
        (lambda: models.Network((2, 2), None), TypeError, "task: expected one of 'regression', .* got None"),
        (lambda: models.Linear(2, dtype=np.float16), ValueError, "dtype: expected float32 or float64, got <class"),
        (lambda: models.Linear(2, dtype=None), ValueError, "dtype: expected float32 or float64, got None"),
        (lambda: models.Linear(2, dtype="real"), TypeError, "dtype: expected float32 or float64, got 'real'"),
        (lambda: models.MLP((2, 1), task="binary", rng=0), TypeError, "rng: expected a numpy.random.Generator"),
        (
            lambda: models.MLP((2, 1), task="binary", rng=RNG, activation="gelu"),
            ValueError,
            "activation: expected one of 'relu', 'tanh', 'sigmoid', got 'gelu'",
        ),
        (
            lambda: models.MLP((2, 1), task="binary", rng=RNG, init="zero"),
            ValueError,
            "init: expected one of 'he', 'glorot', got 'zero'",
        ),
        (lambda: models.from_config([]), ValueError, "config: expected a dict of 'sizes', .* got list"),
        (lambda: models.from_config({}), ValueError, "config: expected a dict of 'sizes', .* got none of them"),
        (
            lambda: models.from_config(CONFIG | {"bias": 1}),
            ValueError,
            "config: expected a dict of .* got .*'bias'",
        ),
        (lambda: models.from_config(CONFIG, [1]), ValueError, r"params: expected 2 items, got 1"),
        (
            lambda: models.from_config(CONFIG, (1, 2)),
            TypeError,
            r"params\['0'\]: expected a list or tuple, got int",
        ),
        (lambda: models.from_config(CONFIG, ([], [])), ValueError, r"params\['0'\]: expected 1 items, got 0"),
        (
            lambda: models.from_config(CONFIG, ([np.zeros((2, 1))], [np.zeros(2)])),
            ValueError,
            r"params\['1.0'\]: expected float64 \(1,\), got float64 \(2,\)",
        ),
        (lambda: models.Linear(2).predict_proba(np.zeros((1, 2))), TypeError, "predict_proba: expected a model of"),
        (
            lambda: models.Linear(2).predict(np.zeros((1, 3))),
            ValueError,
            r"x: expected float64 \(n, 2\) with n >= 1, got float64 \(1, 3\)",
        ),
    ],
)
def test_what_makes_no_model_is_refused(make, error, said):
    with pytest.raises(error, match=said):
        make()


@pytest.mark.parametrize(
    ("model", "x", "y", "error", "said"),
    [
        (models.Linear(2), [[1.0, 2.0]], np.zeros(1), TypeError, r"x: expected float64 \(n, 2\) .* got list"),
        (
            models.Linear(2),
            np.zeros((1, 2), np.float32),
            np.zeros(1),
            TypeError,
            r"x: expected float64 \(n, 2\) with n >= 1, got float32 \(1, 2\)",
        ),
        (models.Linear(2), np.zeros(2), np.zeros(2), ValueError, r"x: expected .* got float64 \(2,\)"),
        (models.Linear(2), np.zeros((0, 2)), np.zeros(0), ValueError, r"x: expected .* got float64 \(0, 2\)"),
        (models.Linear(2), np.zeros((3, 2)), np.zeros((3, 1)), ValueError, r"y: expected shape \(3,\), got"),
        (models.Linear(2, 2), np.zeros((3, 2)), np.zeros(3), ValueError, r"y: expected shape \(3, 2\), got"),
        (models.Linear(2), np.zeros((3, 2)), np.zeros(3, complex), TypeError, "y: expected numbers in an array"),
        (models.Linear(2), np.zeros((3, 2)), [1, 2, 3], TypeError, "y: expected numbers in an array, got list"),
        (
            models.Logistic(2),
            np.zeros((2, 2)),
            np.array([-1, 1]),
            ValueError,
            "y: expected values from 0 to 1, got",
        ),
        (models.Softmax(2, 3), np.zeros((2, 2)), np.zeros(2), TypeError, "y: expected integers in an array"),
        (models.Softmax(2, 3), np.zeros((2, 2)), np.array([0, 3]), ValueError, "from 0 to 2, got 0 to 3"),
        (models.Softmax(2, 3), np.zeros((2, 2)), np.array([-1, 0]), ValueError, "from 0 to 2, got -1 to 0"),
    ],
)
def test_what_is_no_batch_is_refused(model, x, y, error, said):
    with pytest.raises(error, match=said):
        model.value_and_grad(model.params, x, y)
    if said.startswith("y"):
        with pytest.raises(error, match=said):
            model.loss(model.params, x, y)


# memory


def held(grads):
    return [g.__array_interface__["data"][0] for g in grads[0] + grads[1]]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_in_a_loop_allocates_no_arrays(task, dtype):
    rng = np.random.default_rng(0)
    model = draw_model(rng, (64, 64, {"regression": 3, "binary": 1, "classes": 10}[task]), task, dtype=dtype)
    x, y = draw_batch(rng, model, 256)
    y = y if task == "classes" else y.astype(dtype)
    rest = x[:100], y[:100]
    seen = set()
    for i in range(8):
        for batch in ((x, y), rest):
            _, grads = model.value_and_grad(model.params, *batch)
            if i > 2:
                seen.update(held(grads))
    assert len(seen) == 2 * 4  # two sizes of batches, four arrays
    for _ in range(3):
        _, grads = model.value_and_grad(model.params, x, y)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            tracemalloc.reset_peak()
            _, grads = model.value_and_grad(model.params, x, y)  # while it still holds those before
            assert tracemalloc.get_traced_memory()[1] - before < 4096  # the smallest array, of a layer, has 25 kB
    finally:
        tracemalloc.stop()


def test_gradients_that_somebody_holds_are_never_written_to():
    rng = np.random.default_rng(1)
    model = draw_model(rng, (5, 4, 3), "classes")
    batches = [draw_batch(rng, model, 6) for _ in range(12)]
    kept, views, copies = [], [], []
    for i, batch in enumerate(batches):
        _, grads = model.value_and_grad(model.params, *batch)
        copies.append(copy.deepcopy(grads))
        if i % 3 == 0:
            kept.append((i, grads))
        elif i % 3 == 1:
            views.append((i, grads[0][1].T))
    del grads
    for i, grads in kept:
        same_gradients(grads, copies[i], rtol=0)
    for i, view in views:
        np.testing.assert_array_equal(view, copies[i][0][1].T)


def test_a_model_that_was_used_is_copied_and_pickled_without_its_memory():
    rng = np.random.default_rng(2)
    model = draw_model(rng, (3, 4, 2), "classes")
    before = len(pickle.dumps(model))
    batch = draw_batch(rng, model, 50)
    value, _ = model.value_and_grad(model.params, *batch)
    assert len(pickle.dumps(model)) == before
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.value_and_grad(other.params, *batch)[0] == value


@pytest.mark.parametrize("task", TASKS)
def test_parameters_may_lie_in_any_order_of_memory(task):
    rng = np.random.default_rng(3)
    model = draw_model(rng, (3, 4, {"regression": 3, "binary": 1, "classes": 10}[task]), task)
    x, y = draw_batch(rng, model, 5)
    expected = model.value_and_grad(model.params, x, y)
    strided = tuple([np.repeat(a, 2, axis=-1)[..., ::2] for a in arrays] for arrays in model.params)
    value, grads = model.value_and_grad(strided, np.asfortranarray(x), y)
    assert value == pytest.approx(expected[0], rel=1e-14)
    same_gradients(grads, expected[1], rtol=1e-12)


# weights of samples, and sparse ones


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
@pytest.mark.parametrize("task", TASKS)
def test_weighted_gradient_is_that_of_the_weighted_loss(task, hidden, dtype):
    rng = np.random.default_rng(0)
    for targets, n in ((1, 7), (3, 1), (3, 8)):
        outputs = {"binary": 1, "classes": 3}.get(task, targets)
        model = draw_model(rng, (4, *hidden, outputs), task, "tanh", dtype)
        x, y = draw_batch(rng, model, n)
        w = rng.integers(0, 4, n).astype(dtype)
        value, grads = model.value_and_grad(model.params, x, y, w)
        expected, expected_grads = gd.value_and_grad(model.loss)(model.params, x, y, w)
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
        np.testing.assert_allclose(value, expected, **tolerance)
        same_gradients(grads, expected_grads, **tolerance)


@pytest.mark.parametrize("task", TASKS)
def test_a_weight_is_how_often_a_sample_is_there(task):
    rng = np.random.default_rng(1)
    model = draw_model(rng, (4, 5, 1 if task == "binary" else 3), task)
    x, y = draw_batch(rng, model, 9)
    times = np.array([0, 1, 2, 3, 0, 1, 1, 5, 2])
    weighted = model.value_and_grad(model.params, x, y, times * (9 / times.sum()))
    repeated = model.value_and_grad(model.params, x.repeat(times, axis=0), y.repeat(times, axis=0))
    assert weighted[0] == pytest.approx(repeated[0], rel=1e-12)
    same_gradients(weighted[1], repeated[1], rtol=1e-10, atol=1e-13)
    for metric in model.metrics.values():
        there = metric(model.params, x, y, times * (9 / times.sum()))
        again = metric(model.params, x.repeat(times, axis=0), y.repeat(times, axis=0))
        assert there == pytest.approx(again, rel=1e-12)


def test_weights_that_are_none_are_refused():
    model = models.Linear(2)
    x, y = np.ones((3, 2)), np.ones(3)
    for weights, error in (([1.0] * 3, TypeError), (np.ones(2), ValueError), (np.array([1, -1, 1.0]), ValueError)):
        with pytest.raises(error, match="weights: expected numbers"):
            model.value_and_grad(model.params, x, y, weights)
    with pytest.raises(ValueError, match=r"weights: expected numbers >= 0, shape .* got nan"):
        model.value_and_grad(model.params, x, y, np.array([1.0, np.nan, 1.0]))


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix"])
@pytest.mark.parametrize("activation", models.ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("task", TASKS)
def test_sparse_samples_are_those_that_they_stand_for(task, hidden, activation, kind):
    rng = np.random.default_rng(2)
    model = draw_model(rng, (6, *hidden, 1 if task == "binary" else 3), task, activation)
    x, y = draw_batch(rng, model, 9)
    x[rng.random(x.shape) < 0.7] = 0
    sparse = getattr(scipy.sparse, kind)(x)
    value, grads = model.value_and_grad(model.params, sparse, y)
    expected, expected_grads = model.value_and_grad(model.params, x, y)
    assert value == pytest.approx(expected, rel=1e-12)
    same_gradients(grads, expected_grads, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(model.predict(sparse), model.predict(x), rtol=1e-12)
    traced = gd.value_and_grad(model.loss)(model.params, sparse, y)
    same_gradients(traced[1], expected_grads, rtol=1e-10, atol=1e-13)
    with pytest.raises(ValueError, match=r"x: expected float64 \(n, 6\)"):
        model.value_and_grad(model.params, sparse[:, :5], y)
