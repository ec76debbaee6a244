from ._drive cimport Program

cdef int half_kind(object array) except -1
cdef void convert(Program* program) noexcept
