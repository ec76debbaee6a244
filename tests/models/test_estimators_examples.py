"""The commonest programs of scikit-learn's users, with the estimators of gdcore in place of its own."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris, make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SequentialFeatureSelector
from sklearn.impute import SimpleImputer
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import brier_score_loss, make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier

import gdcore as gd

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSIFIER = gd.GDClassifier(lr=0.05, epochs=20, random_state=0)
REGRESSOR = gd.GDRegressor(lr=0.05, epochs=20, random_state=0)
TEXTS = [f"{kind} {word}" for kind in ("good", "bad") for word in ("film", "book", "song", "play", "day", "night")]


@pytest.fixture(scope="module")
def classes():
    return train_test_split(*make_classification(240, 8, n_informative=5, random_state=0), random_state=0)


@pytest.fixture(scope="module")
def numbers():
    return train_test_split(*make_regression(200, 5, noise=5.0, random_state=0), random_state=0)


def test_a_pipeline_of_a_frame_with_missing_values_and_kinds():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(120) < 0.1, np.nan, rng.uniform(1, 80, 120)),
            "fare": rng.exponential(30, 120),
            "port": rng.choice(["C", "Q", "S"], 120),
        }
    )
    y = np.where((frame["fare"] > 25) | (frame["port"] == "Q"), "yes", "no")
    numeric = Pipeline([("imputer", SimpleImputer(strategy="median")), ("scaler", StandardScaler())])
    columns = ColumnTransformer(
        [("num", numeric, ["age", "fare"]), ("cat", OneHotEncoder(handle_unknown="ignore"), ["port"])],
        sparse_threshold=1.0,
    )
    model = Pipeline([("columns", columns), ("classifier", CLASSIFIER)])
    search = GridSearchCV(
        model,
        {"columns__num__imputer__strategy": ["mean", "median"], "classifier__l2": [0.0, 0.1]},
        cv=3,
        scoring="roc_auc",
    ).fit(frame, y)
    assert search.best_score_ > 0.7
    assert set(search.predict(frame)) == {"no", "yes"}
    assert list(search.best_estimator_[:-1].get_feature_names_out()) == [
        "num__age", "num__fare", "cat__port_C", "cat__port_Q", "cat__port_S",
    ]  # fmt: skip


def test_a_pipeline_of_texts_is_sparse_throughout():
    y = np.repeat([1, 0], 6)
    model = make_pipeline(TfidfVectorizer(), gd.GDClassifier(lr=0.1, epochs=50, random_state=0)).fit(TEXTS, y)
    assert model.score(TEXTS, y) == 1
    assert model.predict(["bad good bad bad"]) == [0]
    online, vectors = gd.GDClassifier(lr=0.1, random_state=0), HashingVectorizer(n_features=2**10)
    for _ in range(20):
        for part in (slice(0, 12, 2), slice(1, 12, 2)):
            online.partial_fit(vectors.transform(TEXTS[part]), y[part], classes=[0, 1])
    assert online.score(vectors.transform(TEXTS), y) == 1


def test_searches(classes):
    X, X_test, y, y_test = classes
    pipe = Pipeline([("scale", StandardScaler()), ("pca", PCA()), ("net", CLASSIFIER)])
    grid = {"pca__n_components": [3, 6], "net__hidden": [(), 8], "net__optimizer": ["adam", gd.Momentum]}
    search = GridSearchCV(pipe, grid, cv=2, scoring={"f1": "f1", "loss": "neg_log_loss"}, refit="f1").fit(X, y)
    assert search.score(X_test, y_test) > 0.6
    assert np.isfinite(search.cv_results_["mean_test_loss"]).all()
    drawn = RandomizedSearchCV(pipe, {"net__lr": [0.01, 0.1], "net__schedule": [None, "cosine"]}, n_iter=3, cv=2)
    assert drawn.fit(X, y).best_params_["net__lr"] in (0.01, 0.1)
    halving = HalvingGridSearchCV(CLASSIFIER, {"lr": [0.001, 0.01, 0.1]}, cv=2, random_state=0)
    assert halving.fit(X, y).n_iterations_ > 1
    halving.set_params(resource="epochs", min_resources=2, max_resources=6).fit(X, y)
    assert halving.best_estimator_.n_iter_ == 6


def test_frames_go_through_a_pipeline_and_come_out(classes):
    X, _, y, _ = classes
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(8)])
    pipe = make_pipeline(StandardScaler(), PCA(3), CLASSIFIER).set_output(transform="pandas")
    assert list(pipe.fit(frame, y)[:-1].transform(frame).columns) == ["pca0", "pca1", "pca2"]
    assert list(pipe[-1].feature_names_in_) == ["pca0", "pca1", "pca2"]
    with pytest.raises(ValueError, match="feature names should match"):
        pipe[-1].predict(frame.iloc[:, :3])


def test_curves_and_cross_validation(classes):
    X, _, y, _ = classes
    result = cross_validate(CLASSIFIER, X, y, cv=3, scoring=("accuracy", "roc_auc"), return_estimator=True)
    assert len(result["estimator"]) == 3
    assert result["test_roc_auc"].mean() > 0.7
    assert cross_val_predict(CLASSIFIER, X, y, cv=3, method="predict_log_proba").shape == (len(y), 2)
    sizes, train, test = learning_curve(CLASSIFIER, X, y, cv=2, train_sizes=[0.5, 1.0])
    assert len(sizes) == len(train) == len(test) == 2
    train, test = validation_curve(CLASSIFIER, X, y, param_name="l2", param_range=[0.0, 1.0], cv=2)
    assert np.isfinite(train).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(classes, method):
    X, X_test, y, y_test = classes
    weights = np.random.default_rng(0).random(len(y))
    calibrated = CalibratedClassifierCV(CLASSIFIER, method=method, cv=2).fit(X, y, sample_weight=weights)
    p = calibrated.predict_proba(X_test)[:, 1]
    assert brier_score_loss(y_test, p) < 0.25
    assert len(calibration_curve(y_test, p, n_bins=4)) == 2
    tuned = TunedThresholdClassifierCV(CLASSIFIER, scoring="balanced_accuracy", cv=2).fit(X, y)
    assert 0 < tuned.best_threshold_ < 1


def test_stacking_and_voting(classes, numbers):
    X, X_test, y, y_test = classes
    members = [
        ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
        ("net", make_pipeline(StandardScaler(), gd.GDClassifier((8,), lr=0.02, epochs=30, random_state=0))),
        ("line", LogisticRegression()),
    ]
    for final in (CLASSIFIER, LogisticRegression()):
        stack = StackingClassifier(members, final_estimator=final, cv=2).fit(X, y)
        assert stack.score(X_test, y_test) > 0.7
    assert VotingClassifier(members, voting="soft").fit(X, y).score(X_test, y_test) > 0.7
    X, X_test, y, y_test = numbers
    stack = StackingRegressor(
        [("gd", REGRESSOR), ("ridge", Ridge())], final_estimator=make_pipeline(StandardScaler(), REGRESSOR), cv=2
    )
    assert stack.fit(X, y).score(X_test, y_test) > 0.9


def test_boosting_and_bagging(classes, numbers):
    X, X_test, y, y_test = classes
    for ensemble in (AdaBoostClassifier, BaggingClassifier):
        model = ensemble(gd.GDClassifier(8, lr=0.02, epochs=50), n_estimators=3, random_state=0).fit(X, y)
        assert len(model.estimators_) == 3
        assert model.score(X_test, y_test) > 0.7
    X, X_test, y, y_test = numbers
    for ensemble in (AdaBoostRegressor, BaggingRegressor):
        model = ensemble(REGRESSOR, n_estimators=3, random_state=0).fit(X, y)
        assert model.score(X_test, y_test) > 0.9


def test_many_classes_and_many_targets():
    X, y = load_iris(return_X_y=True)
    for several in (OneVsRestClassifier, OneVsOneClassifier):
        assert several(CLASSIFIER).fit(X, y).score(X, y) > 0.8
    both = np.column_stack([y == 0, y == 2]).astype(int)
    assert MultiOutputClassifier(CLASSIFIER).fit(X, both).predict(X).shape == (150, 2)
    assert ClassifierChain(CLASSIFIER).fit(X, both).predict_proba(X).shape == (150, 2)
    wrapped = MultiOutputRegressor(REGRESSOR).fit(X[:, :2], X[:, 2:])
    assert wrapped.score(X[:, :2], X[:, 2:]) > 0.5
    assert REGRESSOR.fit(X[:, :2], X[:, 2:]).score(X[:, :2], X[:, 2:]) > 0.5


def test_features_are_selected_by_coefficients(numbers):
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    assert RFE(REGRESSOR, n_features_to_select=4).fit(X, y).support_.sum() == 4
    assert 0 < SelectFromModel(REGRESSOR).fit(X, y).get_support().sum() < 10
    X, _, y, _ = numbers
    forward = SequentialFeatureSelector(REGRESSOR, n_features_to_select=2, cv=2).fit(X, y)
    assert forward.transform(X).shape == (150, 2)


def test_inspection_and_targets(numbers):
    X, X_test, y, y_test = numbers
    union = FeatureUnion([("pca", PCA(2)), ("poly", PolynomialFeatures(1, include_bias=False))])
    inner = make_pipeline(StandardScaler(), union, REGRESSOR)
    model = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    importance = permutation_importance(model, X_test, y_test, n_repeats=2, random_state=0)
    assert importance.importances_mean.shape == (5,)
    assert partial_dependence(REGRESSOR.fit(X, y), X, [0], grid_resolution=5).average.shape == (1, 5)
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    assert scorer(model, X_test, y_test) < 0


def test_labels_that_are_missing(classes):
    X, _, y, _ = classes
    some = np.where(np.arange(len(y)) % 3 == 0, y, -1)
    assert SelfTrainingClassifier(CLASSIFIER).fit(X, some).score(X, y) > 0.6


def test_metadata_is_routed(classes):
    X, X_test, y, y_test = classes
    weights = np.where(np.arange(len(y)) < 40, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        net = gd.GDClassifier(lr=0.05, epochs=20, random_state=0).set_fit_request(sample_weight=True)
        net.set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        pipe.fit(X, y, sample_weight=weights)
        weighed = make_pipeline(StandardScaler(), gd.GDClassifier(lr=0.05, epochs=20, random_state=0)).fit(X, y)
        assert (pipe[-1].coef_ != weighed[-1].coef_).any()
        search = GridSearchCV(pipe, {"gdclassifier__l2": [0.0, 1.0]}, cv=2).fit(X, y, sample_weight=weights + 0.1)
        assert search.score(X_test, y_test, sample_weight=np.ones(len(y_test))) > 0.6
        result = cross_validate(net, X, y, cv=2, params={"sample_weight": weights})
        assert np.isfinite(result["test_score"]).all()
        bagged = BaggingClassifier(net, n_estimators=2, random_state=0).fit(X, y, sample_weight=weights)
        assert bagged.score(X_test, y_test) > 0.6
        online = gd.GDClassifier().set_partial_fit_request(sample_weight=True, classes=True)
        assert online.get_metadata_routing().partial_fit.requests["sample_weight"]


def test_what_users_look_for_is_there(classes):
    X, _, y, _ = classes
    ours = gd.GDClassifier((4,), epochs=5, patience=5, random_state=0).fit(X, y)
    theirs = MLPClassifier((4,), max_iter=5, early_stopping=True, random_state=0).fit(X, y)
    absent = {name for name in vars(theirs) if name.endswith("_")} - {*dir(ours)}
    assert absent == {"loss_", "n_layers_", "n_outputs_", "out_activation_", "t_"}
    linear = gd.GDClassifier(epochs=5).fit(X, y)
    absent = {name for name in vars(SGDClassifier().fit(X, y)) if name[0] != "_" and name[-1] == "_"} - {
        *dir(linear)
    }
    assert absent == {"t_"}
    assert linear.coef_.shape == LogisticRegression().fit(X, y).coef_.shape == (1, 8)
    assert r2_score(y, ours.predict(X), sample_weight=np.ones(len(y))) <= 1
