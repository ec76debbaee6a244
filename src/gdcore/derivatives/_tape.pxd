# The tape: which gates a function went through, and how the gradient goes back through each.

from ._ways cimport Way

cdef class Tape:
    cdef readonly list nodes
    cdef readonly long level
    cdef public bint foreign
    cdef bint closed

    cdef int put(self, Node node) except -1


cdef class Node:
    cdef Way way
    cdef bint number  # its value is a plain scalar, and its gradient so far is total, if met
    cdef bint single  # of float32
    cdef bint scalar  # what the way needs is in p, q and r
    cdef bint met
    cdef public bint owned
    cdef double total, p, q, r
    cdef Node a, b  # where the gradient goes; None for a constant
    cdef object x, y  # what the way needs: operands, or the result
    cdef tuple bend_a, bend_b  # what becomes of a gradient whose argument was broadcast or is of another dtype
    cdef readonly object gate
    cdef public tuple links
    cdef object gradient

    cpdef int let_go(self) except -1


cdef int add(Node node, object d, bint fresh) except -1
cdef int add_number(Node node, double d) except -1
