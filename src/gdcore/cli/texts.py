"""From the texts of a command line to values: what argparse is given as types."""

import argparse
import codecs
import csv
import math
from collections.abc import Callable
from typing import Final

BALANCED: Final = "balanced"

MOST_UNITS: Final = 1_000_000
MOST_ELEMENTS: Final = 10_000_000_000


def integer(least: int, most: float = math.inf) -> Callable[[str], int]:
    """Return what parses an integer from ``least`` to ``most``."""
    expected = f">= {least}" if most == math.inf else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected an integer {expected}, got {text!r}")
        return value

    return parse


def layers(text: str) -> tuple[int, ...]:
    """Parse the units of hidden layers."""
    return tuple(map(integer(1, MOST_UNITS), text.split(",")))


def sizes(text: str) -> tuple[int, ...]:
    """Parse how many elements arrays have."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(1 <= number <= MOST_ELEMENTS and number == int(number) for number in numbers):
        raise argparse.ArgumentTypeError(f"expected integers from 1 to {MOST_ELEMENTS:g}, got {text!r}")
    return tuple(map(int, numbers))


def part(text: str) -> float:
    """Parse a part of a whole that is left."""
    return _within(text, "a number in [0, 1)", lambda value: 0 <= value < 1)


def positive(text: str) -> float:
    """Parse a finite number above 0."""
    return _within(text, "a finite number > 0", lambda value: 0 < value < math.inf)


def seconds(text: str) -> float:
    """Parse a span of time."""
    return _within(text, "a number of seconds >= 0", lambda value: 0 <= value < math.inf)


def _within(text: str, expected: str, holds: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not holds(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Parse the names of columns, written as in the header of a CSV file."""
    found = several(text)
    if not found:
        raise argparse.ArgumentTypeError("expected at least one column, got none")
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise argparse.ArgumentTypeError(f"expected each column once, got {twice!r} again")
    return found


def several(text: str) -> tuple[str, ...]:
    """Parse texts, written as a row of a CSV file; none is fine too."""
    try:
        return tuple(name.strip() for name in next(csv.reader([text], strict=True), []))
    except csv.Error as error:
        said = f"expected columns as in a CSV header, got {text!r}: {error}"
        raise argparse.ArgumentTypeError(said) from error


def class_weights(text: str) -> str | tuple[tuple[str, float], ...]:
    """Parse the weights of classes: their name, an equals sign and a number each; or "balanced"."""
    if text.strip() == BALANCED:
        return BALANCED
    found: dict[str, float] = {}
    for part in several(text):
        name, _, number = (piece.strip() for piece in part.rpartition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or name in found or not 0 <= weight < math.inf:
            raise argparse.ArgumentTypeError(
                f'expected {BALANCED}, or each class once with a number >= 0, as in "a=1,b=2", got {part!r}'
            )
        found[name] = weight
    if not found:
        raise argparse.ArgumentTypeError(f'expected {BALANCED}, or classes as in "a=1,b=2", got {text!r}')
    return tuple(found.items())


def separator(text: str) -> str:
    """Parse what stands between the fields of a file: one character, or its name."""
    found = {"tab": "\t", r"\t": "\t", "space": " ", "spaces": " ", "comma": ",", "semicolon": ";"}.get(text, text)
    if len(found) != 1 or not found.isascii() or found.isalnum() or found in '"\r\n.':
        raise argparse.ArgumentTypeError(f"expected one character, tab or spaces, got {text!r}")
    return found


def encoding(text: str) -> str:
    """Parse the name of an encoding."""
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise argparse.ArgumentTypeError(f"expected the name of an encoding, as latin-1, got {text!r}") from None
