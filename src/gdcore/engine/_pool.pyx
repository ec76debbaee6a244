"""Threads that join work which the caller has already begun.

The caller of ``run`` opens the gate, wakes the helpers that sleep, and works at once; whoever comes through the
gate while there are chunks left takes some. When none are left the caller shuts the gate and waits only for helpers
that hold a chunk: one that the system was slow to wake finds the gate shut and costs nothing. Each thread begins
with a part of its own, the same one in every step, so that its data stay in its cache, and then takes from the
others.

Whether helpers help depends on what else runs here, and on how fast the system wakes them: one that holds a chunk
and loses its CPU to somebody else keeps the caller waiting. So it is measured: for jobs of each size the last times
with helpers and without are kept, the better way is taken, and the other is tried now and then, less often each
time that it loses.

There is one pool a process. A second caller at the same time works alone. Helpers never touch Python, and compute
in the caller's floating-point environment.
"""

cimport cython
from libc.stdint cimport int64_t, intptr_t

from gdcore.engine._pool cimport Task

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER)
    #include <intrin.h>
    #include <process.h>
    #include <windows.h>
    static int64_t gd_add(int64_t *p, int64_t v) { return _InterlockedExchangeAdd64(p, v); }
    static int64_t gd_load(int64_t *p) { return _InterlockedOr64(p, 0); }
    static void gd_store(int64_t *p, int64_t v) { _InterlockedExchange64(p, v); }
    static int gd_swap(int64_t *p, int64_t old, int64_t v) {
        return _InterlockedCompareExchange64(p, v, old) == old;
    }
    static void gd_yield(void) { SwitchToThread(); }
    static int64_t gd_pid(void) { return _getpid(); }
    static int64_t gd_now(void) {
        LARGE_INTEGER count, rate;
        QueryPerformanceCounter(&count);
        QueryPerformanceFrequency(&rate);
        return (int64_t) ((double) count.QuadPart * 1e9 / (double) rate.QuadPart);
    }
    #else
    #include <sched.h>
    #include <time.h>
    #include <unistd.h>
    static inline int64_t gd_add(int64_t *p, int64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
    static inline int64_t gd_load(int64_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    static inline void gd_store(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
    static inline int gd_swap(int64_t *p, int64_t old, int64_t v) {
        return __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    static void gd_yield(void) { sched_yield(); }
    static int64_t gd_pid(void) { return getpid(); }
    static int64_t gd_now(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
    }
    #endif
    #if defined(__x86_64__) || defined(_M_X64)
    #include <immintrin.h>
    #define gd_pause() _mm_pause()
    #elif defined(__aarch64__)
    #define gd_pause() __asm__ volatile("isb")
    #else
    #define gd_pause() ((void) 0)
    #endif
    """
    int64_t gd_add(int64_t* p, int64_t v) noexcept nogil  # returns the old value
    int64_t gd_load(int64_t* p) noexcept nogil
    void gd_store(int64_t* p, int64_t v) noexcept nogil
    bint gd_swap(int64_t* p, int64_t old, int64_t v) noexcept nogil  # whether p held old
    void gd_yield() noexcept nogil
    void gd_pause() noexcept nogil
    int64_t gd_pid() noexcept nogil
    int64_t gd_now() noexcept nogil  # nanoseconds

cdef extern from "<fenv.h>" nogil:
    ctypedef struct fenv_t:
        pass
    int fegetenv(fenv_t* environment)
    int fesetenv(const fenv_t* environment)

cdef extern from "pythread.h" nogil:
    ctypedef void* PyThread_type_lock
    unsigned long PyThread_start_new_thread(void (*function)(void*) noexcept nogil, void* argument)
    unsigned long PYTHREAD_INVALID_THREAD_ID
    PyThread_type_lock PyThread_allocate_lock()
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait)
    void PyThread_release_lock(PyThread_type_lock lock)
    void PyThread_free_lock(PyThread_type_lock lock)

cdef enum:
    MAX_THREADS = 64
    SHUT = -1
    AWAKE_NS = 50_000  # a helper looks out for the next step so long before it sleeps
    RECENT = 3  # times of each way that are kept: their median outlives one that was disturbed
    TRIAL = RECENT + 1
    OFTEN = 16  # jobs until the other way is tried, at first
    SELDOM = 2048  # and at last

cdef struct Part:
    int64_t next  # the first chunk that nobody has taken
    int64_t end
    int64_t[6] padding  # a cache line of its own

cdef struct Helper:
    int64_t asleep  # whoever changes it from 1 to 0 releases the lock, or is the helper itself
    PyThread_type_lock lock
    int64_t[6] padding

cdef Part[MAX_THREADS] parts
cdef Helper[MAX_THREADS] helpers
cdef int64_t wanted = 1  # threads, the caller among them
cdef int64_t started = 1
cdef int64_t owner = 0  # the process whose threads these are
cdef int64_t busy = 0  # 1: somebody runs
cdef int64_t gate = SHUT  # or the number of helpers within
cdef int64_t generation = 0  # of openings of the gate
cdef cython.pymutex starting

# Written while the gate is shut, read within.
cdef Task the_task
cdef void* the_job
cdef int64_t part_count
cdef fenv_t the_environment

cdef struct Habit:  # what is known of jobs of about one size; index 0 is the way alone, 1 that with helpers
    double[2][RECENT] recent  # ns a byte
    int64_t[2] seen
    int64_t choice
    bint trying  # the other way, for TRIAL jobs: the first of them wakes the helpers or brings data back
    int64_t interval  # between two trials
    int64_t left  # jobs of this period

cdef Habit[64] habits  # by the logarithm of the size; guarded by busy


cdef int64_t now() noexcept nogil:
    return gd_now()


cdef int64_t load(int64_t* shared) noexcept nogil:
    return gd_load(shared)


cdef void store(int64_t* shared, int64_t value) noexcept nogil:
    gd_store(shared, value)


def set_threads(int count):
    """Use ``count`` threads, the caller's among them, from the next step on."""
    gd_store(&wanted, min(max(count, 1), MAX_THREADS))


def threads():
    """Return how many threads a large step may use, the caller's among them."""
    return gd_load(&wanted)


cdef int prepare() except -1:
    # Starts the helpers that are missing: all of them after a fork, which leaves a child without any.
    cdef PyThread_type_lock lock
    if gd_load(&started) >= gd_load(&wanted) and gd_load(&owner) == gd_pid():
        return 0
    with starting:
        if gd_load(&owner) != gd_pid():
            gd_store(&started, 1)
            gd_store(&gate, SHUT)
            gd_store(&busy, 0)
            gd_store(&owner, gd_pid())
        while started < gd_load(&wanted):
            lock = PyThread_allocate_lock()
            if lock == NULL:
                raise MemoryError()
            PyThread_acquire_lock(lock, 1)
            helpers[started].asleep = 0
            helpers[started].lock = lock
            if PyThread_start_new_thread(help, <void*> <intptr_t> started) == PYTHREAD_INVALID_THREAD_ID:
                PyThread_release_lock(lock)
                PyThread_free_lock(lock)
                return 0  # the system has no thread to give: the step is made by those that there are
            gd_add(&started, 1)
    return 0


cdef void work(int64_t me) noexcept nogil:
    cdef int64_t k, chunk
    cdef Part* part
    for k in range(part_count):
        part = &parts[(me + k) % part_count]
        while gd_load(&part.next) < part.end:
            chunk = gd_add(&part.next, 1)
            if chunk < part.end:
                the_task(the_job, chunk)


cdef void help(void* argument) noexcept nogil:
    # The life of a helper.
    cdef int64_t me = <intptr_t> argument, seen = 0, inside
    cdef fenv_t own
    while True:
        seen = next_generation(me, seen)
        inside = gd_load(&gate)
        while inside != SHUT:
            if gd_swap(&gate, inside, inside + 1):
                if me < part_count:
                    fegetenv(&own)
                    fesetenv(&the_environment)
                    work(me)
                    fesetenv(&own)
                gd_add(&gate, -1)
                break
            inside = gd_load(&gate)


cdef int64_t next_generation(int64_t me, int64_t seen) noexcept nogil:
    # Returns as soon as the gate has been opened again: awake at first, then asleep.
    cdef int64_t until = gd_now() + AWAKE_NS
    cdef int _k
    while gd_now() < until:
        for _k in range(50):
            if gd_load(&generation) != seen:
                return gd_load(&generation)
            gd_pause()
    gd_store(&helpers[me].asleep, 1)
    if gd_load(&generation) == seen or not gd_swap(&helpers[me].asleep, 1, 0):
        PyThread_acquire_lock(helpers[me].lock, 1)
    return gd_load(&generation)


cdef double median(const double* x) noexcept nogil:
    return max(min(x[0], x[1]), min(max(x[0], x[1]), x[2]))


cdef int64_t choose(Habit* habit) noexcept nogil:
    # Returns 1 if the next job is to be done with helpers, else 0.
    cdef int64_t better
    if habit.left == 0:  # a period is over: judge, and begin another
        better = habit.seen[0] == 0 or median(habit.recent[1]) < 0.97 * median(habit.recent[0])
        if habit.trying:
            habit.interval = OFTEN if better != habit.choice else min(2 * habit.interval, <int64_t> SELDOM)
            habit.choice = better
            habit.trying = False
            habit.left = habit.interval
        else:
            habit.trying = True
            habit.left = TRIAL
    habit.left -= 1
    return habit.choice != habit.trying


cdef Habit* habit_of(int64_t size) noexcept nogil:
    cdef int k = 0
    while size > 1:
        size >>= 1
        k += 1
    return &habits[k]


cdef void run(Task task, void* job, Py_ssize_t chunks, int64_t size) noexcept nogil:
    # Does all chunks of a job of so many bytes, each chunk once. Call prepare() first.
    global the_task, the_job, part_count
    cdef int64_t count = min(gd_load(&wanted), gd_load(&started), <int64_t> chunks)
    cdef int64_t k, begun, together
    cdef int spins = 0
    cdef Habit* habit
    if count < 2 or not gd_swap(&busy, 0, 1):
        for k in range(chunks):
            task(job, k)
        return
    habit = habit_of(size)
    together = choose(habit)
    if not together:
        count = 1
    the_task, the_job, part_count = task, job, count
    for k in range(count):
        parts[k].next = k * chunks // count
        parts[k].end = (k + 1) * chunks // count
    begun = gd_now()
    if together:
        fegetenv(&the_environment)
        gd_store(&gate, 0)
        gd_add(&generation, 1)
        for k in range(1, count):
            if gd_swap(&helpers[k].asleep, 1, 0):
                PyThread_release_lock(helpers[k].lock)
    work(0)
    if together:
        while not gd_swap(&gate, 0, SHUT):
            spins += 1
            if spins < 1000:
                gd_pause()
            else:
                gd_yield()
    habit.recent[together][habit.seen[together] % RECENT] = <double> (gd_now() - begun) / <double> size
    habit.seen[together] += 1
    gd_store(&busy, 0)
