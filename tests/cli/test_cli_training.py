"""gdcore train beyond a line through numbers: classes, nets, texts, missing values, checkpoints, curves."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from gdcore.cli.report import EpochTable
from gdcore.models import SCHEDULES
from gdcore.tables.forms import PLAIN
from gdcore.tables.model import TableModel
from gdcore.tables.table import Table

pl = pytest.importorskip("polars")

TOWNS = {"Bern": 20.0, "Basel": 50.0, "Chur": 0.0}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def houses(rows=300, **columns):
    rng = np.random.default_rng(0)
    area = rng.uniform(30, 200, rows)
    town = rng.choice(list(TOWNS), rows)
    price = 2 * area + [TOWNS[name] for name in town] + rng.standard_normal(rows)
    return pl.DataFrame({"area": area, "town": town, "price": price, **columns})


def written(frame, name="data.csv"):
    frame.write_csv(name) if name.endswith("csv") else frame.write_parquet(name)
    return name


@pytest.fixture
def iris():
    data = load_iris()
    kinds = np.array(data.target_names)[data.target]
    return written(pl.DataFrame({**dict(zip("abcd", data.data.T, strict=True)), "kind": kinds}), "iris.csv")


@pytest.fixture
def digits():
    x, y = load_digits(return_X_y=True)
    return written(pl.DataFrame({**{f"p{i}": x[:, i] for i in range(64)}, "digit": y}), "digits.csv")


def column(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


# Classes and nets


def test_a_target_of_texts_is_classified(gdc, iris):
    assert gdc("train", iris, "--target", "kind", "--validation", 0, "--lr", 0.01, "--output", "m.npz")[0] == 0
    _, out, err = gdc("predict", "m.npz", iris)
    header, rows = column(out)
    truth = pl.read_csv(iris)["kind"].to_list()
    right = np.mean([row[0] == kind for row, kind in zip(rows, truth, strict=True)])
    assert header == ["kind"]
    assert right > 0.95
    assert err == f"accuracy {right:.4f} over 150 rows\n"


def test_probabilities_sum_to_one_and_the_largest_is_predicted(gdc, iris):
    gdc("train", iris, "--target", "kind", "--epochs", 20, "--output", "m.npz")
    _, predicted, _ = gdc("predict", "m.npz", iris)
    _, out, _ = gdc("predict", "m.npz", iris, "--probabilities")
    header, rows = column(out)
    p = np.array(rows, float)
    assert header == ["kind=setosa", "kind=versicolor", "kind=virginica"]
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert [header[i].removeprefix("kind=") for i in p.argmax(axis=1)] == [row for (row,) in column(predicted)[1]]


def test_two_classes_are_two_classes(gdc, iris):
    pl.read_csv(iris).filter(pl.col("kind") != "setosa").write_csv("two.csv")
    assert gdc("train", "two.csv", "--target", "kind", "--output", "m.npz")[0] == 0
    assert TableModel.load("m.npz").network.task == "binary"
    _, out, err = gdc("predict", "m.npz", "two.csv", "--probabilities")
    assert column(out)[0] == ["kind=versicolor", "kind=virginica"]
    assert float(err.split()[1]) > 0.9


def test_a_net_reads_digits(gdc, digits):
    argv = ("--target", "digit", "--task", "classification", "--hidden", "64", "--epochs", 29)
    status, out, err = gdc("train", digits, *argv, "--output", "m.safetensors")
    assert status == 0
    assert err.startswith("gdcore: warning: constant in the rows to train on, so of no use: 'p0', 'p32'")
    assert "10 classes" in out
    assert "hidden layers 64 (relu)" in out
    accuracy = re.search(r"\nvalidation accuracy ([0-9.]+) ", out)
    assert float(accuracy[1]) >= 0.96
    assert gdc("predict", "m.safetensors", digits)[0] == 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_a_net_fits_what_no_line_can(gdc, activation):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 400))
    data = written(pl.DataFrame({"a": a, "b": b, "y": a * b}))
    rates = []
    for hidden in ((), ("--hidden", "16,16", "--activation", activation)):
        argv = ("--lr", 0.01, "--schedule", "cosine", "--epochs", 300)
        _, out, _ = gdc("train", data, "--target", "y", *argv, *hidden)
        rates.append(float(re.search(r"\nvalidation RMSE ([0-9.]+) ", out)[1]))
    assert rates[1] < 0.3 * rates[0]


# Tables


def test_parquet_and_csv_give_the_same_model(gdc):
    for name in ("data.csv", "data.parquet"):
        status, _, err = gdc("train", written(houses(), name), "--target", "price", "--output", f"{name}.npz")
        assert (status, err) == (0, "")
    outs = [gdc("predict", f"{model}.npz", data)[1] for model, data in zip(["data.csv", "data.parquet"] * 2,
            ["data.csv", "data.csv", "data.parquet", "data.parquet"], strict=True)]  # fmt: skip
    assert len(set(outs)) == 1


def test_texts_tell_what_they_are_worth(gdc):
    data = written(houses())
    status, out, err = gdc("train", data, "--target", "price", "--lr", 0.01, "--output", "m.npz")
    assert (status, err) == (0, "")
    assert "4 features" in out
    assert float(gdc("predict", "m.npz", data)[2].split()[1]) < 1.2
    written(pl.DataFrame({"area": [100.0] * 3, "town": ["Chur", "Bern", " Basel "]}), "new.csv")
    _, out, _ = gdc("predict", "m.npz", "new.csv")
    chur, bern, basel = (float(row) for (row,) in column(out)[1])
    np.testing.assert_allclose([bern - chur, basel - chur], [20, 50], atol=1)


def test_a_text_that_was_not_there_in_training_is_warned_of(gdc):
    gdc("train", written(houses()), "--target", "price", "--output", "m.npz")
    new = written(pl.DataFrame({"area": [100.0, 100.0], "town": ["Genf", "Bern"]}), "new.csv")
    status, out, err = gdc("predict", "m.npz", new)
    assert (status, len(out.splitlines())) == (0, 3)
    assert err == "gdcore: warning: column 'town' has texts in 1 of 2 rows that were not there in training\n"


def test_numbers_that_are_kinds_are_one_hot_if_asked_for(gdc):
    codes = np.random.default_rng(3).integers(0, 4, 300)
    frame = houses(code=codes).with_columns(price=pl.Series(np.array([5.0, -3.0, 9.0, 0.0])[codes]))
    data = written(frame.select("code", "price"))
    for name, extra in (("as numbers", ()), ("as kinds", ("--categorical", "code"))):
        argv = ("--lr", 0.02, "--validation", 0, "--output", f"{name}.npz", *extra)
        assert gdc("train", data, "--target", "price", *argv)[0] == 0
    errors = [float(gdc("predict", f"{name}.npz", data)[2].split()[1]) for name in ("as numbers", "as kinds")]
    assert errors[1] < 0.01 * errors[0]


def test_too_many_texts_are_refused_and_named(gdc):
    data = written(houses(name=[f"house {i}" for i in range(300)]))
    status, _, err = gdc("train", data, "--target", "price", "--features", "area,name")
    assert (status, err.count("\n")) == (1, 1)
    assert "column 'name': expected numbers, or at most 100 different texts, got" in err
    assert "choose among the columns with --features" in err


@pytest.mark.parametrize("kind", ["Duration", "List", "Struct", "Binary"])
def test_a_column_of_neither_numbers_texts_nor_dates_is_refused(gdc, kind):
    odd = {"Duration": pl.duration(days=1), "List": pl.concat_list("area"), "Struct": pl.struct("area")}
    frame = houses(30).with_columns(odd=odd.get(kind, pl.lit(b"x")))
    status, _, err = gdc("train", written(frame, "data.parquet"), "--target", "price")
    assert (status, err.count("\n")) == (1, 1)
    assert f"column 'odd': expected numbers or texts, got {kind}" in err


def with_gaps():
    frame = houses().with_row_index()
    return frame.with_columns(
        area=pl.when(pl.col("index") % 10 == 3).then(None).otherwise(pl.col("area")),
        town=pl.when(pl.col("index") % 15 == 4).then(None).otherwise(pl.col("town")),
        price=pl.when(pl.col("index") == 7).then(None).otherwise(pl.col("price")),
    ).drop("index")


def test_missing_values_are_an_error_unless_told_otherwise(gdc):
    status, _, err = gdc("train", written(with_gaps()), "--target", "price")
    assert (status, err.count("\n")) == (1, 1)
    assert "got some in the columns 'area' (30), 'town' (20), 'price' (1); fill them in, or see --missing" in err


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_rows_that_miss_a_value_are_dropped(gdc, name):
    data = written(with_gaps(), name)
    written(with_gaps().drop_nulls(), "clean.csv")
    status, out, err = gdc("train", data, "--target", "price", "--missing", "drop", "--output", "m.npz")
    assert (status, err) == (0, "gdcore: warning: 51 rows of 300 left out, as values are missing\n")
    gdc("train", "clean.csv", "--target", "price", "--output", "clean.npz")
    assert gdc("predict", "m.npz", "clean.csv") == gdc("predict", "clean.npz", "clean.csv")
    status, out, err = gdc("predict", "m.npz", data)
    assert (status, out) == (1, "")
    assert "fill them in, or train with --missing fill" in err


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_missing_values_are_filled_with_the_mean(gdc, name):
    data = written(with_gaps(), name)
    status, _, err = gdc(
        "train", data, "--target", "price", "--missing", "fill", "--validation", 0, "--output", "m.npz"
    )
    assert (status, err) == (0, "gdcore: warning: 1 row of 300 left out, as values are missing\n")
    (mean,) = TableModel.load("m.npz").columns.fill
    expected = with_gaps().filter(pl.col("price").is_not_null())["area"].mean()
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    outs = []
    for area in (None, mean):
        written(pl.DataFrame({"area": [area, 50.0], "town": ["Bern", None]}), "new.csv")
        outs.append(gdc("predict", "m.npz", "new.csv"))
    assert outs[0] == outs[1]
    assert outs[0][0] == 0


def test_a_table_is_read_once_and_without_rounding():
    x = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-150, 150).repeat(4)[:1000]
    written(pl.DataFrame({"x": x}))
    np.testing.assert_array_equal(Table("data.csv").numbers({"x": PLAIN})[0].to_numpy(), x)


# The run


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_schedule_trains(gdc, schedule):
    argv = ("--schedule", schedule, "--lr", 0.01, "--epochs", 100)
    status, out, err = gdc("train", written(houses()), "--target", "price", *argv)
    assert status == 0
    assert re.fullmatch("(gdcore: warning: the train RMSE is .* by least squares .*\n)?", err)  # some fall too soon
    head = next(line for line in out.splitlines() if line.startswith("epoch"))
    assert head.split()[-1] == ("lr" if schedule != "constant" else "RMSE")
    alone, last = (float(re.search(rf"{what} RMSE ([0-9.]+)", out)[1]) for what in ("has", "\nvalidation"))
    assert last < 0.3 * alone


def test_patience_ends_a_run_that_gets_no_better(gdc):
    rng = np.random.default_rng(0)
    data = written(pl.DataFrame({"a": rng.standard_normal(60), "y": rng.standard_normal(60)}))
    argv = ("--hidden", "64", "--lr", 0.05, "--patience", 5, "--epochs", 500, "--output", "m.npz", "--log-every", 1)
    status, out, _ = gdc("train", data, "--target", "y", *argv)
    rows = [line.split() for line in out.splitlines() if line[:5].strip().isdigit()]
    best = min(range(len(rows)), key=lambda index: float(rows[index][2]))
    assert status == 0
    assert len(rows) == best + 1 + 5
    assert "stopped as validation rmse got no better" in out
    assert f"\nvalidation RMSE {rows[best][2]} (epoch {best + 1}, the best one, whose weights are kept); " in out


def test_clipping_tames_a_rate_that_diverges(gdc):
    data = written(houses())
    argv = ("--optimizer", "sgd", "--lr", 5, "--epochs", 40)
    assert gdc("train", data, "--target", "price", *argv)[0] == 1
    assert gdc("train", data, "--target", "price", *argv, "--clip", 0.01)[0] == 0


@pytest.mark.parametrize(("every", "shown"), [(1, 120), (50, 4), (None, 41)])
def test_as_many_epochs_are_shown_as_asked_for(gdc, every, shown):
    extra = () if every is None else ("--log-every", every)
    _, out, _ = gdc("train", written(houses(20)), "--target", "price", "--epochs", 120, *extra)
    rows = [int(line.split()[0]) for line in out.splitlines() if line[:5].strip().isdigit()]
    assert len(rows) == shown
    assert (rows[0], rows[-1]) == (1, 120)


def test_the_curves_are_drawn(gdc):
    data = written(houses())
    status, out, _ = gdc("train", data, "--target", "price", "--plot", "curves.png", "--epochs", 3)
    assert status == 0
    assert out.endswith("model not saved (no --output), curves saved to curves.png\n")
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("rare", "epochs"), [(100, 1), (100, 2), (1000, 2)])
def test_classes_of_which_one_is_rare_are_no_divergence(gdc, rare, epochs):
    x = np.random.default_rng(0).standard_normal(5000)
    kinds = np.where(np.arange(5000) % rare, "good", "bad")
    data = written(pl.DataFrame({"x": x, "kind": kinds}))
    status, _, err = gdc("train", data, "--target", "kind", "--epochs", epochs, "--output", "m.npz")
    assert status == 0, err
    assert Path("m.npz").exists()


def test_who_closes_the_pipe_gets_the_model_all_the_same():
    data = written(houses())
    command = [
        sys.executable,
        "-m",
        "gdcore",
        "train",
        data,
        "--target",
        "price",
        "--output",
        "m.npz",
        "--log-every",
        "1",
    ]
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (run.returncode, run.stderr) == (0, "")
    assert Path("m.npz").exists()


def test_model_and_checkpoint_are_two_files(gdc):
    data = written(houses())
    status, out, err = gdc("train", data, "--target", "price", "--output", "r.npz", "--checkpoint", "r.npz")
    assert (status, out) == (2, "")
    assert "--output: expected another file than --checkpoint, got 'r.npz'" in err


# Checkpoints


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_a_run_is_resumed_where_it_stood(gdc, monkeypatch):
    data = written(houses())
    argv = ("train", data, "--target", "price", "--schedule", "cosine", "--hidden", "8")
    same = (*argv, "--epochs", 40, "--batch-size", 1)
    with monkeypatch.context() as patch:
        patch.setattr(EpochTable, "show", lambda _, record, __: record["epoch"] == 7 and press_ctrl_c())
        status, _, err = gdc(*same, "--checkpoint", "run.npz")
    assert status == 130
    assert re.fullmatch(r"gdcore: interrupted in epoch 8; model not saved .*; add --resume to go on\n", err)
    status, out, err = gdc(*same, "--checkpoint", "run.npz", "--resume", "--output", "resumed.npz")
    assert (status, err) == (0, "")
    assert "\ngoing on from run.npz\n" in out
    gdc(*same, "--output", "whole.npz")
    assert gdc("predict", "resumed.npz", data) == gdc("predict", "whole.npz", data)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_run_is_prolonged_where_its_schedule_allows_it_and_told_the_way_out_otherwise(gdc, schedule):
    argv = ("train", written(houses(40)), "--target", "price", "--schedule", schedule, "--batch-size", 16)
    argv = (*argv, "--checkpoint", "run.npz")
    assert gdc(*argv, "--epochs", 4)[0] == 0
    status, _, err = gdc(*argv, "--epochs", 8, "--resume")
    if schedule == "constant":
        assert status == 0
    else:
        assert (status, err.count("\n")) == (1, 1)
        assert (
            " and other rates in its 8 steps in run.npz; give the --schedule, --lr and --epochs that it was" in err
        )
    assert gdc(*argv, "--epochs", 8 if schedule == "constant" else 4, "--resume")[0] == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--lr", 0.5), "--resume: expected a run with hyperparameters [{'lr': 0.5"),
        (("--optimizer", "sgd"), "--resume: expected a run with rule sgd, got one with adam"),
        (("--seed", 1), "--resume: expected a run with data "),
        (("--hidden", "3"), "--resume: "),
        (
            ("--missing", "fill"),
            "--resume: expected a run with settings {'task': 'regression', 'missing': 'fill', 'act",
        ),
        (("--schedule", "cosine"), "--resume: expected a run with schedule cosine("),
        (("--clip", 3), "--resume: expected a run with max_norm 3.0, got one with None"),
        (("--batch-size", 7), "--resume: expected a run with batch_size 7, got one with 64"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(gdc, changed, said):
    argv = ("train", written(houses()), "--target", "price", "--epochs", 2, "--checkpoint", "run.npz", "--resume")
    assert gdc(*argv)[0] == 0
    old = Path("run.npz").read_bytes()
    status, _, err = gdc(*argv, *changed)
    assert (status, err.count("\n")) == (1, 1)
    assert said in err
    assert Path("run.npz").read_bytes() == old


def test_a_checkpoint_that_is_there_is_not_overwritten_unasked(gdc):
    argv = ("train", written(houses()), "--target", "price", "--epochs", 2, "--checkpoint", "run.npz")
    assert gdc(*argv)[0] == 0
    status, out, err = gdc(*argv)
    assert (status, out) == (2, "")
    assert "--checkpoint: expected a new file, got 'run.npz', which exists; add --resume to go on from it" in err


BAD_ARGUMENTS = {
    "--hidden 0": "argument --hidden: expected an integer from 1 to 1000000, got '0'",
    "--hidden 4,x": "argument --hidden: expected an integer from 1 to 1000000, got 'x'",
    "--activation step": "argument --activation: invalid choice: 'step'",
    "--clip 0": "argument --clip: expected a finite number > 0, got '0'",
    "--patience 0": "argument --patience: expected an integer >= 1, got '0'",
    "--schedule wild": "argument --schedule: invalid choice: 'wild'",
    "--missing guess": "argument --missing: invalid choice: 'guess'",
    "--task poetry": "argument --task: invalid choice: 'poetry'",
    "--checkpoint-every -1": "argument --checkpoint-every: expected a number of seconds >= 0, got '-1'",
    "--checkpoint run.txt": "--checkpoint: expected a file named *.npz or *.safetensors, got 'run.txt'",
    "--output m.pkl": "--output: expected a file named *.npz or *.safetensors, got 'm.pkl'",
    "--plot c.txt": "--plot: expected a file named *.png, *.pdf, *.svg, got 'c.txt'",
    "--resume": "--resume: expected --checkpoint FILE with it",
    "--categorical a,a": "--categorical: expected each column once, got 'a' again",
}


@pytest.mark.parametrize("line", BAD_ARGUMENTS)
def test_a_wrong_command_line_is_one_line_and_status_2(gdc, line):
    status, out, err = gdc("train", written(houses()), "--target", "price", *line.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert BAD_ARGUMENTS[line] in err
    assert [path.name for path in Path().iterdir()] == ["data.csv"]


BAD_TARGETS = {
    "one class": (["a"] * 300, (), "expected 2 to 1000 classes, got 1"),
    "numbers asked to be texts": (["a", "b"] * 150, ("--task", "regression"), "expected finite numbers, got 'a'"),
    "no column of that name": (["a", "b"] * 150, ("--categorical", "x"), "expected a column 'x', got"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_a_target_that_cannot_be_one_is_one_line_and_status_1(gdc, case):
    values, extra, said = BAD_TARGETS[case]
    status, _, err = gdc("train", written(houses(y=values)), "--target", "y", *extra)
    assert (status, err.count("\n")) == (1, 1)
    assert said in err


def test_probabilities_of_a_number_are_refused(gdc):
    data = written(houses())
    gdc("train", data, "--target", "price", "--epochs", 1, "--output", "m.npz")
    status, out, err = gdc("predict", "m.npz", data, "--probabilities")
    assert (status, out) == (1, "")
    assert "--probabilities: expected a model of classes" in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_line_and_leaves_the_old_files(gdc):
    data = written(houses())
    argv = [
        "train",
        data,
        "--target",
        "price",
        "--epochs",
        "50",
        "--checkpoint",
        "run.npz",
        "--checkpoint-every",
        "0",
    ]
    assert gdc(*argv, "--output", "m.npz")[0] == 0
    old = {name: Path(name).read_bytes() for name in ("run.npz", "m.npz")}
    sizes = (2000, 1000, 100, 0)  # what may be written can only become less
    code = (
        "import resource, signal; from gdcore.cli.parser import main; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); argv, sizes = eval(input())\n"
        "for size in sizes:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); assert main(argv) == 1"
    )
    given = repr(([*argv, "--epochs", "60", "--resume", "--output", "m.npz"], sizes))
    run = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=False)
    said = run.stderr.splitlines()
    assert (run.returncode, len(said)) == (0, len(sizes)), run.stderr
    assert all("run.npz" in line or "m.npz" in line for line in said)
    assert {name: Path(name).read_bytes() for name in old} == old
    assert {path.name for path in Path().iterdir()} == {data, *old}
