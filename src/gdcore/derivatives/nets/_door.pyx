"""The door to the kernels of nets: every array is checked here before a kernel sees it.

Arrays are plain, contiguous in the order of C, aligned and of float32 or float64, all of the same; what is written
is given by the caller. ``takes`` says whether an array is one that kernels take. None stands for an array that is
not there, or not asked for. The formulas stand in reference.py.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t
cimport numpy as cnp

from gdcore.derivatives.nets._table cimport Kernel

from ...engine import kernels_of

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)
    PyObject* PyList_GET_ITEM(object items, Py_ssize_t i)

cdef enum:
    BRIEF = 10_000  # elements; a shorter call keeps the GIL: giving it away would cost more than the call
    MOST = 9  # arrays of a kernel
    WINDOW = 12  # sizes of a window: Window in _planes.pxd

capsule = kernels_of("gdcore.derivatives.nets._net_kernels")
cdef const Kernel* KERNELS = <const Kernel*> PyCapsule_GetPointer(capsule, "gdcore.derivatives.nets.kernels")
cdef dict PLACES = {}


cdef void list_kernels():
    cdef Py_ssize_t i = 0
    while KERNELS[i].name != NULL:
        PLACES[KERNELS[i].name.decode()] = i
        i += 1


list_kernels()

cdef struct Call:
    const Kernel* kernel
    int kind  # of the arrays: NPY_FLOAT or NPY_DOUBLE
    void* x[MOST]
    Py_ssize_t[WINDOW] n
    double[2] c


cdef int begin(Call* call, str name, str where, object array) except -1:
    # A call for arrays of the dtype of this one. n: how many rows there are in it, and how long they are.
    cdef int k, last
    call.kernel = &KERNELS[<Py_ssize_t> PLACES[name]]
    if not takes(array):
        raise TypeError(f"{where}: expected a contiguous array of float32 or float64, got {said(array)}")
    call.kind = cnp.PyArray_TYPE(<cnp.ndarray> array)
    last = cnp.PyArray_NDIM(<cnp.ndarray> array) - 1
    call.n[0] = 1
    for k in range(last):
        call.n[0] *= cnp.PyArray_DIM(<cnp.ndarray> array, k)
    call.n[1] = cnp.PyArray_DIM(<cnp.ndarray> array, last) if last >= 0 else 1
    return 0


cdef int give(Call* call, int i, str where, object array, Py_ssize_t size, int kind, bint written) except -1:
    # Argument i of the kernel: an array of the kind, of so many elements.
    if not cnp.PyArray_CheckExact(array) or not cnp.PyArray_EquivTypenums(
        cnp.PyArray_TYPE(<cnp.ndarray> array), kind
    ) or not (
        cnp.PyArray_ISCARRAY(<cnp.ndarray> array) if written else cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> array)
    ):
        raise TypeError(
            f"{where}: expected a contiguous {'writable ' if written else ''}array of "
            f"{cnp.PyArray_DescrFromType(kind)}, got {said(array)}"
        )
    if cnp.PyArray_SIZE(<cnp.ndarray> array) != size:
        raise ValueError(f"{where}: expected {size} elements, got {said(array)}")
    call.x[i] = cnp.PyArray_DATA(<cnp.ndarray> array)
    return 0


cdef int read(Call* call, int i, str where, object array, Py_ssize_t size) except -1:
    return give(call, i, where, array, size, call.kind, False)


cdef int write(Call* call, int i, str where, object array, Py_ssize_t size) except -1:
    return give(call, i, where, array, size, call.kind, True)


cdef int read_any(Call* call, int i, str where, object array, Py_ssize_t size) except -1:
    # One that may be missing.
    call.x[i] = NULL
    return 0 if array is None else give(call, i, where, array, size, call.kind, False)


cdef int write_any(Call* call, int i, str where, object array, Py_ssize_t size) except -1:
    call.x[i] = NULL
    return 0 if array is None else give(call, i, where, array, size, call.kind, True)


cdef str said(object array):
    if not isinstance(array, cnp.ndarray):
        return type(array).__name__
    return f"{array.dtype} {array.shape}, strides {array.strides}"


cdef int run(Call* call, Py_ssize_t size) except -1:
    cdef float[2] c
    c[0] = <float> call.c[0]
    c[1] = <float> call.c[1]
    if size >= BRIEF:
        with nogil:
            if call.kind == cnp.NPY_FLOAT:
                call.kernel.float32(call.x, call.n, c)
            else:
                call.kernel.float64(call.x, call.n, call.c)
    elif call.kind == cnp.NPY_FLOAT:
        call.kernel.float32(call.x, call.n, c)
    else:
        call.kernel.float64(call.x, call.n, call.c)
    return 0


cpdef bint takes(object x) noexcept:
    """Return whether ``x`` is an array that kernels can read."""
    return cnp.PyArray_CheckExact(x) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> x) and (
        cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.NPY_DOUBLE
    )


def kernel_names():
    """Return the names of all kernels."""
    return list(PLACES)


def alone(list items not None):
    """Return whether nothing but this list holds its items, so that their memory may be used again."""
    cdef Py_ssize_t i
    for i in range(len(items)):
        if Py_REFCNT(PyList_GET_ITEM(items, i)) != 1:
            return False
    return True


cpdef cnp.ndarray new_like(cnp.ndarray x):
    """Return a new array of the shape and dtype of ``x``, in the order of C."""
    return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)


cpdef int activate(str kind, object z, object b, object h) except -1:
    """Add the row ``b`` to each row of ``z`` in place; write its activation to ``h``, which may be ``z``."""
    cdef Call call
    begin(&call, kind, "z", z)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(<cnp.ndarray> z)
    give(&call, 0, "z", z, size, call.kind, b is not None)
    read_any(&call, 1, "b", b, call.n[1])
    write(&call, 2, "h", h, size)
    return run(&call, size)


cpdef int activate_back(str kind, object g, object kept, object d, object db) except -1:
    """Write the gradient by what the activation was given to ``d``, which may be ``g``, and its sum to ``db``.

    ``kept`` is what the activation gave, for relu, tanh and sigmoid, and else what it was given. For ``"none"``
    there is neither ``kept`` nor ``d``.
    """
    cdef Call call
    begin(&call, kind + "_back", "g", g)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(<cnp.ndarray> g)
    read(&call, 0, "g", g, size)
    if kind != "none":
        read(&call, 1, "kept", kept, size)
        write(&call, 2, "d", d, size)
    write_any(&call, 3, "db", db, call.n[1])
    return run(&call, size)


cpdef double cross_entropy(object z, object b, object labels, object d, object db) except? -1:
    """Return the loss of ``z + b``; write the gradient by it to ``d``, which may be ``z``, its sum to ``db``.

    ``labels`` are the classes, of int64, or the probabilities of all of them, of the dtype of ``z``.
    """
    cdef Call call
    cdef double loss
    cdef Py_ssize_t i, size
    cdef const int64_t* y
    cdef bint soft = takes(labels)
    begin(&call, "soft_cross_entropy" if soft else "cross_entropy", "z", z)
    size = cnp.PyArray_SIZE(<cnp.ndarray> z)
    if not size:
        raise ValueError(f"z: expected at least one sample and one class, got {said(z)}")
    read(&call, 0, "z", z, size)
    read_any(&call, 1, "b", b, call.n[1])
    give(&call, 2, "labels", labels, size if soft else call.n[0], call.kind if soft else cnp.NPY_INT64, False)
    write(&call, 3, "d", d, size)
    write_any(&call, 4, "db", db, call.n[1])
    call.x[5] = &loss
    y = <const int64_t*> call.x[2]
    for i in range(0 if soft else call.n[0]):
        if y[i] < 0 or y[i] >= call.n[1]:
            raise ValueError(f"labels: expected classes from 0 to {call.n[1] - 1}, got {y[i]}")
    run(&call, size)
    return loss


def softmax(str kind not None, object z, object out):
    """Write the softmax of the rows of ``z``, or ``"log_softmax"``, to ``out``."""
    cdef Call call
    begin(&call, kind, "z", z)
    read(&call, 0, "z", z, call.n[0] * call.n[1])
    write(&call, 1, "out", out, call.n[0] * call.n[1])
    return run(&call, call.n[0] * call.n[1]) if call.n[0] * call.n[1] else 0


def softmax_back(str kind not None, object g, object ans, object d):
    """Write the gradient by what gave the softmax ``ans``, or ``"log_softmax"``, to ``d``, which may be ``g``."""
    cdef Call call
    begin(&call, kind + "_back", "g", g)
    read(&call, 0, "g", g, call.n[0] * call.n[1])
    read(&call, 1, "ans", ans, call.n[0] * call.n[1])
    write(&call, 2, "d", d, call.n[0] * call.n[1])
    return run(&call, call.n[0] * call.n[1])


def log_sum_exp(object z, object out):
    """Write ``log(sum(e^z))`` of each row of ``z``, of one element or more, to ``out``."""
    cdef Call call
    begin(&call, "log_sum_exp", "z", z)
    if not call.n[1]:
        raise ValueError(f"z: expected rows of one element or more, got {said(z)}")
    read(&call, 0, "z", z, call.n[0] * call.n[1])
    write(&call, 1, "out", out, call.n[0])
    return run(&call, call.n[0] * call.n[1])


def layer_norm(object z, object gain, object bias, double eps, object out, object mean, object scale):
    """Write the normalised rows of ``z`` to ``out``, and what was taken from them to ``mean`` and ``scale``."""
    cdef Call call
    begin(&call, "layer_norm", "z", z)
    call.c[0] = eps
    read(&call, 0, "z", z, call.n[0] * call.n[1])
    read_any(&call, 1, "gain", gain, call.n[1])
    read_any(&call, 2, "bias", bias, call.n[1])
    write(&call, 3, "out", out, call.n[0] * call.n[1])
    write(&call, 4, "mean", mean, call.n[0])
    write(&call, 5, "scale", scale, call.n[0])
    return run(&call, call.n[0] * call.n[1])


def layer_norm_back(
    object g, object z, object gain, object mean, object scale, object dz, object room, object dgain, object dbias
):
    """Write the gradients by ``z``, ``gain`` and ``bias``; ``room`` is for the elements of ``z`` in between."""
    cdef Call call
    begin(&call, "layer_norm_back", "g", g)
    cdef Py_ssize_t size = call.n[0] * call.n[1]
    read(&call, 0, "g", g, size)
    read(&call, 1, "z", z, size)
    read_any(&call, 2, "gain", gain, call.n[1])
    read(&call, 3, "mean", mean, call.n[0])
    read(&call, 4, "scale", scale, call.n[0])
    write(&call, 5, "dz", dz, size)
    write(&call, 6, "room", room, size)
    write_any(&call, 7, "dgain", dgain, call.n[1])
    write_any(&call, 8, "dbias", dbias, call.n[1])
    return run(&call, size)


def add_rows(object g, object index, object table):
    """Add each row of ``g`` to the row of ``table`` that ``index`` names, one after the other."""
    cdef Call call
    cdef Py_ssize_t i, rows
    cdef const int64_t* y
    begin(&call, "add_rows", "table", table)
    rows = call.n[0]
    call.n[0] = cnp.PyArray_SIZE(<cnp.ndarray?> index)
    read(&call, 0, "g", g, call.n[0] * call.n[1])
    give(&call, 1, "index", index, call.n[0], cnp.NPY_INT64, False)
    write(&call, 2, "table", table, rows * call.n[1])
    y = <const int64_t*> call.x[1]
    for i in range(call.n[0]):
        if y[i] < 0 or y[i] >= rows:
            raise ValueError(f"index: expected rows from 0 to {rows - 1}, got {y[i]}")
    return run(&call, call.n[0] * call.n[1])


def drop(object z, object u, double rate, double scale, object out):
    """Write ``z * scale`` to ``out`` where ``u``, of float32, is ``rate`` or more, and else 0."""
    cdef Call call
    begin(&call, "drop", "z", z)
    call.n[0] = cnp.PyArray_SIZE(<cnp.ndarray> z)
    call.c[0] = rate
    call.c[1] = scale
    read(&call, 0, "z", z, call.n[0])
    give(&call, 1, "u", u, call.n[0], cnp.NPY_FLOAT, False)
    write(&call, 2, "out", out, call.n[0])
    return run(&call, call.n[0])


cdef int walk(Call* call, tuple window) except -1:
    # The sizes of a window that stays within its pictures, and what they make of the output's.
    cdef int i, axis
    if len(window) != 10:
        raise ValueError(f"window: expected 10 sizes, got {len(window)}")
    for i in range(10):
        call.n[i] = window[i]
        if call.n[i] < (1 if 4 <= i < 8 else 0):
            raise ValueError(f"window: expected sizes of at least 0 or 1, got {window}")
    for axis in range(2):
        call.n[10 + axis] = call.n[2 + axis] + 2 * call.n[8 + axis] - call.n[4 + axis]
        if call.n[10 + axis] < 0:
            raise ValueError(f"window: expected one within the picture, got {window}")
        call.n[10 + axis] = call.n[10 + axis] // call.n[6 + axis] + 1
    return 0


cdef Py_ssize_t inside(Call* call) noexcept:
    return call.n[0] * call.n[1] * call.n[2] * call.n[3]


cdef Py_ssize_t outside(Call* call) noexcept:
    return call.n[0] * call.n[1] * call.n[10] * call.n[11]


def unfold(object z, object columns, tuple window not None):
    """Write the windows of the pictures ``z``, of shape (channels, rows, columns, pictures), to ``columns``.

    ``window`` is how many pictures there are, and channels, rows and columns of each; rows and columns of a window;
    steps down and to the right; zeros around, above and to the left.
    """
    cdef Call call
    begin(&call, "unfold", "z", z)
    walk(&call, window)
    read(&call, 0, "z", z, inside(&call))
    write(&call, 1, "columns", columns, outside(&call) * call.n[4] * call.n[5])
    return run(&call, cnp.PyArray_SIZE(<cnp.ndarray> columns))


def fold(object columns, object z, tuple window not None):
    """Add ``columns`` to the elements of ``z`` that ``unfold`` took them from."""
    cdef Call call
    begin(&call, "fold", "columns", columns)
    walk(&call, window)
    read(&call, 0, "columns", columns, outside(&call) * call.n[4] * call.n[5])
    write(&call, 1, "z", z, inside(&call))
    return run(&call, cnp.PyArray_SIZE(<cnp.ndarray> columns))


def turn(object z, object bias, object out, object sums, Py_ssize_t a, Py_ssize_t b, Py_ssize_t group):
    """Write ``z``, of shape (a, b), turned to ``out``, with ``bias`` added, one number for ``group`` rows of ``z``.

    ``sums``, if asked for, gets the sum of each ``group`` rows of ``out``.
    """
    cdef Call call
    if a < 0 or b < 0 or group < 1:
        raise ValueError(f"a, b, group: expected sizes >= 0, 0 and 1, got {a}, {b}, {group}")
    begin(&call, "turn", "z", z)
    call.n[0] = a
    call.n[1] = b
    call.n[2] = group
    read(&call, 0, "z", z, a * b)
    read_any(&call, 1, "bias", bias, (a + group - 1) // group)
    write(&call, 2, "out", out, a * b)
    write_any(&call, 3, "sums", sums, b // group)
    return run(&call, a * b)


def max_pool(object z, object out, object at, tuple window not None):
    """Write the largest element of each window of ``z`` to ``out``, and its place in the plane to ``at``."""
    cdef Call call
    begin(&call, "max_pool", "z", z)
    walk(&call, window)
    if call.n[8] or call.n[9]:
        raise ValueError(f"window: expected no zeros around, got {window}")
    read(&call, 0, "z", z, inside(&call))
    write(&call, 1, "out", out, outside(&call))
    give(&call, 2, "at", at, outside(&call), cnp.NPY_INT64, True)
    return run(&call, outside(&call) * call.n[4] * call.n[5])


def max_pool_back(object g, object at, object z, tuple window not None):
    """Add ``g`` to the elements of ``z`` whose places in their planes are ``at``."""
    cdef Call call
    cdef Py_ssize_t i
    cdef const int64_t* place
    begin(&call, "max_pool_back", "g", g)
    walk(&call, window)
    read(&call, 0, "g", g, outside(&call))
    give(&call, 1, "at", at, outside(&call), cnp.NPY_INT64, False)
    write(&call, 2, "z", z, inside(&call))
    place = <const int64_t*> call.x[1]
    for i in range(outside(&call)):
        if place[i] < 0 or place[i] >= call.n[2] * call.n[3]:
            raise ValueError(f"at: expected places from 0 to {call.n[2] * call.n[3] - 1}, got {place[i]}")
    return run(&call, outside(&call))
