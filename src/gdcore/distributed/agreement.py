"""What the ranks of a job agree on, and what they raise where they do not."""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from .launch import Comm, RankError
from .waiting import TIMEOUT, Waiting

DIGEST: Final = 16
"""Bytes in which ranks compare what they hold."""

TOLD: Final = "(the other ranks have been told)"
"""The note of an error that other ranks raise too, or know of by a RankError."""


def agree(
    comm: Comm, lines_of: Callable[[], Sequence[str]], what: str = "an agreement", timeout: float | None = TIMEOUT
) -> None:
    """Raise on all ranks unless ``lines_of()`` returns the same lines on all: who disagrees, and in what.

    If it raises on some rank, it raises there, and RankError on the others. Sends DIGEST bytes to each rank, and
    the lines only where they differ: ranks of whatever state come to an end. ``what`` they are at, and the seconds
    that they wait for each other, are as for :class:`Waiting`.
    """
    failed: BaseException | None = None
    lines: list[str] = []
    with Waiting(comm, what, timeout):
        try:
            lines = [line.replace("\n", " ") for line in lines_of()]
        except BaseException as error:  # a SystemExit too would leave the others waiting
            failed = error
        fault = None if failed is None else f"{type(failed).__name__}: {failed}".replace("\n", " ")
        digest = blake2b(repr((what, fault, lines)).encode(), digest_size=DIGEST).digest()
        digests = np.empty((comm.Get_size(), DIGEST), np.uint8)
        comm.Allgather(np.frombuffer(digest, np.uint8), digests)
        differ = bool((digests != digests[0]).any())
        said = comm.allgather((fault, (what, *lines))) if differ else []
    if failed is not None:
        if comm.Get_size() > 1:
            failed.add_note(TOLD)
        raise failed
    for rank, (other, _) in enumerate(said):
        if other is not None:
            raise RankError(f"rank {rank}: {other}")
    if differ:
        raise RankError(difference([each for _, each in said]))


def difference(said: Sequence[Sequence[str]]) -> str:
    """Return the words for the first rank that says something else than most do, given the lines of each."""
    common, _ = Counter(map(tuple, said)).most_common(1)[0]  # of equally many, the first rank's
    rank = next(rank for rank, lines in enumerate(said) if tuple(lines) != common)
    others = ", ".join(str(other) for other, lines in enumerate(said) if tuple(lines) == common)
    expected, got = [*common], [*said[rank]]
    width = max(len(expected), len(got))
    pairs = zip(expected + ["nothing"] * width, got + ["nothing"] * width, strict=False)
    first, second = next(pair for pair in pairs if pair[0] != pair[1])
    return f"rank {rank}: expected {first}, as on rank{'s' if ',' in others else ''} {others}, got {second}"
