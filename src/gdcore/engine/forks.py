"""A fork copies memory as it stands: it waits until no other thread is in a step."""

import os
from typing import Any
from weakref import WeakSet

engines: "WeakSet[Any]" = WeakSet()
"""All that there are in this process."""

_held: list[Any] = []


def _before_fork() -> None:
    """Wait for the steps that other threads are in, and keep others from beginning."""
    _held.extend([engine for engine in list(engines) if engine.hold()])


def _after_fork() -> None:
    """Let steps begin again, in the parent and in the child."""
    while _held:
        _held.pop().let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
