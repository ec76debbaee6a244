"""Which kernel a rule has, and how a step of a given size is driven: with the GIL, without it, or by threads.

Out of the caches some CPUs are faster where they are told what will be loaded next, and others slower. So it is
measured: pieces of far steps are now and then driven half one way and half the other, and vote for the faster.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t
from libc.stdlib cimport abs
from libc.string cimport strcmp

from gdcore.engine._drive cimport PIECE, Plan, drive_all, drive_range
from gdcore.engine._pool cimport Task, now, prepare, run
from gdcore._table cimport Kernel

from . import variants

cdef enum:
    BRIEF = 10_000  # elements; a shorter step keeps the GIL: giving it away would cost more than the step
    LONG = 100_000  # elements; only a longer step calls other threads
    FAR = 3_000_000  # bytes; a step over more is not expected to find them in the caches next to the core
    SURE = 16  # votes of majority that a way needs; then only one piece in SELDOM votes
    SELDOM = 32

cdef const Kernel* KERNELS = <const Kernel*> PyCapsule_GetPointer(variants.table, "gdcore.kernels")


def kernel_names():
    """Return the names of the rules that have kernels."""
    cdef const Kernel* kernel = KERNELS
    names = []
    while kernel.rule != NULL:
        names.append(kernel.rule.decode())
        kernel += 1
    return names


cdef const Kernel* find(str rule) except NULL:
    cdef const Kernel* kernel = KERNELS
    cdef bytes name = rule.encode()
    while kernel.rule != NULL:
        if strcmp(kernel.rule, name) == 0:
            return kernel
        kernel += 1
    raise LookupError(f"rule: expected one of {kernel_names()}, got {rule!r}")


cdef int[2] votes = [0, 0]  # of plain steps and of others: > 0 for asking ahead; a lost one is no harm


cdef void drive_piece(void* job, Py_ssize_t piece) noexcept nogil:
    cdef const Plan* plan = <const Plan*> job
    drive_range(plan, piece * PIECE, (piece + 1) * PIECE, False)


cdef void drive_far_piece(void* job, Py_ssize_t piece) noexcept nogil:
    cdef const Plan* plan = <const Plan*> job
    cdef int* vote = &votes[plan.program != NULL]
    cdef Py_ssize_t begin = piece * PIECE, quarter = PIECE // 4
    cdef int64_t[2] spent
    cdef int64_t begun
    cdef int k
    cdef bint ahead
    if (abs(vote[0]) == SURE and piece % SELDOM != 0) or begin + PIECE > plan.starts[plan.count]:
        drive_range(plan, begin, begin + PIECE, vote[0] > 0)
        return
    for k in range(4):  # the first quarter of each half gets its way going, the second one counts
        ahead = (k < 2) == (piece % (2 * SELDOM) < SELDOM)
        begun = now()
        drive_range(plan, begin + k * quarter, begin + (k + 1) * quarter, ahead)
        spent[ahead] = now() - begun
    vote[0] = max(-SURE, min(SURE, vote[0] + (1 if spent[1] < spent[0] else -1)))


cdef int drive_plan(Plan* plan, Py_ssize_t size) except -1:
    # All of a step over so many bytes. Nothing can go wrong once the first element is written.
    cdef Py_ssize_t total = plan.starts[plan.count]
    cdef bint far = size > FAR
    if total < BRIEF:
        drive_all(plan, False)
    elif total < LONG:
        with nogil:
            drive_all(plan, far and votes[plan.program != NULL] > 0)
    else:
        prepare()
        with nogil:
            run(drive_far_piece if far else drive_piece, <void*> plan, (total + PIECE - 1) // PIECE, size)
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
    return votes[0] > 0, votes[1] > 0
