"""The problem that all peers solve, its answer in float64, and what a peer makes of it.

Adam as in Kingma and Ba (2015): eps outside the root, both moments bias-corrected, t = 1 in the first step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LR = 1e-4  # moves the weights little over all the steps of a measurement, and visibly in float32 in one
BETA1, BETA2 = 0.9, 0.999
EPS = 1e-8
PIECE = 1 << 20  # elements whose answer is worked out at a time, as that takes several arrays of float64

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Adam:
    """One peer's optimizer on arrays of its own.

    ``step`` makes one step and returns when it is done. ``results`` returns the parameters as they are now,
    as arrays or what NumPy makes arrays of. ``refill``, not timed, puts back gradients that a step spoils.
    """

    step: Callable[[], None]
    results: Callable[[], Sequence[Any]]
    refill: Callable[[], None] = lambda: None


def inputs(count: int, size: int) -> tuple[list[Array], list[Array]]:
    """Return parameters and gradients: standard-normal, gradients moved away from 0 by 0.1.

    Where eps stands shows only in gradients near 0, and there the peers differ.
    """
    rng = np.random.default_rng(20)
    params = [rng.standard_normal(size, np.float32) for _ in range(count)]
    grads = [rng.standard_normal(size, np.float32) for _ in range(count)]
    return params, [grad + np.copysign(np.float32(0.1), grad) for grad in grads]


def largest_error(start: list[Array], grads: list[Array], found: Sequence[Any], steps: int) -> float:
    """Return how far ``found`` is from the answer after ``steps`` steps, as a multiple of what is allowed.

    Allowed are 1e-4 of the way that the weight went, as some peers work out 1 - beta2^t in float32, and 1e-6
    of the weight, which is rounded to float32 in every step.
    """
    worst = 0.0
    for first, grad, last in zip(start, grads, found, strict=True):
        got = np.asarray(last)
        for begin in range(0, first.size, PIECE):
            piece = slice(begin, begin + PIECE)
            w0, g = first[piece].astype(np.float64), grad[piece].astype(np.float64)
            w, m, v = w0.copy(), np.zeros_like(w0), np.zeros_like(w0)
            for t in range(1, steps + 1):
                m = BETA1 * m + (1 - BETA1) * g
                v = BETA2 * v + (1 - BETA2) * g**2
                w -= LR * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPS)
            error = np.abs(got[piece] - w) / (1e-4 * np.abs(w - w0) + 1e-6 * np.abs(w))
            worst = max(worst, float(error.max()))
    return worst
