"""From the bytes of a CSV file to its fields: how it is packed, encoded and separated, where its header is."""

import csv
import io
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import TableError, polars
from .packing import PACKINGS, decoded, encoding_of, needed, room, unpacked

if TYPE_CHECKING:
    import polars as pl

NA: Final = (
    *("NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "NULL", "null", "Null", "None", "none", "NONE"),
    *("NaT", "<NA>", "#N/A"),
)
"""What stands for a missing value unless other texts are said to; an empty field always does. Na is sodium."""

QUOTED: Final = "\ue000"
"""What a field begins with that stood in quotes, and without them would be missing: a private character."""

SEPARATORS: Final = (",", "\t", ";", "|", " ")

SAMPLE: Final = 1 << 16
"""Bytes by which it is found out how a file is written."""

CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")
"""What no text has."""


@dataclass(frozen=True)
class Dialect:
    """How a file is written; what is None is found out.

    Arguments:
        separator: a character; a space is any number of them.
        encoding: a name that Python knows.
        decimal: ``"."`` or ``","``, in all columns.
        na: the texts that stand for a missing value, beside the empty field.
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    na: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Fields:
    """The fields of a file, texts or null, below their names; and what was found out about how it is written."""

    names: list[str]
    frame: "pl.DataFrame"
    separator: str
    quoted: bool
    """Whether some fields begin with ``QUOTED``."""
    found: tuple[str, ...]


def fields_of(path: str | Path, content: bytes | None, head: bytes, dialect: Dialect) -> Fields:
    """Return the fields of a CSV file that begins with ``head``. Its ``content`` is read here if it is None.

    Raises TableError for one that is empty, is no text, or has rows with more fields than the header.
    """
    found = []
    for name, (mark, unpack) in PACKINGS.items():
        if head.startswith(mark):
            content = unpacked(path, name, unpack, _whole(path, content))
            head = content[:SAMPLE]
            found.append(f"unpacked from {name}")
    encoding = dialect.encoding or encoding_of(head)
    if encoding is not None:
        content = decoded(path, _whole(path, content), encoding).encode()
        head = content[:SAMPLE]
        if not encoding.startswith("utf-8"):
            found.append(f"in {encoding}")
    if not head.strip():
        raise TableError(f"{path}: expected a header and rows, got an empty file")
    if control := CONTROLS.search(head.decode(errors="replace")):
        raise TableError(
            f"{path}: expected comma-separated values in UTF-8: got the character {control.group()!a}, "
            f"as in no text; see --encoding"
        )
    try:
        return _fields(path, content, _Start.of(head, dialect.separator), dialect, found)
    except UnicodeDecodeError:
        content = decoded(path, _whole(path, content), "cp1252").encode()
        found.append("in cp1252, as it is no UTF-8")
        return _fields(path, content, _Start.of(content[:SAMPLE], dialect.separator), dialect, found)


def _whole(path: str | Path, content: bytes | None) -> bytes:
    return Path(path).read_bytes() if content is None else content


# Where its header is, and what separates its fields -------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """How a text begins: the bytes above the header, the separator, and what of that is worth telling."""

    skipped: int
    separator: str
    found: tuple[str, ...]
    sample: bytes
    returns: bool
    """Whether its lines end by carriage returns alone."""
    commented: bool
    """Whether the header is written as a comment."""

    @classmethod
    def of(cls, head: bytes, separator: str | None) -> "_Start":
        """Find out about a text that begins with ``head``."""
        returns = b"\n" not in head and b"\r" in head
        lines = head.replace(b"\r", b"\n").splitlines(keepends=True) if returns else head.splitlines(keepends=True)
        if len(head) == SAMPLE and len(lines) > 1:
            lines.pop()
        above = 0
        while above < len(lines) - 1 and (not lines[above].strip() or lines[above].lstrip().startswith(b"#")):
            above += 1
        text = b"".join(lines[above:]).decode(errors="replace")
        chosen = separator or _separator_of(text)
        commented = False
        if above and lines[above - 1].startswith(b"#"):  # the header may be written as a comment
            names = next(csv.reader([lines[above - 1].decode(errors="replace")], delimiter=chosen))
            first = next(csv.reader([text.splitlines()[0]], delimiter=chosen))
            commented = len(names) == len(first) > 1 and any(map(_is_number, first))
            above -= commented
        comments = sum(1 for line in lines[:above] if line.strip())
        found = [f"separated by {'spaces' if chosen == ' ' else repr(chosen)}"] * (chosen != ",")
        found += [f"{comments} line{'s' * (comments > 1)} above the header skipped"] * (comments > 0)
        return cls(len(b"".join(lines[:above])), chosen, tuple(found), head, returns, commented)


def _separator_of(text: str) -> str:
    """Return what makes of the header two fields or more, and as many of most rows."""
    best, most = ",", 0.0
    for separator in SEPARATORS:
        rows = [row for row in _rows(text, separator) if row]
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / len(rows) if rows else 0.0
        if width > 1 and alike > most + 1e-3:
            best, most = separator, alike
    return best


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """Yield the rows of a text as far as they can be read."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        for row in reader:
            yield row[: -1 if separator == " " and row and not row[-1] else None]
    except csv.Error:
        return


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


# Its fields -----------------------------------------------------------------------------------------------------


def _fields(path: str | Path, content: bytes | None, start: _Start, dialect: Dialect, found: list[str]) -> Fields:
    """Return the fields of a text in UTF-8. Raises UnicodeDecodeError for one that is not."""
    separator = start.separator
    if start.skipped or start.returns:
        content = _whole(path, content)[start.skipped :]
        content = content.replace(b"\r", b"\n") if start.returns else content
    size, free = Path(path).stat().st_size if content is None else len(content), room()
    if needed(size, start.sample, separator) > free:
        takes = needed(size, start.sample, separator)
        raise TableError(
            f"{path}: expected a table for which there is memory, {free / 1e9:.3g} GB, "
            f"got one that takes {takes / 1e9:.3g} GB"
        )
    marked = _with_quoted_marked(path, content, NA if dialect.na is None else dialect.na, separator)
    content = content if marked is None else marked
    # Of spaces polars takes each for a separator, and one before a quote for a part of the field.
    spaced = separator == " " or re.search(re.escape(separator).encode() + rb' +"', start.sample)
    frame = None if spaced else _by_column(path, content, separator)
    if frame is not None and _may_have_blanks(frame):
        content = _without_blanks(_whole(path, content), separator)
        frame = _by_column(path, content, separator)
    if frame is None:
        frame = _by_row(path, _whole(path, content).decode(), separator)
    names = [(name or "").removeprefix(QUOTED) for name in frame.row(0)]
    if start.commented:
        names[0] = names[0].lstrip("# ")
    return Fields(names, frame.slice(1), separator, marked is not None, (*start.found, *found))


def _with_quoted_marked(path: str | Path, content: bytes | None, na: Sequence[str], separator: str) -> bytes | None:
    """Mark the fields in quotes that would be missing without, as polars does not tell; None if none is."""
    if not na:
        return None
    edges, texts = re.escape(separator.encode()), b"|".join(re.escape(text.encode()) for text in na)
    quoted = re.compile(rb'(?<![^%b\n])"(%b)"(?![^%b\r\n])' % (edges, texts, edges))
    if content is None:
        with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            if view.find(b'"') < 0 or not quoted.search(view):
                return None
        content = _whole(path, None)
    marked = quoted.sub(b'"%b\\1"' % QUOTED.encode(), content)
    return None if marked == content else marked


def _may_have_blanks(frame: "pl.DataFrame") -> bool:
    """Return whether a row of nulls may be a blank line, which is no row unless there is one column alone."""
    if frame.width == 1 or not frame.to_series(-1).null_count():
        return False
    first = frame.filter(frame.to_series(-1).is_null()).to_series(0)
    return bool((first.fill_null("").str.strip_chars() == "").any())


def _without_blanks(content: bytes, separator: str) -> bytes:
    space = rb"[ \r]" if separator == "\t" else rb"[ \t\r]"
    blank = re.compile(rb'("[^"]*")|\n%b*(?=\n)|\n%b+\Z' % (space, space))
    return blank.sub(lambda found: found[1] or b"", content)


def _by_column(path: str | Path, content: bytes | None, separator: str) -> "pl.DataFrame | None":
    """Return the fields as polars reads them, quickly; None where it does not. The header is a row."""
    try:
        frame: pl.DataFrame = polars.read_csv(
            path if content is None else content,
            has_header=False,
            infer_schema=False,
            separator=separator,
            glob=False,
        )
    except polars.exceptions.PolarsError:
        return None
    return frame


def _by_row(path: str | Path, text: str, separator: str) -> "pl.DataFrame":
    """Return the fields as Python reads them, which knows what is wrong with a row. The header is a row."""
    text = text.replace("\t", " ") if separator == " " else text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows: list[list[str | None]] = []
    begun = line = 1
    try:
        for row in reader:
            if separator == " " and row and not row[-1]:
                row.pop()
            width = len(rows[0]) if rows else len(row)
            if len(row) > width:
                got = f"{len(row)}, {row[width][:40]!r} behind column {rows[0][-1]!r}"
                raise TableError(
                    f"{path}: row {len(rows)}: expected {width} fields separated by {separator!r}, "
                    f"as the header has, got {got}; see --separator"
                )
            if row or width == 1:  # else a blank line, which is no row
                rows.append([*row, *[None] * (width - len(row))])
                begun, line = line, reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path}: line {line}: expected fields separated by {separator!r}: {error}") from error
    if text.count('"') % 2 and (rows[-1][-1] is None or "\n" in rows[-1][-1]):
        raise TableError(f"{path}: line {begun}: expected a quote that ends, got one without end")
    schema = [(str(index), polars.String) for index in range(len(rows[0]))]
    frame: pl.DataFrame = polars.DataFrame(rows, orient="row", schema=schema)
    return frame
