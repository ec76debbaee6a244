# Kernels that move elements, in order: rows of tables, dropout, and the planes of pictures. Their twins are in
# reference.py.

from libc.stdint cimport int64_t

from gdcore.derivatives.nets._functions cimport floating
from gdcore.derivatives.nets._sums cimport clear, row_sum


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


cdef inline void unfold(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # columns[channel, i, j, picture, row, column] = z[picture, channel, row * down + i - top, column * right + j - left],
    # or 0 outside: every window of z in a column, so that a convolution is one product.
    cdef const floating* z = <const floating*> x[0]
    cdef floating* to = <floating*> x[1]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t channel, i, j, picture, row, column, top, bottom, left, right, at
    cdef const floating* source
    for channel in range(w.channels):
        for i in range(w.height):
            reach(i - w.top, w.down, w.rows, w.high, &top, &bottom)
            for j in range(w.width):
                reach(j - w.left, w.right, w.columns, w.wide, &left, &right)
                for picture in range(w.pictures):
                    source = z + (picture * w.channels + channel) * w.rows * w.columns
                    clear(to, top * w.wide)
                    for row in range(top, bottom):
                        at = (row * w.down + i - w.top) * w.columns + j - w.left
                        for column in range(left):
                            to[row * w.wide + column] = 0
                        if w.right == 1:
                            for column in range(left, right):
                                to[row * w.wide + column] = source[at + column]
                        else:
                            for column in range(left, right):
                                to[row * w.wide + column] = source[at + column * w.right]
                        for column in range(right, w.wide):
                            to[row * w.wide + column] = 0
                    clear(to + bottom * w.wide, (w.high - bottom) * w.wide)
                    to += w.high * w.wide


cdef inline void fold(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # The way back of unfold: z[...] += columns[...], one channel, i, j after the other; z begins as zeros.
    cdef const floating* g = <const floating*> x[0]
    cdef floating* z = <floating*> x[1]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t channel, i, j, picture, row, column, top, bottom, left, right, at
    cdef floating* target
    for channel in range(w.channels):
        for i in range(w.height):
            reach(i - w.top, w.down, w.rows, w.high, &top, &bottom)
            for j in range(w.width):
                reach(j - w.left, w.right, w.columns, w.wide, &left, &right)
                for picture in range(w.pictures):
                    target = z + (picture * w.channels + channel) * w.rows * w.columns
                    for row in range(top, bottom):
                        at = (row * w.down + i - w.top) * w.columns + j - w.left
                        if w.right == 1:
                            for column in range(left, right):
                                target[at + column] += g[row * w.wide + column]
                        else:
                            for column in range(left, right):
                                target[at + column * w.right] += g[row * w.wide + column]
                    g += w.high * w.wide


cdef inline void swap_planes(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[b, a, n] = z[a, b, n] + bias[a], if there is bias[a]; sums[b], if asked for: the planes z[a, b] by row_sum, one
    # a after the other.
    cdef const floating* z = <const floating*> x[0]
    cdef const floating* bias = <const floating*> x[1]
    cdef floating* out = <floating*> x[2]
    cdef floating* sums = <floating*> x[3]
    cdef Py_ssize_t a, b, i, size = n[2]
    cdef floating more
    cdef const floating* source
    cdef floating* target
    if sums != NULL:
        clear(sums, n[1])
    for a in range(n[0]):
        more = bias[a] if bias != NULL else <floating> 0
        for b in range(n[1]):
            source = z + (a * n[1] + b) * size
            target = out + (b * n[0] + a) * size
            if bias != NULL:
                for i in range(size):
                    target[i] = source[i] + more
            else:
                for i in range(size):
                    target[i] = source[i]
            if sums != NULL:
                sums[b] += row_sum(source, size)


cdef inline void max_pool(void** x, const Py_ssize_t* n, const floating* c) noexcept nogil:
    # out[plane, row, column] = the largest of a window of z[plane], and at[...] where in the plane it is: the first one
    # of equals; NaN is larger than all.
    cdef const floating* z = <const floating*> x[0]
    cdef floating* out = <floating*> x[1]
    cdef int64_t* at = <int64_t*> x[2]
    cdef const Window* w = <const Window*> n
    cdef Py_ssize_t plane, row, column, i, j, here, place
    cdef floating best, v
    for plane in range(w.pictures * w.channels):
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
    cdef Py_ssize_t plane, i, size = w.high * w.wide
    for plane in range(w.pictures * w.channels):
        for i in range(size):
            dz[at[i]] += g[i]
        g += size
        at += size
        dz += w.rows * w.columns
