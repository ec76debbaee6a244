"""Which arrays share an element: exact, in time near linear in the number of arrays and of their elements.

Arrays whose extents are apart are told apart by sorting extents. Where extents meet, as those of the columns of a
matrix do, pairs are tested one by one while there are few for the number of arrays; else the runs of memory that
the arrays consist of are sorted: first modulo the stride that they have in common, which for columns leaves one
run each.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn

import numpy as np

Array = np.ndarray[Any, Any]
Addresses = np.ndarray[Any, np.dtype[np.int64]]
Runs = tuple[Addresses, Addresses]
"""Where runs of memory begin, and where they end."""

MAX_WORK = 100_000
"""Candidate solutions that NumPy may try before two interleaved arrays count as overlapping."""

PAIRS = 16
"""Pairs for each array that are tested one by one."""


def check_disjoint(wheres: Sequence[str], arrays: Sequence[Array]) -> None:
    """Raise ValueError if two of the arrays share an element. Views that interleave without sharing pass.

    No array may overlap itself.
    """
    plain = [np.asarray(array) for array in arrays]
    for group in _neighbours(plain):
        members = [plain[i] for i in group]
        if (pair := _first_pair(members)) is not None:
            first, second = sorted(group[position] for position in pair)
            refuse_overlap(wheres[second], wheres[first], arrays[first] is arrays[second])


def check_apart(arrays: Mapping[str, Array], others: Mapping[str, Array]) -> None:
    """Raise ValueError if one of the arrays shares an element with one of the others, which are disjoint.

    The keys are what errors call them.
    """
    names, plain = [*others, *arrays], [np.asarray(array) for array in (*others.values(), *arrays.values())]
    for group in _neighbours(plain):
        mine = [i for i in group if i >= len(others)]
        theirs = [i for i in group if i < len(others)]
        if mine and theirs and (pair := _meeting(plain, mine, theirs)) is not None:
            refuse_overlap(names[pair[0]], names[pair[1]])


def refuse_overlap(where: str, other: str, same: bool = False) -> NoReturn:
    """Raise the ValueError for an array that shares memory with another."""
    got = f"the same array as {other}" if same else f"memory that overlaps {other}"
    raise ValueError(f"{where}: expected memory of its own, got {got}")


def shares_memory(a: Array, b: Array) -> bool:
    """Return whether two arrays share an element; True too where NumPy cannot tell in reasonable time."""
    try:
        return np.shares_memory(a, b, max_work=MAX_WORK)  # type: ignore[arg-type]  # NumPy's stub knows only -1 and 0
    except np.exceptions.TooHardError:
        return True


def overlaps_itself(array: Array) -> bool:
    """Return whether two indices may reach the same memory.

    Exact for every view that slicing and transposing a dense array can make; errs on the safe side otherwise.
    """
    reach = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (length - 1)
    return False


def _neighbours(arrays: Sequence[Array]) -> Iterator[list[int]]:
    """Yield the indices of arrays whose extents hang together, in the order in which they begin."""
    filled = [i for i, array in enumerate(arrays) if array.size]
    bounds = np.array([np.lib.array_utils.byte_bounds(arrays[i]) for i in filled], np.int64).reshape(-1, 2)
    order = np.argsort(bounds[:, 0], kind="stable")
    begins, reach = bounds[order, 0], np.maximum.accumulate(bounds[order, 1])
    cuts = [0, *(1 + np.flatnonzero(begins[1:] >= reach[:-1])).tolist(), len(filled)]
    indices = order.tolist()
    for start, stop in pairwise(cuts):
        if stop > start + 1:
            yield [filled[i] for i in indices[start:stop]]


def _first_pair(arrays: Sequence[Array]) -> tuple[int, int] | None:
    """Return the places of two arrays that share an element. The arrays are sorted by where they begin."""
    bounds = np.array([np.lib.array_utils.byte_bounds(array) for array in arrays], np.int64)
    meets = np.searchsorted(bounds[:, 0], bounds[:, 1]).tolist()  # the first that begins behind the end of each
    if sum(meets) - len(arrays) * (len(arrays) + 1) // 2 <= PAIRS * len(arrays):
        pairs = ((i, j) for i, stop in enumerate(meets) for j in range(i + 1, stop))
        return next(((i, j) for i, j in pairs if shares_memory(arrays[i], arrays[j])), None)
    place = _shared_byte(arrays)
    if place is None:
        return None
    holders = _holders(arrays, range(len(arrays)), place)
    return next(holders), next(holders)


def _meeting(arrays: Sequence[Array], mine: Sequence[int], theirs: Sequence[int]) -> tuple[int, int] | None:
    """Return the index of one of mine and of one of theirs that share an element."""
    if len(mine) * len(theirs) <= PAIRS * (len(mine) + len(theirs)):
        pairs = ((i, j) for i in mine for j in theirs)
        return next(((i, j) for i, j in pairs if shares_memory(arrays[i], arrays[j])), None)
    place = _shared_byte([arrays[i] for i in mine], [arrays[i] for i in theirs])
    if place is None:
        return None
    return next(_holders(arrays, mine, place)), next(_holders(arrays, theirs, place))


class _Pattern(NamedTuple):
    """How an array lies in memory: a run of bytes, and what repeats it, as pairs (stride, times)."""

    begin: int
    length: int
    steps: list[tuple[int, int]]

    def modulo(self, stride: int) -> "_Pattern":
        """Return where the bytes lie modulo a stride, if they lie in one period of it but for what repeats them."""
        return _Pattern(self.begin % stride, self.length, [step for step in self.steps if step[0] % stride])

    @property
    def end(self) -> int:
        """The address behind the last run."""
        return self.begin + self.length + sum(stride * (n - 1) for stride, n in self.steps)


def _pattern(array: Array) -> _Pattern:
    begin, _ = np.lib.array_utils.byte_bounds(array)
    length = array.itemsize
    steps: list[tuple[int, int]] = []
    for stride, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if s and n > 1):
        if stride == length and not steps:
            length *= n
        else:
            steps.append((stride, n))
    return _Pattern(begin, length, steps[::-1])


def _shared_byte(*families: Sequence[Array]) -> int | None:
    """Return the address of a byte that two arrays of one family share, or, of two families, one array of each."""
    patterns = [[_pattern(array) for array in family] for family in families]
    stride = math.gcd(*(pattern.steps[0][0] for family in patterns for pattern in family if pattern.steps))
    if stride:
        folded = [[pattern.modulo(stride) for pattern in family] for family in patterns]
        if all(pattern.end <= stride for family in folded for pattern in family) and _twice(folded) is None:
            return None
    return _twice(patterns)


def _twice(families: Sequence[Sequence[_Pattern]]) -> int | None:
    """Return the address of a byte that is held twice.

    As many runs hold a byte as begin at or before it, less those that end there. If there are never two, the run
    that begins next is always the one that ends next.
    """
    runs = [_runs(family) for family in families]
    if len(runs) > 1:
        runs = [_union(*own) for own in runs]
    begins, ends = map(np.concatenate, zip(*runs, strict=True))
    begins.sort()
    ends.sort()
    shared = np.flatnonzero(ends[:-1] > begins[1:])
    return int(begins[1 + shared[0]]) if len(shared) else None


def _runs(patterns: Sequence[_Pattern]) -> Runs:
    """Return the runs of memory that patterns consist of."""
    counts = [math.prod(n for _, n in pattern.steps) for pattern in patterns]
    begins, ends = np.empty(sum(counts), np.int64), np.empty(sum(counts), np.int64)
    start = 0
    for (begin, length, steps), count in zip(patterns, counts, strict=True):
        own = begins[start : start + count].reshape([n for _, n in steps])
        own[...] = begin
        for axis, (stride, n) in enumerate(steps):
            own += (stride * np.arange(n)).reshape(-1, *[1] * (len(steps) - 1 - axis))
        np.add(begins[start : start + count], length, out=ends[start : start + count])
        start += count
    return begins, ends


def _union(begins: Addresses, ends: Addresses) -> Runs:
    """Return the fewest runs that hold the same bytes."""
    begins.sort()
    ends.sort()
    apart = begins[1:] > ends[:-1]
    return begins[np.append(True, apart)], ends[np.append(apart, True)]


def _holders(arrays: Sequence[Array], indices: Sequence[int], place: int) -> Iterator[int]:
    """Yield those of ``indices`` whose array has the byte at an address."""
    for i in indices:
        begins, ends = _runs([_pattern(arrays[i])])
        if np.any((begins <= place) & (place < ends)):
            yield i
