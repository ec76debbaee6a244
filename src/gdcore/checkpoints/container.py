"""What the formats of checkpoints share: the text that says what is in the file, and arrays as bytes."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import IO, Any, Final, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


FORMAT: Final = "gdcore checkpoint 1"


DIGITS: Final = 64


CHUNK: Final = 2**20
"""Bytes that are read at once."""


STORABLE: Final = re.compile(r"\|[biu]1|[<>](?:[iu][248]|f[248]|c8|c16|U[1-9][0-9]{0,7})|\|V2")
"""The dtypes of a ``.npz``: of numbers and text whose bytes mean the same on every machine; V2 is bfloat16."""


class CheckpointError(ValueError):
    """A file that is no checkpoint, or is damaged.

    >>> import pathlib, tempfile, gdcore as gd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.npz")
    ...     path.touch()
    ...     try:
    ...         gd.load(path)
    ...     except gd.CheckpointError:
    ...         print("damaged")
    damaged
    """


class Spec(NamedTuple):
    """The dtype, as ``numpy.dtype.str`` has it, and the shape of an array."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The length of the data."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Specs = Mapping[str, Spec]


Choose = Callable[[str], bool]
"""Whether the array of a name stays in the file."""


class Container(NamedTuple):
    """One kind of file.

    ``mark`` stands before the digits of the seal, at ``start``; from the end of the file if that is negative.
    ``holds`` says whether there is a place for a dtype. ``write`` takes a file, the text and the arrays;
    ``read`` takes a file whose seal is whole, and returns the content and the arrays.
    """

    mark: bytes
    start: int
    holds: Callable[[str], object]
    write: Callable[[IO[bytes], str, Mapping[str, Array]], None]
    read: Callable[[IO[bytes], Choose], tuple[Any, dict[str, Array]]]


def parsed(text: str | bytes) -> tuple[Any, dict[str, Spec]]:
    """Return the content that a text tells of, and the dtypes and shapes of its arrays."""
    index = json.loads(text)
    if index["format"] != FORMAT:
        raise CheckpointError(f"expected the format {FORMAT!r}, got {index['format']!r}")
    return index["content"], {name: _spec(name, **entry) for name, entry in index["arrays"].items()}


def _spec(name: str, dtype: Any, shape: Any) -> Spec:
    if not STORABLE.fullmatch(dtype):
        raise CheckpointError(f"{name}: expected a dtype of numbers or text, got {dtype!r}")
    if len(shape) > 64 or not all(type(length) is int and length >= 0 for length in shape):
        raise CheckpointError(f"{name}: expected a shape, got {shape!r}")
    return Spec(dtype, tuple(shape))


def bytes_of(array: Array) -> memoryview:
    """Return the bytes of an array, in C order."""
    flat = np.asarray(array, order="C").reshape(-1)
    return flat.view(np.uint8).data


def filled(spec: Spec, stream: IO[bytes]) -> Array:
    """Return an array read from a stream."""
    array = np.empty(spec.shape, spec.dtype)
    left = bytes_of(array)
    while left:
        chunk = stream.read(min(CHUNK, len(left)))
        if not chunk:
            raise CheckpointError("expected more bytes, got the end of the file")
        left[: len(chunk)] = chunk
        left = left[len(chunk) :]
    return array


def read_later(spec: Spec, file: IO[bytes], start: int) -> Array:
    """Return a read-only array whose data stay in the file."""
    if not spec.nbytes:
        return np.empty(spec.shape, spec.dtype)
    at = file.tell()
    array = np.asarray(np.memmap(file, np.dtype(spec.dtype), "r", start, spec.shape))
    file.seek(at)
    return array
