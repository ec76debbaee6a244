"""The kernels of nets, in float and double, and the table by which ``_door`` finds them.

``_functions.pxd`` has the elementary functions, ``_rows.pxd`` what works on rows of elements, ``_planes.pxd`` what
moves them. The formulas stand in reference.py.
"""

from cpython.pycapsule cimport PyCapsule_New

from gdcore.derivatives.nets._functions cimport exponential, floating, logarithm
from gdcore.derivatives.nets._planes cimport (
    add_rows, drop, fold, max_pool, max_pool_back, turn, unfold,
)
from gdcore.derivatives.nets._rows cimport (
    GELU, LOGISTIC, NONE, RELU, SIGMOID, SILU, SOFTPLUS, TANH, activate, activate_back, cross_entropy, layer_norm,
    layer_norm_back, log_sum_exp, soft_cross_entropy, softmax_rows, softmax_rows_back,
)
from gdcore.derivatives.nets._table cimport Kernel


# The kinds are literals, so that the compiler makes a loop of each, without a branch inside.
cdef void none(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(NONE, x, n, c)


cdef void relu(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(RELU, x, n, c)


cdef void tanh(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(TANH, x, n, c)


cdef void sigmoid(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(SIGMOID, x, n, c)


cdef void softplus(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(SOFTPLUS, x, n, c)


cdef void gelu(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(GELU, x, n, c)


cdef void silu(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(SILU, x, n, c)


cdef void none_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(NONE, x, n, c)


cdef void relu_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(RELU, x, n, c)


cdef void tanh_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(TANH, x, n, c)


cdef void sigmoid_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(SIGMOID, x, n, c)


cdef void softplus_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(SOFTPLUS, x, n, c)


cdef void gelu_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(GELU, x, n, c)


cdef void silu_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(SILU, x, n, c)


cdef void logistic(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate(LOGISTIC, x, n, c)


cdef void logistic_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    activate_back(LOGISTIC, x, n, c)


cdef void softmax(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    softmax_rows(False, x, n, c)


cdef void log_softmax(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    softmax_rows(True, x, n, c)


cdef void softmax_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    softmax_rows_back(False, x, n, c)


cdef void log_softmax_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    softmax_rows_back(True, x, n, c)


cdef void exp(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # h[n] = e^z[n].
    cdef const floating* z = <const floating*> x[0]
    cdef floating* h = <floating*> x[2]
    cdef Py_ssize_t i
    for i in range(n[0] * n[1]):
        h[i] = exponential(z[i])


cdef void log(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # h[n] = log(z[n]).
    cdef const floating* z = <const floating*> x[0]
    cdef floating* h = <floating*> x[2]
    cdef Py_ssize_t i
    for i in range(n[0] * n[1]):
        h[i] = logarithm(z[i])


cdef Kernel[35] kernels
kernels[0] = Kernel("none", none[float], none[double])
kernels[1] = Kernel("relu", relu[float], relu[double])
kernels[2] = Kernel("tanh", tanh[float], tanh[double])
kernels[3] = Kernel("sigmoid", sigmoid[float], sigmoid[double])
kernels[4] = Kernel("softplus", softplus[float], softplus[double])
kernels[5] = Kernel("gelu", gelu[float], gelu[double])
kernels[6] = Kernel("silu", silu[float], silu[double])
kernels[7] = Kernel("exp", exp[float], exp[double])
kernels[8] = Kernel("log", log[float], log[double])
kernels[9] = Kernel("none_back", none_back[float], none_back[double])
kernels[10] = Kernel("relu_back", relu_back[float], relu_back[double])
kernels[11] = Kernel("tanh_back", tanh_back[float], tanh_back[double])
kernels[12] = Kernel("sigmoid_back", sigmoid_back[float], sigmoid_back[double])
kernels[13] = Kernel("softplus_back", softplus_back[float], softplus_back[double])
kernels[14] = Kernel("gelu_back", gelu_back[float], gelu_back[double])
kernels[15] = Kernel("silu_back", silu_back[float], silu_back[double])
kernels[16] = Kernel("cross_entropy", cross_entropy[float], cross_entropy[double])
kernels[17] = Kernel("softmax", softmax[float], softmax[double])
kernels[18] = Kernel("log_softmax", log_softmax[float], log_softmax[double])
kernels[19] = Kernel("log_sum_exp", log_sum_exp[float], log_sum_exp[double])
kernels[20] = Kernel("layer_norm", layer_norm[float], layer_norm[double])
kernels[21] = Kernel("layer_norm_back", layer_norm_back[float], layer_norm_back[double])
kernels[22] = Kernel("add_rows", add_rows[float], add_rows[double])
kernels[23] = Kernel("drop", drop[float], drop[double])
kernels[24] = Kernel("unfold", unfold[float], unfold[double])
kernels[25] = Kernel("fold", fold[float], fold[double])
kernels[26] = Kernel("turn", turn[float], turn[double])
kernels[27] = Kernel("max_pool", max_pool[float], max_pool[double])
kernels[28] = Kernel("max_pool_back", max_pool_back[float], max_pool_back[double])
kernels[29] = Kernel("logistic", logistic[float], logistic[double])
kernels[30] = Kernel("logistic_back", logistic_back[float], logistic_back[double])
kernels[31] = Kernel("softmax_back", softmax_back[float], softmax_back[double])
kernels[32] = Kernel("log_softmax_back", log_softmax_back[float], log_softmax_back[double])
kernels[33] = Kernel("soft_cross_entropy", soft_cross_entropy[float], soft_cross_entropy[double])
kernels[34] = Kernel(NULL, NULL, NULL)
table = PyCapsule_New(&kernels[0], "gdcore.derivatives.nets.kernels", NULL)
