"""Lengths, which have a kink at 0: ``abs``, ``hypot``, ``norm``, ``std``; and what of them is smooth all the same.

At 0 the gradient of a length is 0, by convention. ``norm(w) ** 2`` is smooth there, and its Hessian is 2 I: its
gradient is ``g * w / n`` with ``g = 2 n``, of which nothing is left at 0 but the limit of ``g / n``. That is the
derivative of ``g`` by ``n``, which the tape knows of every function of ``n``.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .._back import slope
from .._tape import Node, Pull
from .._traced import Traced, real


def along(ans: Any, x: Any, grow: Callable[[Any], Any] = lambda g: g, factor: float = 1) -> Pull:
    """Return the pull of a length ``ans`` of ``x``: ``g * x / ans * factor``, where ``grow`` gives axes back."""
    zero = real(ans) == 0
    if not (zero.any() if zero.ndim else zero):
        return lambda g: grow(g) * (x / grow(ans) * factor if factor != 1 else x / grow(ans))
    unit = np.where(grow(zero), 0, x / grow(np.where(zero, 1, ans)) * factor)

    def pull(g: Any) -> Any:
        d = grow(g) * unit
        ratio = limit(g, ans, zero)
        return d if ratio is None else d + grow(ratio) * np.where(grow(zero), x * factor, 0)

    return pull


def limit(g: Any, ans: Any, zero: Any) -> Any:
    """Return the limit of ``g / ans`` where both are 0, and 0 elsewhere; None where no derivative can see it."""
    if type(g) is not Traced or type(ans) is not Traced or g.tape is not ans.tape:
        return None
    if g.ndim > np.ndim(zero):  # a stack of gradients
        parts = [limit(row, ans, zero) for row in g]
        missing = np.zeros(ans.shape, ans.dtype)
        return np.stack([missing if part is None else part for part in parts]) if parts else None
    at = zero & (real(g) == 0)
    if not np.any(at):
        return None
    length = ans.node
    parents = [parent for parent, _ in length.links]

    def same_length(node: Node) -> bool:
        return node is length or (node.gate is length.gate and [parent for parent, _ in node.links] == parents)

    def pulled(seed: Any) -> Any:
        found = slope(g.tape.nodes, g.node, seed.astype(ans.dtype)[()], same_length)
        return np.zeros(ans.shape, ans.dtype) if found is None else found

    return _diagonal(pulled, np.asarray(at))


def _diagonal(pulled: Callable[[Any], Any], at: Any) -> Any:
    """Return the diagonal of a Jacobian at some of its places, and 0 elsewhere, given what vectors pull back to."""
    whole = pulled(at) * at
    if at.size == 1:
        return whole
    # As a rule there is nothing beside the diagonal, which shows in what another vector pulls back to.
    weights = np.random.default_rng(0).uniform(0.5, 1.5, at.shape)
    other, expected = real(pulled(at * weights)), real(whole) * weights
    alone = np.isclose(other, expected, rtol=1e3 * np.finfo(expected.dtype).eps, atol=0) | ~at
    whole = whole * alone
    for place in np.argwhere(~alone):
        one = np.zeros(at.shape, expected.dtype)
        one[tuple(place)] = 1
        whole = whole + pulled(one) * one
    return whole


# Squares leave the range of the dtype long before the lengths do.


MODERATE: Final = {
    np.dtype(t): float(np.finfo(t).max) ** 0.25 for t in (np.float32, np.float64, np.complex64, np.complex128)
}


def moderate(x: Any) -> bool:
    """Return whether all elements are so far from 0 and infinity that a few of them can be multiplied."""
    most = MODERATE[x.dtype]
    if not x.ndim:
        return bool(1 / most < abs(x) < most)
    size = np.abs(x)
    return bool(np.all((size > 1 / most) & (size < most)))


def square_size(x: Any) -> Any:
    """Return the squares of the elements, of complex ones the squares of their lengths."""
    return np.square(x.real) + np.square(x.imag) if x.dtype.kind == "c" else np.square(x)


def power_of_two(x: Any, axis: Any) -> Any:
    """Return for the elements along ``axis`` the power of two by which their lengths can be worked out."""
    largest = np.max(np.abs(x), axis, keepdims=True, initial=0)
    one = largest.dtype.type(1)
    scale = np.ldexp(one, np.frexp(largest)[1] - 1)
    return np.where((largest > 0) & (largest < np.inf), scale, one)


def in_range(length: Callable[..., Any], x: Any, axis: Any, **options: Any) -> Any:
    """Return ``length(x, axis)``, of floats, also where its squares over- or underflow."""
    with np.errstate(over="ignore", under="ignore"):
        ans = length(x, axis, **options)
        if not moderate(ans) and x.any():
            scale = power_of_two(x, axis)
            ans = length(x / scale, axis, **options) * scale.reshape(ans.shape)
    return ans
