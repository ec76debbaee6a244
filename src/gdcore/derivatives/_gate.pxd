from ._tape cimport Tape

cdef class Gate:
    cdef readonly str name
    cdef readonly object forward, saving
    cdef readonly tuple vjps
    cdef readonly bint variadic, stacks, foreign


cdef Tape highest(tuple args)
