# Sums in an order that depends on nothing but the shape, which reference.py says: along a row in LANES, down
# columns in blocks of BLOCK rows.

from gdcore.derivatives.nets._functions cimport floating

cdef enum:
    LANES = 16
    BLOCK = 64
    STRIP = 2048  # elements that stay in the cache between two passes; a multiple of LANES
    TILE = 32  # columns that are summed together


cdef inline floating joined(floating* lanes) noexcept nogil:
    cdef Py_ssize_t k, half = LANES // 2
    while half:
        for k in range(half):
            lanes[k] += lanes[half + k]
        half //= 2
    return lanes[0]


cdef inline void add_lanes(const floating* x, Py_ssize_t n, floating* lanes) noexcept nogil:
    cdef Py_ssize_t i, k
    for i in range(n // LANES):
        for k in range(LANES):
            lanes[k] += x[i * LANES + k]
    for k in range(n % LANES):
        lanes[k] += x[n - n % LANES + k]


cdef inline floating row_sum(const floating* x, Py_ssize_t n) noexcept nogil:
    cdef floating[LANES] lanes
    cdef Py_ssize_t k
    for k in range(LANES):
        lanes[k] = 0
    add_lanes(x, n, lanes)
    return joined(lanes)


cdef inline floating sum_of_products(const floating* x, const floating* y, Py_ssize_t n) noexcept nogil:
    # In the order of row_sum. Where y is 0, x adds nothing, though it were infinite; in one loop with the sums
    # GCC 12 gets that wrong.
    cdef floating[STRIP] strip
    cdef floating[LANES] lanes
    cdef Py_ssize_t i, k, m, begin
    for k in range(LANES):
        lanes[k] = 0
    for i in range((n + STRIP - 1) // STRIP):
        begin = i * STRIP
        m = min(<Py_ssize_t> STRIP, n - begin)
        for k in range(m):
            strip[k] = x[begin + k] * y[begin + k] if y[begin + k] != 0 else <floating> 0
        add_lanes(strip, m, lanes)
    return joined(lanes)


cdef inline floating row_maximum(const floating* x, Py_ssize_t n) noexcept nogil:
    # NaN is not looked for: it shows in the sum.
    cdef floating[LANES] lanes
    cdef Py_ssize_t i, k
    for k in range(LANES):
        lanes[k] = x[0]
    for i in range(n // LANES):
        for k in range(LANES):
            lanes[k] = x[i * LANES + k] if x[i * LANES + k] > lanes[k] else lanes[k]
    for i in range(n - n % LANES, n):
        lanes[0] = x[i] if x[i] > lanes[0] else lanes[0]
    for k in range(1, LANES):
        lanes[0] = lanes[k] if lanes[k] > lanes[0] else lanes[0]
    return lanes[0]


cdef inline void add_block(const floating* d, Py_ssize_t rows, Py_ssize_t n, floating* total) noexcept nogil:
    # Adds the sum of at most BLOCK rows of d[rows, n] to total[n].
    cdef floating[TILE] part
    cdef Py_ssize_t i, j, k, width, tile
    for tile in range((n + TILE - 1) // TILE):
        j = tile * TILE
        for k in range(TILE):
            part[k] = 0
        if n - j >= TILE:
            for i in range(rows):
                for k in range(TILE):
                    part[k] += d[i * n + j + k]
        else:
            width = n - j
            for i in range(rows):
                for k in range(width):
                    part[k] += d[i * n + j + k]
        width = min(<Py_ssize_t> TILE, n - j)
        for k in range(width):
            total[j + k] += part[k]


cdef inline void clear(floating* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        x[i] = 0
