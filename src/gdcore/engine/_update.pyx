"""One step of a rule on arrays that the caller holds, checked as those of an optimizer are."""

from libc.stdint cimport uintptr_t
cimport numpy as cnp
from numpy cimport npy_intp

from gdcore.engine._arrays cimport enter, find_extent, has_geometry, is_like, is_plain, view
from gdcore.engine._coefficients cimport put, round_off
from gdcore.engine._drive cimport OPERANDS, Entry, Group, Plan, c_assert
from gdcore.engine._halves cimport half_kind
from gdcore.engine._plan cimport drive_plan, find

from ..arguments import describe
from ._rows import of_arguments
from .arrays import check_like, check_unmasked, check_writable
from .overlaps import check_disjoint

cnp.import_array()


cdef int check_operand(str where, object array, const Entry* e, object param) except -1:
    # A gradient, or a slot that the caller holds: of the parameter's dtype and shape.
    if is_like(array, e):
        if not cnp.PyArray_CheckExact(array):
            check_unmasked(where, array)
        return 0
    check_like(where, array, param)
    raise TypeError(f"{where}: expected an array that is what its attributes say, got {type(array).__name__}")


cdef int check_grad(str where, object grad, const Entry* e, object param) except -1:
    # A gradient: as a slot, or, where the step is in float32, in half precision, whose kind is returned.
    cdef int kind = half_kind(grad) if e.itemsize == sizeof(float) else 0
    if kind == 0:
        return check_operand(where, grad, e, param)
    if not cnp.PyArray_CheckExact(grad):
        check_unmasked(where, grad)
    if not has_geometry(grad, e.ndim, e.shape, NULL):
        raise ValueError(f"{where}: expected the shape of {describe(param)}, got {describe(grad)}")
    return kind


def update(str rule, tuple coefficients, tuple names, tuple arrays, object rows=None):
    """Make one step of a rule on arrays that the caller holds.

    ``arrays`` are the parameter, the gradient and the slots in the order of the kernel; ``names`` are what errors
    call them, None for an array that this rule goes without. ``rows`` are those that are stepped, of which the
    gradient then is; None for all.
    """
    cdef Entry e
    cdef Group group
    cdef Py_ssize_t i, j
    cdef uintptr_t[OPERANDS] begin
    cdef uintptr_t[OPERANDS] end
    cdef Py_ssize_t[2] starts
    cdef Plan plan
    cdef bint near = False
    c_assert(len(arrays) <= OPERANDS)
    group.kernel = find(rule)
    if not is_plain(arrays[0]):
        check_writable(names[0], arrays[0])
    enter(&e, arrays[0])
    index = values = None
    if rows is not None:
        index, values = of_arguments(rows, arrays[1] if len(arrays) > 1 else None, arrays[0])
        e.rows = <const npy_intp*> cnp.PyArray_DATA(<cnp.ndarray> index)
        e.stepped = len(index) * (e.size // max(e.shape[0], 1))
    if e.size:
        find_extent(arrays[0], &begin[0], &end[0])
    for j in range(1, OPERANDS):
        e.x[j].data = NULL
        if j >= len(arrays) or names[j] is None:
            continue
        if values is not None and j == 1:  # in memory of its own
            view(&e.x[1], &e, values)
            continue
        check_operand(names[j], arrays[j], &e, arrays[0])
        if j > 1 and not is_plain(arrays[j]):
            check_writable(names[j], arrays[j])
        view(&e.x[j], &e, arrays[j])
        if j > 1:
            e.width += e.itemsize
        if e.size:
            find_extent(arrays[j], &begin[j], &end[j])
            for i in range(j):
                near = near or (e.x[i].data != NULL and begin[i] < end[j] and begin[j] < end[i])
    group.single = e.itemsize == sizeof(float)
    put(&group, coefficients)
    round_off(&group)
    if e.stepped == 0:
        return
    if near:
        present = [i for i in range(len(arrays)) if names[i] is not None and (i != 1 or values is None)]
        check_disjoint([names[i] for i in present], [arrays[i] for i in present])
    e.group = 0
    starts[0] = 0
    starts[1] = e.stepped
    plan.entries, plan.groups, plan.starts, plan.count, plan.program = &e, &group, starts, 1, NULL
    drive_plan(&plan, e.stepped * e.width)
