"""Gradients by rows, checked and brought into the form in which a step reads them: each row once."""

from libc.string cimport memcpy
cimport numpy as cnp
from numpy cimport npy_intp

import numpy as np

from ..arguments import describe
from ..halves import half_of, stepped_dtype
from ..rows import as_index, check_index
from ._halves import widened
from .arrays import check_like

cnp.import_array()

ctypedef fused floating:
    float
    double


cdef void add(floating* total, const floating* row, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        total[i] = total[i] + row[i]


def summed(str where, object rows, object param):
    """Return which rows of a parameter a gradient by rows is of, in rising order, and the sum of each, in C order.

    Raises TypeError or ValueError for one that does not fit the parameter.
    """
    rows.check(f"{where}.")
    param = np.asarray(param)
    shape = (len(rows.index), *param.shape[1:])
    if param.ndim == 0:
        raise ValueError(f"{where}: expected a gradient that is an array, as a 0-d parameter has no rows, got Rows")
    if rows.length != len(param) or rows.values.shape != shape:
        raise ValueError(f"{where}: expected Rows of {describe(param)}, got {rows!r}")
    dtype = stepped_dtype(param.dtype)
    values = np.ascontiguousarray(rows.values)
    if dtype == np.float32 and half_of(values.dtype):
        values = widened(values)
    if values.dtype != dtype:
        raise TypeError(f"{where}: expected Rows of {describe(param)}, got {rows!r}")
    return each_once(rows.index, values)


def of_arguments(object rows, object grad, object param):
    """Return the same for what an update is given: ``rows``, and the gradient of each, None for a rule without one.

    Raises TypeError or ValueError for what does not fit the parameter.
    """
    index, param = as_index(rows), np.asarray(param)
    if param.ndim == 0:
        raise ValueError("rows: expected None, as a 0-d parameter has no rows, got some")
    check_index("rows", index, len(param))
    shape = (len(index), *param.shape[1:])
    if grad is None:
        return np.unique(index).astype(np.intp), None
    check_like("grad", grad, np.broadcast_to(np.zeros((), param.dtype), shape))
    return each_once(index, np.asarray(grad))


def each_once(rows, given):
    """Return each row that is named, in rising order, and the sum of what is given for it, in its order."""
    cdef cnp.ndarray index = np.array(rows, np.intp), values = np.ascontiguousarray(given)
    cdef cnp.ndarray order = np.argsort(index, kind="stable"), sums = np.empty_like(values)
    cdef npy_intp* own
    cdef const npy_intp* place
    cdef Py_ssize_t i, n = len(rows), count = 0, width
    cdef npy_intp row, last = -1
    cdef char* total = NULL
    width = cnp.PyArray_NBYTES(sums) // n if n else 0
    own, place = <npy_intp*> cnp.PyArray_DATA(index), <const npy_intp*> cnp.PyArray_DATA(order)
    found = np.empty(n, np.intp)
    for i in range(n):
        row = own[place[i]]
        if row != last:
            total = cnp.PyArray_BYTES(sums) + count * width
            memcpy(total, cnp.PyArray_BYTES(values) + place[i] * width, width)
            (<npy_intp*> cnp.PyArray_DATA(<cnp.ndarray> found))[count] = last = row
            count += 1
        elif cnp.PyArray_ITEMSIZE(sums) == 4:
            add(<float*> total, <const float*> (cnp.PyArray_BYTES(values) + place[i] * width), width // 4)
        else:
            add(<double*> total, <const double*> (cnp.PyArray_BYTES(values) + place[i] * width), width // 8)
    return found[:count], sums[:count]
