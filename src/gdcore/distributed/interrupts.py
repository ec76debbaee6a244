"""Ctrl-C, where several ranks do together what none may leave half done."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended: what several ranks do together is done by all or by none."""
    came: list[Any] = []
    try:
        with handling_ctrl_c(lambda *args: came.append(args)) as handler:
            yield
    finally:
        if came:
            handler(*came[0])


@contextmanager
def handling_ctrl_c(handle: Callable[..., object]) -> Iterator[Any]:
    """Let ``handle`` see Ctrl-C within the block, where this thread can; give what sees it otherwise."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield handler
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield handler
    finally:
        signal.signal(signal.SIGINT, handler)
