"""A job in which rank 1 does what the argument says; the others would wait for it without end."""

import os
import signal
import sys

import numpy as np
from mpi4py import MPI

import gdcore as gd

rank = MPI.COMM_WORLD.Get_rank()
fault = sys.argv[1]
odd = rank == 1
if fault == "hook":
    sys.excepthook = lambda kind, error, trace: print(f"my own words: {error}", file=sys.stderr)
dtype = np.float32 if odd and fault == "disagree" else np.float64
opt = gd.distributed.ShardedOptimizer(gd.Adam, np.ones(3, dtype))
for step in range(5):
    if odd and step == 3 and fault in {"raise", "hook"}:
        raise ZeroDivisionError("on purpose")
    if odd and step == 3 and fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    opt.step(np.ones(3))
if fault == "finalize":
    MPI.Finalize()
    raise ZeroDivisionError("on purpose")
print("survived")
