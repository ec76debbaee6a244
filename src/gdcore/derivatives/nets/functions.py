"""Elementary functions of float32 and float64, in NumPy: the twin of ``_functions.pxd``, bit for bit.

Each is a reduction of the range and a polynomial, without a branch: every element takes the same way, which the
compiler turns into vectors. There is no fused multiply-add and no call of libm, so that every CPU and every NumPy
gives the same bits. They are within 2 ulp of the truth: ``exp`` and ``log`` within 1.1, ``tanh``, ``log1p`` and
``softplus`` within 1.6, ``sigmoid`` and ``silu`` within 2.7, the probability of a normal variable within 2 from
-0.5 on and within 6 below (docs/gates.md says how that was measured). NaN gives NaN, whose bits are not said;
infinities give the limits; what underflows does so gradually.

The polynomials interpolate in Chebyshev's points, worked out with 60 digits, of a degree at which their own error
is below an eighth of an ulp.
"""

from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

LOG2E: Final = 1.4426950408889634
DENSITY: Final = 0.3989422804014327  # 1 / sqrt(2 pi)

# A number of about 2^23 (2^52) has no bits behind the point: adding MAGIC rounds to integers, which then stand in
# the last bits. LN2_HIGH has so few bits that its product with an exponent is exact.
SHIFT: Final = {"f": 23, "d": 52}
BIAS: Final = {"f": 127, "d": 1023}
MAGIC: Final = {"f": 1.5 * 2.0**23, "d": 1.5 * 2.0**52}
LN2_HIGH: Final = {"f": 0.693145751953125, "d": 0.6931471805601177}
LN2_LOW: Final = {"f": 1.42860677e-06, "d": -1.7239444525614835e-13}
ROOT_HALF: Final = {"f": 0x3F3504F3, "d": 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2), below m of a logarithm
EXP_LEAST: Final = {"f": -105.0, "d": -746.0}
EXP_MOST: Final = {"f": 90.0, "d": 710.0}
TOP_HALF: Final = {"f": 0xFFFFF000, "d": 0xFFFFFFFFF8000000}  # of the bits of a number, half of its digits
CDF_MOST: Final = {"f": 15.0, "d": 39.0}
CDF_SHIFT: Final = {"f": 3.0, "d": 4.0}
CDF_MIDDLE: Final = {"f": 0.15234375, "d": 0.111328125}

# fmt: off
# (e^r - 1 - r) / r^2 for |r| <= log(2) / 2.
EXP: Final = {
    "f": (0.5, 0.166665763, 0.0416665524, 0.00836324692, 0.00139262679),
    "d": (0.50000000000000011, 0.16666666666666669, 0.04166666666662374, 0.008333333333330032,
          0.0013888888917406447, 0.00019841269863201828, 2.4801520996825697e-05, 2.7557268229963227e-06,
          2.76202305675069e-07, 2.5100494788905042e-08),
}
# (2 atanh(s) / s - 2) / z for z = s^2 <= 1/9.
LOG: Final = {
    "f": (0.666666687, 0.399997056, 0.28592357, 0.217065752, 0.232243299),
    "d": (0.66666666666666663, 0.40000000000014585, 0.28571428567108759, 0.22222222717427864,
          0.18181789436132859, 0.15385570064958623, 0.13314144209654935, 0.12001072809590713,
          0.088007384861446741, 0.16164045611943531),
}
# (tanh(x) / x - 1) / z for z = x^2 <= 1.
TANH: Final = {
    "f": (-0.333333343, 0.133333102, -0.0539634153, 0.0218295492, -0.00869784784, 0.00320680346,
          -0.000923500862, 0.000142793186),
    "d": (-0.33333333333333331, 0.13333333333333089, -0.053968253968046373, 0.021869488529129091,
          -0.0088632354045782829, 0.0035921266793663411, -0.0014558246920964941, 0.0005899792946300052,
          -0.00023895705228738225, 9.6462777433131813e-05, -3.8389607893147334e-05, 1.4606131676715378e-05,
          -4.9877603175203466e-06, 1.3791814499083342e-06, -2.6330772232959337e-07, 2.5155023659382105e-08),
}
# (cdf(x) - 1 / 2) / x for z = x^2 <= 1.
CDF_NEAR: Final = {
    "f": (0.398942292, -0.0664903596, 0.00997332856, -0.00118634396, 0.000113502298, -7.66053836e-06),
    "d": (0.3989422804014327, -0.066490380066905427, 0.0099735570100350224, -0.0011873282154680343,
          0.00011543468751655941, -9.444655793103845e-06, 6.6596798796552309e-07, -4.1224107514160815e-08,
          2.2704137585675999e-09, -1.1064328282755891e-10, 4.0743269774266276e-12),
}
# cdf(-a) e^(a^2 / 2) / r for a >= 1 and r = 1 / (a + CDF_SHIFT), in powers of r - CDF_MIDDLE.
CDF_FAR: Final = {
    "f": (0.686981201, 2.82521677, 7.82690525, 10.8720684, -9.55906773, -57.006916, 16.0368557, 326.50946,
          -124.657417, -1853.60132),
    "d": (0.69319218443035602, 4.2367516669482059, 21.130523779746099, 82.474592340407881, 228.24629014222484,
          308.29504426212969, -579.76691466716477, -3458.8785208237809, -1470.5241938908439, 28248.556142273916,
          41540.021792792257, -261774.46066425194, -531081.10687154916, 3002026.3368697236, 5605333.5682730982,
          -40575126.362131126, -45273897.570029438, 551862961.29049385, 179575828.58843127, -5229073435.925107),
}
# fmt: on


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Return the polynomial at ``x``: Horner's scheme, the last coefficient first."""
    p = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        p = p * x + c
    return p


def bits(x: Array) -> Array:
    """Return the bits of each number, as unsigned integers."""
    return x.view(np.dtype(f"u{x.itemsize}"))


def power_of_two(n: Array) -> Array:
    """Return ``2^n`` for whole numbers ``n`` within the range of normal exponents."""
    kind = n.dtype.char
    power: Array = (bits(n + (MAGIC[kind] + BIAS[kind])) << SHIFT[kind]).view(n.dtype)
    return power


def exp(x: Array) -> Array:
    """Return ``e^x = 2^n e^r``, the power in two halves, so that the result may be infinite or subnormal."""
    kind = x.dtype.char
    x = np.where(x < EXP_LEAST[kind], x.dtype.type(EXP_LEAST[kind]), x)
    x = np.where(x > EXP_MOST[kind], x.dtype.type(EXP_MOST[kind]), x)
    n = (x * LOG2E + MAGIC[kind]) - MAGIC[kind]
    half = (n * 0.5 + MAGIC[kind]) - MAGIC[kind]
    r = (x - n * LN2_HIGH[kind]) - n * LN2_LOW[kind]
    p = 1 + (r + r * r * polynomial(EXP[kind], r))
    return p * power_of_two(half) * power_of_two(n - half)


def log1p(f: Array) -> Array:
    """Return ``log(1 + f)`` for ``-0.3 <= f <= 1``, by ``s = f / (2 + f)`` and ``log(1 + f) = 2 atanh(s)``."""
    return f - _curvature(f, 0.0)


def _curvature(f: Array, low: Any) -> Array:
    """Return ``f - log(1 + f) - low``."""
    s = f / (2 + f)
    z = s * s
    h = 0.5 * f * f
    result: Array = h - (s * (h + z * polynomial(LOG[f.dtype.char], z)) + low)
    return result


def log(x: Array) -> Array:
    """Return the natural logarithm, by ``x = m 2^e`` with ``m`` from ``sqrt(1/2)`` to ``sqrt(2)``."""
    kind = x.dtype.char
    one = bits(np.ones((), x.dtype))
    shift, unsigned = SHIFT[kind], one.dtype.type
    tiny = x < np.finfo(x.dtype).tiny
    y = np.where(tiny, x * 2.0 ** (shift + 2), x)
    b = bits(y) + (one - unsigned(ROOT_HALF[kind]))
    floor = 2.0**shift
    e = ((b >> unsigned(shift)) | bits(np.asarray(floor, x.dtype))).view(x.dtype) - (floor + BIAS[kind])
    e = np.where(tiny, e - (shift + 2), e)
    m = ((b & unsigned(2**shift - 1)) + unsigned(ROOT_HALF[kind])).view(x.dtype)
    f = m - 1
    y = e * LN2_HIGH[kind] - (_curvature(f, e * LN2_LOW[kind]) - f)
    y = np.where(x < np.inf, y, x)
    y = np.where(x == 0, x.dtype.type(-np.inf), y)
    return np.where(x < 0, x.dtype.type(np.nan), y)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent: a polynomial below 1, and else ``1 - 2 / (e^2x + 1)``."""
    a = np.abs(x)
    z = x * x
    near = a + a * z * polynomial(TANH[x.dtype.char], z)
    far = 1 - 2 / (exp(2 * a) + 1)
    return np.copysign(np.where(a < 1, near, far), x)


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + e^-x)``."""
    e = exp(-np.abs(x))
    result: Array = np.where(x < 0, e, x.dtype.type(1)) / (1 + e)
    return result


def softplus(x: Array) -> Array:
    """Return ``log(1 + e^x)``."""
    return np.where(x > 0, x, x.dtype.type(0)) + log1p(exp(-np.abs(x)))


def normal_cdf(x: Array) -> tuple[Array, Array]:
    """Return the probability that a normal variable is less than ``x``, and its density there."""
    kind = x.dtype.char
    most = CDF_MOST[kind]
    a = np.abs(x)
    a = np.where(a > most, x.dtype.type(most), a)
    # What rounding takes from a^2 would be many ulp of the exponential.
    high = (bits(a) & bits(a).dtype.type(TOP_HALF[kind])).view(a.dtype)
    low = a - high
    square = a * a
    missing = ((high * high - square) + 2 * high * low) + low * low
    e = exp(-0.5 * square)
    e = e - e * (0.5 * missing)
    r = 1 / (a + CDF_SHIFT[kind])
    tail = e * (r * polynomial(CDF_FAR[kind], r - CDF_MIDDLE[kind]))
    near = 0.5 + x * polynomial(CDF_NEAR[kind], x * x)
    far = np.where(x < 0, tail, 1 - tail)
    return np.where(a < 1, near, far), e * DENSITY


def gelu(x: Array) -> Array:
    """Return ``x cdf(x)``."""
    most = CDF_MOST[x.dtype.char]
    return np.where(x < -most, x.dtype.type(-most), x) * normal_cdf(x)[0]


def gelu_slope(x: Array) -> Array:
    """Return ``cdf(x) + x density(x)``."""
    most = CDF_MOST[x.dtype.char]
    y = np.where(x < -most, x.dtype.type(-most), x)
    y = np.where(y > most, x.dtype.type(most), y)
    p, density = normal_cdf(x)
    result: Array = p + y * density
    return result


def silu(x: Array) -> Array:
    """Return ``x sigmoid(x)``."""
    least = EXP_LEAST[x.dtype.char]
    return np.where(x < least, x.dtype.type(least), x) * sigmoid(x)


def silu_slope(x: Array) -> Array:
    """Return ``p + x p (1 - p)`` with ``p = sigmoid(x)``."""
    least = EXP_LEAST[x.dtype.char]
    y = np.where(x < least, x.dtype.type(least), x)
    y = np.where(y > -least, x.dtype.type(-least), y)
    p = sigmoid(x)
    result: Array = p + y * (p * (1 - p))
    return result
