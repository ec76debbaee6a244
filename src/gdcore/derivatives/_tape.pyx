"""The tape: which gates a function went through, and the walk back along them.

Each derivative in progress has a tape of its own, on which each gate leaves a :class:`Node`: where the gradient by
its arguments goes, and what takes it there: for the usual gates one of the ways of _ways.pxd, with the operands
it needs; for the others a pull for each argument. The backward pass, in _back.pyx, is one loop over the tape, last
gate first. Nodes know nodes and plain values, never traced values of their own tape, so that there are no cycles,
and all is freed as the walk goes.
"""

cimport cython
cimport numpy as cnp

from ._scalars cimport combined, cut, number_of
from ._ways cimport ADD, INDEX

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

cnp.import_array()

Pull = Callable[[Any], Any]
"""Takes the gradient by a gate's result to the gradient by one of its arguments."""

cdef object _levels = count()
cdef object _lock = threading.Lock()
cdef object float32 = np.float32, float64 = np.float64, ndarray = np.ndarray
cdef object np_add = np.add


@cython.final
cdef class Tape:
    """The gates of one derivative in progress, in the order in which they ran.

    ``foreign`` says whether a gate of a user is on the tape, whose pulls may return an array that something else
    holds.
    """

    def __cinit__(self):
        with _lock:  # itertools.count is no atomic operation in a free-threaded Python
            self.level = next(_levels)
        self.nodes = []
        self.foreign = False

    cdef int put(self, Node node) except -1:
        if self.closed:
            raise RuntimeError(
                "traced value: used after the derivative it belongs to was done; return what you need from the "
                "function"
            )
        self.nodes.append(node)
        return 0

    @property
    def is_open(self):
        """Whether the derivative is still in progress."""
        return not self.closed

    def append(self, Node node not None):
        """Put a node on the tape."""
        self.put(node)

    def take(self):
        """Close the tape and return its nodes, along which gradients can be carried back again and again."""
        self.closed = True
        nodes, self.nodes = self.nodes, []
        return nodes

    def close(self):
        """Let go of everything, also where a traced value has escaped."""
        self.closed = True
        while self.nodes:
            (<Node> self.nodes.pop()).let_go()


@cython.final
@cython.no_gc  # what a node holds lets go of it when its tape is closed, in any case
@cython.freelist(512)
cdef class Node:
    """A gate on the tape, or an input: the gradient by it so far, and the ways back from it.

    ``links`` are pairs of a node and the pull to it. ``owned`` says whether ``grad`` is an array made here, so that
    more can be added in place.
    """

    def __init__(self, gate, tuple links):
        self.gate = gate
        self.links = links

    cpdef int let_go(self) except -1:
        self.a = self.b = None
        self.x = self.y = None
        self.links = ()
        return 0

    @property
    def operands(self):
        """The nodes of the arguments that a way goes back to, None for none, and the index of a look-up or None."""
        return self.a, self.b, self.x if self.way == INDEX else None

    @property
    def grad(self):
        """The gradient so far, or None."""
        return number_of(self.total, self.single) if self.met else self.gradient

    @grad.setter
    def grad(self, object value):
        self.met = self.owned = False
        self.gradient = value


cdef int add_number(Node node, double d) except -1:
    # To the gradient by a scalar.
    if node.gradient is not None:
        return add(node, number_of(d, node.single), True)
    if not node.number:
        node.gradient = number_of(d, False)
        return 0
    d = cut(d, node.single)
    node.total = cut(node.total + d, node.single) if node.met else d
    node.met = True
    return 0


cdef int add(Node node, object d, bint fresh) except -1:
    # Adds a part to the gradient by a node. Nobody else holds a fresh one.
    cdef object total
    if node.number and node.gradient is None and (type(d) is float64 or type(d) is float32):
        return add_number(node, <double> d)
    if node.number and type(d) is ndarray:
        d = d.astype(float32 if node.single else float64, copy=False)  # as cut() does with a number
    total = node.gradient
    if node.met:
        total = number_of(node.total, node.single)
        node.met = False
    if total is None:
        node.gradient = d
        node.owned = fresh and type(d) is ndarray
    elif node.owned and type(d) is ndarray and cnp.PyArray_SAMESHAPE(<cnp.ndarray> total, <cnp.ndarray> d):
        if combined(ADD, total, d, total) is None:
            np_add(total, d, total)
    elif fresh and of_one_kind(total, d):
        if combined(ADD, d, total, d) is None:
            np_add(total, d, d)
        node.gradient, node.owned = d, True
    else:
        made = combined(ADD, total, d, None)
        node.gradient = total + d if made is None else made
        node.owned = type(node.gradient) is ndarray
    return 0


cdef bint of_one_kind(object x, object y) noexcept:
    # Whether they are arrays of one shape and dtype.
    return (
        type(x) is ndarray and type(y) is ndarray
        and cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.PyArray_TYPE(<cnp.ndarray> y)
        and cnp.PyArray_SAMESHAPE(<cnp.ndarray> x, <cnp.ndarray> y)
    )
