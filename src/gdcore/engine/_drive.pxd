# The drive: runs the kernels over arrays that _engine has checked, without the GIL.

from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset
from numpy cimport npy_intp

from .._table cimport Kernel

cdef extern from "<assert.h>" nogil:
    void c_assert "assert" (bint condition)

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define gd_prefetch(address) __builtin_prefetch((const void *) (address), 1)
    #elif defined(_M_X64)
    #include <xmmintrin.h>
    #define gd_prefetch(address) _mm_prefetch((const char *) (address), _MM_HINT_T0)
    #else
    #define gd_prefetch(address) ((void) 0)
    #endif
    """
    void gd_prefetch(uintptr_t address) noexcept nogil

cdef enum:
    OPERANDS = 6  # the parameter, the gradient, at most three slots, the average
    STORED = 6  # behind them: the parameter in half precision, where the first is its float32 master
    WITH_STORED = 7
    HALVES = 3  # kinds of half precision: 0 for none, FLOAT16, BFLOAT16
    FLOAT16 = 1
    BFLOAT16 = 2
    COEFFICIENTS = 12
    STAGES = 8  # of a program
    CHUNK = 512  # elements of a strided array that are copied together to the stack
    LINE = 16  # elements; a multiple of it fills whole cache lines
    PIECE = 8192  # elements that a thread takes at a time: some microseconds
    STRIP = 512  # bytes of each array that are stepped before the next are asked for
    SPAN = 1024  # the same for a step that is more than its rule, which goes over each strip several times
    AHEAD = 4  # strips between what is stepped and what is asked for
    ROWS_AHEAD = 4  # rows between the one that is stepped and the one that is asked for

cdef struct Operand:
    char* data  # NULL: the rule has no such array
    bint flat  # contiguous in the order of the walk, and aligned
    int half  # the kind of half precision of its elements; 0: they are of the itemsize of the entry
    const npy_intp* strides

cdef struct Entry:  # one parameter with its gradient and slots: x as in _table.pxd
    Operand[WITH_STORED] x
    Py_ssize_t size
    const npy_intp* rows  # along axis 0, which alone are stepped, the gradient being of these; NULL: all
    Py_ssize_t stepped  # elements of this step
    Py_ssize_t itemsize
    Py_ssize_t width  # bytes an element of all arrays
    int group
    int ndim
    bint reversed  # the walk is in Fortran order, because the parameter is
    const npy_intp* shape

cdef struct Group:
    const Kernel* kernel
    bint single  # some array of the group is of float32
    int count  # of coefficients
    float[COEFFICIENTS] float32
    double[COEFFICIENTS] float64


cdef struct Stage:
    const Kernel* kernel
    float[2] float32
    double[2] float64

ctypedef const Kernel* Conversion

cdef struct Program:  # what a step does beside its rule, one stage after the other on a strip that stays in L1
    int before  # how many of the stages the gradient passes, on a strip of its own, before the rule
    int count
    bint zero  # the gradient is written
    bint idle  # no gradient, no rule, nothing after it but zeros
    Stage[STAGES] stages
    Conversion[HALVES] widen  # by the kind of half precision: what converts a gradient before all stages,
    Conversion[HALVES] recall  # takes over what was written to a parameter since it was rounded,
    Conversion[HALVES] narrow  # and rounds its master to it after them


cdef inline Py_ssize_t stride(const Entry* e, int j) noexcept nogil:
    # The bytes of an element of operand j.
    return 2 if e.x[j].half else e.itemsize


cdef inline int axis(const Entry* e, int k) noexcept nogil:
    return e.ndim - 1 - k if e.reversed else k


cdef inline void transfer(
    const Entry* e, const Operand* a, Py_ssize_t start, Py_ssize_t n, char* buffer, bint gather
) noexcept nogil:
    # Copies the elements start ... start + n of a, in the order of the walk, to buffer (gather) or back.
    cdef npy_intp[64] index  # as many as NumPy has dimensions
    cdef char* p = a.data
    cdef Py_ssize_t i, rest = start
    cdef int k, d
    c_assert(0 <= start and n <= CHUNK and start + n <= e.size)
    for k in range(e.ndim - 1, -1, -1):
        d = axis(e, k)
        index[k] = rest % e.shape[d]
        rest = rest // e.shape[d]
        p += index[k] * a.strides[d]
    for i in range(n):
        if a.half:
            memcpy(buffer + 2 * i if gather else p, p if gather else buffer + 2 * i, 2)
        elif e.itemsize == 4:
            memcpy(buffer + 4 * i if gather else p, p if gather else buffer + 4 * i, 4)
        else:
            memcpy(buffer + 8 * i if gather else p, p if gather else buffer + 8 * i, 8)
        for k in range(e.ndim - 1, -1, -1):
            d = axis(e, k)
            index[k] += 1
            p += a.strides[d]
            if index[k] < e.shape[d]:
                break
            p -= e.shape[d] * a.strides[d]
            index[k] = 0


cdef inline void call(const Entry* e, const Group* group, void** x, Py_ssize_t n) noexcept nogil:
    if e.itemsize == 4:
        group.kernel.float32(x, group.float32, n)
    else:
        group.kernel.float64(x, group.float64, n)


cdef inline void call_ahead(const Entry* e, const Group* group, void** x, Py_ssize_t n) noexcept nogil:
    # The same for arrays that no cache holds. On some CPUs a square root and a division an element fill the window
    # with work that waits, so that it sees too little of what is to be loaded next: it is told.
    cdef Py_ssize_t strip = STRIP // e.itemsize
    cdef int j, k
    while n > 0:
        for j in range(OPERANDS):
            if x[j] != NULL:
                for k in range(STRIP // 64):
                    gd_prefetch(<uintptr_t> x[j] + AHEAD * STRIP + 64 * k)
        call(e, group, x, min(n, strip))
        for j in range(OPERANDS):
            if x[j] != NULL:
                x[j] = <char*> x[j] + STRIP
        n -= strip


cdef inline void drive(
    const Entry* e, const Group* group, Py_ssize_t start, Py_ssize_t end, bint ahead
) noexcept nogil:
    # One parameter's step on the elements start ... end. Strided arrays go through the stack, a chunk at a time.
    cdef double[OPERANDS][CHUNK] buffers
    cdef (void*)[OPERANDS] x
    cdef bint flat = True
    cdef Py_ssize_t n
    cdef int j
    c_assert(0 <= start and start <= end and end <= e.size)
    for j in range(OPERANDS):
        x[j] = NULL if e.x[j].data == NULL else e.x[j].data + start * e.itemsize
        flat = flat and (e.x[j].flat or x[j] == NULL)
    if flat:
        if ahead:
            call_ahead(e, group, x, end - start)
        else:
            call(e, group, x, end - start)
        return
    while start < end:
        n = min(<Py_ssize_t> CHUNK, end - start)
        for j in range(OPERANDS):
            if e.x[j].data == NULL:
                continue
            if e.x[j].flat:
                x[j] = e.x[j].data + start * e.itemsize
            else:
                x[j] = buffers[j]
                transfer(e, &e.x[j], start, n, <char*> buffers[j], True)
        call(e, group, x, n)
        for j in range(OPERANDS):
            if j != 1 and e.x[j].data != NULL and not e.x[j].flat:
                transfer(e, &e.x[j], start, n, <char*> buffers[j], False)
        start += n


cdef inline void invoke(const Entry* e, const Stage* stage, void** x, Py_ssize_t n) noexcept nogil:
    if e.itemsize == 4:
        stage.kernel.float32(x, stage.float32, n)
    else:
        stage.kernel.float64(x, stage.float64, n)


cdef inline void perform(
    const Entry* e, const Group* group, const Program* program, void** x, char* strip, Py_ssize_t n
) noexcept nogil:
    # All stages on one strip.
    cdef (void*)[3] g = [strip, x[1], NULL]
    cdef void* grad = x[1]
    cdef int k
    if not program.idle:
        if e.x[1].half:
            program.widen[e.x[1].half].float32(g, NULL, n)
            g[1] = strip
        for k in range(program.before):
            invoke(e, &program.stages[k], g, n)
            g[1] = strip
        if e.x[STORED].half:
            program.recall[e.x[STORED].half].float32(x, NULL, n)
        x[1] = g[1]
        call(e, group, x, n)
        x[1] = grad
        for k in range(program.before, program.count):
            invoke(e, &program.stages[k], x, n)
        if e.x[STORED].half:
            program.narrow[e.x[STORED].half].float32(x, NULL, n)
    if program.zero:
        memset(grad, 0, n * stride(e, 1))


cdef inline void drive_program(
    const Entry* e, const Group* group, const Program* program, Py_ssize_t start, Py_ssize_t end,
    bint far, bint ahead
) noexcept nogil:
    # As drive, for a step that is more than its rule.
    cdef double[WITH_STORED][CHUNK] buffers
    cdef double[CHUNK] strip
    cdef (void*)[WITH_STORED] x
    cdef Py_ssize_t n, bytes, most = SPAN // e.itemsize if far else <Py_ssize_t> CHUNK
    cdef int j, k
    c_assert(0 <= start and start <= end and end <= e.size)
    while start < end:
        n = min(most, end - start)
        for j in range(WITH_STORED):
            x[j] = NULL
            if e.x[j].data == NULL:
                continue
            if e.x[j].flat:
                x[j] = e.x[j].data + start * stride(e, j)
                if ahead:
                    bytes = most * stride(e, j)
                    for k in range(<int> bytes // 64):
                        gd_prefetch(<uintptr_t> x[j] + AHEAD * bytes + 64 * k)
            else:
                x[j] = buffers[j]
                transfer(e, &e.x[j], start, n, <char*> buffers[j], True)
        perform(e, group, program, x, <char*> strip, n)
        for j in range(WITH_STORED):
            if (j != 1 or program.zero) and e.x[j].data != NULL and not e.x[j].flat:
                transfer(e, &e.x[j], start, n, <char*> buffers[j], False)
        start += n


cdef struct Plan:  # a step over many parameters, cut into pieces of equal size
    const Entry* entries
    const Group* groups
    const Program* program  # NULL: the rule alone
    const Py_ssize_t* starts  # where each entry begins in the row of all elements, and at last where the row ends
    Py_ssize_t count
    bint far  # more than the caches next to a core hold


cdef inline void drive_entry(
    const Plan* plan, const Entry* e, Py_ssize_t start, Py_ssize_t end, bint ahead
) noexcept nogil:
    if plan.program == NULL:
        drive(e, &plan.groups[e.group], start, end, ahead)
    else:
        drive_program(e, &plan.groups[e.group], plan.program, start, end, plan.far, ahead)


cdef inline void drive_rows(const Plan* plan, const Entry* e, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    # The elements start ... end of the rows, each row as a parameter of its own.
    cdef Entry row = e[0]
    cdef Py_ssize_t width = e.size // e.shape[0], r = start // width, n, last = e.stepped // width, ahead
    cdef int j, k
    row.size = width
    row.ndim -= 1
    row.shape += 1
    row.reversed = False
    for j in range(WITH_STORED):
        row.x[j].flat = j == 1 or (e.x[j].flat and (not e.reversed or e.ndim == 1))
        if e.x[j].data != NULL:
            row.x[j].strides += 1
    while start < end:
        n = min(width - start % width, end - start)
        ahead = min(r + ROWS_AHEAD, last - 1)
        for j in range(WITH_STORED):
            if e.x[j].data != NULL:
                row.x[j].data = e.x[j].data + (r * width * e.itemsize if j == 1 else e.rows[r] * e.x[j].strides[0])
                if j != 1 and row.x[j].flat:
                    for k in range(<int> min(width * stride(e, j), <Py_ssize_t> STRIP) // 64 + 1):
                        gd_prefetch(<uintptr_t> e.x[j].data + e.rows[ahead] * e.x[j].strides[0] + 64 * k)
        drive_entry(plan, &row, start % width, start % width + n, False)
        start += n
        r += 1


cdef inline void drive_one(
    const Plan* plan, Py_ssize_t i, Py_ssize_t start, Py_ssize_t end, bint ahead
) noexcept nogil:
    cdef const Entry* e = &plan.entries[i]
    if e.rows == NULL:
        drive_entry(plan, e, start, end, ahead)
    else:
        drive_rows(plan, e, start, end)


cdef inline Py_ssize_t find_entry(const Py_ssize_t* starts, Py_ssize_t count, Py_ssize_t begin) noexcept nogil:
    # The first entry that ends behind begin.
    cdef Py_ssize_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if starts[middle + 1] <= begin:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline void drive_range(const Plan* plan, Py_ssize_t begin, Py_ssize_t end, bint ahead) noexcept nogil:
    # The elements begin ... end of the row of all.
    cdef Py_ssize_t i = find_entry(plan.starts, plan.count, begin)
    while i < plan.count and plan.starts[i] < end:
        if plan.starts[i] < plan.starts[i + 1]:
            drive_one(
                plan,
                i,
                max(begin - plan.starts[i], <Py_ssize_t> 0),
                min(end - plan.starts[i], plan.entries[i].stepped),
                ahead,
            )
        i += 1


cdef inline void drive_all(const Plan* plan, bint ahead) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(plan.count):
        if plan.starts[i] < plan.starts[i + 1]:
            drive_one(plan, i, 0, plan.entries[i].stepped, ahead)
