cdef double apply(int function, double x, bint single) noexcept
cdef double power(double x, double y, bint single) noexcept nogil
cdef object number_of(double value, bint single)
cdef object combined(int way, object x, object y, object out)


cdef inline double cut(double value, bint single) noexcept nogil:
    # An operation on floats, done in double and rounded: the bits are those of the operation in float, as a double
    # has more than twice as many digits and two.
    return <double> <float> value if single else value
