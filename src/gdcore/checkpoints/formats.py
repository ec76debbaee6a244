"""The containers of checkpoints: a text and named arrays <-> one sealed file, ``.npz`` or ``.safetensors``.

The text is JSON: ``{"format": ..., "arrays": {name: {"dtype": "<f4", "shape": [64, 10]}}, "content": ...}``. It
says what every header in the file has to be, so that a reader compares headers and trusts none: sizes are known to
be those of the file before any array is made.

The seal is the SHA-256 of all other bytes of the file: 64 hexadecimal digits behind a mark.
"""

import errno
import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np

from ..engine.arrays import describe
from ..files import replacing
from ..trees import where

Array = np.ndarray[Any, Any]

FORMAT: Final = "gdcore checkpoint 1"

INDEX: Final = "checkpoint.json"
"""The member of a ``.npz`` that holds the text."""

DIGITS: Final = 64

CHUNK: Final = 2**20
"""Bytes that are read at once."""

STORABLE: Final = re.compile(r"\|[biu]1|[<>](?:[iu][248]|f[248]|c8|c16|U[1-9][0-9]{0,7})")
"""The dtypes of a ``.npz``: those of numbers and text whose bytes mean the same on every machine."""

SAFETENSORS: Final = {
    "|b1": "BOOL",
    **{
        f"{'|' if size == 1 else '<'}{kind}{size}": f"{kind.upper()}{8 * size}"
        for kind in "iu"
        for size in (1, 2, 4, 8)
    },
    **{f"<f{size}": f"F{8 * size}" for size in (2, 4, 8)},
}
"""The dtypes of a ``.safetensors``, and what that format calls them."""


class CheckpointError(ValueError):
    """A file that is no checkpoint, or is damaged."""


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


def container_of(path: str | Path) -> Container:
    """Return the container that ``path`` is named like. Raises ValueError for another name."""
    container = CONTAINERS.get(Path(path).suffix.lower())
    if container is None:
        raise ValueError(f"path: expected a file named *{' or *'.join(CONTAINERS)}, got {str(path)!r}")
    return container


def write(path: str | Path, content: Any, arrays: Mapping[str, Array]) -> None:
    """Write ``content``, anything that JSON can say, and ``arrays`` to ``path``, whole or not at all.

    Raises, before anything is written, ValueError for a name that is no ``.npz`` and no ``.safetensors``, and
    TypeError for a dtype that such a file cannot hold; OSError as :func:`gdcore.files.replacing` does.
    """
    container = container_of(path)
    for name, array in arrays.items():
        if not container.holds(array.dtype.str):
            what, _, keys = name.partition(".")
            raise TypeError(
                f"{where(what, (keys,) if keys else ())}: expected a dtype that *{Path(path).suffix} holds, "
                f"got {describe(array)}"
            )
    # The widest numbers come first, so that the data of each array is aligned.
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize))
    table = {name: {"dtype": array.dtype.str, "shape": array.shape} for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, "arrays": table, "content": content})
    with replacing(path) as file:
        container.write(file, text, arrays)
        at = _end_of_mark(container, file)
        digits = _digits(file, at)
        file.seek(at)
        file.write(digits)


@contextmanager
def reading(path: str | Path, mapped: Choose = lambda _: False) -> Iterator[tuple[Any, dict[str, Array]]]:
    """Give the content and the arrays that :func:`write` was given. Nothing in the file is run.

    Arrays for whose name ``mapped`` is true are read when they are used, from the file as it is now, and are
    read-only.

    Raises ValueError for another name than ``*.npz`` or ``*.safetensors``, OSError for a file that cannot be read,
    and CheckpointError for one that :func:`write` did not make: what the block raises is taken to mean that too.
    """
    container = container_of(path)
    with Path(path).open("rb") as file:
        try:
            _check_seal(container, file)
            yield container.read(file, mapped)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except Exception as error:  # forgeries fail in more ways than the readers of JSON and zip have errors
            # The system says EINVAL to a place before the start of the file, where a directory of a zip may point.
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
                raise
            raise CheckpointError(f"{path}: expected a checkpoint that gd.save wrote, got a forged one") from error


def _check_seal(container: Container, file: IO[bytes]) -> None:
    at = _end_of_mark(container, file)
    file.seek(at - len(container.mark))
    if file.read(len(container.mark)) != container.mark:
        raise CheckpointError("expected a checkpoint that gd.save wrote, got another file, or a part of one")
    expected, got = file.read(DIGITS), _digits(file, at)
    if got != expected:
        raise CheckpointError(f"expected the SHA-256 {expected!r}, got {got!r}: the file is damaged")


def _end_of_mark(container: Container, file: IO[bytes]) -> int:
    size = file.seek(0, os.SEEK_END)
    start = container.start if container.start >= 0 else max(size + container.start, 0)
    return start + len(container.mark)


def _digits(file: IO[bytes], at: int) -> bytes:
    digest = hashlib.sha256()
    for start, end in ((0, at), (at + DIGITS, file.seek(0, os.SEEK_END))):
        position = file.seek(start)
        while chunk := file.read(min(CHUNK, max(end - position, 0))):
            digest.update(chunk)
            position += len(chunk)
    return digest.hexdigest().encode()


def _parsed(text: str | bytes) -> tuple[Any, dict[str, Spec]]:
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


def _bytes_of(array: Array) -> memoryview:
    flat = np.asarray(array, order="C").reshape(-1)
    return flat.view(np.uint8).data


def _filled(spec: Spec, stream: IO[bytes]) -> Array:
    array = np.empty(spec.shape, spec.dtype)
    left = _bytes_of(array)
    while left:
        chunk = stream.read(min(CHUNK, len(left)))
        if not chunk:
            raise CheckpointError("expected more bytes, got the end of the file")
        left[: len(chunk)] = chunk
        left = left[len(chunk) :]
    return array


def _mapped(spec: Spec, file: IO[bytes], start: int) -> Array:
    if not spec.nbytes:
        return np.empty(spec.shape, spec.dtype)
    at = file.tell()
    array = np.asarray(np.memmap(file, np.dtype(spec.dtype), "r", start, spec.shape))
    file.seek(at)
    return array


def _npy_header(spec: Spec) -> bytes:
    # numpy.lib.format writes the same, but not the same bytes in every version of NumPy.
    text = f"{{'descr': {spec.dtype!r}, 'fortran_order': False, 'shape': {spec.shape!r}, }}"
    padding = " " * (-(len(text) + 11) % 64)
    return b"\x93NUMPY\x01\x00" + (len(text + padding) + 1).to_bytes(2, "little") + f"{text}{padding}\n".encode()


def _write_npz(file: IO[bytes], text: str, arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(INDEX), text)
        for name, array in arrays.items():
            member = zipfile.ZipInfo()
            member.filename = f"{name}.npy"  # the constructor would turn backslashes on Windows
            with archive.open(member, "w", force_zip64=True) as stream:
                stream.write(_npy_header(Spec(array.dtype.str, array.shape)))
                stream.write(_bytes_of(array))
        archive.comment = NPZ.mark + b"0" * DIGITS


def _read_npz(file: IO[bytes], mapped: Choose) -> tuple[Any, dict[str, Array]]:
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, file)
        content, specs = _parsed(archive.read(members.pop(INDEX)))
        headers = {name: _npy_header(spec) for name, spec in specs.items()}
        sizes = {name: len(headers[name]) + spec.nbytes for name, spec in specs.items()}
        if {name: member.file_size for name, member in members.items()} != sizes:
            raise CheckpointError("expected a member of the right size for each array, got others")
        arrays = {}
        for name, spec in specs.items():
            with archive.open(members[name]) as stream:
                if stream.read(len(headers[name])) != headers[name]:
                    raise CheckpointError(f"{name}: expected an array of {spec.dtype} {spec.shape}, got another")
                if not mapped(name):
                    arrays[name] = _filled(spec, stream)
            if mapped(name):
                start = members[name].header_offset
                file.seek(start + 26)
                names = sum(int.from_bytes(file.read(2), "little") for _ in range(2))  # the name, and more
                arrays[name] = _mapped(spec, file, start + 30 + names + len(headers[name]))
        return content, arrays


def _members(archive: zipfile.ZipFile, file: IO[bytes]) -> dict[str, zipfile.ZipInfo]:
    members = {member.orig_filename.removesuffix(".npy"): member for member in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise CheckpointError("expected members of different names, got two of one name")
    if any((m.compress_type, m.compress_size) != (zipfile.ZIP_STORED, m.file_size) for m in members.values()):
        raise CheckpointError("expected members that are stored, got a compressed one")
    # Of members that overlap, each alone may fit.
    if sum(member.file_size for member in members.values()) > file.seek(0, os.SEEK_END):
        raise CheckpointError("expected members that fit in the file, got larger ones")
    return members


def _safetensors_header(text: str, digits: str, specs: Specs) -> dict[str, Any]:
    header: dict[str, Any] = {"__metadata__": {"sha256": digits, "gdcore": text}}
    start = 0
    for name, spec in specs.items():
        end = start + spec.nbytes
        header[name] = {"dtype": SAFETENSORS[spec.dtype], "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    return header


def _write_safetensors(file: IO[bytes], text: str, arrays: Mapping[str, Array]) -> None:
    specs = {name: Spec(array.dtype.str, array.shape) for name, array in arrays.items()}
    header = json.dumps(_safetensors_header(text, "0" * DIGITS, specs))
    header += " " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header.encode("ascii"))
    for array in arrays.values():
        file.write(_bytes_of(array))


def _read_safetensors(file: IO[bytes], mapped: Choose) -> tuple[Any, dict[str, Array]]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(min(length, size)))
    metadata = header["__metadata__"]
    content, specs = _parsed(metadata["gdcore"])
    if header != _safetensors_header(metadata["gdcore"], metadata["sha256"], specs):
        raise CheckpointError("expected an entry of the right size for each array, got others")
    if 8 + length + sum(spec.nbytes for spec in specs.values()) != size:
        raise CheckpointError(f"expected data that end with the file, at {size} bytes, got others")
    arrays = {}
    for name, spec in specs.items():
        if mapped(name):
            arrays[name] = _mapped(spec, file, file.tell())
            file.seek(spec.nbytes, os.SEEK_CUR)
        else:
            arrays[name] = _filled(spec, file)
    return content, arrays


NPZ: Final = Container(
    b"gdcore sha256 ", -len(b"gdcore sha256 ") - DIGITS, STORABLE.fullmatch, _write_npz, _read_npz
)

CONTAINERS: Final = {
    ".npz": NPZ,
    ".safetensors": Container(
        b'{"__metadata__": {"sha256": "', 8, SAFETENSORS.get, _write_safetensors, _read_safetensors
    ),
}
