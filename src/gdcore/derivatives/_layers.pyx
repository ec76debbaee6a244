"""The ways of layers of nets: their nodes on the tape, of what the compiled loops make in one pass."""

cimport cython
cimport numpy as cnp

from ._gate cimport Gate, highest, is_complex, pull_of_complex
from ._products cimport product
from ._scalars cimport cut
from ._tape cimport Node, Tape
from ._traced cimport Element, Traced, wrap, wrap_later, wrap_number
from ._ways cimport ACTIVATE, ADD, MATMUL, SCALE
from .nets._door cimport activate, cross_entropy, new_like, takes

import numpy as np

from ._gate import cast, check_result

cnp.import_array()

cdef object ndarray = np.ndarray
cdef tuple ROWS = (-2,)


cdef bint is_array(object x) noexcept:
    return type(x) is Traced or (type(x) is ndarray and cnp.PyArray_TYPE(<cnp.ndarray> x) != cnp.NPY_OBJECT)


@cython.final
cdef class Matmul(Element):
    """The way of two arguments, one or both traced, through a product of matrices or stacks of them.

    ``other`` takes what is no array.
    """

    cdef readonly Gate gate
    cdef object other

    def __init__(self, Gate gate not None, other):
        self.gate, self.other = gate, other

    def __call__(self, x, y):
        return self.two(x, y)

    cdef object two(self, object x, object y):
        cdef Tape tape
        cdef Node a = None, b = None, node
        cdef bint real = True
        if not is_array(x) or not is_array(y):
            return self.other(x, y)
        tape = highest((x, y))
        if type(x) is Traced and (<Traced> x).tape_ is tape:
            a, x = (<Traced> x).node_, (<Traced> x).get()
        if type(y) is Traced and (<Traced> y).tape_ is tape:
            b, y = (<Traced> y).node_, (<Traced> y).get()
        ans = product(x, y)
        if type(ans) is not ndarray or ans.dtype.char not in "fd":
            check_result(self.gate, ans)
            real = not is_complex(ans)
        if real and x.ndim == 2 == y.ndim:
            node = Node.__new__(Node)
            node.gate, node.way, node.a, node.b = self.gate, MATMUL, a, b
            if a is not None:
                node.y = y
                node.bend_a = None if x.dtype is ans.dtype else (None, None, None, x.dtype)
            if b is not None:
                node.x = x
                node.bend_b = None if y.dtype is ans.dtype else (None, None, None, y.dtype)
            return wrap(ans, tape, node)
        links = []
        for i, of, value in ((0, a, x), (1, b, y)):
            if of is not None:
                pull = self.gate.vjps[i](ans, x, y)
                if not real:
                    pull = pull_of_complex(self.gate, pull, value.dtype)
                links.append((of, pull if value.dtype is ans.dtype else cast(pull, value.dtype)))
        return wrap(ans, tape, Node(self.gate, tuple(links)))


cdef bint is_matrix(object x, int kind) noexcept:
    return (
        type(x) is ndarray and cnp.PyArray_NDIM(<cnp.ndarray> x) == 2 and cnp.PyArray_TYPE(<cnp.ndarray> x) == kind
    )


cdef int kind_of(object x) noexcept:
    return cnp.PyArray_TYPE(<cnp.ndarray> x) if takes(x) else -1


cdef object with_row(Traced x, Traced y, Tape tape, Node node):
    # x @ w + b, of matrices and a row, is made where it is used: in the memory of the product, which nothing else
    # holds by then as a rule, and together with the activation that it goes into.
    cdef object z = x.plain, bias
    if x.node_.way != MATMUL or type(z) is not ndarray:
        return None
    bias = y.get()
    if (
        type(bias) is not ndarray or cnp.PyArray_NDIM(<cnp.ndarray> bias) != 1
        or cnp.PyArray_TYPE(<cnp.ndarray> bias) != cnp.PyArray_TYPE(<cnp.ndarray> z)
        or cnp.PyArray_DIM(<cnp.ndarray> bias, 0) != cnp.PyArray_DIM(<cnp.ndarray> z, 1)
        or not takes(z)
    ):
        return None
    node.way, node.bend_b, node.y = ADD, (ROWS, None, bias.shape, None), (z.shape, z.dtype)
    return wrap_later(z, bias, None, tape, node)


@cython.final
cdef class Dense:
    """The way of matrices through ``activation(x @ w + b)``: the nodes of its parts.

    ``slopes`` has the gate of each activation, and whether its slope follows from what it gave.
    """

    cdef readonly Gate gate
    cdef dict slopes

    def __init__(self, Gate gate not None, dict slopes not None):
        self.gate, self.slopes = gate, slopes

    def __call__(self, x, w, b, activation):
        """Return the traced result; None unless one derivative traces what are matrices and a row of one dtype."""
        cdef Tape tape = None
        cdef Node of_x = None, of_w = None, of_b = None, node = None
        cdef int kind
        if type(x) is Traced:
            tape, of_x, x = (<Traced> x).tape_, (<Traced> x).node_, (<Traced> x).get()
        if type(w) is Traced:
            if tape is not None and tape is not (<Traced> w).tape_:
                return None
            tape, of_w, w = (<Traced> w).tape_, (<Traced> w).node_, (<Traced> w).get()
        if type(b) is Traced:
            if tape is not None and tape is not (<Traced> b).tape_:
                return None
            tape, of_b, b = (<Traced> b).tape_, (<Traced> b).node_, (<Traced> b).get()
        kind = kind_of(w)
        if (
            tape is None or kind < 0 or not is_matrix(x, kind) or not is_matrix(w, kind)
            or cnp.PyArray_DIM(<cnp.ndarray> x, 1) != cnp.PyArray_DIM(<cnp.ndarray> w, 0)
        ):
            return None
        if b is not None and (
            kind_of(b) != kind or cnp.PyArray_NDIM(<cnp.ndarray> b) != 1
            or cnp.PyArray_DIM(<cnp.ndarray> b, 0) != cnp.PyArray_DIM(<cnp.ndarray> w, 1)
        ):
            return None
        z = product(x, w)
        h = z
        gate, by_result = self.slopes[activation] if activation is not None else (None, True)
        if not by_result:
            h = new_like(z)
        if activation is not None or b is not None:
            activate(activation or "none", z, b, h)
        if of_x is not None or of_w is not None:
            node = Node.__new__(Node)
            node.gate, node.way, node.a, node.b = self.gate, MATMUL, of_x, of_w
            node.x, node.y = None if of_w is None else x, None if of_x is None else w
        if of_b is not None:
            if node is not None:
                tape.put(node)
            node = add_row(node, of_b, b, h, self.gate)
        if activation is not None:
            tape.put(node)
            node = activation_of(node, z if not by_result else h, activation, gate)
        return wrap(h, tape, node)


cdef Node add_row(Node z, Node of_b, object b, object ans, Gate gate):
    cdef Node node = Node.__new__(Node)
    node.gate, node.way, node.a, node.b = gate, ADD, z, of_b
    node.bend_b, node.y = (ROWS, None, b.shape, None), (ans.shape, ans.dtype)
    return node


cdef Node activation_of(Node sums, object kept, str activation, Gate gate):
    cdef Node node = Node.__new__(Node)
    node.gate, node.way, node.a, node.x, node.y = gate, ACTIVATE, sums, kept, activation
    return node


cdef int kind_in(cnp.ndarray x) noexcept:
    return cnp.PyArray_TYPE(x)


cdef bint is_rows(cnp.ndarray x, cnp.ndarray labels) noexcept:
    cdef int k, ndim = cnp.PyArray_NDIM(labels)
    if cnp.PyArray_NDIM(x) != ndim + 1 or not cnp.PyArray_SIZE(x):
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(x, k) != cnp.PyArray_DIM(labels, k):
            return False
    return True


@cython.final
cdef class CrossEntropy:
    """The way of logits through softmax cross-entropy with classes, whose slope is made with it."""

    cdef readonly Gate gate

    def __init__(self, Gate gate not None):
        self.gate = gate

    def __call__(self, x, labels):
        """Return the traced loss; None unless one derivative traces rows, and labels int64 or of their dtype."""
        cdef Node node
        cdef bint single
        cdef double loss
        if type(x) is not Traced or type(labels) is not ndarray:
            return None
        value = (<Traced> x).get()
        if not takes(value) or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> labels):
            return None
        if cnp.PyArray_EquivTypenums(kind_in(labels), cnp.NPY_INT64):
            if not is_rows(value, labels):
                return None
        elif (
            kind_in(labels) != kind_in(value) or not cnp.PyArray_SIZE(<cnp.ndarray> value)
            or not cnp.PyArray_SAMESHAPE(<cnp.ndarray> value, <cnp.ndarray> labels)
        ):
            return None
        d = new_like(value)
        loss = cross_entropy(value, None, labels, d, None)
        node = Node.__new__(Node)
        node.gate, node.way, node.a, node.x = self.gate, SCALE, (<Traced> x).node_, d
        single = cnp.PyArray_TYPE(<cnp.ndarray> value) == cnp.NPY_FLOAT
        return wrap_number(cut(loss, single), single, (<Traced> x).tape_, node)
