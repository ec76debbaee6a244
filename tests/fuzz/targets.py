"""What is fuzzed: each target takes bytes, and raises only what is an error of gdcore itself."""

import io
import tempfile
import warnings
from contextlib import redirect_stderr, suppress
from pathlib import Path

import numpy as np
from rules_table import MAKERS

import gdcore as gd
from gdcore.checkpoints import formats
from gdcore.cli.parser import main
from gdcore.tables import ModelError, Table, TableError, TableModel

FOLDER = Path(tempfile.mkdtemp(prefix="gdcore-fuzz"))


def sealed(data, suffix):
    """Write bytes as a checkpoint whose seal is right, so that what is behind the seal is reached."""
    path = FOLDER / f"fuzzed{suffix}"
    path.write_bytes(data)
    container = formats.container_of(path)
    with path.open("r+b") as file:
        at = formats._end_of_mark(container, file)
        if at + formats.DIGITS <= len(data):
            file.seek(at - len(container.mark))
            file.write(container.mark)
            digits = formats._digits(file, at)
            file.seek(at)
            file.write(digits)
    return path


def checkpoint(data):
    """Load a checkpoint of either kind, alone and into targets, which stay as they are if it is refused."""
    path = sealed(data[1:], ".npz" if data[:1] < b"\x80" else ".safetensors")
    params = {"w": np.zeros((2, 3), np.float32)}
    opt = gd.Adam(params, lr=0.5)
    before = opt.state_dict()["t"], params["w"].tobytes()
    with suppress(gd.CheckpointError):
        gd.load(path)
    try:
        gd.load(path, params, opt)
    except (gd.CheckpointError, ValueError, TypeError):
        assert (opt.state_dict()["t"], params["w"].tobytes()) == before
    opt.step({"w": np.ones((2, 3), np.float32)})


def model(data):
    """Load a saved model, and use it on a table."""
    path = sealed(data, ".npz")
    rows = FOLDER / "rows.csv"
    if not rows.exists():
        rows.write_text("a,b,k\n1,2.5,x\n3,,y\n", "utf-8")
    with suppress(ModelError, TableError), warnings.catch_warnings(action="ignore"):
        found = TableModel.load(path)
        found.predict(Table(rows))


def rows(data):
    """Train for one epoch on a table."""
    path = FOLDER / "fuzzed.csv"
    path.write_bytes(data)
    words = ["train", str(path), "--target", "y", "--epochs", "1", "--quiet", "--missing", "fill"]
    with redirect_stderr(io.StringIO()) as said, warnings.catch_warnings(action="ignore"):
        status = main(words)
    assert status in {0, 1}
    assert status == 0 or said.getvalue().count("\n") >= 1


def engine(data):
    """Step an optimizer on trees of arrays that the bytes tell of, some of which it has to refuse."""
    told = iter(data)

    def byte(below):
        return next(told, 0) % below

    memory = np.zeros(4096, np.uint8)
    memory[: len(data)] = np.frombuffer(data[:4096], np.uint8)

    def array():
        kind = ("f4", "f8", "f4", "f8", ">f8", "f2", "i4", "O", "c16", "M8[s]")[byte(10)]
        if kind == "O":
            return np.array([1.0, None])
        shape = [byte(6) for _ in range(byte(4))]
        size = np.dtype(kind).itemsize
        strides = [size * (byte(9) - 4) if byte(4) == 0 else size for _ in shape]
        reach = [(n - 1) * s if n else 0 for n, s in zip(shape, strides, strict=True)]
        start = 1024 + byte(3) * 64 + (byte(8) == 7)
        if start + sum(min(r, 0) for r in reach) < 0 or start + sum(max(r, 0) for r in reach) + size > 4096:
            return None
        made = np.ndarray(shape, kind, memory if byte(2) else memory.copy(), start, strides)
        made.flags.writeable = byte(8) != 7
        return made

    def tree(depth=0):
        what = byte(6) if depth < 3 else 0
        if what < 3:
            return array()
        parts = [tree(depth + 1) for _ in range(byte(4))]
        return (
            parts if what == 3 else tuple(parts) if what == 4 else {f"k{i}": part for i, part in enumerate(parts)}
        )

    with suppress(TypeError, ValueError, FloatingPointError, OverflowError), np.errstate(all="ignore"):
        make = MAKERS[sorted(MAKERS)[byte(len(MAKERS))]]
        opt = make(tree(), master=bool(byte(2)))
        for _ in range(3):
            opt.step(tree() if byte(2) else None, max_norm=(None, 1.0)[byte(2)], zero=byte(4) == 3)


TARGETS = {target.__name__: target for target in (checkpoint, model, rows, engine)}
