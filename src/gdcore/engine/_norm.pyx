"""What is found of all gradients before a step: their global norm, and whether all of them are finite.

Squares are summed in double. Each array is cut into parts of PART elements in the order of its own memory; within
a part sums are pairwise; parts are summed in their order, and then arrays in theirs. So the norm depends on the
arrays alone: threads only share the parts out.
"""

from libc.float cimport FLT_MIN
from libc.math cimport INFINITY, isfinite, isnan, sqrt
from libc.stdlib cimport calloc, free
cimport numpy as cnp

from ._arrays cimport enter, halve, view
from ._drive cimport CHUNK, Entry, Group, Plan, Program, Stage, find_entry, invoke, stride, transfer
from ._halves cimport half_kind
from ._plan cimport drive_parts, drive_plan, find

from ..powers import factors

cnp.import_array()

cdef enum:
    PART = 65536

cdef double TINY = 1e-280  # a sum of squares below this may have lost some of them

cdef struct Pair:
    double judged
    double total

cdef struct Search:  # through all gradients, a part at a time
    const Entry* entries  # each with the gradient in place of a parameter
    const Py_ssize_t* starts  # how many parts there are before each entry
    Py_ssize_t count
    const Program* program  # what gradients pass before they are looked at; NULL: nothing
    bint scaled  # they pass a factor at most, which the look takes in
    int judged  # after so many of its stages; -1: they are only looked at in the end
    Stage look
    bint summed  # what it finds
    double* divisor  # NULL for 1
    Pair* found  # one a part


cdef void look_at(const Search* search, const Entry* e, Py_ssize_t start, Py_ssize_t n, Pair* pair) noexcept nogil:
    # Looks at the elements start ... start + n.
    cdef double[CHUNK] strip, buffer
    cdef (void*)[3] x
    cdef int k, count = 0 if search.scaled else search.program.before
    x[0], x[1], x[2] = <void*> strip, e.x[0].data + start * stride(e, 0), search.divisor
    if not e.x[0].flat:
        x[1] = buffer
        transfer(e, &e.x[0], start, n, <char*> buffer, True)
    if e.x[0].half:
        search.program.widen[e.x[0].half].float32(x, NULL, n)
        x[1] = strip
    pair.judged = 0
    for k in range(count):
        if k == search.judged:
            x[0] = &pair.judged
            invoke(e, &search.look, x, n)
            x[0] = strip
        invoke(e, &search.program.stages[k], x, n)
        x[1] = strip
    x[0] = &pair.total
    invoke(e, &search.look, x, n)


cdef void look_pairwise(
    const Search* search, const Entry* e, Py_ssize_t start, Py_ssize_t n, Pair* pair
) noexcept nogil:
    # As sum_of_squares in _kernels.pyx goes on from here.
    cdef Pair other
    cdef Py_ssize_t half = n // 2 - n // 2 % 8
    if n <= CHUNK or (search.scaled and e.x[0].flat and not e.x[0].half):
        look_at(search, e, start, n, pair)
        return
    look_pairwise(search, e, start, half, pair)
    look_pairwise(search, e, start + half, n - half, &other)
    pair.judged = joined(search, pair.judged, other.judged)
    pair.total = joined(search, pair.total, other.total)


cdef inline double joined(const Search* search, double a, double b) noexcept nogil:
    if search.summed:
        return a + b
    return b if b > a or isnan(b) else a


cdef void look_at_part(void* job, Py_ssize_t last) noexcept nogil:
    # From the last part to the first, which is then in the caches when the step begins with it.
    cdef const Search* search = <const Search*> job
    cdef Py_ssize_t part = search.starts[search.count] - 1 - last
    cdef Py_ssize_t i = find_entry(search.starts, search.count, part)
    cdef Py_ssize_t start = (part - search.starts[i]) * PART
    cdef Py_ssize_t n = min(<Py_ssize_t> PART, search.entries[i].size - start)
    look_pairwise(search, &search.entries[i], start, n, &search.found[part])


cdef int look(Search* search, str kernel, Py_ssize_t size, Pair* pair) except -1:
    # Sums of squares of all that is judged and of all in the end, or the largest magnitudes.
    cdef Py_ssize_t i, part
    cdef Pair sums
    search.look.kernel = find(kernel)
    search.summed = kernel == "squares"
    drive_parts(look_at_part, <void*> search, search.starts[search.count], size)
    pair.judged = pair.total = 0
    for i in range(search.count):
        if search.starts[i] == search.starts[i + 1]:
            continue
        sums = search.found[search.starts[i]]
        for part in range(search.starts[i] + 1, search.starts[i + 1]):
            sums.judged = joined(search, sums.judged, search.found[part].judged)
            sums.total = joined(search, sums.total, search.found[part].total)
        pair.judged = joined(search, pair.judged, sums.judged)
        pair.total = joined(search, pair.total, sums.total)
    return 0


cdef double find_norm(list arrays, const Program* program, int judged, bint* finite) except -1:
    """Return the global norm of arrays of float32 and float64, None among them, once they have passed a program.

    With a program arrays may be in half precision too.
    ``finite`` becomes whether they are, after ``judged`` stages of the program (-1: in the end).
    """
    cdef Search search
    cdef Pair pair
    cdef Py_ssize_t i, size = 0
    cdef int kind
    cdef double divisor, squares
    cdef bint in_range, wide = False
    cdef Entry* entries = <Entry*> calloc(len(arrays) + 1, sizeof(Entry))
    cdef Py_ssize_t* starts = <Py_ssize_t*> calloc(len(arrays) + 1, sizeof(Py_ssize_t))
    search.found = NULL
    try:
        if not entries or not starts:
            raise MemoryError()
        for i in range(len(arrays)):
            starts[i + 1] = starts[i]
            if arrays[i] is not None:
                enter(&entries[i], arrays[i])
                size += entries[i].size * entries[i].itemsize
                kind = 0 if program == NULL else half_kind(arrays[i])
                if kind:
                    halve(&entries[i], kind)
                starts[i + 1] += (entries[i].size + PART - 1) // PART
                wide = wide or entries[i].itemsize == sizeof(double)
        search.entries, search.starts, search.count = entries, starts, len(arrays)
        search.program, search.judged, search.divisor = program, judged, NULL
        search.scaled = program == NULL or program.before == 0
        search.look.float32[0], search.look.float64[0] = 1, 1
        if not search.scaled and program.before == 1 and program.stages[0].kernel == find("scale"):
            search.scaled = True
            search.look.float32 = [program.stages[0].float32[0], 0]
            search.look.float64 = [program.stages[0].float64[0], 0]
        search.found = <Pair*> calloc(starts[len(arrays)] + 1, sizeof(Pair))
        if not search.found:
            raise MemoryError()
        look(&search, "squares", size, &pair)
        finite[0] = isfinite(pair.total) and isfinite(pair.judged)
        in_range = (TINY if wide else -1) < pair.total < INFINITY  # a double holds the square of each float
        squares = pair.total
        if in_range and finite[0]:
            return sqrt(squares)
        # The squares of what is very large or very small are out of range, where the norm itself need not be.
        look(&search, "largest", size, &pair)
        divisor = pair.total
        finite[0] = isfinite(pair.total) and isfinite(pair.judged)
        if in_range:
            return sqrt(squares)
        if divisor == 0 or not isfinite(divisor):
            return divisor
        search.divisor = &divisor
        look(&search, "squares", size, &pair)
        return divisor * sqrt(pair.total)
    finally:
        free(entries)
        free(starts)
        free(search.found)


def norm(list arrays):
    """Return the root of the sum of the squares of arrays of float32 and float64, None among them."""
    cdef bint finite
    return find_norm(arrays, NULL, -1, &finite)


def multiply(list outs, list arrays, double factor, double divisor):
    """Write ``factor / divisor`` times each array to one of ``outs``, of its dtype and shape: itself, or one apart.

    Both are of float32 or float64, or None. The bits are those of the reference's ``scale``.
    """
    cdef double whole = factor / divisor
    if factor == 0 or abs(whole) >= <double> FLT_MIN:
        multiply_by(outs, arrays, whole, whole)
        return
    single, other = factors("f4", factor, divisor), factors("f8", factor, divisor)
    multiply_by(outs, arrays, single[0], other[0])
    multiply_by(outs, outs, single[1], other[1])


cdef int multiply_by(list outs, list arrays, double single, double factor) except -1:
    cdef Plan plan
    cdef Group group
    cdef Py_ssize_t i, size = 0
    cdef Entry* entries = <Entry*> calloc(len(outs) + 1, sizeof(Entry))
    cdef Py_ssize_t* starts = <Py_ssize_t*> calloc(len(outs) + 1, sizeof(Py_ssize_t))
    try:
        if not entries or not starts:
            raise MemoryError()
        group.kernel = find("scale")
        group.float32[0], group.float64[0] = <float> single, factor
        for i in range(len(outs)):
            starts[i + 1] = starts[i]
            if outs[i] is not None:
                enter(&entries[i], outs[i])
                view(&entries[i].x[1], &entries[i], arrays[i])
                starts[i + 1] += entries[i].size
                size += entries[i].size * entries[i].width
        plan.entries, plan.groups, plan.starts, plan.count, plan.program = entries, &group, starts, len(outs), NULL
        drive_plan(&plan, size)
        return 0
    finally:
        free(entries)
        free(starts)
