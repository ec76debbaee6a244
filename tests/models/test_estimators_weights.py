"""Estimators: weights of samples and classes, sparse samples, and going on from a fit before."""

import pickle
from functools import partial
from inspect import signature

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

import gdcore as gd
from gdcore.models import SCHEDULES, constant_error, least_squares
from gdcore.models.weighing import balanced

BOTH = [gd.GDRegressor, gd.GDClassifier]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def samples(make, n=60, columns=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, columns))
    y = X @ np.arange(1.0, columns + 1) + rng.standard_normal(n)
    return (X, y) if make is gd.GDRegressor else (X, np.digitize(y, [-3, 3]))


def parameters(estimator):
    return [*estimator.coefs_, *estimator.intercepts_]


def same(one, other, **tolerance):
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 0, "atol": 0} | tolerance))


# weights


@pytest.mark.parametrize("make", BOTH)
def test_weights_that_are_alike_change_no_bit(make):
    X, y = samples(make)
    plain = make((4,), epochs=3, random_state=0)
    for weights in (np.ones(60), np.full(60, 0.1), 3):
        weighed = clone(plain).fit(X, y, weights)
        same(weighed, plain.fit(X, y))
        assert weighed.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("changed", [{}, {"patience": 5}])
def test_samples_that_weigh_nothing_are_not_there(make, changed):
    X, y = samples(make)
    weights = np.random.default_rng(1).integers(0, 3, 60)
    there = weights > 0
    model = make((4,), epochs=5, batch_size=8, random_state=0, **changed)
    same(clone(model).fit(X, y, weights), model.fit(X[there], y[there], weights[there]))


@pytest.mark.parametrize("make", BOTH)
def test_only_the_ratios_of_weights_matter(make):
    X, y = samples(make)
    weights = np.random.default_rng(1).random(60)
    model = make((4,), epochs=5, batch_size=8, random_state=0)
    for unit in (1e-300, 3.0, 1.7e308):
        same(clone(model).fit(X, y, unit * weights), model.fit(X, y, weights), rtol=1e-9, atol=1e-12)


def test_weighted_ridge_is_scikit_learns():
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    weights = np.random.default_rng(0).random(len(y))
    ours = gd.GDRegressor(optimizer="momentum", lr=0.1, epochs=1000, batch_size=len(y), l2=0.1)
    theirs = Ridge(alpha=0.1 * weights.sum() / 2).fit(X, y, weights)
    ours.fit(X, y, weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-4)
    assert ours.score(X, y, weights) == pytest.approx(theirs.score(X, y, weights), rel=1e-6)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0, 1: 0.5}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_those_of_logistic_regression(class_weight, weighted):
    X, y = load_iris(return_X_y=True)
    X, y = StandardScaler().fit_transform(X)[20:], y[20:]
    weights = np.random.default_rng(0).random(len(y)) + 0.1 if weighted else None
    each = np.ones(len(y)) if weights is None else weights
    if class_weight == "balanced":
        expected = each * balanced(y, 3, weights)[y]
        if not weighted:
            np.testing.assert_allclose(
                balanced(y, 3), compute_class_weight("balanced", classes=np.unique(y), y=y), rtol=1e-12
            )
    else:
        expected = each * np.array([5.0, 0.5, 1.0])[y]
    theirs = LogisticRegression(C=1 / 20, tol=1e-10, max_iter=1000).fit(X, y, expected)
    ours = gd.GDClassifier(
        optimizer="momentum",
        lr=0.5,
        epochs=1000,
        batch_size=len(y),
        l2=20 / expected.sum(),
        class_weight=class_weight,
    ).fit(X, y, weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([-1.0] + [1.0] * 59, r"sample_weight: expected numbers >= 0, got -1.0 for sample 0"),
        ([0.0] * 60, "(?i)sample.weight"),
        ([np.nan] * 60, "NaN"),
        ([1.0] * 59, "sample_weight"),
    ],
)
@pytest.mark.parametrize("make", BOTH)
def test_weights_that_are_none_are_refused(make, weights, said):
    X, y = samples(make)
    for call in ("fit", "partial_fit"):
        given = {"classes": [0, 1, 2]} if (call, make) == ("partial_fit", gd.GDClassifier) else {}
        with pytest.raises(ValueError, match=said):
            getattr(make(epochs=1), call)(X, y, sample_weight=weights, **given)


@pytest.mark.parametrize(
    ("class_weight", "said"),
    [
        ("even", "class_weight: expected None, .* got 'even'"),
        ({"a": 1.0}, "class_weight: expected classes among 0, 1, 2, got 'a'"),
        ({0: -1.0}, r"class_weight\[0\]: expected a finite number >= 0, got -1.0"),
        ({0: 0, 1: 0, 2: 0}, "class_weight: expected a weight > 0"),
    ],
)
def test_class_weights_that_are_none_are_refused(class_weight, said):
    with pytest.raises(ValueError, match=said):
        gd.GDClassifier(epochs=1, class_weight=class_weight).fit(*samples(gd.GDClassifier))


def test_what_a_run_is_held_against_is_weighted_too():
    rng = np.random.default_rng(0)
    times = rng.integers(1, 4, 40)
    weights = times / times.mean()
    x, y, classes = rng.standard_normal((40, 3)), rng.standard_normal(40), rng.integers(0, 3, 40)
    again = x.repeat(times, axis=0), y.repeat(times), classes.repeat(times)
    assert constant_error(y, weights, classes=False)[0] == pytest.approx(constant_error(again[1], classes=False)[0])
    assert constant_error(classes, weights, classes=True)[0] == pytest.approx(
        constant_error(again[2], classes=True)[0]
    )
    for targets, repeated in ((y, again[1]), (x[:, :2] ** 2, again[0][:, :2] ** 2)):
        assert least_squares(x, targets, weights) == pytest.approx(least_squares(again[0], repeated), rel=1e-9)


# sparse samples


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("changed", [{}, {"hidden": (4,)}, {"hidden": 4, "patience": 3}])
def test_sparse_samples_give_the_fit_of_dense_ones(make, changed):
    X, y = samples(make)
    X[np.abs(X) < 1] = 0
    model = make(epochs=10, batch_size=16, random_state=0, **changed)
    dense = clone(model).fit(X, y, np.arange(60))
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        sparse = clone(model).fit(kind(X), y, np.arange(60))
        same(sparse, dense, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(sparse.predict(kind(X)), dense.predict(X), rtol=1e-9)


def test_sparse_samples_are_never_dense(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a sparse array was made dense")

    for name in ("toarray", "todense"):
        for kind in (scipy.sparse.csr_array, scipy.sparse.csc_array):
            monkeypatch.setattr(kind, name, refuse)
    X = scipy.sparse.random_array((200, 30_000), density=1e-3, format="csr", rng=np.random.default_rng(0))
    y = np.arange(200) % 2
    for hidden in ((), (3,)):
        model = gd.GDClassifier(hidden, epochs=1, batch_size=200, patience=1).fit(X, y).partial_fit(X, y)
        assert model.predict_proba(X).shape == (200, 2)


# going on


@pytest.mark.parametrize("make", BOTH)
def test_passes_are_the_epochs_of_a_fit(make):
    X, y = samples(make)
    classes = {"classes": [0, 1, 2]} if make is gd.GDClassifier else {}
    whole = make((4,), epochs=5, batch_size=8, random_state=0).fit(X, y)
    parts = make((4,), batch_size=8, random_state=0)
    for _ in range(5):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, y, **classes)))
    same(parts, whole, rtol=1e-9)
    assert parts.n_iter_ == 5
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-9)
    assert [record["epoch"] for record in parts.history_.records] == [1, 2, 3, 4, 5]


def test_the_first_pass_sets_the_units_of_targets():
    X, y = samples(gd.GDRegressor)
    model = gd.GDRegressor(lr=0.05, random_state=0).partial_fit(X[:1], y[:1])
    for _ in range(200):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.95
    with pytest.raises(ValueError, match="y: expected 1 targets a sample, as before, got 2"):
        model.partial_fit(X, X[:, :2])


def test_passes_know_their_classes():
    X, y = samples(gd.GDClassifier)
    names = np.array(["a", "b", "c"])
    model = gd.GDClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes: expected all classes in the first call"):
        model.partial_fit(X, names[y])
    model.partial_fit(X[y == 1], names[y[y == 1]], classes=names, sample_weight=X[y == 1, 0] ** 2)
    assert model.predict_proba(X).shape == (60, 3)
    with pytest.raises(ValueError, match="y: expected classes among"):
        model.partial_fit(X, np.full(60, "d"))
    with pytest.raises(ValueError, match="classes: expected those of the first call"):
        model.partial_fit(X, names[y], classes=["a", "b"])
    with pytest.raises(ValueError, match="class_weight: expected None or a dict for partial_fit"):
        gd.GDClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="schedule: expected a function of the step for partial_fit"):
        gd.GDClassifier(schedule="cosine").partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("make", BOTH)
def test_a_warm_start_begins_where_the_fit_before_ended(make):
    X, y = samples(make)
    plain = {"optimizer": "sgd", "batch_size": 60, "lr": 0.05, "random_state": 0}
    whole = make((4,), epochs=10, **plain).fit(X, y)
    warm = make((4,), epochs=5, warm_start=True, **plain).fit(X, y)
    same(warm.fit(X, y), whole, rtol=1e-9)
    for w, b in zip(warm.fit(X, y).set_params(epochs=0).coefs_, warm.fit(X, y).coefs_, strict=True):
        np.testing.assert_allclose(w, b, rtol=1e-12)
    with pytest.raises(ValueError, match="warm_start: expected the network of the fit before"):
        warm.set_params(hidden=3).fit(X, y)


def test_a_warm_start_needs_the_same_classes():
    X, y = samples(gd.GDClassifier)
    model = gd.GDClassifier(epochs=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="y: expected the classes of the fit before"):
        model.fit(X, y + 1)


# what is asked and told


@pytest.mark.parametrize("make", BOTH)
def test_the_run_ends_where_the_loss_stands_still(make):
    X, y = samples(make)
    model = make(epochs=500, tol=1e-3, n_iter_no_change=4, random_state=0, lr=0.05).fit(X, y)
    curve = np.array(model.loss_curve_)
    assert model.history_.stopped == "tol"
    assert model.n_iter_ == len(curve) < 500
    assert model.best_loss_ == curve.min()
    best = np.minimum.accumulate(curve)
    still = curve[1:] > best[:-1] - 1e-3
    assert still[-4:].all()
    assert not any(still[i : i + 4].all() for i in range(len(still) - 4))


@pytest.mark.parametrize("make", BOTH)
def test_validation_scores_are_those_of_the_samples_held_back(make):
    X, y = samples(make)
    model = make((3,), epochs=6, patience=6, random_state=0).fit(X, y, np.arange(60))
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == 6
    assert model.best_validation_score_ == max(scores) <= 1
    assert make(epochs=1).fit(X, y).validation_scores_ is None


def test_coefficients_of_all_layers():
    X, y = samples(gd.GDClassifier)
    model = gd.GDClassifier(5, epochs=1).fit(X, y)
    assert [w.shape for w in model.coefs_] == [(4, 5), (5, 3)]
    assert [b.shape for b in model.intercepts_] == [(5,), (3,)]
    with pytest.raises(AttributeError, match="coef_: expected no hidden layers"):
        model.coef_  # noqa: B018
    model.set_params(random_state=0)
    same(model.fit(X, y), gd.GDClassifier((5,), epochs=1, random_state=0).fit(X, y))


def test_log_probabilities_are_exact_where_probabilities_are_zero():
    X, y = samples(gd.GDClassifier)
    for labels in (y, y > 1):
        model = gd.GDClassifier(epochs=20, random_state=0).fit(X, labels)
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12)
        assert np.isfinite(model.predict_log_proba(1e5 * X)).all()


@pytest.mark.parametrize("make", BOTH)
def test_optimizers_by_name_class_and_partial(make):
    X, y = samples(make)
    given = {"epochs": 3, "random_state": 0, "hidden": 3}
    named = make(**given).fit(X, y)
    same(make(optimizer=gd.Adam, **given).fit(X, y), named)
    same(make(optimizer=partial(gd.Adam, lr=0.002), **given).fit(X, y), named)
    same(make(optimizer=lambda groups: gd.Adam(groups, lr=0.002), **given).fit(X, y), named)
    other = make(optimizer=partial(gd.Adam, betas=(0.5, 0.9)), **given).fit(X, y)
    assert (other.coefs_[0] != named.coefs_[0]).any()
    decayed = make(optimizer=gd.AdamW, lr=0.002, **given).fit(X, y)
    same(decayed, make(weight_decay=0.01, **given).fit(X, y))
    for wrong, error in ((gd.Adam(np.zeros(2), lr=0.1), ValueError), (lambda _, **__: {}, TypeError)):
        with pytest.raises(error, match="optimizer: expected one of"):
            make(optimizer=wrong, **given).fit(X, y)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_by_name_are_those_of_the_command_line(name):
    X, y = samples(gd.GDRegressor)
    given = {"epochs": 4, "batch_size": 8, "random_state": 0, "lr": 0.01}
    schedule = SCHEDULES[name][0]
    made = None if schedule is None else schedule(0.01, 4 * 8)
    same(gd.GDRegressor(schedule=name, **given).fit(X, y), gd.GDRegressor(schedule=made, **given).fit(X, y))
    with pytest.raises(ValueError, match="schedule: expected a function of the step, or one of 'constant'"):
        gd.GDRegressor(schedule="adaptive").fit(X, y)


def test_the_classifier_takes_what_the_regressor_takes_and_class_weight():
    ours, theirs = (dict(signature(make.__init__).parameters) for make in BOTH)
    assert theirs.pop("class_weight").default is None
    assert {name: p.default for name, p in ours.items()} == {name: p.default for name, p in theirs.items()}
    for name, parameter in ours.items():
        if name != "self":
            assert gd.GDClassifier(**{name: "kept"}).get_params()[name] == "kept", parameter
