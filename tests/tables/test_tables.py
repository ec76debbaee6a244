"""Tables as people have them: what stands in their columns, how they are named, where they come from."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gdcore.models.scaling import Scaling
from gdcore.tables.model import TableModel
from gdcore.tables.table import Table

pl = pytest.importorskip("polars")

ROWS = 60
KINDS = ["x", "y", "z"]
LARGEST = float(np.finfo(np.float64).max)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def frame(**columns):
    a = np.random.default_rng(0).standard_normal(ROWS)
    return pl.DataFrame({"a": a, "y": 2 * a + 1, **columns})


def written(table, name="data.csv"):
    table.write_csv(name) if name.endswith("csv") else table.write_parquet(name)
    return name


def trained(gdc, table, *argv, target="y", name="data.csv"):
    status, _, err = gdc(
        "train", written(table, name), "--target", target, "--epochs", 5, "--output", "m.npz", *argv
    )
    assert status == 0, err
    return err


def process(*argv, **how):
    command = [sys.executable, "-W", "error", "-m", "gdcore", *argv]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **how)


def assert_refused(result, said, status=1):
    got, _, err = result
    assert (got, err.count("\n")) == (status, 1), err
    assert said in err


# What stands in the columns


@pytest.mark.parametrize("values", [[0.1, 0.1], [0.0, 5e-324]])
def test_a_constant_column_that_varies_later_changes_no_prediction(gdc, values):
    err = trained(gdc, frame(c=values * (ROWS // 2)), "--hidden", 8, "--validation", 0)
    assert "constant in the rows to train on, so of no use: 'c'" in err
    outs = [
        gdc("predict", "m.npz", written(frame().with_columns(c=pl.lit(value))))[1] for value in (0.1, 1e3, -7.0)
    ]
    assert outs[0] == outs[1] == outs[2]


def test_a_spread_that_underflows_is_none():
    x = np.array([[0.0, 1.0], [5e-324, 2.0]])
    scaling = Scaling.of(x)
    assert scaling.constant.tolist() == [True, False]
    assert scaling.standardised(x).tolist() == [[0, -1], [0, 1]]


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(KINDS)])
def test_categories_of_parquet_are_texts(gdc, dtype):
    table = frame(kind=KINDS * (ROWS // 3))
    trained(gdc, table.with_columns(pl.col("kind").cast(dtype)), name="data.parquet")
    assert TableModel.load("m.npz").columns.texts == {"kind": tuple(KINDS)}
    assert gdc("predict", "m.npz", "data.parquet") == gdc("predict", "m.npz", written(table))


@pytest.mark.parametrize("gaps", [[False, True], [False, True, None]])
def test_booleans_are_two_classes_in_csv_and_parquet(gdc, gaps):
    table = frame(b=gaps * (ROWS // len(gaps)))
    for name in ("data.csv", "data.parquet"):
        trained(gdc, table, "--missing", "drop", target="b", name=name)
        assert TableModel.load("m.npz").target.classes == ("false", "true")


def test_kinds_that_are_whole_numbers_are_the_same_as_floats(gdc):
    codes = [1, 2, 10] * (ROWS // 3)
    floats = frame(code=[float(code) for code in codes])
    tables = [written(frame(code=codes)), written(floats, "floats.csv"), written(floats, "floats.parquet")]
    for table in tables:
        assert gdc("train", table, "--target", "y", "--categorical", "code", "--output", f"{table}.npz")[0] == 0
    outs = {gdc("predict", f"{model}.npz", table) for model in tables for table in tables}
    assert len(outs) == 1
    assert Table("floats.csv").texts("code") == ("1", "10", "2")


@pytest.mark.parametrize("kinds", [["u", "v"], ["u", None], ["u", "x"], ["u"]])
def test_a_row_of_an_unknown_kind_is_predicted_alone_or_not(gdc, kinds):
    trained(gdc, frame(kind=KINDS * (ROWS // 3)), "--missing", "fill")
    outs = []
    for values in (kinds, [None] * len(kinds)):
        new = written(pl.DataFrame({"a": [1.0] * len(values), "kind": values}), "new.csv")
        status, out, _ = gdc("predict", "m.npz", new)
        assert status == 0
        outs.append(out.split())
    assert outs[0][1] == outs[1][1]  # an unknown kind is none of the known ones, as a missing one
    assert (
        "column 'kind' has texts in"
        in gdc("predict", "m.npz", written(pl.DataFrame({"a": [1.0], "kind": ["u"]}), "new.csv"))[2]
    )


def test_a_text_or_none_is_of_use(gdc):
    there = np.arange(ROWS) % 2 == 0
    table = frame(kind=["yes" if one else None for one in there]).with_columns(y=pl.Series(there * 10.0))
    err = trained(gdc, table, "--missing", "fill", "--validation", 0)
    assert "of no use" not in err
    assert "of no use: 'kind'" in trained(gdc, frame(kind=["yes"] * ROWS), "--missing", "fill")


@pytest.mark.parametrize("column", ["a", "y"])
def test_a_spread_beyond_float64_is_one_line_that_names_the_column(gdc, column):
    table = frame().with_columns(pl.Series(column, [1.7e308, -1.7e308] * (ROWS // 2)))
    assert_refused(gdc("train", written(table), "--target", "y"), f"column '{column}': expected a spread below")


def test_the_mean_that_fills_a_gap_does_not_overflow(gdc):
    for value in (1e308, LARGEST, 0.1):
        table = frame(big=[value, value, None] * (ROWS // 3))
        assert "of no use: 'big'" in trained(gdc, table, "--missing", "fill")
        np.testing.assert_array_equal(TableModel.load("m.npz").columns.fill[1], value)


@pytest.mark.parametrize("argv", [(), ("--hidden", 4), ("--task", "classification")])
def test_values_far_beyond_those_trained_on_are_refused(gdc, argv):
    table = frame().with_columns(pl.col("a") * 1e-5, y=pl.Series([0, 1] * (ROWS // 2)))
    trained(gdc, table, *argv)
    new = written(pl.DataFrame({"a": [1.0, 1e308]}), "new.csv")
    assert_refused(gdc("predict", "m.npz", new), "column 'a': expected values of the size trained on")


def test_held_out_values_far_beyond_those_trained_on_are_refused(gdc):
    held = int(np.random.default_rng(0).permutation(ROWS)[0])
    for column in ("a", "y"):
        table = (frame() * 1e-5).with_row_index()
        far = pl.when(pl.col("index") == held).then(1e308).otherwise(pl.col(column)).alias(column)
        result = gdc("train", written(table.with_columns(far).drop("index")), "--target", "y")
        assert_refused(result, f"column '{column}': expected values of the size trained on")


def test_no_class_is_held_out_as_a_whole(gdc):
    order = np.random.default_rng(0).permutation(ROWS)
    for rare in (1, 2, 12):
        kinds = np.where(np.isin(np.arange(ROWS), order[:rare]), "p", "q")
        data = written(frame().with_columns(y=pl.Series(kinds)))
        status, out, _ = gdc("train", data, "--target", "y", "--validation", 0.9, "--epochs", 1)
        assert (status, "6 rows to train on, 54 held out" in out) == (0, True)


# What is asked for

BAD_ARGUMENTS = {
    "a line break": (("--features", "a\nb"), "--features: expected columns as in a CSV header, got 'a\\nb'"),
    "an open quote": (("--features", '"a'), "--features: expected columns as in a CSV header, got '\"a'"),
    "too many units": (
        ("--hidden", "9" * 20),
        "argument --hidden: expected an integer from 1 to 1000000, got '999",
    ),
    "the target as a kind": (("--categorical", "y"), "got the target 'y'; see --task classification"),
    "a kind beside the features": (
        ("--features", "a", "--categorical", "b"),
        "--categorical: expected columns among --features, got 'b'",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_a_wrong_command_line_is_one_line_and_status_2(gdc, case):
    argv, said = BAD_ARGUMENTS[case]
    assert_refused(gdc("train", written(frame(b=[1, 2] * (ROWS // 2))), "--target", "y", *argv), said, status=2)


def test_the_steps_of_a_path_are_bounded(gdc):
    assert_refused(gdc("paths", "--steps", "9" * 20), "--steps: expected an integer from 1 to 1000000", status=2)


def test_the_name_of_the_target_is_stripped_as_those_of_the_columns(gdc):
    trained(gdc, frame().rename({"y": " y "}), target=" y ")
    assert TableModel.load("m.npz").target.name == "y"


def test_a_table_in_place_of_the_model_is_one_line(gdc):
    data = written(frame())
    assert_refused(gdc("predict", data, data), f"{data}: expected a model that 'gdcore train' saved: ")


# Where tables come from


def test_a_header_that_begins_as_parquet_does_is_csv(gdc):
    trained(gdc, frame().rename({"a": "PAR1"}).select("PAR1", "y"))
    assert Path("data.csv").read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize("name", ["data[1].csv", "data[1].parquet", *["data*.parquet"] * (os.name == "posix")])
def test_the_name_of_a_table_is_no_pattern(name):
    written(frame(), name)
    assert len(Table(name)) == ROWS


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names of files are Unicode there")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_name_of_a_table_need_not_be_utf_8(suffix):
    Path(written(frame(), f"data.{suffix}")).rename(os.fsdecode(b"\xff.csv"))
    run = process("train", b"\xff.csv", "--target", "y", "--lr", "0.1", env={**os.environ, "PYTHONUTF8": "1"})
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.startswith(b"\xff.csv: 48 rows")


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/stdin")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_pipe_is_a_table(suffix, gdc):
    data = Path(written(frame(), f"data.{suffix}"))
    argv = ("--target", "y", "--lr", "0.1", "--output")
    piped = process("train", "/dev/stdin", *argv, "piped.npz", input=data.read_bytes())
    assert gdc("train", data, *argv, "named.npz")[0] == 0
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert Path("piped.npz").read_bytes() == Path("named.npz").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_obstacle(gdc, closed):
    trained(gdc, frame())
    for argv, made in (
        (("train", "data.csv", "--target", "y", "--output", "new.npz", "--epochs", "1"), "new.npz"),
        (("predict", "m.npz", "data.csv", "--output", "p.csv"), "p.csv"),
    ):
        command = f'"$0" -W error -m gdcore "$@" {closed}'
        run = subprocess.run(
            ["sh", "-c", command, sys.executable, *argv], capture_output=True, check=False, timeout=60
        )
        assert (run.returncode, b"Error" in run.stderr, Path(made).exists()) == (0, False, True), run.stderr
