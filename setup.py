"""Compile the Cython modules; everything else about the package is in pyproject.toml.

``GDCORE_BUILD`` chooses the kind of build:

============  ==============================================================
``release``   what users get (the default)
``debug``     assertions and bounds checks on, no optimisation, debug symbols
``sanitize``  ``debug`` under AddressSanitizer and UndefinedBehaviorSanitizer
``threads``   ``debug`` under ThreadSanitizer
``annotate``  ``release``, and an HTML page that shows the C of each line
============  ==============================================================
"""

import os
import re
import runpy
import shutil
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from gzip import GzipFile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    raise SystemExit(f"gdcore: expected Python 3.11 or newer, got {sys.version.split()[0]}") from None

here = Path(__file__).parent
about = tomllib.loads((here / "pyproject.toml").read_text("utf-8"))
lacking = {}
for requirement in about["build-system"]["requires"]:  # pip sees to them only where it isolates the build
    name, _, least = requirement.partition(">=")
    try:
        found = version(name)
    except PackageNotFoundError:
        found = "none"
    if [int(part) for part in re.findall(r"\d+", found)] < [int(part) for part in least.split(".")]:
        lacking[requirement] = found
if lacking:
    raise SystemExit(f"gdcore: the build expects {', '.join(lacking)}, got {', '.join(lacking.values())}")

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools._distutils.util import get_platform
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.modified import newer_group

KINDS = ("release", "debug", "sanitize", "threads", "annotate")
kind = os.environ.get("GDCORE_BUILD", "release")
if kind not in KINDS:
    raise SystemExit(f"GDCORE_BUILD: expected one of {', '.join(KINDS)}, got {kind!r}")
checked = kind in {"debug", "sanitize", "threads"}

# What is built for need not be what builds: ARCHFLAGS, _PYTHON_HOST_PLATFORM and Visual Studio's tools say it.
target = get_platform()
architecture = target.rpartition("-")[2].replace("amd64", "x86_64")
if target.startswith("macosx") and (flags := os.environ.get("ARCHFLAGS", "").replace("-arch", "").split()):
    # A wheel for two is compiled once for both, so that only the baseline suits it.
    architecture = flags[0] if len({*flags}) == 1 else "universal2"
if architecture in {"win32", "arm32", "i386", "i586", "i686", "armv6l", "armv7l", "armv8l"} or sys.maxsize < 2**32:
    raise SystemExit(f"gdcore: expected a 64-bit platform, as arrays may pass 2^31 elements, got {target}")

# The same bits everywhere: no contraction of a * b + c into one rounding, and never -ffast-math, which at link time
# also makes every process that imports the module flush subnormal numbers to 0. What CFLAGS and LDFLAGS ask for
# comes before these in the command line, so each that they may hold is undone by its name; and as CFLAGS stand in
# the place of what Python was built with, what of that matters is said again.
if target.startswith("win"):
    compile_args = ["/Od", "/Zi"] if checked else ["/O2"]
    compile_args.append("/fp:precise")
    link_args = []
else:
    exact = ["-fno-fast-math", "-fno-unsafe-math-optimizations"]  # -Ofast is undone by another -O
    link_args = ["-O1" if checked else "-O3", *exact]
    exact += ["-fno-associative-math", "-fno-reciprocal-math", "-fno-finite-math-only", "-fsigned-zeros"]
    exact += ["-fno-single-precision-constant", "-fwrapv"]
    # The last two change no result; they let the compiler vectorise square roots and branches.
    exact += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    # Debug symbols double the size and hold the path of the folder; tables for unwinding are of use for C++ alone.
    lean = ["-g0", "-fno-asynchronous-unwind-tables"]
    compile_args = ["-O1", "-g", "-UNDEBUG", *exact] if checked else ["-O3", "-DNDEBUG", *lean, *exact]
    if not checked:
        link_args += ["-Wl,-S,-x"] if target.startswith("macosx") else ["-Wl,--strip-all"]
SANITIZERS = {
    "sanitize": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
    "threads": ["-fsanitize=thread", "-fno-omit-frame-pointer"],
}
if sanitizers := SANITIZERS.get(kind):
    compile_args += sanitizers
    link_args += sanitizers

kernels = ("_kernels", "derivatives.nets._net_kernels")
baseline: list[str] = []
# What loops over no elements is as fast when it is compiled for less size.
small = [] if checked or target.startswith("win") else ["-O2"]
# Vectors as -O3 makes them, without what doubles the code and makes nothing faster. What remains behind whole
# vectors gets a narrower loop of vectors in the rules, whose arrays are often short, and a plain loop in nets.
vectors = [*small, "-ftree-vectorize", "-fvect-cost-model", "-funswitch-loops"] if small else []
remains = ["--param=vect-epilogues-nomask=0"] if small and target.startswith("linux") else []
modules: dict[str, list[str]] = {kernels[0]: vectors, kernels[1]: vectors + remains}
together = runpy.run_path(str(here / "src/gdcore/_together.py"))["MODULES"]
loops = {f"gdcore.engine._{name}" for name in ("plan", "norm", "rows", "halves")}
modules |= {name.removeprefix("gdcore."): vectors if name in loops else small for name in sorted(together)}
if architecture == "x86_64":
    if target.startswith("win"):
        newer = {"v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}
    else:
        # Whatever CFLAGS say, newer instructions are for the variants, which each end at their level.
        baseline = ["-march=x86-64", "-mno-sse3", "-mfpmath=sse"]
        newer = {
            "v3": ["-march=x86-64-v3", "-mno-avx512f", "-mfpmath=sse"],
            "v4": ["-march=x86-64-v4", "-mprefer-vector-width=256", "-mfpmath=sse"],
        }
        # Which width of vectors is faster is measured where it runs.
        modules["_kernels_v4_512"] = [*vectors, *newer["v4"], "-mprefer-vector-width=512"]
    modules |= {
        f"{module}_{level}": modules[module] + flags for module in kernels for level, flags in newer.items()
    }

extensions = [
    Extension(
        f"gdcore.{name}",
        [f"src/gdcore/{name.replace('.', '/')}.pyx"],
        include_dirs=[np.get_include()],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
        ],
        extra_compile_args=[*compile_args, *([] if "_v" in name else baseline), *isa],
        extra_link_args=link_args,
        depends=["setup.py"],
    )
    for name, isa in modules.items()
]


class Build(build):
    """Leaves nothing of an older version in the folder that is packed and installed."""

    def run(self) -> None:
        """Make all of it."""
        super().run()
        commands = map(self.get_finalized_command, self.get_sub_commands())
        made = {Path(file) for command in commands for file in command.get_outputs()}
        for path in Path(self.build_lib).rglob("*"):
            if path.is_file() and path not in made:
                path.unlink()


class BuildExt(build_ext):
    """Compiles them, and links those that are one file together.

    It leaves out the search path for libraries that Python's own settings bring: none needs one.
    """

    def build_extensions(self) -> None:
        """Compile all of them."""
        compiler = getattr(self.compiler, "compiler_so", None)  # MSVC has none, and says by itself where it is not
        if compiler and not shutil.which(compiler[0]):
            raise SystemExit(f"gdcore: expected a C compiler, got no program {compiler[0]}; CC names another one")
        linker = getattr(self.compiler, "linker_so", [])
        if kept := [part for part in linker if not part.startswith("-Wl,-rpath")]:
            self.compiler.set_executable("linker_so", kept)
        (whole,) = (extension for extension in self.extensions if extension.name == shared)
        parts = [extension for extension in self.extensions if extension.name in together]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            whole.extra_objects = [name for names in pool.map(self.compiled, parts) for name in names]
        whole.depends += whole.extra_objects
        self.extensions = [extension for extension in self.extensions if extension not in parts]
        super().build_extensions()

    def compiled(self, part: Extension) -> list[str]:
        """Compile one of those that are one file; return its objects."""
        objects = self.compiler.object_filenames(part.sources, output_dir=self.build_temp)
        if self.force or newer_group([*part.sources, *part.depends], objects[0], "newer"):
            self.compiler.compile(
                part.sources,
                output_dir=self.build_temp,
                macros=part.define_macros,
                include_dirs=part.include_dirs,
                extra_postargs=part.extra_compile_args,
            )
        return objects


class BdistWheel(bdist_wheel):
    """Makes a wheel whose bytes do not depend on who may read the files that it is made of."""

    def write_wheelfile(self, folder: str, *args: str) -> None:
        """Write the last file, before all of them are packed."""
        super().write_wheelfile(folder, *args)
        for path in Path(folder).parent.rglob("*"):
            path.chmod(mode(path.is_dir(), path.stat().st_mode))


class Sdist(sdist):
    """Makes a source distribution of the same bytes in each folder, of the time that SOURCE_DATE_EPOCH says."""

    def make_archive(self, base_name: str, kind: str, *args: str, base_dir: str = "", **others: str) -> str:
        """Pack a folder."""
        if kind != "gztar":
            return super().make_archive(base_name, kind, *args, base_dir=base_dir, **others)
        moment = os.environ.get("SOURCE_DATE_EPOCH")

        def alike(file: tarfile.TarInfo) -> tarfile.TarInfo:
            file.mode = mode(file.isdir(), file.mode)
            file.uid = file.gid = 0
            file.uname = file.gname = ""
            file.mtime = int(moment or file.mtime)
            return file

        packed = Path(f"{base_name}.tar.gz")
        packed.parent.mkdir(parents=True, exist_ok=True)
        with (
            packed.open("wb") as whole,
            GzipFile("", "wb", fileobj=whole, mtime=int(moment or time.time())) as stream,
            tarfile.open(mode="w", fileobj=stream) as archive,
        ):
            archive.add(base_dir, filter=alike)
        return str(packed)


def mode(runs: bool, before: int) -> int:
    """Return who may do what with a file in an archive."""
    return 0o755 if runs or before & 0o100 else 0o644


# What Cython's modules have in common is compiled once.
shared = "gdcore._cython"
extensions.append(
    Extension(
        shared,
        ["src/gdcore/_cython.c"],
        extra_compile_args=[*compile_args, *baseline, *small],
        extra_link_args=link_args,
        depends=["setup.py"],
    )
)


def for_an_index(readme: str, source: str | None) -> str:
    """Return the README with links to files that work on a package index, if it is known where the source is."""
    if source is None:
        return readme
    whole = re.sub(r"(!\[[^]]*\]\()(?!https://)", rf"\1{source}/raw/HEAD/", readme)
    return re.sub(r"((?<!!)\[[^]]*\]\()(?!https://|#)", rf"\1{source}/blob/HEAD/", whole)


urls = about["project"].get("urls", {})

setup(
    cmdclass={"build": Build, "build_ext": BuildExt, "bdist_wheel": BdistWheel, "sdist": Sdist},
    long_description=for_an_index((here / "README.md").read_text("utf-8"), urls.get("Source")),
    long_description_content_type="text/markdown",
    options={
        "build": {"build_base": f"build/{kind}"},  # what one kind of build made is not fresh for another
        "build_ext": {"parallel": os.cpu_count()},
    },
    ext_modules=cythonize(
        extensions,
        build_dir=f"build/{kind}/cython",
        annotate=kind == "annotate",
        shared_utility_qualified_name=shared,
        shared_utility_features_disabled=["MemoryView"],
        compiler_directives={
            "language_level": 3,
            "freethreading_compatible": True,
            "boundscheck": checked,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
            "auto_pickle": False,  # none is pickled, and what would do it is a tenth of the code
        },
    ),
)
