"""The door: validates arrays, plans a step, and drives the kernels over them.

Every array reaches a kernel through this module, and only after every array of the step has been checked: an
error is raised before the first write. Between the first write and the last no Python code runs, so an interrupt
comes before a step or after it.
"""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strcmp
cimport numpy as cnp
from numpy cimport npy_intp

from ._drive cimport COEFFICIENTS, FAR, LINE, OPERANDS, PIECE
from ._drive cimport Entry, Group, Operand, Plan, c_assert, drive_all, drive_piece
from ._pool cimport prepare, run
from ._table cimport Kernel

import numpy as np

from . import variants
from .arrays import check_disjoint, check_like, check_writable, refuse_overlap, shares_memory

cnp.import_array()

cdef enum:
    ALIGNMENT = 64  # bytes: a cache line, and the widest vector
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


# What can be tested of an array in a few nanoseconds; what is unusual goes to arrays.py ---------------------------

cdef inline bint has_dtype(cnp.ndarray array, Py_ssize_t itemsize) noexcept:
    return cnp.PyArray_ISNOTSWAPPED(array) and cnp.PyArray_TYPE(array) == (
        <int> cnp.NPY_FLOAT if itemsize == sizeof(float) else <int> cnp.NPY_DOUBLE
    )


cdef inline bint has_geometry(cnp.ndarray array, int ndim, const npy_intp* shape, const npy_intp* strides) noexcept:
    # strides: NULL for any.
    cdef int k
    if cnp.PyArray_NDIM(array) != ndim:
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(array, k) != shape[k]:
            return False
        if strides != NULL and cnp.PyArray_STRIDE(array, k) != strides[k]:
            return False
    return True


cdef inline bint is_plain(object array) noexcept:
    return cnp.PyArray_Check(array) and cnp.PyArray_ISBEHAVED(<cnp.ndarray> array) and (
        has_dtype(<cnp.ndarray> array, sizeof(float)) or has_dtype(<cnp.ndarray> array, sizeof(double))
    ) and (cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> array) or cnp.PyArray_IS_F_CONTIGUOUS(<cnp.ndarray> array))


cdef inline bint is_like(object array, const Entry* e) noexcept:
    return cnp.PyArray_Check(array) and has_dtype(<cnp.ndarray> array, e.itemsize) and has_geometry(
        <cnp.ndarray> array, e.ndim, e.shape, NULL
    )


cdef inline void find_extent(cnp.ndarray array, uintptr_t* begin, uintptr_t* end) noexcept:
    # The first byte of an array that is not empty, and the first one behind it.
    cdef npy_intp reach
    cdef int k
    begin[0] = <uintptr_t> cnp.PyArray_BYTES(array)
    end[0] = begin[0] + cnp.PyArray_ITEMSIZE(array)
    for k in range(cnp.PyArray_NDIM(array)):
        reach = (cnp.PyArray_DIM(array, k) - 1) * cnp.PyArray_STRIDE(array, k)
        if reach > 0:
            end[0] += reach
        else:
            begin[0] += reach


# From arrays to what the loops see -------------------------------------------------------------------------------

cdef inline void enter(Entry* e, cnp.ndarray param) noexcept:
    e.size = cnp.PyArray_SIZE(param)
    e.itemsize = cnp.PyArray_ITEMSIZE(param)
    e.width = 2 * e.itemsize
    e.ndim = cnp.PyArray_NDIM(param)
    e.shape = cnp.PyArray_DIMS(param)
    e.reversed = cnp.PyArray_IS_F_CONTIGUOUS(param) and not cnp.PyArray_IS_C_CONTIGUOUS(param)
    view(&e.x[0], e, param)


cdef inline void view(Operand* operand, const Entry* e, cnp.ndarray array) noexcept:
    cdef int order = cnp.NPY_ARRAY_F_CONTIGUOUS if e.reversed else cnp.NPY_ARRAY_C_CONTIGUOUS
    operand.data = cnp.PyArray_BYTES(array)
    operand.flat = cnp.PyArray_CHKFLAGS(array, order | cnp.NPY_ARRAY_ALIGNED)
    operand.strides = cnp.PyArray_STRIDES(array)


cdef int load(Group* group, tuple coefficients, bint single) except -1:
    # single: some array of the group is of float32.
    cdef Py_ssize_t k
    c_assert(len(coefficients) <= COEFFICIENTS)
    for k in range(len(coefficients)):
        group.float64[k] = coefficients[k]
        group.float32[k] = <float> group.float64[k]
        if not isfinite(group.float64[k]) or (single and not isfinite(group.float32[k])):
            raise ValueError(f"lr: expected a step whose coefficients are finite, got {coefficients}")
    return 0


def update(str rule, tuple coefficients, tuple names, tuple arrays):
    """Make one step of a rule on arrays that the caller holds.

    ``arrays`` are the parameter, the gradient and the slots in the order of the kernel; ``names`` are what errors
    call them, None for an array that this rule goes without.
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
    if e.size:
        find_extent(arrays[0], &begin[0], &end[0])
    for j in range(1, OPERANDS):
        e.x[j].data = NULL
        if j >= len(arrays) or names[j] is None:
            continue
        if not is_like(arrays[j], &e):
            check_like(names[j], arrays[j], arrays[0])
        if j > 1 and not is_plain(arrays[j]):
            check_writable(names[j], arrays[j])
        view(&e.x[j], &e, arrays[j])
        if j > 1:
            e.width += e.itemsize
        if e.size:
            find_extent(arrays[j], &begin[j], &end[j])
            for i in range(j):
                near = near or (e.x[i].data != NULL and begin[i] < end[j] and begin[j] < end[i])
    load(&group, coefficients, e.itemsize == sizeof(float))
    if e.size == 0:
        return
    if near:
        present = [i for i in range(len(arrays)) if names[i] is not None]
        check_disjoint([names[i] for i in present], [arrays[i] for i in present])
    e.group = 0
    starts[0] = 0
    starts[1] = e.size
    plan.entries, plan.groups, plan.starts, plan.count = &e, &group, starts, 1
    drive_plan(&plan, e.size * e.width)


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
            run(drive_piece, <void*> plan, (total + PIECE - 1) // PIECE)
    return 0


@cython.final
cdef class Engine:
    """The arrays of one optimizer: its parameters, the state it owns, and the step over all of them.

    ``params`` are the arrays; ``labels`` are what errors append to "params" and "grads" to name each; ``members``
    are the index of each one's group. A group has ``rule``, ``used_slots`` (names in the kernel's order, None
    where there is none), ``single`` (whether some parameter is of float32), ``ordered`` (its hyperparameters)
    and ``coefficients(t)``.
    """

    cdef cython.pymutex lock
    cdef int64_t steps
    cdef Py_ssize_t count
    cdef Entry* entries
    cdef Group* groups
    cdef Py_ssize_t* starts  # as in a Plan
    cdef Plan plan
    cdef npy_intp* geometry  # shapes and strides of the parameters as they were at construction
    cdef uintptr_t* regions  # what steps write, as sorted pairs (begin, end)
    cdef Py_ssize_t region_count
    cdef list params, labels, owners, layout, kept
    cdef cnp.ndarray arena  # the state of all parameters
    cdef readonly list slots  # one dict a parameter: slot name -> view of the arena

    def __cinit__(self):
        self.entries = NULL
        self.groups = NULL
        self.starts = NULL
        self.geometry = NULL
        self.regions = NULL

    def __dealloc__(self):
        free(self.entries)
        free(self.groups)
        free(self.starts)
        free(self.geometry)
        free(self.regions)

    def __init__(self, list params, list labels, list members, list groups):
        cdef Py_ssize_t i, g
        cdef int k
        cdef npy_intp* geometry
        cdef Entry* e
        for label, param in zip(labels, params, strict=True):
            check_writable(f"params{label}", param)
        check_disjoint([f"params{label}" for label in labels], params)
        self.params, self.labels, self.owners, self.kept = params, labels, groups, []
        self.count = len(params)
        self.entries = <Entry*> calloc(self.count, sizeof(Entry))
        self.groups = <Group*> calloc(len(groups), sizeof(Group))
        self.starts = <Py_ssize_t*> calloc(self.count + 1, sizeof(Py_ssize_t))
        self.geometry = <npy_intp*> calloc(1 + 2 * sum(param.ndim for param in params), sizeof(npy_intp))
        self.regions = <uintptr_t*> calloc(2 * (self.count + 1), sizeof(uintptr_t))
        if not (self.entries and self.groups and self.starts and self.geometry and self.regions):
            raise MemoryError()
        self.plan.entries, self.plan.groups, self.plan.starts = self.entries, self.groups, self.starts
        self.plan.count = self.count
        for g in range(len(groups)):
            self.groups[g].kernel = find(groups[g].rule.name)
        geometry = self.geometry
        for i in range(self.count):
            e = &self.entries[i]
            enter(e, params[i])
            e.group = members[i]
            for k in range(e.ndim):
                geometry[k] = e.shape[k]
                geometry[e.ndim + k] = e.x[0].strides[k]
            e.shape = geometry
            e.x[0].strides = geometry + e.ndim
            geometry += 2 * e.ndim
        self.allocate_state()
        self.note_regions()

    cdef int allocate_state(self) except -1:
        # One block for the slots of all parameters; each begins on a cache line.
        cdef Py_ssize_t i, size = 0
        cdef Entry* e
        self.layout = []
        for i in range(self.count):
            e = &self.entries[i]
            offsets = {}
            for name in self.owners[e.group].used_slots:
                if name is not None:
                    offsets[name] = size
                    size += (e.size * e.itemsize + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
            self.layout.append(offsets)
        self.arena = new_arena(size)
        self.slots = self.views(self.arena)
        for i in range(self.count):
            e = &self.entries[i]
            for j, name in enumerate(self.owners[e.group].used_slots):
                if name is not None:
                    view(&e.x[2 + <Py_ssize_t> j], e, self.slots[i][name])
                    e.width += e.itemsize
        return 0

    cdef list views(self, cnp.ndarray arena):
        # The slots of each parameter in a block that is laid out like the arena.
        return [
            {
                name: np.ndarray(
                    param.shape, param.dtype, arena, offset, order="F" if self.entries[i].reversed else "C"
                )
                for name, offset in self.layout[i].items()
            }
            for i, param in enumerate(self.params)
        ]

    cdef int note_regions(self) except -1:
        # Merged extents, so that a gradient is tested against all parameters and slots by one binary search.
        cdef uintptr_t begin, end, reach = 0
        extents = []
        for array in [*self.params, self.arena]:
            if array.size:
                find_extent(array, &begin, &end)
                extents.append((begin, end))
        for begin, end in sorted(extents):
            if begin > reach:
                self.regions[2 * self.region_count] = begin
                self.region_count += 1
            reach = max(reach, end)
            self.regions[2 * self.region_count - 1] = reach
        return 0

    cdef bint is_near(self, cnp.ndarray grad) noexcept:
        # Whether the extent of grad meets a region.
        cdef uintptr_t begin, end
        cdef Py_ssize_t low = 0, high = self.region_count, middle
        find_extent(grad, &begin, &end)
        while low < high:  # to the first region that ends behind begin
            middle = (low + high) // 2
            if self.regions[2 * middle + 1] <= begin:
                low = middle + 1
            else:
                high = middle
        return low < self.region_count and self.regions[2 * low] < end

    cdef int check_apart(self, str label, object grad) except -1:
        # Extents may interleave without a shared element: this test is exact.
        for other, param, slots in zip(self.labels, self.params, self.slots, strict=True):
            if shares_memory(grad, param):
                refuse_overlap(f"grads{label}", f"params{other}")
            for name, slot in slots.items():
                if shares_memory(grad, slot):
                    refuse_overlap(f"grads{label}", f"the optimizer's state {name!r} of params{other}")
        return 0

    cdef Py_ssize_t bind(self, Py_ssize_t i, object grad) except -1:
        # Checks parameter i and its gradient of this step, enters the gradient, returns the number of its elements.
        cdef Entry* e = &self.entries[i]
        cdef cnp.ndarray param = <cnp.ndarray> self.params[i]
        if cnp.PyArray_BYTES(param) != e.x[0].data or not has_dtype(param, e.itemsize) or not has_geometry(
            param, e.ndim, e.shape, e.x[0].strides
        ):
            raise ValueError(f"params{self.labels[i]}: expected the array as it was when the optimizer was made, "
                             f"got one whose memory, shape or dtype was changed since; make a new optimizer")
        if not cnp.PyArray_ISWRITEABLE(param):
            raise ValueError(f"params{self.labels[i]}: expected a writeable array, got a read-only one")
        if grad is None:
            return 0
        if not is_like(grad, e):
            if isinstance(grad, np.floating):  # NumPy's own reductions return these for 0-d arrays
                grad = np.asarray(grad)
                self.kept.append(grad)
            check_like(f"grads{self.labels[i]}", grad, param)
        if e.size == 0:
            return 0
        if self.is_near(grad):
            self.check_apart(self.labels[i], grad)
        view(&e.x[1], e, grad)
        return e.size

    def step(self, tuple grads):
        """Make one step. ``grads`` holds an array for each parameter, or None to skip it."""
        cdef Py_ssize_t i, g, size, total = 0
        c_assert(len(grads) == self.count)
        with self.lock:
            for g in range(len(self.owners)):
                load(&self.groups[g], self.owners[g].coefficients(self.steps + 1), self.owners[g].single)
            try:
                for i in range(self.count):
                    size = self.bind(i, grads[i])
                    total += size * self.entries[i].width
                    self.starts[i + 1] = self.starts[i] + (size + LINE - 1) // LINE * LINE
                drive_plan(&self.plan, total)
                self.steps += 1
            finally:
                self.kept.clear()

    @property
    def t(self):
        """The number of steps taken so far."""
        return self.steps

    def snapshot(self):
        """Return the step count, a copy of all slots and each group's hyperparameters, all of one moment."""
        cdef cnp.ndarray image = new_arena(self.arena.size)
        with self.lock:
            memcpy(cnp.PyArray_BYTES(image), cnp.PyArray_BYTES(self.arena), cnp.PyArray_SIZE(image))
            t, ordered = self.steps, [group.ordered for group in self.owners]
        return t, self.views(image), ordered

    def restore(self, int64_t t, list slots, list ordered):
        """Replace what ``snapshot`` returns, all or nothing. The arrays must have the right names and shapes."""
        cdef cnp.ndarray image = new_arena(self.arena.size)
        for views, arrays in zip(self.views(image), slots, strict=True):
            for name, array in views.items():
                array[...] = arrays[name]
        with self.lock:
            memcpy(cnp.PyArray_BYTES(self.arena), cnp.PyArray_BYTES(image), cnp.PyArray_SIZE(image))
            self.steps = t
            for group, values in zip(self.owners, ordered, strict=True):
                group.ordered = values


cdef cnp.ndarray new_arena(Py_ssize_t size):
    # size zeroed bytes that begin on a cache line.
    block = np.zeros(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]
