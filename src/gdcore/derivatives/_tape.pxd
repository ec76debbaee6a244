# The tape: which gates a function went through, and how the gradient goes back through each.

cimport cython

cdef enum Way:  # back through a gate
    PULLS  # by the pulls of its row
    SAME
    NEGATIVE
    ADD
    SUBTRACT
    MULTIPLY
    DIVIDE
    POWER  # with a plain exponent
    EXP
    LOG
    SQRT
    SIN
    COS
    TANH
    SQUARE
    MATMUL  # of matrices
    INDEX
    TOTAL  # the sum of all elements
    NO_WAY  # for a gate that is not one of these


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

    cdef int let_go(self) except -1


cdef double apply(int function, double x, bint single) noexcept
cdef bint has_loop(int function) noexcept
cdef object number_of(double value, bint single)
cdef int add(Node node, object d, bint fresh) except -1


cdef inline double cut(double value, bint single) noexcept nogil:
    # An operation on floats, done in double and rounded: the bits are those of the operation in float, as a double
    # has more than twice as many digits and two.
    return <double> <float> value if single else value
