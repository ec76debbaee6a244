"""Models as a whole: trained, judged and kept in one call each."""

import functools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, r2_score

import gdcore as gd

X = np.random.default_rng(0).standard_normal((90, 3))
NUMBERS = X @ [1.0, -2.0, 0.5] + 0.3
CLASSES = (NUMBERS > 0).astype(np.int64) + (NUMBERS > 1)


def mlp(task, outputs, dtype=np.float64):
    return gd.models.MLP((3, 5, outputs), task=task, rng=np.random.default_rng(1), activation="tanh", dtype=dtype)


MODELS = {
    "Linear": (lambda: gd.models.Linear(3), NUMBERS),
    "Logistic": (lambda: gd.models.Logistic(3), (NUMBERS > 0).astype(float)),
    "Softmax": (lambda: gd.models.Softmax(3, 3, dtype=np.float32), CLASSES),
    "MLP": (lambda: mlp("classes", 3), CLASSES),
    "MLP of numbers": (lambda: mlp("regression", 1, np.float32), NUMBERS),
    "Network": (lambda: gd.models.Network((3, 1), "regression"), NUMBERS),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_fitted_as_by_gd_fit(name):
    make, y = MODELS[name]
    model, other = make(), make()
    history = model.fit(X, y, optimizer=functools.partial(gd.Adam, lr=0.02), epochs=4, batch_size=20)
    typed = y.astype(other.dtype) if other.task == "regression" else y
    optimizer = gd.Adam(other.groups(), lr=0.02)
    data = (X.astype(other.dtype), typed)
    arguments = {"epochs": 4, "batch_size": 20, "rng": np.random.default_rng(0), "metrics": other.metrics}
    told = gd.fit(other.value_and_grad, other.params, data, optimizer, **arguments)
    for parts, others in zip(model.params, other.params, strict=True):
        for part, of_other in zip(parts, others, strict=True):
            np.testing.assert_array_equal(part, of_other)
    assert history["loss"] == told["loss"]
    assert history[0].keys() == told[0].keys()


@pytest.mark.parametrize("name", MODELS)
def test_the_score_is_scikit_learns(name):
    make, y = MODELS[name]
    model = make()
    model.fit(pd.DataFrame(X), pd.Series(y), epochs=3, validation=(X[:9].tolist(), y[:9].tolist()))
    score = r2_score if model.task == "regression" else accuracy_score
    assert model.score(X.tolist(), y.tolist()) == pytest.approx(score(y, model.predict(X)), rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_a_model_that_is_loaded_is_the_one_that_was_saved(name, ending, tmp_path):
    make, y = MODELS[name]
    model = make()
    model.fit(X, y, epochs=1)
    model.save(tmp_path / f"model.{ending}")
    for kind in (type(model), gd.models.Network):
        loaded = kind.load(tmp_path / f"model.{ending}")
        assert type(loaded) is type(model)
        assert repr(loaded) == repr(model)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.fit(X, y, epochs=1)


def test_a_file_of_something_else_is_refused(tmp_path):
    gd.save(tmp_path / "run.npz", {"w": np.zeros(2)})
    gd.models.Linear(2).save(tmp_path / "line.npz")
    for kind, name, got in ((gd.models.MLP, "line", "Linear"), (gd.models.Network, "run", "another file")):
        with pytest.raises(gd.CheckpointError, match=f"path: expected a model {kind.__name__} in .*, got {got}"):
            kind.load(tmp_path / f"{name}.npz")


def test_optimizers_are_given_by_name_by_function_or_made():
    outcomes = []
    for optimizer in ("sgd", functools.partial(gd.SGD, lr=gd.models.OPTIMIZERS["sgd"][1]), None):
        model = gd.models.Linear(3)
        given = gd.SGD(model.params, lr=gd.models.OPTIMIZERS["sgd"][1]) if optimizer is None else optimizer
        model.fit(X, NUMBERS, optimizer=given, epochs=2, validation=0.2, accumulate=2)
        outcomes.append(model.params[0][0].tolist())
    assert outcomes[0] == outcomes[1] == outcomes[2]
    with pytest.raises(ValueError, match=r"optimizer: expected one of 'sgd', .* got 'adamm'"):
        gd.models.Linear(3).fit(X, NUMBERS, optimizer="adamm")


def test_without_epochs_a_fit_takes_3000_steps_and_all_samples_at_once_if_asked():
    model = gd.models.Linear(3)
    assert len(model.fit(X, NUMBERS, batch_size=None, optimizer="sgd")) == 3000
    assert model.score(X, NUMBERS) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"data\[0\]: expected at least one sample"):
        model.fit(X[:0], NUMBERS[:0])


def test_a_sample_that_weighs_twice_counts_as_two():
    weights = np.random.default_rng(2).integers(1, 4, len(X))
    model, other = gd.models.Linear(3), gd.models.Linear(3)
    arguments = {"optimizer": functools.partial(gd.SGD, lr=0.1), "epochs": 5, "batch_size": None}
    history = model.fit(X, NUMBERS, weights, **arguments)
    told = other.fit(np.repeat(X, weights, axis=0), np.repeat(NUMBERS, weights), **arguments)
    np.testing.assert_allclose(model.params[0][0], other.params[0][0], rtol=1e-12)
    np.testing.assert_allclose(history["rmse"], told["rmse"], rtol=1e-12)
    with pytest.raises(ValueError, match=r"weights: expected numbers >= 0 of a mean > 0, got a mean of 0\.0"):
        model.fit(X, NUMBERS, 0 * weights)
