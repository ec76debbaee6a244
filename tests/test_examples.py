"""The examples reach what their text says."""

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest

from gdcore.cli import example as worked_example

ROOT = Path(__file__).parents[1]
PATHS = sorted(ROOT.glob("examples/*.py"))


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_line_fit_by_gates_is_the_worked_example_by_hand():
    found = load("line_fit").main()
    assert list(found) == list(worked_example.STEPPERS)
    for name, (kind, values) in worked_example.STEPPERS.items():
        last = worked_example.follow(kind, values, epochs=50).records[-1]
        np.testing.assert_allclose(found[name], (last["a"], last["b"], last["rmse"]), rtol=1e-9)


def test_digits_are_read_after_less_than_30_epochs(capsys):
    main = load("digits").main
    assert inspect.signature(main).parameters["epochs"].default < 30
    assert main() >= 0.97
    assert "#" in capsys.readouterr().out


def test_two_epochs_of_convolutions_read_nine_of_ten_digits(capsys):
    assert load("convolution").main(epochs=2) > 0.9
    assert "Of 450 images held back" in capsys.readouterr().out


@pytest.mark.slow
def test_convolutions_read_more_than_985_of_1000_unseen_digits():
    main = load("convolution").main
    assert np.mean([main(seed=seed) for seed in range(4)]) > 0.985


def test_an_lstm_begins_by_guessing_and_learns_what_is_frequent(capsys):
    before, after = load("character_lstm").main(steps=30)
    assert abs(before - np.log(len(set((ROOT / "README.md").read_text("utf-8"))))) < 0.3
    assert after < before - 1


@pytest.mark.slow
def test_an_lstm_learns_to_write(capsys):
    before, after = load("character_lstm").main()
    assert after < before - 2.5
    assert capsys.readouterr().out.count("gdcore") >= 4


def test_logistic_regression_meets_scikit_learns_optimum():
    assert load("logistic_regression").main() < 1e-5


def test_evolution_strategies_learn_to_balance():
    before, after = load("evolution_strategies").main()
    assert before < 0.2
    assert after > 0.95


def test_error_bars_cover_the_truth():
    example = load("physical_model")
    pulls = []
    for seed in range(12):
        params, covariance, gauss_newton = example.main(seed)
        errors = np.sqrt(np.diag(covariance))
        pulls.append((params - example.TRUTH) / errors)
        np.testing.assert_allclose(gauss_newton, covariance, atol=0.05 * np.outer(errors, errors).max())
        np.testing.assert_allclose(np.sqrt(np.diag(gauss_newton)), errors, rtol=0.03)
    assert np.abs(pulls[0]).max() < 3
    # The mean of 48 squared normal numbers is 1 +- 0.2, were they independent.
    assert 0.4 < np.mean(np.square(pulls)) < 1.8


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_examples_fit_on_a_page_and_are_listed(path):
    assert len(path.read_text().splitlines()) <= 80
    assert f"(examples/{path.name})" in (ROOT / "README.md").read_text()
