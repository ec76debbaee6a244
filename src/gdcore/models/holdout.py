"""Which samples to hold out: drawn at random, of each class as large a part as of all."""

import numpy as np
from numpy.typing import NDArray

from ..arguments import Array


def held_out(rows: int, held: int, rng: np.random.Generator, classes: Array | None = None) -> NDArray[np.bool_]:
    """Return which of ``rows`` samples are held out: ``held`` of them, or fewer.

    With ``classes``, (rows,), each gives the part ``held / rows`` of its own, rounded down; what is still missing
    comes one each from the classes that the rounding cut most, the first of equal ones. The last sample of a class
    is never held out: a class of one sample is trained on.
    """
    order = rng.permutation(rows)
    chosen = np.zeros(rows, bool)
    if classes is None:
        chosen[order[:held]] = True
        return chosen
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    by_class = order[np.argsort(codes[order], kind="stable")]
    for samples, taken in zip(np.split(by_class, np.cumsum(counts)[:-1]), _parts(counts, held), strict=True):
        chosen[samples[:taken]] = True
    return chosen


def _parts(counts: Array, held: int) -> Array:
    """Return how many samples of each class are held out."""
    cut, total = held * counts, counts.sum()
    parts: Array = np.minimum(cut // total, counts - 1)
    by_rest = np.argsort(-(cut % total), kind="stable")
    while left := min(held, int((counts - 1).sum())) - int(parts.sum()):
        parts[by_rest[parts[by_rest] < counts[by_rest] - 1][:left]] += 1
    return parts
