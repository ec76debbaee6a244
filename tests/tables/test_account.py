"""What is made of a table: said first, nothing silently; what is left out, and what can be meant in two ways."""

import sys

import numpy as np
import pytest

from gdcore.tables.account import Wishes, account_of
from gdcore.tables.model import TableModel
from gdcore.tables.table import Table

pl = pytest.importorskip("polars")

ROWS = 60
KINDS = ["p", "q", "r"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def frame(**columns):
    a = np.random.default_rng(0).standard_normal(ROWS).round(3)
    return pl.DataFrame({**columns, "a": a, "y": 2 * a + 0.125})


def written(table, name="data.csv"):
    table.write_csv(name) if name.endswith("csv") else table.write_parquet(name)
    return name


def trained(gdc, table, *argv, target="y"):
    data = table if isinstance(table, str) else written(table)
    return gdc("train", data, "--target", target, "--epochs", 1, "--output", "m.npz", *argv)


def refused(result, *said, status=1):
    got, out, err = result
    assert (got, out, err.count("\n")) == (status, "", 1), err
    for part in said:
        assert part in err


def test_what_is_made_of_a_table_is_said_before_the_run(gdc):
    table = frame(
        id=range(ROWS), kind=KINDS * 20, day=[f"2024-01-{1 + i % 28:02}" for i in range(ROWS)],
        price=[f"${1000 * i:,}" for i in range(ROWS)], name=[f"Ann {i}" for i in range(ROWS)], none=[None] * ROWS,
    )  # fmt: skip
    status, out, err = trained(gdc, table)
    assert status == 0
    assert out.splitlines()[:6] == [
        "data.csv: 48 rows to train on, 12 held out; 9 features, target 'y': a number",
        "  numbers: 'a'",
        "  numbers with '$', commas between thousands: 'price'",
        "  kinds: 'kind' (3)",
        "  dates: 'day' (year, month, day, weekday)",
        "  left out: 'id' (counts the rows), 'name' (60 different texts in 60 rows; --categorical keeps it), "
        "'none' (no value in any row)",
    ]
    assert "gdcore: warning: left out: 'id' (counts the rows), 'name' (60 different" in err
    assert TableModel.load("m.npz").columns.names == ("a", "price", "day", "kind")


# Names and numbers of rows

NAMES = {
    "a name a row": [f"Ann {i}" for i in range(ROWS)],
    "nearly": [f"Ann {i % 50}" for i in range(ROWS)],
    "some missing": [f"Ann {i}" if i % 3 else None for i in range(ROWS)],
    "ids": [f"ID-{7919 * i % 10007:05}" for i in range(ROWS)],
    "phones": [f"030 {i} 17" for i in range(ROWS)],
    "addresses": [f"10.0.0.{i}" for i in range(ROWS)],
}


@pytest.mark.parametrize("case", NAMES)
def test_names_are_left_out_and_kept_where_it_is_asked_for(gdc, case):
    table = frame(name=NAMES[case])
    status, out, err = trained(gdc, table)
    assert status == 0
    assert "left out: 'name' (" in err
    assert TableModel.load("m.npz").columns.names == ("a",)
    new = written(frame(name=["new"] * ROWS), "new.csv")
    assert gdc("predict", "m.npz", new) == gdc("predict", "m.npz", "data.csv")
    status, out, err = trained(gdc, table, "--categorical", "name", "--missing", "fill")
    assert status == 0
    assert "kinds: 'name' (" in out
    assert "column 'name' has texts in" in err
    assert "of 12 rows held out that no other row has" in err
    refused(
        trained(gdc, table, "--features", "name,a", "--missing", "fill"),
        "column 'name': expected numbers, or at most",
    )


def test_many_kinds_are_left_out_too(gdc):
    kinds = [f"k{i % 120}" for i in range(600)]
    data = written(pl.DataFrame({"k": kinds, "x": range(600), "y": range(600)}))
    status, _, err = trained(gdc, data)
    assert (status, "left out: 'k' (120 different texts in 600 rows" in err) == (0, True)


def test_rows_held_out_that_have_kinds_of_their_own_are_counted(gdc):
    held = np.random.default_rng(0).permutation(ROWS)[:12]
    kinds = np.array(KINDS * 20)
    kinds[held[:5]] = "z"
    status, _, err = trained(gdc, frame(kind=kinds))
    assert status == 0
    assert err.splitlines()[0] == (
        "gdcore: warning: column 'kind' has texts in 5 of 12 rows held out that no other row has"
    )


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__", "index", "PassengerId", "rownames"])
@pytest.mark.parametrize("numbers", ["counted", "from 1", "shuffled", "of some rows"])
def test_a_column_that_counts_the_rows_is_left_out(gdc, name, numbers):
    shuffled = np.random.default_rng(0).permutation(ROWS)
    values = {
        "counted": range(ROWS),
        "from 1": range(1, 1 + ROWS),
        "shuffled": shuffled,
        "of some rows": 3 * shuffled,
    }
    table = frame(**{"index": values[numbers]}).rename({"index": name})
    status, _, err = trained(gdc, table)
    assert status == 0
    out = numbers != "of some rows" or name in {"", "Unnamed: 0", "__index_level_0__"}
    assert (f"left out: {name!r} (counts the rows)" in err) == out
    assert TableModel.load("m.npz").columns.names == (("a",) if out else (name, "a"))
    if out:
        kept = trained(gdc, table, "--features", f'"{name}",a')
        assert kept[0] == 0
        assert TableModel.load("m.npz").columns.names == (name, "a")


def test_numbers_that_do_not_count_the_rows_are_kept(gdc):
    for name, values in (
        ("t", range(ROWS)),
        ("id", [1, 2] * 30),
        ("", np.linspace(0, 1, ROWS)),
        ("", [1, 1, 2] * 20),
    ):
        table = frame(x=values).rename({"x": name})
        status, _, err = trained(gdc, table)
        assert status == 0
        assert TableModel.load("m.npz").columns.names == (name, "a")
        assert ("column 't' counts the rows: if it means nothing, see --exclude" in err) == (name == "t")


# Targets


@pytest.mark.parametrize("values", [[0, 1], [0.0, 1.0], [1, 2, 3, 4, 5], [-1, 1]])
def test_a_target_of_few_whole_numbers_says_that_they_may_be_classes(gdc, values):
    table = frame().with_columns(y=pl.Series(values * (ROWS // len(values))))
    status, out, err = trained(gdc, table)
    assert (status, "target 'y': a number" in out) == (0, True)
    line = next(line for line in err.splitlines() if "--task classification" in line)
    assert f"has the values {', '.join(f'{value:g}' for value in values)} alone" in line
    for task in ("classification", "regression"):
        assert "--task" not in trained(gdc, table, "--task", task)[2]


@pytest.mark.parametrize("values", [[0.5, 1.5], range(20), range(ROWS)])
def test_a_target_of_other_numbers_says_nothing(gdc, values):
    table = frame().with_columns(y=pl.Series([*values] * (ROWS // len([*values])), strict=False))
    assert "--task" not in trained(gdc, table)[2]


@pytest.mark.parametrize("case", NAMES)
def test_names_are_no_target(gdc, case):
    table = frame().with_columns(y=pl.Series(NAMES[case])).drop_nulls()
    refused(trained(gdc, table), "column 'y': expected numbers or classes, got ", "different texts in")


# What is missing


def test_dropping_nearly_all_rows_names_the_columns_that_cost_them(gdc):
    gaps = [None] * (ROWS - 1) + [1.0]
    table = frame(gap=gaps, other=[None, 1.0] * 30, full=range(ROWS))
    said = "expected at least 2 rows without missing values, got 1 of 60; values are missing in the columns"
    refused(trained(gdc, table, "--missing", "drop"), f"{said} 'gap' (59), 'other' (30)", "--exclude")
    status, _, err = trained(gdc, table, "--missing", "drop", "--exclude", "gap,full")
    assert (status, err.splitlines()[0]) == (0, "gdcore: warning: 30 rows of 60 left out, as values are missing")
    few = table.with_columns(gap=pl.Series([None] * 55 + [1.0, 2.0, 3.0, 4.0, 5.0]))
    status, _, err = trained(gdc, few, "--missing", "drop", "--exclude", "other,full")
    assert status == 0
    assert "55 rows of 60 left out, as values are missing in the columns 'gap' (55); see --exclude" in err


def test_a_column_without_a_value_costs_no_row(gdc):
    status, _, err = trained(gdc, frame(none=[None] * ROWS), "--missing", "drop")
    assert (status, err.splitlines()[0]) == (0, "gdcore: warning: left out: 'none' (no value in any row)")
    assert "rows of 60" not in err
    refused(
        trained(gdc, frame(none=[None] * ROWS).drop("a")), "that can be used, got none: left out: 'none' (no value"
    )


# Which columns


def test_excluded_columns_are_not_used(gdc):
    table = frame(b=range(ROWS), c=["x", "?"] * 30)
    assert trained(gdc, table, "--exclude", "b,c")[0] == 0
    assert TableModel.load("m.npz").columns.names == ("a",)
    assert trained(gdc, table, "--features", "a,b", "--exclude", "b")[0] == 0
    assert TableModel.load("m.npz").columns.names == ("a",)
    refused(
        trained(gdc, table, "--exclude", "y"), "--exclude: expected columns beside the target, got 'y'", status=2
    )
    refused(trained(gdc, table, "--exclude", "z"), "expected a column 'z', got 'b', 'c', 'a', 'y'")
    refused(trained(gdc, table, "--exclude", "a,b,c"), "that can be used, got none")
    flags = ("--exclude", "b", "--categorical", "b")
    refused(trained(gdc, table, *flags), "--categorical: expected columns among --features, got 'b'", status=2)


def test_all_columns_that_cannot_be_read_are_in_one_line(gdc):
    number = [str(i) for i in range(ROWS)]
    table = frame(
        p=[*number[:-1], "?"], q=["-", *number[1:]], r=["$1", "€2"] * 30, s=[*number[:5], "x", *number[6:]]
    )
    said = (
        "column 'p': expected finite numbers, got '?' in row 60",
        "column 'q'",
        "'-' in row 1",
        "column 'r'",
        "column 's'",
    )
    refused(trained(gdc, table), *said, "got 'x' in row 6")
    assert trained(gdc, table, "--exclude", "p,q,r,s")[0] == 0
    new = written(pl.DataFrame({"a": ["1", "?"], "b": ["x", "2"]}), "new.csv")
    assert trained(gdc, frame(b=range(3, 3 + ROWS)))[0] == 0
    refused(gdc("predict", "m.npz", new), "got others in the columns 'b' ('x' in row 1), 'a' ('?' in row 2)")


def test_ways_out_lead_out(gdc):
    """What a refusal advises is accepted."""
    table = frame(x=[*map(str, range(ROWS - 1)), "?"])
    _, _, err = trained(gdc, table)
    assert "--na '?'" in err
    assert trained(gdc, table, "--na", "?", "--missing", "drop")[0] == 0
    assert trained(gdc, table, "--exclude", "x")[0] == 0
    assert trained(gdc, table, "--features", "a")[0] == 0


# Many columns


def test_long_lists_are_cut(gdc):
    few = {f"same{i}": [1] * ROWS for i in range(60)} | {f"name{i}": NAMES["ids"] for i in range(60)}
    status, out, err = trained(gdc, frame(**few, **{f"kind{i}": KINDS * 20 for i in range(60)}))
    assert status == 0
    assert max(map(len, (out + err).splitlines())) < 1000
    assert "and 50 more" in out
    gaps = frame(**{f"gap{i}": [None, *range(ROWS - 1)] for i in range(60)})
    for flags in ((), ("--missing", "fill"), ("--missing", "drop")):
        _, out, err = trained(gdc, gaps, *flags)
        assert max(map(len, (out + err).splitlines())) < 1000
    refused(trained(gdc, frame(**{f"bad{i}": ["?", *map(str, range(ROWS - 1))] for i in range(60)})), "and 50 more")


def test_the_work_grows_as_the_columns():
    """Counted in calls, which no other process slows down."""

    def calls(columns):
        rng = np.random.default_rng(0)
        table = {f"x{i}": rng.standard_normal(9) for i in range(columns)}
        data = written(
            pl.DataFrame({**table, **{f"k{i}": KINDS * 3 for i in range(columns // 10)}, "y": rng.random(9)})
        )
        count = 0

        def profile(_frame, event, _arg):
            nonlocal count
            count += event in {"call", "c_call"}

        sys.setprofile(profile)
        try:
            table = Table(data)
            account = account_of(table, Wishes("y"))
            table.missing(account.features, account.kinds)
        finally:
            sys.setprofile(None)
        return count

    calls(10)
    assert calls(800) < 2.5 * calls(400)
