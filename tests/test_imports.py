"""What keeps gdcore from being imported is said with what to do about it."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import gdcore

FOLDER = Path(gdcore.__file__).parent
SUFFIX = EXTENSION_SUFFIXES[0]
NEWER = {"cpython-3": "cpython-9", ".cp3": ".cp9"}


@pytest.fixture
def said(tmp_path):
    """Return a function that copies gdcore without what begins so, imports it and returns the last line said."""

    def run(without="nothing", others=(), package="gdcore"):
        shutil.copytree(FOLDER, tmp_path / package, ignore=shutil.ignore_patterns(f"{without}*", "__pycache__"))
        for name, data in dict(others).items():
            (tmp_path / name).write_text(data, "utf-8")
        done = subprocess.run(
            [sys.executable, "-c", f"import {package}"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        return done.stderr.splitlines()[-1]

    return run


def of_another_python(name):
    suffix = SUFFIX
    for this, other in NEWER.items():
        suffix = suffix.replace(this, other)
    return name + suffix


@pytest.mark.parametrize("name", ["_cython", "_kernels"])
def test_a_compiled_module_that_is_not_there_is_named_with_how_to_get_it(said, tmp_path, name):
    assert said(without=name).startswith(
        f"ImportError: gdcore: expected the module {name}{SUFFIX} in {tmp_path / 'gdcore'}, got nothing "
        f"(No module named 'gdcore.{name}'); install it for this Python by: python -m pip install"
    )


@pytest.mark.parametrize("name", ["_cython", "_kernels"])
def test_a_compiled_module_of_another_python_is_named_beside_what_was_expected(said, name):
    other = of_another_python(name)
    assert f"expected the module {name}{SUFFIX} in " in (line := said(name, {f"gdcore/{other}": ""}))
    assert f", got {other} (No module named 'gdcore.{name}'); install it" in line


def test_a_compiled_module_that_is_damaged_is_named_with_how_to_get_it_again(said):
    line = said("_cython", {f"gdcore/_cython{SUFFIX}": ""})
    assert f"expected the module _cython{SUFFIX} in " in line
    assert "; install it for this Python by: " in line


def test_gdcore_under_another_name_says_that_its_name_is_fixed(said):
    assert said(package="vendored").startswith("ImportError: gdcore: expected its folder to be imported as gdcore")


def test_numpy_before_2_is_refused_with_its_version(said):
    assert said(others={"numpy.py": "__version__ = '1.26.4'"}) == (
        "ImportError: gdcore: expected NumPy 2.0 or newer, got 1.26.4; "
        "install it by: python -m pip install 'numpy>=2.0'"
    )
