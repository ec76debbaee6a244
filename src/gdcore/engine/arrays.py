"""Which arrays a step may write: the slow, exact half of the engine's checks, and the words for what it refuses.

The engine itself tests what is quick to test in C, and turns here when an array is unusual.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NoReturn

import numpy as np

from ..arguments import describe

MAX_WORK = 100_000
"""Candidate solutions that NumPy may try before two interleaved arrays count as overlapping."""


def check_writable(where: str, array: Any) -> None:
    """Raise TypeError or ValueError unless a step can write ``array`` in place, and nothing beside it."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: expected a NumPy array of float32 or float64, got {describe(array)}")
    check_unmasked(where, array)
    array = np.asarray(array)  # what a subclass says of itself may be something else
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(
            f"{where}: expected float32 or float64, got {array.dtype}; convert it with .astype(np.float64)"
        )
    if not array.dtype.isnative:
        raise TypeError(
            f"{where}: expected native byte order, got {array.dtype.str}; "
            f"convert it with .astype(np.{array.dtype.name})"
        )
    if not array.flags.writeable:
        raise ValueError(f"{where}: expected a writeable array, got a read-only one; pass a copy")
    if not array.flags.aligned:
        raise ValueError(f"{where}: expected an aligned array, got a misaligned one; pass a copy")
    if array.size and overlaps_itself(array):
        raise ValueError(
            f"{where}: expected elements that share no memory, got strides {array.strides} "
            f"for shape {array.shape}; pass a copy"
        )


def check_unmasked(where: str, array: object) -> None:
    """Raise TypeError for a masked array: a step would go through the mask."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{where}: expected an array without a mask, got a masked one; fill it, or pass its .data")


def check_like(where: str, array: Any, param: np.ndarray[Any, Any]) -> None:
    """Raise TypeError or ValueError unless ``array`` is an array of the dtype and the shape of ``param``."""
    said = f"{where}: expected {describe(param)}, got {describe(array)}"
    if not isinstance(array, np.ndarray):
        raise TypeError(said)
    check_unmasked(where, array)
    array, param = np.asarray(array), np.asarray(param)
    said = f"{where}: expected {describe(param)}, got {describe(array)}"
    if array.dtype != param.dtype:
        raise TypeError(said if array.dtype.isnative else f"{said} in byte order {array.dtype.byteorder!r}")
    if array.shape != param.shape:
        raise ValueError(said)


def check_disjoint(wheres: list[str], arrays: list[np.ndarray[Any, Any]]) -> None:
    """Raise ValueError if two of the arrays share an element. Views that interleave without sharing pass."""
    given, arrays = arrays, [np.asarray(array) for array in arrays]
    bounds = [np.lib.array_utils.byte_bounds(array) for array in arrays]
    order = sorted((i for i, array in enumerate(arrays) if array.size), key=lambda i: bounds[i])
    for position, i in enumerate(order):
        for j in order[position + 1 :]:
            if bounds[j][0] >= bounds[i][1]:
                break  # and so does every later one
            if shares_memory(arrays[i], arrays[j]):
                first, second = sorted((i, j))
                refuse_overlap(wheres[second], wheres[first], given[first] is given[second])


def refuse_overlap(where: str, other: str, same: bool = False) -> NoReturn:
    """Raise the ValueError for an array that shares memory with another."""
    got = f"the same array as {other}" if same else f"memory that overlaps {other}"
    raise ValueError(f"{where}: expected memory of its own, got {got}")


def check_among(labels: Sequence[str], arrays: Sequence[Any], leaves: Sequence[Any]) -> None:
    """Raise ValueError unless each array is one of the leaves, or shares memory with one, as their views do.

    Memory is compared by its bounds. ``labels`` are those of the arrays in their tree.
    """
    known = set(map(id, leaves))
    others = [(label, array) for label, array in zip(labels, arrays, strict=True) if id(array) not in known]
    if not others:
        return
    bounds = sorted(
        np.lib.array_utils.byte_bounds(leaf) for leaf in leaves if isinstance(leaf, np.ndarray) and leaf.size
    )
    reach = list(accumulate((high for _, high in bounds), max))
    for label, array in others:
        low, high = np.lib.array_utils.byte_bounds(array)
        index = bisect_left(bounds, (high,)) - 1  # the last that begins before the end
        if array.size and (index < 0 or reach[index] <= low):
            refuse_replaced(label)


def check_same_memory(label: str, array: Any, now: Any) -> None:
    """Raise ValueError unless what is now in the place of an array is a view of all of it."""
    if not isinstance(now, np.ndarray) or any(
        array.__array_interface__[name] != now.__array_interface__[name] for name in ("data", "shape", "strides")
    ):
        refuse_replaced(label)


def refuse_replaced(label: str) -> NoReturn:
    """Raise the ValueError for an array that is no longer where the optimizer's was."""
    raise ValueError(
        f"params{label}: expected the array that the optimizer was made for, got another in its place, which it "
        f"does not step; write p{label}[...] = values to give an array new values, or make a new optimizer"
    )


def shares_memory(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Return whether two arrays share an element; True too where NumPy cannot tell in reasonable time."""
    try:
        return np.shares_memory(a, b, max_work=MAX_WORK)  # type: ignore[arg-type]  # NumPy's stub knows only -1 and 0
    except np.exceptions.TooHardError:
        return True


def overlaps_itself(array: np.ndarray[Any, Any]) -> bool:
    """Return whether two indices may reach the same memory.

    Exact for every view that slicing and transposing a dense array can make; errs on the safe side otherwise.
    """
    reach = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (length - 1)
    return False


def arena_in(memory: Any, size: int, params: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return ``size`` zeroed bytes of the buffer that ``memory(size)`` returns. Raises TypeError or ValueError."""
    if not callable(memory):
        raise TypeError(f"memory: expected a function of a number of bytes, got {type(memory).__name__}")
    buffer = memory(size)
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(f"memory: expected it to return a buffer, got {type(buffer).__name__}") from None
    if view.readonly or not view.c_contiguous:
        raise ValueError("memory: expected a writeable, contiguous buffer, got another")
    if view.nbytes < size:
        raise ValueError(f"memory: expected a buffer of {size} bytes or more, got {view.nbytes}")
    arena = np.frombuffer(buffer, np.uint8, size)
    check_disjoint(["params"] * len(params) + ["memory"], [*params, arena])
    arena[...] = 0
    return arena
