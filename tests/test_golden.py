"""The worked example y = 2x + 30, and steps of rules, held to figures that other programs wrote down."""

import json
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from gdcore.cli import example as worked_example

GOLDEN = json.loads((Path(__file__).parent / "golden" / "line_fit.json").read_text("utf-8"))


STEPS = [
    run
    for path in sorted((Path(__file__).parent / "golden").glob("torch_*.json"))
    for run in json.loads(path.read_text("utf-8"))
]  # made by torch_steps.py, which lies beside them


def settings(run):
    return {name: value for name, value in run.items() if name not in ("optimizer", "epochs")}


def title(run):
    return f"{run['optimizer']}-{settings(run)}"


@pytest.mark.parametrize("run", GOLDEN["runs"], ids=title)
def test_the_line_fit_is_reproduced(run):
    history = worked_example.follow(getattr(gd, run["optimizer"]), settings(run), len(run["epochs"]))
    assert len(history) == len(run["epochs"]) >= 5
    columns = history.to_dict()
    expected = {key: [epoch[key] for epoch in run["epochs"]] for key in run["epochs"][0]}
    assert columns["epoch"] == expected["epoch"]
    for ours, theirs in (("a", "a"), ("b", "b"), ("rmse", "full_rmse")):
        np.testing.assert_allclose(columns[ours], expected[theirs], rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(columns["loss"]), expected["online_rmse"], rtol=0, atol=1e-9)


def test_the_worked_example_has_the_golden_data_and_settings():
    assert worked_example.X.tolist() == GOLDEN["x"]
    np.testing.assert_array_equal(worked_example.Y, 2 * np.array(GOLDEN["x"]) + 30)
    known = [(run["optimizer"], settings(run)) for run in GOLDEN["runs"]]
    for name, (kind, values) in worked_example.STEPPERS.items():
        assert kind.__name__ == name
        assert (name, json.loads(json.dumps(dict(values)))) in known
    assert list(worked_example.STEPPERS) == ["SGD", "Momentum", "RMSProp", "Adam"]
    assert max(len(run["epochs"]) for run in GOLDEN["runs"]) == worked_example.EPOCHS


@pytest.mark.parametrize("name", worked_example.STEPPERS)
def test_every_optimizer_closes_in_on_the_line(name):
    kind, values = worked_example.STEPPERS[name]
    errors = worked_example.follow(kind, values, 1000).to_dict()["rmse"]
    assert errors[-1] < 4.0
    assert errors[-1] < 0.25 * errors[4]


@pytest.mark.parametrize("run", STEPS, ids=lambda run: f"{run['optimizer']}-{run['hyperparameters']}")
def test_steps_are_those_of_torch(run):
    w = np.array([1.0, -2.0, 0.5])
    opt = getattr(gd, run["optimizer"])(w, **run["hyperparameters"])
    points = {}
    for t in range(1, 151):
        opt.step(np.array([((7 * t + 3 * i) % 11 - 5) / 8 for i in range(3)]))
        if str(t) in run["points"]:
            points[str(t)] = w.copy()
    assert points.keys() == run["points"].keys()
    for t, point in run["points"].items():
        np.testing.assert_allclose(points[t], point, rtol=1e-12, atol=1e-12)
