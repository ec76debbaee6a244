"""The walk back: what each way makes of the gradient by a gate's result, and the loop over the tape.

The formulas are those that the rows of the table state, written for plain arrays; what is traced by a derivative
around goes through the same lines, in gates.
"""

cimport numpy as cnp
from cpython.object cimport PyObject

from ._products cimport product, product_with_transpose, row_like, sum_over
from ._scalars cimport apply, combined, cut, number_of, power
from ._tape cimport Node, Tape, add, add_number
from ._ways cimport (
    ACTIVATE, ADD, COS, DIVIDE, EXP, INDEX, LOG, MATMUL, MULTIPLY, NEGATIVE, POWER, PULLS, SAME, SCALE, SIN, SQRT,
    SQUARE, SUBTRACT, TANH, TOTAL, Way,
)
from .nets._door cimport activate_back, new_like, takes

from contextlib import nullcontext

import numpy as np

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

cdef object NOTHING = nullcontext()
cdef object float32 = np.float32, float64 = np.float64, ndarray = np.ndarray
cdef object np_cos = np.cos, np_sin = np.sin, np_add = np.add, np_multiply = np.multiply, np_divide = np.divide
cdef object np_negative = np.negative, np_add_at = np.add.at
cdef object np_full = np.full, np_stack = np.stack
cdef object np_geterr = np.geterr, np_errstate = np.errstate


cdef tuple ROWS = (-2,)


cdef int give(Node node, object d, tuple bend, bint fresh) except -1:
    # The same, after what a broadcast argument, or one of another dtype, asks for.
    if bend is not None:
        axes, kept, shape, dtype = bend
        if axes is not None:
            d = sum_over(d, axes)
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


cdef int back(Node node, object g, bint fresh, bint stacked, bint once, Node before) except -1:
    # Carries the gradient by a gate's result to its arguments. Of the operands, x and y, or p and q, and of the
    # result, r, the node holds what its way needs. If this is done once, what it holds may be given away; before is
    # then the node before it on the tape.
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
            give(node.b, opposite(g, fresh), node.bend_b, True)
    elif way == MULTIPLY:
        if node.a is not None:
            give(node.a, times(g, y, fresh), node.bend_a, True)
        if node.b is not None:
            give(node.b, times(g, x, fresh), node.bend_b, True)
    elif way == DIVIDE:
        if node.a is not None:
            give(node.a, np_divide(g, y, g) if fresh and can_hold(g, y) else g / y, node.bend_a, True)
        if node.b is not None:
            give(node.b, -g * (r / y), node.bend_b, True)
    elif way == MATMUL:
        if node.a is not None:
            give(node.a, product_with_transpose(g, y), node.bend_a, True)
        if node.b is not None:
            give(node.b, product(x.T, g), node.bend_b, True)
    elif way == ACTIVATE:
        activation_back(node, g, fresh, before)
    elif way == SCALE:
        if once and (type(g) is float32 or type(g) is float64) and g == 1:
            add(node.a, x, True)
        else:
            add(node.a, (g.reshape(g.shape + (1,) * x.ndim) if g.ndim else g) * x, True)
    elif way == INDEX:
        index_back(node, g, stacked)
    elif way == TOTAL:
        total_back(node, g, stacked)
    elif way == NEGATIVE:
        give(node.a, opposite(g, fresh), node.bend_a, True)
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
    made = combined(MULTIPLY, g, factor, None)
    if made is not None:
        return made
    return np_multiply(g, factor, g) if fresh and can_hold(g, factor) else g * factor


cdef object opposite(object g, bint fresh):
    return np_negative(g, g) if fresh and type(g) is ndarray else -g


cdef bint can_hold(object g, object factor) noexcept:
    # Whether what is made of g and a factor fits into g: the factor is of its dtype and of its last axes.
    cdef cnp.ndarray x, y
    cdef int k, new
    if type(g) is not ndarray or type(factor) is not ndarray:
        return False
    x, y = g, factor
    new = cnp.PyArray_NDIM(x) - cnp.PyArray_NDIM(y)
    if new < 0 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y):
        return False
    for k in range(cnp.PyArray_NDIM(y)):
        if cnp.PyArray_DIM(x, new + k) != cnp.PyArray_DIM(y, k):
            return False
    return True


cdef int activation_back(Node node, object g, bint fresh, Node before) except -1:
    # x is what the slope follows from, y the name of the activation. If its argument was x @ w + b and nothing else
    # has taken that, the gradient by b is summed up in the same pass.
    cdef cnp.ndarray kept = node.x, d, sums = None
    if (
        type(g) is not ndarray or cnp.PyArray_TYPE(<cnp.ndarray> g) != cnp.PyArray_TYPE(kept)
        or not cnp.PyArray_SAMESHAPE(<cnp.ndarray> g, kept)
    ):
        return add(node.a, node.gate.vjps[0](kept, kept)(g), False)
    if not takes(g):
        g, fresh = cnp.PyArray_NewCopy(<cnp.ndarray> g, cnp.NPY_CORDER), True
    d = g if fresh else new_like(kept)
    if before is node.a and before.way == ADD and before.gradient is None and adds_row(before, kept):
        sums = row_like(kept)
    activate_back(node.y, g, kept, d, sums)
    add(node.a, d, True)
    if sums is not None:
        add(before.b, sums, True)
        before.b = None
    return 0


cdef bint adds_row(Node node, cnp.ndarray ans) noexcept:
    cdef tuple bend = node.bend_b
    return (
        node.b is not None and node.a is not None and bend is not None and cnp.PyArray_NDIM(ans) == 2
        and bend[0] is not None and bend[0] == ROWS and bend[1] is None and bend[3] is None
    )


cdef int pull_back(Node node, object g, bint stacked) except -1:
    cdef bint apart = stacked and not node.gate.stacks if node.links else False
    for parent, pull in node.links:
        d = np_stack([pull(row) for row in g]) if apart else pull(g)
        add(parent, d, is_ours(d))
    return 0


cdef bint is_ours(object d) noexcept:
    # Whether it is an array that nothing but the caller holds.
    return (
        type(d) is ndarray and Py_REFCNT(<PyObject*> d) == 1 and cnp.PyArray_BASE(<cnp.ndarray> d) is NULL
        and cnp.PyArray_ISWRITEABLE(<cnp.ndarray> d)
    )


cdef object pull_of_index = None


def let_index_pull(function):
    """Take what makes a pull, given the shape indexed, the number of axes that came out, and the index."""
    global pull_of_index
    pull_of_index = function


cdef cnp.ndarray zeros(tuple shape, int kind):
    cdef cnp.npy_intp[64] dims  # NumPy's arrays have no more axes
    cdef int k, ndim = len(shape)
    for k in range(ndim):
        dims[k] = shape[k]
    return cnp.PyArray_ZEROS(ndim, dims, kind, 0)


cdef int index_back(Node node, object g, bint stacked) except -1:
    # x is the index, y the shape indexed, the number of axes of what came out, whether an element may be named
    # twice, and whether the index gives a view or a number. Many indices into one array share the memory of its
    # gradient.
    cdef Node a = node.a
    cdef int kind
    shape, ndim, repeated, basic = node.y
    if stacked or not (type(g) is ndarray or type(g) is float64 or type(g) is float32):
        return add(a, pull_of_index(shape, ndim, node.x)(g), False)
    if not a.owned or type(a.gradient) is not ndarray:
        if type(g) is ndarray:
            kind = cnp.PyArray_TYPE(<cnp.ndarray> g)
        else:
            kind = cnp.NPY_FLOAT if type(g) is float32 else cnp.NPY_DOUBLE
        whole = zeros(shape, kind)
        if repeated:
            np_add_at(whole, node.x, g)
        else:
            whole[node.x] = g
        return add(a, whole, True)
    if repeated:
        np_add_at(a.gradient, node.x, g)
    elif basic and type(part := a.gradient[node.x]) is ndarray:
        if combined(ADD, part, g, part) is None:
            np_add(part, g, part)
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
    return NOTHING if np_geterr()["under"] == "ignore" else np_errstate(under="ignore")


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
        back(node, g, False, False, False, None)
    for parent in met:
        if parent is not None:
            parent.grad = None
    return found


def carry_back(Tape tape not None, Node end not None, cnp.dtype kind not None):
    """Carry the gradient from the scalar result of a derivative to its inputs."""
    end.grad = number_of(1, kind.type_num == cnp.NPY_FLOAT)
    if np_geterr()["under"] == "ignore":
        walk_back(tape.nodes)
    else:
        with np_errstate(under="ignore"):
            walk_back(tape.nodes)


cpdef int walk_back(list nodes) except -1:
    """Carry the gradient from each node to the nodes before it, last node first, and take it off the tape."""
    cdef Node node, before
    cdef object g
    cdef bint fresh
    while nodes:
        node = <Node> nodes.pop()
        before = <Node> nodes[len(nodes) - 1] if nodes else None
        g = node.gradient
        if g is not None:
            fresh = node.owned
            node.gradient = None
            node.owned = False
            back(node, g, fresh, False, True, before)
        elif node.met:
            node.met = False
            if node.scalar:
                scalar_back(node, node.total)
            else:
                back(node, number_of(node.total, node.single), False, False, True, before)
        node.let_go()
    return 0


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
        back(node, g, fresh, stacked, False, None)
    return largest
