"""Adam in NumPy, twice: the formula as people write it, and the best that ``out=`` can do."""

from typing import Any

import numpy as np
import problem
from problem import BETA1, BETA2, EPS, LR

VERSION = f"numpy {np.__version__}"
PIECE = 16_384  # elements: such pieces of four arrays and the buffer are 320 KiB, which stay in a core's cache


def formula(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, each line an expression that allocates what it needs."""
    del threads  # NumPy's loops over elements have one
    m, v = ([np.zeros_like(param) for param in params] for _ in range(2))
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        for i, g in enumerate(grads):
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = BETA2 * v[i] + (1 - BETA2) * g**2
            m_hat = m[i] / (1 - BETA1**t)
            v_hat = v[i] / (1 - BETA2**t)
            params[i] -= LR * m_hat / (np.sqrt(v_hat) + EPS)

    return problem.Adam(step, lambda: params)


def buffered(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, bias corrections moved into lr and eps, through one preallocated buffer."""
    del threads
    scratch = np.empty(PIECE, np.float32)
    pieces = []
    for param, grad in zip(params, grads, strict=True):
        arrays = (param, grad, np.zeros_like(param), np.zeros_like(param))
        for begin in range(0, param.size, PIECE):
            views = [array[begin : begin + PIECE] for array in arrays]
            pieces.append((*views, scratch[: views[0].size]))
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        root = (1 - BETA2**t) ** 0.5
        a, eps = LR * root / (1 - BETA1**t), EPS * root
        for w, g, m, v, x in pieces:
            np.multiply(m, BETA1, out=m)
            np.multiply(g, 1 - BETA1, out=x)
            np.add(m, x, out=m)
            np.multiply(v, BETA2, out=v)
            np.multiply(g, g, out=x)
            np.multiply(x, 1 - BETA2, out=x)
            np.add(v, x, out=v)
            np.sqrt(v, out=x)
            np.add(x, eps, out=x)
            np.divide(m, x, out=x)
            np.multiply(x, a, out=x)
            np.subtract(w, x, out=w)

    return problem.Adam(step, lambda: params)


ADAMS = {"formula": formula, "out=": buffered}
