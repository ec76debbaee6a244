"""What the ranks of a job agree on, and what they raise where they do not."""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Final

import numpy as np

Comm = Any
"""A communicator of mpi4py."""


DIGEST: Final = 16
"""Bytes in which ranks compare what they hold."""


FAILED: Final = "\0"
"""What the text of a rank that could not describe itself begins with."""


TOLD: Final = "(the other ranks have been told)"
"""The note of an error that other ranks raise too, or know of by a RankError."""


class RankError(RuntimeError):
    """The ranks disagree, or what another one did failed; its message is the same on all that raise it."""


def agree(comm: Comm, describe: Callable[[], Sequence[str]]) -> None:
    """Raise on all ranks unless ``describe()`` returns the same lines on all: who disagrees, and in what.

    If it raises on some rank, it raises there, and RankError on the others. Sends DIGEST bytes to each rank, and
    the lines only where they differ: ranks of whatever state come to an end.
    """
    failed = None
    try:
        lines = list(describe())
    except BaseException as error:  # a SystemExit too would leave the others waiting
        failed, lines = error, [f"{FAILED}{type(error).__name__}: {error}"]
    text = "\n".join(line.replace("\n", " ") for line in lines).encode()
    digests = np.empty((comm.Get_size(), DIGEST), np.uint8)
    comm.Allgather(np.frombuffer(blake2b(text, digest_size=DIGEST).digest(), np.uint8), digests)
    differ = bool((digests != digests[0]).any())
    texts = _all_texts(comm, text) if differ else []
    if failed is not None:
        if comm.Get_size() > 1:
            failed.add_note(TOLD)
        raise failed
    if differ:
        raise RankError(_difference(texts))


def _all_texts(comm: Comm, text: bytes) -> list[str]:
    lengths = np.empty(comm.Get_size(), np.int64)
    comm.Allgather(np.array([len(text)], np.int64), lengths)
    ends = list(accumulate(lengths.tolist()))
    starts = [0, *ends[:-1]]
    joined = np.empty(ends[-1], np.uint8)
    comm.Allgatherv(np.frombuffer(text, np.uint8), [joined, (lengths.tolist(), starts)])
    return [joined[start:end].tobytes().decode() for start, end in zip(starts, ends, strict=True)]


def _difference(texts: list[str]) -> str:
    for rank, text in enumerate(texts):
        if text.startswith(FAILED):
            return f"rank {rank}: {text.removeprefix(FAILED)}"
    common, _ = Counter(texts).most_common(1)[0]  # of equally many, the first rank's
    rank = next(rank for rank, text in enumerate(texts) if text != common)
    others = ", ".join(str(other) for other, text in enumerate(texts) if text == common)
    expected, got = common.split("\n"), texts[rank].split("\n")
    width = max(len(expected), len(got))
    pairs = zip(expected + ["nothing"] * width, got + ["nothing"] * width, strict=False)
    first, second = next(pair for pair in pairs if pair[0] != pair[1])
    return f"rank {rank}: expected {first}, as on rank{'s' if ',' in others else ''} {others}, got {second}"
