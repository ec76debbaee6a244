"""What several files of tests use."""

import os
import signal

import hypothesis
import numpy as np
import pytest

from gdcore.cli.parser import main

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    return tmp_path
