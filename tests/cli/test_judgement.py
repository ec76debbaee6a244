"""What train says of its result: beside the baseline of the same rows, class by class, beside least squares."""

import re

import numpy as np
import pytest
from sklearn import metrics as peer
from sklearn.linear_model import LinearRegression

from gdcore.cli.judgement import judged

pl = pytest.importorskip("polars")


def written(**columns):
    pl.DataFrame(columns).write_csv("data.csv")
    return "data.csv"


def trained(gdc, data, target, *flags, keep="m.npz"):
    """Run, and return what is printed and what is warned of."""
    status, out, err = gdc("train", data, "--target", target, "--output", keep, *flags)
    assert status == 0
    return out, err


def test_a_regression_is_judged_by_the_rows_that_its_result_is_of():
    rng = np.random.default_rng(0)
    y, unit = rng.standard_normal(30) + 0.5, 7.0
    out = y + 0.3 * rng.standard_normal(30)
    line, table, warning = judged(out, y, unit, (), held=True)
    r2, alone = map(
        float, re.fullmatch("R2 (.*), where .* mean of the same rows alone has RMSE (.*)", line).groups()
    )
    assert r2 == pytest.approx(peer.r2_score(y, out), rel=1e-3)
    assert alone == pytest.approx(unit * np.sqrt(np.mean((y - y.mean()) ** 2)), rel=1e-5)
    assert (table, warning) == ("", "")
    worse = judged(-out, y, unit, (), held=True)
    assert "no better for the rows held out than their mean alone" in worse.warning
    assert judged(-out, y, unit, (), held=False).warning == ""
    assert judged(y[:1], y[:1], unit, (), held=True).line.startswith("predicting the mean")


@pytest.mark.parametrize("count", [2, 3, 10])
def test_classes_are_judged_by_matrix_precision_recall_and_f1(count):
    rng = np.random.default_rng(count)
    names = tuple(f"class {i} with a long name" if i == 1 else f"c{i}" for i in range(count))
    y = np.concatenate([rng.integers(0, count, 80), [0] * 30])
    scores = rng.standard_normal((110, count)) + 2 * np.eye(count)[y]
    predicted = scores.argmax(axis=1)
    line, table, warning = judged(scores if count > 2 else scores[:, 1] - scores[:, 0], y, 1.0, names, held=True)
    assert warning == ""
    assert f"mean F1 {peer.f1_score(y, predicted, average='macro'):.6g}, " in line
    assert f"the most frequent class of the same rows, 'c0', alone has accuracy {np.mean(y == 0):.6g}" in line
    rows = [re.split(r" {2,}", row) for row in table.splitlines()[4:]]
    assert rows[1][0] == "class 1 wit…"
    assert [[int(cell) for cell in row[1 : count + 1]] for row in rows] == peer.confusion_matrix(
        y, predicted
    ).tolist()
    rates = np.transpose(peer.precision_recall_fscore_support(y, predicted)[:3])
    np.testing.assert_allclose([[float(cell) for cell in row[-3:]] for row in rows], rates, atol=5e-5)
    assert [int(row[-4]) for row in rows] == np.bincount(y).tolist()


def test_of_many_classes_the_worst_are_shown():
    y = np.arange(300) % 30
    scores = np.eye(30)[np.where(y < 5, 7, y)]
    table = judged(scores, y, 1.0, tuple(f"c{i:02}" for i in range(30)), held=True).table
    assert "of the 10 classes of 30 with the least F1" in table
    assert {"c00", "c01", "c02", "c03", "c04", "c07"} <= set(re.findall(r"^c\d\d", table, re.MULTILINE))
    assert len(table.splitlines()) == 14


def test_a_class_that_wins_by_being_frequent_is_warned_of(gdc):
    x = np.random.default_rng(0).standard_normal(100)
    data = written(x=x, kind=["yes" if i % 10 == 0 else "no" for i in range(100)])
    _, err = trained(gdc, data, "kind")
    assert "no better for the rows held out than their most frequent class, 'no', alone" in err


def test_the_summary_has_r2_and_the_baseline_of_the_rows_held_out(gdc):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(40), np.arange(40.0) ** 2
    out, _ = trained(gdc, written(x=x, y=y), "y", "--epochs", 20)
    assert re.search(r"the mean alone has RMSE \S+ on the rows to train on\n", out)
    rmse, r2, alone = map(
        float, re.search(r"\nvalidation RMSE (\S+) .*; R2 (\S+), where .* has RMSE (\S+);", out).groups()
    )
    assert r2 == pytest.approx(1 - (rmse / alone) ** 2, abs=1e-3)
    on_train = float(re.search(r"has RMSE (\S+) on the rows", out)[1])
    assert on_train != alone


def test_rows_held_out_are_of_all_classes_in_their_parts(gdc):
    rng = np.random.default_rng(0)
    kinds = rng.permutation(["a"] * 60 + ["b"] * 30 + ["c"] * 9 + ["d"])
    for seed in range(4):
        out, _ = trained(
            gdc, written(x=rng.standard_normal(100), kind=kinds), "kind", "--seed", seed, "--epochs", 1
        )
        rows = dict(re.findall(r"^([abcd]) .* (\d+)(?: +\S+){3}$", out, re.MULTILINE))
        assert rows == {"a": "12", "b": "6", "c": "2", "d": "0"}
    numbers = written(x=rng.standard_normal(100), kind=[1] * 60 + [2] * 30 + [3] * 10)
    out, _ = trained(gdc, numbers, "kind", "--task", "classification", "--epochs", 1)
    assert re.findall(r"^[123] .* (\d+)(?: +\S+){3}$", out, re.MULTILINE) == ["12", "6", "2"]


def test_a_class_of_one_row_is_trained_on(gdc):
    rng = np.random.default_rng(0)
    data = written(x=rng.standard_normal(10), kind=["a"] * 8 + ["b", "c"])
    for seed in range(6):
        out, _ = trained(gdc, data, "kind", "--seed", seed, "--validation", 0.5, "--epochs", 1)
        assert "5 rows to train on, 5 held out" in out
        assert "3 classes" in out


def collinear(rows=70):
    """Columns of which each is nearly the sum of others."""
    rng = np.random.default_rng(0)
    size, rooms = rng.normal(2000, 500, rows), rng.integers(2, 6, rows)
    price = 0.1 * size + 15 * rooms + rng.normal(0, 10, rows)
    return {
        "size": size,
        "rooms": rooms,
        "logsize": np.log(size),
        "assessed": price + rng.normal(0, 5, rows),
        "y": price,
    }


def powers(rows=60):
    t = np.linspace(1, 2, rows)
    return {f"t{i}": t**i for i in range(1, 6)} | {"y": np.sin(6 * t)}


@pytest.mark.parametrize("table", [collinear, powers])
def test_a_linear_fit_far_from_least_squares_says_both_errors(gdc, table):
    columns = table()
    x, y = np.column_stack([columns[name] for name in columns if name != "y"]), columns["y"]
    flags = ("--validation", 0, "--epochs", 50)
    out, err = trained(gdc, written(**columns), "y", *flags)
    ours, best = map(
        float,
        re.search(
            r"the train RMSE is (\S+), and that of the fit by least squares .* rows (\S+?)[;:\n]", err
        ).groups(),
    )
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    assert best == pytest.approx(np.sqrt(np.mean((LinearRegression().fit(z, y).predict(z) - y) ** 2)), rel=1e-5)
    assert f"train RMSE {ours:.6g} " in out
    assert ours > best
    assert re.search(r"try more --epochs", err)
    for explained in (("--l2", 0.1), ("--weight-decay", 0.1), ("--clip", 0.01), ("--hidden", 3)):
        assert "least squares" not in trained(gdc, "data.csv", "y", *flags, *explained, keep="other.npz")[1]


def test_a_linear_fit_that_found_least_squares_says_nothing(gdc):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(100)
    data = written(x=x, y=3 * x + rng.standard_normal(100))
    assert trained(gdc, data, "y")[1] == ""
