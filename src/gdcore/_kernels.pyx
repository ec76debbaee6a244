"""The update rules as typed loops, in float and double. The formulas stand in reference.py.

Every operation is written out in the order in which NumPy would do it, so that both give the same bits.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, int64_t

from gdcore._arithmetic cimport denominator, floating, flush, maximum, penalise
from gdcore._arithmetic cimport gd_magnitude32, gd_magnitude64, gd_of_magnitude32, gd_of_magnitude64
from gdcore._halves cimport narrow_bfloat16, narrow_float16, recall_bfloat16, recall_float16
from gdcore._halves cimport widen_bfloat16, widen_float16
from gdcore._table cimport Kernel

cdef extern from *:
    """
    #include <float.h>
    #if defined(_MSC_VER)
    #pragma fp_contract(off)
    #endif
    #if FLT_EVAL_METHOD != 0
    #error "gdcore promises the same bits everywhere: float arithmetic must not be done in a wider type"
    #endif
    """


cdef void decay(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # w[n] is read and written.
    cdef floating* w = <floating*> x[0]
    cdef floating decay = c[0]
    cdef Py_ssize_t i
    for i in range(n):
        w[i] = decay * w[i]


cdef void sgd(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # w[n] is read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating decay = c[0], l2 = c[1], lr = c[2]
    cdef floating g
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        w[i] = decay * w[i] - lr * g


cdef void momentum(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # w[n] and v[n] are read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* v = <floating*> x[2]
    cdef floating decay = c[0], l2 = c[1], lr = c[2], beta = c[3], gain = c[4]
    cdef bint nesterov = c[5] != 0
    cdef floating g, step
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        v[i] = flush(beta * v[i] + gain * g)
        step = beta * v[i] + gain * g if nesterov else v[i]
        w[i] = decay * w[i] - lr * step


cdef inline void rmsprop_loop(
    void** x, const floating* c, Py_ssize_t n, bint centered, bint heavy, bint rooted
) noexcept nogil:
    # w[n], s[n], a[n] (if centered) and buf[n] (if heavy) are read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* s = <floating*> x[2]
    cdef floating* a = <floating*> x[3]
    cdef floating* buf = <floating*> x[4]
    cdef floating decay = c[0], l2 = c[1], lr = c[2], beta = c[3], gain = c[4], eps = c[5]
    cdef floating eps_root = c[6], momentum = c[7]
    cdef floating g, variance, spread
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        s[i] = flush(beta * s[i] + gain * (g * g))
        variance = s[i]
        if centered:
            a[i] = flush(beta * a[i] + gain * g)
            variance = maximum(variance - a[i] * a[i], <floating> 0)  # rounding can make it negative
        spread = denominator(variance, eps, eps_root, rooted)
        if heavy:
            buf[i] = flush(momentum * buf[i] + g / spread)
            w[i] = decay * w[i] - lr * buf[i]
        else:
            w[i] = decay * w[i] - lr * g / spread


cdef inline void rmsprop_loops(void** x, const floating* c, Py_ssize_t n, bint rooted) noexcept nogil:
    # The flags are literals, so that the compiler makes loops without a branch inside.
    cdef bint centered = x[3] != NULL, heavy = x[4] != NULL
    if centered and heavy:
        rmsprop_loop(x, c, n, True, True, rooted)
    elif centered:
        rmsprop_loop(x, c, n, True, False, rooted)
    elif heavy:
        rmsprop_loop(x, c, n, False, True, rooted)
    else:
        rmsprop_loop(x, c, n, False, False, rooted)


cdef void rmsprop(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    if c[6] != 0:
        rmsprop_loops(x, c, n, True)
    else:
        rmsprop_loops(x, c, n, False)


cdef inline void adam_loop(void** x, const floating* c, Py_ssize_t n, bint amsgrad, bint rooted) noexcept nogil:
    # w[n], m[n], v[n] and vmax[n] (if amsgrad) are read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* m = <floating*> x[2]
    cdef floating* v = <floating*> x[3]
    cdef floating* vmax = <floating*> x[4]
    cdef floating decay = c[0], l2 = c[1], lr = c[2], beta1 = c[3], gain1 = c[4], beta2 = c[5], gain2 = c[6]
    cdef floating eps = c[7], eps_root = c[8]
    cdef floating g, second
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        m[i] = flush(beta1 * m[i] + gain1 * g)
        v[i] = flush(beta2 * v[i] + gain2 * (g * g))
        second = v[i]
        if amsgrad:
            vmax[i] = flush(maximum(vmax[i], second))
            second = vmax[i]
        w[i] = decay * w[i] - lr * m[i] / denominator(second, eps, eps_root, rooted)


cdef void adam(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    cdef bint amsgrad = x[4] != NULL, rooted = c[8] != 0
    if amsgrad and rooted:
        adam_loop(x, c, n, True, True)
    elif amsgrad:
        adam_loop(x, c, n, True, False)
    elif rooted:
        adam_loop(x, c, n, False, True)
    else:
        adam_loop(x, c, n, False, False)


cdef inline void adagrad_loop(void** x, const floating* c, Py_ssize_t n, bint rooted) noexcept nogil:
    # w[n] and s[n] are read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* s = <floating*> x[2]
    cdef floating decay = c[0], l2 = c[1], lr = c[2], eps = c[3], eps_root = c[4]
    cdef floating g
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        s[i] = flush(s[i] + g * g)
        w[i] = decay * w[i] - lr * g / denominator(s[i], eps, eps_root, rooted)


cdef void adagrad(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    if c[4] != 0:
        adagrad_loop(x, c, n, True)
    else:
        adagrad_loop(x, c, n, False)


cdef inline void nadam_loop(void** x, const floating* c, Py_ssize_t n, bint rooted) noexcept nogil:
    # w[n], m[n] and v[n] are read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* m = <floating*> x[2]
    cdef floating* v = <floating*> x[3]
    cdef floating decay = c[0], l2 = c[1], lr = c[2], lr_g = c[3], beta1 = c[4], gain1 = c[5], beta2 = c[6]
    cdef floating gain2 = c[7], eps = c[8], eps_root = c[9]
    cdef floating g
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        m[i] = flush(beta1 * m[i] + gain1 * g)
        v[i] = flush(beta2 * v[i] + gain2 * (g * g))
        w[i] = decay * w[i] - (lr * m[i] + lr_g * g) / denominator(v[i], eps, eps_root, rooted)


cdef void nadam(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    if c[9] != 0:
        nadam_loop(x, c, n, True)
    else:
        nadam_loop(x, c, n, False)


cdef inline floating sign(floating x) noexcept nogil:
    # As np.sign: 0 for both zeros, NaN for NaN.
    return 1 if x > 0 else (-1 if x < 0 else (0 if x == 0 else x))


cdef void lion(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # w[n] and m[n] are read and written, grad[n] is read.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* m = <floating*> x[2]
    cdef floating decay = c[0], l2 = c[1], lr = c[2], beta1 = c[3], gain1 = c[4], beta2 = c[5], gain2 = c[6]
    cdef floating g
    cdef Py_ssize_t i
    for i in range(n):
        g = penalise(grad[i], l2, w[i])
        w[i] = decay * w[i] - lr * sign(beta1 * m[i] + gain1 * g)
        m[i] = flush(beta2 * m[i] + gain2 * g)


cdef void stream(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # No rule: reads and writes what a rule with these slots does, and computes next to nothing. How fast memory
    # lets this go is the limit to which benchmarks compare the rules.
    cdef floating* w = <floating*> x[0]
    cdef const floating* grad = <const floating*> x[1]
    cdef floating* a = <floating*> x[2]
    cdef floating* b = <floating*> x[3]
    cdef floating* d = <floating*> x[4]
    cdef Py_ssize_t i
    if grad == NULL:
        for i in range(n):
            w[i] = w[i] + c[0]
    elif a == NULL:
        for i in range(n):
            w[i] = w[i] + grad[i]
    elif b == NULL:
        for i in range(n):
            a[i] = a[i] + grad[i]
            w[i] = w[i] + a[i]
    elif d == NULL:
        for i in range(n):
            a[i] = a[i] + grad[i]
            b[i] = b[i] + a[i]
            w[i] = w[i] + b[i]
    else:
        for i in range(n):
            a[i] = a[i] + grad[i]
            b[i] = b[i] + a[i]
            d[i] = d[i] + b[i]
            w[i] = w[i] + d[i]


# The stages of a step that are no rule. Before it: x[0] is written, x[1] is read; they may be the same array. After
# it: x as for the rule, and the average of the weights behind the slots.

cdef void scale(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    cdef floating* out = <floating*> x[0]
    cdef const floating* g = <const floating*> x[1]
    cdef floating scale = c[0]
    cdef Py_ssize_t i
    if out == g:  # one name for one array lets the compiler make vectors
        for i in range(n):
            out[i] = scale * out[i]
    else:
        for i in range(n):
            out[i] = scale * g[i]


cdef inline floating bounded(floating g, floating limit) noexcept nogil:
    # As np.clip: NaN stays.
    return -limit if g < -limit else (limit if g > limit else g)


cdef void clip(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    cdef floating* out = <floating*> x[0]
    cdef const floating* g = <const floating*> x[1]
    cdef floating limit = c[0]
    cdef Py_ssize_t i
    if out == g:
        for i in range(n):
            out[i] = bounded(out[i], limit)
    else:
        for i in range(n):
            out[i] = bounded(g[i], limit)


cdef void average(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # w[n] is read, a[n] is read and written. This form stands still at w whatever the rounding of the gain.
    cdef const floating* w = <const floating*> x[0]
    cdef floating* a = <floating*> x[5]
    cdef floating gain = c[0]
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = flush(a[i] + gain * (w[i] - a[i]))


# What is found of gradients before a step: x[0] is one double, x[1] the gradient, which c[0] multiplies first, x[2]
# one double or NULL.

cdef inline double squared(floating a, double divisor, bint divided) noexcept nogil:
    cdef double d = a / divisor if divided else a
    return d * d


cdef inline double sum_block(
    const floating* a, floating scale, double divisor, bint divided, Py_ssize_t n
) noexcept nogil:
    # Eight lanes that have names, as the compiler makes vectors of these and leaves an array of them in memory.
    cdef double a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0, a6 = 0, a7 = 0, total
    cdef Py_ssize_t i, whole = n - n % 8
    for i in range(0, whole, 8):
        a0 += squared(scale * a[i], divisor, divided)
        a1 += squared(scale * a[i + 1], divisor, divided)
        a2 += squared(scale * a[i + 2], divisor, divided)
        a3 += squared(scale * a[i + 3], divisor, divided)
        a4 += squared(scale * a[i + 4], divisor, divided)
        a5 += squared(scale * a[i + 5], divisor, divided)
        a6 += squared(scale * a[i + 6], divisor, divided)
        a7 += squared(scale * a[i + 7], divisor, divided)
    total = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7))
    for i in range(whole, n):
        total += squared(scale * a[i], divisor, divided)
    return total


cdef double sum_of_squares(
    const floating* a, floating scale, double divisor, bint divided, Py_ssize_t n
) noexcept nogil:
    # In double, pairwise, in the order of np.add.reduce: blocks of at most 128, halves of whole lanes.
    cdef Py_ssize_t half = n // 2 - n // 2 % 8
    if n > 128:
        return sum_of_squares(a, scale, divisor, divided, half) + sum_of_squares(
            a + half, scale, divisor, divided, n - half
        )
    return sum_block(a, scale, divisor, True, n) if divided else sum_block(a, scale, 1, False, n)


cdef void squares(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # The sum of the squares, of the quotients by x[2] if it is there.
    cdef const double* divisor = <const double*> x[2]
    (<double*> x[0])[0] = sum_of_squares(
        <const floating*> x[1], c[0], 1 if divisor == NULL else divisor[0], divisor != NULL, n
    )


cdef void largest(void** x, const floating* c, Py_ssize_t n) noexcept nogil:
    # The largest magnitude; NaN wins. Bits without the sign are in the order of the magnitudes, NaN behind
    # infinity, and of integers the compiler makes vectors.
    cdef const floating* a = <const floating*> x[1]
    cdef floating scale = c[0]
    cdef int32_t found32 = 0, bits32
    cdef int64_t found64 = 0, bits64
    cdef Py_ssize_t i
    if floating is float:
        for i in range(n):
            bits32 = gd_magnitude32(scale * a[i])
            found32 = bits32 if bits32 > found32 else found32
        (<double*> x[0])[0] = gd_of_magnitude32(found32)
    else:
        for i in range(n):
            bits64 = gd_magnitude64(scale * a[i])
            found64 = bits64 if bits64 > found64 else found64
        (<double*> x[0])[0] = gd_of_magnitude64(found64)


# The table that _engine reads: a capsule of Kernel rows, closed by a row without a name.
cdef Kernel* kernels = [
    Kernel("decay", decay[float], decay[double]),
    Kernel("sgd", sgd[float], sgd[double]),
    Kernel("momentum", momentum[float], momentum[double]),
    Kernel("rmsprop", rmsprop[float], rmsprop[double]),
    Kernel("adam", adam[float], adam[double]),
    Kernel("adagrad", adagrad[float], adagrad[double]),
    Kernel("nadam", nadam[float], nadam[double]),
    Kernel("lion", lion[float], lion[double]),
    Kernel("stream", stream[float], stream[double]),
    Kernel("scale", scale[float], scale[double]),
    Kernel("clip", clip[float], clip[double]),
    Kernel("average", average[float], average[double]),
    Kernel("widen_float16", widen_float16, NULL),
    Kernel("widen_bfloat16", widen_bfloat16, NULL),
    Kernel("recall_float16", recall_float16, NULL),
    Kernel("recall_bfloat16", recall_bfloat16, NULL),
    Kernel("narrow_float16", narrow_float16, NULL),
    Kernel("narrow_bfloat16", narrow_bfloat16, NULL),
    Kernel("squares", squares[float], squares[double]),
    Kernel("largest", largest[float], largest[double]),
    Kernel(NULL, NULL, NULL),
]
table = PyCapsule_New(kernels, "gdcore.kernels", NULL)
