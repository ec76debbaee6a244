"""Numbers and short arrays in C: NumPy's own loops are called for them, so that the bits are NumPy's."""

cimport numpy as cnp
from libc.math cimport pow, powf

from ._ways cimport ADD, COS, DIVIDE, EXP, LOG, MULTIPLY, NO_WAY, SIN, SQRT, SUBTRACT, TANH

from .nets._door cimport new_like

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void* data, cnp.dtype descr, object base)

cdef extern from "<fenv.h>" nogil:
    int FE_DIVBYZERO, FE_INVALID, FE_OVERFLOW, FE_UNDERFLOW
    int feclearexcept(int excepts)
    int fetestexcept(int excepts)

cdef enum:
    LONG = 1 << 15  # elements, whose loop takes so long that NumPy's call around it does not matter
    NARROW = 8  # elements of a row: not worth a call of a loop

cdef int SIGNS = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW  # of what NumPy may warn of
cdef object ndarray = np.ndarray, np_add = np.add
cdef cnp.dtype dtype32 = np.dtype(np.float32), dtype64 = np.dtype(np.float64)

cdef struct Loop:
    cnp.PyUFuncGenericFunction function
    void* data

cdef Loop[NO_WAY] loops32
cdef Loop[NO_WAY] loops64


cdef Loop loop_of(cnp.ufunc ufunc, str kind):
    # Which loop it is, is asked of Python: the types in C are left out of the declarations of NumPy 2.5.
    cdef Loop loop
    cdef int i
    cdef list types = (<object> ufunc).types
    loop.function, loop.data = NULL, NULL
    if f"{kind * ufunc.nin}->{kind}" in types:
        i = types.index(f"{kind * ufunc.nin}->{kind}")
        loop.function = ufunc.functions[i]
        if ufunc.data != NULL:
            loop.data = ufunc.data[i]
    return loop


for _way, _ufunc in (
    (ADD, np.add), (SUBTRACT, np.subtract), (MULTIPLY, np.multiply), (DIVIDE, np.divide),
    (EXP, np.exp), (LOG, np.log), (SQRT, np.sqrt), (SIN, np.sin), (COS, np.cos), (TANH, np.tanh),
):
    loops32[<int> _way] = loop_of(_ufunc, "f")
    loops64[<int> _way] = loop_of(_ufunc, "d")


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


cdef bint has_rows(cnp.ndarray x) noexcept:
    # Whether it is of numbers that NumPy's loops take, and its rows lie in one piece each.
    cdef int kind = cnp.PyArray_TYPE(x), ndim = cnp.PyArray_NDIM(x)
    return (
        ndim > 0 and (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(x)
        and cnp.PyArray_STRIDE(x, ndim - 1) == cnp.PyArray_ITEMSIZE(x)
    )


cdef object combined(int way, object x, object y, object out):
    # x + y, x - y, x * y or x / y of short arrays of one dtype and shape, or with a row y, in a new array or, for
    # sums, in out, which may be x. None, if they are others, or if NumPy is to be asked, as it would warn of this.
    cdef cnp.ndarray a, b, c
    cdef cnp.npy_intp rows = 1, n, _row
    cdef cnp.npy_intp[3] steps, between = [0, 0, 0]
    cdef (char*)[3] args
    cdef Loop loop
    cdef int raised, ndim
    if type(x) is not ndarray or type(y) is not ndarray:
        return None
    a, b = x, y
    n = cnp.PyArray_SIZE(a)
    ndim = cnp.PyArray_NDIM(a)
    if n >= LONG or not has_rows(a) or not has_rows(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        return None
    if cnp.PyArray_SAMESHAPE(a, b):
        c = new_like(a) if out is None else out
        if not (
            cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_IS_C_CONTIGUOUS(b) and cnp.PyArray_IS_C_CONTIGUOUS(c)
        ):
            between[1] = cnp.PyArray_STRIDE(b, 0)
            rows = 0
    elif ndim == 2 and cnp.PyArray_NDIM(b) == 1 and cnp.PyArray_DIM(a, 1) == cnp.PyArray_DIM(b, 0):
        c = new_like(a) if out is None else out
        rows = 0
    else:
        return None
    if rows == 0:
        if ndim != 2 or cnp.PyArray_DIM(a, 1) < NARROW:
            return None
        rows, n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1)
        between[0], between[2] = cnp.PyArray_STRIDE(a, 0), cnp.PyArray_STRIDE(c, 0)
    steps[0] = steps[1] = steps[2] = cnp.PyArray_ITEMSIZE(a)
    args[0], args[1], args[2] = cnp.PyArray_BYTES(a), cnp.PyArray_BYTES(b), cnp.PyArray_BYTES(c)
    loop = loops32[way] if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT else loops64[way]
    if loop.function == NULL:
        return None
    if fetestexcept(SIGNS):  # which takes less time than clearing them
        feclearexcept(SIGNS)
    for _row in range(rows):
        loop.function(args, &n, steps, loop.data)
        args[0] += between[0]
        args[1] += between[1]
        args[2] += between[2]
    raised = fetestexcept(SIGNS)
    if raised and out is None:
        return None
    if raised:
        warn_of_sums(raised, c.dtype)
    return c


cdef int warn_of_sums(int raised, cnp.dtype dtype) except -1:
    # As np.add does, or raises, of such sums.
    if raised & FE_OVERFLOW:
        x = np.array([np.finfo(dtype).max])
        np_add(x, x)
    if raised & FE_INVALID:
        x = np.array([np.inf], dtype)
        np_add(x, -x)
    return 0
