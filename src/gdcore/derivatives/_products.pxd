# Products of matrices, and sums over rows or with one.

cimport numpy as cnp

from ._tape cimport Node

cdef object product(object x, object y)
cdef object product_with_transpose(object g, object w)
cdef object sum_over(object d, tuple axes)
cdef cnp.ndarray row_like(cnp.ndarray d)
cdef object with_bias(object z, object bias, str activation, Node node)
