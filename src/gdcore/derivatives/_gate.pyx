"""Gates: the ways of traced values through functions.

A gate computes the real value of a function and leaves a node on the tape of the derivative in progress.

Each derivative has a tape of its own, and a tape begun later is of a higher level. A gate that meets values of several
tapes belongs to the highest; the values of the lower ones it treats as real. So what a gate computes may itself be
traced, and a derivative can be differentiated again.
"""

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.long cimport PyLong_AsLongAndOverflow
from libc.math cimport isfinite, pow, powf

from ._tape cimport (
    ADD, COS, DIVIDE, EXP, INDEX, LOG, MATMUL, MULTIPLY, NEGATIVE, NO_WAY, POWER, PULLS, SAME, SIN, SQRT, SQUARE,
    SUBTRACT, TANH, TOTAL,
)
from ._tape cimport Node, Tape, Way, apply, cut, has_loop, number_of
from ._traced cimport Element, Traced, wrap, wrap_number

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ._tape import Pull
from ._traced import REFUSED, describe, name_of, real, refuse_options

cnp.import_array()

Vjp = Callable[..., Pull]
"""``vjp(ans, *args)`` returns the pull to one argument, where ``ans`` is what the gate gave for ``args``."""

cdef object float32 = np.float32, float64 = np.float64, ndarray = np.ndarray

cdef dict WAYS = {
    np.positive: SAME, np.negative: NEGATIVE, np.add: ADD, np.subtract: SUBTRACT, np.multiply: MULTIPLY,
    np.divide: DIVIDE, np.square: SQUARE, np.exp: EXP, np.log: LOG, np.sqrt: SQRT, np.sin: SIN, np.cos: COS,
    np.tanh: TANH, np.power: POWER,
}


cdef class Gate:
    """One row of the table: a function of arrays, its forward and its vjps.

    ``vjps[i](ans, *args, **kwargs)`` returns the pull to ``args[i]``; the last one serves all further arguments if
    ``variadic``, and is then called as ``vjp(i, ans, *args, **kwargs)``. A pull returns ``g``, a view of it, or an
    array of its own; it takes gradients with further axes in front, if ``stacks``.

    ``saving(*args, **kwargs)``, if given, returns the result and what the vjps can use of its making: they get it
    as ``saved``, or None where a derivative is to be differentiated and so has to be made of gates.
    """

    cdef readonly str name
    cdef readonly object forward, saving
    cdef readonly tuple vjps
    cdef readonly bint variadic, stacks, foreign

    def __init__(self, name, forward, vjps, *, variadic=False, stacks=False, foreign=False, saving=None):
        self.name, self.forward, self.vjps, self.saving = name, forward, vjps, saving
        self.variadic, self.stacks, self.foreign = variadic, stacks, foreign

    def __repr__(self):
        return f"<gate {self.name}>"

    def __call__(self, *args, **kwargs):
        """Return ``forward(*args, **kwargs)``, and leave a node on the tape if an argument is traced."""
        cdef Tape tape = highest(args)
        cdef bint plain = True
        cdef list values, links, nodes
        if kwargs:
            refuse_options(self.name, kwargs, {} if self.foreign else REFUSED)
        if tape is None:
            return self.forward(*args, **kwargs)
        values, nodes = [], []
        for i, x in enumerate(args):
            if type(x) is Traced:
                if (<Traced> x).tape_ is tape:
                    nodes.append((i, (<Traced> x).node_))
                    x = (<Traced> x).get()
                plain = plain and type(x) is not Traced
            values.append(x)
        if not plain:
            ans = self(*values, **kwargs)
            if self.saving is not None:
                kwargs["saved"] = None
        elif self.saving is None:
            ans = self.forward(*values, **kwargs)
            refuse_foreign(self, ans, tape)
        else:
            ans, kwargs["saved"] = self.saving(*values, **kwargs)
        if type(ans) is float:
            ans = float64(ans)
        check_result(self, ans)
        links = [(node, self.pull(i, ans, values, kwargs)) for i, node in nodes]
        return join(tape, self, ans, tuple(links))

    def pull(self, i, ans, list values, dict kwargs):
        """Return the pull to argument ``i``."""
        if self.variadic:
            pull = self.vjps[len(self.vjps) - 1](i, ans, *values, **kwargs)
        else:
            vjp = self.vjps[i] if i < len(self.vjps) else None
            if vjp is None:
                raise TypeError(
                    f"{self.name}: argument {i}: expected an array that is not differentiated, as its gate has no "
                    f"vjp for this argument, got a traced one; gd.stop_gradient(x) makes it a constant"
                )
            pull = vjp(ans, *values, **kwargs)
        if self.foreign:
            return checked(self, i, pull, ans, values[i])
        return pull if values[i].dtype is ans.dtype else cast(pull, values[i].dtype)


cdef Tape highest(tuple args):
    cdef Tape tape = None
    for x in args:
        if type(x) is Traced and (tape is None or (<Traced> x).tape_.level > tape.level):
            tape = (<Traced> x).tape_
    return tape


@cython.final
cdef class Elementwise(Element):
    """The way of one or two arguments through an element-wise gate, whose vjps need not care for broadcasting."""

    cdef readonly Gate gate
    cdef object function
    cdef Way way
    cdef bint arithmetic  # one of the four operations, or a power by the operator: in C, of numbers

    def __init__(self, Gate gate not None, function):
        self.gate, self.function = gate, function
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
        if x.is_number and self.way != NO_WAY:
            if self.way == NEGATIVE:
                ans = -x.number
            elif self.way == SQUARE:
                ans = cut(x.number * x.number, x.single)
            elif self.way == SAME:
                ans = x.number
            else:
                ans = apply(self.way, x.number, x.single)
            if isfinite(ans):
                node.scalar, node.p, node.r = True, x.number, ans
                return wrap_number(ans, x.single, x.tape_, node)
        value = x.get()
        ans_ = self.function(value)
        if self.way == NO_WAY:
            node.way = PULLS
            node.links = ((x.node_, self.gate.vjps[0](ans_, value)),)
        elif self.way in (EXP, SQRT, TANH):
            node.x = ans_
        elif self.way not in (SAME, NEGATIVE):
            node.x = value
        return wrap(ans_, x.tape_, node)

    cdef object two(self, object x, object y):
        cdef Tape tape
        cdef Node a = None, b = None, node
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
        if self.arithmetic:
            made = self.two_numbers(x, y, tape, node)
            if made is not None:
                return made
        if a is not None:
            x = (<Traced> x).get()
        elif type(x) is list or type(x) is tuple:
            x = np.asarray(x)
        if b is not None:
            y = (<Traced> y).get()
        elif type(y) is list or type(y) is tuple:
            y = np.asarray(y)
        ans = self.function(x, y)
        if type(ans) is not ndarray and type(ans) is not float64 or ans.dtype.char not in "fd":
            check_result(self.gate, ans)
        if self.way == NO_WAY or (self.way == POWER and not (type(y) is float or type(y) is int)):
            node.way = PULLS
            node.links = self.pulls(x, y, ans, a, b)
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
        elif self.way == DIVIDE:
            node.y = y
            if b is not None:
                node.x = ans
        return wrap(ans, tape, node)

    cdef tuple pulls(self, object x, object y, object ans, Node a, Node b):
        cdef tuple links = ()
        vjp_x, vjp_y = self.gate.vjps
        for node, vjp, value in ((a, vjp_x, x), (b, vjp_y, y)):
            if node is not None:
                pull = vjp(ans, x, y)
                if value.shape != ans.shape:
                    pull = shrink(pull, ans.shape, value.shape)
                if value.dtype is not ans.dtype:
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
            ans = powf(<float> p.value, <float> q.value) if single else pow(p.value, q.value)
        else:
            return None
        ans = cut(ans, single)
        if not (isfinite(ans) and isfinite(p.value) and isfinite(q.value)):
            return None
        node.way, node.scalar, node.p, node.q, node.r = self.way, True, p.value, q.value, ans
        return wrap_number(ans, single, tape, node)


@cython.final
cdef class Matmul:
    """The way of two arguments, one or both traced, through a product of matrices or stacks of them."""

    cdef readonly Gate gate

    def __init__(self, Gate gate not None):
        self.gate = gate

    def __call__(self, x, y):
        cdef Tape tape = highest((x, y))
        cdef Node a = None, b = None, node
        if type(x) is Traced and (<Traced> x).tape_ is tape:
            a, x = (<Traced> x).node_, (<Traced> x).get()
        if type(y) is Traced and (<Traced> y).tape_ is tape:
            b, y = (<Traced> y).node_, (<Traced> y).get()
        ans = x @ y
        if type(ans) is not ndarray or ans.dtype.char not in "fd":
            check_result(self.gate, ans)
        if x.ndim == 2 == y.ndim:
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
                links.append((of, pull if value.dtype is ans.dtype else cast(pull, value.dtype)))
        return wrap(ans, tape, Node(self.gate, tuple(links)))


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
        cdef bint repeated = False
        if type(at) is not int and type(at) is not slice:
            at, repeated = self.plain(at)
        ans = value[at]
        node.gate, node.way, node.a = self.gate, INDEX, x.node_
        node.x = at if type(at) is tuple else (at,)
        node.y = (value.shape, ans.ndim, repeated)
        return wrap(ans, x.tape_, node)


@cython.final
cdef class Total:
    """The way of a traced value through the sum, or the mean, of all its elements; other calls go through its gate."""

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


def fused(Gate gate not None):
    """Return the way of a first argument through a gate that saves; the second is most often a constant."""
    vjp, saving = gate.vjps[0], gate.saving

    def through(x, y):
        cdef Node node
        if type(x) is not Traced or type(y) is Traced or type((<Traced> x).get()) is Traced:
            return gate(x, y)
        value = (<Traced> x).get()
        ans, saved = saving(value, y)
        pull = vjp(ans, value, y, saved=saved)
        if ans.dtype is not value.dtype:
            check_result(gate, ans)
            pull = cast(pull, value.dtype)
        return wrap(ans, (<Traced> x).tape_, Node(gate, (((<Traced> x).node_, pull),)))

    return through


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


def refuse_foreign(gate, ans, Tape tape):
    """Raise ValueError for a result that is traced although no argument that the gate was given is."""
    if type(ans) is Traced and (<Traced> ans).tape_.level >= tape.level:
        raise ValueError(
            f"{gate.name}: expected all traced values that the gate uses to be arguments of their own, "
            f"got one from outside, or within a list or a dict"
        )


def checked(gate, i, pull, ans, x):
    """Return a pull of a user's gate that raises unless it gives a gradient of the shape of its argument."""
    if not callable(pull):
        raise TypeError(f"{gate.name}: vjp {i}: expected to return a function of g, got {type(pull).__name__}")
    shape, dtype = x.shape, x.dtype
    fit = (
        shrink(lambda g: g, ans.shape, shape) if isinstance(gate.forward, np.ufunc) and shape != ans.shape else None
    )
    ans_shape = ans.shape

    def pull_checked(g):
        d = pull(g)
        if isinstance(d, float):
            d = np.float64(d)
        if not isinstance(d, Traced | np.ndarray | np.generic) or d.dtype.kind != "f":
            raise TypeError(f"{gate.name}: vjp {i}: expected a gradient of {dtype} {shape}, got {describe(d)}")
        if fit is not None and d.shape == ans_shape:
            d = fit(d)
        if d.shape != shape:
            raise ValueError(f"{gate.name}: vjp {i}: expected a gradient of {dtype} {shape}, got {describe(d)}")
        return d if d.dtype == dtype else d.astype(dtype)

    return pull_checked


def join(Tape tape not None, gate, ans, tuple links):
    """Put a gate on the tape; return its traced result."""
    if gate.foreign:
        tape.foreign = True
    return wrap(ans, tape, Node(gate, links))


def check_result(gate, ans):
    """Raise TypeError unless ``ans`` is of float32 or float64."""
    if type(ans) is Traced or (type(ans) is ndarray and ans.dtype.char in "fd"):
        return
    if not isinstance(ans, np.ndarray | np.generic) or ans.dtype.char not in "fd":
        raise TypeError(
            f"{gate.name}: expected a result of float32 or float64, got {describe(ans)}; "
            f"are all arguments arrays of real numbers?"
        )


def cast(pull, dtype):
    """Return ``pull`` with its result in the dtype of the argument: float32 stays float32."""
    return lambda g: pull(g).astype(dtype)


def shrink(pull, ans_shape, shape):
    """Return ``pull`` followed by the sum over the axes along which an argument of ``shape`` was broadcast."""
    axes, kept = broadcast_axes(ans_shape, shape)
    if kept is None:
        return lambda g: np.add.reduce(d, axes) if type(d := pull(g)) is np.ndarray else d.sum(axis=axes)
    return lambda g: reshape_after(pull(g).sum(axis=axes), kept, shape)


@lru_cache(maxsize=1024)
def broadcast_axes(ans_shape, shape):
    """Return the axes to sum over, and how many are left if the sum lacks axes of length 1."""
    ndim = len(ans_shape)
    new = ndim - len(shape)
    axes = tuple([axis - ndim for axis in range(ndim) if axis < new or (shape[axis - new] == 1 != ans_shape[axis])])
    return axes, None if len(axes) == new else ndim - len(axes)


def reshape_after(g, ndim, shape):
    """Return ``g`` with its last ``ndim`` axes reshaped to ``shape``."""
    return g.reshape(g.shape[: g.ndim - ndim] + shape)
