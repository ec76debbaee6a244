"""What several files of tests use."""

import numpy as np
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


@pytest.fixture
def tables_for_every_flag(tmp_path):
    """Return a folder with the tables that ``cli/every_flag.py`` reads."""
    rng = np.random.default_rng(0)
    for name in ("data", "other"):
        a, b = rng.standard_normal((2, 48))
        kind, y = rng.integers(0, 3, 48), rng.integers(0, 4, 48)
        rows = "".join(f"{','.join(map(str, row))}\n" for row in zip(a, b, kind, a + b, y, strict=True))
        (tmp_path / f"{name}.csv").write_text(f"a,b,k,z,y\n{rows}")
    return tmp_path
