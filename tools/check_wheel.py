"""Say what is wrong with wheels: ``python tools/check_wheel.py dist/*.whl`` ends with 1 if anything is.

A wheel holds the modules of the platform that its name tells, each of them for the Python of its name, and no
other; no debug symbols, no search path for libraries and no path of the machine that built it.
"""

import re
import runpy
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
SUFFIX = re.compile(r"\.(?:cpython-|cp)(\d+t?)-?[\w-]*\.(?:so|pyd)$")
VARIANT = re.compile(r"_v\d+(_512)?$")
PATH = re.compile(rb"(?<![\w.+-])(?:/|[A-Za-z]:\\)[\w.+/\\ -]{2,200}\.(?:pyx|pxd|pdb|cpp|c|h|o)\b")
TOGETHER, FILE = runpy.run_path(str(SOURCE / "gdcore/_together.py"))["MODULES"], "gdcore._cython"
TABLE_OF_SYMBOLS, DYNAMIC = 2, 6
SEARCH_PATHS = {15: "RPATH", 29: "RUNPATH"}


def expected_modules(platform: str) -> set[str]:
    """Return the names of the files of modules in a wheel for a platform such as ``manylinux_2_28_x86_64``."""
    modules = {".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*.pyx")}
    windows, levels = platform.startswith("win"), platform.endswith(("x86_64", "amd64"))
    for module in sorted(modules):
        if (variant := VARIANT.search(module)) and (not levels or (windows and variant[1])):
            modules.remove(module)
    return modules - TOGETHER | {FILE}


def complaints(wheel: Path) -> Iterator[str]:
    """Yield what is wrong with a wheel."""
    *_, python, abi, platforms = wheel.stem.split("-")
    if platforms.startswith("linux"):
        yield f"expected a wheel that auditwheel has repaired, got the tag {platforms}"
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    binaries = {name: data for name, data in files.items() if name.endswith((".so", ".pyd", ".dll", ".dylib"))}
    modules = {SUFFIX.sub("", name).replace("/", ".") for name in binaries}
    expected = expected_modules(platforms.split(".")[0])
    for what, names in {"lacks": expected - modules, "has, and should not,": modules - expected}.items():
        if names:
            yield f"{what} {', '.join(sorted(names))}"
    for name, data in binaries.items():
        suffix = SUFFIX.search(name)
        if not suffix or f"cp{suffix[1]}" != abi or not abi.startswith(python):
            yield f"{name}: expected a module for {python}-{abi}"
        yield from (f"{name}: {complaint}" for complaint in complaints_of_binary(data))
        if name.startswith(FILE.replace(".", "/")):
            lacking = {
                module for module in TOGETHER if f"PyInit_{module.rpartition('.')[2]}\0".encode() not in data
            }
            if lacking:
                yield f"{name}: lacks {', '.join(sorted(lacking))}"


def complaints_of_binary(data: bytes) -> Iterator[str]:
    """Yield what is wrong with a compiled module."""
    if data.startswith(b"\x7fELF"):
        kinds = sections(data)
        if any(kind == TABLE_OF_SYMBOLS for kind, _ in kinds):
            yield "has symbols that nothing needs"
        for kind, content in kinds:
            if kind == DYNAMIC:
                found = {tag for tag, _ in struct.iter_unpack(order(data) + "QQ", content)}
                yield from (f"has {SEARCH_PATHS[tag]}" for tag in sorted(found & {*SEARCH_PATHS}))
    if b".debug_info" in data or b"__debug_info" in data:
        yield "has debug symbols"
    if path := PATH.search(data):
        yield f"names the file {path[0].decode()} of the machine that built it"


def order(data: bytes) -> str:
    """Return the order of bytes of an ELF file, as struct calls it."""
    return "<" if data[5] == 1 else ">"


def sections(data: bytes) -> list[tuple[int, bytes]]:
    """Return the type and the content of each section of a 64-bit ELF file."""
    (start,) = struct.unpack_from(order(data) + "Q", data, 0x28)
    size, number = struct.unpack_from(order(data) + "HH", data, 0x3A)
    found = []
    for at in range(start, start + number * size, size):
        _, kind, _, _, offset, length = struct.unpack_from(order(data) + "IIQQQQ", data, at)
        found.append((kind, data[offset : offset + length]))
    return found


def main(wheels: list[str]) -> int:
    """Print the complaints about wheels, and how large each is; return the status to end with."""
    wrong = 0
    for wheel in map(Path, wheels):
        found = list(complaints(wheel))
        print(f"{wheel.name}: {wheel.stat().st_size / 1000:.0f} kB, {'; '.join(found) or 'right'}")
        wrong += bool(found)
    return int(wrong > 0 or not wheels)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
