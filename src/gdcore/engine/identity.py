"""Whether the arrays that an optimizer steps are still those that the program uses."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NoReturn

import numpy as np

from ..arguments import Array, is_array
from ..tensors import borrowed


def check_among(labels: Sequence[str], arrays: Sequence[Array], leaves: Sequence[object]) -> None:
    """Raise ValueError unless each array is one of the leaves, or shares memory with one, as their views do.

    Memory is compared by its bounds. ``labels`` are those of the arrays in their tree.
    """
    leaves = [borrowed("params", leaf) for leaf in leaves]
    known = set(map(id, leaves))
    others = [(label, array) for label, array in zip(labels, arrays, strict=True) if id(array) not in known]
    if not others:
        return
    bounds = sorted(np.lib.array_utils.byte_bounds(leaf) for leaf in leaves if is_array(leaf) and leaf.size)
    reach = list(accumulate((high for _, high in bounds), max))
    for label, array in others:
        low, high = np.lib.array_utils.byte_bounds(array)
        index = bisect_left(bounds, (high,)) - 1  # the last that begins before the end
        if array.size and (index < 0 or reach[index] <= low):
            refuse_replaced(label)


def check_same_memory(label: str, array: Array, now: object) -> None:
    """Raise ValueError unless what is now in the place of an array is a view of all of it."""
    now = borrowed(f"params{label}", now)
    if not is_array(now) or any(
        array.__array_interface__[name] != now.__array_interface__[name] for name in ("data", "shape", "strides")
    ):
        refuse_replaced(label)


def refuse_changed(label: str) -> NoReturn:
    """Raise the ValueError for an array that is the optimizer's, and no longer what it was."""
    raise ValueError(
        f"params{label}: expected the array as it was when the optimizer was made, got one whose memory, shape or "
        f"dtype was changed since; make a new optimizer"
    )


def refuse_replaced(label: str) -> NoReturn:
    """Raise the ValueError for an array that is no longer where the optimizer's was."""
    raise ValueError(
        f"params{label}: expected the array that the optimizer was made for, got another in its place, which it "
        f"does not step; write p{label}[...] = values to give an array new values, or make a new optimizer"
    )
