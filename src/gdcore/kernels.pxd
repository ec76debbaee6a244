# For Cython code outside of gdcore: cimport gdcore.kernels. docs/kernels.md has an example.

from cpython.pycapsule cimport PyCapsule_Import

from gdcore._table cimport VERSION, Kernel, Table, kernel32, kernel64


cdef inline const Table* import_table() except NULL:
    # The table, with which a program may keep a pointer to a kernel for as long as it runs.
    cdef const Table* table = <const Table*> PyCapsule_Import("gdcore.kernels.table", 0)
    if table == NULL:
        return NULL  # with PyCapsule_Import's error
    if table.version != VERSION:
        raise ImportError(f"gdcore.kernels: expected a table of version {VERSION}, got {table.version}")
    return table
