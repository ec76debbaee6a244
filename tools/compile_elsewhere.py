"""Whether every module compiles for systems that nobody here has: Windows, macOS and musl, by zig from PyPI.

    pip install ziglang && python tools/compile_elsewhere.py [--windows INCLUDE] [TARGET ...]

It compiles the C of all modules that setup.py has for a target; nothing is linked, nothing runs. It is done with
this Python's headers, whose pyconfig.h is near enough for POSIX. Windows needs two folders: ``Include`` of
CPython's source, and one with its ``PC/pyconfig.h``. The compiler there is MinGW's: it does not see what is between
``#if defined(_MSC_VER)``.
"""

import argparse
import os
import runpy
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

PROJECT = Path(__file__).parents[1]
TARGETS = {
    "x86_64-windows-gnu": "x86_64",
    "aarch64-windows-gnu": "aarch64",
    "x86_64-macos": "x86_64",
    "aarch64-macos": "arm64",
    "x86_64-linux-musl": "x86_64",
    "aarch64-linux-musl": "aarch64",
}
"""By what zig calls it: what Python calls its machine."""


def main():
    """Compile every module for each target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--windows", nargs="+", default=[], help="folders of Python.h and of pyconfig.h of Windows")
    args = parser.parse_args()
    stand_in = PROJECT / "build/elsewhere"  # what NumPy's headers of Linux include and others have not
    stand_in.mkdir(parents=True, exist_ok=True)
    (stand_in / "endian.h").write_text(
        "#define LITTLE_ENDIAN 1234\n#define BIG_ENDIAN 4321\n#define BYTE_ORDER 1234\n"
    )
    for target in args.targets:
        headers = args.windows if "windows" in target else [sysconfig.get_path("include")]
        if not headers:
            print(f"{target}: left out, it needs --windows")
            continue
        if "linux" not in target:
            headers = [*headers, stand_in]
        found = modules(TARGETS[target])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda extension: compiled(extension, target, headers), found))  # noqa: B023
        print(f"{target}: {len(found)} modules", flush=True)


def modules(machine):
    """Return what setup.py has for a machine."""
    found = []
    with (
        patch("platform.machine", lambda: machine),
        patch("setuptools.setup", lambda **options: found.extend(options["ext_modules"])),
        patch.dict(os.environ, GDCORE_BUILD="release"),
    ):
        os.chdir(PROJECT)
        runpy.run_path("setup.py")
    return found


def compiled(extension, target, headers):
    """Read one module's C as the compiler of a target does."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-c", "-w"]
    command += [f"-I{folder}" for folder in (*headers, *extension.include_dirs)]
    command += [f"-D{name}={value}" for name, value in extension.define_macros]
    # zig has other names for levels of x86-64.
    flags = [flag.replace("x86-64", "x86_64").replace("-v", "_v") for flag in extension.extra_compile_args]
    subprocess.run([*command, *flags, "-O0", *extension.sources, "-o", os.devnull], check=True)


if __name__ == "__main__":
    main()
