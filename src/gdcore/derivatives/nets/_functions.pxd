# Elementary functions without a branch, as the compiler can turn into vectors: the twin of functions.py, which says
# what they are. Every operation is written out in the order in which NumPy does it there. Numbers
# are cast, as Cython takes a bare 1 for a double, in which C then goes on.

from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport INFINITY, NAN, copysign, copysignf, fabs, fabsf
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <float.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(_MSC_VER)
    #pragma fp_contract(off)
    #endif
    #if FLT_EVAL_METHOD != 0
    #error "gdcore promises the same bits everywhere: float arithmetic must not be done in a wider type"
    #endif
    static inline uint32_t gd_bits32(float x) { uint32_t b; memcpy(&b, &x, sizeof b); return b; }
    static inline uint64_t gd_bits64(double x) { uint64_t b; memcpy(&b, &x, sizeof b); return b; }
    static inline float gd_float(uint32_t b) { float x; memcpy(&x, &b, sizeof x); return x; }
    static inline double gd_double(uint64_t b) { double x; memcpy(&x, &b, sizeof x); return x; }
    """
    uint32_t gd_bits32(float x) noexcept nogil
    uint64_t gd_bits64(double x) noexcept nogil
    float gd_float(uint32_t b) noexcept nogil
    double gd_double(uint64_t b) noexcept nogil

ctypedef fused floating:
    float
    double

cdef extern from *:
    """
    #define GD_MAGIC32 12582912.0f
    #define GD_MAGIC64 6755399441055744.0
    """
    const float MAGIC32 "GD_MAGIC32"
    const double MAGIC64 "GD_MAGIC64"


cdef inline floating exp_polynomial(floating x) noexcept nogil:
    # (e^x - 1 - x) / x^2.
    cdef floating p
    if floating is float:
        p = <floating> 0.00139262679
        p = p * x + <floating> 0.00836324692
        p = p * x + <floating> 0.0416665524
        p = p * x + <floating> 0.166665763
        p = p * x + <floating> 0.5
    else:
        p = <floating> 2.5100494788905042e-08
        p = p * x + <floating> 2.76202305675069e-07
        p = p * x + <floating> 2.7557268229963227e-06
        p = p * x + <floating> 2.4801520996825697e-05
        p = p * x + <floating> 0.00019841269863201828
        p = p * x + <floating> 0.0013888888917406447
        p = p * x + <floating> 0.008333333333330032
        p = p * x + <floating> 0.04166666666662374
        p = p * x + <floating> 0.16666666666666669
        p = p * x + <floating> 0.50000000000000011
    return p


cdef inline floating log_polynomial(floating x) noexcept nogil:
    # (2 atanh(s) / s - 2) / x for x = s^2.
    cdef floating p
    if floating is float:
        p = <floating> 0.232243299
        p = p * x + <floating> 0.217065752
        p = p * x + <floating> 0.28592357
        p = p * x + <floating> 0.399997056
        p = p * x + <floating> 0.666666687
    else:
        p = <floating> 0.1616404561194353
        p = p * x + <floating> 0.08800738486144674
        p = p * x + <floating> 0.12001072809590713
        p = p * x + <floating> 0.13314144209654935
        p = p * x + <floating> 0.15385570064958623
        p = p * x + <floating> 0.18181789436132859
        p = p * x + <floating> 0.22222222717427864
        p = p * x + <floating> 0.2857142856710876
        p = p * x + <floating> 0.40000000000014585
        p = p * x + <floating> 0.6666666666666666
    return p


cdef inline floating tanh_polynomial(floating x) noexcept nogil:
    # (tanh(s) / s - 1) / x for x = s^2.
    cdef floating p
    if floating is float:
        p = <floating> 0.000142793186
        p = p * x + <floating> -0.000923500862
        p = p * x + <floating> 0.00320680346
        p = p * x + <floating> -0.00869784784
        p = p * x + <floating> 0.0218295492
        p = p * x + <floating> -0.0539634153
        p = p * x + <floating> 0.133333102
        p = p * x + <floating> -0.333333343
    else:
        p = <floating> 2.5155023659382105e-08
        p = p * x + <floating> -2.6330772232959337e-07
        p = p * x + <floating> 1.3791814499083342e-06
        p = p * x + <floating> -4.987760317520347e-06
        p = p * x + <floating> 1.4606131676715378e-05
        p = p * x + <floating> -3.8389607893147334e-05
        p = p * x + <floating> 9.646277743313181e-05
        p = p * x + <floating> -0.00023895705228738225
        p = p * x + <floating> 0.0005899792946300052
        p = p * x + <floating> -0.0014558246920964941
        p = p * x + <floating> 0.003592126679366341
        p = p * x + <floating> -0.008863235404578283
        p = p * x + <floating> 0.02186948852912909
        p = p * x + <floating> -0.05396825396804637
        p = p * x + <floating> 0.1333333333333309
        p = p * x + <floating> -0.3333333333333333
    return p


cdef inline floating near_polynomial(floating x) noexcept nogil:
    # (cdf(s) - 1 / 2) / s for x = s^2.
    cdef floating p
    if floating is float:
        p = <floating> -7.66053836e-06
        p = p * x + <floating> 0.000113502298
        p = p * x + <floating> -0.00118634396
        p = p * x + <floating> 0.00997332856
        p = p * x + <floating> -0.0664903596
        p = p * x + <floating> 0.398942292
    else:
        p = <floating> 4.0743269774266276e-12
        p = p * x + <floating> -1.106432828275589e-10
        p = p * x + <floating> 2.2704137585676e-09
        p = p * x + <floating> -4.1224107514160815e-08
        p = p * x + <floating> 6.659679879655231e-07
        p = p * x + <floating> -9.444655793103845e-06
        p = p * x + <floating> 0.00011543468751655941
        p = p * x + <floating> -0.0011873282154680343
        p = p * x + <floating> 0.009973557010035022
        p = p * x + <floating> -0.06649038006690543
        p = p * x + <floating> 0.3989422804014327
    return p


cdef inline floating far_polynomial(floating x) noexcept nogil:
    # cdf(-a) e^(a^2 / 2) / r for r = 1 / (a + shift), x = r - middle.
    cdef floating p
    if floating is float:
        p = <floating> -1853.60132
        p = p * x + <floating> -124.657417
        p = p * x + <floating> 326.50946
        p = p * x + <floating> 16.0368557
        p = p * x + <floating> -57.006916
        p = p * x + <floating> -9.55906773
        p = p * x + <floating> 10.8720684
        p = p * x + <floating> 7.82690525
        p = p * x + <floating> 2.82521677
        p = p * x + <floating> 0.686981201
    else:
        p = <floating> -5229073435.925107
        p = p * x + <floating> 179575828.58843127
        p = p * x + <floating> 551862961.2904938
        p = p * x + <floating> -45273897.57002944
        p = p * x + <floating> -40575126.362131126
        p = p * x + <floating> 5605333.568273098
        p = p * x + <floating> 3002026.3368697236
        p = p * x + <floating> -531081.1068715492
        p = p * x + <floating> -261774.46066425194
        p = p * x + <floating> 41540.02179279226
        p = p * x + <floating> 28248.556142273916
        p = p * x + <floating> -1470.524193890844
        p = p * x + <floating> -3458.878520823781
        p = p * x + <floating> -579.7669146671648
        p = p * x + <floating> 308.2950442621297
        p = p * x + <floating> 228.24629014222484
        p = p * x + <floating> 82.47459234040788
        p = p * x + <floating> 21.1305237797461
        p = p * x + <floating> 4.236751666948206
        p = p * x + <floating> 0.693192184430356
    return p


cdef inline floating absolute(floating x) noexcept nogil:
    if floating is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline floating whole(floating x) noexcept nogil:
    # The nearest integer.
    if floating is float:
        return (x + MAGIC32) - MAGIC32
    else:
        return (x + MAGIC64) - MAGIC64


cdef inline floating power_of_two(floating n) noexcept nogil:
    if floating is float:
        return gd_float(gd_bits32(n + (MAGIC32 + <float> 127)) << 23)
    else:
        return gd_double(gd_bits64(n + (MAGIC64 + <double> 1023)) << 52)


cdef inline floating exponential(floating x) noexcept nogil:
    cdef floating n, half, r, p
    if floating is float:
        x = -105 if x < -105 else x
        x = 90 if x > 90 else x
        n = whole(x * <floating> 1.4426950408889634)
        r = (x - n * <floating> 0.693145751953125) - n * <floating> 1.42860677e-06
    else:
        x = -746 if x < -746 else x
        x = 710 if x > 710 else x
        n = whole(x * 1.4426950408889634)
        r = (x - n * 0.6931471805601177) - n * -1.7239444525614835e-13
    half = whole(n * <floating> 0.5)
    p = <floating> 1 + (r + r * r * exp_polynomial(r))
    return p * power_of_two(half) * power_of_two(n - half)


cdef inline floating curvature(floating f, floating low) noexcept nogil:
    # f - log(1 + f) - low.
    cdef floating s = f / (<floating> 2 + f)
    cdef floating z = s * s
    cdef floating h = <floating> 0.5 * f * f
    return h - (s * (h + z * log_polynomial(z)) + low)


cdef inline floating logarithm(floating x) noexcept nogil:
    cdef floating y, e, f
    cdef uint32_t b
    cdef uint64_t c
    if floating is float:
        y = x * <float> 33554432 if x < FLT_MIN else x  # 2^25
        b = gd_bits32(y) + (<uint32_t> 0x3F800000 - <uint32_t> 0x3F3504F3)
        e = gd_float((b >> 23) | <uint32_t> 0x4B000000) - <float> (8388608 + 127)
        e = e - <float> 25 if x < FLT_MIN else e
        f = gd_float((b & <uint32_t> 0x007FFFFF) + <uint32_t> 0x3F3504F3) - <float> 1
        y = e * <floating> 0.693145751953125 - (curvature(f, e * <floating> 1.42860677e-06) - f)
    else:
        y = x * 18014398509481984.0 if x < DBL_MIN else x  # 2^54
        c = gd_bits64(y) + (<uint64_t> 0x3FF0000000000000 - <uint64_t> 0x3FE6A09E667F3BCD)
        e = gd_double((c >> 52) | <uint64_t> 0x4330000000000000) - (4503599627370496.0 + 1023)
        e = e - <double> 54 if x < DBL_MIN else e
        f = gd_double((c & <uint64_t> 0x000FFFFFFFFFFFFF) + <uint64_t> 0x3FE6A09E667F3BCD) - <double> 1
        y = e * 0.6931471805601177 - (curvature(f, e * -1.7239444525614835e-13) - f)
    y = y if x < <floating> INFINITY else x
    y = -<floating> INFINITY if x == 0 else y
    return <floating> NAN if x < 0 else y


cdef inline floating tangent(floating x) noexcept nogil:
    # tanh.
    cdef floating a = absolute(x)
    cdef floating z = x * x
    cdef floating near = a + a * z * tanh_polynomial(z)
    cdef floating far = <floating> 1 - <floating> 2 / (exponential(<floating> 2 * a) + <floating> 1)
    near = near if a < 1 else far
    if floating is float:
        return copysignf(near, x)
    else:
        return copysign(near, x)


cdef inline floating logistic(floating x) noexcept nogil:
    cdef floating e = exponential(-absolute(x))
    return (e if x < 0 else <floating> 1) / (<floating> 1 + e)


cdef inline floating soft(floating x) noexcept nogil:
    # softplus.
    cdef floating f = exponential(-absolute(x))
    return (x if x > 0 else <floating> 0) + (f - curvature(f, <floating> 0))


cdef inline floating most(floating x, floating bound) noexcept nogil:
    return bound if x > bound else x


cdef inline floating least(floating x, floating bound) noexcept nogil:
    return bound if x < bound else x


cdef inline floating normal_exponential(floating a) noexcept nogil:
    # e^(-a^2 / 2) for a >= 0.
    cdef floating high, low, square, missing, e
    if floating is float:
        high = gd_float(gd_bits32(a) & <uint32_t> 0xFFFFF000)
    else:
        high = gd_double(gd_bits64(a) & <uint64_t> 0xFFFFFFFFF8000000)
    low = a - high
    square = a * a
    missing = ((high * high - square) + <floating> 2 * high * low) + low * low
    e = exponential(<floating> -0.5 * square)
    return e - e * (<floating> 0.5 * missing)


cdef inline floating normal_cdf(floating x, floating a, floating e) noexcept nogil:
    # Given a = min(|x|, bound) and e = e^(-a^2 / 2).
    cdef floating r, tail, near, far
    if floating is float:
        r = <floating> 1 / (a + <floating> 3)
        tail = e * (r * far_polynomial(r - <floating> 0.15234375))
    else:
        r = <floating> 1 / (a + <floating> 4)
        tail = e * (r * far_polynomial(r - 0.111328125))
    near = <floating> 0.5 + x * near_polynomial(x * x)
    far = tail if x < 0 else <floating> 1 - tail
    return near if a < 1 else far


cdef inline floating cdf_bound(floating _) noexcept nogil:
    if floating is float:
        return 15
    else:
        return 39


cdef inline floating exp_bound(floating _) noexcept nogil:
    if floating is float:
        return -105
    else:
        return -746


cdef inline floating gelu(floating x) noexcept nogil:
    cdef floating bound = cdf_bound(x)
    cdef floating a = most(absolute(x), bound)
    return least(x, -bound) * normal_cdf(x, a, normal_exponential(a))


cdef inline floating gelu_slope(floating x) noexcept nogil:
    cdef floating bound = cdf_bound(x)
    cdef floating a = most(absolute(x), bound)
    cdef floating e = normal_exponential(a)
    return normal_cdf(x, a, e) + most(least(x, -bound), bound) * (e * <floating> 0.3989422804014327)


cdef inline floating silu(floating x) noexcept nogil:
    cdef floating bound = exp_bound(x)
    return least(x, bound) * logistic(x)


cdef inline floating silu_slope(floating x) noexcept nogil:
    cdef floating bound = exp_bound(x)
    cdef floating p = logistic(x)
    return p + most(least(x, bound), -bound) * (p * (<floating> 1 - p))
