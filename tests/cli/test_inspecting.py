"""What a run says to programs and of a model: --json, --quiet, --test, standard input, inspect and sample."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd

pytest.importorskip("polars")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def houses(gdc):
    assert gdc("sample", "houses.csv")[0] == 0
    return "houses.csv"


@pytest.fixture
def stdin(monkeypatch):
    def give(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return give


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/start.md"])
def test_the_commands_for_a_table_run_as_they_stand(gdc, page):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    block = next(block for block in blocks if "gdcore sample houses.csv" in block)
    lines = [line.removeprefix("gdcore ").split() for line in block.splitlines() if line.startswith("gdcore ")]
    assert [line[0] for line in lines if line[0] != "inspect"] == ["sample", "train", "predict"]
    for line in lines:
        status, out, _ = gdc(*line)
        assert (status, bool(out)) == (0, line[0] != "sample")
        made = [line[i + 1] for i in range(len(line)) if line[i] in {"--output", "--plot"}]
        assert all(Path(name).exists() for name in made)


def test_coefficients_are_in_the_units_of_the_table(gdc):
    rng = np.random.default_rng(0)
    a, k = rng.uniform(100, 200, 60), rng.integers(0, 2, 60)
    y = 3 * a + np.array([10.0, 50.0])[k] - 7
    Path("t.csv").write_text(
        "a,k,same,y\n" + "".join(f"{u},{'pq'[v]},1,{w}\n" for u, v, w in zip(a, k, y, strict=True)), "utf-8"
    )
    gdc("train", "t.csv", "--target", "y", "--validation", 0, "--schedule", "cosine", "--output", "m.npz")
    out = gdc("inspect", "m.npz")[1]
    found = {line.split()[0]: float(line.split()[1]) for line in out.split("coefficient\n")[1].splitlines()}
    assert list(found) == ["intercept", "a", "same", "k=p", "k=q"]
    assert found["a"] == pytest.approx(3, abs=1e-2)
    assert found["k=q"] - found["k=p"] == pytest.approx(40, abs=1e-2)
    assert found["intercept"] + found["k=p"] == pytest.approx(3, abs=0.5)
    assert found["same"] == 0
    assert re.search(r"^same +1 +1 +a number, constant in training: of no use$", out, re.MULTILINE)


def test_inspect_tells_of_classes_nets_and_how_it_was_trained(gdc, houses):
    argv = ("train", houses, "--missing", "fill", "--epochs", 2, "--output")
    gdc(*argv, "two.npz", "--target", "garden", "--test", houses)
    out = gdc("inspect", "two.npz")[1]
    assert out.startswith("two.npz: predicts 'garden', one of 2 classes: 'no', 'yes'\n  data: 192 rows to")
    for line in (
        "  run: adam, lr 0.002",
        "  result: validation accuracy",
        "  test: houses.csv: accuracy",
        "log odds of 'yes' against 'no'",
    ):
        assert f"\n{line}" in out
    assert re.search(r"^town +- +-  4 kinds: Aarau, Basel, Bern, Chur$", out, re.MULTILINE)
    gdc(*argv, "four.npz", "--target", "town")
    assert "for Aarau     for Basel      for Bern      for Chur\n" in gdc("inspect", "four.npz")[1]
    gdc(*argv, "net.npz", "--target", "price", "--hidden", "5,3")
    assert gdc("inspect", "net.npz")[1].endswith("a net of 13 -> 5 -> 3 -> 1 units (relu), 92 weights, float64\n")
    status, _, err = gdc("inspect", houses)
    assert (status, err.count("\n")) == (1, 1)


def test_inspect_tells_what_rows_weighed(gdc, houses):
    argv = ("train", houses, "--target", "garden", "--missing", "fill", "--epochs", 2, "--output", "m.npz")
    gdc(*argv)
    assert "weights:" not in gdc("inspect", "m.npz")[1]
    said = gdc(*argv, "--weights", "area", "--class-weight", "no=1,yes=3")[1]
    out = gdc("inspect", "m.npz")[1]
    for line in ("  weights: 'area'", "  class weights: 'no' (1), 'yes' (3)"):
        assert f"\n{line}\n" in said
        assert f"\n{line}\n" in out
    gdc(*argv, "--class-weight", "balanced")
    assert re.search(r"\n  class weights: 'no' \([\d.]+\), 'yes' \([\d.]+\)\n", gdc("inspect", "m.npz")[1])


def test_json_is_an_object_a_line(gdc, houses):
    argv = ("train", houses, "--target", "price", "--missing", "drop", "--epochs", 60, "--test", houses, "--json")
    status, out, _ = gdc(*argv)
    start, *epochs, end = map(json.loads, out.splitlines())
    assert status == 0
    assert (start["event"], start["target"], start["epochs"], start["data"]) == ("start", "price", 60, houses)
    assert [one["epoch"] for one in epochs] == [*range(1, 61)]
    assert (end["event"], end["stopped"], end["rmse"]) == ("end", "epochs", epochs[-1]["rmse"])
    assert end["test_rows"] == 233
    kept = gdc(*argv, "--patience", 1, "--lr", 1.0)[1].splitlines()
    best = json.loads(kept[-1])
    assert best["validation_rmse"] == min(json.loads(line)["validation_rmse"] for line in kept[1:-1])


def test_quiet_prints_warnings_and_errors_only(gdc, houses):
    status, out, err = gdc("train", houses, "--target", "price", "--missing", "fill", "--epochs", 2, "--quiet")
    assert (status, out) == (0, "")
    assert "gdcore: warning: " in err
    status, _, err = gdc("train", houses, "--target", "price", "--quiet", "--json")
    assert (status, err) == (2, "gdcore: error: --quiet: expected without --json, which says all that is said\n")


def test_test_is_the_score_that_predict_gives(gdc, houses):
    out = gdc("train", houses, "--target", "price", "--missing", "fill", "--test", houses, "--output", "m.npz")[1]
    told = gdc("predict", "m.npz", houses)[2]
    assert out.endswith(f"\nhouses.csv: {told}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,y\n", "--test: expected at least 1 row below the header, got 0 in test.csv"),
        ("a\n1\n", "test.csv: expected a column 'y', got 'a'"),
        ("a,y\nx,1\n", "test.csv: column 'a': expected finite numbers, got 'x' in row 1"),
        (None, "test.csv: No such file or directory"),
    ],
)
def test_a_test_that_cannot_be_used_is_refused_before_a_step(gdc, content, said):
    Path("t.csv").write_text("a,y\n" + "".join(f"{i},{2 * i}\n" for i in range(9)), "utf-8")
    if content is not None:
        Path("test.csv").write_text(content, "utf-8")
    status, out, err = gdc("train", "t.csv", "--target", "y", "--test", "test.csv")
    assert (status, out) == (1, "")
    assert err.endswith(f"gdcore: error: {said}\n")


def test_a_table_comes_from_standard_input(gdc, houses, stdin):
    argv = ("--target", "price", "--missing", "fill", "--epochs", 2, "--output")
    gdc("train", houses, *argv, "file.npz")
    stdin(Path(houses).read_text("utf-8"))
    assert gdc("train", "-", *argv, "piped.npz")[1].startswith("standard input: 192 rows to train on")
    stdin(Path(houses).read_text("utf-8"))
    assert gdc("predict", "piped.npz", "-") == gdc("predict", "file.npz", houses)
    stdin("a\n1\n")
    assert (
        gdc("train", "-", "--target", "b")[2] == "gdcore: error: standard input: expected a column 'b', got 'a'\n"
    )
    status, _, err = gdc("train", "-", "--target", "b", "--test", "-")
    assert (status, err) == (2, "gdcore: error: DATA: expected a file, as --test reads standard input, got '-'\n")


def test_sample_writes_a_new_file_or_prints(gdc, houses):
    assert gdc("sample")[1] == Path(houses).read_text("utf-8")
    status, _, err = gdc("sample", houses)
    assert (status, err) == (2, "gdcore: error: FILE.csv: expected a new file, got 'houses.csv', which exists\n")


def test_the_worked_example_shows_each_optimizer_arriving(gdc):
    lines = gdc("train")[1].splitlines()
    arrived = [line for line in lines if " after " in line]
    assert [line.split()[0] for line in arrived] == ["SGD", "Momentum", "RMSProp", "Adam"]
    for line in arrived:
        a, b = map(float, re.findall(r"= ([\d.]+)", line))
        assert abs(a - 2) < 1e-3
        assert abs(b - 30) < 1e-3


def test_the_quick_steps_of_the_example_are_those_of_fit():
    from gdcore.cli import example

    for name, (kind, values) in example.STEPPERS.items():
        last = example.follow(kind, values, 3).records[-1]
        line = example.arrived(kind, values, 3, falling=False)
        assert (last["a"], last["b"]) == tuple(line), name
    assert gd.Adam is example.STEPPERS["Adam"][0]
