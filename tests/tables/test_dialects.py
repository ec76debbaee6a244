"""How a file is written does not matter: separators, encodings, packings, lines that are no rows, gaps."""

import bz2
import gzip
import io
import lzma
import math
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gdcore.tables import packing, source
from gdcore.tables.model import TableModel
from gdcore.tables.source import NA, Dialect
from gdcore.tables.table import Table

pytest.importorskip("polars")

ROWS = 40
BASE = "town,size,y\n" + "".join(f"{'ABC'[i % 3]} ö,{i}.25,{i * i % 7}.5\n" for i in range(ROWS))
LINES = BASE.splitlines()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def file(content, name="data.csv"):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def read(content, **dialect):
    table = Table(file(content), Dialect(**dialect))
    return table.columns, [table.text(name).to_list() for name in table.columns]


def refused(result, *said, status=1):
    got, out, err = result
    assert (got, out, err.count("\n")) == (status, "", 1), err
    for part in said:
        assert part in err


def zipped(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return packed.getvalue()


def zstandard(text):
    """One frame of one raw block, with the length of the content in it."""
    content = text.encode()
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\xa0" + len(content).to_bytes(4, "little") + block + content


def separated(mark, space=""):
    return "\n".join(space + mark.join(f'"{cell}"' for cell in line.split(",")) + space for line in LINES) + "\n"


SAME = {
    "semicolons": BASE.replace(",", ";"),
    "tabs": BASE.replace(",", "\t"),
    "bars": BASE.replace(",", "|"),
    "spaces": separated(" "),
    "many spaces": separated("   ", "  "),
    "spaces and tabs": separated(" \t "),
    "spaces around": separated(" , "),
    "spaces before quotes": separated(", "),
    "a quote in a field": BASE.replace("town,", 'to"wn,').replace('"', "", 1),
    "utf-8 with a mark": BASE.encode("utf-8-sig"),
    "utf-16": BASE.encode("utf-16"),
    "utf-16 without a mark": BASE.encode("utf-16-le"),
    "utf-16 of the other order": BASE.encode("utf-16-be"),
    "utf-32": BASE.encode("utf-32"),
    "latin-1": BASE.encode("latin-1"),
    "gzip": gzip.compress(BASE.encode()),
    "gzip of latin-1": gzip.compress(BASE.encode("latin-1")),
    "bzip2": bz2.compress(BASE.encode()),
    "xz": lzma.compress(BASE.encode()),
    "zip": zipped(**{"a/": "", "a/data.csv": BASE, "__MACOSX/._data.csv": "x"}),
    "zstd": zstandard(BASE),
    "blank lines": "\n \n" + BASE.replace("\n", "\n\n", 9).replace("\n\n", "\n\t\n", 1) + "\n\n  ",
    "blank lines of windows": BASE.replace("\n", "\r\n").replace("\r\n", "\r\n\r\n", 9),
    "lines of the old mac": BASE.replace("\n", "\r"),
    "comments above": f"# by a tool, 1.0\n# of 2024\n\n{BASE}",
    "the header is a comment": f"# by a tool, of 2024\n#{BASE}",
    "unnamed empty columns": BASE.replace("\n", ",,\n"),
}


@pytest.mark.parametrize("case", SAME)
def test_how_a_file_is_written_does_not_matter(case):
    assert read(SAME[case]) == read(BASE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pipe with a name")
@pytest.mark.parametrize("case", ["gzip", "utf-16", "zip", "semicolons", "comments above"])
def test_nor_whether_it_is_a_pipe(case):
    content = SAME[case] if isinstance(SAME[case], bytes) else SAME[case].encode()
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=[content])
    writer.start()
    table = Table("pipe")
    writer.join()
    assert (table.columns, [table.text(name).to_list() for name in table.columns]) == read(BASE)


def test_the_command_says_how_it_found_the_file_written_and_fits_the_same(gdc):
    outs = [gdc("train", file(SAME[case]), "--target", "y", "--epochs", 2) for case in ("utf-16", "tabs", "gzip")]
    plain = gdc("train", file(BASE), "--target", "y", "--epochs", 2)
    for (status, out, _), said in zip(outs, ("in utf-16", "separated by '\\t'", "unpacked from gzip"), strict=True):
        assert status == 0
        assert f"\n  file: {said}\n" in out
        assert out.splitlines()[-3].split()[:3] == plain[1].splitlines()[-3].split()[:3]
    assert "file:" not in plain[1]


def test_what_is_said_of_a_file_holds(gdc):
    mac = file(BASE.encode("mac-roman"), "mac.csv")
    assert read(BASE.encode("mac-roman"), encoding="mac-roman") == read(BASE)
    assert read(BASE.encode("mac-roman")) != read(BASE)
    assert read("a b;c\n1 2;3\n", separator=" ")[0] == ("a", "b;c")
    assert read("a b;c\n1 2;3\n")[0] == ("a b", "c")
    assert gdc("train", mac, "--target", "y", "--encoding", "mac-roman", "--epochs", 1, "--output", "m.npz")[0] == 0
    expected = gdc("predict", "m.npz", mac, "--encoding", "mac-roman")
    assert expected[0] == 0
    tabs = file(BASE.replace(",", "\t"), "tabs.csv")
    assert gdc("predict", "m.npz", tabs) == gdc("predict", "m.npz", tabs, "--separator", "tab") == expected
    refused(
        gdc("train", mac, "--target", "y", "--encoding", "utf-8"),
        "line 2: expected a text in utf-8, got the byte 0x9a",
    )
    refused(
        gdc("train", mac, "--target", "y", "--encoding", "klingon"), "expected the name of an encoding", status=2
    )
    refused(gdc("train", mac, "--target", "y", "--separator", "ab"), "expected one character", status=2)


BROKEN = {
    "gzip cut off": (gzip.compress(BASE.encode())[:-20], "expected a file packed by gzip: "),
    "bzip2 cut off": (bz2.compress(BASE.encode())[:-20], "expected a file packed by bzip2: "),
    "xz cut off": (lzma.compress(BASE.encode())[:-20], "expected a file packed by xz: "),
    "no zip": (b"PK\3\4" * 40, "expected a file packed by zip: "),
    "two files in a zip": (zipped(a=BASE, b=BASE), "expected a file packed by zip: expected one file in it, got 2"),
    "nothing in gzip": (gzip.compress(b""), "expected a header and rows, got an empty file"),
    "a picture": (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 9,
        "expected comma-separated values in UTF-8: got the character '\\x1a'",
    ),
    "a byte of no encoding": (
        BASE.encode() + b"\x81,1,2\n",
        "line 42: expected a text in cp1252, got the byte 0x81",
    ),
    "a field too many": (
        BASE + "A,1,2,3\n",
        "row 41: expected 3 fields separated by ',', as the header has, got 4, '3'",
    ),
    "an empty field too many": (BASE.replace("\n", ",\n", 8).replace(",\n", "\n", 7), "row 7: expected 3 fields"),
    "names of rows": ("a,b\n1,2,3\n2,3,4\n", "row 1: expected 2 fields"),
    "an open quote": (BASE.replace("B", '"B', 1), "line 3: expected a quote that ends, got one without end"),
    "an open quote at the end": (BASE + '"A,1,2', "line 42: expected a quote that ends"),
    "a title above": ("Report\n" + BASE, "row 1: expected 1 fields"),
    "a footer": (BASE + "# the end\n", "expected no missing values, got some in the columns 'size' (1), 'y' (1)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_read_is_one_line_that_says_where(gdc, case):
    content, said = BROKEN[case]
    refused(gdc("train", file(content), "--target", "y", "--features", "size"), f"data.csv: {said}")


@pytest.mark.parametrize(("module", "name"), [("bz2", "bzip2"), ("lzma", "xz")])
def test_a_python_without_what_unpacks_a_file_refuses_that_alone(gdc, monkeypatch, module, name):
    """As one that was compiled where a library was missing."""
    monkeypatch.setitem(sys.modules, module, None)
    argv = ("--target", "y", "--epochs", 1)
    assert gdc("train", file(gzip.compress(BASE.encode())), *argv)[0] == 0
    said = f"data.csv: expected a Python that unpacks {name}, got one without it ("
    refused(gdc("train", file(SAME[name]), *argv), said)


def test_a_python_without_what_unpacks_files_has_the_command():
    code = "import sys; sys.modules.update(bz2=None, lzma=None); import gdcore.tables.packing"
    subprocess.run([sys.executable, "-c", code], check=True)


# What is missing


def test_quoted_texts_are_texts_and_others_may_be_missing(gdc):
    for quote, kinds in (("{}", ("DE", "FR")), ('"{}"', ("DE", "FR", "NA"))):
        text = "c,y\n" + "".join(f"{quote.format(c)},{i % 5}.5\n" for i, c in enumerate(["NA", "DE", "FR"] * 14))
        data = file(text)
        argv = ("train", data, "--target", "y", "--output", "m.npz", "--epochs", 1)
        assert gdc(*argv, "--missing", "fill")[0] == 0
        assert TableModel.load("m.npz").columns.texts == {"c": kinds}
        status, _, err = gdc(*argv)
        assert (status, "'c' (14); fill them in" in err) == ((1, True) if len(kinds) == 2 else (0, False))
        if status:
            assert "'NA', as in column 'c', counts as one, unless --na says otherwise" in err
            dropped = gdc("train", data, "--target", "c", "--missing", "drop", "--epochs", 1)[2].splitlines()[0]
            said = "14 rows of 42 left out, as values are missing; 'NA', as in column 'c', counts as one"
            assert dropped == f"gdcore: warning: {said}, unless --na says otherwise"
        assert gdc(*argv, "--na=")[0] == 0
        assert TableModel.load("m.npz").columns.texts == {"c": ("DE", "FR", "NA")}
        new = file('c\nNA\n"NA"\n', "new.csv")
        status, out, err = gdc("predict", "m.npz", new)
        assert (status, len({*out.split()[1:]}), err) == (0, 1, "")


def test_a_quoted_text_in_a_column_of_numbers_is_missing_as_any():
    text = 'x,y\n"1","NA"\n"NA","2"\n"3","4"\n'
    table = Table(file(text))
    assert [column.missing for column in table.plain(["x", "y"])] == [1, 1]
    assert [column.bad for column in table.plain(["x", "y"])] == [None, None]
    assert table.text("x").to_list() == ["1", "NA", "3"]


@pytest.mark.parametrize("text", ["?", ".", "-", "--", "unknown", "-999", "a,b", "[", "99|1"])
def test_what_is_said_to_be_missing_is(gdc, text):
    quoted = f'"{text}"' if "," in text else text
    data = file("x,y\n" + "".join(f"{quoted if i % 9 == 4 else i},{i}\n" for i in range(ROWS)))
    argv = ("train", data, "--target", "y", "--epochs", 1, "--output", "m.npz")
    if text != "-999":
        refused(gdc(*argv), f"column 'x': expected finite numbers, got {text!r} in row 5", "--na")
    status, out, _ = gdc(*argv, f"--na=x,{quoted}", "--missing", "fill")
    assert status == 0
    assert "filled in: 'x' (4)" in out
    new = file(f"x\n{quoted}\n1\n\nx\n", "new.csv")
    status, out, _ = gdc("predict", "m.npz", new)
    first, _, *others = out.split()[1:]
    assert others == [first, first]
    refused(
        gdc("predict", "m.npz", file("x\nNA\n", "new.csv")),
        "column 'x': expected finite numbers, got 'NA' in row 1",
    )


def test_the_usual_texts_are_missing_and_sodium_is_not():
    values = [*NA, "Na", "nA", "nil", "0"]
    table = Table(file("x,y\n" + "".join(f"{value},1\n" for value in values)))
    assert table.text("x").drop_nulls().to_list() == ["Na", "nA", "nil", "0"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_row_to_predict_gets_a_prediction_always(gdc, separator):
    data = file("x,z,y\n" + "".join(f"{i},{i % 3},{2 * i}\n" for i in range(ROWS)))
    assert gdc("train", data, "--target", "y", "--missing", "fill", "--epochs", 1, "--output", "m.npz")[0] == 0
    empty = separator + "\n"
    rows = ["1,5\n", empty, "2,7\n", empty, '""' + separator + '""\n', empty]
    new = "".join(["x,z\n", *rows]).replace(",", separator)
    status, out, _ = gdc("predict", "m.npz", file(new, "new.csv"))
    assert (status, len(out.split()) - 1) == (0, len(rows))
    assert gdc("predict", "m.npz", file(new + "\n\n", "new.csv"))[1] == out
    one = file("x,y\n" + "".join(f"{i},{2 * i}\n" for i in range(ROWS)))
    assert gdc("train", one, "--target", "y", "--missing", "fill", "--epochs", 1, "--output", "m.npz")[0] == 0
    for new, count in (('x\n1\n""\n2\n""\n""\n', 5), ("x\n1\n\n2\n\n", 4), ("x\n\n", 1)):
        status, out, _ = gdc("predict", "m.npz", file(new, "new.csv"))
        assert (status, len(out.split()) - 1) == (0, count), new


# How much there is room for


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_for_which_there_is_no_memory_is_one_line(gdc, monkeypatch, packed):
    text = ("x,y\n" + "1,2\n" * 100_000).encode()
    monkeypatch.setattr(packing if packed else source, "room", lambda: 500_000.0)
    monkeypatch.setattr(source if packed else packing, "room", lambda: math.inf)
    data = file(gzip.compress(text) if packed else text)
    refused(gdc("train", data, "--target", "y"), "expected a table for which there is memory, 0.0005 GB, got one")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory that holds")
def test_a_bomb_ends_in_one_line_and_no_abort():
    pytest.importorskip("polars")
    data = file(gzip.compress(b"x,y\n") + 30 * gzip.compress(b"0.5,0.25\n" * 1_000_000))
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); from gdcore.cli import main; "
        f"raise SystemExit(main(['train', {data!r}, '--target', 'y']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1), run.stderr
    assert "memory" in run.stderr


def test_a_text_of_many_million_characters_is_a_text(gdc):
    long = "z" * 3_000_000
    data = file("c,x,y\n" + "".join(f"{long if i % 2 else 'a'},{i},{i}\n" for i in range(ROWS)))
    status, out, _ = gdc("train", data, "--target", "y", "--epochs", 1, "--output", "m.npz")
    assert (status, "kinds: 'c' (2)" in out) == (0, True)
    assert np.array_equal([len(text) for text in TableModel.load("m.npz").columns.texts["c"]], [1, len(long)])
