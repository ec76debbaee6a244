"""Compile the Cython modules; everything else about the package is in pyproject.toml.

``GDCORE_BUILD`` chooses the kind of build:

============  ==============================================================
``release``   what users get (the default)
``debug``     assertions and bounds checks on, no optimisation, debug symbols
``sanitize``  ``debug`` under AddressSanitizer and UndefinedBehaviorSanitizer
``annotate``  ``release``, and an HTML page that shows the C of each line
============  ==============================================================
"""

import os
import sys

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools._distutils.util import get_platform
from setuptools.command.build_ext import build_ext

KINDS = ("release", "debug", "sanitize", "annotate")
kind = os.environ.get("GDCORE_BUILD", "release")
if kind not in KINDS:
    raise SystemExit(f"GDCORE_BUILD: expected one of {', '.join(KINDS)}, got {kind!r}")
checked = kind in {"debug", "sanitize"}

# What is built for, which need not be what builds: cibuildwheel and Visual Studio's tools say it in the environment.
target = get_platform()
architectures = os.environ.get("ARCHFLAGS", "").replace("-arch", " ").split() if target.startswith("macosx") else []
last = target.rpartition("-")[2]
architecture = {"amd64": "x86_64", "universal2": "several"}.get(last, last)
if architectures:  # a macOS wheel for two is compiled once for both, so that only the baseline suits it
    architecture = architectures[0] if len({*architectures}) == 1 else "several"
if architecture in {"win32", "i386", "i586", "i686", "x86", "arm", "armv6l", "armv7l"}:
    raise SystemExit(f"gdcore: expected a 64-bit platform, as its arrays are larger than 2^31 elements, got {target}")

# The same bits everywhere: no contraction of a * b + c into one rounding, and never -ffast-math, which at link time
# also makes every process that imports the module flush subnormal numbers to 0. What CFLAGS and LDFLAGS ask for
# comes before these in the command line, so each that they may hold is undone by its name.
if target.startswith("win"):
    compile_args = ["/Od", "/Zi"] if checked else ["/O2"]
    compile_args.append("/fp:precise")
    link_args = []
else:
    exact = ["-fno-fast-math", "-fno-unsafe-math-optimizations"]  # -Ofast is undone by another -O
    link_args = ["-O1" if checked else "-O3", *exact]
    exact += ["-fno-associative-math", "-fno-reciprocal-math", "-fno-finite-math-only", "-fsigned-zeros"]
    # The last two change no result; they let the compiler vectorise square roots and branches.
    exact += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    # Without debug symbols, which double the size and have the path of the folder in them.
    compile_args = ["-O1", "-g", "-UNDEBUG", *exact] if checked else ["-O3", "-g0", *exact]
    if not checked:
        link_args += ["-Wl,-S", "-Wl,-x"] if target.startswith("macosx") else ["-Wl,--strip-all"]
if kind == "sanitize":
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    compile_args += sanitizers
    link_args += sanitizers

kernels = ("_kernels", "derivatives.nets._net_kernels")
baseline: list[str] = []
modules: dict[str, list[str]] = {name: [] for name in (*kernels, "derivatives.nets._door")}
modules |= {
    f"engine._{name}": []
    for name in ("cpu", "pool", "coefficients", "plan", "norm", "rows", "stages", "update", "engine")
}
modules |= {f"derivatives.{name}": [] for name in ("_scalars", "_tape", "_traced", "_gate", "_usual")}
if architecture == "x86_64":
    if target.startswith("win"):
        newer = {"v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}
    else:
        # 256 bits: the 512-bit divider and square root are slower per element (docs/performance.md).
        newer = {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4", "-mprefer-vector-width=256"]}
        baseline = ["-march=x86-64"]  # whatever CFLAGS say: newer instructions are for the variants
    modules |= {f"{module}_{level}": flags for module in kernels for level, flags in newer.items()}

extensions = [
    Extension(
        f"gdcore.{name}",
        [f"src/gdcore/{name.replace('.', '/')}.pyx"],
        include_dirs=[np.get_include()],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
        ],
        extra_compile_args=[*compile_args, *baseline, *isa],
        extra_link_args=link_args,
        depends=["setup.py"],
    )
    for name, isa in modules.items()
]



class BuildExt(build_ext):
    """Leaves out the search path for libraries that Python's own settings bring: nothing here needs it."""

    def build_extensions(self) -> None:
        """Compile all of them."""
        linker = getattr(self.compiler, "linker_so", None)  # MSVC has none
        if linker:
            kept = [part for part in linker if not part.startswith("-Wl,-rpath,")]
            self.compiler.set_executable("linker_so", kept)
        super().build_extensions()


setup(
    cmdclass={"build_ext": BuildExt},
    options={
        "build": {"build_base": f"build/{kind}"},  # what one kind of build made is not fresh for another
        "build_ext": {"parallel": os.cpu_count()},
    },
    ext_modules=cythonize(
        extensions,
        build_dir=f"build/{kind}/cython",
        annotate=kind == "annotate",
        compiler_directives={
            "language_level": 3,
            "freethreading_compatible": True,
            "boundscheck": checked,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
)
