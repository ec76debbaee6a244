"""Gradients that are too large, made smaller: by their global norm, or element by element."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import as_complex, as_pairs, checked_number, describe, is_complex
from .engine import check_disjoint, check_like, check_writable, multiply, norm
from .reference import scale
from .stages import checked_limit
from .trees import Structure, take_apart

__all__ = ["clip_by_global_norm", "clip_by_value"]

Array = np.ndarray[Any, Any]


def clip_by_global_norm(grads: Any, max_norm: float, *, out: Any = None) -> tuple[Any, float]:
    """Return ``grads * min(1, max_norm / norm)`` and ``norm``, the root of the sum of all squares in the tree.

    As in Pascanu et al. (2013). The norm is worked out in double, in an order that depends on the arrays alone.
    ``opt.step(grads, max_norm=...)`` does the same without writing the gradients.

    Arguments:
        grads: a tree of arrays of floats or complex numbers; None for a parameter that is skipped. It is only read,
            and returned itself where its norm is at most ``max_norm`` and there is no ``out``.
        max_norm: the largest norm, > 0.
        out: a tree like ``grads`` of arrays that are written and returned; ``grads`` itself, or arrays that share
            no memory with it.

    Raises ValueError for another ``max_norm``, TypeError or ValueError for another ``out``, and FloatingPointError
    for a norm that is not finite, all before anything is written.

    >>> import numpy as np, gdcore as gd
    >>> clipped, norm = gd.clip_by_global_norm({"w": np.array([3.0, 0.0]), "b": np.array(4.0)}, max_norm=1.0)
    >>> norm, clipped["w"]
    (5.0, array([0.6, 0. ]))
    """
    limit = checked_number("max_norm", max_norm, 0, above=True)
    leaves, put_back = _taken_apart(grads)
    if any(map(is_complex, leaves)):
        pairs, room = [*map(as_pairs, leaves)], None
        if out is not None:
            own = Structure(grads, "grads").leaves(out, "out")
            same = zip(own, leaves, pairs, strict=True)
            room = [pair if array is grad else as_pairs(array) for array, grad, pair in same]
        clipped, found = clip_by_global_norm(pairs, max_norm, out=room)
        if out is not None or clipped is pairs:
            return grads if out is None else out, found
        return put_back(_whole(leaves, clipped)), found
    into = None if out is None else _checked_out(grads, leaves, out)
    found = norm([_stepped(grad) for grad in leaves])
    if not math.isfinite(found):
        raise FloatingPointError(f"grads: expected a finite norm, got {found}")
    if into is not None:
        products = leaves if found <= limit else _products(leaves, limit, found, into)
        for own, product in zip(into, products, strict=True):
            if own is not product:
                np.copyto(own, product)
        return out, found
    if found <= limit:
        return grads, found
    return put_back(_products(leaves, limit, found)), found


def clip_by_value(grads: Any, max_value: float) -> Any:
    """Return the tree ``grads`` with each element brought into ``[-max_value, max_value]``.

    Arguments:
        grads: as for :func:`clip_by_global_norm`; only read.
        max_value: the largest magnitude, > 0.

    Raises ValueError for another ``max_value``. An element that is nan stays so. Of a complex element each part is
    limited.

    >>> import numpy as np, gdcore as gd
    >>> gd.clip_by_value([np.array([-3.0, 0.5])], max_value=1.0)
    [array([-1. ,  0.5])]
    """
    limit = checked_number("max_value", max_value, 0, above=True)
    leaves, put_back = _taken_apart(grads)
    clipped = [None if grad is None else _clipped(as_pairs(grad), limit) for grad in leaves]
    return put_back(_whole(leaves, clipped))


def _whole(grads: list[Any], pairs: list[Any]) -> list[Any]:
    """Return what was made of gradients, as complex numbers where they are."""
    return [as_complex(made) if is_complex(grad) else made for grad, made in zip(grads, pairs, strict=True)]


class Limits:
    """The limits on the gradients of a run: on each element, then on the global norm; None for no limit."""

    def __init__(self, max_norm: Any, max_value: Any) -> None:
        self.max_norm = checked_limit("max_norm", max_norm)
        self.max_value = checked_limit("max_value", max_value)

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


def _taken_apart(grads: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    leaves, put_back = take_apart(grads)
    for grad in leaves:
        if grad is not None and not (isinstance(grad, np.ndarray | np.generic) and grad.dtype.kind in "fc"):
            raise TypeError(f"grads: expected arrays of floats or complex numbers, got {describe(grad)}")
    return [np.asarray(grad) if isinstance(grad, np.complexfloating) else grad for grad in leaves], put_back


def _stepped(grad: Any) -> Any:
    """Return a gradient in a type that kernels know."""
    if grad is None or (type(grad) is np.ndarray and grad.dtype.isnative and grad.dtype.itemsize in {4, 8}):
        return grad
    return np.asarray(grad, np.float64) if grad.dtype.itemsize not in {4, 8} else np.asarray(grad, grad.dtype.type)


def _products(grads: list[Any], limit: float, found: float, into: list[Any] | None = None) -> list[Any]:
    """Return ``grad * (limit / found)`` of each, in arrays of ``into`` where kernels do it."""
    kernels = [type(grad) is np.ndarray and _stepped(grad) is grad for grad in grads]
    with np.errstate(under="ignore"):
        products = [
            (np.empty_like(grad) if into is None else into[i])
            if known
            else None
            if grad is None
            else _scaled(grad, limit, found)
            for i, (grad, known) in enumerate(zip(grads, kernels, strict=True))
        ]
    written = [product if known else None for product, known in zip(products, kernels, strict=True)]
    multiply(written, grads, limit, found)
    return products


def _checked_out(grads: Any, leaves: list[Any], out: Any) -> list[Any]:
    """Return the leaves of ``out``, None where a gradient is, if they can be written."""
    structure = Structure(grads, "grads")
    into = list(structure.leaves(out, "out"))
    wheres = [f"out{label}" for label in structure.labels]
    present = [i for i, grad in enumerate(leaves) if grad is not None]
    for i in present:
        check_writable(wheres[i], into[i])
        check_like(wheres[i], into[i], np.asarray(leaves[i]))
    own = {id(into[i]) for i in present if into[i] is leaves[i]}
    read = {id(leaves[i]): i for i in present if id(leaves[i]) not in own}.values()
    check_disjoint(
        [f"grads{structure.labels[i]}" for i in read] + [wheres[i] for i in present],
        [np.asarray(leaves[i]) for i in read] + [into[i] for i in present],
    )
    return [None if grad is None else own for own, grad in zip(into, leaves, strict=True)]


def _scaled(grad: Array, limit: float, norm: float) -> Any:
    """Return ``grad * (limit / norm)``, also where that factor is below the range of the dtype."""
    if grad.dtype.itemsize in {4, 8}:
        return scale(grad, limit, norm)[()]
    factor = limit / norm
    if factor >= np.finfo(grad.dtype).tiny:
        return grad * grad.dtype.type(factor)
    return (np.divide(grad, norm, dtype=np.float64) * limit).astype(grad.dtype)


def _clipped(grad: Array, limit: float) -> Any:
    limit = min(limit, float(np.finfo(grad.dtype).max))
    return np.clip(grad, -limit, limit)


for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
