from ._drive cimport Plan
from ._pool cimport Task
from .._table cimport Kernel

cdef const Kernel* find(str rule) except NULL
cdef int drive_plan(Plan* plan, Py_ssize_t size) except -1
cdef int drive_parts(Task task, void* job, Py_ssize_t count, Py_ssize_t size) except -1
cdef const Kernel* all_kernels() noexcept
