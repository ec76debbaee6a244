# What can be told of an array in a few nanoseconds, and how the loops see it. What is unusual goes to arrays.py.

from libc.stdint cimport uintptr_t
cimport numpy as cnp
from numpy cimport npy_intp

from ._drive cimport STORED, Entry, Operand


cdef inline bint has_dtype(cnp.ndarray array, Py_ssize_t itemsize) noexcept:
    return cnp.PyArray_ISNOTSWAPPED(array) and cnp.PyArray_TYPE(array) == (
        <int> cnp.NPY_FLOAT if itemsize == sizeof(float) else <int> cnp.NPY_DOUBLE
    )


cdef inline bint has_geometry(cnp.ndarray array, int ndim, const npy_intp* shape, const npy_intp* strides) noexcept:
    # strides: NULL for any.
    cdef int k
    if cnp.PyArray_NDIM(array) != ndim:
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(array, k) != shape[k]:
            return False
        if strides != NULL and cnp.PyArray_STRIDE(array, k) != strides[k]:
            return False
    return True


cdef inline bint is_whole(object array) noexcept:
    return cnp.PyArray_CheckExact(array) and cnp.PyArray_ISBEHAVED(<cnp.ndarray> array) and (
        cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> array) or cnp.PyArray_IS_F_CONTIGUOUS(<cnp.ndarray> array)
    )


cdef inline bint is_plain(object array) noexcept:
    return is_whole(array) and (
        has_dtype(<cnp.ndarray> array, sizeof(float)) or has_dtype(<cnp.ndarray> array, sizeof(double))
    )


cdef inline bint is_like(object array, const Entry* e) noexcept:
    return cnp.PyArray_Check(array) and has_dtype(<cnp.ndarray> array, e.itemsize) and has_geometry(
        <cnp.ndarray> array, e.ndim, e.shape, NULL
    )


cdef inline void find_extent(cnp.ndarray array, uintptr_t* begin, uintptr_t* end) noexcept:
    # The first byte of an array that is not empty, and the first one behind it.
    cdef npy_intp reach
    cdef int k
    begin[0] = <uintptr_t> cnp.PyArray_BYTES(array)
    end[0] = begin[0] + cnp.PyArray_ITEMSIZE(array)
    for k in range(cnp.PyArray_NDIM(array)):
        reach = (cnp.PyArray_DIM(array, k) - 1) * cnp.PyArray_STRIDE(array, k)
        if reach > 0:
            end[0] += reach
        else:
            begin[0] += reach


cdef inline bint is_near(cnp.ndarray array, const uintptr_t* regions, Py_ssize_t count) noexcept:
    # Whether the extent of an array meets a region of memory, of which there are sorted pairs (begin, end).
    cdef uintptr_t begin, end
    cdef Py_ssize_t low = 0, high = count, middle
    find_extent(array, &begin, &end)
    while low < high:  # to the first region that ends behind begin
        middle = (low + high) // 2
        if regions[2 * middle + 1] <= begin:
            low = middle + 1
        else:
            high = middle
    return low < count and regions[2 * low] < end


cdef inline bint is_flat(cnp.ndarray array, const Entry* e) noexcept:
    # Whether the walk through the array is one through its memory.
    cdef int order = cnp.NPY_ARRAY_F_CONTIGUOUS if e.reversed else cnp.NPY_ARRAY_C_CONTIGUOUS
    return cnp.PyArray_CHKFLAGS(array, order | cnp.NPY_ARRAY_ALIGNED)


cdef inline void view(Operand* operand, const Entry* e, cnp.ndarray array) noexcept:
    operand.data = cnp.PyArray_BYTES(array)
    operand.half = 0
    operand.flat = is_flat(array, e)
    operand.strides = cnp.PyArray_STRIDES(array)


cdef inline void halve(Entry* e, int kind) noexcept:
    # Says of an array that was entered that it is in half precision, which is stepped in float32.
    e.x[0].half = kind
    e.itemsize = sizeof(float)
    e.width = 2 * e.itemsize


cdef inline void enter(Entry* e, cnp.ndarray param) noexcept:
    e.size = e.stepped = cnp.PyArray_SIZE(param)
    e.rows = NULL
    e.itemsize = cnp.PyArray_ITEMSIZE(param)
    e.width = 2 * e.itemsize
    e.ndim = cnp.PyArray_NDIM(param)
    e.shape = cnp.PyArray_DIMS(param)
    e.reversed = cnp.PyArray_IS_F_CONTIGUOUS(param) and not cnp.PyArray_IS_C_CONTIGUOUS(param)
    e.x[STORED].data, e.x[STORED].half = NULL, 0
    view(&e.x[0], e, param)
