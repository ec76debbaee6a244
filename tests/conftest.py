"""What several files of tests use."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is there: tests already take all cores

import re
import signal
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from gdcore.cli.parser import main

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]


def lacking(error):
    """Return what a test needs that is not here, a package or what lies beside the tests, or None if it failed."""
    while error:
        if isinstance(error, ModuleNotFoundError) and error.name and not find_spec(error.name.partition(".")[0]):
            return f"needs {error.name.partition('.')[0]}"
        if isinstance(error, FileNotFoundError) and isinstance(error.filename, (str, Path)):
            path = Path(error.filename)
            if path.is_relative_to(ROOT) and not (ROOT / path.relative_to(ROOT).parts[0]).exists():
                return f"needs {path.relative_to(ROOT).parts[0]} beside the tests"
        error = error.__cause__ or error.__context__
    return None


def skip_what_lacks(report, failure, path, line):
    """Make of the report of a failure one of a skipped test, if anything is lacking."""
    if reason := lacking(failure.value):
        report.outcome, report.longrepr = "skipped", (str(path), line, f"Skipped: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.failed:
        skip_what_lacks(report, report.call.excinfo, collector.path, 1)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        skip_what_lacks(report, call.excinfo, *item.reportinfo()[:2])
    return report


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """Flush no file to disk: that helps against power cuts alone, and takes longer than all else that is tested.

    test_files.py proves that it is asked for, and when.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_interrupts():
    """Let SIGINT raise, also where a shell that runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def gdc(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty directory; give its status, its output and its errors."""
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        status = main([str(argument) for argument in argv])
        out, err = capsys.readouterr()
        if (needs := re.search(r" needs (polars|matplotlib): pip install ", err)) and not find_spec(needs[1]):
            pytest.skip(f"needs {needs[1]}")
        return status, out, err

    return call


@pytest.fixture
def tables_for_every_flag(tmp_path):
    """Return a folder with the tables that ``cli/every_flag.py`` reads: each flag makes others of them."""
    pytest.importorskip("polars")
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    for name in ("data", "other"):
        lines = ["a\tb\tk\tp q\td\tz\ty"]
        for a, b, k, y in zip(*rng.integers(1001, 9999, (2, 48)), *rng.integers(0, 4, (2, 48)), strict=True):
            # With decimal commas 1.234 are thousands; between spaces p and q are two columns.
            fields = (
                f"{a / 1000:.3f}",
                f"{b / 1000:.3f}",
                k,
                f"{'ijkl'[y]} {'mnop'[k]}",
                f"{1 + k}.1.2024",
                a + b,
                y,
            )
            lines.append("\t".join(map(str, fields)))
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), "utf-8")
    return tmp_path
