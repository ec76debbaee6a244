"""Which kernel a rule has, and how a step of a given size is driven: with the GIL, without it, or by threads.

Out of the caches some CPUs are faster where they are told what will be loaded next, and others slower. So it is
measured: pieces of far steps are now and then driven half one way and half the other, and vote for the faster.
Where kernels are built for two widths of vectors, the faster one of each is found at its first use.
"""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport INT64_MAX, int64_t, uintptr_t
from libc.string cimport strcmp

from gdcore.engine._drive cimport COEFFICIENTS, OPERANDS, PIECE, Plan, drive_all, drive_range
from gdcore.engine._pool cimport Task, load, now, prepare, run, store
from gdcore._table cimport Kernel

from .. import stages
from . import variants

cdef enum:
    BRIEF = 10_000  # elements; a shorter step keeps the GIL: giving it away would cost more than the step
    LONG = 100_000  # elements; only a longer step calls other threads
    FAR = 3_000_000  # bytes; a step over more is not expected to find them in the caches next to the core
    SURE = 16  # votes of majority that a way needs; then only one piece in SELDOM votes
    SELDOM = 32

    MOST = 32  # kernels
    TRIED = 1024  # elements on which builds of a kernel are compared, in the L1 cache or nearly
    APART = 136  # doubles between their arrays, lest these lie alike within pages
    ROUNDS = 15

cdef Kernel[MOST + 1] KERNELS  # closed by a row without a name
cdef int64_t[MOST] measured
cdef cython.pymutex measuring


cdef const Kernel* table_of(object capsule) except NULL:
    return <const Kernel*> PyCapsule_GetPointer(capsule, "gdcore.kernels")


cdef int take_table() except -1:
    cdef const Kernel* table = table_of(variants.tables[0])
    cdef int k = 0
    while table[k].rule != NULL:
        if k == MOST:
            raise OverflowError(f"kernels: expected at most {MOST}")
        KERNELS[k] = table[k]
        measured[k] = len(variants.tables) == 1 or KERNELS[k].rule.decode() in (*stages.LOOKS, *stages.CONVERSIONS)
        k += 1
    KERNELS[k].rule = NULL
    return 0


cdef double spent(const Kernel* kernel, bint single) noexcept nogil:
    # Nanoseconds of one call on numbers that are neither 0 nor subnormal. The arrays begin as those of a step do:
    # NumPy's behind 16 bytes of the allocator's, slots on cache lines. No third slot: the usual form of a rule.
    cdef double[OPERANDS * (TRIED + APART) + 8] block
    cdef char* base = <char*> ((<uintptr_t> block + 63) // 64 * 64)
    cdef (void*)[OPERANDS] x
    cdef double[COEFFICIENTS] c64
    cdef float[COEFFICIENTS] c32
    cdef int64_t begun, least = INT64_MAX
    cdef int i, j, _i
    for i in range(COEFFICIENTS):
        c64[i] = c32[i] = 0.5
    for j in range(OPERANDS):
        x[j] = base + j * (TRIED + APART) * sizeof(double) + (16 if j < 2 else 0)
        for i in range(TRIED):
            if single:
                (<float*> x[j])[i] = 1
            else:
                (<double*> x[j])[i] = 1
    x[4] = NULL
    for _i in range(ROUNDS):
        begun = now()
        if single:
            kernel.float32(x, c32, TRIED)
        else:
            kernel.float64(x, c64, TRIED)
        least = min(least, now() - begun)
    return <double> least


cdef int measure(int k) except -1:
    # Takes the faster build of kernel k. The wider one has to be clearly faster.
    cdef const Kernel* wide
    cdef double single, double_
    if load(&measured[k]):
        return 0
    with measuring:
        if not measured[k]:
            wide = &table_of(variants.tables[1])[k]
            single, double_ = spent(&KERNELS[k], True), spent(&KERNELS[k], False)
            spent(wide, False)  # the first wide vectors may wait for the CPU to change its clock
            if spent(wide, True) < 0.97 * single:
                KERNELS[k].float32 = wide.float32
            if spent(wide, False) < 0.97 * double_:
                KERNELS[k].float64 = wide.float64
            store(&measured[k], True)
    return 0


take_table()


cdef const Kernel* all_kernels() noexcept:
    return KERNELS


def wide_kernels():
    """Return the rules, each with a dtype, whose wider build is measured to be faster here."""
    cdef const Kernel* wide = table_of(variants.tables[len(variants.tables) - 1])
    cdef int k = 0
    found = []
    while KERNELS[k].rule != NULL and len(variants.tables) > 1:
        measure(k)
        if KERNELS[k].float32 == wide[k].float32:
            found.append((KERNELS[k].rule.decode(), "float32"))
        if KERNELS[k].float64 != NULL and KERNELS[k].float64 == wide[k].float64:
            found.append((KERNELS[k].rule.decode(), "float64"))
        k += 1
    return found


def kernel_names():
    """Return the names of the rules that have kernels."""
    cdef int k = 0
    names = []
    while KERNELS[k].rule != NULL:
        names.append(KERNELS[k].rule.decode())
        k += 1
    return names


cdef const Kernel* find(str rule) except NULL:
    cdef bytes name = rule.encode()
    cdef int k = 0
    while KERNELS[k].rule != NULL:
        if strcmp(KERNELS[k].rule, name) == 0:
            measure(k)
            return &KERNELS[k]
        k += 1
    raise LookupError(f"rule: expected one of {kernel_names()}, got {rule!r}")


cdef int64_t[2] votes = [0, 0]  # of plain steps and of others: > 0 for asking ahead; a lost one is no harm


cdef void drive_piece(void* job, Py_ssize_t piece) noexcept nogil:
    cdef const Plan* plan = <const Plan*> job
    drive_range(plan, piece * PIECE, (piece + 1) * PIECE, False)


cdef void drive_far_piece(void* job, Py_ssize_t piece) noexcept nogil:
    cdef const Plan* plan = <const Plan*> job
    cdef int64_t* votes_of_kind = &votes[plan.program != NULL]
    cdef int64_t vote = load(votes_of_kind)
    cdef Py_ssize_t begin = piece * PIECE, quarter = PIECE // 4
    cdef int64_t[2] spent
    cdef int64_t begun
    cdef int k
    cdef bint ahead
    if (vote in (-SURE, SURE) and piece % SELDOM != 0) or begin + PIECE > plan.starts[plan.count]:
        drive_range(plan, begin, begin + PIECE, vote > 0)
        return
    for k in range(4):  # the first quarter of each half gets its way going, the second one counts
        ahead = (k < 2) == (piece % (2 * SELDOM) < SELDOM)
        begun = now()
        drive_range(plan, begin + k * quarter, begin + (k + 1) * quarter, ahead)
        spent[ahead] = now() - begun
    vote += 1 if spent[1] < spent[0] else -1
    store(votes_of_kind, max(<int64_t> -SURE, min(<int64_t> SURE, vote)))


cdef int drive_plan(Plan* plan, Py_ssize_t size) except -1:
    # All of a step over so many bytes. Nothing can go wrong once the first element is written.
    cdef Py_ssize_t total = plan.starts[plan.count]
    plan.far = size > FAR
    if total < BRIEF:
        drive_all(plan, False)
    elif total < LONG:
        with nogil:
            drive_all(plan, plan.far and load(&votes[plan.program != NULL]) > 0)
    else:
        prepare()
        with nogil:
            run(drive_far_piece if plan.far else drive_piece, <void*> plan, (total + PIECE - 1) // PIECE, size)
    return 0


cdef int drive_parts(Task task, void* job, Py_ssize_t count, Py_ssize_t size) except -1:
    # All parts of a job over so many bytes that is no step.
    cdef Py_ssize_t part
    if size < 4 * BRIEF:
        for part in range(count):
            task(job, part)
    elif size < 4 * LONG:
        with nogil:
            for part in range(count):
                task(job, part)
    else:
        prepare()
        with nogil:
            run(task, job, count, size)
    return 0


def is_asking_ahead():
    """Return whether far steps ask for what they load next: those of a rule alone, and those of more stages."""
    return load(&votes[0]) > 0, load(&votes[1]) > 0
