"""``gdcore info``: what runs here, and whether it gives the promised bits."""

import argparse
from typing import Final

from ..engine import show_config
from .errors import SUCCESS, CommandError

DESCRIPTION: Final = """\
Say which kernels and how many threads run here, and why, with the versions that a
report of a problem needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="step every rule, and say whether this machine gives the same bits as every other",
    )


def run(args: argparse.Namespace) -> int:
    """Say which kernels and how many threads run here, and why; check the bits where that is asked for."""
    show_config()
    if args.check:
        from .promise import broken, promised  # noqa: PLC0415  # it imports all that has a promise

        if differing := broken():
            raise CommandError(
                f"bits: expected those of every other machine, got others for {', '.join(differing)}; "
                f"please report it with the lines above"
            )
        print(f"bits: those of every other machine, by {len(promised())} hashes of steps and functions")
    return SUCCESS
