"""``gdcore info``: what runs here."""

import argparse
from typing import Final

from ..engine import show_config
from .errors import SUCCESS

DESCRIPTION: Final = """\
Say which kernels and how many threads run here, and why, with the versions that a
report of a problem needs."""


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command: none."""


def run(_args: argparse.Namespace) -> int:
    """Say which kernels and how many threads run here, and why."""
    show_config()
    return SUCCESS
