# The leaves of a tree of known structure, taken without a call of Python code.

cimport cython
from cpython.dict cimport PyDict_CheckExact, PyDict_GetItemWithError, PyDict_Next
from cpython.list cimport PyList_CheckExact
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact


cdef inline Py_ssize_t take(list leaves, object branch, object tree, Py_ssize_t at) except -2:
    # Puts the leaves of a tree where they belong, from at on, and returns where they end; -1 if the tree is of
    # another structure, or one that trees.py has to look at.
    cdef object item
    cdef PyObject* key
    cdef PyObject* found
    cdef Py_ssize_t k, position = 0
    cdef tuple keys, children
    if branch is None:
        leaves[at] = tree
        return at + 1
    keys, children = (<tuple> branch)[1], (<tuple> branch)[2]
    if type(tree) is not (<tuple> branch)[0] or not keys:
        return -1
    for k in range(len(keys)):
        with cython.critical_section(tree):  # without a GIL another thread may be changing it
            if PyDict_CheckExact(tree):  # whose keys are mostly in the old order, which saves looking them up
                if not PyDict_Next(tree, &position, &key, &found) or key != <PyObject*> keys[k]:
                    found = PyDict_GetItemWithError(tree, keys[k])
                if found == NULL or len(<dict> tree) != len(keys):
                    return -1
                item = <object> found
            elif PyList_CheckExact(tree):
                if len(<list> tree) != len(keys):
                    return -1
                item = (<list> tree)[k]
            elif PyTuple_CheckExact(tree) and len(<tuple> tree) == len(keys):
                item = (<tuple> tree)[k]
            else:
                return -1
        at = take(leaves, children[k], item, at)
        if at < 0:
            return -1
    return at


cdef inline Py_ssize_t compare(
    list leaves, object branch, object tree, Py_ssize_t at, list labels, object replaced
) except -2:
    # Goes through the tree that an optimizer was made for, whose leaves these were, from at on, and returns where
    # they end; -1 where keys are gone. Calls replaced(label, leaf, now) where another object is in a leaf's place.
    cdef object item
    cdef PyObject* key
    cdef PyObject* found
    cdef Py_ssize_t k, position = 0
    cdef tuple keys, children
    if branch is None:
        return at + 1  # nothing can be put in its place
    keys, children = (<tuple> branch)[1], (<tuple> branch)[2]
    for k in range(len(keys)):
        with cython.critical_section(tree):
            found = NULL
            if PyDict_CheckExact(tree):
                if not PyDict_Next(tree, &position, &key, &found) or key != <PyObject*> keys[k]:
                    found = PyDict_GetItemWithError(tree, keys[k])
            elif PyList_CheckExact(tree) and k < len(<list> tree):
                found = <PyObject*> (<list> tree)[k]
            elif PyTuple_CheckExact(tree) and k < len(<tuple> tree):
                found = <PyObject*> (<tuple> tree)[k]
            if found == NULL:
                return -1
            item = <object> found
        if children[k] is None:
            if item is not leaves[at]:  # asked out here: Cython keeps the tree when a loop goes on from in there
                replaced(labels[at], leaves[at], item)
            at += 1
        else:
            at = compare(leaves, children[k], item, at, labels, replaced)
            if at < 0:
                return at
    return at
