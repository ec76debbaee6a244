"""What ends the job where a rank waits for one that does not come.

A rank that waits within MPI hears nothing, so a thread of it looks on. When the wait is long, it asks the threads
of the other ranks where they are: one that is stopped, gone, or at something else has not come, and never will.
"""

import atexit
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from .launch import Comm, end_job

TIMEOUT: Final = 300.0
"""Seconds that a rank waits for the others, if nobody says otherwise."""

GRACE: Final = 5.0
"""Seconds, at most, that it waits for their answers."""

TICK: Final = 0.1
"""Seconds from one look to the next."""

TAG: Final = 26723
"""Of the messages between the threads."""


class Waiting:
    """The block in which a rank does what all ranks of ``comm`` do together, and waits for them.

    ``what`` it is called is the same on all ranks. After ``timeout`` seconds in the block, None for any number, the
    job ends unless all ranks are in the same block, with a message that names those that are not.
    """

    def __init__(self, comm: Comm, what: str, timeout: float | None) -> None:
        self._comm, self._what, self._timeout = comm, what, timeout
        self._outer: Waiting | None = None
        self._asked = 0.0
        self._answers: dict[int, str] = {}
        self._alone = comm.Get_size() == 1

    def __enter__(self) -> None:
        if self._alone:
            return
        self._since = time.monotonic()
        thread = threading.get_ident()
        self._outer = _waits.get(thread)
        if id(self._comm) not in _letters:
            _letters[id(self._comm)] = _Letters(self._comm)
        _waits[thread] = self
        if not _lookers:
            _start()

    def __exit__(self, *_: object) -> None:
        if self._alone:
            return
        thread = threading.get_ident()
        with _lock:  # what looks on may be within MPI, which this thread may be about to end
            del _waits[thread]
            if self._outer is not None:
                self._outer._since = time.monotonic()
                _waits[thread] = self._outer

    def look(self) -> None:
        """See whether the wait is too long; ends the job if it is."""
        now = time.monotonic()
        timeout = self._timeout
        if now - self._since < (1.0 if timeout is None else min(1.0, timeout / 2)):
            return
        can_ask = _several_threads()
        if can_ask:
            self._hear()
        if timeout is None or now - self._since < timeout:
            return
        ranks, own = self._comm.Get_size(), self._comm.Get_rank()
        if can_ask and not self._asked:
            self._asked = now
            for rank in range(ranks):
                if rank != own:
                    self._send("?", rank)
        elif can_ask and [*self._answers.values()].count(self._what) == ranks - 1:
            self._since, self._asked, self._answers = now, 0.0, {}  # all are there: what they do takes long
        elif not can_ask or now - self._asked > min(GRACE, timeout):
            self._end(timeout)

    def _hear(self) -> None:
        while self._comm.Iprobe(tag=TAG):
            rank, kind, what = self._comm.recv(tag=TAG)
            _letters[id(self._comm)].received[rank] += 1
            if kind == "?":
                self._send("!", rank)
            elif self._asked:
                self._answers[rank] = what

    def _send(self, kind: str, rank: int) -> None:
        letters = _letters[id(self._comm)]
        letters.requests.append(self._comm.isend((self._comm.Get_rank(), kind, self._what), rank, TAG))
        letters.sent[rank] += 1

    def _absent(self) -> Iterator[str]:
        for rank in range(self._comm.Get_size()):
            if rank != self._comm.Get_rank() and self._answers.get(rank) != self._what:
                at = f"is at {self._answers[rank]}" if rank in self._answers else "does not answer"
                yield f"rank {rank} {at}"

    def _end(self, timeout: float) -> None:
        absent = "; ".join(self._absent()) if self._asked else "some rank has not come"
        said = (
            f"rank {self._comm.Get_rank()} of {self._comm.Get_size()} ends the job: waited for other ranks at "
            f"{self._what}, longer than timeout={timeout:g} s: {absent}\n"
        )
        with suppress(AttributeError, OSError):  # there is none, or nobody reads it
            # Other ranks than the first may have been told to be silent.
            sys.__stderr__.write(said)  # type: ignore[union-attr]
        end_job(1)


_waits: dict[int, Waiting] = {}
"""The innermost block that each thread is in."""

_lock = threading.Lock()
"""Held to look at a block, and to leave one."""

_lookers: list[threading.Thread] = []


class _Letters:
    """The messages of one communicator: how many went to each rank and came from it, and those under way."""

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self.sent: Counter[int] = Counter()
        self.received: Counter[int] = Counter()
        self.requests: list[Any] = []


_letters: dict[int, _Letters] = {}
"""By the id of the communicator, in the order of their first block, which is the same on all ranks."""

_ended = threading.Event()
"""That nobody looks on any more."""


def _several_threads() -> bool:
    # Whether this MPI lets another thread call it.
    from mpi4py import MPI  # noqa: PLC0415

    return bool(MPI.Query_thread() == MPI.THREAD_MULTIPLE)


def _start() -> None:
    _lookers.append(threading.Thread(target=_look_on, name="gdcore-ranks", daemon=True))
    _lookers[0].start()
    atexit.register(_receive_the_rest)


def _receive_the_rest() -> None:
    """Receive all that was sent: a question may come when its block has been left, and MPI must not end before.

    All ranks do it, when their programs end.
    """
    from mpi4py import MPI  # noqa: PLC0415

    _ended.set()
    _lookers[0].join()
    if MPI.Is_finalized():
        return
    for letters in _letters.values():
        comm = letters.comm
        if comm == MPI.COMM_NULL:
            continue
        coming = comm.alltoall([letters.sent[rank] for rank in range(comm.Get_size())])
        for rank, count in enumerate(coming):
            for _ in range(count - letters.received[rank]):
                comm.recv(source=rank, tag=TAG)
        MPI.Request.waitall(letters.requests)


def _look_on() -> None:
    while not _ended.wait(TICK):
        for thread, wait in [*_waits.items()]:
            with _lock:
                if _waits.get(thread) is wait:
                    wait.look()
