"""Where a derivative begins and ends, for the usual trees: arrays in, and their gradients out."""

cimport cython
cimport numpy as cnp

from ._tape cimport Node, Tape
from ._traced cimport Traced

import numpy as np

from ..trees import take_apart as take_any_apart

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
