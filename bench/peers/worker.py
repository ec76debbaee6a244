"""One peer in a process of its own: answers requests on stdin with one line of JSON each on stdout.

``worker.py module threads`` says first whether the peer is there: ``{"version": ...}`` or
``{"absent": reason}``. Then it takes requests: ``["prepare", variant, count, size, nanoseconds]`` makes
``count`` arrays of ``size`` elements, checks the answer, and plans blocks of about so many nanoseconds;
``["measure"]`` times one block; ``["free"]`` drops the arrays.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
import problem

CHECKED_STEPS = 2
LARGE = 31 << 20  # bytes: glibc reuses freed blocks once it has seen one as large come and go (see conftest.py)


def main(module: str, threads: int) -> None:
    # Libraries print: what they print goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    if sys.platform == "linux":  # some peers make a thread for each core that they may use, whatever they are told
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    try:
        peer = importlib.import_module(module)
    except ImportError as error:
        answer({"absent": str(error)})
        return
    np.empty(LARGE, np.uint8)  # from here on freed memory is reused, as in conftest.py
    answer({"version": peer.VERSION})
    adam, iterations = None, 0
    for line in sys.stdin:
        match json.loads(line):
            case ["prepare", variant, count, size, nanoseconds]:
                adam = None  # frees the arrays of the last before there are new ones
                adam, error, iterations = prepare(peer.ADAMS[variant], threads, (count, size), nanoseconds)
                answer({"error": error, "which": peer.ADAMS[variant].__doc__})
            case ["measure"]:
                answer({"nanoseconds": block(adam, iterations)})
            case ["free"]:
                adam = None
                answer({})


def prepare(
    make: Callable[[list[problem.Array], list[problem.Array], int], problem.Adam],
    threads: int,
    shape: tuple[int, int],
    nanoseconds: int,
) -> tuple[problem.Adam, float, int]:
    start, grads = problem.inputs(*shape)
    adam = make([param.copy() for param in start], [grad.copy() for grad in grads], threads)
    for _ in range(CHECKED_STEPS):
        adam.step()
        adam.refill()
    error = problem.largest_error(start, grads, adam.results(), CHECKED_STEPS)
    return adam, error, max(1, int(nanoseconds / block(adam, 1)))


def block(adam: problem.Adam, iterations: int) -> float:
    """Return nanoseconds a step. One more goes before: it brings this peer's arrays back into the caches."""
    step, refill = adam.step, adam.refill
    step()
    refill()
    if refill is problem.Adam.refill:
        start = perf_counter_ns()
        for _ in range(iterations):
            step()
        return (perf_counter_ns() - start) / iterations
    total = 0
    for _ in range(iterations):
        start = perf_counter_ns()
        step()
        total += perf_counter_ns() - start
        refill()
    return total / iterations


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
