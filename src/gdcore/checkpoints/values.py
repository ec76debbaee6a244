"""Trees of plain values and arrays <-> JSON and named arrays.

None, True, False, text, integers, finite floats, and lists and dicts of them are themselves. Anything else is an
object with one key that begins with ``$``: ``{"$array": name}``, ``{"$tuple": [...]}``, ``{"$float": "nan"}``, a
NumPy scalar ``{"$scalar": ["float32", 0.5]}``, a dict with other keys ``{"$dict": [[key, value], ...]}``.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..arguments import BFLOAT16
from ..halves import matched
from ..trees import Path, where

Array = np.ndarray[Any, Any]

MAX_DEPTH: Final = 100
"""Levels of a tree. Readers of JSON take some hundred."""

MAX_BITS: Final = 4096
"""Of an integer. Python reads no number of more than 4300 digits."""

MAX_NAME: Final = 60_000
"""Bytes of the name of an array. A zip file has room for 65,535."""

SCALARS: Final = {
    np.dtype(kind).name: kind
    for kind in (
        *(np.bool_, np.str_, np.float16, np.float32, np.float64),
        *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    )
}


TAGS: Final[dict[str, Callable[[Any, dict[str, Array]], Any]]] = {
    "$array": lambda name, arrays: _known(arrays.pop(name)),
    "$tuple": lambda items, arrays: tuple(decode(item, arrays) for item in items),
    "$dict": lambda items, arrays: {key: decode(item, arrays) for key, item in items},
    "$float": lambda text, _: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text],
    "$scalar": lambda pair, arrays: SCALARS[pair[0]](decode(pair[1], arrays)),
}


def encode(tree: Any, what: str, arrays: dict[str, Array]) -> Any:
    """Return ``tree`` as JSON has it, and add the arrays in it to ``arrays``, by ``what`` and their keys.

    Raises TypeError for what is neither a plain value of Python, nor a NumPy scalar or array, nor a dict, list or
    tuple; ValueError for two arrays of one name, for keys that make no name, and for what is too deep or too large.
    """
    return _encoded(tree, what, (), arrays)


def decode(value: Any, arrays: dict[str, Array]) -> Any:
    """Return the tree that :func:`encode` was given, and take the arrays in it from ``arrays``.

    Raises errors of all kinds for what :func:`encode` did not make.
    """
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: decode(item, arrays) for key, item in value.items()}
    ((tag, inner),) = value.items()
    return TAGS[tag](inner, arrays)


def _known(array: Array) -> Array:
    return array.view(BFLOAT16) if array.dtype.kind == "V" else array


def _encoded(value: Any, what: str, path: Path, arrays: dict[str, Array]) -> Any:
    if len(path) > MAX_DEPTH:
        raise ValueError(f"{where(what, path[:3])}: expected at most {MAX_DEPTH} levels, got more")
    if isinstance(value, dict):
        return _encoded_dict(value, what, path, arrays)
    if isinstance(value, list | tuple):
        items = [_encoded(item, what, (*path, index), arrays) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if type(value) in (np.ndarray, np.memmap):
        return {"$array": _named(value, what, path, arrays)}
    return _encoded_scalar(value, where(what, path))


def _encoded_dict(value: dict[Any, Any], what: str, path: Path, arrays: dict[str, Array]) -> Any:
    items = {}
    for key, item in value.items():
        if type(key) not in (str, int):
            raise TypeError(f"{where(what, path)}: expected keys of type str or int, got {key!r}")
        items[key] = _encoded(item, what, (*path, key), arrays)
    plain = all(isinstance(key, str) and not key.startswith("$") for key in items)
    return items if plain else {"$dict": list(items.items())}


def _encoded_scalar(value: Any, place: str) -> Any:
    if isinstance(value, np.generic):
        name = "str" if isinstance(value, np.str_) else value.dtype.name
        if name in SCALARS:
            return {"$scalar": [name, _encoded_scalar(value.item(), place)]}
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        if value.bit_length() > MAX_BITS:
            raise ValueError(
                f"{place}: expected an integer of at most {MAX_BITS} bits, got {value.bit_length()} bits"
            )
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    raise TypeError(
        f"{place}: expected None, a bool, int, float or str, a NumPy scalar or array, or a dict, list or tuple, "
        f"got {type(value).__name__}"
    )


def _named(array: Array, what: str, path: Path, arrays: dict[str, Array]) -> str:
    name = ".".join(map(str, (what, *path)))
    place = where(what, path)
    if not name.isprintable() or len(name.encode()) > MAX_NAME:
        raise ValueError(f"{place}: expected keys of at most {MAX_NAME} printable characters above an array")
    if name in arrays:
        raise ValueError(f"{place}: expected names of arrays that differ, got {name!r} twice")
    arrays[name] = matched(array, BFLOAT16)
    return name
