"""The loop that one writes by hand with numba."""

from typing import Any

import numba
import numpy as np
import problem
from problem import BETA1, BETA2, EPS, LR

VERSION = f"numba {numba.__version__}"


def loop(w: Any, g: Any, m: Any, v: Any, coefficients: Any) -> None:
    # The arrays are not one tuple: numba 0.68 with parallel=True then leaves wrong numbers in them.
    a, eps, beta1, gain1, beta2, gain2 = coefficients
    for i in numba.prange(w.size):
        m[i] = beta1 * m[i] + gain1 * g[i]
        v[i] = beta2 * v[i] + gain2 * (g[i] * g[i])
        w[i] -= a * m[i] / (np.sqrt(v[i]) + eps)


def adam(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, bias corrections moved into lr and eps; compiled for this CPU, no fastmath."""
    compiled = numba.njit(loop, parallel=threads > 1, error_model="numpy")
    quads = [(w, g, np.zeros_like(w), np.zeros_like(w)) for w, g in zip(params, grads, strict=True)]
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        root = (1 - BETA2**t) ** 0.5
        numbers = (LR * root / (1 - BETA1**t), EPS * root, BETA1, 1 - BETA1, BETA2, 1 - BETA2)
        coefficients = tuple(map(np.float32, numbers))
        for arrays in quads:
            compiled(*arrays, coefficients)

    return problem.Adam(step, lambda: params)


ADAMS = {"njit": adam}
