"""What CFLAGS and LDFLAGS say when gdcore is installed changes no bit of it and nothing beside it.

What the build lacks is said, and what it packs is the same everywhere.
"""

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLAGS = {
    "usual": ("", ""),
    "fast_math": ("-O3 -ffast-math", ""),
    "fast_math_linked": ("", "-ffast-math"),
    "fast": ("-Ofast", "-Ofast"),
    "unsafe": ("-funsafe-math-optimizations", "-funsafe-math-optimizations"),
    "finite": ("-ffinite-math-only -fno-signed-zeros", ""),
    "associative": ("-fassociative-math -freciprocal-math -fno-signed-zeros -fno-trapping-math", ""),
    "native": ("-march=native -ffp-contract=fast -ffast-math", "-march=native -ffast-math"),
    "others": ("-O0 -UNDEBUG -ftrapv -fsingle-precision-constant", ""),
}
if platform.machine() == "x86_64":
    FLAGS["instructions"] = ("-mavx2 -mfma -mfpmath=387", "")

PROBE = """
#include <Python.h>
static PyObject *probe(PyObject *self, PyObject *args) {
    double nan, one, small, zero, three, x, y, z;
    if (!PyArg_ParseTuple(args, "dddddddd", &nan, &one, &small, &zero, &three, &x, &y, &z)) return NULL;
    int newer = 0, asserts = 1, most = INT_MAX - 3 + (int)three;
#if defined(__x86_64__) && (defined(__SSE3__) || !defined(__SSE2_MATH__))
    newer = 1;
#endif
#ifdef NDEBUG
    asserts = 0;
#endif
    return Py_BuildValue("iddddiiid", nan != nan, (one + small) - one, zero + 0.0, three / 10.0, x * y + z,
                         newer, asserts, most + (int)one < most, one * 0.1);
}
static PyMethodDef methods[] = {{"probe", probe, METH_VARARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "NAME", "", -1, methods};
PyMODINIT_FUNC PyInit_NAME(void) { return PyModule_Create(&module); }
"""

BUILD = """
import os, runpy, sys
import Cython.Build, setuptools

root, probe, flags = sys.argv[1], open("probe.c").read(), eval(sys.argv[2])
found = []
cythonize, setup = Cython.Build.cythonize, setuptools.setup
Cython.Build.cythonize = lambda extensions, **_: extensions
setuptools.setup = lambda **options: found.extend(options["ext_modules"])
runpy.run_path(f"{root}/setup.py")
for name, (cflags, ldflags) in flags.items():
    with open(f"{name}.c", "w") as file:
        file.write(probe.replace("NAME", name))
    os.environ.update(CFLAGS=cflags, LDFLAGS=ldflags)
    like = next(extension for extension in found if extension.name == "gdcore._kernels")
    arguments = {key: getattr(like, key) for key in ("extra_compile_args", "extra_link_args")}
    extension = setuptools.Extension(name, [f"{name}.c"], **arguments)
    setup(name=name, ext_modules=[extension], py_modules=[], script_args=["-q", "build_ext", "--inplace"])
"""

RUN = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    found = import_module(name).probe(float("nan"), 1.0, 1e-20, -0.0, 3.0, 1.0 + 2**-30, 1.0 + 2**-30, -1.0)
    print(name, found, sys.float_info.min / 2 > 0)
"""


def run(code, *arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("cc"), reason="needs a C compiler like gcc")
def test_flags_of_the_environment_change_no_bit(tmp_path):
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    (tmp_path / "probe.c").write_text(PROBE, "utf-8")
    for code, *arguments in [(BUILD, str(ROOT), repr(FLAGS)), (RUN, *FLAGS)]:
        done = run(code, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    expected = (1, 0.0, 0.0, 0.3, (1.0 + 2**-30) * (1.0 + 2**-30) - 1.0, 0, 0, 1, 0.1)
    assert said == dict.fromkeys(FLAGS, f"{expected} True")


def said_by_setup(before, *arguments, **environment):
    """Return what setup.py ends with, where something is done before it."""
    (ROOT / "setup.py").stat()
    done = run(f"{before}\nimport runpy; runpy.run_path('setup.py')", *arguments, cwd=ROOT, **environment)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_what_the_build_lacks_is_said_at_once():
    before = """
import importlib.metadata
def version(name):
    if name == "cython":
        raise importlib.metadata.PackageNotFoundError(name)
    return {"numpy": "1.26.4", "setuptools": "77.0.3"}[name]
importlib.metadata.version = version
"""
    expected = "gdcore: the build expects cython>=3.3, numpy>=2.0, got none, 1.26.4"
    assert said_by_setup(before) == expected


def test_a_python_that_is_too_old_to_build_is_told():
    before = "import sys; sys.modules['tomllib'] = None"
    assert said_by_setup(before).startswith("gdcore: expected Python 3.11 or newer, got 3.")


@pytest.mark.skipif(sys.platform == "win32", reason="its compiler is found by other means")
def test_a_compiler_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    before = "import Cython.Build; Cython.Build.cythonize = lambda extensions, **_: extensions"
    said = said_by_setup(before, "-q", "build_ext", "-b", str(tmp_path), "-t", str(tmp_path), CC="no-such-cc -pipe")
    assert said == "gdcore: expected a C compiler, got no program no-such-cc; CC names another one"


COMMANDS = """
import os, runpy, sys, time
import Cython.Build, setuptools

found, setup = {}, setuptools.setup
Cython.Build.cythonize = lambda extensions, **_: extensions
setuptools.setup = found.update
runpy.run_path(f"{sys.argv[1]}/setup.py")
def pack(modules, *arguments):
    setup(name="x", version="1", py_modules=modules, cmdclass=found["cmdclass"], script_args=["-q", *arguments])
"""
ARCHIVES = """
top = os.getcwd()
for folder, mask, zone in [("a", 0o022, "UTC"), ("b", 0o077, "Asia/Kolkata"), ("c", 0o002, "UTC")]:
    os.umask(mask)
    os.environ["TZ"] = zone
    time.tzset()
    os.mkdir(f"{top}/{folder}")
    os.chdir(f"{top}/{folder}")
    for path in ("x.py", "LICENSE", "README.md"):
        with open(path, "w") as file:
            file.write("# x")
        os.utime(path, (mask, 1e9 + mask))
    os.chmod("README.md", 0o777 & ~mask)
    pack(["x"], "sdist", "-d", ".", "bdist_wheel", "-d", ".")
"""
TWICE = """
for name in ("x", "y"):
    with open(f"{name}.py", "w") as file:
        file.write("# x")
pack(["x", "y"], "build")
pack(["x"], "bdist_wheel", "-d", ".")
"""


def packed_by(code, place, **environment):
    """Run what uses the commands of setup.py for another project."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    done = run(COMMANDS + code, str(ROOT), cwd=place, **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="its files have no modes")
def test_what_is_released_is_the_same_bytes_whoever_packs_it_where_and_when(tmp_path):
    packed_by(ARCHIVES, tmp_path, SOURCE_DATE_EPOCH="1700000000")
    for pattern in ("*/x-1.tar.gz", "*/x-1-*.whl"):
        made = [path.read_bytes() for path in tmp_path.glob(pattern)]
        assert len(made) == 3
        assert len({*made}) == 1, pattern


def test_a_wheel_has_nothing_that_an_older_version_left_in_the_folder_of_the_build(tmp_path):
    packed_by(TWICE, tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if name.endswith(".py")] == ["x.py"]


def test_importing_gdcore_leaves_floating_point_as_it_is():
    code = """
import sys
import numpy
before = sys.float_info.min / 2, numpy.float32(2.0**-126) / 2
import gdcore.engine, gdcore.training, gdcore.models
assert before == (sys.float_info.min / 2, numpy.float32(2.0**-126) / 2) and before[0] > 0
for path in {module.__file__ for name, module in sys.modules.items() if name.startswith("gdcore.")}:
    assert b"set_fast_math" not in open(path, "rb").read(), path
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
