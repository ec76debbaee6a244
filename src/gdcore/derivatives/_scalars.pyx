"""Numbers in C: NumPy's own loops are called for one element, so that the bits are NumPy's."""

cimport numpy as cnp
from libc.math cimport pow, powf

from ._ways cimport COS, EXP, LOG, NO_WAY, SIN, SQRT, TANH

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void* data, cnp.dtype descr, object base)

cdef cnp.dtype dtype32 = np.dtype(np.float32), dtype64 = np.dtype(np.float64)

cdef struct Loop:
    cnp.PyUFuncGenericFunction function
    void* data

cdef Loop[NO_WAY] loops32
cdef Loop[NO_WAY] loops64


cdef Loop loop_of(cnp.ufunc ufunc, char kind) noexcept:
    cdef Loop loop
    cdef int i
    loop.function, loop.data = NULL, NULL
    for i in range(ufunc.ntypes):
        if ufunc.types[2 * i] == kind == ufunc.types[2 * i + 1]:
            loop.function, loop.data = ufunc.functions[i], ufunc.data[i]
            break
    return loop


for _way, _ufunc in ((EXP, np.exp), (LOG, np.log), (SQRT, np.sqrt), (SIN, np.sin), (COS, np.cos), (TANH, np.tanh)):
    loops32[<int> _way] = loop_of(_ufunc, cnp.NPY_FLOAT)
    loops64[<int> _way] = loop_of(_ufunc, cnp.NPY_DOUBLE)


cdef double apply(int function, double x, bint single) noexcept:
    # The function of NumPy for which has_loop(function), of one number.
    cdef float x32 = <float> x, ans32 = 0
    cdef double ans64 = 0
    cdef cnp.npy_intp n = 1
    cdef cnp.npy_intp[2] steps = [8, 8]
    cdef (char*)[2] args
    if single:
        args[0], args[1] = <char*> &x32, <char*> &ans32
        loops32[function].function(args, &n, steps, loops32[function].data)
        return ans32
    args[0], args[1] = <char*> &x, <char*> &ans64
    loops64[function].function(args, &n, steps, loops64[function].data)
    return ans64


cdef object number_of(double value, bint single):
    # The scalar of NumPy.
    cdef float value32
    if single:
        value32 = <float> value
        return PyArray_Scalar(&value32, dtype32, None)
    return PyArray_Scalar(&value, dtype64, None)


cdef double power(double x, double y, bint single) noexcept nogil:
    return powf(<float> x, <float> y) if single else pow(x, y)
