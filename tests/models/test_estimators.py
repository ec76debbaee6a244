"""Estimators: what scikit-learn asks of its own, and that they are the models of gdcore."""

import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import gdcore as gd
from gdcore.models import OPTIMIZERS
from gdcore.models.choices import default_epochs
from gdcore.models.holdout import held_out
from gdcore.models.outcome import least_squares

BOTH = [gd.GDRegressor, gd.GDClassifier]

# Most runs below are too short for what they would learn; what is said of that has tests of its own.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def expected_to_fail(estimator):
    """Return what cannot hold: of rows that are repeated some may be held back, a weighted row as a whole only."""
    if estimator.patience is None:
        return {}
    kinds = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": "which rows are held back" for kind in kinds}


@parametrize_with_checks(
    [
        gd.GDRegressor(epochs=200),
        gd.GDClassifier(lr=0.02, epochs=200),
        gd.GDRegressor(hidden=(16,), epochs=200),
        gd.GDClassifier(hidden=(16,), activation="tanh", lr=0.02, epochs=200),
        gd.GDRegressor(hidden=(16,), epochs=100, patience=20),
    ],
    expected_failed_checks=expected_to_fail,
)
def test_scikit_learns_own_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([gd.GDRegressor(), gd.GDClassifier(), gd.GDRegressor(16), gd.GDClassifier(16)])
def test_scikit_learns_own_check_of_the_defaults(estimator, check):
    check(estimator)


def test_targets_that_are_met_exactly_end_a_run_whose_epochs_are_not_told():
    X = np.random.default_rng(0).random((9, 30))
    y, weights = np.arange(9) % 3, np.array([1, 2, 1, 1, 3, 1, 1, 2, 1])
    ours = gd.GDRegressor(random_state=0)
    repeated = clone(ours).fit(X.repeat(weights, axis=0), y.repeat(weights))
    weighed = ours.fit(X, y, weights)
    assert ours.history_.stopped == "exact"
    assert ours.best_loss_ == ours.loss_curve_[-1] <= 1e-12 < ours.loss_curve_[-2]
    np.testing.assert_allclose(repeated.predict(X), weighed.predict(X), rtol=1e-7, atol=1e-9)
    assert clone(ours).set_params(epochs=ours.n_iter_ + 1).fit(X, y, weights).n_iter_ == ours.n_iter_ + 1


def test_linear_regression_with_l2_is_ridge():
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = gd.GDRegressor(optimizer="momentum", lr=0.1, epochs=2000, batch_size=len(y), l2=0.1).fit(X, y)
    theirs = Ridge(alpha=0.1 * len(y) / 2).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-6)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-6)
    assert ours.history_.records[-1]["loss"] == pytest.approx(1 - ours.score(X, y), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_classifier_with_l2_is_logistic_regression(classes):
    X, y = load_iris(return_X_y=True)
    X, y = StandardScaler().fit_transform(X)[y < classes], np.array(["setosa", "versi", "virgin"])[y[y < classes]]
    ours = gd.GDClassifier(optimizer="momentum", lr=0.5, epochs=1500, batch_size=len(y), l2=20 / len(y)).fit(X, y)
    theirs = LogisticRegression(C=1 / 20, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-5)
    assert ours.classes_.tolist() == theirs.classes_.tolist()
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_units_of_the_targets_change_nothing_but_units(hidden):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    units, zeros = np.array([1e6, 1e-3]), np.array([5e6, 1.0])
    small = gd.GDRegressor(hidden, epochs=5, random_state=1).fit(X, y)
    large = gd.GDRegressor(hidden, epochs=5, random_state=1).fit(X, y * units + zeros)
    np.testing.assert_allclose(large.predict(X), small.predict(X) * units + zeros, rtol=1e-9)


def test_predictions_have_the_shape_of_the_targets():
    X = np.random.default_rng(0).standard_normal((30, 3))
    for hidden in ((), (4,)):
        two = gd.GDRegressor(hidden, random_state=0).fit(X, X[:, :2])
        assert two.predict(X).shape == (30, 2)
        one = gd.GDRegressor(hidden, random_state=0).fit(X, X[:, 0])
        assert one.predict(X).shape == (30,)


@pytest.mark.parametrize("make", BOTH)
def test_same_seed_same_model(make):
    X, y = load_iris(return_X_y=True)
    first = make((5,), epochs=3, random_state=3).fit(X, y)
    again = clone(first).fit(X, y)
    other = clone(first).set_params(random_state=4).fit(X, y)
    np.testing.assert_array_equal(first.predict(X), again.predict(X))
    assert any((a != b).any() for a, b in zip(first.model_.params[0], other.model_.params[0], strict=True))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).predict(X), first.predict(X))


@pytest.mark.parametrize("make", BOTH)
def test_only_linear_estimators_have_coefficients(make):
    X, y = load_iris(return_X_y=True)
    estimator = make(epochs=1)
    assert hasattr(estimator.fit(X, y), "coef_")
    assert not hasattr(estimator.set_params(hidden=(3,)).fit(X, y), "coef_")


def test_single_precision_stays_single():
    X, y = load_iris(return_X_y=True)
    classifier = gd.GDClassifier((5,), epochs=3).fit(X.astype(np.float32), y)
    assert classifier.predict_proba(X).dtype == np.float32


def test_patience_ends_the_run_at_the_best_epoch():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 10)), rng.standard_normal(60)
    regressor = gd.GDRegressor((30,), epochs=500, patience=5, lr=0.01, validation_fraction=0.5, random_state=0)
    history = regressor.fit(X, y).history_
    assert history.stopped == "patience"
    assert regressor.n_iter_ == len(history) == history.best["epoch"] + 5
    assert history.monitor == "validation_loss"


def test_the_defaults_are_as_good_as_logistic_regression_on_iris():
    X, y = load_iris(return_X_y=True)
    scores = [
        cross_val_score(make_pipeline(StandardScaler(), model), X, y, cv=5).mean()
        for model in (gd.GDClassifier(random_state=0), LogisticRegression())
    ]
    assert scores[0] >= 0.95
    assert scores[0] >= scores[1] - 0.007  # a sample


@pytest.mark.parametrize(("n", "size", "epochs"), [(10, 64, 3000), (640, 64, 300), (20000, 64, 20), (10, 3, 750)])
def test_by_default_a_run_has_some_steps_and_some_epochs(n, size, epochs):
    assert default_epochs(n, size) == epochs
    if n < 100:
        X = np.arange(n)[:, np.newaxis]
        assert gd.GDRegressor(batch_size=size).fit(X, X[:, 0] % 2).n_iter_ == epochs


@pytest.mark.parametrize("make", BOTH)
def test_public_names_are_those_of_gdcore(make):
    assert make.__module__ == "gdcore"
    assert b"gdcore.models" not in pickle.dumps(make())


# Held out


def test_samples_held_out_are_of_all_classes_in_their_parts():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([3, 5, 8, 9], [60, 30, 9, 1]))
    for seed in range(5):
        held = held_out(100, 20, np.random.default_rng(seed), y)
        assert np.bincount(y[held], minlength=10)[[3, 5, 8, 9]].tolist() == [12, 6, 2, 0]
        np.testing.assert_array_equal(held, held_out(100, 20, np.random.default_rng(seed), y))
    assert (held != held_out(100, 20, np.random.default_rng(0), y)).any()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.floats(0, 1), st.integers(0, 2**32))
def test_each_class_is_held_out_in_its_part_and_keeps_a_sample(counts, part, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    held = round(part * len(y))
    chosen = held_out(len(y), held, np.random.default_rng(seed), y)
    parts = np.bincount(y[chosen], minlength=len(counts))
    assert chosen.sum() == min(held, len(y) - len(counts))
    assert (parts < counts).all()
    if held <= len(y) - len(counts) and min(counts) > 1:
        exact = held * np.array(counts) / len(y)
        assert (parts >= np.minimum(np.floor(exact), np.array(counts) - 1)).all()
    plain = held_out(len(y), held, np.random.default_rng(seed))
    assert plain.sum() == held


def test_patience_watches_a_part_of_each_class(monkeypatch):
    seen = {}

    def noting(value_and_grad, params, data, optimizer, **given):
        seen.update(train=data[1], watched=given["validation"][1])
        return gd.fit(value_and_grad, params, data, optimizer, **given)

    monkeypatch.setattr("gdcore.models.learner.fit", noting)
    y = np.repeat([0, 1, 2], [90, 10, 1])
    X = np.random.default_rng(0).standard_normal((101, 2))
    for seed in range(5):
        gd.GDClassifier(patience=1, epochs=1, validation_fraction=0.2, random_state=seed).fit(X, y)
        assert np.bincount(seen["watched"]).tolist() == [18, 2]
        assert np.bincount(seen["train"]).tolist() == [72, 8, 1]


def test_classes_of_one_sample_each_leave_none_to_watch():
    with pytest.raises(ValueError, match="y: expected a class of two samples or more, to hold one out"):
        gd.GDClassifier(patience=1).fit([[1.0], [2.0], [3.0]], ["a", "b", "c"])


# What is said of a run


def said(estimator, *samples):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(*samples)
    assert all(warning.category is ConvergenceWarning and warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def test_a_run_that_converged_says_nothing():
    X, y = load_diabetes(return_X_y=True)
    assert said(gd.GDRegressor(random_state=0), StandardScaler().fit_transform(X), y) == []
    X, y = load_wine(return_X_y=True)  # which a plane divides, so that the loss falls for ever
    assert said(gd.GDClassifier(random_state=0), StandardScaler().fit_transform(X), y) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 20}, "the train cross-entropy still fell by .* try more epochs or a larger lr"),
        ({"lr": 0.0, "epochs": 2}, "the model is no better than predicting the parts of the classes alone"),
        (
            {"lr": 1.0, "epochs": 30, "batch_size": 5},
            "above its best, .* try a smaller lr, a larger batch_size or a f",
        ),
        ({"epochs": 30, "patience": 20}, "the validation cross-entropy still fell by"),
    ],
)
def test_a_classifier_says_what_is_wrong_and_what_helps(changed, message):
    X, y = load_iris(return_X_y=True)
    (told,) = said(gd.GDClassifier(random_state=0, **changed), X, y)
    assert re.search(message, told)


@pytest.mark.parametrize("units", [1.0, 1e6])
def test_a_linear_fit_far_from_least_squares_says_both_errors(units):
    X, y = load_diabetes(return_X_y=True)  # of spread 0.05: small weights of small steps
    y = units * y
    regressor = gd.GDRegressor(random_state=0)
    (told,) = said(regressor, X, y)
    ours, best = (
        np.sqrt(np.mean((model.predict(X) - y) ** 2)) for model in (regressor, LinearRegression().fit(X, y))
    )
    assert told.startswith(
        f"the train RMSE is {ours:.6g}, and that of the fit by least squares to the same rows {best:.6g}"
    )
    assert "try more epochs, a larger lr or another optimizer" in told


def test_an_estimator_whose_warning_is_an_error_is_whole():
    X, y = load_diabetes(return_X_y=True)
    regressor = gd.GDRegressor(epochs=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            regressor.fit(X, y)
    np.testing.assert_array_equal(regressor.predict(X), clone(regressor).fit(X, y).predict(X))
    assert regressor.coef_.shape == (10,)


@pytest.mark.parametrize("changed", [{"l2": 1.0}, {"weight_decay": 1.0}, {"max_norm": 0.01}, {"hidden": (2,)}])
def test_what_explains_the_distance_from_least_squares_is_not_warned_of(changed):
    X, y = load_diabetes(return_X_y=True)
    assert not any(
        "least squares" in told for told in said(gd.GDRegressor(random_state=0, epochs=20, **changed), X, y)
    )


def test_least_squares_is_the_best_linear_fit_whatever_the_columns():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3)) * [1e-6, 1.0, 1e9] + [0.0, 1e6, 0.0]
    x = np.column_stack([x, x[:, 0] + x[:, 2], np.ones(50)])  # dependent, and constant
    for y in (rng.standard_normal(50), 1e3 + rng.standard_normal((50, 2))):
        best = (
            LinearRegression().fit(StandardScaler().fit_transform(x), y).predict(StandardScaler().fit_transform(x))
        )
        assert least_squares(x, y) == pytest.approx(np.sqrt(np.mean((best - y) ** 2)), rel=1e-9)


def test_least_squares_is_no_measure_where_it_meets_any_targets_or_costs_too_much():
    assert least_squares(np.eye(3), np.arange(3.0)) is None
    assert least_squares(np.broadcast_to(1.0, (30_000, 1000)), np.zeros(30_000)) is None
    assert least_squares(np.array([[1e308], [-1e308], [0.0]]), np.arange(3.0)) is None


def test_estimators_work_inside_pipelines_and_searches():
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), gd.GDClassifier((10,), lr=0.01, epochs=50, random_state=0)),
        {"gdclassifier__l2": [0.0, 10.0]},
        cv=3,
    ).fit(X, y)
    assert search.best_params_ == {"gdclassifier__l2": 0.0}
    assert search.score(X, y) > 0.95
    X, y = load_diabetes(return_X_y=True)
    regressor = make_pipeline(StandardScaler(), gd.GDRegressor(random_state=0))
    assert cross_val_score(regressor, X, y).mean() > 0.4


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"hidden": "5"}, TypeError, "hidden: expected an int or a tuple of ints, got '5'"),
        ({"hidden": (0,)}, ValueError, "sizes: expected two ints >= 1 or more"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer: expected one of 'sgd', .* got 'lbfgs'"),
        ({"lr": -1.0}, ValueError, "lr: expected"),
        ({"epochs": -1}, ValueError, "epochs: expected an int >= 0, got -1"),
        ({"patience": 1, "validation_fraction": 1.0}, ValueError, r"validation_fraction: expected .* in \(0, 1\)"),
        ({"activation": "gelu"}, ValueError, "activation: expected one of"),
    ],
)
@pytest.mark.parametrize("make", BOTH)
def test_parameters_out_of_range_are_refused(make, changed, error, said):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(error, match=said):
        make(**changed).fit(X, y)


def test_validation_needs_samples_beside_it():
    with pytest.raises(ValueError, match="X: expected samples beside 1 for validation, got n_samples = 1"):
        gd.GDRegressor(patience=1).fit([[1.0]], [1.0])


# without scikit-learn


def test_importing_gdcore_needs_no_scikit_learn():
    program = (
        "import sys\n"
        "sys.modules['sklearn'] = None\n"
        "from gdcore import *\n"
        "import gdcore as gd\n"
        "assert not hasattr(gd, 'Regressor')\n"
        "try:\n"
        "    gd.GDRegressor\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "estimators need scikit-learn 1.6 or newer: pip install 'gdcore[sklearn]'\n"


def test_a_fit_that_fails_leaves_the_one_before():
    x = np.random.default_rng(0).standard_normal((40, 2))
    net = gd.GDClassifier(epochs=2, random_state=0).fit(x, np.arange(40) % 3)
    with pytest.raises(ValueError, match="batch_size"):
        net.set_params(batch_size=0).fit(x, np.arange(40) % 5)
    assert net.predict_proba(x).shape == (40, len(net.classes_)) == (40, 3)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"optimizer": ["adam"]}, ValueError, r"optimizer: expected one of .*, got \['adam'\]"),
        (
            {"validation_fraction": "x", "patience": 1},
            TypeError,
            "validation_fraction: expected a number > 0, got 'x'",
        ),
    ],
)
def test_parameters_of_another_type_are_named(changed, error, said):
    with pytest.raises(error, match=said):
        gd.GDRegressor(**changed).fit(np.ones((4, 1)), np.arange(4.0))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("hidden", [(), (3,)])
def test_ctrl_c_ends_what_called_fit_and_leaves_the_estimator_whole(kind, hidden):
    X = np.random.default_rng(0).standard_normal((40, 2))
    y = (X[:, 0] > 0).astype(int)

    def interrupting(step):
        if step == 25:
            raise KeyboardInterrupt
        return 0.01

    estimator = kind(hidden=hidden, schedule=interrupting, batch_size=4, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert (estimator.history_.stopped, estimator.n_iter_) == ("interrupted", 2)
    assert estimator.predict(X).shape == (40,)
    assert np.isfinite(estimator.score(X, y))
    search = GridSearchCV(estimator, {"lr": [0.1, 0.2]}, cv=2, error_score="raise")
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_comes_to_the_least_squares_at_its_own_rate(optimizer):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.standard_normal(200)
    best = LinearRegression().fit(X, y).score(X, y)
    assert gd.GDRegressor(optimizer=optimizer, epochs=400, random_state=0).fit(X, y).score(X, y) > best - 0.005
