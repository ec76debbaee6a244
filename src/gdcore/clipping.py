"""Gradients that are too large, made smaller: by their global norm, or element by element."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import checked_number, describe
from .trees import take_apart

__all__ = ["clip_by_global_norm", "clip_by_value"]

Array = np.ndarray[Any, Any]

TINY = 1e-280
"""Sums of squares below this may have lost some of them."""

CHUNK = 65536
"""Elements whose squares are held at once, in cache."""


def clip_by_global_norm(grads: Any, max_norm: float) -> tuple[Any, float]:
    """Return ``grads * min(1, max_norm / norm)`` and ``norm``, the root of the sum of all squares in the tree.

    As in Pascanu et al. (2013). The norm is worked out in double, in an order that depends on no library.

    Arguments:
        grads: a tree of arrays of float32 or float64; None for a parameter that is skipped. It is only read, and
            returned itself where its norm is at most ``max_norm``.
        max_norm: the largest norm, > 0.

    Raises ValueError for another ``max_norm``, and FloatingPointError for a norm that is not finite.

    >>> import numpy as np, gdcore as gd
    >>> clipped, norm = gd.clip_by_global_norm({"w": np.array([3.0, 0.0]), "b": np.array(4.0)}, max_norm=1.0)
    >>> norm, clipped["w"]
    (5.0, array([0.6, 0. ]))
    """
    limit = checked_number("max_norm", max_norm, 0, above=True)
    leaves, put_back = _taken_apart(grads)
    norm = _norm([grad for grad in leaves if grad is not None])
    if not math.isfinite(norm):
        raise FloatingPointError(f"grads: expected a finite norm, got {norm}")
    if norm <= limit:
        return grads, norm
    with np.errstate(under="ignore"):
        return put_back([None if grad is None else _scaled(grad, limit, norm) for grad in leaves]), norm


def clip_by_value(grads: Any, max_value: float) -> Any:
    """Return the tree ``grads`` with each element brought into ``[-max_value, max_value]``.

    Arguments:
        grads: as for :func:`clip_by_global_norm`; only read.
        max_value: the largest magnitude, > 0.

    Raises ValueError for another ``max_value``. An element that is nan stays so.

    >>> import numpy as np, gdcore as gd
    >>> gd.clip_by_value([np.array([-3.0, 0.5])], max_value=1.0)
    [array([-1. ,  0.5])]
    """
    limit = checked_number("max_value", max_value, 0, above=True)
    leaves, put_back = _taken_apart(grads)
    return put_back([None if grad is None else _clipped(grad, limit) for grad in leaves])


class Limits:
    """The limits on the gradients of a run: on each element, then on the global norm; None for no limit."""

    def __init__(self, max_norm: Any, max_value: Any) -> None:
        self.max_norm = None if max_norm is None else checked_number("max_norm", max_norm, 0, above=True)
        self.max_value = None if max_value is None else checked_number("max_value", max_value, 0, above=True)

    @property
    def given(self) -> bool:
        """Whether there is a limit at all."""
        return self.max_norm is not None or self.max_value is not None

    def applied(self, grads: Any) -> Any:
        """Return ``grads`` within the limits. Raises FloatingPointError for a norm that is not finite."""
        if self.max_value is not None:
            grads = clip_by_value(grads, self.max_value)
        if self.max_norm is not None:
            grads, _ = clip_by_global_norm(grads, self.max_norm)
        return grads


def sum_of_squares(array: Array) -> float:
    """Return the sum of the squares of all elements, worked out in double; inf where that overflows."""
    flat = array.reshape(-1)
    if flat.size <= CHUNK:
        return float(np.add.reduce(np.square(flat, dtype=np.float64)))
    parts = [flat[start : start + CHUNK] for start in range(0, flat.size, CHUNK)]
    return sum(float(np.add.reduce(np.square(part, dtype=np.float64))) for part in parts)


def _taken_apart(grads: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    leaves, put_back = take_apart(grads)
    for grad in leaves:
        if grad is not None and not (isinstance(grad, np.ndarray | np.generic) and grad.dtype.kind == "f"):
            raise TypeError(f"grads: expected arrays of float32 or float64, got {describe(grad)}")
    return leaves, put_back


def _norm(grads: list[Array]) -> float:
    with np.errstate(all="ignore"):
        squares = sum([sum_of_squares(grad) for grad in grads])
        if TINY < squares < math.inf:
            return math.sqrt(squares)
        # The squares of what is very large or very small are out of range, where the norm itself need not be.
        largest = max([float(np.max(np.abs(grad))) for grad in grads if grad.size], default=0.0)
        if largest == 0 or not math.isfinite(largest):
            return math.nan if math.isnan(squares) else largest
        return largest * math.sqrt(
            sum([sum_of_squares(np.divide(grad, largest, dtype=np.float64)) for grad in grads])
        )


def _scaled(grad: Array, limit: float, norm: float) -> Any:
    """Return ``grad * (limit / norm)``, also where that factor is below the range of the dtype."""
    factor = limit / norm
    if factor >= np.finfo(grad.dtype).tiny:
        return grad * grad.dtype.type(factor)
    return (np.divide(grad, norm, dtype=np.float64) * limit).astype(grad.dtype)


def _clipped(grad: Array, limit: float) -> Any:
    limit = min(limit, float(np.finfo(grad.dtype).max))
    return np.clip(grad, -limit, limit)


for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
