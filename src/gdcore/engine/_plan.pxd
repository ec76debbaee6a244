from ._drive cimport Plan
from .._table cimport Kernel

cdef const Kernel* find(str rule) except NULL
cdef int drive_plan(Plan* plan, Py_ssize_t size) except -1
