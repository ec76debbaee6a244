"""The commands that ask about this machine."""

from pathlib import Path

import pytest

from gdcore.cli import bench
from gdcore.models.choices import OPTIMIZERS


def test_info_says_what_runs(gdc):
    status, out, err = gdc("info")
    assert (status, err) == (0, "")
    assert "in use: " in out


def test_bench_prints_a_line_for_each_rule_and_size_and_draws_them(gdc, monkeypatch):
    monkeypatch.setattr("gdcore.cli.bench.BLOCK_NS", 1)
    status, out, err = gdc("bench", "--sizes", "7,1e3", "--dtype", "float64", "--plot", "roof.svg")
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.startswith(tuple(f"{name} " for name in OPTIMIZERS))]
    assert [(row[0], row[1]) for row in rows] == [(rule, size) for rule in OPTIMIZERS for size in ("7", "1,000")]
    assert all(float(cell) > 0 for row in rows for cell in row[2:])
    assert out.endswith("saved roof.svg\n")
    assert "<svg" in Path("roof.svg").read_text()


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--sizes", "0"], 2, "argument --sizes: expected integers from 1 to 1e+10, got '0'"),
        (["--sizes", "a"], 2, "argument --sizes: expected integers from 1 to 1e+10, got 'a'"),
        (["--sizes", "10,1.5"], 2, "argument --sizes: expected integers from 1 to 1e+10, got '10,1.5'"),
        (["--sizes", "1e30"], 2, "argument --sizes: expected integers from 1 to 1e+10, got '1e30'"),
        (["--threads", "0"], 2, "argument --threads: expected an integer >= 1, got '0'"),
        (["--plot", "roof.bmp"], 2, "--plot: expected a file named *.png, *.pdf, *.svg, got 'roof.bmp'"),
        (["--plot", "no/roof.png"], 1, "no/roof.png: expected a directory that exists"),
    ],
)
def test_bad_arguments_of_bench_are_one_line(gdc, flags, status, message):
    got, out, err = gdc("bench", *flags)
    assert (got, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1


def test_caches_are_those_that_linux_lists(tmp_path):
    for index, (kind, level, size) in enumerate(
        [("Data", 1, "48K"), ("Instruction", 1, "32K"), ("Unified", 2, "2M")]
    ):
        (tmp_path / f"index{index}").mkdir()
        for name, value in (("type", kind), ("level", level), ("size", size)):
            (tmp_path / f"index{index}" / name).write_text(f"{value}\n")
    assert bench.caches(tmp_path) == [("L1", 48 << 10), ("L2", 2 << 20)]
    assert bench.caches(tmp_path / "absent") == []
