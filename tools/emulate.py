"""Whether other processors give the promised bits, under emulation: ``gdcore info --check`` on each.

    python tools/emulate.py [aarch64] [s390x] [Nehalem] [Haswell] [--tests FILE ...]

aarch64 and s390x, which is big-endian, are built by Debian's cross compilers, for a Python and a NumPy that are
unpacked from Debian's packages into a folder (``--roots``, kept for the next time). Nehalem and Haswell run what
this Python imports. It needs Debian, and its packages qemu-user-static, gcc-aarch64-linux-gnu and
gcc-s390x-linux-gnu; a processor for which one is absent is left out, which is said. ``--tests`` runs tests there in
place of the check: minutes each.
"""

import argparse
import os
import platform
import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

PROJECT = Path(__file__).parents[1]
FOREIGN = {"aarch64": "arm64", "s390x": "s390x"}
"""By the machine: what Debian calls it."""
OLDER = ("Nehalem", "Haswell")
"""Processors of x86-64."""
WANTED = ("python3-numpy", "python3-pytest", "python3-hypothesis", "libpython3-dev", "libc6-dev")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def main():
    """Run what the command line asks for on each processor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("processors", nargs="*", default=[*FOREIGN, *OLDER])
    parser.add_argument("--roots", type=Path, default=Path("build/emulated"), help="where foreign packages lie")
    parser.add_argument("--suite", default="testing", help="of Debian, from which they come")
    parser.add_argument("--tests", nargs="+", default=[], help="run these")
    args = parser.parse_args()
    if unknown := set(args.processors) - {*FOREIGN, *OLDER}:
        parser.error(f"processors: expected {', '.join([*FOREIGN, *OLDER])}, got {', '.join(unknown)}")
    for name in args.processors:
        print(f"== {name}", flush=True)
        if absent := [tool for tool in needed(name) if not shutil.which(tool)]:
            print(f"left out: it needs {', '.join(absent)}")
            continue
        how = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *args.tests] if args.tests else None
        prefix = older(name) if name in OLDER else foreign(name, args.roots.resolve(), args.suite)
        subprocess.run([*prefix, *(how or ["-m", "gdcore", "info", "--check"])], cwd=PROJECT, check=True)


def needed(name):
    """Return the programs without which a processor is left out."""
    if name in OLDER:
        return ["qemu-x86_64-static"] if platform.machine() == "x86_64" else ["an x86-64"]
    return [f"qemu-{name}-static", f"{name}-linux-gnu-gcc", "apt-get", "dpkg"]


def older(name):
    """Return the command that runs this Python on an older processor."""
    return ["qemu-x86_64-static", "-cpu", name, sys.executable]


def foreign(machine, roots, suite):
    """Build for a machine, and return the command that runs its Python with gdcore."""
    root, built = roots / machine, roots / f"{machine}-built"
    if not (root / "usr/bin/python3").exists():
        unpack(FOREIGN[machine], root, suite)
    if built.exists():
        shutil.rmtree(built)
    shutil.copytree(PROJECT / "src", built, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    build(machine, root, built)
    libraries = ":".join(f"/usr/lib/{machine}-linux-gnu{part}" for part in ("", "/blas", "/lapack"))
    settings = [f"LD_LIBRARY_PATH={libraries}", f"PYTHONPATH={built}"]
    return [
        f"qemu-{machine}-static",
        "-L",
        root,
        *[part for s in settings for part in ("-E", s)],
        root / "usr/bin/python3",
    ]


def unpack(architecture, root, suite):
    """Fetch Debian's packages of an architecture, with all that they need, and unpack them into a folder."""
    command = apt(root / "apt", architecture, suite)
    subprocess.run([*command, "install", "--download-only", "--no-install-recommends", "-y", *WANTED], check=True)
    for package in sorted((root / "apt/cache/archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, root], check=True)
    for name in ("lib", "lib64"):
        if (root / "usr" / name).exists() and not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")


def apt(place, architecture, suite):
    """Return apt-get for a suite of Debian, with lists of its own in a folder, which are fetched."""
    for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / "status").touch()
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    mirror = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0]
    lines = [f"{kind} [signed-by={KEYRING}] {mirror} {suite} main\n" for kind in ("deb", "deb-src")]
    (place / "etc/sources.list").write_text("".join(lines), "utf-8")
    options = {
        "Dir::State": place / "state",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "Dir::Etc": place / "etc",
        "Dir::Etc::sourcelist": place / "etc/sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    command = ["apt-get", "-qq", *[part for name, value in options.items() for part in ("-o", f"{name}={value}")]]
    subprocess.run([*command, "update"], check=True)
    return command


def build(machine, root, built):
    """Compile every module as setup.py has it for a machine."""
    found = []
    with (
        patch("setuptools.setup", lambda **options: found.extend(options["ext_modules"])),
        patch.dict(os.environ, GDCORE_BUILD="release", _PYTHON_HOST_PLATFORM=f"linux-{machine}"),
    ):
        os.chdir(PROJECT)
        names = runpy.run_path("setup.py")
    python = next((root / "usr/include").glob("python3*"))
    numpy = root / "usr/lib/python3/dist-packages/numpy/_core/include"

    def command(extension):
        folders = (python, root / "usr/include", numpy)
        return [
            *(f"{machine}-linux-gnu-gcc", f"--sysroot={root}", "-fPIC", "-DNDEBUG", "-w"),
            *(f"-I{folder}" for folder in folders),
            *(f"-D{name}={value}" for name, value in extension.define_macros),
            *(*extension.sources, *extension.extra_compile_args),
        ]

    def compiled(part):
        target = built / f"{part.name}.o"
        subprocess.run([*command(part), "-c", "-o", target], check=True)
        return target

    def linked(extension):
        objects = parts if extension.name == names["shared"] else []
        target = built / (extension.name.replace(".", "/") + ".so")
        arguments = [*objects, *extension.extra_link_args, "-shared", "-o", target]
        subprocess.run([*command(extension), *arguments], check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [*pool.map(compiled, (extension for extension in found if extension.name in names["together"]))]
        list(pool.map(linked, (extension for extension in found if extension.name not in names["together"])))


if __name__ == "__main__":
    main()
