"""Files that are written whole or not at all."""

import errno
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def check_destination(path: str | Path) -> None:
    """Raise OSError unless a file can be put at ``path``: a new one, or in place of a regular one."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path}: expected a file to write, got a directory")
    if target.exists() and not target.is_file():
        raise OSError(f"{path}: expected a regular file to replace, got a device or a pipe")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: expected a directory that exists, got {str(target.parent)!r}")
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"{path}: expected a directory that can be written, got {str(target.parent)!r}")


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` when the block ends, and leaves no trace when it raises.

    What was written can be read back in the block. A symbolic link stays, and what it points to is replaced. File
    and directory are flushed to disk, so that after a power cut ``path`` is the old or the new file; Windows has no
    flushing of directories. Raises OSError as :func:`check_destination` does.
    """
    check_destination(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    _flush_directory(target.parent)


def remove_leftovers(path: str | Path) -> None:
    """Remove the unfinished files of writers of ``path`` that were killed. Nobody may be writing it."""
    target = Path(os.path.realpath(path))
    for left in target.parent.glob(f"{_prefix(target)}{'[0-9a-f]' * 16}.tmp"):
        left.unlink(missing_ok=True)


def _prefix(target: Path) -> str:
    # A name of 255 bytes leaves no room for more, and one with a star is no pattern: its digest has its place.
    return f".gdcore-{zlib.crc32(os.fsencode(target.name)):08x}-"


def _flush_directory(path: Path) -> None:
    if os.name != "posix":
        return
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # one that can be written and not read: the file is there, and when is for the system
        return
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
            raise
    finally:
        os.close(directory)
