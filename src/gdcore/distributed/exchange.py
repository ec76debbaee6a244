"""What goes between the ranks in a step: gradients to their owners, and parameters back to everyone."""

import zlib
from collections.abc import Container, Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from ..arguments import Array
from .agreement import difference
from .launch import Comm, RankError
from .partition import Bucket

LANES: Final = 2
"""Buckets under way at once: one is exchanged while another is stepped."""

BUFFERS: Final = 2 * LANES
"""Buffers of the size of a bucket."""

NONE: Final[dict[np.dtype[Any], np.unsignedinteger[Any]]] = {
    np.dtype(np.float32): np.uint32(0x7FC06763),
    np.dtype(np.float64): np.uint64(0x7FF8000000006763),
}
"""The bits that a rank sends where it has no gradient: a NaN that no arithmetic makes."""


def flat(array: Array, like: Array) -> Any:
    """Return the elements of ``array`` in the order in which ``like``, of its shape, has them in memory.

    It is a view, or what can be sliced like one. ``like`` is contiguous, in C or Fortran order.
    """
    turned = np.asarray(array if like.flags.c_contiguous else array.T)
    return turned.reshape(-1) if turned.flags.c_contiguous else turned.flat


def weigh(grad: Any, weight: float, into: Array) -> None:
    """Write ``weight`` times a gradient, which it may be; 0 discards it, whatever is in it."""
    if weight == 0:
        into[...] = 0
    elif weight == 1:
        into[...] = grad
    else:
        np.multiply(grad, weight, out=into)


class Mean(NamedTuple):
    """The average of the gradients for one rank's part of a bucket; ``skipped`` are the segments without any."""

    values: Array
    skipped: Sequence[bool]


class _Lane:
    """Two buffers for a bucket, the gather that is under way in them, and the bucket it brings."""

    def __init__(self, nbytes: int) -> None:
        self._memory = np.empty((2, -(-nbytes // 8) * 8), np.uint8)  # whole elements, of either size
        self.request: Any = None
        self.bringing: Bucket | None = None

    def buffers(self, bucket: Bucket, rank: int, more: int = 0) -> tuple[Array, Array]:
        """Return one for a bucket, and one for what every rank sends to ``rank``: shape (ranks, its elements).

        Both have room for ``more`` elements behind those of each rank.
        """
        ranks, own = len(bucket.counts), bucket.counts[rank] + more
        whole, pieces = (memory.view(bucket.dtype) for memory in self._memory)
        return whole[: bucket.size + ranks * more], pieces[: ranks * own].reshape(ranks, own)


class Exchange:
    """The buckets of ``params``, flat and contiguous arrays, and the buffers in which they go between ranks.

    The sum over ranks is made here, in their order: that of an MPI library depends on the library, the size and the
    number of ranks. An all-to-all and a sum send what a reduce-scatter does. Behind the gradients for a rank
    goes the number of the call, so that no two steps are taken for one, mixed with which parameters have gradients
    by rows: these do not go through here. ``labels`` are what errors call the parameters.
    """

    def __init__(self, comm: Comm, buckets: list[Bucket], params: list[Any], labels: Sequence[str]) -> None:
        self._comm, self._buckets, self._params, self._labels = comm, buckets, params, labels
        self._rank, self._ranks = comm.Get_rank(), comm.Get_size()
        self._mine = [bucket.own(self._rank) for bucket in buckets]
        largest = max(((max(b.counts) + 1) * self._ranks * b.dtype.itemsize for b in buckets), default=0)
        self._lanes = [_Lane(largest) for _ in buckets[:LANES]]

    def means(
        self, grads: list[Any], weight: float, number: int, by_rows: Sequence[int], idle: Container[int]
    ) -> Iterator[Mean]:
        """Send the gradients of all buckets, and return the average for this rank's part of each in turn.

        It is in a buffer that is free again when the next is asked for, or when ``gather`` begins. The bucket
        behind it is on its way meanwhile. Raises ValueError where only some ranks have None for a parameter, and
        RankError where ranks give other numbers, or other parameters a gradient by rows: all know of that before
        the buckets that are ``idle`` from then on, as they have parameters by rows alone.
        """
        mixed = zlib.crc32(repr(by_rows).encode()) if by_rows else 0
        said = (number ^ mixed) % 2**32  # what the smallest element has room for
        for index in range(len(self._buckets) + 1):
            if index < len(self._buckets) and not (index >= LANES and index in idle):
                self._scatter(index, grads, weight, said)
            if index > LANES and index - 1 in idle:
                yield Mean(np.empty(0, self._buckets[index - 1].dtype), [True] * len(self._mine[index - 1]))
            elif index:
                yield self._mean(index - 1, said, number, by_rows)

    def gather(self, index: int) -> None:
        """Begin to bring everybody the parameters of bucket ``index`` from their owners."""
        bucket, lane = self._buckets[index], self._free(index)
        whole, pieces = lane.buffers(bucket, self._rank)
        for s in self._mine[index]:
            pieces[0, s.place] = self._params[s.leaf][s.part]
        lane.request = self._comm.Iallgatherv(pieces[0], [whole, (bucket.counts, bucket.starts)])
        lane.bringing = bucket

    def finish(self) -> None:
        """Wait for everything that is on its way to this rank."""
        for index in range(len(self._lanes)):
            self._free(index)

    def _free(self, index: int) -> _Lane:
        # The lane of a bucket, when the one before has arrived.
        lane = self._lanes[index % LANES]
        bucket, lane.bringing = lane.bringing, None
        if lane.request is not None:
            lane.request.Wait()
        if bucket is not None:
            whole, _ = lane.buffers(bucket, self._rank)
            for rank, segments in enumerate(bucket.segments):
                for s in segments if rank != self._rank else ():
                    self._params[s.leaf][s.part] = whole[s.place]
        return lane

    def _scatter(self, index: int, grads: list[Any], weight: float, said: int) -> None:
        bucket, lane = self._buckets[index], self._free(index)
        whole, pieces = lane.buffers(bucket, self._rank, 1)
        none = NONE[bucket.dtype]
        bits = whole.view(none.dtype)
        for rank, segments in enumerate(bucket.segments):
            for s in segments:
                grad, place = grads[s.leaf], slice(s.place.start + rank, s.place.stop + rank)
                if grad is None:
                    bits[place] = none
                else:
                    weigh(grad[s.part], weight, whole[place])
        counts = [count + 1 for count in bucket.counts]
        starts = [start + rank for rank, start in enumerate(bucket.starts)]
        bits[[start + count - 1 for start, count in zip(starts, counts, strict=True)]] = said
        own = counts[self._rank]
        lane.request = self._comm.Ialltoallv(
            [whole, (counts, starts)],
            [pieces, ([own] * self._ranks, [own * rank for rank in range(self._ranks)])],
        )

    def _mean(self, index: int, said: int, number: int, by_rows: Sequence[int]) -> Mean:
        bucket, lane = self._buckets[index], self._lanes[index % LANES]
        _, pieces = lane.buffers(bucket, self._rank, 1)
        lane.request.Wait()
        none, mine = NONE[bucket.dtype], self._mine[index]
        bits = pieces.view(none.dtype)
        if (bits[:, -1] != said).any():
            self.finish()
            self._refuse(number, by_rows)
        absent = bits[:, [s.at for s in mine]] == none
        for rank, which in np.argwhere(absent != absent[0])[:1]:
            expected, got = ("None", "a gradient") if absent[0, which] else ("a gradient", "None")
            self.finish()
            where = f"grads{self._labels[mine[which].leaf]}"
            raise ValueError(f"{where}: expected {expected} on rank {rank}, as on rank 0, got {got}")
        mean = pieces[0, :-1]
        for piece in pieces[1:, :-1]:
            mean += piece
        mean /= self._ranks
        return Mean(mean, absent[0].tolist())

    def _refuse(self, number: int, by_rows: Sequence[int]) -> NoReturn:
        """Raise the RankError for ranks that take other steps for this one; all of them have heard it."""
        labels = ", ".join(f"grads{self._labels[leaf]}" for leaf in by_rows)
        said = f"call {number} of step", f"{labels or 'no gradient'} by rows"
        raise RankError(difference(self._comm.allgather(said)))
