"""Runs ``gdcore train`` without and with each flag of the table, in the folder given, and tells what each changed.

That is what is printed, but for times; the bytes of the files; and how often one was put in its place. A line has
the name of a flag, and 1 if the flag changed any of it. Alone, or on the ranks of a job.
"""

import contextlib
import hashlib
import io
import os
import re
import sys
from dataclasses import fields
from pathlib import Path

from gdcore.cli.options import Options, flag_of
from gdcore.cli.parser import main
from gdcore.distributed import is_first

BASE = {
    "data": "../data.csv", "target": "y", "missing": "fill", "hidden": "4", "epochs": "12", "batch_size": "20",
    "output": "base.npz", "checkpoint": "base.safetensors", "checkpoint_every": "1000",
}  # fmt: skip

EXAMPLES = {
    "data": "../other.csv", "target": "z", "features": "a,k", "exclude": "a", "categorical": "k",
    "dates": "d=%d.%m.%Y", "na": "0", "separator": "spaces", "decimal": ",", "encoding": "latin-1",
    "missing": "error", "validation": "0.5", "seed": "1", "task": "classification", "hidden": "3",
    "activation": "tanh", "optimizer": "sgd", "lr": "0.5", "schedule": "cosine", "epochs": "6", "batch_size": "5",
    "weight_decay": "0.5", "l2": "0.5", "clip": "0.001", "patience": "1", "output": "other.npz", "plot": "run.svg",
    "checkpoint": "other.safetensors", "checkpoint_every": "0", "resume": "", "log_every": "7",
    "test": "../other.csv", "json": "", "quiet": "", "weights": "a", "class_weight": "balanced",
}  # fmt: skip
"""Beside the base, what each flag is tried with."""

BESIDE = {"class_weight": "task"}
"""What a flag asks for beside it."""

REPLACED = []


def command(values):
    flags = [part for name, value in values.items() if name != "data" for part in (flag_of(name), value) if part]
    return ["train", values["data"], *flags]


def observed(name, values):
    """Run in a folder of its own, so that no rank waits for another that tidies up."""
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        if "resume" in values:
            main(command(BASE))
            out.truncate(0)
        REPLACED.clear()
        status = main(command(values))
        # The first rank writes: another would look while a file is being put in its place.
        paths = Path().iterdir() if is_first() else []
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    files[values["checkpoint"]] = "there"  # it holds the seconds that the steps took
    return status, re.sub(r"[0-9.e+-]+ s, .* samples/s", "", out.getvalue()), files, len(REPLACED)


replace = Path.replace
Path.replace = lambda self, target: (REPLACED.append(target), replace(self, target))[1]
os.chdir(sys.argv[1])
assert set(EXAMPLES) == {row.name for row in fields(Options)}
base = observed("base", BASE)
assert base[0] == 0, base
for name in ["nothing", *(row.name for row in fields(Options))]:
    beside = {BESIDE[name]: EXAMPLES[BESIDE[name]]} if name in BESIDE else {}
    without = observed(f"without {name}", {**BASE, **beside}) if beside else base
    tried = observed(name, {**BASE, **beside, **({name: EXAMPLES[name]} if name in EXAMPLES else {})})
    if is_first():
        print(name, int(tried != without), flush=True)
