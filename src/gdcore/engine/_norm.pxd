from ._drive cimport Program

cdef double find_norm(list arrays, const Program* program, int judged, bint* finite) except -1
