"""Batches that are read ahead by one thread, while the steps are made."""

from collections.abc import Generator
from contextvars import copy_context
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any


def ahead(batches: Generator[Any, None, None], depth: int) -> Generator[Any, None, None]:
    """Return the same batches, of which up to ``depth`` are read before they are asked for; 0 reads none."""
    return _ahead(batches, depth) if depth else batches


def _ahead(batches: Generator[Any, None, None], depth: int) -> Generator[Any, None, None]:
    ready: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    room = Semaphore(depth)
    over = False

    def read() -> None:
        failed: BaseException = StopIteration()
        try:
            while room.acquire() and not over:
                ready.put((next(batches), None))
        except BaseException as error:  # raised where the batch is asked for
            failed = error
        ready.put((None, failed))

    thread = Thread(target=copy_context().run, args=(read,), name="gdcore-ahead", daemon=True)
    thread.start()
    try:
        while True:
            batch, failed = ready.get()
            if isinstance(failed, StopIteration):
                return
            if failed is not None:
                raise failed
            room.release()
            yield batch
            del batch  # its memory may be used again
    finally:
        over = True
        room.release()
        thread.join()
