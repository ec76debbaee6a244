from ._drive cimport Entry

cdef int check_grad(str where, object grad, const Entry* e, object param) except -1
