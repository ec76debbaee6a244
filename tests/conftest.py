"""What several files of tests use."""

import pytest

from gdcore.cli.parser import main


@pytest.fixture
def gdc(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty directory; give its status, its output and its errors."""
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        status = main([str(argument) for argument in argv])
        out, err = capsys.readouterr()
        return status, out, err

    return call
