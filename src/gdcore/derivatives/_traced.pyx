"""Traced values: they stand in for arrays while a function is differentiated.

NumPy hands every operation on a traced value to the gate of its function, found in ``GATES``. Operators are found in
``OPERATORS``, methods and properties in ``METHODS`` and ``PROPERTIES``, where the rows of the table put them. What would
lose the gradient silently is refused.
"""

cimport cython
cimport numpy as cnp
from cpython.object cimport Py_EQ, Py_GE, Py_GT, Py_LE, Py_LT, Py_NE, PyObject_RichCompare

from ._tape cimport Node, Tape, number_of

from types import MethodType

import numpy as np

cnp.import_array()

cdef object float32 = np.float32, float64 = np.float64

GATES = {}
"""The gate of each function of NumPy, ufuncs among them: what dispatch looks up."""

OPERATORS = {}
"""The gate of each operator, by the name of its method without underscores."""

METHODS = {}
"""Functions of a traced value and more, by the name of the method of ``ndarray``."""

PROPERTIES = {}
"""Functions of a traced value, by the name of the property of ``ndarray``."""

# The operators that are used most, without a look-up.
cdef Element add_gate, sub_gate, mul_gate, truediv_gate, pow_gate, neg_gate


def register(str symbol, gate):
    """Let an operator go through a gate, a function of one or two values."""
    global add_gate, sub_gate, mul_gate, truediv_gate, pow_gate, neg_gate
    OPERATORS[symbol] = gate
    if symbol == "add":
        add_gate = gate
    elif symbol == "sub":
        sub_gate = gate
    elif symbol == "mul":
        mul_gate = gate
    elif symbol == "truediv":
        truediv_gate = gate
    elif symbol == "pow":
        pow_gate = gate
    elif symbol == "neg":
        neg_gate = gate


cdef class Element:
    """The way of traced values through an element-wise gate."""

    cdef object one(self, Traced x):
        raise TypeError(f"{self!r}: expected two arguments, got one")

    cdef object two(self, object x, object y):
        raise TypeError(f"{self!r}: expected one argument, got two")


@cython.final
@cython.no_gc  # a tape that is closed lets go of all that could lead back here
@cython.freelist(256)
cdef class Traced:
    """A value on its way through the circuit: use it as an ``ndarray`` of float32 or float64."""

    __hash__ = None  # == compares element by element

    def __init__(self, value, Tape tape not None, Node node not None):
        set_value(self, value)
        self.tape_, self.node_ = tape, node

    cdef object get(self):
        if self.plain is None:
            self.plain = number_of(self.number, self.single)
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
        return () if self.is_number else self.plain.shape

    @property
    def ndim(self):
        """The number of its axes."""
        return 0 if self.is_number else self.plain.ndim

    @property
    def size(self):
        """The number of its elements."""
        return 1 if self.is_number else self.plain.size

    @property
    def dtype(self):
        """Its dtype."""
        return self.get().dtype

    def __array_ufunc__(self, ufunc, str method, *args, **kwargs):
        if kwargs:
            refuse_options(name_of(ufunc), kwargs)
        if method == "__call__":
            gate = GATES.get(ufunc)
            if gate is None:
                no_gate(name_of(ufunc))
            if isinstance(gate, Element):
                if len(args) == 1:
                    return (<Element> gate).one(<Traced?> args[0])
                return (<Element> gate).two(args[0], args[1])
            return gate(*args, **kwargs)
        if method == "at":
            self._refuse_writing()
        no_gate(f"{name_of(ufunc)}.{method}")

    def __array_function__(self, function, _, args, kwargs):
        gate = GATES.get(function)
        if gate is None:
            no_gate(name_of(function))
        return gate(*args, **kwargs)

    def __add__(self, other):
        return add_gate.two(self, other)

    def __radd__(self, other):
        return add_gate.two(other, self)

    def __sub__(self, other):
        return sub_gate.two(self, other)

    def __rsub__(self, other):
        return sub_gate.two(other, self)

    def __mul__(self, other):
        return mul_gate.two(self, other)

    def __rmul__(self, other):
        return mul_gate.two(other, self)

    def __truediv__(self, other):
        return truediv_gate.two(self, other)

    def __rtruediv__(self, other):
        return truediv_gate.two(other, self)

    def __pow__(self, other, modulus):
        if modulus is not None:
            raise TypeError("pow: expected no modulus with a traced value, got one")
        return pow_gate.two(self, other)

    def __rpow__(self, other, modulus):
        return pow_gate.two(other, self)

    def __neg__(self):
        return neg_gate.one(self)

    def __pos__(self):
        return OPERATORS["pos"](self)

    def __abs__(self):
        return OPERATORS["abs"](self)

    def __mod__(self, other):
        return OPERATORS["mod"](self, other)

    def __rmod__(self, other):
        return OPERATORS["mod"](other, self)

    def __floordiv__(self, other):
        return real(self) // real(other)

    def __rfloordiv__(self, other):
        return real(other) // real(self)

    def __matmul__(self, other):
        return OPERATORS["matmul"](self, other)

    def __rmatmul__(self, other):
        return OPERATORS["matmul"](other, self)

    def __getitem__(self, at):
        return OPERATORS["getitem"](self, at)

    def __richcmp__(self, other, int how):
        return PyObject_RichCompare(real(self), real(other), how)

    def __getattr__(self, str name):
        method = METHODS.get(name)
        if method is not None:
            return MethodType(method, self)
        of = PROPERTIES.get(name)
        if of is not None:
            return of(self)
        raise AttributeError(f"traced value: expected an attribute of ndarray that has a gate, got {name!r}")

    def __dir__(self):
        return sorted({*object.__dir__(self), *METHODS, *PROPERTIES})

    def __len__(self):
        return len(self.get())

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("traced value: expected an array to iterate over, got a scalar")
        return iter([self[i] for i in range(len(self))])

    def __repr__(self):
        return f"<traced {real(self)!r}>"

    def __format__(self, spec):
        return format(real(self), spec)

    def __array__(self, *_, **__):
        raise TypeError(
            f"traced value: expected to stay traced, as its gradient would be lost, got converted from "
            f"{describe(self)} to a plain array; np.stack and np.concatenate join traced values, "
            f"and gd.stop_gradient(x) makes them plain"
        )

    def _refuse_conversion(self, *_, **__):
        raise TypeError(
            f"traced value: expected to stay traced, as its gradient would be lost, got converted from "
            f"{describe(self)} to a Python number, a list or a bool; use NumPy's functions, comparisons such as "
            f"x > 0, or gd.stop_gradient(x)"
        )

    def __float__(self):
        self._refuse_conversion()

    def __int__(self):
        self._refuse_conversion()

    def __index__(self):
        self._refuse_conversion()

    def __bool__(self):
        self._refuse_conversion()

    def __complex__(self):
        self._refuse_conversion()

    item = tolist = tobytes = _refuse_conversion

    def _refuse_writing(self, *_, **__):
        raise TypeError(
            "traced value: expected to be read only, as its earlier value is needed on the way back, got written "
            "to in place; use np.where, np.concatenate or arithmetic to make a new array"
        )

    def __setitem__(self, at, value):
        self._refuse_writing()

    def __delitem__(self, at):
        self._refuse_writing()

    fill = put = resize = partition = setfield = sort = _refuse_writing

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
    tape.put(node)
    return x


cdef Traced wrap_number(double value, bint single, Tape tape, Node node):
    cdef Traced x = Traced.__new__(Traced)
    x.is_number, x.number, x.single = True, value, single
    x.tape_, x.node_ = tape, node
    node.number, node.single = True, single
    tape.put(node)
    return x


def begin(Tape tape not None, value):
    """Return the traced value of an input."""
    cdef Traced x = Traced(value, tape, Node(None, ()))
    x.node_.number, x.node_.single = x.is_number, x.single
    return x


cpdef object real(object x):
    """Return the real value behind ``x``, at the bottom of all levels."""
    while type(x) is Traced:
        x = (<Traced> x).get()
    return x


def describe(x):
    """Return what errors say of a value: ``float32 (64, 10)``."""
    x = real(x)
    if not isinstance(x, np.ndarray | np.generic):
        return type(x).__name__
    kind = f"{type(x).__name__} of " if isinstance(x, np.ndarray) and type(x) is not np.ndarray else ""
    return f"{kind}{x.dtype} {x.shape}"


REFUSED = {
    "out": "traced values cannot be written to; use the returned value",
    "where": "np.where(condition, x, 0) selects elements",
    "initial": "np.maximum or + joins a further value",
    "dtype": ".astype(np.float64) changes the dtype",
    "casting": ".astype(np.float64) changes the dtype",
    "subok": "traced values have no subclass",
}
_DEFAULTS = {"where": True, "casting": "same_kind", "subok": True, "initial": np._NoValue}


def refuse_options(name, kwargs, refused=REFUSED):
    """Raise TypeError for an option that no gate has and for a traced value by name; drop what is default."""
    for option in list(kwargs):
        value = kwargs[option]
        if type(value) is Traced:
            raise TypeError(f"{name}: {option}: expected a traced array as a positional argument, got one by name")
        if option in refused:
            if value is not None and value is not _DEFAULTS.get(option, None) and value is not np._NoValue:
                raise TypeError(
                    f"{name}: {option}: expected no such option with a traced array, got one; {refused[option]}"
                )
            del kwargs[option]


def no_gate(name):
    """Raise the TypeError for a function that has no gate."""
    raise TypeError(
        f"{name}: expected a function that has a gate, got none for it; register one with "
        f"gd.gate({name}, lambda ans, x: lambda g: ...), or take it out of the derivative with gd.stop_gradient(x)"
    )


def name_of(function):
    """Return how a function is written in code: ``np.linalg.inv``."""
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc):
        return f"np.{name}" if getattr(np, name, None) is function else name
    module = (getattr(function, "__module__", None) or "").split(".")
    if module[0] == "numpy":
        return ".".join(["np", *module[1:], name])
    return f"gd.{name}" if module[0] == "gdcore" else name
