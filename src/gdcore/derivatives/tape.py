"""The tape: which gates a function went through, and the walk back along them.

Each derivative in progress has a tape of its own, on which each gate leaves a :class:`Node`: for each argument that
is traced, where its gradient goes and the pull that brings it there. The backward pass is one loop over the tape,
last gate first. Nodes know nodes and plain values, never traced values of their own tape, so that there are no
cycles, and all is freed as the walk goes.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any, NoReturn

import numpy as np

Pull = Callable[[Any], Any]
"""Takes the gradient by a gate's result to the gradient by one of its arguments."""

_levels = count()
_lock = threading.Lock()


class Tape:
    """The gates of one derivative in progress, in the order in which they ran."""

    __slots__ = ("append", "foreign", "level", "nodes")

    def __init__(self) -> None:
        with _lock:  # itertools.count is no atomic operation in a free-threaded Python
            self.level = next(_levels)
        self.nodes: list[Node] = []
        self.append = self.nodes.append
        self.foreign = False
        """Whether a gate of a user is on the tape, whose pulls may return an array that something else holds."""

    @property
    def is_open(self) -> bool:
        """Whether the derivative is still in progress."""
        return self.append is not _closed

    def close(self) -> None:
        """Let go of everything, also where a traced value has escaped."""
        self.append = _closed
        while self.nodes:
            self.nodes.pop().links = ()


class Node:
    """A gate on the tape, or an input: the gradient by it so far, and the ways back from it."""

    __slots__ = ("gate", "grad", "links", "owned")

    def __init__(self, gate: Any, links: tuple[tuple["Node", Pull], ...]) -> None:
        self.gate = gate
        self.links = links
        self.grad: Any = None
        self.owned = False
        """Whether ``grad`` is a sum made here, so that more can be added in place."""


_NOTHING = nullcontext()


def underflow_ignored() -> AbstractContextManager[Any]:
    """Return the context in which underflow does not raise: on the way back it changes no result."""
    # As a rule it is ignored anyway, and asking takes less time than setting.
    return _NOTHING if np.geterr()["under"] == "ignore" else np.errstate(under="ignore")


def _closed(_: Node) -> NoReturn:
    raise RuntimeError(
        "traced value: used after the derivative it belongs to was done; return what you need from the function"
    )


def walk_back(nodes: list[Node]) -> None:
    """Carry the gradient from each node to the nodes before it, last node first, and take it off the tape."""
    while nodes:
        node = nodes.pop()
        g = node.grad
        links = node.links
        node.links = ()
        if g is None:
            continue
        node.grad = None
        for parent, pull in links:
            if parent.grad is None:
                parent.grad = pull(g)
            else:
                add(parent, pull(g))


def slope(nodes: list[Node], start: Node, seed: Any, ends: Callable[[Node], bool]) -> Any:
    """Return the sum of what ``seed`` at ``start`` pulls back to at the nodes that ``ends`` names; None for zero.

    They lie on a tape that is still being written; nothing on it changes.
    """
    grads = {start: seed}
    found: Any = None
    for node in reversed(nodes):
        g = grads.pop(node, None)
        if g is None:
            continue
        if ends(node) and g.shape == seed.shape:
            found = g if found is None else found + g
            continue
        for parent, pull in node.links:
            d = pull(g)
            grads[parent] = grads[parent] + d if parent in grads else d
    return found


def walk_back_again(nodes: Iterable[Node], *, stacked: bool) -> int:
    """Carry a gradient back, or a stack of them along a leading axis; the nodes stay, so that more can follow.

    Returns the size of the largest gradient on the way.
    """
    largest = 1
    for node in nodes:
        g = node.grad
        if g is None:
            continue
        node.grad = None
        node.owned = False
        largest = max(largest, g.size)
        apart = stacked and not node.gate.stacks
        for parent, pull in node.links:
            add(parent, np.stack([pull(row) for row in g]) if apart else pull(g))
    return largest


def add(node: Node, d: Any) -> None:
    """Add a part to the gradient by a node."""
    total = node.grad
    if total is None:
        node.grad = d
    elif node.owned and type(total) is np.ndarray and type(d) is np.ndarray:
        np.add(total, d, out=total)
    else:
        node.grad = total + d
        node.owned = True
