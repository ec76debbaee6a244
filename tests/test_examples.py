"""The examples reach what their text says."""

import importlib.util
import inspect
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from gdcore.cli import example as worked_example

ROOT = Path(__file__).parents[1]
PATHS = sorted(ROOT.glob("examples/*.py"))


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_line_fit_by_gates_is_the_worked_example_by_hand():
    axes = Figure().subplots()
    found = load("line_fit").main(axes=axes)
    assert [line.get_label() for line in axes.lines] == list(found)
    assert list(found) == list(worked_example.STEPPERS)
    for name, (kind, values) in worked_example.STEPPERS.items():
        last = worked_example.follow(kind, values, epochs=50).records[-1]
        np.testing.assert_allclose(found[name], (last["a"], last["b"], last["rmse"]), rtol=1e-9)


def test_digits_are_read_after_less_than_30_epochs(capsys):
    main = load("digits").main
    assert inspect.signature(main).parameters["epochs"].default < 30
    figure = Figure()
    assert main(figure=figure) >= 0.97
    assert figure.axes[0].images
    assert "#" in capsys.readouterr().out


def test_two_epochs_of_convolutions_read_nine_of_ten_digits(capsys):
    figure = Figure()
    assert load("convolution").main(epochs=2, figure=figure) > 0.9
    assert [len(axes.images) for axes in figure.axes] == [1] * 16
    assert "Of 450 images held back" in capsys.readouterr().out


@pytest.mark.slow
def test_convolutions_read_more_than_985_of_1000_unseen_digits():
    main = load("convolution").main
    assert np.mean([main(seed=seed) for seed in range(4)]) > 0.985


def test_an_lstm_begins_by_guessing_and_learns_what_is_frequent(capsys):
    axes = Figure().subplots()
    before, after = load("character_lstm").main(steps=30, axes=axes)
    assert axes.lines[0].get_ydata()[0] == before
    assert abs(before - np.log(len(set((ROOT / "README.md").read_text("utf-8"))))) < 0.3
    assert after < before - 1


@pytest.mark.slow
def test_an_lstm_learns_to_write(capsys):
    before, after = load("character_lstm").main()
    assert after < before - 2.5
    assert capsys.readouterr().out.count("gdcore") >= 4


def test_logistic_regression_meets_scikit_learns_optimum():
    axes = Figure().subplots()
    assert load("logistic_regression").main(axes=axes) < 1e-5
    theirs, ours = axes.lines[-1].get_data()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_evolution_strategies_learn_to_balance():
    axes = Figure().subplots()
    before, after = load("evolution_strategies").main(axes=axes)
    best, mean = (line.get_ydata() for line in axes.lines)
    assert np.all(best >= mean)
    assert mean[-1] > mean[0]
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
    assert len(path.read_text("utf-8").splitlines()) <= 80
    assert f"(examples/{path.name})" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_its_example_cell_by_cell_and_runs(path, monkeypatch):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    first, *rest = re.split(
        r"^# %%( \[markdown\])?\n", path.with_suffix(".py").read_text("utf-8"), flags=re.MULTILINE
    )
    said = [("code", first.strip())]
    for marked, part in zip(rest[::2], rest[1::2], strict=True):
        text = re.sub("^# ", "", part, flags=re.MULTILINE) if marked else part
        said.append(("markdown" if marked else "code", text.strip()))
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == said
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    names = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert shown[0].axes[0].lines
    plt.close("all")
