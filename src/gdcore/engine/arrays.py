"""Which arrays a step may write: the slow, exact half of the engine's checks, and the words for what it refuses.

The engine itself tests what is quick to test in C, and turns here when an array is unusual.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np

from ..arguments import describe, is_array
from ..halves import half_of, stepped_dtype
from .overlaps import check_disjoint, overlaps_itself

PAGE: Final = 4096


def check_writable(where: str, array: Any, half: bool = False) -> None:
    """Raise TypeError or ValueError unless a step can write ``array`` in place, and nothing beside it.

    With ``half`` it may be in half precision.
    """
    if not is_array(array):
        way_out = "; list(...) makes a tree of it" if isinstance(array, Iterator) else ""
        raise TypeError(f"{where}: expected a NumPy array of float32 or float64, got {describe(array)}{way_out}")
    check_unmasked(where, array)
    array = np.asarray(array)  # what a subclass says of itself may be something else
    found = str(array.dtype)
    if found in {"float64", "complex128"}:
        found = array.dtype.type.__name__  # a long double has that name where it has 64 bits, as on Windows
    if array.dtype.kind == "c":
        raise TypeError(
            f"{where}: expected complex64 or complex128, got {found}; convert it with .astype(np.complex128)"
        )
    kind = half_of(array.dtype)
    if array.dtype.type not in (np.float32, np.float64) and not (half and kind):
        way = "convert it with .astype(np.float64)"
        if kind:
            way = "make the optimizer with master=True, which steps a float32 master of it"
        raise TypeError(f"{where}: expected float32 or float64, got {kind or found}; {way}")
    if not array.dtype.isnative:
        raise TypeError(
            f"{where}: expected native byte order, got {array.dtype.str}; "
            f"convert it with .astype(np.{array.dtype.name})"
        )
    if not array.flags.writeable:
        raise ValueError(f"{where}: expected a writeable array, got a read-only one; pass a copy")
    if not array.flags.aligned:
        raise ValueError(f"{where}: expected an aligned array, got a misaligned one; pass a copy")
    if array.size and overlaps_itself(array):
        raise ValueError(
            f"{where}: expected elements that share no memory, got strides {array.strides} "
            f"for shape {array.shape}; pass a copy"
        )


def check_unmasked(where: str, array: object) -> None:
    """Raise TypeError for a masked array: a step would go through the mask."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{where}: expected an array without a mask, got a masked one; fill it, or pass its .data")


def check_like(where: str, array: Any, param: np.ndarray[Any, Any]) -> None:
    """Raise TypeError or ValueError unless ``array`` is an array of the dtype and the shape of ``param``."""
    said = f"{where}: expected {describe(param)}, got {describe(array)}"
    if not is_array(array):
        raise TypeError(said)
    check_unmasked(where, array)
    array, param = np.asarray(array), np.asarray(param)
    said = f"{where}: expected {describe(param)}, got {describe(array)}"
    if array.dtype != param.dtype:
        raise TypeError(said if array.dtype.isnative else f"{said} in byte order {array.dtype.byteorder!r}")
    if array.shape != param.shape:
        raise ValueError(said)


def spec_of(param: Any) -> tuple[tuple[int, ...], np.dtype[Any], Literal["C", "F"]]:
    """Return the shape, the dtype and the order in memory of the slots of a parameter."""
    param = np.asarray(param)
    order: Literal["C", "F"] = "C" if param.flags.c_contiguous or not param.flags.f_contiguous else "F"
    return param.shape, stepped_dtype(param.dtype), order


def new_arena(size: int) -> np.ndarray[Any, Any]:
    """Return ``size`` zeroed bytes that begin on a page."""
    block = np.zeros(size + PAGE, np.uint8)
    start = -block.ctypes.data % PAGE
    return block[start : start + size]


def arena_in(memory: Any, size: int, params: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return ``size`` zeroed bytes of the buffer that ``memory(size)`` returns. Raises TypeError or ValueError."""
    if not callable(memory):
        raise TypeError(f"memory: expected a function of a number of bytes, got {type(memory).__name__}")
    buffer = memory(size)
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(f"memory: expected it to return a buffer, got {type(buffer).__name__}") from None
    if view.readonly or not view.c_contiguous:
        raise ValueError("memory: expected a writeable, contiguous buffer, got another")
    if view.nbytes < size:
        raise ValueError(f"memory: expected a buffer of {size} bytes or more, got {view.nbytes}")
    arena = np.frombuffer(buffer, np.uint8, size)
    check_disjoint(["params"] * len(params) + ["memory"], [*params, arena])
    arena[...] = 0
    return arena
