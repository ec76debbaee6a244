"""Go on from step A, in a file if A is not 0, to step B, and write the file; rank 0 prints what came out.

Arguments: the file, A, B, and "full" for a disk without room. All ranks have the same gradients, small whole
numbers, so that their mean is exact for any number of ranks.
"""

import hashlib
import resource
import signal
import sys

import numpy as np
from mpi4py import MPI

import gdcore as gd
from gdcore.trees import flatten

COMM = MPI.COMM_WORLD
RANK, RANKS = COMM.Get_rank(), COMM.Get_size()


def main(path, start, end, full):
    params = {"w": np.ones((13, 7), np.float32), "turned": np.asfortranarray(np.ones((3, 5))), "b": [np.ones(())]}
    rng = np.random.default_rng(0)
    opt = gd.distributed.ShardedOptimizer(gd.Adam, params, lr=0.1, amsgrad=True, bucket_bytes=300)
    if start:
        found = gd.distributed.load(path, params, opt, rng)
        assert (opt.t, found.epoch, found.metadata) == (start, start, {"steps": start})
    for _ in range(start, end):
        grads = [np.asarray(rng.integers(-9, 9, leaf.shape), leaf.dtype) for leaf in flatten(params)]
        opt.step({"w": grads[0], "turned": grads[1], "b": [grads[2]]})
    if full:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    try:
        gd.distributed.save(path, params, opt, rng=rng, epoch=end, metadata={"steps": end})
    except RuntimeError as error:
        print(f"rank {RANK}: {error}", flush=True)
        COMM.Barrier()
    except OSError:
        COMM.Barrier()
        raise
    if RANK == 0:
        print(hashlib.sha256(b"".join(leaf.tobytes() for leaf in flatten(params))).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["full"])
