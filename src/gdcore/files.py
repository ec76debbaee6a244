"""Files that are written whole or not at all."""

import errno
import os
import secrets
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # on Windows, which removes no file that is open
    fcntl = None  # type: ignore[assignment]


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


def check_regular(path: str | Path) -> None:
    """Raise OSError for what would be waited for without end, as a pipe; what is not there is left to others."""
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode  # noqa: PTH116  # which does not wait, as opening does
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(f"{path}: expected a regular file, got a device or a pipe")


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
        with _held(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows moves no file that is open
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
    """Remove the unfinished files of writers of ``path`` that were killed; those of others are left alone."""
    target = Path(os.path.realpath(path))
    for left in target.parent.glob(f"{_prefix(target)}{'[0-9a-f]' * 16}.tmp"):
        with suppress(OSError):  # it is held, or gone
            if fcntl is None:
                left.unlink()
                continue
            with left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


@contextmanager
def _held(path: Path) -> Iterator[IO[bytes]]:
    """Make a file that nobody takes for a leftover, in the block, though it be closed meanwhile."""
    if fcntl is None:
        with path.open("x+b") as file:
            yield file
        return
    while True:
        with path.open("x+b") as file:
            held = os.dup(file.fileno())
            try:
                with suppress(OSError):  # a file system without locks, which lets nobody else have one either
                    fcntl.flock(held, fcntl.LOCK_EX)
                if path.exists():  # it may have been taken for one until now
                    yield file
                    return
            finally:
                os.close(held)


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
