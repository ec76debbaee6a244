"""The files that a command is to write: those that cannot be are refused before the work."""

from pathlib import Path

from ..checkpoints import check_path
from ..files import check_destination, remove_leftovers
from ..plots import check_format
from .errors import USAGE, CommandError


def check_plot(path: str) -> None:
    """Refuse a ``--plot`` that nothing can be drawn to."""
    _check_place(path)
    try:
        check_format(path, "--plot")
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error


def check_saved(flag: str, path: str, *read: str) -> None:
    """Refuse a file of ``flag`` that no model or checkpoint can be saved to, or that is one of those ``read``."""
    check_other(flag, path, *read)
    try:
        check_path(path, flag)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error


def check_other(flag: str, path: str, *read: str) -> None:
    """Refuse a file of ``flag`` that cannot be written, or that is one of those ``read``."""
    _check_place(path)
    for other in read:
        if Path(path).exists() and Path(other).exists() and Path(path).samefile(other):
            raise CommandError(f"{flag}: expected another file than {other!r}, which is read", USAGE)


def _check_place(path: str) -> None:
    check_destination(path)
    remove_leftovers(path)  # of a command that was killed
