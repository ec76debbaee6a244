"""Gates: the ways of traced values through functions.

A gate computes the real value of a function and leaves a node on the tape of the derivative in progress.

Each derivative has a tape of its own, and a tape begun later is of a higher level. A gate that meets values of
several tapes belongs to the highest; the values of the lower ones it treats as real. So what a gate computes may
itself be traced, and a derivative can be differentiated again.
"""

cimport cython
cimport numpy as cnp

from ._tape cimport Node, Tape
from ._traced cimport Element, Traced, wrap

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..arguments import describe
from ._products import summed
from ._tape import Pull
from ._traced import check_options, real
from .joining import array
from .refusals import refuse_complex

cnp.import_array()

Vjp = Callable[..., Pull]
"""``vjp(ans, *args)`` returns the pull to one argument, where ``ans`` is what the gate gave for ``args``."""

cdef object float64 = np.float64, complex128 = np.complex128, ndarray = np.ndarray
cdef tuple COMPLEX_NUMBERS = (complex, np.complexfloating)

# What numbers a gate is of. The gradient by a complex value is dL/dx + i dL/dy.
REAL = 0
COMPLEX = 1  # and real: its pulls hold for both
HOLOMORPHIC = 2  # the same, by pulls that multiply with the derivative: it is conjugated here


cdef class Gate:
    """One row of the table: a function of arrays, its forward and its vjps.

    ``vjps[i](ans, *args, **kwargs)`` returns the pull to ``args[i]``; the last one serves all further arguments if
    ``variadic``, and is then called as ``vjp(i, ans, *args, **kwargs)``. A pull returns ``g``, a view of it, or an
    array of its own; it takes gradients with further axes in front, if ``stacks``.

    ``saving(*args, **kwargs)``, if given, returns the result and what the vjps can use of its making: they get it
    as ``saved``, or None where a derivative is to be differentiated and so has to be made of gates.

    ``domain`` says what numbers its pulls are right for: ``REAL``, ``COMPLEX`` or ``HOLOMORPHIC``.
    """

    def __init__(
        self, name, forward, vjps, *, variadic=False, stacks=False, foreign=False, saving=None, domain=REAL
    ):
        self.name, self.forward, self.vjps, self.saving = name, forward, vjps, saving
        self.variadic, self.stacks, self.foreign, self.domain = variadic, stacks, foreign, domain

    def __repr__(self):
        return f"<gate {self.name}>"

    def __call__(self, *args, **kwargs):
        """Return ``forward(*args, **kwargs)``, and leave a node on the tape if an argument is traced."""
        args = settled(args)
        cdef Tape tape = highest(args)
        cdef bint plain = True
        cdef list values, links, nodes
        if kwargs:
            check_options(self.name, kwargs)
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
        if is_complex(values):
            admit(self, values)
        if not plain:
            ans = self(*values, **kwargs)
            if self.saving is not None:
                kwargs["saved"] = None
        elif self.saving is None:
            ans = self.forward(*values, **kwargs)
        else:
            ans, kwargs["saved"] = self.saving(*values, **kwargs)
        if type(ans) is float:
            ans = float64(ans)
        elif type(ans) is complex:
            ans = complex128(ans)
        check_result(self, ans)
        if is_complex(ans):
            admit(self, [ans])
        links = [(node, self.pull(i, ans, values, kwargs)) for i, node in nodes]
        return leave_node(tape, self, ans, tuple(links))

    def pull(self, i, ans, list values, dict kwargs):
        """Return the pull to argument ``i``."""
        if self.variadic:
            pull = self.vjps[len(self.vjps) - 1](i, ans, *values, **kwargs)
        else:
            vjp = self.vjps[i] if i < len(self.vjps) else None
            if vjp is None:
                self.refuse_argument(i)
            pull = vjp(ans, *values, **kwargs)
        if is_complex(ans) or is_complex(values[i]):
            return pull_of_complex(self, pull, values[i].dtype)
        return pull if values[i].dtype is ans.dtype else cast(pull, values[i].dtype)

    def refuse_argument(self, i):
        """Raise the TypeError for a traced argument that has no vjp."""
        raise TypeError(
            f"{self.name}: argument {i}: expected an array that is not differentiated, as its gate has no "
            f"vjp for this argument, got a traced one; gd.stop_gradient(x) makes it a constant"
        )


cdef class Called(Element):
    """The way of operators through a gate that is any callable, such as a user's."""

    cdef object gate

    def __init__(self, gate):
        self.gate = gate

    def __call__(self, *args):
        return self.gate(*args)

    cdef object one(self, Traced x):
        return self.gate(x)

    cdef object two(self, object x, object y):
        return self.gate(x, y)


cdef class OfReals:
    """The way through a function, made of gates, that is right for real numbers alone."""

    cdef str name
    cdef object way

    def __init__(self, name, way):
        self.name, self.way = name, way

    def __call__(self, *args, **kwargs):
        if is_complex(args) or (kwargs and is_complex(list(kwargs.values()))):
            refuse_complex(self.name, [real(x) for x in (*args, *kwargs.values())])
        return self.way(*args, **kwargs)


cdef bint is_complex(object x) noexcept:
    # Whether x is an array, a number or a list of complex numbers, traced or not.
    while type(x) is Traced:
        if (<Traced> x).is_number:
            return False
        x = (<Traced> x).plain
    if isinstance(x, cnp.ndarray):
        if cnp.PyArray_TYPE(<cnp.ndarray> x) != cnp.NPY_OBJECT:
            return cnp.PyArray_ISCOMPLEX(<cnp.ndarray> x)
        x = x.ravel().tolist()
    if isinstance(x, (list, tuple)):
        for y in x:
            if is_complex(y):
                return True
        return False
    return isinstance(x, COMPLEX_NUMBERS)


cdef int admit(Gate gate, object args) except -1:
    if gate.domain == REAL:
        refuse_complex(gate.name, [real(x) for x in args])
    return 0


def conj(x):
    """Return the complex conjugate, which of real numbers is ``x`` itself."""
    return x.conjugate() if is_complex(x) else x


def of_dtype(d, dtype):
    """Return a gradient in the dtype of its argument: float32 stays float32, and of what is real it is real."""
    if dtype.kind != "c" and is_complex(d):
        return d.real.astype(dtype)
    return d if d.dtype is dtype else d.astype(dtype)


cdef object pull_of_complex(Gate gate, object pull, object dtype):
    if gate.domain == HOLOMORPHIC:
        return lambda g: of_dtype(conj(pull(conj(g))), dtype)
    return lambda g: of_dtype(pull(g), dtype)


cdef tuple settled(tuple args):
    # The arguments, where those that hold traced values are joined to traced arrays.
    for x in args:
        if type(x) is list or (type(x) is ndarray and x.dtype.char == "O"):
            break
    else:
        return args
    return tuple([join(x) if type(x) is list or type(x) is ndarray else x for x in args])


def join(x):
    """Return the traced array of a list or an array that holds traced values, and else ``x``."""
    made = array(x) if type(x) is ndarray or any([type(y) is not int for y in x]) else x
    return made if type(made) is Traced else x


cdef Tape highest(tuple args):
    cdef Tape tape = None
    for x in args:
        if type(x) is Traced and (tape is None or (<Traced> x).tape_.level > tape.level):
            tape = (<Traced> x).tape_
    return tape


def fused(Gate gate not None):
    """Return the way of a first argument through a gate that saves; the second is most often a constant."""
    vjp, saving = gate.vjps[0], gate.saving

    def through(x, y):
        if type(x) is not Traced or type(y) is Traced or type((<Traced> x).get()) is Traced:
            return gate(x, y)
        value = (<Traced> x).get()
        if is_complex(value) or is_complex(y):
            return gate(x, y)
        ans, saved = saving(value, y)
        pull = vjp(ans, value, y, saved=saved)
        if ans.dtype is not value.dtype:
            check_result(gate, ans)
            pull = cast(pull, value.dtype)
        return wrap(ans, (<Traced> x).tape_, Node(gate, (((<Traced> x).node_, pull),)))

    return through


@cython.final
cdef class Part:
    """The pull to one of the arrays that were joined: its part of the gradient, ``behind`` axes before the last."""

    cdef Py_ssize_t begin, end
    cdef int behind

    def __call__(self, g):
        return g[(..., slice(self.begin, self.end), *(slice(None),) * self.behind)]


def joining(Gate gate not None):
    """Return the way of arrays through ``gate``, which joins them along an axis.

    It returns None unless they are arrays of real numbers, of one dtype, that one derivative traces, or constants.
    """

    def through(arrays, int axis):
        cdef Tape tape = None
        cdef Part part
        cdef list values = [], links = []
        cdef Py_ssize_t end = 0
        cdef int kind = 0
        for x in arrays:
            value = x
            if type(x) is Traced:
                value = (<Traced> x).get()
                if tape is not None and tape is not (<Traced> x).tape_:
                    return None
                tape = (<Traced> x).tape_
            if type(value) is not ndarray or (values and cnp.PyArray_TYPE(<cnp.ndarray> value) != kind):
                return None
            kind = cnp.PyArray_TYPE(<cnp.ndarray> value)
            values.append(value)
        if tape is None or (kind != cnp.NPY_FLOAT and kind != cnp.NPY_DOUBLE):
            return None
        ans = cnp.PyArray_Concatenate(values, axis)
        axis += cnp.PyArray_NDIM(<cnp.ndarray> ans) if axis < 0 else 0
        for x, value in zip(arrays, values):
            part = Part.__new__(Part)
            part.begin, part.behind = end, cnp.PyArray_NDIM(<cnp.ndarray> ans) - 1 - axis
            part.end = end = end + cnp.PyArray_DIM(<cnp.ndarray> value, axis)
            if type(x) is Traced:
                links.append(((<Traced> x).node_, part))
        return wrap(ans, tape, Node(gate, tuple(links)))

    return through


def leave_node(Tape tape not None, gate, ans, tuple links):
    """Put a gate on the tape; return its traced result."""
    if gate.foreign:
        tape.foreign = True
    return wrap(ans, tape, Node(gate, links))


def check_result(gate, ans):
    """Raise TypeError unless ``ans`` is of float32 or float64, or complex numbers of those."""
    if type(ans) is Traced or (type(ans) is ndarray and ans.dtype.char in "fdFD"):
        return
    if not isinstance(ans, np.ndarray | np.generic) or ans.dtype.char not in "fdFD":
        hint = (
            "a gate gives one array: make one of a function that returns the one that is needed"
            if isinstance(ans, dict | list | tuple)
            else "are all arguments arrays of numbers?"
        )
        raise TypeError(
            f"{gate.name}: expected a result of float32, float64, complex64 or complex128, got {describe(ans)}; "
            f"{hint}"
        )


def cast(pull, dtype):
    """Return ``pull`` with its result in the dtype of the argument: float32 stays float32."""
    return lambda g: of_dtype(pull(g), dtype)


def shrink(pull, ans_shape, shape):
    """Return ``pull`` followed by the sum over the axes along which an argument of ``shape`` was broadcast."""
    axes, kept = broadcast_axes(ans_shape, shape)
    if kept is None:
        return lambda g: summed(pull(g), axes)
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
