"""Checkpoints as ``.safetensors``: a JSON header, and the bytes of the arrays."""

import json
import os
from collections.abc import Mapping
from typing import IO, Any, Final

from .container import (
    DIGITS,
    Array,
    CheckpointError,
    Choose,
    Container,
    Spec,
    Specs,
    bytes_of,
    filled,
    parsed,
    read_later,
)

DTYPES: Final = {
    "|b1": "BOOL",
    **{
        f"{'|' if size == 1 else '<'}{kind}{size}": f"{kind.upper()}{8 * size}"
        for kind in "iu"
        for size in (1, 2, 4, 8)
    },
    **{f"<f{size}": f"F{8 * size}" for size in (2, 4, 8)},
    "|V2": "BF16",
}
"""The dtypes of a ``.safetensors``, and what that format calls them."""


def _header(text: str, digits: str, specs: Specs) -> dict[str, Any]:
    header: dict[str, Any] = {"__metadata__": {"sha256": digits, "gdcore": text}}
    start = 0
    for name, spec in specs.items():
        end = start + spec.nbytes
        header[name] = {"dtype": DTYPES[spec.dtype], "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    return header


def _write(file: IO[bytes], text: str, arrays: Mapping[str, Array]) -> None:
    specs = {name: Spec(array.dtype.str, array.shape) for name, array in arrays.items()}
    header = json.dumps(_header(text, "0" * DIGITS, specs))
    header += " " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header.encode("ascii"))
    for array in arrays.values():
        file.write(bytes_of(array))


def _read(file: IO[bytes], mapped: Choose) -> tuple[Any, dict[str, Array]]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(min(length, size)))
    metadata = header["__metadata__"]
    content, specs = parsed(metadata["gdcore"])
    if header != _header(metadata["gdcore"], metadata["sha256"], specs):
        raise CheckpointError("expected an entry of the right size for each array, got others")
    if 8 + length + sum(spec.nbytes for spec in specs.values()) != size:
        raise CheckpointError(f"expected data that end with the file, at {size} bytes, got others")
    arrays = {}
    for name, spec in specs.items():
        if mapped(name):
            arrays[name] = read_later(spec, file, file.tell())
            file.seek(spec.nbytes, os.SEEK_CUR)
        else:
            arrays[name] = filled(spec, file)
    return content, arrays


SAFETENSORS: Final = Container(b'{"__metadata__": {"sha256": "', 8, DTYPES.get, _write, _read)
