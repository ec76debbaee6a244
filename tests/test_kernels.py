"""The kernels as other compiled code calls them: by address, by cimport, by the C struct. The bits are the same."""

import ctypes
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from rules_table import every_rule

import gdcore as gd

PAGE = (Path(__file__).parents[1] / "docs" / "kernels.md").read_text("utf-8")
KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t)
UNIX = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("cc"), reason="needs a C compiler like gcc")


class Table(ctypes.Structure):
    """As gdcore.h has it."""

    COEFFICIENTS = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p
    )
    _fields_ = [
        ("version", ctypes.c_int),
        ("size", ctypes.c_int),
        ("kernels", ctypes.c_void_p),
        ("find", ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)),
        ("coefficients", COEFFICIENTS),
    ]


@pytest.fixture
def table():
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Table.from_address(pointer(gd.kernels.table, b"gdcore.kernels.table"))


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]


GIVEN = {"lr": 0.1, "weight_decay": 0.01}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_rule
def test_a_kernel_called_by_its_address_leaves_the_bits_of_the_update(rule, dtype):
    rng = np.random.default_rng(0)
    ours, grad = rng.standard_normal((2, 37)).astype(dtype)
    theirs = ours.copy()
    used = [name for name in rule.used_slots(rule.hyperparameters) if name]
    slots, others = ({name: np.zeros(37, dtype) for name in used} for _ in range(2))
    kernel = KERNEL(gd.kernels.address(rule.name, dtype))
    data = [slots[name].ctypes.data if name in used else None for name in [*rule.slots, None, None, None][:3]]
    x = (ctypes.c_void_p * 6)(ours.ctypes.data, grad.ctypes.data if rule.has_gradient else None, *data, None)
    for t in (1, 2, 3):
        c = gd.kernels.coefficients(rule.name, dtype, t, **GIVEN)
        kernel(x, c.ctypes.data, 37)
        step = {"t": t} if rule.corrections else {}
        getattr(gd.updates, rule.name)(theirs, *([grad] if rule.has_gradient else []), **others, **step, **GIVEN)
    assert ours.tobytes() == theirs.tobytes()
    assert [slots[name].tobytes() for name in used] == [others[name].tobytes() for name in used]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_rule
def test_c_and_python_make_the_same_coefficients(rule, dtype, table):
    switched = {**rule.hyperparameters, **rule.options, **GIVEN}
    for values in ({**rule.hyperparameters, **GIVEN}, switched):
        flat = np.hstack([np.nan if value is None else value for value in values.values()]).astype(float)
        assert len(flat) == len(gd.kernels.hyperparameters(rule.name))
        for t in (1, 64, 1_000_000):
            expected = gd.kernels.coefficients(rule.name, dtype, t, **values)
            c = np.zeros(12, dtype)
            count = table.coefficients(rule.name.encode(), c.itemsize, flat.ctypes.data, t, c.ctypes.data)
            assert c[:count].tobytes() == expected.tobytes()


def test_the_table_says_its_version_and_size_and_finds_each_kernel(table):
    assert (table.version, table.size) == (gd.kernels.VERSION, ctypes.sizeof(Table))
    for rule in ("adam", "sgd"):
        name, single, double = (ctypes.c_size_t * 3).from_address(table.find(rule.encode()))
        assert ctypes.string_at(name) == rule.encode()
        assert (single, double) == tuple(gd.kernels.address(rule, dtype) for dtype in ("f4", "f8"))


def test_what_is_wrong_is_refused_by_name(table):
    c, hyper, negative = np.zeros(12), np.array([0.1, 0.0, 0.0]), np.array([-0.1, 0.0, 0.0])

    def make(rule, itemsize, values, t):
        table.coefficients(rule, itemsize, values.ctypes.data, t, c.ctypes.data)

    for call, error, said in [
        (lambda: table.find(b"adamax"), LookupError, "rule: expected one of"),
        (lambda: make(b"adamax", 8, hyper, 1), LookupError, "rule: expected"),
        (lambda: make(b"sgd", 2, hyper, 1), ValueError, "itemsize: expected"),
        (lambda: make(b"sgd", 8, hyper, 0), ValueError, "t: expected"),
        (lambda: make(b"sgd", 8, negative, 1), ValueError, "lr: expected"),
        (lambda: gd.kernels.address("adamax", "f4"), LookupError, "rule: expected one of"),
        (lambda: gd.kernels.address("adam", np.float16), TypeError, "dtype: expected float32 or"),
        (lambda: gd.kernels.coefficients("adamax", "f4"), LookupError, "rule: expected one of"),
        (lambda: gd.kernels.hyperparameters("adamax"), LookupError, "rule: expected one of"),
        (lambda: gd.kernels.coefficients("sgd", "f4"), TypeError, "lr: expected a value"),
        (lambda: gd.kernels.coefficients("sgd", "f4", lr=1, beta=1), TypeError, "beta: expected one of lr"),
        (lambda: gd.kernels.coefficients("sgd", "f4", 0, lr=1), ValueError, "t: expected an integer >= 1, got 0"),
    ]:
        with pytest.raises(error, match=said):
            call()
    assert not c.any()


@UNIX
def test_the_example_in_c_decays_weights(tmp_path):
    methods = '{{"decay", decay, METH_VARARGS, ""}, {0}};\nstatic struct PyModuleDef module = '
    source = f"""
static PyMethodDef methods[] = {methods}{{PyModuleDef_HEAD_INIT, "example", "", -1, methods}};
PyMODINIT_FUNC PyInit_example(void) {{ return PyModule_Create(&module); }}
"""
    (tmp_path / "example.c").write_text(block("c") + source, "utf-8")
    compile_module(tmp_path, "example.c", gd.kernels.get_include())
    code = """
import example, numpy as np
w = np.full(1000, 2.0)
example.decay(w, 0.5, 0.5)
assert (w == 1.5).all()
try:
    example.decay(w, -1.0, 0.5)
except ValueError as error:
    assert str(error).startswith("lr: expected"), error
"""
    run(tmp_path, code)


@UNIX
@pytest.mark.slow
def test_the_example_in_cython_steps_as_the_update(tmp_path):
    (tmp_path / "example.pyx").write_text(block("cython"), "utf-8")
    subprocess.run([sys.executable, "-m", "cython", "-3", "example.pyx"], check=True, cwd=tmp_path)
    compile_module(tmp_path, "example.c")
    code = """
import example, numpy as np, gdcore as gd
w, g, m, v = np.random.default_rng(0).random((4, 1000), np.float32)
w2, m2, v2 = w.copy(), m.copy(), v.copy()
for t in (1, 2, 3):
    example.step(w, g, m, v, t, 0.1)
    gd.updates.adam(w2, g, m2, v2, t=t, lr=0.1)
assert w.tobytes() + m.tobytes() + v.tobytes() == w2.tobytes() + m2.tobytes() + v2.tobytes()
"""
    run(tmp_path, code)


@pytest.mark.peers
def test_the_example_in_numba_descends():
    exec(compile(block("py"), "docs/kernels.md", "exec"), {})


def compile_module(folder, source, *include):
    include = [f"-I{path}" for path in (sysconfig.get_path("include"), *include)]
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    name = f"{Path(source).stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = ["cc", "-Wall", "-Werror", "-Wno-unused-function", "-shared", "-fPIC", *undefined, *include, source]
    done = subprocess.run([*command, "-o", name], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr


def run(folder, code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
