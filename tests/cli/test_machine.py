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
    assert all(float(cell) > 0 for row in rows for cell in row[2:6])
    assert out.endswith("saved roof.svg\n")
    assert "<svg" in Path("roof.svg").read_text("utf-8")


def test_figures_above_the_limit_by_more_than_the_rounds_differ_are_marked(gdc, monkeypatch):
    """A step takes 1, and the limit what it is told to, round by round."""
    limits = {7: [2.0] * 9, 8: [1.02] * 9, 9: [1.0] * 4 + [1.1] + [1.4] * 4, 10: [0.8] * 9, 11: [1.0, 9.0, 8.0] * 3}
    told = iter([turns for limit in limits.values() for turns in ([[1.0] * 9, limit], [[5.0] * 9])])
    monkeypatch.setattr("gdcore.cli.bench._in_turn", lambda *steps: next(told))
    status, out, _ = gdc("bench", "--sizes", "7,8,9,10,11", "--optimizer", "sgd")
    assert status == 0
    marked = {int(line.split()[1]): line.endswith("  *") for line in out.splitlines() if line.startswith("sgd ")}
    assert marked == {7: True, 8: True, 9: False, 10: False, 11: True}
    assert out.count("* cannot be: above the limit") == 1


def test_figures_that_can_be_are_not_explained(gdc, monkeypatch):
    told = iter([[[1.0] * 9, [0.9] * 9], [[5.0] * 9]])
    monkeypatch.setattr("gdcore.cli.bench._in_turn", lambda *steps: next(told))
    assert "cannot be" not in gdc("bench", "--sizes", "7", "--optimizer", "sgd")[1]


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
            (tmp_path / f"index{index}" / name).write_text(f"{value}\n", "utf-8")
    assert bench.caches(tmp_path) == [("L1", 48 << 10), ("L2", 2 << 20)]
    assert bench.caches(tmp_path / "absent") == []
