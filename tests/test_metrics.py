"""Metrics: scikit-learn's values, chunk by chunk, and inside fit."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as peer

import gdcore as gd
from gdcore import metrics, scores

SIZES = [1, 2, 7, metrics.CHUNK - 1, metrics.CHUNK, 2 * metrics.CHUNK + 3]


def given(out):
    """Outputs that are looked up: ``x`` is where."""
    return lambda _, x: out[x]


def value(metric, out, y):
    return metric(given(out))(None, np.arange(len(y)), y)


def theirs(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # undefined, says scikit-learn, and gives the value that is documented
        return function(*args, **kwargs)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_errors_of_numbers_are_scikit_learns(n, shape):
    rng = np.random.default_rng(n)
    y = 1e3 + rng.standard_normal((n, *shape)) * rng.random(shape)
    out = y + rng.standard_normal(y.shape)
    assert value(metrics.mae, out, y) == pytest.approx(peer.mean_absolute_error(y, out), rel=1e-12)
    assert value(metrics.r2, out, y) == pytest.approx(theirs(peer.r2_score, y, out), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("out", [[2.0, 2.0, 2.0], [2.0, 2.0, 4.0]])
def test_r2_of_equal_targets_is_scikit_learns(out):
    y = np.full(3, 2.0)
    assert value(metrics.r2, np.array(out), y) == peer.r2_score(y, out)


def test_r2_of_a_run_that_diverged_warns_of_nothing():
    assert value(metrics.r2, np.array([1e300, -1e300]), np.array([1.0, 2.0])) == -np.inf
    assert np.isnan(value(metrics.r2, np.array([np.nan, 1.0]), np.array([1.0, 2.0])))


@pytest.mark.parametrize("n", SIZES)
def test_two_classes_have_scikit_learns_f1_and_auc_with_ties(n):
    rng = np.random.default_rng(n)
    out, y = rng.integers(-3, 4, n).astype(np.float64), rng.integers(0, 2, n)
    assert value(metrics.f1, out, y) == pytest.approx(theirs(peer.f1_score, y, out > 0), rel=1e-12)
    area = theirs(peer.roc_auc_score, y, out)
    assert value(metrics.auc, out, y) == pytest.approx(area, rel=1e-12, nan_ok=True)
    both = np.stack([-out, out], axis=1)
    assert value(metrics.auc, both, y) == pytest.approx(area, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("n", SIZES[2:])
def test_many_classes_have_scikit_learns_f1_and_auc(n):
    rng = np.random.default_rng(n)
    out, y = rng.standard_normal((n, 4)), rng.permutation(np.arange(n) % 4)
    y[y == 3] = 0 if n % 2 else 3  # in some, a class that no sample has
    assert value(metrics.f1, out, y) == pytest.approx(
        theirs(peer.f1_score, y, out.argmax(axis=1), average="macro"), rel=1e-12
    )
    p = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
    area = theirs(peer.roc_auc_score, y, p, multi_class="ovr", labels=range(4))
    assert value(metrics.auc, out, y) == pytest.approx(area, rel=1e-12, nan_ok=True)


def test_one_class_alone_has_no_auc_and_the_f1_of_scikit_learn():
    out = np.array([1.0, -1.0, 2.0])
    for y in (np.zeros(3, int), np.ones(3, int)):
        assert np.isnan(value(metrics.auc, out, y))
        assert value(metrics.f1, out, y) == theirs(peer.f1_score, y, out > 0)
    assert value(metrics.f1, -abs(out), np.zeros(3, int)) == 0.0


def test_sure_scores_still_rank():
    """Probabilities of 1 are all alike; the logits that gave them are not."""
    out = np.zeros((5, 3))
    out[:, 0] = [50.0, 60.0, 70.0, 80.0, 0.0]
    y = np.array([1, 1, 0, 0, 2])
    p = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
    assert theirs(peer.roc_auc_score, y == 0, p[:, 0]) < 1
    assert value(metrics.auc, out, y) == pytest.approx((1 + 4 / 6 + 1) / 3, rel=1e-12)


@pytest.mark.parametrize("metric", [metrics.mae, metrics.r2, metrics.f1, metrics.auc])
def test_what_underflows_and_is_right_does_not_raise(metric):
    out = np.array([[0.0, 1e-200, -800.0], [1e-300, 0.0, -800.0], [0.0, -800.0, 3e-200]])
    y = np.array([1, 0, 2]) if metric in {metrics.f1, metrics.auc} else out[::-1].copy()
    expected = value(metric, out, y)
    with np.errstate(all="raise"):
        assert value(metric, out, y) == expected


def test_auc_of_nan_is_nan():
    assert np.isnan(value(metrics.auc, np.array([np.nan, 1.0]), np.array([0, 1])))


def test_rates_are_scikit_learns():
    rng = np.random.default_rng(0)
    y, classes = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    matrix = scores.confusion(classes, y, 5)
    np.testing.assert_array_equal(matrix, peer.confusion_matrix(y, classes, labels=range(5)))
    expected = theirs(peer.precision_recall_fscore_support, y, classes, labels=range(5))[:3]
    np.testing.assert_allclose(scores.rates(matrix), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("metric", "out", "y", "said"),
    [
        (metrics.f1, np.zeros(3), np.array([0, 1, 2]), "y: expected classes from 0 to 1, got 2"),
        (metrics.auc, np.zeros(3), np.array([0, 0.5, 1]), r"y: expected classes from 0 to 1, got 0\.5"),
        (metrics.auc, np.zeros((3, 4)), np.array([0, -1, 1]), "y: expected classes from 0 to 3, got -1"),
        (metrics.f1, np.zeros((3, 4)), np.zeros((3, 4)), r"y: expected classes, \(3,\), got float64 \(3, 4\)"),
        (metrics.r2, np.zeros((3, 1)), np.zeros(3), r"outputs: expected the shape of y, \(3,\), got \(3, 1\)"),
        (metrics.mae, np.zeros((3, 1)), np.zeros(3), r"outputs: expected the shape of y, \(3,\), got \(3, 1\)"),
    ],
)
def test_what_no_metric_is_of_is_refused(metric, out, y, said):
    with pytest.raises(ValueError, match=said):
        value(metric, out, y)


def test_outputs_of_another_length_are_refused():
    with pytest.raises(ValueError, match="outputs: expected one row a sample, 3, got 2"):
        metrics.auc(lambda _, x: x[1:])(None, np.zeros(3), np.array([0, 1, 1]))


# Inside fit

X, Y = np.linspace(-1, 1, 23), (np.linspace(-1, 1, 23) > 0.2).astype(np.int64)


def scored(w, x):
    return w[0] * x + w[1]


def run(w, **changed):
    def value_and_grad(w, x, y):
        error = scored(w, x) - (2 * y - 1)
        return np.mean(error**2), np.array([2 * np.mean(error * x), 2 * np.mean(error)])

    arguments = {"epochs": 5, "batch_size": 5, "rng": np.random.default_rng(7)} | changed
    return gd.fit(value_and_grad, w, (X, Y), gd.SGD(w, lr=0.1), **arguments)


@pytest.mark.parametrize("metric", [metrics.r2, metrics.f1, metrics.auc])
def test_fit_tells_statistics_of_all_samples_and_takes_the_largest_as_best(metric):
    told = []
    history = run(
        np.zeros(2),
        metrics={"m": metric(scored)},
        validation=(X[:7], Y[6:13]),
        callback=lambda _, w: told.append(metric(scored)(w, X, Y)),
    )
    assert [record["m"] for record in history.records] == told
    assert history.larger_is_better
    assert "validation_m" in history.records[0]


def test_statistics_survive_a_resumed_run(tmp_path):
    kept = {"metrics": {"auc": metrics.auc(scored), "mae": metrics.mae(scored)}, "checkpoint": tmp_path / "run.npz"}
    whole = run(np.zeros(2), **kept | {"checkpoint": None})
    run(np.zeros(2), epochs=2, **kept)
    resumed = run(np.zeros(2), resume=True, **kept)
    for ours, theirs in zip(resumed.records, whole.records, strict=True):
        assert (ours["auc"], ours["mae"]) == (theirs["auc"], theirs["mae"])


def test_running_statistics_are_refused_by_name():
    given = {"rmse": metrics.rmse(scored), "auc": metrics.auc(scored), "r2": metrics.r2(scored)}
    with pytest.raises(ValueError, match="running: expected metrics that are means over samples, got 'auc', 'r2'"):
        run(np.zeros(2), running=True, metrics=given)
    assert "running_mae" in run(np.zeros(2), running=True, metrics={"mae": metrics.mae(scored)}).records[0]


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "accuracy", "cross_entropy", "f1", "auc"])
@pytest.mark.parametrize("classes", [2, 3])
def test_weighted_metrics_are_scikit_learns(name, classes):
    rng = np.random.default_rng(classes)
    n = 200
    weights = rng.integers(0, 4, n) * 1.0
    weights *= n / weights.sum()
    if name in ("rmse", "mae", "r2"):
        y, out = rng.standard_normal((2, n, classes))
        of = {"rmse": peer.mean_squared_error, "mae": peer.mean_absolute_error, "r2": peer.r2_score}[name]
        expected = of(y, out, sample_weight=weights)
        expected = np.sqrt(expected) if name == "rmse" else expected
    else:
        y, out = rng.integers(0, classes, n), rng.standard_normal((n, classes)).round(1 if classes == 2 else 9)
        p = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
        how = {"sample_weight": weights}
        expected = {
            "accuracy": lambda: peer.accuracy_score(y, out.argmax(axis=1), **how),
            "cross_entropy": lambda: peer.log_loss(y, p, **how),
            "f1": lambda: peer.f1_score(y, out.argmax(axis=1), average="macro", **how),
            "auc": lambda: (
                peer.roc_auc_score(y, out[:, 1] - out[:, 0], **how)
                if classes == 2
                else np.mean([peer.roc_auc_score(y == c, p[:, c], **how) for c in range(3)])
            ),
        }[name]()
    metric = getattr(metrics, name)(lambda _, rows: out[rows])
    assert metric(None, np.arange(n), y, weights) == pytest.approx(expected, rel=1e-9)
    assert metric(None, np.arange(n), y) != pytest.approx(expected, rel=1e-3)
