"""Runs of gd.fit, one for each case: in each, one rank does or is given something of its own.

Each rank prints a line for each case: its name, the rank, and how the run ended there.
"""

import signal
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import gdcore as gd

COMM = MPI.COMM_WORLD
RANK, RANKS = COMM.Get_rank(), COMM.Get_size()
FIRST, LAST = RANK == 0, RANK == RANKS - 1

X = np.random.default_rng(0).standard_normal(21)
DATA, OTHER = (X, 3 * X), (X + 1, 3 * X)


def one(w, x, y):
    return 1.0


def arguments(folder):
    """What differs from rank to rank, by case."""
    own = folder / f"{RANK}.npz"
    if LAST:
        own.touch()
    return {
        "shard": {"data": OTHER if LAST else DATA},
        "validation": {"validation": OTHER if LAST else DATA},
        "checkpoint": {"checkpoint": own if FIRST else None},
        "folder": {"checkpoint": own},
        "patience": {"patience": 2 if LAST else None},
        "divergence": {"divergence": None if LAST else 1e6},
        "monitor": {"metrics": {"m": one}, "monitor": "loss" if LAST else "m"},
        "metrics": {"metrics": {"b" if LAST else "a": one}, "monitor": "loss"},
        "schedule": {"schedule": gd.schedules.constant(0.1) if LAST else None},
        "no comm": {"comm": None},
    }


def gradient(case, w, x, y, step, rng):
    """The loss and its gradient, with the fault of the case."""
    fifth = step == 5 and LAST
    if case == "noise":
        x = x + rng.standard_normal(len(x))
    if case == "exit" and fifth:
        sys.exit(3)
    if case == "ctrl-c" and fifth:
        raise KeyboardInterrupt
    error = w * x - y
    grads = np.array([2 * np.mean(error * x)])
    if case == "wrong" and fifth:
        grads = np.ones(2)
    if case == "infinite" and fifth:
        grads[0] = np.inf
    if (
        case == "borrowed" and RANK == 1 and len(x) == 1
    ):  # it has 2 of every batch but the last, which has none for it
        grads[0] = np.nan
    return np.mean(error**2), grads


def ended(case, changes):
    """Say how the run ends."""
    rng = np.random.default_rng(1)
    w = np.zeros(1)
    opt = gd.distributed.ShardedOptimizer(gd.SGD, w, COMM, lr=0.1, max_norm=1.0)
    steps = []

    def value_and_grad(w, x, y):
        steps.append(len(x))
        return gradient(case, w, x, y, len(steps), rng)

    def callback(record, params):
        record.update(small=np.float32(0.5), whole=np.int64(7), truth=np.bool_(True))
        if case == "late" and record["epoch"] == 3:
            signal.raise_signal(signal.SIGINT)
        if case == "callback exits" and record["epoch"] == 2:
            sys.exit(3)
        if case == "callback ctrl-c" and record["epoch"] == 2:
            raise KeyboardInterrupt

    given = {"data": DATA, "epochs": 3, "batch_size": 5, "rng": rng, "callback": callback, "comm": COMM, **changes}
    try:
        history = gd.fit(value_and_grad, w, optimizer=opt, **given)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return " ".join([history.stopped, *("{small} {whole} {truth}".format(**r) for r in history.records)])


def main(cases, folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
    changes = arguments(folder)
    for case in cases:
        said = ended(case, changes.get(case, {}))
        sys.stdout.write(f"{case}|{RANK}|{said}\n")
        sys.stdout.flush()
        COMM.Barrier()


if __name__ == "__main__":
    main(sys.argv[1].split(","), Path(sys.argv[2]))
