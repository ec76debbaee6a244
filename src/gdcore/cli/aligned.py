"""Tables whose columns stand below each other."""

import re
from typing import Any, Final

LAYOUT: Final = re.compile(r"([<>]\d+)(.*)")


class Aligned:
    """The lines of a table, made one at a time, so that each can be printed when it comes.

    A column is its title and how its cells are written, as in a format string: ``">12.3f"``. Its title lies as they
    do, and so does a text in the place of a number.

    >>> table = Aligned(("rule", "<6"), ("ns", ">8.2f"))
    >>> print(table.head(), table.line("sgd", 0.5), table.line("adam", "-"), sep=chr(10))
    rule        ns
    sgd       0.50
    adam         -
    """

    def __init__(self, *columns: tuple[str, str]) -> None:
        self._titles = [title for title, _ in columns]
        self._cells = [cell for _, cell in columns]
        self._places = [LAYOUT.sub(r"\1", cell) for cell in self._cells]

    def head(self) -> str:
        """Return the line with the titles."""
        return self.line(*self._titles)

    def line(self, *values: Any) -> str:
        """Return the line of a row, a value a column."""
        return "".join(
            format(value, place if isinstance(value, str) else cell)
            for value, place, cell in zip(values, self._places, self._cells, strict=True)
        )
