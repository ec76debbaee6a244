"""The usual gates, whose gradient goes back by a way of the tape, without closures; numbers are worked out in C."""

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.long cimport PyLong_AsLongAndOverflow
from libc.math cimport isfinite

from ._gate cimport Gate, admit, is_complex, pull_of_complex
from ._layers cimport with_row
from ._scalars cimport apply, combined, cut, power
from ._tape cimport Node, Tape
from ._traced cimport Element, Traced, wrap, wrap_later, wrap_number
from ._ways cimport (
    ACTIVATE, ADD, COS, DIVIDE, EXP, INDEX, LOG, MULTIPLY, NEGATIVE, NO_WAY, POWER, PULLS, SAME, SIN, SQRT,
    SQUARE, SUBTRACT, TANH, TOTAL, Way,
)

from .nets._door cimport activate, new_like, takes

import numpy as np

from ._gate import broadcast_axes, cast, check_result, shrink
from .joining import array

cnp.import_array()

cdef object float32 = np.float32, float64 = np.float64, ndarray = np.ndarray, np_generic = np.generic
cdef object complex128 = np.complex128

cdef dict WAYS = {
    np.positive: SAME, np.negative: NEGATIVE, np.add: ADD, np.subtract: SUBTRACT, np.multiply: MULTIPLY,
    np.divide: DIVIDE, np.square: SQUARE, np.exp: EXP, np.log: LOG, np.sqrt: SQRT, np.sin: SIN, np.cos: COS,
    np.tanh: TANH, np.power: POWER,
}


cdef double NEARLY_ONE = 0.999  # near 1, little is left of 1 - tanh(x)^2: its row does without


cdef struct Number:
    double value
    bint single
    bint weak  # one of Python's, which takes the dtype of the other


cdef bint read(object x, Number* number) except -1:
    cdef int overflow
    cdef long whole
    number.single = number.weak = False
    if type(x) is Traced:
        number.value, number.single = (<Traced> x).number, (<Traced> x).single
        return (<Traced> x).is_number
    if type(x) is float:
        number.value, number.weak = PyFloat_AS_DOUBLE(x), True
        return True
    if type(x) is int:
        whole = PyLong_AsLongAndOverflow(x, &overflow)
        number.value, number.weak = <double> whole, True
        return overflow == 0 and -(2**53) <= whole <= 2**53
    if type(x) is float64 or type(x) is float32:
        number.value, number.single = <double> x, type(x) is float32
        return True
    return False


cdef Traced square_of_root(object ans, Traced x, Node node):
    # Its derivative is 1 at 0 too, where that of the root is infinite.
    node.way, node.a = SAME, x.node_.a
    return wrap(ans, x.tape_, node)


cdef bint must_settle(object x) noexcept:
    # Whether a constant is none that NumPy computes with in C.
    cdef object kind = type(x)
    if kind is ndarray:
        return cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.NPY_OBJECT
    return not (kind is float or kind is int or kind is Traced or isinstance(x, (np_generic, complex)))


cdef bint is_of_floats(object x) noexcept:
    cdef int kind
    if type(x) is not ndarray:
        return type(x) is float64 or type(x) is float32
    kind = cnp.PyArray_TYPE(<cnp.ndarray> x)
    return kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE


cdef bint is_like(object x, object ans):
    return x.shape == ans.shape and x.dtype is ans.dtype


cdef bint is_two(object y) noexcept:
    return (type(y) is int or type(y) is float) and y == 2


cdef tuple bend_of(object x, object ans):
    # What the gradient by an argument needs beside its formula: None, or the axes to sum over, how many are left if
    # the sum lacks axes of length 1, the shape, and the dtype.
    if type(x) is ndarray and type(ans) is ndarray:
        if (
            cnp.PyArray_SAMESHAPE(<cnp.ndarray> x, <cnp.ndarray> ans)
            and cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.PyArray_TYPE(<cnp.ndarray> ans)
        ):
            return None
    shape, dtype = x.shape, x.dtype
    axes = kept = None
    if shape != ans.shape:
        axes, kept = broadcast_axes(ans.shape, shape)
    if dtype is ans.dtype:
        if axes is None:
            return None
        dtype = None
    return axes, kept, shape, dtype


@cython.final
cdef class Elementwise(Element):
    """The way of one or two arguments through an element-wise gate, whose vjps need not care for broadcasting.

    ``function`` is what the gate computes: its ufunc, or the operator that is the same. It may be an ``activation``
    of the kernels of nets, whose slope follows from what it gave, if ``by_result``, or from what it was given.
    """

    cdef readonly Gate gate
    cdef object function
    cdef Way way
    cdef str activation
    cdef bint by_result
    cdef bint arithmetic  # one of the four operations, or a power by the operator: in C, of numbers

    def __init__(self, Gate gate not None, function, str activation=None, *, bint by_result=False):
        self.gate, self.function, self.activation, self.by_result = gate, function, activation, by_result
        self.way = WAYS.get(gate.forward, NO_WAY)
        if self.way == POWER and function is gate.forward:
            self.way = NO_WAY  # a ufunc of its own bits; the operator has those of pow
        self.arithmetic = self.way in (ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER)

    def __repr__(self):
        return repr(self.gate)

    def __call__(self, x, *more):
        if more:
            (y,) = more
            return self.two(x, y) if type(x) is Traced or type(y) is Traced else self.function(x, y)
        return self.one(x) if type(x) is Traced else self.function(x)

    cdef object one(self, Traced x):
        cdef Node node = Node.__new__(Node)
        cdef double ans
        node.gate, node.way, node.a = self.gate, self.way, x.node_
        if x.is_number and self.way != NO_WAY and not (self.way == SQUARE and x.node_.way == SQRT):
            if self.way == NEGATIVE:
                ans = -x.number
            elif self.way == SQUARE:
                ans = cut(x.number * x.number, x.single)
            elif self.way == SAME:
                ans = x.number
            else:
                ans = apply(self.way, x.number, x.single)
            if isfinite(ans) and not (self.way == TANH and abs(ans) > NEARLY_ONE):
                node.scalar, node.p, node.r = True, x.number, ans
                return wrap_number(ans, x.single, x.tape_, node)
        if self.way == SQUARE and x.node_.way == SQRT:
            return square_of_root(self.function(x.get()), x, node)
        if self.activation is not None and (made := self.activated(x, node)) is not None:
            return made
        value = x.get()
        if is_complex(value):
            admit(self.gate, (value,))
            ans_ = self.function(value)
            node.way = PULLS
            node.links = ((x.node_, pull_of_complex(self.gate, self.gate.vjps[0](ans_, value), value.dtype)),)
            return wrap(ans_, x.tape_, node)
        if self.gate.saving is not None:
            plain = type(value) is not Traced
            ans_, saved = self.gate.saving(value) if plain else (self.function(value), None)
            node.way = PULLS
            node.links = ((x.node_, self.gate.vjps[0](ans_, value, saved=saved)),)
            return wrap(ans_, x.tape_, node)
        ans_ = self.function(value)
        if self.way == NO_WAY or self.way == TANH:
            node.way, node.x = PULLS, True
            node.links = ((x.node_, self.gate.vjps[0](ans_, value)),)
        elif self.way == EXP or self.way == SQRT:
            node.x = ans_
        elif self.way not in (SAME, NEGATIVE):
            node.x = value
        return wrap(ans_, x.tape_, node)

    cdef object activated(self, Traced x, Node node):
        # By the compiled loops, if they take it: a sum with a bias that is still to be made in the same memory.
        cdef object value
        value = x.product
        if value is not None and x.plain is None and x.activation is None and self.by_result:
            node.way, node.y = ACTIVATE, self.activation
            return wrap_later(value, x.bias, self.activation, x.tape_, node)
        value = x.get()
        if not takes(value):
            if type(value) is not ndarray or not cnp.PyArray_NDIM(<cnp.ndarray> value):
                return None
            value = cnp.PyArray_NewCopy(<cnp.ndarray> value, cnp.NPY_CORDER)
        ans = new_like(value)
        activate(self.activation, value, None, ans)
        node.way, node.x, node.y = ACTIVATE, ans if self.by_result else value, self.activation
        return wrap(ans, x.tape_, node)

    cdef object two(self, object x, object y):
        cdef Tape tape
        cdef Node a = None, b = None, node
        cdef object given = x
        cdef bint real = True
        if type(x) is Traced:
            tape = (<Traced> x).tape_
            if type(y) is not Traced:
                a = (<Traced> x).node_
            elif (<Traced> y).tape_ is tape:
                a, b = (<Traced> x).node_, (<Traced> y).node_
            elif (<Traced> y).tape_.level < tape.level:
                a = (<Traced> x).node_
            else:
                tape, b = (<Traced> y).tape_, (<Traced> y).node_
        else:
            tape, b = (<Traced> y).tape_, (<Traced> y).node_
        node = Node.__new__(Node)
        node.gate, node.a, node.b = self.gate, a, b
        if self.way == POWER and b is None and a is not None and a.way == SQRT and is_two(y):
            return square_of_root(self.function((<Traced> x).get(), y), x, node)
        if self.arithmetic:
            made = self.two_numbers(x, y, tape, node)
            if made is not None:
                return made
            if self.way == ADD and a is not None and b is not None:
                made = with_row(x, y, tape, node)
                if made is not None:
                    return made
        if a is not None:
            x = (<Traced> x).get()
        elif must_settle(x):
            x = array(x)
            if type(x) is Traced:
                return self.two(x, y)
        if b is not None:
            y = (<Traced> y).get()
        elif must_settle(y):
            y = array(y)
            if type(y) is Traced:
                return self.two(given, y)
        if not self.gate.domain and (is_complex(x) or is_complex(y)):
            admit(self.gate, (x, y))
        ans = combined(self.way, x, y, None) if self.arithmetic and self.way != POWER else None
        if ans is None:
            ans = self.function(x, y)
        if type(ans) is complex:  # of one of Python's and a float64
            ans = complex128(ans)
        if not is_of_floats(ans):
            check_result(self.gate, ans)
            real = not is_complex(ans)
        if not real or self.way == NO_WAY or (self.way == POWER and not (type(y) is float or type(y) is int)):
            if not real:
                admit(self.gate, (x, y))
            node.way = PULLS
            node.links = self.pulls(x, y, ans, a, b, real)
            node.x = real and (a is None or is_like(x, ans)) and (b is None or is_like(y, ans))
            node.a = node.b = None
            return wrap(ans, tape, node)
        node.way = self.way
        if a is not None:
            node.bend_a = bend_of(x, ans)
        if b is not None:
            node.bend_b = bend_of(y, ans)
        if self.way == MULTIPLY or self.way == POWER:
            if b is not None or self.way == POWER:
                node.x = x
            if a is not None:
                node.y = y
        elif self.way == ADD or self.way == SUBTRACT:
            if node.bend_a is not None or node.bend_b is not None:
                node.y = (ans.shape, ans.dtype)  # for tangents, which go forth
        elif self.way == DIVIDE:
            node.y = y
            if b is not None:
                node.x = ans
        return wrap(ans, tape, node)

    cdef tuple pulls(self, object x, object y, object ans, Node a, Node b, bint real):
        cdef tuple links = ()
        vjp_x, vjp_y = self.gate.vjps
        for node, vjp, value in ((a, vjp_x, x), (b, vjp_y, y)):
            if node is not None:
                pull = vjp(ans, x, y)
                if value.shape != ans.shape:
                    pull = shrink(pull, ans.shape, value.shape)
                if not real:
                    pull = pull_of_complex(self.gate, pull, value.dtype)
                elif value.dtype is not ans.dtype:
                    pull = cast(pull, value.dtype)
                links = (*links, (node, pull))
        return links

    cdef object two_numbers(self, object x, object y, Tape tape, Node node):
        # The traced result, if both are numbers and it is finite: NumPy warns of others.
        cdef Number p, q
        cdef double ans
        cdef bint single
        if not read(x, &p) or not read(y, &q):
            return None
        if (type(x) is Traced and node.a is None) or (type(y) is Traced and node.b is None):
            return None  # a constant here, but not for a lower level
        single = (p.single or p.weak) and (q.single or q.weak)
        if p.weak:
            p.value = cut(p.value, single)
        if q.weak:
            q.value = cut(q.value, single)
        if self.way == ADD:
            ans = p.value + q.value
        elif self.way == SUBTRACT:
            ans = p.value - q.value
        elif self.way == MULTIPLY:
            ans = p.value * q.value
        elif self.way == DIVIDE:
            ans = p.value / q.value
        elif q.weak and (q.value == 2 or q.value == 3 or (p.value > 0)):
            ans = power(p.value, q.value, single)
        else:
            return None
        ans = cut(ans, single)
        if not (isfinite(ans) and isfinite(p.value) and isfinite(q.value)):
            return None
        node.way, node.scalar, node.p, node.q, node.r = self.way, True, p.value, q.value, ans
        return wrap_number(ans, single, tape, node)


cdef bint is_basic(object at) noexcept:
    # Whether an index of one or several integers and slices, which gives a view or a number, is in its plain form.
    if type(at) is not tuple:
        return type(at) is int or type(at) is slice
    for part in <tuple> at:
        if type(part) is not int and type(part) is not slice:
            return False
    return True


@cython.final
cdef class Index:
    """The way of a traced value through ``x[index]``."""

    cdef readonly Gate gate
    cdef object plain  # brings an index into its plain form, a tuple, and says whether it may name an element twice

    def __init__(self, Gate gate not None, plain):
        self.gate, self.plain = gate, plain

    def __call__(self, Traced x not None, at):
        cdef Node node = Node.__new__(Node)
        cdef object value = x.get()
        cdef bint repeated = False, basic = is_basic(at)
        if not basic:
            at, repeated = self.plain(at)
        ans = value[at]
        node.gate, node.way, node.a = self.gate, INDEX, x.node_
        node.x = at if type(at) is tuple else (at,)
        node.y = (value.shape, ans.ndim, repeated, basic)
        return wrap(ans, x.tape_, node)


@cython.final
cdef class Total:
    """The way of a traced value through the sum or the mean of all its elements; other calls go another way."""

    cdef readonly Gate gate
    cdef object other
    cdef bint mean

    def __init__(self, Gate gate not None, other, *, bint mean):
        self.gate, self.other, self.mean = gate, other, mean

    def __call__(self, x, *more, **options):
        cdef Node node
        if more or options or type(x) is not Traced:
            return self.other(x, *more, **options)
        value = (<Traced> x).get()
        ans = self.gate.forward(value)
        node = Node.__new__(Node)
        node.gate, node.way, node.a = self.gate, TOTAL, (<Traced> x).node_
        node.x, node.y = value.size if self.mean else None, value.shape
        return wrap(ans, (<Traced> x).tape_, node)
