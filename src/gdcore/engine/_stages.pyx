"""The program of a step: which stages it has beside its rule, worked out once its gradients are known."""

cimport cython
from libc.float cimport DBL_MAX, FLT_MAX, FLT_MIN
from libc.math cimport isfinite
from libc.string cimport memset
cimport numpy as cnp

from gdcore.engine._arrays cimport find_extent, is_whole
from gdcore.engine._drive cimport STAGES, Program, c_assert
from gdcore.engine._halves cimport convert, half_kind
from gdcore.engine._norm cimport find_norm
from gdcore.engine._plan cimport find

from .. import stages
from ..powers import factors
from .arrays import check_writable
from .overlaps import check_disjoint

cnp.import_array()

cdef tuple NOTHING = (1.0, None, None, False, False)  # as stages.checked returns it


@cython.final
cdef class Stages:
    """What one step does beside its rule.

    ``check`` takes what is asked for, and ``begin`` the gradients that have been checked: then ``program`` is
    complete, with ``norm`` and ``skipped``.
    """

    cdef int check(
        self, object scale, object max_norm, object max_value, object skip_nonfinite, object zero, object average
    ) except -1:
        self.norm = None
        self.skipped = False
        self.bare = (
            max_norm is None and max_value is None and skip_nonfinite is False and zero is False and average is None
            and type(scale) is float and <double> scale == 1
        )
        if not self.bare:
            dtypes = ("f4", "f8") if self.single else ("f8",)
            self.asked = stages.checked(dtypes, scale, max_norm, max_value, skip_nonfinite, zero)
        return 0

    cdef int begin(self, list labels, list grads, object average, object t) except -1:
        cdef double scale, norm
        cdef bint finite = True, skip, zero
        cdef int judged = -1
        memset(&self.program, 0, sizeof(Program))
        convert(&self.program)
        scale, max_norm, max_value, skip, zero = NOTHING if self.bare else self.asked
        if zero:
            check_apart(labels, grads)
        if scale != 1:
            self.add_scale(scale, 1)
        if max_value is not None:
            judged = self.program.before if skip else -1
            self.add("clip", max_value, 0)
        if max_norm is not None or skip:
            norm = find_norm(grads, &self.program, judged, &finite)
            if max_norm is not None:
                self.norm = norm
                finite = finite and isfinite(norm)
            if not finite and not skip:
                raise FloatingPointError(f"grads: expected a finite norm, got {norm}")
            self.skipped = not finite
            if finite and max_norm is not None and norm > <double> max_norm:
                self.add_scale(max_norm, norm)
        if self.skipped:
            memset(&self.program, 0, sizeof(Program))
            self.program.idle = True
        elif average is not None:
            self.add("average", average.gain(t), 0)
        self.program.zero = zero
        return 0

    cdef int add_scale(self, double factor, double divisor) except -1:
        cdef double first, second, single_first, single_second
        cdef double whole = factor / divisor
        if factor == 0 or abs(whole) >= <double> FLT_MIN:
            return self.add("scale", whole, 0)
        first, second = factors("f8", factor, divisor)
        single_first, single_second = factors("f4", factor, divisor)
        self.add("scale", first, 0)
        self.program.stages[self.program.count - 1].float32[0] = <float> single_first
        self.add("scale", second, 0)
        self.program.stages[self.program.count - 1].float32[0] = <float> single_second
        return 0

    cdef int add(self, str name, double first, double second) except -1:
        cdef Program* program = &self.program
        cdef int k = program.count
        c_assert(k < STAGES)
        program.stages[k].kernel = find(name)
        program.stages[k].float64 = [min(first, DBL_MAX), second]
        program.stages[k].float32 = [<float> min(first, <double> FLT_MAX), <float> second]
        program.count += 1
        program.before += stages.STAGES[name]
        return 0


cdef int check_apart(list labels, list grads) except -1:
    # Gradients that a step sets to 0: each is writeable and shares no memory.
    present = []
    for label, grad in zip(labels, grads, strict=True):
        if grad is not None:
            if not is_whole(grad):  # of a dtype that was checked with the others
                check_writable(f"grads{label}", grad, half_kind(grad) > 0)
            present.append((f"grads{label}", grad))
    if not are_apart([grad for _, grad in present]):
        check_disjoint([where for where, _ in present], [grad for _, grad in present])
    return 0


cdef bint are_apart(list arrays) except -1:
    # Whether no two extents meet.
    cdef size_t begin, end, reach = 0
    extents = []
    for array in arrays:
        if array.size:
            find_extent(array, &begin, &end)
            extents.append((begin, end))
    for begin, end in sorted(extents):
        if begin < reach:
            return False
        reach = end
    return True
