"""The table of kernels as other compiled code sees it: docs/kernels.md says how."""

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport isnan
from libc.stdint cimport int64_t, uintptr_t

from gdcore._table cimport VERSION as TABLE_VERSION
from gdcore._table cimport Kernel, Table
from gdcore.engine._coefficients cimport put, round_off
from gdcore.engine._drive cimport Group
from gdcore.engine._plan cimport all_kernels, find

import numpy as np

from .. import rules


def layout(str rule):
    """Return the names of a rule's hyperparameters, in the order in which C gives them: a pair's name twice."""
    names = []
    for name, default in rules.RULES[rule].hyperparameters.items():
        names += [name] * (2 if isinstance(default, tuple) else 1)
    return names


cdef const Kernel* found(const char* rule) except NULL with gil:
    return find(rule.decode())


cdef int coefficients(
    const char* rule, int itemsize, const double* hyperparameters, int64_t t, void* c
) except -1 with gil:
    cdef Group group
    cdef int k
    if itemsize not in (4, 8):
        raise ValueError(f"itemsize: expected 4 or 8, got {itemsize}")
    if t < 1:
        raise ValueError(f"t: expected an integer >= 1, got {t}")
    row = rules.RULES.get(rule.decode())
    if row is None:
        raise LookupError(f"rule: expected one of {', '.join(rules.RULES)}, got {rule.decode()!r}")
    names = layout(row.name)
    given = {}
    for k in range(<int> len(names)):
        given.setdefault(names[k], []).append(None if isnan(hyperparameters[k]) else hyperparameters[k])
    for name, default in row.hyperparameters.items():
        value = tuple(given[name]) if len(given[name]) == 2 else given[name][0]
        given[name] = bool(value) if isinstance(default, bool) and value in (0, 1) else value
    ordered = row.check(given, (np.dtype(f"f{itemsize}"),))
    put(&group, row.coefficients(t, *ordered))
    group.single = itemsize == 4
    round_off(&group)
    for k in range(group.count):
        if itemsize == 4:
            (<float*> c)[k] = group.float32[k]
        else:
            (<double*> c)[k] = group.float64[k]
    return group.count


cdef Table the_table
the_table.version = TABLE_VERSION
the_table.size = sizeof(Table)
the_table.kernels = all_kernels()
the_table.find = found
the_table.coefficients = coefficients

VERSION = TABLE_VERSION
table = PyCapsule_New(&the_table, "gdcore.kernels.table", NULL)


def address(str rule, int itemsize):
    """Return where the kernel of a rule is, for elements of so many bytes."""
    cdef const Kernel* kernel = find(rule)
    if itemsize == 8 and kernel.float64 == NULL:
        raise LookupError(f"dtype: expected float32, as {rule} converts half precision, got float64")
    return <uintptr_t> <void*> kernel.float32 if itemsize == 4 else <uintptr_t> <void*> kernel.float64
