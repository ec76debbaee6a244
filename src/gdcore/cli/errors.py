"""How a command ends: its exit statuses, and the error that is one line."""

from typing import Final

from ..files import check_destination

SUCCESS: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class CommandError(Exception):
    """What ends a command with one line on stderr, and the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def check_plot(path: str) -> None:
    """Refuse a ``--plot`` that nothing can be drawn to, before the work."""
    check_destination(path)
    from ..plots import check_format  # noqa: PLC0415

    try:
        check_format(path, "--plot")
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
