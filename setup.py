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
import platform
import sys
import sysconfig

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup

KINDS = ("release", "debug", "sanitize", "annotate")
kind = os.environ.get("GDCORE_BUILD", "release")
if kind not in KINDS:
    raise SystemExit(f"GDCORE_BUILD: expected one of {', '.join(KINDS)}, got {kind!r}")
checked = kind in {"debug", "sanitize"}

# The same bits everywhere: no contraction of a * b + c into one rounding, and never -ffast-math, which at link time
# also makes every process that imports the module flush subnormal numbers to 0. What CFLAGS and LDFLAGS ask for
# comes before these in the command line, so each that they may hold is undone by its name.
if sys.platform == "win32":
    compile_args = ["/Od", "/Zi"] if checked else ["/O2"]
    compile_args.append("/fp:precise")
    link_args = []
else:
    exact = ["-fno-fast-math", "-fno-unsafe-math-optimizations"]  # -Ofast is undone by another -O
    link_args = ["-O1" if checked else "-O3", *exact]
    exact += ["-fno-associative-math", "-fno-reciprocal-math", "-fno-finite-math-only", "-fsigned-zeros"]
    # The last two change no result; they let the compiler vectorise square roots and branches.
    exact += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    compile_args = ["-O1", "-g", "-UNDEBUG", *exact] if checked else ["-O3", *exact]
if kind == "release" and sys.platform.startswith("linux"):
    link_args.append("-s")  # symbols, which are two thirds of a module
if kind == "sanitize":
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    compile_args += sanitizers
    link_args += sanitizers

kernels = ("_kernels", "derivatives.nets._net_kernels")
baseline: list[str] = []
modules: dict[str, list[str]] = {name: [] for name in (*kernels, "derivatives.nets._door")}
modules |= {
    f"engine._{name}": []
    for name in (
        *("cpu", "pool", "coefficients", "plan", "halves", "norm", "rows", "stages", "update", "engine", "exported"),
        "lent",
    )
}
modules |= {
    f"derivatives.{name}": []
    for name in ("_scalars", "_tape", "_products", "_back", "_traced", "_gate", "_usual", "_layers", "_ends")
}
# A macOS wheel for two architectures is compiled once for both: only the baseline suits them.
universal = "arm64" in os.environ.get("ARCHFLAGS", "") or sysconfig.get_platform().endswith("universal2")
if platform.machine() in {"x86_64", "AMD64"} and not universal:
    if sys.platform == "win32":
        newer = {"v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}
    else:
        newer = {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4", "-mprefer-vector-width=256"]}
        baseline = ["-march=x86-64"]  # whatever CFLAGS say: newer instructions are for the variants
    modules |= {f"{module}_{level}": flags for module in kernels for level, flags in newer.items()}
    if sys.platform != "win32":  # which width of vectors is faster is measured where it runs
        modules["_kernels_v4_512"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]

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

setup(
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
