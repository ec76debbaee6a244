# What the loops of the rules share: functions of one element, in float and double.

from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport fabs, fabsf, sqrt, sqrtf

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
