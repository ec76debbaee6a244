# What the loops of the rules share: functions of one element, in float and double.

from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport fabs, fabsf, sqrt, sqrtf
from libc.stdint cimport int32_t, int64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline int32_t gd_magnitude32(float x) { int32_t bits; memcpy(&bits, &x, 4); return bits & INT32_MAX; }
    static inline int64_t gd_magnitude64(double x) { int64_t bits; memcpy(&bits, &x, 8); return bits & INT64_MAX; }
    static inline float gd_of_magnitude32(int32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
    static inline double gd_of_magnitude64(int64_t bits) { double x; memcpy(&x, &bits, 8); return x; }
    """
    int32_t gd_magnitude32(float x) noexcept nogil
    int64_t gd_magnitude64(double x) noexcept nogil
    float gd_of_magnitude32(int32_t bits) noexcept nogil
    double gd_of_magnitude64(int64_t bits) noexcept nogil

ctypedef fused floating:
    float
    double


cdef inline floating root(floating x) noexcept nogil:
    if floating is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline floating maximum(floating a, floating b) noexcept nogil:
    # As np.maximum: NaN wins.
    return b if (b > a) | (b != b) else a


cdef inline floating flush(floating x) noexcept nogil:
    # Slots hold no subnormal numbers. A slot whose gradient is dead decays to them and stays there, and arithmetic
    # on them is tens of times slower.
    if floating is float:
        return 0 if fabsf(x) < FLT_MIN else x
    else:
        return 0 if fabs(x) < DBL_MIN else x


cdef inline floating penalise(floating g, floating l2, floating w) noexcept nogil:
    # Without l2 the weight must not be touched: 0 * inf is NaN.
    return g + l2 * w if l2 != 0 else g


cdef inline floating denominator(floating variance, floating eps, floating eps_root, bint rooted) noexcept nogil:
    # rooted is a literal, which makes loops of their own: those without eps_root are spared the addition.
    return root(variance + eps_root if rooted else variance) + eps
