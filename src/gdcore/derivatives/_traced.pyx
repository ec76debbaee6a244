"""Traced values: they stand in for arrays while a function is differentiated.

NumPy hands every operation on a traced value to the gate of its function, found in ``GATES``; a method is the
function of NumPy that bears its name, and operators are found in ``OPERATORS``: the table's rows are put there.
What would lose the gradient silently is refused.
"""

cimport cython
cimport numpy as cnp
from cpython.object cimport PyObject_RichCompare

from ._scalars cimport number_of
from ._products cimport with_bias
from ._tape cimport Node, Tape
from ._ways cimport PULLS

import math
from functools import partial
from threading import RLock

import numpy as np

from .elements import array_of_elements, attribute_of, in_mean_of_list, printed
from .later import gate_read_later
from .refusals import (
    name_of, refuse_by_name, refuse_conversion, refuse_function, refuse_options, refuse_pickling, refuse_writing,
)

cnp.import_array()

cdef object float32 = np.float32, float64 = np.float64, making = RLock()

GATES = {}
"""The gate of each function of NumPy, ufuncs among them: what dispatch looks up."""
OPERATORS = {}
"""The gate of each operator, by the name of its method without underscores."""

# The operators that are used most, without a look-up.
cdef tuple USUAL = ("add", "sub", "mul", "truediv", "pow", "neg", "matmul")
cdef Element add_gate, sub_gate, mul_gate, truediv_gate, pow_gate, neg_gate, matmul_gate


def let_operator(str symbol, gate):
    """Let an operator go through a gate; the most usual ones have to go through an :class:`Element`."""
    global add_gate, sub_gate, mul_gate, truediv_gate, pow_gate, neg_gate, matmul_gate
    OPERATORS[symbol] = gate
    add_gate, sub_gate, mul_gate, truediv_gate, pow_gate, neg_gate, matmul_gate = map(OPERATORS.get, USUAL)


def method(function):
    """Return the method of traced values that is a function of NumPy."""

    def call(self, *args, **kwargs):
        return GATES[function](self, *args, **kwargs)

    return call


def of_real(function):
    """Return the method that is a function of the real value."""
    return lambda self, *args: function(real(self), *args)


cdef class Element:
    """The way of traced values through an element-wise gate."""

    cdef object one(self, Traced x):
        raise TypeError(f"{self!r}: expected two arguments, got one")

    cdef object two(self, object x, object y):
        raise TypeError(f"{self!r}: expected one argument, got two")


@cython.final
@cython.no_gc  # a tape that is closed lets go of all that could lead back here
@cython.freelist(256)
@cython.c_api_binop_methods(True)
cdef class Traced:
    """A value on its way through the circuit: use it as an ``ndarray`` of floats or complex numbers."""

    __hash__ = None  # == compares element by element
    __pandas_priority__ = 1_000_000  # a Series leaves its operators to the traced value

    def __init__(self, value, Tape tape not None, Node node not None):
        set_value(self, value)
        self.tape_, self.node_ = tape, node

    cdef object get(self):
        if self.plain is None and self.is_number:
            self.plain = number_of(self.number, self.single)
        elif self.plain is None:
            with making:  # other threads may ask for it, too
                if self.plain is None:
                    z, self.product = self.product, None
                    self.plain = with_bias(z, self.bias, self.activation, self.node_)
        return self.plain

    @property
    def value(self):
        """The real value, or one that is traced by a derivative of a lower level."""
        return self.get()

    @property
    def tape(self):
        """The tape of the derivative that traces it."""
        return self.tape_

    @property
    def node(self):
        """The gate that it came out of."""
        return self.node_

    @property
    def shape(self):
        """Its shape."""
        return () if self.is_number else self.get().shape

    @property
    def ndim(self):
        """The number of its axes."""
        return 0 if self.is_number else self.get().ndim

    @property
    def size(self):
        """The number of its elements."""
        return 1 if self.is_number else self.get().size

    @property
    def dtype(self):
        """Its dtype."""
        if not isinstance(self.plain, cnp.ndarray) and in_mean_of_list(self):
            raise AttributeError("dtype")
        return self.get().dtype

    def __array_ufunc__(self, ufunc, str method, *args, **kwargs):
        if kwargs and method == "__call__":
            check_options(name_of(ufunc), kwargs)
        if method == "at":
            self._refuse_writing()
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        gate = GATES.get(function) or gate_read_later(GATES, function)
        if isinstance(gate, Element):
            one = len(args) == 1
            return (<Element> gate).one(<Traced?> args[0]) if one else (<Element> gate).two(args[0], args[1])
        return gate(*args, **kwargs)

    def __array_function__(self, function, _, args, kwargs):
        gate = GATES.get(function)
        if gate is None:
            refuse_function(function)
        return gate(*args, **kwargs)

    # Operators: either of the two may be the traced one.

    def __add__(x, y):
        return add_gate.two(x, y)

    def __sub__(x, y):
        return sub_gate.two(x, y)

    def __mul__(x, y):
        return mul_gate.two(x, y)

    def __truediv__(x, y):
        return truediv_gate.two(x, y)

    def __pow__(x, y, modulus):
        return pow_gate.two(x, y) if modulus is None else NotImplemented

    def __mod__(x, y):
        return OPERATORS["mod"](x, y)

    def __floordiv__(x, y):
        return GATES[np.floor_divide](x, y)

    def __divmod__(x, y):
        return GATES[np.divmod](x, y)

    def __matmul__(x, y):
        return matmul_gate.two(x, y)

    def __neg__(self):
        return neg_gate.one(self)

    def __pos__(self):
        return OPERATORS["pos"](self)

    def __abs__(self):
        return OPERATORS["abs"](self)

    def __getitem__(self, at):
        return OPERATORS["getitem"](self, at)

    def __richcmp__(self, other, int how):
        return PyObject_RichCompare(real(self), real(other), how)

    def __getattr__(self, str name):
        # A method of arrays that is a function of NumPy; arrays of objects call ufuncs of their elements by name.
        function = getattr(np, name, None)
        known = callable(getattr(np.ndarray, name, None)) or (isinstance(function, np.ufunc) and not self.ndim)
        gate = GATES.get(function) if known else None
        return attribute_of(real(self), name) if gate is None else partial(gate, self)

    # Methods: each is the function of NumPy that bears its name. Those that are rarer are looked up by it.
    max = method(np.max)
    mean = method(np.mean)
    min = method(np.min)
    sum = method(np.sum)
    astype = method(np.ndarray.astype)
    flatten = method(np.ravel)
    flat = property(flatten)
    mT = property(method(np.matrix_transpose))

    def compress(self, condition, *args, **kwargs):
        """As ``ndarray.compress``."""
        return GATES[np.compress](condition, self, *args, **kwargs)

    def reshape(self, *shape, **options):
        """As ``ndarray.reshape``: the lengths one by one, or as a tuple."""
        return GATES[np.reshape](self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes):
        """As ``ndarray.transpose``: the axes one by one, or as a tuple."""
        return GATES[np.transpose](self, (axes[0] if len(axes) == 1 else axes) or None)

    @property
    def real(self):
        """Its real part."""
        return GATES[np.real](self)

    @property
    def imag(self):
        """Its imaginary part."""
        return GATES[np.imag](self)

    @property
    def T(self):
        """Its transpose: all axes in reverse."""
        return GATES[np.transpose](self, None)

    def __len__(self):
        return len(self.get())

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("traced value: expected an array to iterate over, got a scalar")
        return iter([self[i] for i in range(len(self))])

    def __reversed__(self):
        return iter([*self][::-1])

    # Constants, as np.round and the like give them.
    __round__, __floor__, __ceil__, __trunc__ = map(of_real, (round, math.floor, math.ceil, math.trunc))

    def __repr__(self):
        return f"<traced {real(self)!r}>"

    def __format__(self, spec):
        return format(real(self), spec)

    def __array__(self, dtype=None, copy=None):
        """Return the array of its elements, each traced: what NumPy makes of a list of traced values."""
        return array_of_elements(self, real(self), dtype)

    def _refuse_conversion(self, *_, **__):
        refuse_conversion(real(self))

    def __float__(self):
        return printed(float, real(self))

    def __int__(self):
        return printed(int, real(self))

    def __index__(self):
        self._refuse_conversion()

    def __bool__(self):
        self._refuse_conversion()

    item = tolist = tobytes = __complex__ = _refuse_conversion

    def _refuse_writing(self, *_, **__):
        refuse_writing()

    def __setitem__(self, at, value):
        self._refuse_writing()

    def __delitem__(self, at):
        self._refuse_writing()

    fill = put = resize = partition = setfield = sort = _refuse_writing

    def __deepcopy__(self, _=None):
        return self  # nothing can be written to it

    __copy__ = __deepcopy__

    def __reduce_ex__(self, _):
        refuse_pickling(real(self))

    def __iadd__(self, other):
        return self._augment(other)

    def __isub__(self, other):
        return self._augment(other)

    def __imul__(self, other):
        return self._augment(other)

    def __itruediv__(self, other):
        return self._augment(other)

    def __ifloordiv__(self, other):
        return self._augment(other)

    def __imod__(self, other):
        return self._augment(other)

    def __ipow__(self, other):
        return self._augment(other)

    def __imatmul__(self, other):
        return self._augment(other)

    def _augment(self, other):
        if self.ndim:
            raise TypeError(
                "traced value: expected to be read only, as its earlier value is needed on the way back, got "
                "written to by +=, *= or the like; x = x + y makes a new array"
            )
        return NotImplemented  # a scalar has always been replaced: Python falls back to x = x + y


cdef extern from "Python.h":
    ctypedef struct Sequence "PySequenceMethods":
        void* sq_item
    ctypedef struct Type "PyTypeObject":
        Sequence* tp_as_sequence
        unsigned long tp_flags
    const unsigned long Py_TPFLAGS_SEQUENCE


# What is no sequence in C, NumPy puts into an array of numbers as a number: the error is the one above.
(<Type*> Traced).tp_as_sequence.sq_item = NULL
# A match statement takes it for a sequence where it does so with NumPy's arrays, which is since NumPy 2.5.
(<Type*> Traced).tp_flags |= (<Type*> np.ndarray).tp_flags & Py_TPFLAGS_SEQUENCE


cdef int set_value(Traced x, object value) except -1:
    x.is_number = type(value) is float64 or type(value) is float32
    x.plain = value
    if x.is_number:
        x.number = <double> value
        x.single = type(value) is float32
    return 0


cdef Traced wrap(object value, Tape tape, Node node):
    # The traced value of what came out of a gate, which is put on the tape.
    cdef Traced x = Traced.__new__(Traced)
    set_value(x, value)
    x.tape_, x.node_ = tape, node
    node.number, node.single = x.is_number, x.single
    if node.way == PULLS:
        node.y = (value.shape, value.dtype)  # for tangents, which go forth
    tape.put(node)
    return x


cdef Traced wrap_later(object product, object bias, str activation, Tape tape, Node node):
    # activation(product + bias), worked out where it is first asked for.
    cdef Traced x = Traced.__new__(Traced)
    x.product, x.bias, x.activation = product, bias, activation
    x.tape_, x.node_ = tape, node
    tape.put(node)
    return x


cdef Traced wrap_number(double value, bint single, Tape tape, Node node):
    cdef Traced x = Traced.__new__(Traced)
    x.is_number, x.number, x.single = True, value, single
    x.tape_, x.node_ = tape, node
    node.number, node.single = True, single
    tape.put(node)
    return x


cpdef object real(object x):
    """Return the real value behind ``x``, at the bottom of all levels."""
    while type(x) is Traced:
        x = (<Traced> x).get()
    return x


def check_options(name, dict kwargs):
    """Raise TypeError for an option that no gate has and for a traced value by name; drop what is default."""
    for option, value in kwargs.items():
        if type(value) is Traced:
            refuse_by_name(name, option)
    refuse_options(name, kwargs)
