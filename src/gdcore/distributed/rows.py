"""Gradients by rows over ranks: every rank hears of the rows of all, and steps what it owns of them."""

from collections.abc import Container, Mapping, Sequence

import numpy as np

from ..arguments import Array
from ..engine import each_once
from ..rows import Rows
from .launch import Comm
from .partition import Bucket, Segment


def weightless(grad: Array | Rows | None) -> Array | Rows | None:
    """Return the gradient of the same parameter that adds nothing."""
    if isinstance(grad, Rows):
        return Rows(grad.index[:0], grad.values[:0], grad.length)
    return None if grad is None else np.zeros_like(grad)


def mean_rows(comm: Comm, own: Mapping[int, Rows], weight: float) -> dict[int, Rows]:
    """Return the average of the gradients by rows of all ranks, by parameter, each row once. Collective.

    The rows of ranks are summed in the order of these; a rank without a row adds nothing to it, and one of weight 0
    has none. ``own`` are this rank's, of the same parameters on all, with each row once.
    """
    if not own:
        return {}
    if weight == 0:
        own = {leaf: Rows(rows.index[:0], rows.values[:0], rows.length) for leaf, rows in own.items()}
    elif weight != 1:
        own = {leaf: Rows(rows.index, rows.values * weight, rows.length) for leaf, rows in own.items()}
    of_ranks = comm.allgather([(rows.index, rows.values) for rows in own.values()])
    means = {}
    for (leaf, rows), of_leaf in zip(own.items(), zip(*of_ranks, strict=True), strict=True):
        indices, values = zip(*of_leaf, strict=True)
        index, sums = each_once(np.concatenate(indices), np.concatenate(values))
        sums /= len(of_ranks)
        means[leaf] = Rows(index, sums, rows.length)
    return means


def elements(rows: Rows, param: Array) -> tuple[Array, Array]:
    """Return which elements of a contiguous parameter rows are, as they lie in its memory, and their values."""
    width, count = param.size // max(len(param), 1), len(rows.index)
    if param.flags.c_contiguous:
        return (rows.index[:, None] * width + np.arange(width)).reshape(-1), rows.values.reshape(-1)
    places = np.arange(width)[:, None] * len(param) + rows.index
    return places.reshape(-1), rows.values.T.reshape(width * count)


def between(places: Array, segment: Segment) -> Array:
    """Return those of some elements of a parameter, in rising order, that lie in a segment."""
    low, high = np.searchsorted(places, (segment.start, segment.stop))
    return places[low:high]


def of_segment(places: Array, values: Array, segment: Segment) -> Rows:
    """Return the gradient of a segment, given the elements of its parameter that have one."""
    low, high = np.searchsorted(places, (segment.start, segment.stop))
    return Rows(places[low:high] - segment.start, values[low:high], segment.stop - segment.start)


def buckets_of(buckets: Sequence[Bucket], leaves: Container[int]) -> frozenset[int]:
    """Return which buckets have elements of these parameters alone."""
    return frozenset(
        index
        for index, bucket in enumerate(buckets)
        if all(segment.leaf in leaves for segments in bucket.segments for segment in segments)
    )
