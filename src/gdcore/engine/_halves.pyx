"""Half precision: which arrays have it, and how a step converts it."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy
cimport numpy as cnp

from gdcore.engine._drive cimport BFLOAT16, FLOAT16, HALVES, STORED, WITH_STORED, Conversion, Program
from gdcore.engine._plan cimport find
from gdcore.engine._pool cimport load, store

import numpy as np

from ..halves import HALF_DTYPES, bits_of, half_of

cnp.import_array()

cdef object MARKED = HALF_DTYPES["bfloat16"]
cdef Conversion[HALVES] WIDEN = [NULL, find("widen_float16"), find("widen_bfloat16")]
cdef Conversion[HALVES] RECALL = [NULL, find("recall_float16"), find("recall_bfloat16")]
cdef Conversion[HALVES] NARROW = [NULL, find("narrow_float16"), find("narrow_bfloat16")]
cdef int64_t registered = -1  # the number that NumPy gave to bfloat16 of another package, once it was met


cdef int half_kind(object array) except -1:
    """Return which kind of half precision an array has by its real type, 0 for none."""
    cdef int number
    if not cnp.PyArray_Check(array) or cnp.PyArray_ITEMSIZE(<cnp.ndarray> array) != 2:
        return 0
    number = cnp.PyArray_TYPE(<cnp.ndarray> array)
    if number == cnp.NPY_FLOAT16:
        return FLOAT16 if cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray> array) else 0
    if number < cnp.NPY_VOID:
        return 0
    dtype = <object> cnp.PyArray_DESCR(<cnp.ndarray> array)
    if dtype is MARKED or number == load(&registered):
        return BFLOAT16
    if half_of(dtype) is None:
        return 0
    if number > cnp.NPY_VOID:
        store(&registered, number)
    return BFLOAT16


cdef void convert(Program* program) noexcept:
    """Let a program convert half precision, where it meets it."""
    memcpy(program.widen, WIDEN, sizeof(WIDEN))
    memcpy(program.recall, RECALL, sizeof(RECALL))
    memcpy(program.narrow, NARROW, sizeof(NARROW))


def widened(array):
    """Return an array in half precision as one of float32, of its order in memory."""
    cdef cnp.ndarray halves = bits_of(array).copy(order="K"), out = np.empty_like(halves, np.float32)
    cdef (void*)[3] x = [cnp.PyArray_DATA(out), cnp.PyArray_DATA(halves), NULL]
    WIDEN[half_kind(array)].float32(x, NULL, cnp.PyArray_SIZE(out))
    return out


def narrowed(out, array):
    """Round an array of float32 to one in half precision, which is written."""
    cdef cnp.ndarray own = np.array(array, np.float32, order="K")
    cdef cnp.ndarray halves = np.empty_like(own, np.uint16)
    cdef (void*)[WITH_STORED] x
    x[0], x[STORED] = cnp.PyArray_DATA(own), cnp.PyArray_DATA(halves)
    NARROW[half_kind(out)].float32(x, NULL, cnp.PyArray_SIZE(own))
    bits_of(out)[...] = halves
