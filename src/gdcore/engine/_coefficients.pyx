"""The coefficients of a step: from hyperparameters, through rules.py, to what the kernels read."""

cimport cython
from libc.math cimport isfinite
from libc.stdint cimport int64_t

from gdcore.engine._drive cimport COEFFICIENTS, Group

from .. import corrections

cdef extern from *:
    """
    /* What tells this thread's floating-point environment from others, as in environment.py but in a nanosecond:
       the direction of rounding, and whether subnormal results or operands are 0. */
    #if defined(__SSE2__) || defined(_M_X64)
    #include <xmmintrin.h>
    #define gd_environment() ((int) (_mm_getcsr() & 0xe040))
    #elif defined(__aarch64__) && defined(__GNUC__)
    static int gd_environment(void) {
        unsigned long long control;
        __asm__ volatile("mrs %0, fpcr" : "=r"(control));
        return (int) (control >> 22 & 7);
    }
    #else
    #include <fenv.h>
    #define gd_environment() fegetround()
    #endif
    """
    int gd_environment() noexcept

cdef int64_t BLOCK = corrections.BLOCK


@cython.final
cdef class Coefficients:
    """What was worked out of one group's hyperparameters, and holds until they or the environment change.

    ``corrected`` are the indices of the coefficients that depend on the step, ``table`` the factors by which they
    do in the steps of ``block``.
    """

    cdef int load(self, Group* group, object owner, int64_t t) except -1:
        # Puts the coefficients of step t into the group. The owner has a rule and ordered hyperparameters.
        cdef Py_ssize_t i
        cdef tuple factors, ordered = owner.ordered
        cdef int environment = gd_environment()
        if ordered is not self.ordered or environment != self.environment:
            self.constants = owner.rule.constants(*ordered)
            self.corrected = [owner.rule.coefficient_names.index(name) for name in owner.rule.corrected]
            self.block = -1
            self.ordered = ordered
            self.environment = environment
        put(group, self.constants)
        if self.corrected:
            if self.block != t // BLOCK:
                self.table = owner.rule.corrections(t // BLOCK, *ordered)
                self.block = t // BLOCK
            factors = self.table[t % BLOCK]
            for i in range(len(self.corrected)):
                group.float64[<Py_ssize_t> self.corrected[i]] *= <double> factors[i]
        return round_off(group)


cdef int put(Group* group, tuple coefficients) except -1:
    cdef int k
    if len(coefficients) > COEFFICIENTS:
        raise OverflowError(f"coefficients: expected at most {COEFFICIENTS}, got {len(coefficients)}")
    group.count = <int> len(coefficients)
    for k in range(group.count):
        group.float64[k] = coefficients[k]
    return 0


cdef int round_off(Group* group) except -1:
    # Rounds each coefficient once; refuses what is infinite for some array of the group.
    cdef int k
    for k in range(group.count):
        group.float32[k] = <float> group.float64[k]
        if not isfinite(group.float64[k]) or (group.single and not isfinite(group.float32[k])):
            raise ValueError(f"lr: expected a step whose coefficients are finite, got {group.float64[k]}")
    return 0
