# The table of kernels of nets: how _door finds them, in whichever build of them runs here.
#
# kernel(x, n, c): the arrays, contiguous, NULL where one is not asked for; sizes; coefficients. The first comment
# in a kernel says which. A kernel checks nothing: _door is the only caller, and has checked everything.

ctypedef void (*kernel32)(void** x, const Py_ssize_t* n, const float* c) noexcept nogil
ctypedef void (*kernel64)(void** x, const Py_ssize_t* n, const double* c) noexcept nogil

cdef struct Kernel:
    const char* name
    kernel32 float32
    kernel64 float64
