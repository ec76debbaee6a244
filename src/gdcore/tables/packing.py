"""From the bytes of a file to those of a text: how it is packed and encoded, and whether there is memory for it."""

import contextlib
import gzip
import io
import math
import os
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from .errors import TableError, polars

MARKS: Final = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""What files begin with that say their encoding."""


def _one_of_zip(file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise ValueError(f"expected one file in it, got {len(names)}")
    return archive.open(names[0])


def _by_polars(file: IO[bytes]) -> IO[bytes]:
    """Unpack what Python's own modules do not: each line is a field."""
    frame = polars.read_csv(file, has_header=False, infer_schema=False, separator="\x01", quote_char=None)
    return io.BytesIO("\n".join(frame.to_series().fill_null("")).encode())


PACKINGS: Final[dict[str, tuple[bytes, Callable[[IO[bytes]], Any]]]] = {
    "gzip": (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    "bzip2": (b"BZh", lambda file: import_module("bz2").BZ2File(file)),
    "xz": (b"\xfd7zXZ\0", lambda file: import_module("lzma").LZMAFile(file)),
    "zip": (b"PK\3\4", _one_of_zip),
    "zstd": (b"\x28\xb5\x2f\xfd", _by_polars),
}
"""What a packed file begins with, and what unpacks it. Modules that a Python may be without are imported late."""


def unpacked(path: str | Path, name: str, unpack: Callable[[IO[bytes]], Any], packed: bytes) -> bytes:
    """Return what was packed, unless there is no room for it: a few bytes can hold as many as they like."""
    parts: list[bytes] = []
    size, free = 0, room()
    try:
        with unpack(io.BytesIO(packed)) as stream:
            while part := stream.read(1 << 24):
                parts.append(part)
                size += len(part)
                if 2 * size > free:
                    raise TableError(
                        f"{path}: expected a table for which there is memory, {free / 1e9:.3g} GB, "
                        f"got one of more than {size / 1e9:.3g} GB, packed by {name}"
                    )
    except (MemoryError, TableError):
        raise
    except ImportError as error:
        raise TableError(f"{path}: expected a Python that unpacks {name}, got one without it ({error})") from error
    except Exception as error:  # each has errors of its own
        raise TableError(f"{path}: expected a file packed by {name}: {error}") from error
    return b"".join(parts)


def encoding_of(head: bytes) -> str | None:
    """Return the encoding that a file begins like; None for UTF-8 or one that has no mark."""
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    for parity, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):  # of text that is mostly Latin
        if head[parity::2].count(0) > len(head) // 4 and head[1 - parity :: 2].count(0) == 0:
            return encoding
    return None


def decoded(path: str | Path, content: bytes, encoding: str) -> str:
    """Return the text that bytes are in an encoding. Raises TableError for bytes that are none."""
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{path}: line {line}: expected a text in {encoding}, got the byte 0x{content[error.start]:02x}; "
            f"say another --encoding"
        ) from error


# How much memory there is ---------------------------------------------------------------------------------------

CELL: Final = 40
"""Bytes that a field takes on its way, about: as a view of a text, as a number, and in the two matrices of that."""


def room() -> float:
    """Return how many bytes this process may still take; inf where the system does not say."""
    free = math.inf
    with contextlib.suppress(OSError, ValueError):
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text("utf-8").splitlines())
        free = min(free, 1024 * int(lines["MemAvailable"].split()[0]))
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most, used = (int((group / f"memory.{name}").read_text("utf-8")) for name in ("max", "current"))
        free = min(free, most - used)
    with contextlib.suppress(OSError, ImportError):
        import resource  # noqa: PLC0415  # Unix alone has it

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text("utf-8").split()[0])
            free = min(free, most - pages * os.sysconf("SC_PAGE_SIZE"))
    return free


def needed(size: int, sample: bytes, separator: str) -> float:
    """Return how many bytes a table of ``size`` bytes takes that begins with ``sample``."""
    fields = sample.count(separator.encode()) + sample.count(b"\n") + 1
    return size + CELL * fields * size / len(sample)
