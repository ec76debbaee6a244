# Kernels that move elements, in order: rows of tables, dropout, and the planes of pictures. Their twins are in
# reference.py.

from libc.stdint cimport int64_t

from gdcore.derivatives.nets._functions cimport floating
from gdcore.derivatives.nets._sums cimport TILE, clear, row_sum


cdef inline void add_rows(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # table[y[i]] += g[i] for each i in order: g[count, n], y[count], table[rows, n].
    cdef const floating* g = <const floating*> x[0]
    cdef const int64_t* y = <const int64_t*> x[1]
    cdef floating* table = <floating*> x[2]
    cdef Py_ssize_t i, j, count = n[0], width = n[1]
    for i in range(count):
        for j in range(width):
            table[y[i] * width + j] += g[i * width + j]


cdef inline void drop(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[n] = z[n] * c[1] where u[n] >= c[0], else 0; u is of float whatever the rest is.
    cdef const floating* z = <const floating*> x[0]
    cdef const float* u = <const float*> x[1]
    cdef floating* out = <floating*> x[2]
    cdef float rate = <float> c[0]
    cdef floating scale = <floating> c[1]
    cdef Py_ssize_t i
    for i in range(n[0]):
        out[i] = z[i] * scale if u[i] >= rate else <floating> 0


cdef struct Window:  # how a window walks over pictures: n of unfold, fold and max_pool
    Py_ssize_t pictures, channels, rows, columns  # of the input
    Py_ssize_t height, width  # of the window
    Py_ssize_t down, right  # from one window to the next
    Py_ssize_t top, left  # zeros around the input
    Py_ssize_t high, wide  # of the output


cdef inline void reach(
    Py_ssize_t at, Py_ssize_t step, Py_ssize_t size, Py_ssize_t count, Py_ssize_t* begin, Py_ssize_t* end
) noexcept nogil:
    # Which of the places at, at + step ... (count of them) lie within 0 .. size - 1.
    begin[0] = min(count, (-at + step - 1) // step) if at < 0 else 0
    end[0] = max(begin[0], min(count, (size - at + step - 1) // step)) if at < size else begin[0]


cdef inline void move(
    const floating* source, Py_ssize_t step, floating* to, Py_ssize_t count, Py_ssize_t n
) noexcept nogil:
    # Copies count runs of n elements, step runs apart, to one run.
    cdef Py_ssize_t i, k
    if step == 1:
        for i in range(count * n):
            to[i] = source[i]
    else:
        for k in range(count):
            for i in range(n):
                to[k * n + i] = source[k * step * n + i]


cdef inline void move_back(
    const floating* source, Py_ssize_t step, floating* to, Py_ssize_t count, Py_ssize_t n
) noexcept nogil:
    # Adds what move has copied.
    cdef Py_ssize_t i, k
    if step == 1:
        for i in range(count * n):
            to[i] += source[i]
    else:
        for k in range(count):
            for i in range(n):
                to[k * step * n + i] += source[k * n + i]


cdef inline void unfold(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # columns[channel, i, j, row, column, picture], or 0 outside, is
    # z[channel, row * down + i - top, column * right + j - left, picture]: every window of z in a column. Pictures
    # come last, so that runs are long.
    cdef const floating* z = <const floating*> x[0]
    cdef floating* to = <floating*> x[1]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t channel, i, j, row, top, bottom, left, right, at, line = w.wide * w.pictures
    for channel in range(w.channels):
        for i in range(w.height):
            reach(i - w.top, w.down, w.rows, w.high, &top, &bottom)
            for j in range(w.width):
                reach(j - w.left, w.right, w.columns, w.wide, &left, &right)
                clear(to, top * line)
                for row in range(top, bottom):
                    at = (channel * w.rows + row * w.down + i - w.top) * w.columns + left * w.right + j - w.left
                    clear(to + row * line, left * w.pictures)
                    move(
                        z + at * w.pictures, w.right, to + row * line + left * w.pictures, right - left, w.pictures
                    )
                    clear(to + row * line + right * w.pictures, (w.wide - right) * w.pictures)
                clear(to + bottom * line, (w.high - bottom) * line)
                to += w.high * line


cdef inline void fold(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # The way back of unfold: z[...] += columns[...], one channel, i, j after the other; z begins as zeros.
    cdef const floating* g = <const floating*> x[0]
    cdef floating* z = <floating*> x[1]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t channel, i, j, row, top, bottom, left, right, at, line = w.wide * w.pictures
    for channel in range(w.channels):
        for i in range(w.height):
            reach(i - w.top, w.down, w.rows, w.high, &top, &bottom)
            for j in range(w.width):
                reach(j - w.left, w.right, w.columns, w.wide, &left, &right)
                for row in range(top, bottom):
                    at = (channel * w.rows + row * w.down + i - w.top) * w.columns + left * w.right + j - w.left
                    move_back(
                        g + row * line + left * w.pictures, w.right, z + at * w.pictures, right - left, w.pictures
                    )
                g += w.high * line


cdef inline void turn(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[b, a] = z[a, b] + bias[a / group], if there is bias; sums[...], if asked for: each of so many rows of out.
    cdef const floating* z = <const floating*> x[0]
    cdef const floating* bias = <const floating*> x[1]
    cdef floating* out = <floating*> x[2]
    cdef floating* sums = <floating*> x[3]
    cdef Py_ssize_t a = n[0], b = n[1], group = n[2], i, j, k, tile, height
    cdef floating[TILE] more
    for k in range(TILE):
        more[k] = 0
    for tile in range((a + TILE - 1) // TILE):
        i = tile * TILE
        height = min(<Py_ssize_t> TILE, a - i)
        if bias != NULL:
            for k in range(height):
                more[k] = bias[(i + k) // group]
        if bias == NULL:
            for j in range(b):
                for k in range(height):
                    out[j * a + i + k] = z[(i + k) * b + j]
        else:
            for j in range(b):
                for k in range(height):
                    out[j * a + i + k] = z[(i + k) * b + j] + more[k]
    if sums != NULL:
        for k in range(b // group):
            sums[k] = row_sum(out + k * group * a, group * a)


cdef inline void max_pool(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[plane, row, column] = the largest of a window of z[plane], and at[...] where in the plane it is: the first
    # one of equals; NaN is larger than all.
    cdef const floating* z = <const floating*> x[0]
    cdef floating* out = <floating*> x[1]
    cdef int64_t* at = <int64_t*> x[2]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t _plane, row, column, i, j, here, place
    cdef floating best, v
    for _plane in range(w.pictures * w.channels):
        for row in range(w.high):
            for column in range(w.wide):
                place = row * w.down * w.columns + column * w.right
                best = z[place]
                here = place
                for i in range(w.height):
                    for j in range(w.width):
                        v = z[place + i * w.columns + j]
                        if (v > best) | ((v != v) & (best == best)):
                            best = v
                            here = place + i * w.columns + j
                out[row * w.wide + column] = best
                at[row * w.wide + column] = here
        z += w.rows * w.columns
        out += w.high * w.wide
        at += w.high * w.wide


cdef inline void max_pool_back(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # dz[plane, at[plane, i]] += g[plane, i] for each i in order; dz begins as zeros.
    cdef const floating* g = <const floating*> x[0]
    cdef const int64_t* at = <const int64_t*> x[1]
    cdef floating* dz = <floating*> x[2]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t _plane, i, size = w.high * w.wide
    for _plane in range(w.pictures * w.channels):
        for i in range(size):
            dz[at[i]] += g[i]
        g += size
        at += size
        dz += w.rows * w.columns
