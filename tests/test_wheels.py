"""What tools/check_wheel.py says of wheels that are right, and of each that is wrong in one way."""

import runpy
import struct
import zipfile
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "check_wheel.py"))
HEADER = 64


def elf(kinds=(1,), tags=(5,), text=b"", order="<"):
    """Return an ELF file with sections of some types; the one that is dynamic (6) has the tags."""
    dynamic = b"".join(struct.pack(order + "QQ", tag, 0) for tag in tags)
    content = dynamic + text
    rows = [
        struct.pack(order + "IIQQQQIIQQ", 0, kind, 0, 0, HEADER, len(dynamic if kind == 6 else content), 0, 0, 0, 0)
        for kind in kinds
    ]
    ident = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    head = ident + struct.pack(
        order + "HHIQQQIHHHHHH", 3, 62, 1, 0, 0, HEADER + len(content), 0, HEADER, 0, 0, 64, len(rows), 0
    )
    return head + content + b"".join(rows)


RIGHT = elf(kinds=(1, 6, 11), tags=(5, 6, 1))
WHOLE = RIGHT + b"".join(f"PyInit_{name.rpartition('.')[2]}\0".encode() for name in CHECK["TOGETHER"])
TAGS = {
    "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64": ".cpython-311-x86_64-linux-gnu.so",
    "cp314-cp314t-musllinux_1_2_aarch64": ".cpython-314t-aarch64-linux-musl.so",
    "cp313-cp313-macosx_10_13_x86_64": ".cpython-313-darwin.so",
    "cp313-cp313-macosx_11_0_arm64": ".cpython-313-darwin.so",
    "cp312-cp312-win_amd64": ".cp312-win_amd64.pyd",
    "cp315-cp315t-win_arm64": ".cp315t-win_arm64.pyd",
}


@pytest.fixture
def wheel(tmp_path):
    """Return a function that writes a wheel, some modules with other contents, and says what is wrong with it."""

    def write(tag, others=(), suffix=None):
        path = tmp_path / f"gdcore-1.0-{tag}.whl"
        files = dict.fromkeys(CHECK["expected_modules"](tag.rpartition("-")[2].split(".")[0]), RIGHT)
        files["gdcore._cython"] = WHOLE
        files |= dict(others)
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                if data is not None:
                    archive.writestr(name.replace(".", "/") + (suffix or TAGS[tag]), data)
        return list(CHECK["complaints"](path))

    return write


@pytest.mark.parametrize("tag", TAGS)
def test_a_right_wheel_of_each_platform_is_right(wheel, tag):
    assert wheel(tag) == []


def test_the_modules_are_those_of_the_platform():
    levels, none = (CHECK["expected_modules"](name) for name in ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64"))
    assert {name for name in levels if "_v" in name} == levels - none >= {"gdcore._kernels_v4_512"}
    assert CHECK["expected_modules"]("macosx_10_13_x86_64") == levels
    assert CHECK["expected_modules"]("win_amd64") == levels - {"gdcore._kernels_v4_512"}
    assert none == {"gdcore._cython", "gdcore._kernels", "gdcore.derivatives.nets._net_kernels"}
    for platform in ("musllinux_1_2_aarch64", "macosx_11_0_arm64", "macosx_10_13_universal2", "win_arm64"):
        assert CHECK["expected_modules"](platform) == none


@pytest.mark.parametrize("tag", TAGS)
def test_the_modules_of_another_platform_are_wrong(wheel, tag):
    assert wheel(tag, {"gdcore._kernels": None}) == ["lacks gdcore._kernels"]
    assert wheel(tag, {"gdcore._cython": WHOLE.replace(b"__engine", b"__other")}) == [
        f"gdcore/_cython{TAGS[tag]}: lacks gdcore.engine._engine"
    ]
    assert wheel(tag, {"gdcore._other": RIGHT}) == ["has, and should not, gdcore._other"]


def test_modules_for_another_python_are_wrong(wheel):
    found = wheel("cp314-cp314t-musllinux_1_2_aarch64", suffix=".cpython-314-aarch64-linux-musl.so")
    assert found[0].endswith("expected a module for cp314-cp314t")
    assert len(found) == len(CHECK["expected_modules"]("aarch64"))


def test_a_wheel_that_nothing_repaired_is_wrong(wheel):
    assert wheel("cp311-cp311-linux_x86_64", suffix=".cpython-311-x86_64-linux-gnu.so") == [
        "expected a wheel that auditwheel has repaired, got the tag linux_x86_64"
    ]


WRONG = {
    "symbols": (elf(kinds=(1, 2)), "has symbols that nothing needs"),
    "rpath": (elf(kinds=(6,), tags=(5, 15)), "has RPATH"),
    "runpath": (elf(kinds=(1, 6), tags=(5, 29)), "has RUNPATH"),
    "big endian": (elf(kinds=(1, 6), tags=(5, 29), order=">"), "has RUNPATH"),
    "debug": (RIGHT + b".debug_info", "has debug symbols"),
    "debug of a Mac": (b"\xcf\xfa\xed\xfe" + b"__debug_info", "has debug symbols"),
    "path": (
        RIGHT + b"\0/home/me/gdcore/_x.c\0",
        "names the file /home/me/gdcore/_x.c of the machine that built it",
    ),
    "path of Windows": (b"MZ\0C:\\me\\_x.pdb\0", r"names the file C:\me\_x.pdb of the machine that built it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_module_is_said(wheel, name):
    data, said = WRONG[name]
    tag = "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"
    expected = f"gdcore/_kernels{TAGS[tag]}: {said}"
    assert wheel(tag, {"gdcore._kernels": data}) == [expected]
    assert wheel(tag, {"gdcore._kernels": RIGHT + b"\0src/gdcore/_kernels.pyx\0"}) == []
