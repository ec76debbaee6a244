# Traced values: they stand in for arrays while a function is differentiated.

from ._tape cimport Node, Tape

cdef class Element:
    # The way of traced values through an element-wise gate.
    cdef object one(self, Traced x)
    cdef object two(self, object x, object y)


cdef class Traced:
    cdef Tape tape_
    cdef Node node_
    cdef object plain  # the value; None where it is still to be made, of number or of the three that follow
    cdef object product, bias  # x @ w, which b is to be added to
    cdef str activation  # and what the sum goes through, or None
    cdef double number
    cdef bint is_number  # a plain scalar
    cdef bint single  # of float32, if it is a number

    cdef object get(self)


cdef Traced wrap(object value, Tape tape, Node node)
cdef Traced wrap_later(object product, object bias, str activation, Tape tape, Node node)
cdef Traced wrap_number(double value, bint single, Tape tape, Node node)
