"""Which kernel a rule has, and how a step of a given size is driven: with the GIL, without it, or by threads."""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.string cimport strcmp

from gdcore.engine._drive cimport FAR, PIECE, Plan, drive_all, drive_piece
from gdcore.engine._pool cimport Task, prepare, run
from gdcore._table cimport Kernel

from . import variants

cdef enum:
    BRIEF = 10_000  # elements; a shorter step keeps the GIL: giving it away would cost more than the step
    LONG = 100_000  # elements; only a longer step calls other threads

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


cdef int drive_plan(Plan* plan, Py_ssize_t size) except -1:
    # All of a step over so many bytes. Nothing can go wrong once the first element is written.
    cdef Py_ssize_t total = plan.starts[plan.count]
    plan.far = size > FAR
    if total < BRIEF:
        drive_all(plan)
    elif total < LONG:
        with nogil:
            drive_all(plan)
    else:
        prepare()
        with nogil:
            run(drive_piece, <void*> plan, (total + PIECE - 1) // PIECE, size)
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
