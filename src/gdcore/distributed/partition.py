"""Who owns what: flat vectors of parameters, cut into one range a rank and into buckets. No MPI here.

Parameters of one kind (one dtype, the same state) are one flat vector, and rank r of N owns its elements from
``r * n // N`` to ``(r + 1) * n // N``. Bucket b holds slice b of every rank's range, so that in each bucket all
ranks have their part of the work.
"""

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np


class Segment(NamedTuple):
    """Elements ``start`` to ``stop`` of parameter ``leaf``, which lie in the bucket from ``at`` on."""

    leaf: int
    start: int
    stop: int
    at: int

    @property
    def place(self) -> slice:
        """Where the elements lie in the bucket."""
        return slice(self.at, self.at + self.stop - self.start)

    @property
    def part(self) -> slice:
        """Which elements of the parameter they are."""
        return slice(self.start, self.stop)


class Bucket(NamedTuple):
    """What goes over the network at once: ``counts[r]`` elements of rank r, from ``starts[r]`` on."""

    dtype: np.dtype[Any]
    counts: tuple[int, ...]
    starts: tuple[int, ...]
    segments: tuple[tuple[Segment, ...], ...]
    """Of each rank, in order."""

    @property
    def size(self) -> int:
        """The number of elements of all ranks."""
        return sum(self.counts)

    def own(self, rank: int) -> tuple[Segment, ...]:
        """Return the segments of ``rank``, as they lie in its own part."""
        return tuple(s._replace(at=s.at - self.starts[rank]) for s in self.segments[rank])


def cut(
    sizes: Sequence[int], kinds: Sequence[tuple[np.dtype[Any], Hashable]], ranks: int, nbytes: int
) -> list[Bucket]:
    """Return the buckets for parameters of the given sizes and kinds; a rank has at most ``nbytes`` of each.

    >>> import numpy as np
    >>> f = np.dtype(np.float32)
    >>> [bucket.counts for bucket in cut([7, 4], [(f, ""), (f, "")], 3, 8)]
    [(2, 2, 2), (1, 2, 2)]
    """
    buckets = []
    for kind in dict.fromkeys(kinds):
        leaves = [leaf for leaf, other in enumerate(kinds) if other == kind]
        offsets = [0, *accumulate(sizes[leaf] for leaf in leaves)]
        borders = [rank * offsets[-1] // ranks for rank in range(ranks + 1)]
        length = max(1, nbytes // kind[0].itemsize)
        longest = -(-offsets[-1] // ranks)
        for first in range(0, longest, length):
            begins = [min(low + first, high) for low, high in pairwise(borders)]
            ends = [min(low + first + length, high) for low, high in pairwise(borders)]
            counts = [end - begin for begin, end in zip(begins, ends, strict=True)]
            starts = [0, *accumulate(counts)]
            segments = [
                _segments(leaves, offsets, begin, end, at)
                for begin, end, at in zip(begins, ends, starts, strict=False)
            ]
            buckets.append(Bucket(kind[0], tuple(counts), tuple(starts[:-1]), tuple(segments)))
    return buckets


def _segments(leaves: list[int], offsets: list[int], begin: int, end: int, at: int) -> tuple[Segment, ...]:
    # The parameters that meet elements begin to end of the flat vector.
    found = []
    index = bisect_right(offsets, begin) - 1
    while begin < end:
        stop = min(end, offsets[index + 1])
        if begin < stop:
            found.append(Segment(leaves[index], begin - offsets[index], stop - offsets[index], at))
            at += stop - begin
            begin = stop
        index += 1
    return tuple(found)
