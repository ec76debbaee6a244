"""A job in which rank 1 is out of step with the others, as the argument says, or all change a parameter."""

import os
import signal
import sys
import time

import numpy as np
from mpi4py import MPI

import gdcore as gd

COMM = MPI.COMM_WORLD
ODD = COMM.Get_rank() == 1
SHARDED = gd.distributed.ShardedOptimizer

ONLY_RANK_1 = {
    "save": lambda w, opt: gd.distributed.save("never.npz", w, opt),
    "construct": lambda w, opt: SHARDED(gd.Adam, w, timeout=opt.timeout),
    "stop": lambda w, opt: os.kill(os.getpid(), signal.SIGSTOP),
}
"""What rank 1 does in place of, or before, its fourth step."""

CHANGES = {
    "resize": lambda w: w.resize(400, refcheck=False),
    "read-only": lambda w: w.setflags(write=False),
    "dtype": lambda w: setattr(w, "dtype", np.int64),
    "shape": lambda w: setattr(w, "shape", (100, 2)),
}


def swallowed(opt, grads):
    """Step by gradients that are refused, and go on as if nothing had been."""
    try:
        opt.step(grads)
    except ValueError:
        return


def patient(opt, w):
    """Train with a callback that takes longer than ``timeout``, and a gradient that does on one rank."""

    def value_and_grad(w, x):
        if ODD and opt.t == 1:
            time.sleep(0.8)
        return 1.0, np.ones_like(w)

    def callback(record, params):
        time.sleep(0.8)

    gd.fit(value_and_grad, w, (np.zeros(4),), opt, epochs=1, batch_size=2, rng=None, shuffle=False,
           callback=callback, comm=COMM)  # fmt: skip


def refused(work):
    try:
        work()
    except ValueError as error:
        return str(error)
    return "nothing"


def main(case, timeout):
    COMM.Barrier()  # ranks do not start together
    w = np.zeros(200)
    opt = SHARDED(gd.Adam, w, lr=0.5, timeout=timeout)
    if case == "changed":
        for change in CHANGES.values():
            w, alone = np.zeros(200), np.zeros(200)
            opt, one = SHARDED(gd.SGD, w, lr=1.0), gd.SGD(alone, lr=1.0)
            opt.step(np.ones(200))
            change(w)
            change(alone)
            said = refused(lambda opt=opt, w=w: opt.step(np.ones(w.shape)))
            assert said == refused(lambda one=one, w=w: one.step(np.ones(w.shape))), said
            assert said.startswith("params: expected"), said
            COMM.Barrier()
    elif case == "patient":
        patient(opt, w)
    else:
        for step in range(5):
            if ODD and step == 3 and case in ONLY_RANK_1:
                ONLY_RANK_1[case](w, opt)
            if ODD and step == 3 and case in {"swallow", "retry"}:
                swallowed(opt, np.ones(3))
            if not (ODD and step == 3 and case == "swallow"):
                opt.step(np.ones(200))
        if ODD and case == "more":
            opt.step(np.ones(200))
    sys.stdout.write("survived\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
