"""The command line on real tables, and on everything that can be wrong with one."""

import contextlib
import csv
import errno
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import gdcore
from gdcore.cli.options import Options
from gdcore.cli.train import make_optimizer
from gdcore.models.choices import OPTIMIZERS
from gdcore.models.scaling import Scaling
from gdcore.tables.model import TableModel
from gdcore.tables.table import Table
from gdcore.trees import flatten

pl = pytest.importorskip("polars")

FEATURES = [f"x{i}" for i in range(8)]


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory):
    path = tmp_path_factory.mktemp("diabetes") / "diabetes.csv"
    table = load_diabetes(scaled=False)
    columns = dict(zip(table.feature_names, table.data.T, strict=True))
    pl.DataFrame({**columns, "progression": table.target}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """20,000 rows of eight columns in units from a millionth to a billion, two of them nearly parallel."""
    path = tmp_path_factory.mktemp("generated") / "generated.csv"
    rng = np.random.default_rng(0)
    z = rng.standard_normal((20_000, 8))
    z[:, 3] = 0.9 * z[:, 2] + 0.3 * z[:, 3]
    y = z @ np.array([1, -2, 3, -1, 0.5, 0, 4, -0.25]) + 30 + rng.standard_normal(len(z))
    x = (z + 5) * 10.0 ** np.array([-6, -3, -1, 0, 1, 3, 6, 9])
    pl.DataFrame({**dict(zip(FEATURES, x.T, strict=True)), "y": y}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def generated_solution(generated):
    return least_squares(generated, "y")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write a small table into the working directory, and return its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="data.csv"):
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return write


def small(rows=40):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, 2))
    y = x @ np.array([2.0, -1.0]) + 30 + 0.1 * rng.standard_normal(rows)
    return "a,b,y\n" + "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x, y, strict=True))


def least_squares(path, target):
    frame = pl.read_csv(path)
    y = frame[target].to_numpy()
    x = frame.drop(target).to_numpy()
    z = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(len(x))])
    w, *_ = np.linalg.lstsq(z, y)
    return x, y, np.sqrt(np.mean((z @ w - y) ** 2))


def predicted(saved, path):
    return TableModel.load(saved).predict(Table(path))


def rmse(saved, path, y):
    return np.sqrt(np.mean((predicted(saved, path) - y) ** 2))


# On real tables


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_diabetes_is_fitted_as_by_least_squares(gdc, diabetes, tmp_path, optimizer):
    saved = tmp_path / "model.npz"
    status, out, err = gdc(
        "train", diabetes, "--target", "progression", "--optimizer", optimizer, "--validation", 0, "--output", saved
    )
    assert (status, err) == (0, "")
    _, y, best = least_squares(diabetes, "progression")
    assert TableModel.load(saved).columns.names == tuple(load_diabetes().feature_names)
    assert best <= rmse(saved, diabetes, y) < 1.01 * best
    assert f"train RMSE {rmse(saved, diabetes, y):.6g} " in out.splitlines()[-1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_large_table_is_fitted_as_by_least_squares(gdc, generated, generated_solution, tmp_path, optimizer):
    saved = tmp_path / "model.npz"
    fewer = () if optimizer == "adam" else ("--epochs", 20)
    status, _, err = gdc("train", generated, "--target", "y", "--optimizer", optimizer, *fewer, "--output", saved)
    assert (status, err) == (0, "")
    _, y, best = generated_solution
    assert TableModel.load(saved).columns.names == tuple(FEATURES)
    assert best <= rmse(saved, generated, y) < 1.01 * best


def test_every_epoch_is_printed_and_falls(gdc, diabetes):
    status, out, _ = gdc("train", diabetes, "--target", "progression", "--epochs", 30)
    rows = [line.split() for line in out.splitlines() if line[:5].strip().isdigit()]
    assert status == 0
    assert [int(row[0]) for row in rows] == list(range(1, 31))
    assert float(rows[-1][1]) < 0.8 * float(rows[0][1])
    assert float(rows[-1][2]) < 0.8 * float(rows[0][2])


def test_held_out_rows_do_not_reach_the_model(gdc, table):
    lines = small().splitlines()
    held = np.random.default_rng(5).permutation(40)[:10]
    other = lines.copy()
    for row in held:
        other[1 + row] = "1e3,-1e3,1e6"
    models = []
    for name, text in (("one.csv", lines), ("other.csv", other)):
        path = table("\n".join(text), name)
        status, out, _ = gdc(
            "train", path, "--target", "y", "--seed", 5, "--validation", 0.25, "--epochs", 5, "--output", "m.npz"
        )
        assert status == 0
        models.append(TableModel.load("m.npz"))
        frame = pl.read_csv(path)[held.tolist()]
        frame.write_csv("held.csv")
        assert f"\nvalidation RMSE {rmse('m.npz', 'held.csv', frame['y'].to_numpy()):.6g} " in out
    for one, other in zip(*(flatten(model.network.params) for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert models[0].columns.to_metadata()["center"].tolist() == models[1].columns.to_metadata()["center"].tolist()


def test_the_same_seed_gives_the_same_file(gdc, table):
    data = table(small())
    for name, seed in (("1.npz", 3), ("2.npz", 3), ("3.npz", 4)):
        assert gdc("train", data, "--target", "y", "--seed", seed, "--epochs", 5, "--output", name)[0] == 0
    first, second, third = (Path(name).read_bytes() for name in ("1.npz", "2.npz", "3.npz"))
    assert first == second
    assert first != third


def test_the_unit_of_a_column_does_not_matter(gdc, table):
    rows = list(csv.reader(small().splitlines()))
    scaled = [rows[0]] + [
        [repr(float(a) * 2.0**20), repr(float(b) + 256), repr(float(y) / 2**10)] for a, b, y in rows[1:]
    ]
    for name, text in (("one", small()), ("two", "\n".join(",".join(row) for row in scaled))):
        data = table(text, f"{name}.csv")
        assert gdc("train", data, "--target", "y", "--output", f"{name}.npz")[0] == 0
    np.testing.assert_allclose(predicted("two.npz", "two.csv") * 2**10, predicted("one.npz", "one.csv"), rtol=1e-6)


@pytest.mark.parametrize("flag", ["--l2", "--weight-decay"])
def test_regularisation_shrinks_the_weights_but_not_the_bias(gdc, table, flag):
    data = table(small())
    for name, extra in (("free.npz", ()), ("held.npz", (flag, 50))):
        argv = ("--optimizer", "sgd", "--validation", 0, "--output", name, *extra)
        assert gdc("train", data, "--target", "y", *argv)[0] == 0
    free, held = (TableModel.load(name).network.params[0][0] for name in ("free.npz", "held.npz"))
    assert np.all(np.abs(held) < 0.2 * np.abs(free))
    y = pl.read_csv(data)["y"].to_numpy()
    np.testing.assert_allclose(predicted("held.npz", data).mean(), y.mean(), rtol=1e-3)


def test_the_bias_is_in_a_group_that_is_not_regularised():
    # The optimum of the standardised bias is 0, so no fit shows whether it decays.
    options = Options("data.csv", "y", optimizer="adam", lr=0.1, weight_decay=0.5, l2=0.25)
    bias = np.array([8.0])
    network = gdcore.models.networks.Network((2, 1), "regression", params=([np.zeros((2, 1))], [bias]))
    weights, free = make_optimizer(options, network.groups()).groups
    assert (weights["weight_decay"], weights["l2"]) == (0.5, 0.25)
    assert (free["weight_decay"], free["l2"]) == (0.0, 0.0)
    assert free["params"] == [bias]


def test_chosen_features_alone_are_used(gdc, table):
    data = table(small().replace("a,b,y", '"a, first",b,y'))
    assert gdc("train", data, "--target", "y", "--features", '"a, first"', "--output", "m.npz")[0] == 0
    assert TableModel.load("m.npz").columns.names == ("a, first",)


def test_text_in_a_column_that_is_not_used_is_no_error(gdc, table):
    text = "\n".join(line + (",name" if i == 0 else ",Ann") for i, line in enumerate(small().splitlines()))
    assert gdc("train", table(text), "--target", "y", "--features", "a,b")[0] == 0


@pytest.mark.parametrize(
    "dressed",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", " , "),
        lambda text: text + "\n\n",
        lambda text: text + ",,\n,,\n",
        lambda text: text.rstrip("\n"),
        lambda text: "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in text.splitlines()),
    ],
    ids=["bom", "crlf", "spaces", "empty lines", "empty rows", "no last newline", "quotes"],
)
def test_how_a_table_is_written_does_not_matter(gdc, table, dressed):
    outs = [gdc("train", table(text), "--target", "y", "--epochs", 2)[1] for text in (small(), dressed(small()))]
    assert [line[:60] for line in outs[0].splitlines()[:6]] == [line[:60] for line in outs[1].splitlines()[:6]]


# predict


def test_predict_gives_what_the_model_gives(gdc, table):
    data = table(small())
    gdc("train", data, "--target", "y", "--output", "m.npz")
    status, out, err = gdc("predict", "m.npz", data)
    header, *values = out.splitlines()
    assert (status, header) == (0, "y")
    assert [float(value) for value in values] == predicted("m.npz", data).tolist()
    assert err == f"RMSE {rmse('m.npz', data, pl.read_csv(data)['y'].to_numpy()):.6g} over 40 rows\n"


def test_predict_finds_columns_by_name_and_needs_no_target(gdc, table):
    gdc("train", table(small()), "--target", "y", "--output", "m.npz")
    _, expected, _ = gdc("predict", "m.npz", "data.csv")
    pl.read_csv("data.csv").select("b", "a").write_csv("swapped.csv")
    assert gdc("predict", "m.npz", "swapped.csv") == (0, expected, "")


def test_predict_writes_the_file_it_would_print(gdc, table):
    gdc("train", table(small()), "--target", "y", "--output", "m.npz")
    _, expected, _ = gdc("predict", "m.npz", "data.csv")
    status, out, _ = gdc("predict", "m.npz", "data.csv", "--output", "p.csv")
    assert (status, out, Path("p.csv").read_text("utf-8")) == (0, "", expected)


def test_predict_without_a_usable_target_says_so(gdc, table):
    gdc("train", table(small()), "--target", "y", "--output", "m.npz")
    status, out, err = gdc("predict", "m.npz", table("a,b,y\n1,2,\n3,4,5\n", "new.csv"))
    assert (status, len(out.splitlines())) == (0, 3)
    assert err.startswith("gdcore: warning: no score: new.csv: expected no missing values")


def test_a_damaged_model_is_refused_wherever_it_is_damaged(gdc, table):
    data = table(small())
    gdc("train", data, "--target", "y", "--output", "m.npz")
    whole = Path("m.npz").read_bytes()
    for place in range(0, len(whole), 17):
        Path("flipped.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        status, out, err = gdc("predict", "flipped.npz", data)
        assert (status, out, len(err.splitlines())) == (1, "", 1), place
        Path("short.npz").write_bytes(whole[:place])
        status, out, err = gdc("predict", "short.npz", data)
        assert (status, out, len(err.splitlines())) == (1, "", 1)


def test_no_pickle_is_run(gdc, table):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, ("sprung",))

    data = table(small())
    np.savez("m.npz", format=np.array([Trap()], dtype=object), allow_pickle=True)
    assert gdc("predict", "m.npz", data)[0] == 1
    assert not Path("sprung").exists()


def change_model(name, change):
    saved = gdcore.load("m.npz")
    change(saved.metadata, saved.params)
    gdcore.save(name, saved.params, metadata=saved.metadata)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata, _: metadata.update(format="gdcore table model 2"),
        lambda metadata, _: metadata.pop("columns"),
        lambda metadata, _: metadata["columns"].update(numbers=["a"]),
        lambda metadata, _: metadata["columns"].update(center=None),
        lambda metadata, _: metadata["network"].update(sizes=[3, 1]),
        lambda metadata, _: metadata["network"].update(task="poetry"),
        lambda metadata, _: metadata["target"].update(classes=["a", "b", "c"]),
        lambda _, params: params[0].append(params[0][0]),
    ],
)
def test_a_model_that_cannot_be_one_is_refused(gdc, table, change):
    data = table(small())
    gdc("train", data, "--target", "y", "--epochs", 1, "--output", "m.npz")
    change_model("good.npz", lambda *_: None)
    change_model("bad.npz", change)
    assert gdc("predict", "good.npz", data)[0] == 0
    status, out, err = gdc("predict", "bad.npz", data)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("gdcore: error: bad.npz: expected a")


# What can be wrong

BAD_TABLES = {
    "empty": ("", "expected a header and rows, got an empty file"),
    "blank": ("\n \n", "expected a header and rows, got an empty file"),
    "header alone": ("a,b,y\n", "expected at least 2 rows below the header, got 0"),
    "one row": ("a,b,y\n1,2,3\n", "expected at least 2 rows below the header, got 1"),
    "text": ("a,b,y\n1,2,3\n2,x,4\n", "column 'b': expected finite numbers, got 'x' in row 2; choose among"),
    "text in the target": (
        "a,b,y\n1,2,3\n2,5,u\n",
        "column 'y': expected finite numbers, got 'u' in row 2; for classes, --task",
    ),
    "infinite": ("a,b,y\n1,2,3\n2,-inf,4\n", "column 'b': expected finite numbers, got '-inf' in row 2"),
    "overflow": ("a,b,y\n1,2,3\n2,1e999,4\n", "column 'b': expected finite numbers, got '1e999' in row 2"),
    "missing": (
        "a,b,y\n1,,3\n2,NA,4\n3,4, nan\n",
        "got some in the columns 'b' (2), 'y' (1); fill them in, or see --missing",
    ),
    "short row": ("a,b,y\n1,2,3\n1,2\n", "got some in the columns 'y' (1)"),
    "long row": ("a,b,y\n1,2,3,4\n", "row 1: expected 3 fields separated by ',', as the header has, got 4"),
    "binary": (bytes(range(256)), "expected comma-separated values in UTF-8: "),
    "two of one name": ("a,a,y\n1,2,3\n2,3,4\n", "expected columns whose names differ, got 'a' 2 times"),
    "no target": ("a,b\n1,2\n2,3\n", "expected a column 'y', got 'a', 'b'\n"),
    "target alone": ("y\n1\n2\n", "expected columns beside the target, got 'y' alone"),
    "all constant": ("a,b,y\n1,2,3\n1,2,4\n1,2,5\n", "no usable feature"),
    "too wide": ("a,y\n1e308,1\n-1e308,2\n", "column 'a': expected a spread below"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_one_line_and_status_1(gdc, table, case):
    text, said = BAD_TABLES[case]
    data = table(text)
    status, _, err = gdc("train", data, "--target", "y", "--validation", 0, "--output", "m.npz")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("gdcore: error: ")
    assert said in err
    assert [path.name for path in Path().iterdir()] == [data]


def test_missing_file_is_one_line_and_status_1(gdc, table):
    assert gdc("train", "no.csv", "--target", "y") == (1, "", "gdcore: error: no.csv: No such file or directory\n")
    data = table("a,y\n1,2\n")
    assert gdc("predict", "no.npz", data) == (1, "", "gdcore: error: no.npz: No such file or directory\n")
    status, _, err = gdc("train", Path.cwd(), "--target", "y")
    said = os.strerror(errno.EACCES if os.name == "nt" else errno.EISDIR)
    assert (status, err) == (1, f"gdcore: error: {Path.cwd()}: {said}\n")


BAD_ARGUMENTS = {
    "": "the following arguments are required: COMMAND",
    "fly": "invalid choice: 'fly'",
    "train data.csv": "--target: expected the column to predict",
    "train --target y": "--target: expected a file DATA with it",
    "train --lr 1": "--lr: expected a file DATA with it",
    "train --batch-size 1": "--batch-size: expected a file DATA with it",
    "train data.csv --target y --lr -1": "--lr: expected a finite number >= 0, got -1.0",
    "train data.csv --target y --lr nan": "--lr: expected a finite number >= 0, got nan",
    "train data.csv --target y --lr fast": "argument --lr: invalid float value: 'fast'",
    "train data.csv --target y --weight-decay -1": "--weight-decay: expected a finite number >= 0, got -1.0",
    "train data.csv --target y --l2 inf": "--l2: expected a finite number >= 0, got inf",
    "train data.csv --target y --epochs 0": "argument --epochs: expected an integer >= 1, got '0'",
    "train data.csv --target y --epochs 1.5": "argument --epochs: expected an integer >= 1, got '1.5'",
    "train data.csv --target y --batch-size 0": "argument --batch-size: expected an integer >= 1, got '0'",
    "train data.csv --target y --seed -1": "argument --seed: expected an integer >= 0, got '-1'",
    "train data.csv --target y --validation 1": "argument --validation: expected a number in [0, 1), got '1'",
    "train data.csv --target y --optimizer lbfgs": "argument --optimizer: invalid choice: 'lbfgs'",
    "train data.csv --target y --features a,y": "--features: expected columns beside the target, got 'y'",
    "train data.csv --target y --features a,a": "--features: expected each column once, got 'a' again",
    "train data.csv --target y --output data.csv": "--output: expected another file than 'data.csv', which is read",
    "train data.csv --target y --features=": "--features: expected at least one column, got none",
}


@pytest.mark.parametrize("line", BAD_ARGUMENTS)
def test_a_wrong_command_line_is_one_line_and_status_2(gdc, table, line):
    data = table(small())
    status, out, err = gdc(*line.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("gdcore: error: ")
    assert BAD_ARGUMENTS[line] in err
    assert Path(data).read_text("utf-8") == small()


@pytest.mark.parametrize(
    ("output", "said"),
    [("no/m.npz", "expected a directory that exists"), (".", "got a directory"), (os.devnull, "got a device")],
)
def test_an_output_that_cannot_be_written_is_said_before_the_run(gdc, table, output, said):
    status, out, err = gdc("train", table(small()), "--target", "y", "--output", output)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert said in err


@pytest.mark.parametrize(("lr", "epochs"), [("1e3", "500"), ("10", "5")])
def test_a_diverging_run_is_one_line_status_1_and_no_model(gdc, table, lr, epochs):
    data = table(small())
    argv = ("--optimizer", "sgd", "--lr", lr, "--epochs", epochs, "--output", "m.npz")
    status, _, err = gdc("train", data, "--target", "y", *argv)
    assert (status, err.count("\n")) == (1, 1)
    assert "the run diverged: " in err
    assert "try a smaller lr than" in err
    assert [path.name for path in Path().iterdir()] == [data]


def test_a_diverging_run_leaves_the_old_model(gdc, table):
    data = table(small())
    assert gdc("train", data, "--target", "y", "--output", "m.npz")[0] == 0
    old = Path("m.npz").read_bytes()
    assert gdc("train", data, "--target", "y", "--optimizer", "sgd", "--lr", 1e3, "--output", "m.npz")[0] == 1
    assert Path("m.npz").read_bytes() == old


def test_a_constant_column_is_warned_of_and_gets_no_weight(gdc, table):
    text = "\n".join(line + (",c" if i == 0 else ",0.1") for i, line in enumerate(small().splitlines()))
    status, _, err = gdc("train", table(text), "--target", "y", "--optimizer", "sgd", "--output", "m.npz")
    assert status == 0
    assert err == "gdcore: warning: constant in the rows to train on, so of no use: 'c'\n"
    assert TableModel.load("m.npz").network.params[0][0][2] == 0


def test_a_constant_target_is_warned_of_and_predicted(gdc, table):
    status, _, err = gdc("train", table("a,y\n1,7\n2,7\n3,7\n"), "--target", "y", "--output", "m.npz")
    assert (status, err) == (0, "gdcore: warning: the target 'y' is constant in the rows to train on\n")
    assert predicted("m.npz", table("a\n50\n", "new.csv")).tolist() == [7.0]


def test_a_run_that_was_still_learning_is_warned_of(gdc, table):
    status, _, err = gdc("train", table(small()), "--target", "y", "--epochs", 50, "--lr", 0.01)
    assert status == 0
    assert "in the last tenth of the epochs; try more --epochs or a larger --lr" in err


# The process


def process(*argv, **how):
    command = [sys.executable, "-W", "error", "-m", "gdcore", *map(str, argv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


@pytest.mark.skipif(os.name != "posix", reason="sends another process a signal")
def test_ctrl_c_keeps_what_was_learned_and_is_status_130(gdc, diabetes, tmp_path):
    saved = tmp_path / "m.npz"
    with process("train", diabetes, "--target", "progression", "--epochs", 10**7, "--output", saved) as run:
        while not run.stdout.readline().startswith("    1 "):
            pass
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert re.fullmatch(rf"gdcore: interrupted in epoch \d+; model saved to {saved}\n", err)
    assert gdc("predict", saved, diabetes)[0] == 0


def test_a_closed_pipe_ends_quietly(diabetes):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-W", "error", "-m", "gdcore", "train", diabetes, "--target", "progression"]
    run = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (run.returncode, run.stderr) == (1, "")


def test_a_run_raises_no_warning_of_python(diabetes, tmp_path):
    saved = tmp_path / "m.npz"
    for argv in (
        ("train", diabetes, "--target", "progression", "--epochs", 3, "--output", saved),
        ("predict", saved, diabetes),
        ("train",),
        ("train", "--help"),
    ):
        with process(*argv) as run:
            _, err = run.communicate(timeout=60)
        assert run.returncode == 0
        assert "Warning" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_progress_bar_and_a_pipe_none(diabetes):
    import pty

    ours, theirs = pty.openpty()
    shown = []

    def read():
        with contextlib.suppress(OSError):  # what Linux says at the end of a terminal
            while part := os.read(ours, 65536):
                shown.append(part)

    command = [sys.executable, "-m", "gdcore", "train", str(diabetes), "--target", "progression", "--epochs", "400"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as run:
        reader = threading.Thread(target=read)
        reader.start()
        out = run.stdout.read()
    os.close(theirs)
    reader.join(timeout=60)
    os.close(ours)
    assert b"step/s" in b"".join(shown)
    assert "step/s" not in out
    assert len(out.splitlines()) == 5 + 51 + 2


def test_without_polars_the_error_says_what_to_install(gdc, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    status, _, err = gdc("train", table(small()), "--target", "y")
    assert (status, err) == (1, "gdcore: error: reading a table needs polars: pip install 'gdcore[cli]'\n")


def test_the_library_does_not_import_what_only_the_command_line_needs():
    code = (
        "import sys, gdcore; print(*sorted({'polars', 'tqdm', 'argparse', 'gdcore.cli.parser'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_run_that_wanders_is_warned_of(gdc, table):
    status, _, err = gdc("train", table(small()), "--target", "y", "--epochs", 300, "--lr", 0.5, "--batch-size", 2)
    assert status == 0
    assert "above its best" in err
    assert "try a smaller --lr, a larger --batch-size or --schedule cosine" in err


def test_a_run_that_learned_nothing_is_warned_of(gdc, table):
    status, _, err = gdc("train", table(small()), "--target", "y", "--lr", 0)
    assert status == 0
    assert err.startswith("gdcore: warning: the model is no better than predicting the mean alone")


def test_a_name_that_the_output_cannot_encode_is_one_line_and_status_1(table):
    data = table(small().replace("a,b,y", "a,b,größe"))
    with process("train", data, "--target", "größe", env={**os.environ, "PYTHONIOENCODING": "ascii"}) as run:
        _, err = run.communicate(timeout=60)
    assert (run.returncode, err.count("\n")) == (1, 1)
    assert "the output takes ascii alone" in err


def test_what_a_killed_command_left_is_removed_by_the_next_that_writes_the_same_file(gdc, table):
    data = table(small())
    for output, *argv in (
        ("m.npz", "train", data, "--target", "y", "--epochs", 2),
        ("p.csv", "predict", "m.npz", data),
    ):
        for name in (output, "other"):
            code = f"import os; from gdcore.files import replacing\nwith replacing({name!r}): os.abort()"
            subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
        left = {*Path().glob(".*.tmp")}
        assert gdc(*argv, "--output", output)[0] == 0
        assert len(left - {*Path().glob(".*.tmp")}) == 1


def test_a_table_that_is_written_to_a_file_can_be_read_again(gdc, table):
    """Whatever encoding the system has for files."""
    data = table(small().replace("a,b,y", "a,b,日本"))
    assert gdc("train", data, "--target", "日本", "--output", "m.npz")[0] == 0
    with Path("p.csv").open("wb") as output:
        subprocess.run([sys.executable, "-m", "gdcore", "predict", "m.npz", data], stdout=output, check=True)
    assert Path("p.csv").read_text("utf-8").startswith("日本\n")


def test_version_is_that_of_the_package(gdc):
    assert gdc("--version") == (0, f"gdcore {gdcore.__version__}\n", "")


def test_help_states_the_exit_statuses(gdc):
    for argv in (("--help",), ("train", "--help"), ("predict", "--help")):
        status, out, _ = gdc(*argv)
        assert status == 0
        assert "130  interrupted" in out


def test_train_alone_runs_the_worked_example(gdc):
    status, out, err = gdc("train")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert "   50  2.39  3.40 13.66  2.43  3.15 13.73  2.22 15.35  7.50  2.01 29.28  0.37" in lines
    names = [line.split()[0] for line in lines if "is at a" in line]
    assert names == ["SGD", "Momentum", "RMSProp", "Adam"]
    assert lines[-10] == "Adam     is at a = 2.0112 (+0.0112 from 2), b = 29.2837 (-0.7163 from 30)"
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("epochs", [1, 2, 11, 101])
def test_the_worked_example_ends_at_the_epochs_asked_for(gdc, epochs):
    status, out, _ = gdc("train", "--epochs", epochs)
    assert status == 0
    assert any(line.startswith(f"{epochs:>5}  ") for line in out.splitlines())


# The model


@pytest.mark.parametrize("unit", [1e-300, 1e-6, 1.0, 1e12, 1e300])
def test_standardised_columns_have_mean_0_and_variance_1_in_any_unit(unit):
    x = unit * (np.random.default_rng(0).standard_normal((100, 3)) + 3)
    z = Scaling.of(x).standardised(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-12)
