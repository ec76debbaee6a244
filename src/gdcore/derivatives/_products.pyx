"""Products of matrices, and sums over rows or with one, without what NumPy asks first: the parts of layers."""

cimport numpy as cnp
from cpython.object cimport PyObject

from ._scalars cimport combined
from ._tape cimport Node
from ._ways cimport ADD
from .nets._door cimport activate, activate_back, new_like, takes

import numpy as np

cnp.import_array()

cdef object ndarray = np.ndarray, np_add = np.add, add_reduce = np.add.reduce, isfinite = np.isfinite

cdef extern from "<fenv.h>" nogil:
    int FE_INVALID, FE_OVERFLOW
    int feclearexcept(int excepts)
    int fetestexcept(int excepts)

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

cdef extern from "numpy/arrayobject.h":
    object PyArray_MatrixProduct2(object x, object y, void* out)


cdef int kind_of_block(object x) noexcept:
    # The type of a matrix that lies in one piece, or -1.
    cdef int kind
    if type(x) is not ndarray or cnp.PyArray_NDIM(<cnp.ndarray> x) != 2 or not cnp.PyArray_SIZE(<cnp.ndarray> x):
        return -1
    if not cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray> x) or not (
        cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> x) or cnp.PyArray_IS_F_CONTIGUOUS(<cnp.ndarray> x)
    ):
        return -1
    kind = cnp.PyArray_TYPE(<cnp.ndarray> x)
    return kind if kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE else -1


cdef Py_ssize_t LARGE = 1 << 14  # elements, from which on it costs more than it saves that np.dot clears them first
cdef Py_ssize_t FEW = 32  # rows, beside which laying out the other matrix is most of the work
cdef Py_ssize_t MANY = 1 << 18  # multiplications, beyond which a transposed matrix is laid out
cdef Py_ssize_t TOO_MANY = 1_000_000  # and beyond which all are


cdef object product(object x, object y):
    # x @ y: of whole matrices by np.dot, which has the same bits and asks less, if they are small. What it does not
    # warn of, before NumPy 2.3, is left to np.matmul. Flags alone say nothing: a BLAS may compute more than the
    # elements.
    cdef object z
    cdef int kind = kind_of_block(x)
    if (
        kind < 0 or kind_of_block(y) != kind
        or cnp.PyArray_DIM(<cnp.ndarray> x, 0) * cnp.PyArray_DIM(<cnp.ndarray> y, 1) >= LARGE
    ):
        return x @ y
    if fetestexcept(FE_INVALID | FE_OVERFLOW):
        feclearexcept(FE_INVALID | FE_OVERFLOW)
    z = PyArray_MatrixProduct2(x, y, NULL)
    return x @ y if fetestexcept(FE_INVALID | FE_OVERFLOW) and not isfinite(z).all() else z


cdef object product_with_transpose(object g, object w):
    # g @ w.T, of few rows in float32 as the transpose of w @ g.T: OpenBLAS takes more time for laying out a
    # transposed w than for the product, and lays out none for a small product of what lies in rows.
    cdef Py_ssize_t rows, count
    if kind_of_block(g) == cnp.NPY_FLOAT == kind_of_block(w):
        rows = cnp.PyArray_DIM(<cnp.ndarray> g, 0)
        count = rows * cnp.PyArray_SIZE(<cnp.ndarray> w)
        if 1 < rows <= FEW and count > MANY:
            g = g.T if count > TOO_MANY else cnp.PyArray_NewCopy(g.T, cnp.NPY_CORDER)
            return cnp.PyArray_NewCopy(product(w, g).T, cnp.NPY_CORDER)
    return product(g, w.T)


def summed(object d, tuple axes not None):
    """Return the sum over axes, counted from the last: of a matrix over its rows by the loop that layers use."""
    return sum_over(d, axes)


cdef object sum_over(object d, tuple axes):
    if type(d) is not ndarray:
        return d.sum(axis=axes)
    if cnp.PyArray_NDIM(<cnp.ndarray> d) == 2 and axes == ROWS and takes(d):
        return sum_of_rows(<cnp.ndarray> d)
    return add_reduce(d, axes)


cdef tuple ROWS = (-2,)


cdef cnp.ndarray sum_of_rows(cnp.ndarray d):
    cdef cnp.ndarray sums = row_like(d)
    activate_back("none", d, None, None, sums)
    return sums


cdef cnp.ndarray row_like(cnp.ndarray d):
    cdef int last = cnp.PyArray_NDIM(d) - 1
    return cnp.PyArray_EMPTY(1, &cnp.PyArray_DIMS(d)[last], cnp.PyArray_TYPE(d), 0)


cdef object with_bias(object z, object bias, str activation, Node node):
    # activation(z + bias): in the memory of z, if nothing but the caller holds that. No value in between takes any.
    cdef object ans = z if Py_REFCNT(<PyObject*> z) == 1 else new_like(z)
    try:
        if combined(ADD, z, bias, ans) is None:
            np_add(z, bias, ans)
    finally:
        if activation is not None:
            activate(activation, ans, None, ans)
            node.x = ans
    return ans
