"""The kernels of nets as functions of plain arrays, whatever their layout: they return new arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _door as door

takes = door.takes


def laid_out(x: Any) -> Any:
    """Return ``x``, of float32 or float64, as an array that kernels take."""
    return x if takes(x) else np.asarray(x, np.float32 if x.dtype.char == "f" else np.float64, order="C")


def floats(x: Any) -> Any:
    """Return ``x``, of any real numbers, as an array that kernels take: integers as float64."""
    if not takes(x):
        x = np.asarray(x)
        if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
            raise TypeError(f"x: expected real numbers of at most 64 bits, got {x.dtype}")
        x = np.asarray(x, np.float32 if x.dtype.char in "ef" else np.float64, order="C")
    return x


def elementwise(kind: str) -> Callable[[Any], Any]:
    """Return an activation as a function of real numbers."""

    def apply(x: Any) -> Any:
        z = floats(x)
        h = door.new_like(z)
        door.activate(kind, z, None, h)
        if getattr(x, "dtype", None) == np.float16:
            h = h.astype(np.float16)
        return h if h.ndim else h[()]

    return apply


_exp, _log = elementwise("exp"), elementwise("log")


def exp(x: Any) -> Any:
    """Return ``e^x``, with the same bits on every CPU; of what is traced by NumPy's gate."""
    return _exp(x) if isinstance(x, np.ndarray | np.floating) else np.exp(x)


def log(x: Any) -> Any:
    """Return the natural logarithm, as ``exp`` does."""
    return _log(x) if isinstance(x, np.ndarray | np.floating) else np.log(x)


def slope(kind: str, g: Any, kept: Any) -> Any:
    """Return the gradient by what an activation was given, of that by what it gave; None if not for kernels."""
    if type(g) is not np.ndarray or type(kept) is not np.ndarray or g.shape != kept.shape or g.dtype != kept.dtype:
        return None
    d = door.new_like(g)
    door.activate_back(kind, laid_out(g), laid_out(kept), d, None)
    return d


def rows(kind: str, x: Any, axis: int) -> Any:
    """Return the softmax along an axis, or ``"log_softmax"``."""
    z = floats(np.moveaxis(x, axis, -1) if axis not in {-1, np.ndim(x) - 1} else x)
    out = door.new_like(z)
    door.softmax(kind, z, out)
    if out.ndim and axis not in {-1, out.ndim - 1}:
        out = np.ascontiguousarray(np.moveaxis(out, -1, axis))
    return out.astype(np.float16) if getattr(x, "dtype", None) == np.float16 else out


def rows_back(kind: str, g: Any, ans: Any, axis: int) -> Any:
    """Return the gradient by what gave the softmax ``ans`` along a negative axis; None if not for kernels."""
    if type(g) is not np.ndarray or type(ans) is not np.ndarray or g.shape != ans.shape or g.dtype != ans.dtype:
        return None
    if axis != -1:
        return np.swapaxes(rows_back(kind, np.swapaxes(g, axis, -1), np.swapaxes(ans, axis, -1), -1), axis, -1)
    g, ans = laid_out(g), laid_out(ans)
    d = door.new_like(g)
    door.softmax_back(kind, g, ans, d)
    return d


def log_sum_exp(x: Any, axes: tuple[int, ...]) -> Any:
    """Return ``log(sum(e^x))`` over the axes, which are left with length 1."""
    x = np.asarray(x)
    axes = tuple(axis % x.ndim for axis in axes)
    others = [axis for axis in range(x.ndim) if axis not in axes]
    out = np.empty([x.shape[axis] for axis in others], floats(x[:0] if x.ndim else x).dtype)
    size = int(np.prod([x.shape[axis] for axis in axes]))
    if size:
        z = x.transpose([*others, *axes]).reshape(*out.shape, size)
        door.log_sum_exp(floats(z), out)
    else:
        out[...] = -np.inf
    return out.reshape([1 if axis in axes else length for axis, length in enumerate(x.shape)])
