"""The error that ends a command with one line, and the exit statuses."""

import errno
import os
from typing import Final

SUCCESS: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class CommandError(Exception):
    """What ends a command with one line on stderr, and the exit status."""

    def __init__(self, message: str, status: int = FAILURE) -> None:
        super().__init__(message)
        self.status = status


def is_unread(error: BaseException) -> bool:
    """Return whether whoever read standard output has closed it: on Windows that is EINVAL, of no file."""
    return isinstance(error, BrokenPipeError) or (
        os.name == "nt" and isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None
    )
