# Half precision as loops: to float32, which is exact, and back, rounded to nearest even. Bits are made in integers,
# so that they are the same on every CPU and the compiler makes vectors of them on each. The twins stand in
# reference.py.
#
# x as in _table.pxd; x[6] is the parameter in half precision, x[0] its float32 master.

from libc.stdint cimport int32_t, uint16_t, uint32_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint32_t gd_bits(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
    static inline float gd_float(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
    """
    uint32_t gd_bits(float x) noexcept nogil
    float gd_float(uint32_t bits) noexcept nogil


cdef inline float wide16(uint16_t h) noexcept nogil:
    # The exponents differ by 112. Where it is 0 there is no leading 1: one is put there and subtracted again.
    cdef uint32_t sign = <uint32_t> (h & 0x8000) << 16
    cdef int32_t size = <int32_t> (h & 0x7fff) << 13
    cdef int32_t usual = size + (112 << 23)
    cdef int32_t small = <int32_t> gd_bits(gd_float(size + (113 << 23)) - gd_float(113 << 23))
    cdef int32_t large = size + (224 << 23)  # infinity and NaN
    return gd_float(sign | <uint32_t> (small if size < 1 << 23 else (large if size >= 31 << 23 else usual)))


cdef inline uint16_t narrow16(float x) noexcept nogil:
    # As NumPy does: NaN keeps the front of its payload. Beside 0.5 last bits are those of small halves.
    cdef uint32_t bits = gd_bits(x), sign = bits & <uint32_t> 0x80000000
    cdef int32_t size = <int32_t> (bits ^ sign), payload = size >> 13 & 0x3ff
    cdef int32_t usual = (size - (112 << 23) + 0xfff + (size >> 13 & 1)) >> 13
    cdef int32_t small = <int32_t> gd_bits(gd_float(size) + <float> 0.5) - (126 << 23)
    cdef int32_t nan = 0x7c01 if payload == 0 else 0x7c00 | payload
    cdef int32_t large = nan if size > 255 << 23 else 0x7c00
    return <uint16_t> (sign >> 16 | <uint32_t> (
        small if size < 113 << 23 else (large if size >= 143 << 23 else usual)
    ))


cdef inline float wideb(uint16_t h) noexcept nogil:
    return gd_float(<uint32_t> h << 16)


cdef inline uint16_t narrowb(float x) noexcept nogil:
    # As ml_dtypes does: each NaN becomes the quiet one of its sign.
    cdef uint32_t bits = gd_bits(x)
    cdef uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1)
    cdef uint32_t nan = bits & <uint32_t> 0x80000000 | 0x7fc00000
    return <uint16_t> ((nan if <int32_t> (bits & 0x7fffffff) > 255 << 23 else rounded) >> 16)


cdef inline void widen_float16(void** x, const float* c, Py_ssize_t n) noexcept nogil:
    # out[n] is written, h[n] is read.
    cdef float* out = <float*> x[0]
    cdef const uint16_t* h = <const uint16_t*> x[1]
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = wide16(h[i])


cdef inline void widen_bfloat16(void** x, const float* c, Py_ssize_t n) noexcept nogil:
    cdef float* out = <float*> x[0]
    cdef const uint16_t* h = <const uint16_t*> x[1]
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = wideb(h[i])


cdef inline void recall_float16(void** x, const float* c, Py_ssize_t n) noexcept nogil:
    # m[n] is read and written, w[n] is read. Mostly nothing was written, and looking is all there is to do.
    cdef float* m = <float*> x[0]
    cdef const uint16_t* w = <const uint16_t*> x[6]
    cdef uint16_t written = 0
    cdef Py_ssize_t i
    for i in range(n):
        written |= narrow16(m[i]) ^ w[i]
    if written != 0:
        for i in range(n):
            m[i] = m[i] if narrow16(m[i]) == w[i] else wide16(w[i])


cdef inline void recall_bfloat16(void** x, const float* c, Py_ssize_t n) noexcept nogil:
    cdef float* m = <float*> x[0]
    cdef const uint16_t* w = <const uint16_t*> x[6]
    cdef uint16_t written = 0
    cdef Py_ssize_t i
    for i in range(n):
        written |= narrowb(m[i]) ^ w[i]
    if written != 0:
        for i in range(n):
            m[i] = m[i] if narrowb(m[i]) == w[i] else wideb(w[i])


cdef inline void narrow_float16(void** x, const float* c, Py_ssize_t n) noexcept nogil:
    # m[n] is read, w[n] is written.
    cdef const float* m = <const float*> x[0]
    cdef uint16_t* w = <uint16_t*> x[6]
    cdef Py_ssize_t i
    for i in range(n):
        w[i] = narrow16(m[i])


cdef inline void narrow_bfloat16(void** x, const float* c, Py_ssize_t n) noexcept nogil:
    cdef const float* m = <const float*> x[0]
    cdef uint16_t* w = <uint16_t*> x[6]
    cdef Py_ssize_t i
    for i in range(n):
        w[i] = narrowb(m[i])
