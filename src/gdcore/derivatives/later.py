"""Gates that are read when a function without one is met: those of SciPy's ufuncs, which need SciPy."""

import sys
import threading
from collections.abc import Callable
from typing import Any

from .refusals import name_of, no_gate

_readers: list[Callable[[], None]] = []
_lock = threading.Lock()


def let_read(reader: Callable[[], None]) -> None:
    """Let the gates of SciPy's ufuncs be registered by ``reader``, once."""
    _readers.append(reader)


def read_later() -> None:
    """Read the gates of SciPy's ufuncs, if there can be any and they have not been read."""
    if _readers and "scipy.special" in sys.modules:
        with _lock:
            while _readers:
                _readers[0]()
                _readers.pop(0)


def gate_read_later(gates: dict[Any, Any], function: Any) -> Any:
    """Return the gate of a function that has none so far; raise TypeError if it has none at all."""
    read_later()
    gate = gates.get(function)
    if gate is None:
        no_gate(name_of(function))
    return gate
