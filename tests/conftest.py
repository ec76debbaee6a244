"""What several files of tests use."""

import os

import pytest

from gdcore.cli.parser import main


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """Flush no file to disk: that helps against power cuts alone, and takes longer than all else that is tested.

    test_files.py proves that it is asked for, and when.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def gdc(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty directory; give its status, its output and its errors."""
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        status = main([str(argument) for argument in argv])
        out, err = capsys.readouterr()
        return status, out, err

    return call
