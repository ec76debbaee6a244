# Kernels over rows of elements: activations, softmax and its cross-entropy, layer norm. Their twins are in
# reference.py.

from libc.math cimport sqrt, sqrtf
from libc.stdint cimport int64_t

from gdcore.derivatives.nets._functions cimport (
    exponential, floating, gelu, gelu_slope, logarithm, logistic, silu, silu_slope, soft, tangent,
)
from gdcore.derivatives.nets._sums cimport (
    BLOCK, LANES, STRIP, add_block, add_lanes, clear, joined, row_maximum, row_sum, sum_of_products,
)

cdef enum Activation:
    NONE, RELU, TANH, SIGMOID, SOFTPLUS, GELU, SILU
    LOGISTIC  # the sigmoid, whose slope is to be exact near 1 too: it follows from what it was given


cdef inline floating activated(Activation kind, floating s) noexcept nogil:
    if kind == RELU:
        return s if (s > 0) | (s != s) else <floating> 0
    if kind == TANH:
        return tangent(s)
    if kind == SIGMOID or kind == LOGISTIC:
        return logistic(s)
    if kind == SOFTPLUS:
        return soft(s)
    if kind == GELU:
        return gelu(s)
    return silu(s)


cdef inline floating sloped(Activation kind, floating g, floating kept) noexcept nogil:
    # kept: what the activation gave, if it is relu, tanh or the sigmoid, and else what it was given.
    if kind == RELU:
        return g if kept > 0 else <floating> 0
    if kind == TANH:
        return g * (<floating> 1 - kept * kept)
    if kind == SIGMOID:
        return g * (kept * (<floating> 1 - kept))
    if kind == LOGISTIC:
        return g * (logistic(kept) * logistic(-kept))
    if kind == SOFTPLUS:
        return g * logistic(kept)
    if kind == GELU:
        return g * gelu_slope(kept)
    return g * silu_slope(kept)


cdef inline void activate(Activation kind, void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # z[rows, n] += b[n], if there is b; h[rows, n] = activation(z). h may be z.
    cdef floating* z = <floating*> x[0]
    cdef const floating* b = <const floating*> x[1]
    cdef floating* h = <floating*> x[2]
    cdef Py_ssize_t i, j, k, rows = n[0], width = n[1], begin, end
    cdef Py_ssize_t strip = max(<Py_ssize_t> 1, STRIP // max(width, <Py_ssize_t> 1))
    for k in range((rows + strip - 1) // strip):
        begin = k * strip
        end = min(begin + strip, rows)
        if b != NULL:
            for i in range(begin, end):
                for j in range(width):
                    z[i * width + j] = z[i * width + j] + b[j]
        if kind != NONE:
            for i in range(begin * width, end * width):
                h[i] = activated(kind, z[i])


cdef inline void activate_back(Activation kind, void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # d[rows, n] = g[rows, n] * activation'; db[n] = its sum over the rows, if asked for. d may be g.
    cdef const floating* g = <const floating*> x[0]
    cdef const floating* kept = <const floating*> x[1]
    cdef floating* d = <floating*> x[2]
    cdef floating* db = <floating*> x[3]
    cdef Py_ssize_t i, k, rows = n[0], width = n[1], begin, end
    if db != NULL:
        clear(db, width)
    for k in range((rows + BLOCK - 1) // BLOCK):
        begin = k * BLOCK
        end = min(begin + BLOCK, rows)
        if kind != NONE:
            for i in range(begin * width, end * width):
                d[i] = sloped(kind, g[i], kept[i])
        if db != NULL:
            add_block((g if kind == NONE else d) + begin * width, end - begin, width, db)


cdef inline void exponentials(
    const floating* z, const floating* b, floating* e, Py_ssize_t rows, Py_ssize_t n, floating* tops
) noexcept nogil:
    # e[rows, n] = z[rows, n] + b[n] less the largest of its row, which goes to tops[rows]: what the exponential is
    # to be taken of. e may be z.
    cdef Py_ssize_t i, j
    for i in range(rows):
        if b != NULL:
            for j in range(n):
                e[i * n + j] = z[i * n + j] + b[j]
            tops[i] = row_maximum(e + i * n, n)
            for j in range(n):
                e[i * n + j] = e[i * n + j] - tops[i]
        else:
            tops[i] = row_maximum(z + i * n, n)
            for j in range(n):
                e[i * n + j] = z[i * n + j] - tops[i]


cdef inline void wide_block(
    const floating* z, const floating* b, const int64_t* y, floating* e, Py_ssize_t rows, Py_ssize_t n,
    floating part, floating* meant, floating* total
) noexcept nogil:
    # At most BLOCK rows of cross_entropy: e[rows, n] is its d; meant[rows] = z + b at y, total[rows] = the sum of
    # e^(z + b), both less the largest of the row.
    cdef Py_ssize_t i, j
    cdef floating scale
    exponentials(z, b, e, rows, n, total)
    for i in range(rows):
        meant[i] = e[i * n + y[i]]
    for i in range(rows * n):
        e[i] = exponential(e[i])
    for i in range(rows):
        total[i] = row_sum(e + i * n, n)
        scale = part / total[i]
        for j in range(n):
            e[i * n + j] = e[i * n + j] * scale
        e[i * n + y[i]] -= part


cdef inline void narrow_block(
    const floating* z, const floating* b, const int64_t* y, floating* e, Py_ssize_t rows, Py_ssize_t n,
    floating part, floating* meant, floating* total
) noexcept nogil:
    # The same for n <= LANES, across the rows: vectors of short rows would be mostly empty.
    cdef floating[LANES * BLOCK] t
    cdef floating[LANES * BLOCK] sums
    cdef Py_ssize_t i, j, half = LANES // 2
    cdef floating more
    for j in range(n):
        more = b[j] if b != NULL else <floating> 0
        if b != NULL:
            for i in range(rows):
                t[j * BLOCK + i] = z[i * n + j] + more
        else:
            for i in range(rows):
                t[j * BLOCK + i] = z[i * n + j]
    for i in range(rows):
        total[i] = t[i]
    for j in range(1, n):
        for i in range(rows):
            total[i] = t[j * BLOCK + i] if t[j * BLOCK + i] > total[i] else total[i]
    for j in range(n):
        for i in range(rows):
            t[j * BLOCK + i] = t[j * BLOCK + i] - total[i]
    for i in range(rows):
        meant[i] = t[y[i] * BLOCK + i]
    for j in range(n):
        for i in range(rows):
            t[j * BLOCK + i] = exponential(t[j * BLOCK + i])
            sums[j * BLOCK + i] = t[j * BLOCK + i]
    while half:
        for j in range(half, min(2 * half, n)):
            for i in range(rows):
                sums[(j - half) * BLOCK + i] += sums[j * BLOCK + i]
        half //= 2
    for i in range(rows):
        total[i] = sums[i]
        sums[i] = part / sums[i]
    for j in range(n):
        for i in range(rows):
            e[i * n + j] = t[j * BLOCK + i] * sums[i]
    for i in range(rows):
        e[i * n + y[i]] -= part


cdef inline void cross_entropy(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # d[rows, n] = (softmax(z[rows, n] + b[n]) - onehot(y[rows])) / rows; db[n] = its sum over rows, if asked for;
    # loss[0] = the mean of -log(softmax(z + b)[y]). d may be z.
    cdef const floating* z = <const floating*> x[0]
    cdef const floating* b = <const floating*> x[1]
    cdef const int64_t* y = <const int64_t*> x[2]
    cdef floating* d = <floating*> x[3]
    cdef floating* db = <floating*> x[4]
    cdef double* loss = <double*> x[5]
    cdef Py_ssize_t i, k, rows = n[0], width = n[1], begin, at, m
    cdef floating[BLOCK] meant, total
    cdef floating part = <floating> 1 / <floating> rows
    cdef double sum = 0, block
    if db != NULL:
        clear(db, width)
    for k in range((rows + BLOCK - 1) // BLOCK):
        begin = k * BLOCK
        at = begin * width
        m = min(<Py_ssize_t> BLOCK, rows - begin)
        if width <= LANES:
            narrow_block(z + at, b, y + begin, d + at, m, width, part, meant, total)
        else:
            wide_block(z + at, b, y + begin, d + at, m, width, part, meant, total)
        block = 0
        for i in range(m):
            total[i] = logarithm(total[i])
        for i in range(m):
            block += total[i] - meant[i]
        sum += block
        if db != NULL:
            add_block(d + at, m, width, db)
    loss[0] = sum / <double> rows


cdef inline floating sum_of_exponentials(const floating* z, floating top, Py_ssize_t n) noexcept nogil:
    # The sum of e^(z - top), in the order of row_sum.
    cdef floating[STRIP] strip
    cdef floating[LANES] lanes
    cdef Py_ssize_t i, k, m, begin
    for k in range(LANES):
        lanes[k] = 0
    for i in range((n + STRIP - 1) // STRIP):
        begin = i * STRIP
        m = min(<Py_ssize_t> STRIP, n - begin)
        for k in range(m):
            strip[k] = exponential(z[begin + k] - top)
        add_lanes(strip, m, lanes)
    return joined(lanes)


cdef inline void softmax_rows(bint logarithms, void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[rows, n] = softmax(z[rows, n]), or its logarithm; log_sum[rows], if asked for, that of the sum of e^z.
    cdef const floating* z = <const floating*> x[0]
    cdef floating* out = <floating*> x[1]
    cdef Py_ssize_t i, j, k, rows = n[0], width = n[1], begin, m
    cdef Py_ssize_t strip = max(<Py_ssize_t> 1, min(<Py_ssize_t> BLOCK, STRIP // width))
    cdef floating[BLOCK] total
    cdef floating* e
    for k in range((rows + strip - 1) // strip):
        begin = k * strip
        m = min(strip, rows - begin)
        e = out + begin * width
        exponentials(z + begin * width, NULL, e, m, width, total)
        if logarithms:
            for i in range(m):
                total[i] = logarithm(sum_of_exponentials(e + i * width, <floating> 0, width))
                for j in range(width):
                    e[i * width + j] = e[i * width + j] - total[i]
        else:
            for i in range(m * width):
                e[i] = exponential(e[i])
            for i in range(m):
                total[i] = row_sum(e + i * width, width)
                for j in range(width):
                    e[i * width + j] = e[i * width + j] / total[i]


cdef inline void softmax_rows_back(bint logs, void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # d[rows, n] = ans * (g - sum(g * ans)) of each row of g[rows, n], for the softmax ans[rows, n], or
    # g - e^ans * sum(g), for its logarithm. d may be g.
    cdef const floating* g = <const floating*> x[0]
    cdef const floating* ans = <const floating*> x[1]
    cdef floating* d = <floating*> x[2]
    cdef Py_ssize_t i, j, width = n[1]
    cdef floating sum
    for i in range(n[0] if width else 0):
        if logs:
            sum = row_sum(g + i * width, width)
            for j in range(i * width, (i + 1) * width):
                d[j] = g[j] - exponential(ans[j]) * sum
        else:
            sum = sum_of_products(g + i * width, ans + i * width, width)
            for j in range(i * width, (i + 1) * width):
                d[j] = ans[j] * (g[j] - sum)


cdef inline void soft_cross_entropy(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # d[rows, n] = (softmax(z[rows, n] + b[n]) * sum(y) - y[rows, n]) / rows, with the sum of each row of y; db[n] =
    # its sum over rows, if asked for; loss[0] = the mean of -sum(y * log(softmax(z + b))). d may be z.
    cdef const floating* z = <const floating*> x[0]
    cdef const floating* b = <const floating*> x[1]
    cdef const floating* y = <const floating*> x[2]
    cdef floating* d = <floating*> x[3]
    cdef floating* db = <floating*> x[4]
    cdef double* loss = <double*> x[5]
    cdef Py_ssize_t i, j, k, rows = n[0], width = n[1], at, m
    cdef floating[BLOCK] meant, mass, total
    cdef floating part = <floating> 1 / <floating> rows, scale
    cdef double sum = 0, block
    if db != NULL:
        clear(db, width)
    for k in range((rows + BLOCK - 1) // BLOCK):
        at = k * BLOCK * width
        m = min(<Py_ssize_t> BLOCK, rows - k * BLOCK)
        exponentials(z + at, b, d + at, m, width, total)
        for i in range(m):
            meant[i] = sum_of_products(d + at + i * width, y + at + i * width, width)
            mass[i] = row_sum(y + at + i * width, width)
        for i in range(at, at + m * width):
            d[i] = exponential(d[i])
        for i in range(m):
            total[i] = row_sum(d + at + i * width, width)
            scale = mass[i] / total[i]
            for j in range(at + i * width, at + (i + 1) * width):
                d[j] = (d[j] * scale - y[j]) * part
        block = 0
        for i in range(m):
            total[i] = logarithm(total[i])
        for i in range(m):
            block += total[i] * mass[i] - meant[i]
        sum += block
        if db != NULL:
            add_block(d + at, m, width, db)
    loss[0] = sum / <double> rows


cdef inline void log_sum_exp(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[rows] = log(sum(e^z)) of the rows of z[rows, n]; rows of -inf give -inf, those with inf give inf.
    cdef const floating* z = <const floating*> x[0]
    cdef floating* out = <floating*> x[1]
    cdef Py_ssize_t i, width = n[1]
    cdef floating top
    for i in range(n[0]):
        top = row_maximum(z + i * width, width)
        top = top if top - top == 0 else <floating> 0
        out[i] = logarithm(sum_of_exponentials(z + i * width, top, width)) + top


cdef inline floating root(floating x) noexcept nogil:
    if floating is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline void layer_norm(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out = (z[rows, n] - mean[rows]) * scale[rows] * gain[n] + bias[n], scale = 1 / sqrt(variance + c[0]).
    # mean and scale are written too; gain and bias may be missing.
    cdef const floating* z = <const floating*> x[0]
    cdef const floating* gain = <const floating*> x[1]
    cdef const floating* bias = <const floating*> x[2]
    cdef floating* out = <floating*> x[3]
    cdef floating* mean = <floating*> x[4]
    cdef floating* scale = <floating*> x[5]
    cdef Py_ssize_t i, j, rows = n[0], width = n[1]
    cdef floating m, r, eps = <floating> c[0]
    for i in range(rows):
        m = row_sum(z + i * width, width) / <floating> width
        for j in range(width):
            out[i * width + j] = (z[i * width + j] - m) * (z[i * width + j] - m)
        r = <floating> 1 / root(row_sum(out + i * width, width) / <floating> width + eps)
        mean[i] = m
        scale[i] = r
        for j in range(width):
            out[i * width + j] = (z[i * width + j] - m) * r
        if gain != NULL:
            for j in range(width):
                out[i * width + j] = out[i * width + j] * gain[j]
        if bias != NULL:
            for j in range(width):
                out[i * width + j] = out[i * width + j] + bias[j]


cdef inline void layer_norm_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # With u = (z - mean) * scale and d = g * gain: dz = scale * (d - average(d) - u * average(d * u)), and over the
    # rows dgain = sum(g * u), dbias = sum(g). u[rows, n] is written; dgain and dbias may be missing.
    cdef const floating* g = <const floating*> x[0]
    cdef const floating* z = <const floating*> x[1]
    cdef const floating* gain = <const floating*> x[2]
    cdef const floating* mean = <const floating*> x[3]
    cdef const floating* scale = <const floating*> x[4]
    cdef floating* dz = <floating*> x[5]
    cdef floating* u = <floating*> x[6]
    cdef floating* dgain = <floating*> x[7]
    cdef floating* dbias = <floating*> x[8]
    cdef Py_ssize_t i, j, k, rows = n[0], width = n[1], begin, at
    cdef floating first, second
    if dgain != NULL:
        clear(dgain, width)
    if dbias != NULL:
        clear(dbias, width)
    for k in range((rows + BLOCK - 1) // BLOCK):
        begin = k * BLOCK
        for i in range(begin, min(begin + BLOCK, rows)):
            at = i * width
            for j in range(width):
                u[at + j] = (z[at + j] - mean[i]) * scale[i]
                dz[at + j] = g[at + j] * gain[j] if gain != NULL else g[at + j]
            first = row_sum(dz + at, width) / <floating> width
            for j in range(width):
                dz[at + j] = dz[at + j] * u[at + j]
            second = row_sum(dz + at, width) / <floating> width
            for j in range(width):
                dz[at + j] = g[at + j] * gain[j] if gain != NULL else g[at + j]
                dz[at + j] = scale[i] * ((dz[at + j] - first) - u[at + j] * second)
                u[at + j] = g[at + j] * u[at + j]
        at = begin * width
        i = min(<Py_ssize_t> BLOCK, rows - begin)
        if dgain != NULL:
            add_block(u + at, i, width, dgain)
        if dbias != NULL:
            add_block(g + at, i, width, dbias)
