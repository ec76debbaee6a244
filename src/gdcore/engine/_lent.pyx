"""Tensors that step by step come anew, seen as NumPy arrays: by DLPack's table of functions, a call of C each.

What is returned owns nothing but a reference to its tensor, and is meant for one step.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
cimport numpy as cnp
from numpy cimport npy_intp

import numpy as np

from .. import arguments

cnp.import_array()

cdef extern from *:
    cnp.ndarray PyArray_NewFromDescr(
        PyTypeObject* subtype, cnp.dtype descr, int nd, const npy_intp* dims, const npy_intp* strides, void* data,
        int flags, object obj,
    )
    PyTypeObject* ARRAY "&PyArray_Type"

cdef enum:
    MOST_DIMS = 64  # NumPy's
    CPU = 1  # DLPack's numbers
    FLOAT = 2
    BFLOAT = 4
    MAJOR = 1  # of the version of the table

cdef struct Tensor:  # DLTensor
    char* data
    int32_t device, device_id
    int32_t ndim
    uint8_t code, bits
    uint16_t lanes
    int64_t* shape
    int64_t* strides  # in elements
    uint64_t byte_offset

cdef struct Table:  # DLPackExchangeAPI
    uint32_t major, minor
    void* previous
    void* allocate
    void* take
    void* give
    int (*look)(PyObject* tensor, Tensor* out) except -1
    void* stream

cdef object DOUBLE = np.dtype(np.float64), SINGLE = np.dtype(np.float32)
cdef object HALF = np.dtype(np.float16), BRAIN = arguments.BFLOAT16


cdef Table* table_of(object kind) except? NULL:
    # Of a type; NULL if it has none that is known here.
    cdef Table* table
    capsule = getattr(kind, "__dlpack_c_exchange_api__", None)
    if capsule is None:
        return NULL
    table = <Table*> PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
    return table if table.major == MAJOR and table.look != NULL else NULL


cdef object dtype_of(const Tensor* tensor):
    # None for one that no step takes.
    if tensor.lanes != 1:
        return None
    if tensor.code == FLOAT:
        return {64: DOUBLE, 32: SINGLE, 16: HALF}.get(tensor.bits)
    return BRAIN if tensor.code == BFLOAT and tensor.bits == 16 else None


cdef object look(Table* table, object item, Tensor* tensor):
    # The dtype of a tensor in the memory of the CPU, None if it is another.
    try:
        table.look(<PyObject*> item, tensor)
    except Exception:  # which says less than what is said of such a tensor elsewhere
        return None
    return dtype_of(tensor) if tensor.device == CPU and tensor.ndim <= MOST_DIMS else None


def seen(list tensors, kinds):
    """Return each tensor as an array, or as it is where its type is none of ``kinds`` or it is not plain memory."""
    cdef Table* table = table_of(kinds[0])
    cdef Tensor tensor
    cdef npy_intp[MOST_DIMS] shape, strides
    cdef int k
    cdef cnp.ndarray array
    cdef list found = list(tensors)
    if table == NULL:
        return found
    for i in range(len(found)):
        item = found[i]
        if type(item) not in kinds:
            continue
        dtype = look(table, item, &tensor)
        if dtype is None or tensor.strides == NULL:
            continue
        for k in range(tensor.ndim):
            shape[k] = tensor.shape[k]
            strides[k] = tensor.strides[k] * (tensor.bits // 8)
        Py_INCREF(dtype)
        array = PyArray_NewFromDescr(
            ARRAY, dtype, tensor.ndim, shape, strides, tensor.data + tensor.byte_offset, cnp.NPY_ARRAY_WRITEABLE,
            None,
        )
        cnp.set_array_base(array, item)
        found[i] = array
    return found


def are(list tensors, list arrays, kinds):
    """Return whether each array still is what its tensor is in memory; False where that is not known."""
    cdef Table* table = table_of(kinds[0])
    cdef Tensor tensor
    cdef Py_ssize_t i
    cdef npy_intp step
    cdef int k
    cdef cnp.ndarray array
    if table == NULL:
        return False
    for i in range(len(tensors)):
        item, array = tensors[i], arrays[i]
        if type(item) not in kinds:
            return False
        dtype = look(table, item, &tensor)
        if dtype is not array.dtype or tensor.data + tensor.byte_offset != cnp.PyArray_BYTES(array):
            return False
        if tensor.ndim != cnp.PyArray_NDIM(array) or tensor.strides == NULL:
            return False
        for k in range(tensor.ndim):
            if tensor.shape[k] != cnp.PyArray_DIM(array, k):
                return False
            step = tensor.strides[k] * cnp.PyArray_ITEMSIZE(array)
            if tensor.shape[k] > 1 and step != cnp.PyArray_STRIDE(array, k):
                return False
    return True
