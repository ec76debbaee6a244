from ._tape cimport Tape

cdef class Gate:
    cdef readonly str name
    cdef readonly object forward, saving
    cdef readonly tuple vjps
    cdef readonly bint variadic, stacks, foreign
    cdef readonly int domain


cdef Tape highest(tuple args)
cdef bint is_complex(object x) noexcept
cdef int admit(Gate gate, object args) except -1
cdef object pull_of_complex(Gate gate, object pull, object dtype)
