# The table of kernels: how _engine finds them, in whichever build of them runs here, and other compiled code too.
#
# A kernel makes one step on one run of elements: kernel(x, c, n).
#
#   x  the arrays, each of n contiguous elements that overlap no other: x[0] the parameter, x[1] the gradient,
#      x[2:5] the slots in the order of rules.py, x[5] the average of the weights, x[6] the parameter in half
#      precision where x[0] is its master; NULL where there is no such array. A rule reads x[:5] alone
#   c  the coefficients of this step in the order of rules.py, rounded to the arrays' dtype
#
# A kernel checks nothing: _engine has checked everything, and other callers have to. include/gdcore.h says the same
# in C; what is here is not changed without another VERSION.

from libc.stdint cimport int64_t

cdef enum:
    VERSION = 1

ctypedef void (*kernel32)(void** x, const float* c, Py_ssize_t n) noexcept nogil
ctypedef void (*kernel64)(void** x, const double* c, Py_ssize_t n) noexcept nogil

cdef struct Kernel:
    const char* rule
    kernel32 float32
    kernel64 float64  # NULL: what converts half precision works in float32 alone

cdef struct Table:
    int version
    int size  # bytes of this struct
    const Kernel* kernels  # closed by a row without a name
    const Kernel* (*find)(const char* rule) except NULL with gil
    int (*coefficients)(
        const char* rule, int itemsize, const double* hyperparameters, int64_t t, void* c
    ) except -1 with gil
