"""The command line: which commands there are, and how one is run."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from .. import __version__
from .errors import FAILURE, SUCCESS, USAGE, CommandError, is_unread

COMMANDS: Final = {
    "train": "fit a model to a table, or run the worked example",
    "predict": "use a saved model",
    "inspect": "say what a saved model has learned, and from what",
    "sample": "write a small table to try these with",
    "paths": "walk the optimizers down two valleys, and draw their paths",
    "bench": "measure the update rules on this machine",
    "info": "say which kernels and how many threads run here, and why",
}
"""What the help says of each; its module has ``DESCRIPTION``, ``add_arguments(parser)`` and ``run(args)``."""

EXIT_STATUSES: Final = """\
exit status:
    0  success
    1  failed: a file cannot be read or written, its data cannot be used, the run diverged
    2  the command line is wrong
  130  interrupted by Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default that of the process, and return its exit status.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    gdcore ...
    0
    """
    _open_streams()
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if is_unread(error):
            # They have seen enough. What is left must not fail again when Python flushes it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILURE
        from .ending import ended_by  # noqa: PLC0415  # it knows tables and ranks, which --help does without

        return ended_by(error)
    return status


def _open_streams() -> None:
    # A table goes out in UTF-8, as it is read, where the system has an encoding of its own for files: Windows.
    encoding = "utf-8" if os.name == "nt" and "PYTHONIOENCODING" not in os.environ else None
    for name, errors in (("stdout", "surrogateescape"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started the process
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  # for as long as the process lives
        elif isinstance(stream, io.TextIOWrapper) and (encoding or stream.errors == "strict"):
            stream.reconfigure(encoding=encoding, errors=errors)  # the name of a file goes out as it came in


def _run(argv: Sequence[str]) -> int:
    try:
        args = _parser(argv).parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else SUCCESS
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see {self.prog} --help)", USAGE)


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of ``argv``. The module of the command that it begins with is imported, and no other."""
    how: dict[str, Any] = {"epilog": EXIT_STATUSES, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = _Parser(prog="gdcore", description="Gradient descent on tables.", **how)
    parser.add_argument("--version", action="version", version=f"gdcore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for name, said in COMMANDS.items():
        command = commands.add_parser(name, help=said, **how)
        if name in argv[:1]:
            module = import_module(f".{name}", __package__)
            command.description = module.DESCRIPTION
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
