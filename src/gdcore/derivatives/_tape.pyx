"""The tape: which gates a function went through, and the walk back along them.

Each derivative in progress has a tape of its own, on which each gate leaves a :class:`Node`: where the gradient by
its arguments goes, and what takes it there: for the usual gates one of the ways in :func:`back`, with the operands
it needs; for the others a pull for each argument. The backward pass is one loop over the tape, last gate first.
Nodes know nodes and plain values, never traced values of their own tape, so that there are no cycles, and all is
freed as the walk goes.
"""

cimport cython
cimport numpy as cnp

from ._scalars cimport apply, cut, number_of, power
from ._ways cimport (
    ADD, COS, DIVIDE, EXP, INDEX, LOG, MATMUL, MULTIPLY, NEGATIVE, POWER, PULLS, SAME, SIN, SQRT, SQUARE, SUBTRACT,
    TANH, TOTAL, Way,
)

import threading
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from typing import Any

import numpy as np

cnp.import_array()

Pull = Callable[[Any], Any]
"""Takes the gradient by a gate's result to the gradient by one of its arguments."""

cdef object NOTHING = nullcontext()
cdef object _levels = count()
cdef object _lock = threading.Lock()
cdef object float32 = np.float32, float64 = np.float64, ndarray = np.ndarray
cdef object np_cos = np.cos, np_sin = np.sin, np_add = np.add, np_multiply = np.multiply, np_add_at = np.add.at
cdef object np_full = np.full, np_zeros = np.zeros, np_stack = np.stack


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
    total = node.gradient
    if node.met:
        total = number_of(node.total, node.single)
        node.met = False
    if total is None:
        node.gradient = d
        node.owned = fresh and type(d) is ndarray
    elif node.owned and type(d) is ndarray and cnp.PyArray_SAMESHAPE(<cnp.ndarray> total, <cnp.ndarray> d):
        np_add(total, d, total)
    else:
        node.gradient = total + d
        node.owned = type(node.gradient) is ndarray
    return 0


cdef int give(Node node, object d, tuple bend, bint fresh) except -1:
    # The same, after what a broadcast argument, or one of another dtype, asks for.
    if bend is not None:
        axes, kept, shape, dtype = bend
        if axes is not None:
            d = np_add.reduce(d, axes) if type(d) is ndarray else d.sum(axis=axes)
            if kept is not None:
                d = d.reshape(d.shape[: d.ndim - kept] + shape)
            fresh = True
        if dtype is not None:
            d = d.astype(dtype)
            fresh = True
    return add(node, d, fresh)


cdef int scalar_back(Node node, double g) except -1:
    # The ways back for numbers. The formulas are those of back().
    cdef double p = node.p, q = node.q, r = node.r, da = g, db = g
    cdef bint single = node.single
    cdef Way way = node.way
    if way == MULTIPLY:
        da, db = cut(g * q, single), cut(g * p, single)
    elif way == SUBTRACT:
        db = -g
    elif way == DIVIDE:
        da, db = cut(g / q, single), cut(-g * cut(r / q, single), single)
    elif way == NEGATIVE:
        da = -g
    elif way == SQUARE:
        da = cut(g * cut(2 * p, single), single)
    elif way == POWER:
        da = cut(2 * p, single) if q == 2 else cut(q * power(p, cut(q - 1, single) if q else 0, single), single)
        da = cut(g * da, single)
    elif way == EXP:
        da = cut(g * r, single)
    elif way == LOG:
        da = cut(g / p, single)
    elif way == SQRT:
        da = cut(g * cut(0.5 / r, single), single)
    elif way == SIN:
        da = cut(g * apply(COS, p, single), single)
    elif way == COS:
        da = cut(-g * apply(SIN, p, single), single)
    elif way == TANH:
        da = cut(g * cut(1 - cut(r * r, single), single), single)
    if node.a is not None:
        add_number(node.a, da)
    if node.b is not None:
        add_number(node.b, db)
    return 0


cdef int back(Node node, object g, bint fresh, bint stacked) except -1:
    # Carries the gradient by a gate's result to its arguments. Of the operands, x and y, or p and q, and of the
    # result, r, the node holds what its way needs.
    cdef Way way = node.way
    cdef object x = node.x, y = node.y, r
    if way == PULLS:
        return pull_back(node, g, stacked)
    if node.scalar:
        x, y, r = number_of(node.p, node.single), number_of(node.q, node.single), number_of(node.r, node.single)
    else:
        r = x  # a way that needs the result needs no operand, but for the quotient's
    fresh = fresh and (node.a is None or node.b is None)
    if way == ADD or way == SAME:
        if node.a is not None:
            give(node.a, g, node.bend_a, fresh)
        if node.b is not None:
            give(node.b, g, node.bend_b, fresh)
    elif way == SUBTRACT:
        if node.a is not None:
            give(node.a, g, node.bend_a, fresh)
        if node.b is not None:
            give(node.b, -g, node.bend_b, True)
    elif way == MULTIPLY:
        if node.a is not None:
            give(node.a, times(g, y, fresh), node.bend_a, True)
        if node.b is not None:
            give(node.b, times(g, x, fresh), node.bend_b, True)
    elif way == DIVIDE:
        if node.a is not None:
            give(node.a, g / y, node.bend_a, True)
        if node.b is not None:
            give(node.b, -g * (r / y), node.bend_b, True)
    elif way == MATMUL:
        if node.a is not None:
            give(node.a, g @ y.T, node.bend_a, True)
        if node.b is not None:
            give(node.b, x.T @ g, node.bend_b, True)
    elif way == INDEX:
        index_back(node, g, stacked)
    elif way == TOTAL:
        total_back(node, g, stacked)
    elif way == NEGATIVE:
        give(node.a, -g, node.bend_a, True)
    elif way == SQUARE:
        give(node.a, times(g, 2 * x, fresh), node.bend_a, True)
    elif way == POWER:
        # y is a number of Python's.
        give(node.a, times(g, 2 * x if y == 2 else y * x ** (y - 1 if y else 0), fresh), node.bend_a, True)
    elif way == EXP:
        give(node.a, times(g, r, fresh), node.bend_a, True)
    elif way == LOG:
        give(node.a, g / x, node.bend_a, True)
    elif way == SQRT:
        give(node.a, times(g, 0.5 / r, fresh), node.bend_a, True)
    elif way == SIN:
        give(node.a, times(g, np_cos(x), fresh), node.bend_a, True)
    elif way == COS:
        give(node.a, times(-g, np_sin(x), True), node.bend_a, True)
    elif way == TANH:
        give(node.a, times(g, 1 - r * r, fresh), node.bend_a, True)
    return 0


cdef object times(object g, object factor, bint fresh):
    # g * factor, in the memory of g if that is ours and suits.
    if (
        fresh and type(g) is ndarray and type(factor) is ndarray
        and cnp.PyArray_TYPE(<cnp.ndarray> g) == cnp.PyArray_TYPE(<cnp.ndarray> factor)
        and cnp.PyArray_SAMESHAPE(<cnp.ndarray> g, <cnp.ndarray> factor)
    ):
        return np_multiply(g, factor, g)
    return g * factor


cdef int pull_back(Node node, object g, bint stacked) except -1:
    cdef bint apart = stacked and not node.gate.stacks if node.links else False
    for parent, pull in node.links:
        add(parent, np_stack([pull(row) for row in g]) if apart else pull(g), False)
    return 0


cdef object pull_of_index = None


def let_index_pull(function):
    """Take what makes a pull, given the shape indexed, the number of axes that came out, and the index."""
    global pull_of_index
    pull_of_index = function


cdef int index_back(Node node, object g, bint stacked) except -1:
    # x is the index, y the shape indexed, the number of axes of what came out, and whether an element may be named
    # twice. Many indices into one array share the memory of its gradient.
    cdef Node a = node.a
    shape, ndim, repeated = node.y
    if stacked or not (type(g) is ndarray or type(g) is float64 or type(g) is float32):
        return add(a, pull_of_index(shape, ndim, node.x)(g), False)
    if not a.owned or type(a.gradient) is not ndarray:
        whole = np_zeros(shape, g.dtype)
        if repeated:
            np_add_at(whole, node.x, g)
        else:
            whole[node.x] = g
        return add(a, whole, True)
    if repeated:
        np_add_at(a.gradient, node.x, g)
    else:
        a.gradient[node.x] += g
    return 0


cdef int total_back(Node node, object g, bint stacked) except -1:
    # x is the number that the sum was divided by, or None; y is the shape that was summed.
    cdef Node a = node.a
    shape = node.y
    if node.x is not None:
        g = g / node.x
    if stacked or not (type(g) is float64 or type(g) is float32):
        ndim = len(shape)
        g = g.reshape(g.shape + (1,) * ndim)
        return add(a, np.broadcast_to(g, g.shape[: g.ndim - ndim] + shape), False)
    if a.owned and type(a.gradient) is ndarray:
        np_add(a.gradient, g, a.gradient)
        return 0
    return add(a, np_full(shape, g, g.dtype), True)


def underflow_ignored():
    """Return the context in which underflow does not raise: on the way back it changes no result."""
    # As a rule it is ignored anyway, and asking takes less time than setting.
    return NOTHING if np.geterr()["under"] == "ignore" else np.errstate(under="ignore")


def slope(list nodes, Node start not None, object seed, object ends):
    """Return the sum of what ``seed`` at ``start`` pulls back to at the nodes that ``ends`` names; None for zero.

    They lie on a tape that is still being written, and none has a gradient yet, nor has when this is done.
    """
    cdef Node node, parent
    cdef list met = []
    found = None
    start.grad = seed
    for node in reversed(nodes):
        g = node.grad
        if g is None:
            continue
        node.grad = None
        if ends(node) and g.shape == seed.shape:
            found = g if found is None else found + g
            continue
        met += [node.a, node.b, *(parent for parent, _ in node.links or ())]
        back(node, g, False, False)
    for parent in met:
        if parent is not None:
            parent.grad = None
    return found


def walk_back(list nodes):
    """Carry the gradient from each node to the nodes before it, last node first, and take it off the tape."""
    cdef Node node
    cdef object g
    cdef bint fresh
    while nodes:
        node = <Node> nodes.pop()
        g = node.gradient
        if g is not None:
            fresh = node.owned
            node.gradient = None
            node.owned = False
            back(node, g, fresh, False)
        elif node.met:
            node.met = False
            if node.scalar:
                scalar_back(node, node.total)
            else:
                back(node, number_of(node.total, node.single), False, False)
        node.let_go()


def walk_back_again(object nodes, *, bint stacked):
    """Carry a gradient back, or a stack of them along a leading axis; the nodes stay, so that more can follow.

    Returns the size of the largest gradient on the way.
    """
    cdef Node node
    cdef object g
    cdef bint fresh
    cdef Py_ssize_t largest = 1
    for node in nodes:
        g = node.grad
        if g is None:
            continue
        fresh = node.owned
        node.grad = None
        largest = max(largest, <Py_ssize_t> g.size)
        back(node, g, fresh, stacked)
    return largest
