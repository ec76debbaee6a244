from libc.stdint cimport int64_t

ctypedef void (*Task)(void* job, Py_ssize_t chunk) noexcept nogil

cdef int prepare() except -1
cdef void run(Task task, void* job, Py_ssize_t chunks, int64_t size) noexcept nogil
cdef int64_t now() noexcept nogil

# What threads share without a lock.
cdef int64_t load(int64_t* shared) noexcept nogil
cdef void store(int64_t* shared, int64_t value) noexcept nogil
