# The door to the kernels of nets, for compiled callers.

cimport numpy as cnp

cpdef bint takes(object x) noexcept
cpdef cnp.ndarray new_like(cnp.ndarray x)
cpdef int activate(str kind, object z, object b, object h) except -1
cpdef int activate_back(str kind, object g, object kept, object d, object db) except -1
cpdef double cross_entropy(object z, object b, object labels, object d, object db) except? -1
