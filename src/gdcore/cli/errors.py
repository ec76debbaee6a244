"""How a command ends: its exit statuses, and the error that is one line."""

from typing import Final

SUCCESS: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class CommandError(Exception):
    """What ends a command with one line on stderr, and the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
