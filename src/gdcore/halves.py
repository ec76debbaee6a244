"""Half precision: float16, and bfloat16 with the package ml_dtypes or without it; how both are converted."""

from typing import Any, Final

import numpy as np

from .arguments import BFLOAT16, Array, describe, is_array

__all__ = ["bfloat16"]

HALF_DTYPES: Final = {"float16": np.dtype(np.float16), "bfloat16": BFLOAT16}
"""The kinds of half precision by name, each with the dtype that needs no other package."""


def half_of(dtype: Any) -> str | None:
    """Return which kind of half precision a dtype is, None for none.

    bfloat16 is the type of that name which another package has given to NumPy, ml_dtypes, or what :func:`bfloat16`
    marks.
    """
    if not isinstance(dtype, np.dtype) or dtype.itemsize != 2:
        return None
    named = dtype.num >= 256 and dtype.name == "bfloat16"  # the number is one of a registered type
    return next((name for name, known in HALF_DTYPES.items() if dtype == known), "bfloat16" if named else None)


def stepped_dtype(dtype: Any) -> Any:
    """Return the dtype in which parameters of a dtype are stepped: float32 for half precision."""
    return dtype if half_of(dtype) is None else np.dtype(np.float32)


def matched(array: Array, dtype: Any) -> Array:
    """Return a view of ``dtype`` where that and the array's are one kind of half precision, else the array."""
    kind = half_of(dtype)
    return array if kind is None or kind != half_of(array.dtype) else array.view(dtype)


def bits_of(array: Array) -> Array:
    """Return the bits of an array in half precision, a view of uint16."""
    return np.asarray(array).view(np.uint16)


# The conversions, which are those of the compiled step bit for bit ------------------------------------------------


def widen(half: Array) -> Array:
    """Return float16 or bfloat16 as float32: exactly, NaN with its payload."""
    bits = bits_of(half).astype(np.uint32)
    if half_of(half.dtype) == "bfloat16":
        return np.asarray(bits << 16).view(np.float32)  # the front half of a float32
    size = (bits & 0x7FFF) << 13
    small = _bits(_float(size + (113 << 23)) - np.float32(2.0**-14))  # without a leading 1
    usual = size + (112 << 23)  # by which the exponents differ
    size = np.where(size < 1 << 23, small, np.where(size < 31 << 23, usual, usual + (112 << 23)))
    return _float(size | (bits & 0x8000) << 16)


def narrow(values: Array, dtype: Any = BFLOAT16) -> Array:
    """Return float32 as ``dtype``, float16 or bfloat16: rounded to nearest, ties to even, what is too large to inf.

    NaN stays NaN: in float16 with the front of its payload, as in NumPy; in bfloat16 the quiet one of its sign, as
    in ml_dtypes. The default is what :func:`gdcore.bfloat16` marks.
    """
    with np.errstate(all="ignore"):
        return _narrowed(_bits(np.asarray(values, np.float32)), dtype)


def _narrowed(bits: Array, dtype: Any) -> Array:
    size = bits & 0x7FFFFFFF
    if half_of(np.dtype(dtype)) == "bfloat16":
        halves = np.where(size > 255 << 23, bits & 0x80000000 | 0x7FC00000, bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    else:
        # Beside 0.5 the last bits are those of small halves.
        small = _bits(_float(size) + np.float32(0.5)) - (126 << 23)
        usual = (size + (size >> 13 & 1) + 0xFFF - (112 << 23)) >> 13
        payload = size >> 13 & 0x3FF
        large = np.where(size > 255 << 23, 0x7C00 | payload + (payload == 0), 0x7C00)
        halves = np.where(size < 113 << 23, small, np.where(size < 143 << 23, usual, large)) | bits >> 16 & 0x8000
    return np.asarray(halves).astype(np.uint16, order="K").view(dtype)


def recall(master: Array, param: Array) -> None:
    """Take over what was written to a parameter in half precision since its float32 master was rounded to it."""
    m, w = master, param
    m[...] = np.where(bits_of(narrow(m, w.dtype)) == bits_of(w), m, widen(w))


def _bits(x: Any) -> Array:
    return np.asarray(x, np.float32).view(np.uint32)


def _float(bits: Any) -> Array:
    return np.asarray(bits, np.uint32).view(np.float32)


def bfloat16(array: Array) -> Array:
    """Mark an array of uint16 as one of bfloat16, the front halves of float32, where ml_dtypes is not installed.

    Returns a view of the same memory, with the dtype ``[("bfloat16", "uint16")]``. NumPy keeps that mark in views,
    copies, pickles and ``.npy`` files, and refuses arithmetic on it, as it would be on the bits. These are
    ``marked["bfloat16"]``, and the numbers are :func:`gdcore.reference.widen` of it; ``astype`` and assignments
    see the bits. :func:`gdcore.reference.narrow` rounds float32 to a marked array. What ml_dtypes calls bfloat16
    needs no mark.

    Arguments:
        array: uint16 in native byte order, of any shape and strides.

    Raises TypeError for anything else.

    >>> import numpy as np, gdcore as gd
    >>> w = gd.bfloat16(np.array([0x3F80, 0xC000], np.uint16))
    >>> gd.reference.widen(w)
    array([ 1., -2.], dtype=float32)
    >>> opt = gd.SGD(w, lr=0.5, master=True)
    >>> opt.step(np.ones(2, np.float32))
    >>> gd.reference.widen(w)
    array([ 0.5, -2.5], dtype=float32)
    """
    if is_array(array) and half_of(array.dtype) == "bfloat16":
        return array.view(BFLOAT16)
    if not is_array(array) or array.dtype != np.uint16:
        raise TypeError(
            f"array: expected a NumPy array of uint16, the bits of bfloat16, got {describe(array)}; "
            f"gd.reference.narrow rounds float32"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("array: expected an array without a mask, got a masked one")
    return array.view(BFLOAT16)


for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
