from libc.stdint cimport int64_t

from ._drive cimport Group

cdef class Coefficients:
    cdef tuple ordered, constants, table
    cdef list corrected
    cdef int64_t block
    cdef int environment  # in which they were worked out

    cdef int load(self, Group* group, object owner, int64_t t) except -1

cdef int put(Group* group, tuple coefficients) except -1
cdef int round_off(Group* group) except -1
