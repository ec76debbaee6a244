from ._drive cimport Program

cdef class Stages:
    cdef Program program
    cdef bint single  # some array of the step is of float32
    cdef readonly bint skipped  # the gradients are not finite, and the step is not made
    cdef readonly object norm  # of the gradients, before it is limited; None where no limit is asked for
    cdef tuple asked
    cdef bint bare  # nothing is asked for

    cdef int check(
        self, object scale, object max_norm, object max_value, object skip_nonfinite, object zero, object average
    ) except -1
    cdef int begin(self, list labels, list grads, object average, object t) except -1
    cdef int add_scale(self, double factor, double divisor) except -1
    cdef int add(self, str name, double first, double second) except -1
