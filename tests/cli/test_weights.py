"""gdcore train --weights and --class-weight: a weight is how often a row is there."""

import json

import numpy as np
import pytest

from gdcore.cli.judgement import judged

pl = pytest.importorskip("polars")


def rows(n=40):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, n))
    kind = np.where(a + rng.standard_normal(n) > 0.8, "yes", "no")
    return pl.DataFrame({"a": a, "b": b, "kind": kind, "y": a - 2 * b, "w": rng.integers(1, 4, n)})


def events(gdc, *argv):
    status, out, err = gdc("train", *argv, "--json", "--epochs", 5, "--batch-size", 1000)
    assert status == 0, err
    return [json.loads(line) for line in out.splitlines()]


def same_course(one, other):
    assert len(one) == len(other) == 7
    for left, right in zip(one[1:-1], other[1:-1], strict=True):
        keys = left.keys() - {"seconds", "event"}
        assert keys == right.keys() - {"seconds", "event"}
        for key in keys:
            assert left[key] == pytest.approx(right[key], rel=1e-6), key


def test_a_weight_is_how_often_a_row_is_there(gdc):
    table = rows().with_columns(c=(pl.col("a") > 0).cast(pl.String))
    table.with_columns(pl.col("w") * 2.5).write_csv("weighed.csv")
    table.select(pl.all().repeat_by("w").explode()).write_csv("repeated.csv")
    # Of kinds, as numbers are standardised by the rows as they are.
    plain = ("--target", "kind", "--validation", 0, "--features", "c")
    weighed = events(gdc, "weighed.csv", *plain, "--weights", "w")
    same_course(weighed, events(gdc, "repeated.csv", *plain))
    assert weighed[0]["features"] == ["c=false", "c=true"]


def test_a_weighted_line_is_that_of_weighted_least_squares(gdc):
    table = rows().with_columns(y=pl.col("a") ** 2)
    table.write_csv("t.csv")
    course = ("--optimizer", "momentum", "--lr", 0.1, "--epochs", 300, "--batch-size", 100, "--validation", 0)
    argv = ("t.csv", "--target", "y", "--features", "a,b", "--weights", "w", *course, "--json")
    status, out, err = gdc("train", *argv)
    assert (status, err) == (0, "")
    x, root = np.column_stack([table["a"], table["b"], np.ones(40)]), np.sqrt(table["w"].to_numpy())
    y = table["y"].to_numpy()
    left = x @ np.linalg.lstsq(root[:, None] * x, root * y)[0] - y
    best = np.sqrt(np.average(left**2, weights=root**2))
    assert json.loads(out.splitlines()[-1])["rmse"] == pytest.approx(best, rel=1e-6)


def test_weights_that_are_alike_change_nothing(gdc):
    rows().with_columns(w=pl.lit("3.5")).write_csv("alike.csv")
    for target in ("y", "kind"):
        plain = events(gdc, "alike.csv", "--target", target, "--exclude", "w")
        same_course(events(gdc, "alike.csv", "--target", target, "--weights", "w"), plain)


def test_the_column_of_weights_is_no_feature(gdc):
    rows().write_csv("t.csv")
    start = events(gdc, "t.csv", "--target", "y", "--weights", "w")[0]
    assert start["features"] == ["a", "b", "kind=no", "kind=yes"]
    status, out, _ = gdc("train", "t.csv", "--target", "y", "--weights", "w", "--epochs", 1, "--output", "m.npz")
    assert status == 0
    assert "\n  weights: 'w'\n" in out
    rows().drop("w").write_csv("new.csv")
    assert gdc("predict", "m.npz", "new.csv")[0] == 0


def test_class_weights_are_weights_of_rows(gdc):
    table = rows()
    table.with_columns(w=pl.when(pl.col("kind") == "yes").then(3).otherwise(0.5)).write_csv("t.csv")
    by_row = events(gdc, "t.csv", "--target", "kind", "--weights", "w")
    by_class = events(gdc, "t.csv", "--target", "kind", "--exclude", "w", "--class-weight", "no=0.5, yes=3")
    same_course(by_class, by_row)
    some = events(gdc, "t.csv", "--target", "kind", "--exclude", "w", "--class-weight", "yes=6")
    same_course(some, by_row)


def test_balanced_classes_weigh_alike(gdc):
    rows().write_csv("t.csv")
    status, out, _ = gdc("train", "t.csv", "--target", "kind", "--class-weight", "balanced", "--epochs", 1)
    assert status == 0
    assert "predicting the parts of the classes alone has loss 0.693147" in out
    assert "\n  class weights: 'no' (" in out
    assert "rows held out, as they weigh, by class" in out


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("-1", "t.csv: column 'w': expected numbers >= 0, got -1.0 for row 1"),
        ("", "t.csv: column 'w': expected a weight in each row, got none in row 1"),
        ("0", "t.csv: column 'w': expected a weight > 0, got zeros alone"),
        ("x", "t.csv: column 'w': expected finite numbers"),
    ],
)
@pytest.mark.parametrize("missing", ["error", "drop", "fill"])
def test_weights_that_are_none_are_refused(gdc, weights, said, missing):
    table = rows()
    w = ["0"] * 40 if weights == "0" else [weights] + ["1"] * 39
    table.with_columns(w=pl.Series(w)).write_csv("t.csv")
    status, _, err = gdc("train", "t.csv", "--target", "y", "--weights", "w", "--missing", missing)
    assert status == 1
    assert said in err


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("--target", "y", "--class-weight", "balanced"), 2, "--class-weight: expected a target of classes"),
        (("--target", "kind", "--class-weight", "ja=2"), 2, "--class-weight: expected classes among 'no', 'yes'"),
        (("--target", "kind", "--class-weight", "no=0,yes=0"), 1, "the rows to train on weigh nothing"),
        (("--target", "kind", "--class-weight", "no=-1"), 2, "expected balanced, or each class once"),
        (("--target", "kind", "--class-weight", "no=1,no=2"), 2, "expected balanced, or each class once"),
        (("--target", "kind", "--class-weight", ""), 2, "expected balanced, or classes as in"),
        (("--target", "y", "--weights", "y"), 2, "--weights: expected columns beside the target, got 'y'"),
        (
            ("--target", "y", "--weights", "w", "--features", "a,w"),
            2,
            "--features: expected columns beside that of",
        ),
        (("--target", "y", "--weights", "q"), 1, "expected a column 'q'"),
    ],
)
def test_what_weights_cannot_be_is_said(gdc, argv, status, said):
    rows().write_csv("t.csv")
    got, _, err = gdc("train", "t.csv", *argv)
    assert (got, said in err) == (status, True), err


def test_the_judgement_is_that_of_repeated_rows():
    rng = np.random.default_rng(1)
    times = rng.integers(1, 5, 30)
    weights = times / times.mean()
    out, y = rng.standard_normal((2, 30))
    kinds = rng.integers(0, 2, 30)
    for targets, classes in ((y, ()), (kinds, ("a", "b"))):
        ours = judged(out, targets, 2.0, classes, weights, held=True)
        theirs = judged(out.repeat(times), targets.repeat(times), 2.0, classes, held=True)
        assert ours.line == theirs.line
        assert ours.warning == theirs.warning
