"""Where a derivative begins and ends, for the usual trees: arrays in, and their gradients out; and tangents.

Tangents go along the tape the other way, from the arguments of each gate to its result, by the ways of the tape. A
gate of another way has pulls alone. What they do to a gradient is linear in it, and made of gates; so they are
called with a traced gradient, and the way back along *that* tape takes tangents forth: J. Townsend (2017), "A new
trick for calculating Jacobian vector products".
"""

cimport cython
cimport numpy as cnp

from ._scalars cimport number_of
from ._tape cimport Node, Tape, add
from ._traced cimport Traced
from ._ways cimport (
    ACTIVATE, ADD, COS, DIVIDE, EXP, INDEX, LOG, MATMUL, MULTIPLY, NEGATIVE, POWER, PULLS, SCALE, SIN, SQRT,
    SQUARE, SUBTRACT, TANH, TOTAL, Way,
)

import numpy as np

from ..trees import take_apart as take_any_apart
from ._back import walk_back

cnp.import_array()

cdef object ndarray = np.ndarray
cdef tuple BRANCHES = (dict, list, tuple)


@cython.final
cdef class Dict:
    """Builds the dict of these keys."""

    cdef tuple keys

    def __call__(self, list others not None):
        return dict(zip(self.keys, others))


def take_apart(tree):
    """Return the leaves of a tree, and the function that puts others in their places."""
    cdef Dict whole
    cdef list leaves
    if type(tree) is not dict:
        return take_any_apart(tree)
    leaves = list((<dict> tree).values())
    for leaf in leaves:
        if isinstance(leaf, BRANCHES):
            return take_any_apart(tree)
    whole = Dict.__new__(Dict)
    whole.keys = tuple(tree)
    return leaves, whole


def begin(Tape tape not None, value):
    """Return the traced value of an input."""
    cdef Traced x = Traced(value, tape, Node(None, ()))
    x.node_.number, x.node_.single = x.is_number, x.single
    return x


def inputs_of(Tape tape not None, list leaves not None):
    """Return the traced values of arrays of float32 or float64 with axes, or None where a leaf is none."""
    cdef list inputs = []
    cdef Traced x
    cdef Node node
    for leaf in leaves:
        if (
            type(leaf) is not ndarray or not cnp.PyArray_NDIM(<cnp.ndarray> leaf)
            or not cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray> leaf)
            or cnp.PyArray_TYPE(<cnp.ndarray> leaf) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
        ):
            return None
        node = Node.__new__(Node)
        node.links = ()
        x = Traced.__new__(Traced)
        x.plain, x.tape_, x.node_ = leaf, tape, node
        inputs.append(x)
    return inputs


def gradients_of(list inputs not None):
    """Return the gradients by such values, each in memory of its own, or None where one is traced."""
    cdef list grads = []
    cdef Traced x
    cdef object g
    for x in inputs:
        g = x.node_.grad
        if g is None:
            g = np.zeros(x.shape, x.dtype)
        elif type(g) is not ndarray:
            return None
        # What the pulls of gdcore's gates return is either new or a view: of g, which two of them may share.
        elif (
            cnp.PyArray_BASE(<cnp.ndarray> g) is not NULL or not cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> g)
            or any_is(grads, g)
        ):
            g = np.array(g, order="C")
        grads.append(g)
    return grads


cdef bint any_is(list items, object x) noexcept:
    for item in items:
        if item is x:
            return True
    return False


cdef object LIVE = object()


def carry_forth(list nodes not None, list ends not None, list begins not None, list vectors not None):
    """Carry tangents from the inputs, ``begins``, to the results, ``ends``, where they are found as gradients."""
    cdef Node node, parent
    cdef object tangent
    for node in ends:
        node.grad = LIVE  # what no result depends on may be what cannot be worked out
    for node in reversed(nodes):
        if node.gradient is LIVE:
            for parent in (node.a, node.b, *[parent for parent, _ in node.links or ()]):
                if parent is not None:
                    parent.gradient = LIVE
    for node, tangent in zip(begins, vectors, strict=True):
        node.grad = tangent
    for node in nodes:
        if node.gradient is LIVE:
            node.grad = forth_by_pulls(node) if node.way == PULLS else forth(node)


cdef object forth(Node node):
    # The tangent of a gate's result, None for zero, by those of its arguments, s and t. The node holds what it does
    # for the way back.
    cdef Way way = node.way
    cdef object s = None if node.a is None else node.a.gradient
    cdef object t = None if node.b is None else node.b.gradient
    cdef object x = node.x, y = node.y, r
    if s is None and t is None:
        return None
    if node.scalar:
        x, y, r = number_of(node.p, node.single), number_of(node.q, node.single), number_of(node.r, node.single)
    else:
        r = x
    if way == ADD or way == SUBTRACT:
        if t is not None and way == SUBTRACT:
            t = -t
        if s is not None and t is not None:
            return s + t
        s = t if s is None else s
        return s if node.scalar or y is None else np.broadcast_to(s, y[0]).astype(y[1])
    if way == MULTIPLY:
        return total(None if s is None else s * y, None if t is None else x * t)
    if way == DIVIDE:
        return total(None if s is None else s / y, None if t is None else -t * (r / y))
    if way == MATMUL:
        return total(None if s is None else s @ y, None if t is None else x @ t)
    if way == ACTIVATE:
        return node.gate.vjps[0](x, x)(s)
    if way == SCALE:
        return np.sum(x * s)
    if way == INDEX:
        return s[x]
    if way == TOTAL:
        s = np.sum(s)
        return s if x is None else s / x
    if way == NEGATIVE:
        return -s
    if way == SQUARE:
        return 2 * x * s
    if way == POWER:
        return s * (2 * x if y == 2 else y * x ** (y - 1 if y else 0))
    if way == EXP:
        return s * r
    if way == LOG:
        return s / x
    if way == SQRT:
        return s * (0.5 / r)
    if way == SIN:
        return s * np.cos(x)
    if way == COS:
        return s * -np.sin(x)
    if way == TANH:
        return s * (1 - r * r)
    return s


cdef object total(object s, object t):
    return t if s is None else s if t is None else s + t


cdef object forth_by_pulls(Node node):
    cdef Tape tape
    cdef Node start, parent
    cdef object w, found = None
    if node.x is True:  # element by element: what takes a gradient back takes a tangent forth
        for parent, pull in node.links:
            if parent.gradient is not None:
                found = total(found, pull(parent.gradient))
        return found
    tape = Tape()
    shape, dtype = node.y
    try:
        seed = begin(tape, np.ones(shape, dtype)[()])
        start = (<Traced> seed).node_
        ends = []
        with np.errstate(all="ignore"):  # the values are of no use, as only the gates are
            for parent, pull in node.links:
                if parent.gradient is not None:
                    w = pull(seed)
                    if type(w) is Traced and (<Traced> w).tape_ is tape:
                        ends.append((w, parent.gradient))
        for w, tangent in ends:
            add((<Traced> w).node_, tangent, False)
        walk_back(tape.nodes)
        return start.grad
    finally:
        tape.close()
