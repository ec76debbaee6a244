"""What is compiled follows from what is built for, whatever machine builds it."""

import importlib
import os
import runpy
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "setup.py"
BASELINE = {"gdcore._kernels", "gdcore.derivatives.nets._net_kernels"}
LEVELS = {f"{module}_{level}" for module in BASELINE for level in ("v3", "v4")}

TARGETS = {
    "linux-x86_64": LEVELS | {"gdcore._kernels_v4_512"},
    "linux-aarch64": set(),
    "linux-riscv64": set(),
    "freebsd-14.1-release-amd64": LEVELS | {"gdcore._kernels_v4_512"},
    "macosx-10.13-x86_64": LEVELS | {"gdcore._kernels_v4_512"},
    "macosx-11.0-arm64": set(),
    "macosx-10.13-universal2": set(),
    "win-amd64": LEVELS,
    "win-arm64": set(),
}
"""Each platform, and the variants that are compiled for it."""


def module_of_platforms():
    """Return the module that setup.py asks for the platform.

    ``from setuptools._distutils import util`` is its twin ``distutils.util`` where that was imported before.
    """
    return importlib.import_module("setuptools._distutils.util")


@pytest.fixture
def extensions(monkeypatch):
    """Return what setup.py would compile for a platform, in an environment, where another one builds."""
    build = pytest.importorskip("Cython.Build", reason="needs Cython, which builds gdcore")
    setuptools = pytest.importorskip("setuptools", reason="needs setuptools, which builds gdcore")
    found = []
    monkeypatch.setattr(build, "cythonize", lambda extensions, **_: extensions)
    monkeypatch.setattr(setuptools, "setup", lambda **options: found.extend(options["ext_modules"]))

    def of(platform=None, **environment):
        for name in ("ARCHFLAGS", "_PYTHON_HOST_PLATFORM", "VSCMD_ARG_TGT_ARCH", "GDCORE_BUILD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        if platform:
            monkeypatch.setattr(module_of_platforms(), "get_platform", lambda: platform)
        found.clear()
        runpy.run_path(str(SETUP))
        return {extension.name: extension for extension in found}

    return of


def variants(extensions):
    kernels = {name for name in extensions if "_kernels" in name}
    assert kernels >= BASELINE
    return kernels - BASELINE


@pytest.mark.parametrize("target", TARGETS)
def test_the_variants_of_the_kernels_are_those_of_the_target(extensions, target):
    found = extensions(target)
    assert variants(found) == TARGETS[target]
    flags = {flag for extension in found.values() for flag in extension.extra_compile_args}
    assert {flag[0] for flag in flags} == {"/" if target.startswith("win") else "-"}
    assert any("x86-64" in flag or "AVX" in flag for flag in flags) == bool(TARGETS[target])


def test_what_does_not_depend_on_the_target_is_compiled_for_each(extensions):
    others = {frozenset(name for name in extensions(target) if "_kernels" not in name) for target in TARGETS}
    assert len(others) == 1


def test_every_source_is_compiled(extensions):
    source = SETUP.parent / "src"
    names = {".".join(path.relative_to(source).with_suffix("").parts) for path in source.rglob("*.pyx")}
    assert set(extensions("linux-x86_64")) == names | {"gdcore._cython"}


@pytest.mark.parametrize("builder", ["macosx-11.0-arm64", "macosx-10.13-x86_64", "macosx-10.13-universal2"])
def test_archflags_say_what_a_mac_builds_for(extensions, builder):
    for flags, target in {
        "-arch x86_64": "macosx-10.13-x86_64",
        "-arch arm64": "macosx-11.0-arm64",
        "-arch arm64 -arch x86_64": "macosx-10.13-universal2",
    }.items():
        assert variants(extensions(builder, ARCHFLAGS=flags)) == TARGETS[target]
    assert variants(extensions("linux-aarch64", ARCHFLAGS="-arch x86_64")) == set()  # they are read on a Mac alone


@pytest.mark.skipif(os.name != "posix", reason="_PYTHON_HOST_PLATFORM is for what is like Unix")
@pytest.mark.parametrize("target", [name for name in TARGETS if not name.startswith("win")])
def test_a_cross_build_says_its_target(extensions, target, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert variants(extensions(_PYTHON_HOST_PLATFORM=target)) == TARGETS[target]


@pytest.mark.parametrize(
    ("tools", "target"), [("x64", "win-amd64"), ("arm64", "win-arm64"), ("x86", "win32"), ("arm", "win-arm32")]
)
def test_the_tools_of_visual_studio_say_their_target(extensions, tools, target, monkeypatch):
    util = module_of_platforms()

    def on_windows(here=util.get_platform):
        with monkeypatch.context() as patch:
            patch.setattr(os, "name", "nt")
            return here()

    monkeypatch.setattr(util, "get_platform", on_windows)
    if target in TARGETS:
        assert variants(extensions(VSCMD_ARG_TGT_ARCH=tools)) == TARGETS[target]
    else:
        with pytest.raises(SystemExit, match=f"expected a 64-bit platform, .* got {target}"):
            extensions(VSCMD_ARG_TGT_ARCH=tools)


@pytest.mark.parametrize(
    "target", ["win32", "win-arm32", "linux-i686", "linux-armv7l", "linux-armv8l", "freebsd-14.1-release-i386"]
)
def test_32_bits_are_refused(extensions, target):
    with pytest.raises(SystemExit, match=f"expected a 64-bit platform, as arrays may .* got {target}"):
        extensions(target)


def test_a_32_bit_python_is_refused(extensions, monkeypatch):
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    with pytest.raises(SystemExit, match="expected a 64-bit platform"):
        extensions("linux-x86_64")


@pytest.mark.parametrize("kind", ["release", "debug", "sanitize", "annotate"])
def test_debug_symbols_are_in_the_builds_that_ask_for_them(extensions, kind):
    for target in ("linux-x86_64", "macosx-11.0-arm64"):
        for extension in extensions(target, GDCORE_BUILD=kind).values():
            stripped = {"-Wl,--strip-all", "-Wl,-S,-x"} & {*extension.extra_link_args}
            assert bool(stripped) == ("-g0" in extension.extra_compile_args) == (kind in {"release", "annotate"})
