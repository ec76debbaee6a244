"""Checkpoints as ``.npz``: a zip of arrays that NumPy reads, stored without compression."""

import os
import zipfile
from collections.abc import Mapping
from typing import IO, Any, Final

from .container import (
    DIGITS,
    STORABLE,
    Array,
    CheckpointError,
    Choose,
    Container,
    Spec,
    bytes_of,
    filled,
    parsed,
    read_later,
)

INDEX: Final = "checkpoint.json"
"""The member of a ``.npz`` that holds the text."""


def _header(spec: Spec) -> bytes:
    # numpy.lib.format writes the same, but not the same bytes in every version of NumPy.
    descr = [("bfloat16", "<u2")] if spec.dtype == "|V2" else spec.dtype
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {spec.shape!r}, }}"
    padding = " " * (-(len(text) + 11) % 64)
    return b"\x93NUMPY\x01\x00" + (len(text + padding) + 1).to_bytes(2, "little") + f"{text}{padding}\n".encode()


def _write(file: IO[bytes], text: str, arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(INDEX), text)
        for name, array in arrays.items():
            member = zipfile.ZipInfo()
            member.filename = f"{name}.npy"  # the constructor would turn backslashes on Windows
            with archive.open(member, "w", force_zip64=True) as stream:
                stream.write(_header(Spec(array.dtype.str, array.shape)))
                stream.write(bytes_of(array))
        archive.comment = NPZ.mark + b"0" * DIGITS


def _read(file: IO[bytes], mapped: Choose) -> tuple[Any, dict[str, Array]]:
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, file)
        content, specs = parsed(archive.read(members.pop(INDEX)))
        headers = {name: _header(spec) for name, spec in specs.items()}
        sizes = {name: len(headers[name]) + spec.nbytes for name, spec in specs.items()}
        if {name: member.file_size for name, member in members.items()} != sizes:
            raise CheckpointError("expected a member of the right size for each array, got others")
        arrays = {}
        for name, spec in specs.items():
            with archive.open(members[name]) as stream:
                if stream.read(len(headers[name])) != headers[name]:
                    raise CheckpointError(f"{name}: expected an array of {spec.dtype} {spec.shape}, got another")
                if not mapped(name):
                    arrays[name] = filled(spec, stream)
            if mapped(name):
                start = members[name].header_offset
                file.seek(start + 26)
                names = sum(int.from_bytes(file.read(2), "little") for _ in range(2))  # the name, and more
                arrays[name] = read_later(spec, file, start + 30 + names + len(headers[name]))
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


NPZ: Final = Container(b"gdcore sha256 ", -len(b"gdcore sha256 ") - DIGITS, STORABLE.fullmatch, _write, _read)
