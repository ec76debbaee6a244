"""The implicit function theorem: what a solution depends on, given the equation that it solves.

At ``f(x, theta) = 0`` with the Jacobian ``J`` of ``f`` by ``x``, ``dx = -J^-1 df``: one step of Newton's method
from the solution, ``x - J^-1 f(x, theta)``, has that derivative, where ``J`` is a constant. A second step has the
second derivative too, and so on: as many are taken as there are derivatives in progress. What ``f`` refers to from
outside is differentiated like what it is given.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..derivatives import Traced, array, jacobian, real


def depth(x: Any) -> int:
    """Return how many derivatives trace ``x``."""
    levels = 0
    while type(x) is Traced:
        levels, x = levels + 1, x.value
    return levels


def jacobian_at(f: Callable[[Any], Any], x: Any) -> Any:
    """Return the real Jacobian of ``f`` at a real ``x``."""
    return real(jacobian(lambda x: array(f(x)))(x))


def refined(f: Callable[[Any], Any], x: Any, slope: Any = None) -> Any:
    """Return ``x``, a real solution of ``f(x) = 0``, as depending on what ``f`` depends on.

    ``slope`` is the Jacobian of ``f`` at ``x``, if it is known.
    """
    shape = np.shape(x)
    residual = array(f(x))
    steps = depth(residual)
    if not steps:
        return x
    if slope is None:
        slope = jacobian_at(f, x)
    slope = np.reshape(slope, (np.size(x), np.size(x)))
    for k in range(steps):
        if k:
            residual = array(f(x))
        x = x - np.linalg.solve(slope, np.reshape(residual, -1)).reshape(shape)
    return x
