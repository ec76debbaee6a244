"""``gdcore sample``: a small table to try things with."""

import argparse
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

from .errors import SUCCESS, USAGE, CommandError

DESCRIPTION: Final = """\
Write a table of 240 invented houses, to try train, inspect and predict with: area, rooms, town,
garden, year built (some are missing), day sold, and the price."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.add_argument("path", nargs="?", metavar="FILE.csv", help="a new file (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Write the table."""
    content = (files(__package__) / "houses.csv").read_text(encoding="utf-8")
    if args.path is None:
        sys.stdout.write(content)
        return SUCCESS
    try:
        with Path(args.path).open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError as error:
        raise CommandError(f"FILE.csv: expected a new file, got {args.path!r}, which exists", USAGE) from error
    return SUCCESS
