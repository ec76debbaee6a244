from ._drive cimport Entry

cdef int check_operand(str where, object array, const Entry* e, object param) except -1
