"""The door: validates arrays, plans a step, and drives the kernels over them.

Every array reaches a kernel through this module, and only after every array of the step has been checked: an
error is raised before the first write. Between the first write and the last no Python code runs, so an interrupt
comes before a step or after it.
"""

cimport cython
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport INT64_MAX, int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
cimport numpy as cnp
from numpy cimport npy_intp

from ._arrays cimport enter, find_extent, halve, has_dtype, has_geometry, is_flat, is_like, is_near, is_plain, view
from ._coefficients cimport Coefficients
from ._drive cimport LINE, STORED, Entry, Group, Operand, Plan
from ._halves cimport half_kind
from ._leaves cimport compare, take
from ._plan cimport drive_plan, find
from ._pool cimport load, store
from ._stages cimport Stages
from ._update cimport check_grad

import numpy as np

from ..rows import Rows
from ..tensors import borrow_grads
from ._halves import widened
from ._rows import summed
from .arrays import arena_in, check_writable, new_arena, spec_of
from .forks import engines
from .identity import check_same_memory, refuse_changed
from .overlaps import check_apart, check_disjoint

cnp.import_array()


cdef enum:
    ALIGNMENT = 64  # bytes: a cache line, and the widest vector
    PAGE = 4096  # bytes: a store makes loads wait that are a multiple of it away
    STAGGER = 1088  # bytes by which the beginnings of large slots differ within pages: 17 cache lines
    STAGGERED = 65536  # bytes of a slot that is worth it


@cython.final
cdef class Engine:
    """The arrays of one optimizer: its parameters, the state it owns, and the step over all of them.

    ``params`` are the leaves of ``tree``, of the structure; ``members`` are the index of each one's group. A group
    has ``rule``, ``used_slots`` (names in the kernel's order, None where there is none), ``single`` (whether some
    parameter is of float32), ``average`` (the same for all) and ``ordered`` (its hyperparameters; another tuple
    when one is changed). ``memory`` is a function of a number of bytes that returns a buffer, or None.
    """

    cdef object __weakref__
    cdef cython.pymutex lock
    cdef int64_t holder, steps, skips  # the thread that has the lock, and counts: all are read without it, too
    cdef Py_ssize_t count
    cdef Entry* entries
    cdef Group* groups
    cdef Py_ssize_t* starts  # as in a Plan
    cdef Plan plan
    cdef npy_intp* geometry  # shapes and strides of the parameters as they were at construction
    cdef uintptr_t* regions  # what steps write, as sorted pairs (begin, end)
    cdef Py_ssize_t region_count
    cdef object structure, tree
    cdef readonly list params
    cdef list labels, owners, layout
    cdef list coefficients  # one Coefficients a group
    cdef bint master, halved  # whether some parameter is in half precision; or some gradient of the step
    cdef list grads  # of the step that is being made
    cdef list indices  # of its gradients by rows: which parameter, which rows
    cdef Stages stages  # beside its rule
    cdef public int away  # how often parameters have been replaced by their averages
    cdef readonly list specs  # shape, dtype and order of each parameter, and so of its slots
    cdef cnp.ndarray arena  # the state of all parameters
    cdef readonly list slots  # one dict a parameter: slot name -> view of the arena

    def __cinit__(
        self, object structure, object tree, list params, list members, list groups, object memory=None,
        bint master=False,
    ):
        cdef Py_ssize_t i, g
        cdef int k
        cdef npy_intp* geometry
        cdef Entry* e
        labels = list(structure.labels)
        for label, param in zip(labels, params, strict=True):
            if not is_plain(param):
                check_writable(f"params{label}", param, master)
        check_disjoint([f"params{label}" for label in labels], params)
        self.structure, self.tree, self.params, self.labels, self.owners = structure, tree, params, labels, groups
        self.grads = [None] * len(params)
        self.indices = []
        self.stages = Stages()
        self.stages.single = any([group.single for group in groups])
        self.specs = [spec_of(param) for param in params]
        self.count = len(params)
        self.entries = <Entry*> calloc(self.count, sizeof(Entry))
        self.groups = <Group*> calloc(len(groups), sizeof(Group))
        self.starts = <Py_ssize_t*> calloc(self.count + 1, sizeof(Py_ssize_t))
        dims = sum((<cnp.ndarray?> param).ndim for param in params)
        self.geometry = <npy_intp*> calloc(1 + 2 * <size_t> dims, sizeof(npy_intp))
        self.regions = <uintptr_t*> calloc(2 * (self.count + 1), sizeof(uintptr_t))
        if not (self.entries and self.groups and self.starts and self.geometry and self.regions):
            raise MemoryError()
        self.plan.entries, self.plan.groups, self.plan.starts = self.entries, self.groups, self.starts
        self.plan.count = self.count
        self.coefficients = [Coefficients() for _ in groups]
        for g in range(len(groups)):
            self.groups[g].kernel = find(groups[g].rule.name)
            self.groups[g].single = groups[g].single
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
            if half_kind(params[i]):
                halve(e, half_kind(params[i]))
                e.x[STORED] = e.x[0]
                self.master = True
            geometry += 2 * e.ndim
        self.allocate_state(memory)
        self.note_regions()
        engines.add(self)

    def __dealloc__(self):
        free(self.entries)
        free(self.groups)
        free(self.starts)
        free(self.geometry)
        free(self.regions)

    cdef int allocate_state(self, object memory) except -1:
        # One block for the slots of all parameters; each begins on a cache line. NumPy asks for huge pages.
        cdef Py_ssize_t i, size = 0
        cdef Entry* e
        self.layout = []
        for i in range(self.count):
            e = &self.entries[i]
            offsets = {}
            for name in (*self.owners[e.group].used_slots, "master" if e.x[STORED].half else None):
                if name is not None:
                    if e.size * e.itemsize >= STAGGERED:
                        size += (PAGE + (1 + len(offsets)) * STAGGER - size % PAGE) % PAGE
                    offsets[name] = size
                    size += (e.size * e.itemsize + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
            self.layout.append(offsets)
        self.arena = new_arena(size) if memory is None else arena_in(memory, size + PAGE, self.params)[:size]
        self.slots = self.views(self.arena)
        for i in range(self.count):
            e = &self.entries[i]
            for j, name in enumerate(self.owners[e.group].used_slots):
                if name is not None:
                    view(&e.x[2 + <Py_ssize_t> j], e, self.slots[i][name])
                    e.width += e.itemsize
            param = self.params[i]
            if e.x[STORED].half:
                self.slots[i]["master"][...] = param = widened(param)
                view(&e.x[0], e, self.slots[i]["master"])
                e.width += 2
            if self.owners[e.group].average is not None:
                self.slots[i]["average"][...] = param
        return 0

    cdef list views(self, cnp.ndarray arena):
        # The slots of each parameter in a block that is laid out like the arena.
        return [
            {name: np.ndarray(shape, dtype, arena, offset, order=order) for name, offset in offsets.items()}
            for (shape, dtype, order), offsets in zip(self.specs, self.layout, strict=True)
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

    cdef int enter_near(self, list near) except -1:
        # Enters gradients whose extents meet regions, once none is known to share an element with them.
        cdef Py_ssize_t i
        owned = {f"params{label}": param for label, param in zip(self.labels, self.params, strict=True)}
        for label, slots in zip(self.labels, self.slots, strict=True):
            for slot, array in slots.items():
                owned[f"the optimizer's state {slot!r} of params{label}"] = array
        check_apart({f"grads{self.labels[i]}": self.grads[i] for i in near}, owned)
        for i in near:
            view(&self.entries[i].x[1], &self.entries[i], self.grads[i])
            self.entries[i].x[1].half = half_kind(self.grads[i])
        return 0

    cdef Py_ssize_t bind(self, Py_ssize_t i, list near) except -1:
        # Checks parameter i and its gradient of this step, enters the gradient unless it is near to what the step
        # writes, returns the number of its elements.
        cdef object grad = self.grads[i]
        cdef Entry* e = &self.entries[i]
        cdef cnp.ndarray param = <cnp.ndarray> self.params[i]
        cdef const Operand* own = &e.x[STORED if e.x[STORED].half else 0]
        cdef int half = 0
        if cnp.PyArray_BYTES(param) != own.data or not has_geometry(param, e.ndim, e.shape, own.strides) or not (
            half_kind(param) == own.half if own.half else has_dtype(param, e.itemsize)
        ):
            refuse_changed(self.labels[i])
        if not cnp.PyArray_ISWRITEABLE(param):
            raise ValueError(f"params{self.labels[i]}: expected a writeable array, got a read-only one")
        if grad is None:
            return 0
        if not is_like(grad, e) or not cnp.PyArray_CheckExact(grad):
            if isinstance(grad, Rows):
                return self.bind_rows(i, grad)
            half = check_grad(f"grads{self.labels[i]}", grad, e, param)
            self.halved |= half > 0
        if e.size == 0:
            return 0
        if half or e.x[1].half or cnp.PyArray_BYTES(grad) != e.x[1].data or not e.x[1].flat or not is_flat(grad, e):
            if is_near(grad, self.regions, self.region_count):
                e.x[1].data = NULL
                near.append(i)
            else:
                view(&e.x[1], e, grad)
                e.x[1].half = half
        return e.size

    cdef Py_ssize_t bind_rows(self, Py_ssize_t i, object grad) except -1:
        # The same for a gradient by rows: of each row one, and in memory of its own.
        cdef Entry* e = &self.entries[i]
        index, values = summed(f"grads{self.labels[i]}", grad, self.params[i])
        self.indices.append((i, index))
        self.grads[i] = values
        e.rows = <const npy_intp*> cnp.PyArray_DATA(<cnp.ndarray> index)
        e.stepped = cnp.PyArray_SIZE(<cnp.ndarray> values)
        view(&e.x[1], e, values)
        return e.stepped

    cdef bint is_mine(self) noexcept:
        # Whether this very thread is in a step: in Python code that the step called, before its first write.
        return load(&self.holder) == <int64_t> PyThread_get_thread_ident()

    def check(self, grads, bint give=True):
        """Return the leaves of ``grads``, if a step could be made with them; by rows, each row once."""
        if self.is_mine():
            raise RuntimeError("check: expected a call from outside, got one from within a step of this optimizer")
        with self.lock:
            store(&self.holder, PyThread_get_thread_ident())
            try:
                self.take_in(grads)
                found = [widened(grad) if give and half_kind(grad) else grad for grad in self.grads]
                for i, index in self.indices:
                    found[i] = Rows(index, found[i], len(self.params[i]))
                return found
            finally:
                self.forget()

    def step(self, grads, scale, max_norm, max_value, skip_nonfinite, zero):
        """Make one step. ``grads`` is a tree of the structure, with None for a parameter to skip.

        Returns the norm of the gradients where ``max_norm`` is given.
        """
        if self.is_mine():
            raise RuntimeError("step: expected a call from outside, got one from within a step of this optimizer")
        with self.lock:
            store(&self.holder, PyThread_get_thread_ident())
            try:
                self.stages.check(scale, max_norm, max_value, skip_nonfinite, zero, self.owners[0].average)
                self.make_step(grads, zero)
                return self.stages.norm
            finally:
                self.forget()

    cdef int forget(self) except -1:
        cdef Py_ssize_t i
        store(&self.holder, 0)
        for i in range(self.count):
            self.grads[i] = None
        while self.indices:
            i, _ = self.indices.pop()
            self.entries[i].rows, self.entries[i].x[1].data = NULL, NULL
            self.entries[i].stepped = self.entries[i].size
        return 0

    cdef int make_step(self, object grads, object zero) except -1:
        cdef Py_ssize_t g, total
        if self.away:
            raise RuntimeError("step: expected a call outside of averaged(), got one within")
        if self.steps == INT64_MAX:
            raise OverflowError(f"t: expected a step count below 2**63, got {self.steps} steps already")
        for g in range(len(self.owners)):
            (<Coefficients> self.coefficients[g]).load(&self.groups[g], self.owners[g], self.steps + 1)
        total = self.take_in(grads)
        if self.indices and zero:
            where = f"grads{self.labels[self.indices[0][0]]}"
            raise ValueError(f"zero: expected False with gradients by rows, got True, and Rows as {where}")
        self.plan.program = NULL
        if self.halved or not self.stages.bare:
            self.stages.begin(self.labels, self.grads, self.owners[0].average, self.steps + 1)
            self.plan.program = &self.stages.program
            if self.stages.skipped:
                store(&self.skips, self.skips + 1)
                if self.stages.program.zero:
                    drive_plan(&self.plan, total)
                return 0
        drive_plan(&self.plan, total)
        store(&self.steps, self.steps + 1)
        return 0

    cdef Py_ssize_t take_in(self, object grads) except -1:
        # Checks all parameters and gradients, enters these, and returns how many bytes the step goes through.
        cdef Py_ssize_t i, size, total = 0
        if take(self.grads, self.structure.root, grads, 0) != self.count:
            self.grads[:] = self.structure.leaves(grads, "grads")
        for i in range(self.count):  # before any check: this may run Python code
            if not (self.grads[i] is None or cnp.PyArray_CheckExact(self.grads[i])):
                borrow_grads(self.grads, self.labels)
                break
        compare(self.params, self.structure.root, self.tree, 0, self.labels, check_same_memory)
        near = []
        self.halved = self.master
        for i in range(self.count):
            size = self.bind(i, near)
            total += size * self.entries[i].width
            self.starts[i + 1] = self.starts[i] + (size + LINE - 1) // LINE * LINE
        if near:
            self.enter_near(near)
        return total

    @property
    def t(self):
        """The number of steps taken so far."""
        return load(&self.steps)

    @property
    def skipped(self):
        """The number of steps that were not made."""
        return load(&self.skips)

    def snapshot(self):
        """Return the step count, a copy of all slots and each group's hyperparameters, all of one moment."""
        # All memory is there before the lock is taken: an allocation may run Python code, which may come back here.
        cdef cnp.ndarray image = new_arena(self.arena.size)
        cdef list ordered = [None] * len(self.owners)
        cdef int64_t t
        if self.is_mine():  # a signal handler, say: nothing has been written yet
            t = self.copy_to(image, ordered)
        else:
            with self.lock:
                t = self.copy_to(image, ordered)
        return t, self.views(image), ordered

    cdef int64_t copy_to(self, cnp.ndarray image, list ordered) except -1:
        cdef Py_ssize_t g
        memcpy(cnp.PyArray_BYTES(image), cnp.PyArray_BYTES(self.arena), cnp.PyArray_SIZE(image))
        for g in range(len(ordered)):
            ordered[g] = self.owners[g].ordered
        return self.steps

    def restore(self, int64_t t, list slots, list ordered, object average):
        """Replace what ``snapshot`` returns, all or nothing. The arrays must have the right names and shapes."""
        cdef cnp.ndarray image = new_arena(self.arena.size)
        cdef Py_ssize_t g
        if self.is_mine():
            raise RuntimeError("load_state_dict: expected a call from outside, got one from within a step")
        for views, arrays in zip(self.views(image), slots, strict=True):
            for name, array in views.items():
                array[...] = arrays[name]
        with self.lock:
            memcpy(cnp.PyArray_BYTES(self.arena), cnp.PyArray_BYTES(image), cnp.PyArray_SIZE(image))
            store(&self.steps, t)
            for g in range(len(ordered)):
                self.owners[g].ordered, self.owners[g].average = ordered[g], average

    def hold(self):
        """Keep other threads out until ``let_go``, and return True; return False within a step of this thread."""
        if self.is_mine():
            return False
        self.lock.acquire()
        return True

    def let_go(self):
        """Let other threads in again."""
        self.lock.release()
