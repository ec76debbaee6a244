"""The builds of the kernels for different CPUs: all give the same bits, and only they hold newer instructions."""

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import gdcore as gd
from gdcore import stages
from gdcore.engine import _plan, variants

ABLE = [variant.name for variant in variants.VARIANTS if variants.obstacle(variant) is None]
OTHERS = [name for name in ABLE if name != variants.chosen.name]
# The tests whose outcome is that of the kernels; the others of these files would only say the same again.
OF_KERNELS = (
    "test_rules.py::test_kernel_equals_reference_bit_for_bit_at_every_size",
    "test_rules.py::test_kernel_equals_reference_bit_for_bit_on_special_values",
    "test_rules.py::test_no_slot_ever_holds_a_subnormal_number",
    "test_properties.py::test_a_step_equals_that_on_contiguous_copies_and_writes_nothing_else",
    "test_properties.py::test_the_split_into_arrays_changes_no_bit",
    "test_halves.py::test_every_half_is_widened_exactly",
    "test_halves.py::test_float32_is_rounded_to_the_nearest_half_and_to_the_even_one_of_two",
    "test_halves.py::test_a_step_of_halves_equals_its_stages_one_after_the_other_bit_for_bit",
)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "baseline")) for name in OTHERS]
)
def test_every_variant_keeps_the_promises(name):
    here = Path(__file__).parents[1]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *(f"{here}/{test}" for test in OF_KERNELS),
        ],
        env={**os.environ, variants.ENVIRONMENT: name},
        capture_output=True,
        text=True,
        check=False,
        cwd=here.parent,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ABLE)
def test_a_variant_can_be_forced(name):
    done = run("import gdcore; gdcore.show_config()", GDCORE_ISA=name)
    assert re.search(rf"{name} +in use: forced by GDCORE_ISA\n", done.stdout), done.stderr


def test_of_two_widths_of_vectors_each_kernel_has_one_that_it_has_measured():
    def wide(**environment):
        done = run("import gdcore.engine._plan as plan; print(plan.wide_kernels())", **environment)
        assert done.returncode == 0, done.stderr
        return ast.literal_eval(done.stdout)

    every = {(rule, dtype) for rule in _plan.kernel_names() for dtype in ("float32", "float64")}
    looks = {(rule, dtype) for rule, dtype in every if rule in stages.LOOKS}
    assert set(wide(GDCORE_ISA="")) <= every - looks
    for forced in {"x86-64-v4-256", "x86-64-v4-512", "x86-64-v3", "baseline"} & set(ABLE):
        assert wide(GDCORE_ISA=forced) == []  # there is nothing to choose


def test_the_best_variant_is_the_default():
    done = run("import gdcore; gdcore.show_config()", GDCORE_ISA="")
    assert re.search(rf"{ABLE[0]} +in use: the best that can run here\n", done.stdout), done.stderr


def test_an_impossible_variant_is_an_error():
    done = run("import gdcore", GDCORE_ISA="z80")
    assert done.returncode == 1
    assert f"ImportError: GDCORE_ISA: expected one of {', '.join(ABLE)}, which this CPU" in done.stderr
    with pytest.raises(ImportError, match="got 'x86-64-v5'"):
        variants.choose("x86-64-v5")


def test_show_config_says_what_runs_and_why(capsys):
    gd.show_config()
    out = capsys.readouterr().out
    assert out.startswith(f"gdcore {gd.__version__}, NumPy ")
    assert out.count("in use: ") == 1
    assert all(variant.name in out for variant in variants.VARIANTS)


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("objdump"), reason="needs objdump on x86-64")
def test_nothing_outside_the_variants_holds_newer_instructions():
    def disassembled(module):
        path = find_spec(module).origin
        return subprocess.run(["objdump", "-d", path], capture_output=True, text=True, check=True).stdout

    newer = re.compile(r"%[yz]mm|\t(v[a-z]+[ps][sd]|mulx|andn|blsr|shlx|tzcnt|lzcnt|movbe) ")
    kernels = ["gdcore._kernels", "gdcore.derivatives.nets._net_kernels"]
    for module in [*kernels, "gdcore._cython"]:
        assert not newer.search(disassembled(module)), module
    for module in kernels:
        assert newer.search(disassembled(f"{module}_v3")), module
    if "%ymm" in disassembled("gdcore._kernels_v4"):  # a build that is not optimised has no vectors
        assert "%zmm" in disassembled("gdcore._kernels_v4_512")
