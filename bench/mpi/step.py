"""A step of Adam over the ranks of this job beside its parts; rank 0 prints a line of JSON. Run under mpiexec."""

import json
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from mpi4py import MPI

import gdcore as gd

COMM = MPI.COMM_WORLD
RANK, RANKS = COMM.Get_rank(), COMM.Get_size()


class Done:
    """A request that has nothing to wait for."""

    def Wait(self) -> None:  # noqa: N802
        """Return."""


class Silent:
    """A communicator that sends nothing in a step: what is left is the work of the rank itself."""

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: Done()) if name == "Iallgatherv" else getattr(COMM, name)

    def Ialltoallv(self, send: Any, receive: Any) -> Done:  # noqa: N802
        """Bring the number of the step, which is compared, and nothing else."""
        (whole, (counts, starts)), pieces = send, receive[0]
        pieces[:, -1] = whole[starts[RANK] + counts[RANK] - 1]
        return Done()


class Kept:
    """A communicator that keeps what a step sends, so that it can be sent again without the work."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(COMM, name)
        if name not in {"Ialltoallv", "Iallgatherv"}:
            return function

        def call(send: Any, receive: Any) -> Any:
            self.calls.append((function, send, receive))
            return function(send, receive)

        return call

    def replay(self) -> None:
        """Send everything again."""
        for function, send, receive in self.calls:
            function(send, receive).Wait()


def milliseconds(*works: Callable[[], object], rounds: int) -> list[float]:
    """Return the median time of each, in turns, until the last rank is done."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, found in zip(works, times, strict=True):
            COMM.Barrier()
            start = perf_counter()
            work()
            COMM.Barrier()
            found.append(1e3 * (perf_counter() - start))
    return [median(found[1:]) for found in times]


def main(size: int, rounds: int) -> None:
    """Measure with ``size`` parameters on a power of 2 of ranks."""
    gd.set_num_threads(1)
    # All ranks have the same gradients: the mean of so many is exact, and the plain optimizer can take them too.
    grads = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    params = [np.zeros(size, np.float32) for _ in range(4)]
    kept = Kept()
    plain, (sharded, silent, keeping) = (
        gd.Adam(params[0]),
        (
            gd.distributed.ShardedOptimizer(gd.Adam, param, comm, check_every=None)
            for param, comm in zip(params[1:], (COMM, Silent(), kept), strict=True)
        ),
    )
    for optimizer in (plain, sharded, keeping):
        optimizer.step(grads)
    assert np.array_equal(params[0], params[1])
    works = [lambda: plain.step(grads), lambda: sharded.step(grads), lambda: silent.step(grads), kept.replay]
    whole, step, work, exchange = milliseconds(*works, rounds=rounds)
    if RANK == 0:
        found = {"ranks": RANKS, "elements": size, "plain": whole, "step": step, "work": work, "exchange": exchange}
        print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
