"""What can be asked for: each flag is a row, and reaches something."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from gdcore.cli.options import TABLE, Options, flag, flag_of
from gdcore.cli.parser import COMMANDS

EVERY_FLAG = Path(__file__).with_name("every_flag.py")


def test_each_flag_reaches_something(tables_for_every_flag):
    run = subprocess.run(
        [sys.executable, EVERY_FLAG, tables_for_every_flag], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.stdout.split("\n") == ["nothing 0", *(f"{row.name} 1" for row in fields(Options)), ""]


def test_the_help_says_the_default_of_the_row(gdc):
    assert flag(7, int, TABLE, "how many").metadata["how"]["help"] == "how many (default: 7)"
    assert flag(0.5, float, TABLE).metadata["how"]["help"] == "default: 0.5"
    assert flag(None, float, TABLE, "rate", shown="its own").metadata["how"]["help"] == "rate (default: its own)"
    _, out, _ = gdc("train", "--help")
    said = " ".join(out.split())
    for row in fields(Options):
        assert " ".join(row.metadata["how"]["help"].replace("%%", "%").split()) in said, row.name


def test_a_flag_that_is_given_is_the_value_of_its_row():
    options = Options("data.csv", "y", lr=0.5, clip=3.0, l2=0.25)
    assert options.keywords("optimizer") == {"lr": 0.5, "weight_decay": 0.0, "l2": 0.25}
    assert options.keywords("limits") == {"max_norm": 3.0}
    assert (options.rate, Options("data.csv", "y", optimizer="sgd").rate) == (0.5, 0.01)
    assert flag_of("batch_size") == "--batch-size"


@pytest.mark.parametrize("argv", [["--help"], ["--version"]])
def test_what_asks_for_no_command_imports_none(argv):
    code = (
        f"import sys; from gdcore.cli import main; status = main({argv}); "
        "print(status, *sorted(name for name in sys.modules if name.startswith('gdcore.')), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, *modules = run.stderr.split()
    folders = {"checkpoints", "derivatives", "distributed", "models", "tables", "training"}
    assert status == "0"
    assert not {f"gdcore.{name}" for name in folders} & set(modules)
    assert not {f"gdcore.cli.{name}" for name in COMMANDS} & set(modules)
    assert not run.stdout.startswith("usage") or all(name in run.stdout for name in COMMANDS)
