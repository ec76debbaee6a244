"""Whether every module compiles for systems that nobody here has: Windows, macOS and musl, by zig from PyPI.

    pip install ziglang && python tools/compile_elsewhere.py [TARGET ...]

It compiles the C of all modules that setup.py has for a target; nothing is linked, nothing runs. The headers of
NumPy are those of its wheel for the target; Python's are those that are here, whose pyconfig.h is near enough for
POSIX. For Windows they come out of CPython's source, which Debian has (``--source``: where it is unpacked already).
The compiler there is MinGW's, so that what is for ``_MSC_VER`` alone is compiled once more by itself.
"""

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

from emulate import apt

PROJECT = Path(__file__).parents[1]
PLACE = PROJECT / "build/elsewhere"
TARGETS = {
    "x86_64-windows-gnu": ("win-amd64", "win_amd64"),
    "aarch64-windows-gnu": ("win-arm64", "win_arm64"),
    "x86_64-macos": ("macosx-11.0-x86_64", "macosx_14_0_x86_64"),
    "aarch64-macos": ("macosx-11.0-arm64", "macosx_14_0_arm64"),
    "x86_64-linux-musl": ("linux-x86_64", "musllinux_1_2_x86_64"),
    "aarch64-linux-musl": ("linux-aarch64", "musllinux_1_2_aarch64"),
}
"""By what zig calls it: what Python calls it, and what NumPy's wheels do."""
SUITE, PYTHON = "trixie", "python3.13"
"""Of Debian: where CPython's source is taken from."""
BEFORE_MSVC = "".join(
    f"#include <{name}.h>\n"
    for name in ("stddef", "stdint", "string", "float", "math", "intrin", "process", "windows")
)
BEFORE_MSVC += "#define _MSC_VER 1940\n#define __INTRIN_H\n"  # of clang's own intrin.h


def main():
    """Compile every module for each target; return the status to end with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--source", type=Path, help="CPython's, with Include and PC, for Windows")
    args = parser.parse_args()
    if unknown := set(args.targets) - {*TARGETS}:
        parser.error(f"targets: expected {', '.join(TARGETS)}, got {', '.join(unknown)}")
    failed = 0
    for target in args.targets:
        platform, wheels = TARGETS[target]
        python = [Path(sysconfig.get_path("include"))]
        if "windows" in target:
            python = windows(args.source and args.source.resolve())
            if python is None:
                print(f"{target}: left out, it needs --source, or Debian's apt-get", flush=True)
                continue
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-c", "-w"]
        command += [f"-I{folder}" for folder in (*python, numpy(wheels))]
        with ProcessPoolExecutor(1) as fresh:  # Cython remembers in a process what flags a module had before
            found = fresh.submit(modules, platform).result()
        jobs = [[*command, *flags(extension), *extension.sources] for extension in found]
        if "windows" in target:
            jobs += [[*command, "-O0", path] for path in branches_of_msvc()]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            said = list(pool.map(complaint, jobs))
        wrong = [f"{job[-1]}:\n{text}" for job, text in zip(jobs, said, strict=True) if text]
        print(*wrong, f"{target}: {len(found)} modules, {len(wrong)} failures", sep="\n", flush=True)
        failed += len(wrong)
    return int(failed > 0)


def modules(platform):
    """Return what setup.py has for a platform."""
    found = []
    with (
        patch("setuptools.setup", lambda **options: found.extend(options["ext_modules"])),
        patch("Cython.Build.Dependencies._dep_tree", None),  # which would remember the last target's flags
        patch.dict(os.environ, GDCORE_BUILD="release", _PYTHON_HOST_PLATFORM=platform),
    ):
        os.chdir(PROJECT)
        runpy.run_path("setup.py")
    return found


def flags(extension):
    """Return how one module is compiled, as zig says it: it has other names for the levels of x86-64."""
    asked = [flag for flag in extension.extra_compile_args if flag[0] == "-"]
    levels = {"/arch:AVX2": "-march=x86_64_v3", "/arch:AVX512": "-march=x86_64_v4"}
    asked += [levels[flag] for flag in extension.extra_compile_args if flag in levels]
    asked = [flag.replace("x86-64-v", "x86_64_v").replace("x86-64", "x86_64") for flag in asked]
    return [*asked, *[f"-D{name}={value}" for name, value in extension.define_macros], "-O0"]


def complaint(command):
    """Return what the compiler says if it fails."""
    with tempfile.TemporaryDirectory() as place:  # zig writes beside what is not a file
        done = subprocess.run([*command, "-o", f"{place}/o"], capture_output=True, text=True, check=False)
    return done.returncode and (done.stdout + done.stderr or f"status {done.returncode}")


def numpy(platform):
    """Fetch NumPy's wheel for a platform, and return the folder of its headers."""
    place = PLACE / platform
    if not place.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--platform", platform, "-d", PLACE / "wheels" / platform, "numpy"], check=True)
        (wheel,) = (PLACE / "wheels" / platform).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place, [name for name in archive.namelist() if "/include/" in name])
    return place / "numpy/_core/include"


def windows(source):
    """Return the folders of Python's headers for Windows, out of CPython's source, or None if there is none."""
    if source is None:
        if not all(shutil.which(tool) for tool in ("apt-get", "dpkg")):
            return None
        source = PLACE / "python"
        if not source.exists():
            command = apt(PLACE / "apt", "amd64", SUITE)
            subprocess.run([*command, "source", "--download-only", PYTHON], cwd=PLACE, check=True)
            (archive,) = PLACE.glob(f"{PYTHON}_*.orig.tar.xz")
            source.mkdir()
            parts = ["--wildcards", "*/Include/*", "*/PC/pyconfig.h*"]
            subprocess.run(["tar", "-xf", archive, "-C", source, "--strip-components=1", *parts], check=True)
    settings = PLACE / "windows"
    settings.mkdir(parents=True, exist_ok=True)
    (found,) = (source / "PC").glob("pyconfig.h*")  # with .in where a build may be without the GIL
    shutil.copy(found, settings / "pyconfig.h")
    return [source / "Include", settings]


def branches_of_msvc():
    """Write what is for Microsoft's compiler alone into files, behind the system's headers, and return them."""
    found = []
    for path in sorted((PROJECT / "src").rglob("*.p[yx]*")):
        for block in re.findall(r'cdef extern from \*:\n *"""\n(.*?)"""', path.read_text("utf-8"), re.DOTALL):
            if "_MSC_VER" in block:
                found.append(PLACE / f"msvc{path.stem}.c")
                found[-1].write_text(f"{BEFORE_MSVC}{block}", "utf-8")
    return found


if __name__ == "__main__":
    sys.exit(main())
