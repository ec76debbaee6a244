"""What is made of a table: which columns are numbers, kinds or dates, how written, and which are left out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from .errors import TableError, polars
from .forms import FORMATS, ISO, PLAIN, SAMPLE, WAYS, Dates, Numbers, dates_of, split, ways_of
from .table import Table, cut

if TYPE_CHECKING:
    import polars as pl

MOST_KINDS: Final = 100
"""How many different texts a column may have: more are names, not kinds, or numbers with an error in them."""

FEW: Final = 10
"""How many whole numbers, at most, may be classes."""

UNNAMED: Final = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""What pandas calls a column of row numbers; no name is written as "Unnamed" when it is read and written again."""

COUNTERS: Final = re.compile(r".*id|index|no|nr|#|row.?(?:names?|no|nr|number|index)?|.*[ _](?:no|nr|number|index)")
"""What else columns that count the rows are called, in lower case."""


@dataclass(frozen=True)
class Wishes:
    """What is asked for.

    Arguments:
        target: the column to predict.
        task: ``"regression"``, ``"classification"``, or None for what the target looks like.
        features: the columns to predict from; None for all others that can be.
        exclude: the columns that are none of them.
        categorical: those whose numbers or texts are kinds.
        dates: those of dates, each with its format; None is found out.
    """

    target: str
    task: str | None = None
    features: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    dates: Mapping[str, str | None] = field(default_factory=dict)


@dataclass
class Account:
    """How each column of a table is read.

    Attributes:
        target: how its numbers are written; None for classes.
        numbers, dates: by feature, how they are written.
        kinds: the features that are texts, one-hot.
        left_out: by column, why it is no feature.
        asides: what else is to be said of the table.
    """

    target: Numbers | None = None
    numbers: dict[str, Numbers] = field(default_factory=dict)
    dates: dict[str, Dates] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    asides: list[str] = field(default_factory=list)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that are used."""
        return (*self.numbers, *self.dates, *self.kinds)


def account_of(table: Table, wishes: Wishes) -> Account:
    """Find out how the columns of a table are to be read.

    Raises TableError, in one line, for all that cannot be read for certain.
    """
    reader = _Reader(table, wishes)
    for name in reader.names:
        reader.read(name)
    reader.settle()
    reader.look_at_target()
    if reader.problems:
        raise TableError(f"{table.path}: {cut(reader.problems, '; ')}")
    return reader.account


class _Reader:
    """Reads the columns of a table one by one; what one of them leaves open, the others may settle."""

    def __init__(self, table: Table, wishes: Wishes) -> None:
        self.table, self.wishes, self.rows = table, wishes, len(table)
        self.categorical, excluded = {*wishes.categorical}, {wishes.target, *wishes.exclude}
        chosen = table.columns if wishes.features is None else wishes.features
        self.features = [name for name in chosen if name not in excluded]
        self.names = [wishes.target, *self.features]
        self.plain = dict(zip(self.names, table.plain(self.names), strict=True))
        self.account = Account()
        self.problems: list[str] = []
        self.ways: dict[str, list[list[Numbers]]] = {}
        """By column the ways in which its numbers may be meant, in groups that come to the same."""

    def read(self, name: str) -> None:
        """Find out about a column, as far as it tells itself."""
        target = name == self.wishes.target
        column = self.plain[name]
        if name in self.categorical:
            self.account.kinds.append(name)
        elif name in self.wishes.dates:
            self._read_dates(name, self.wishes.dates[name])
        elif target and self.wishes.task == "classification":
            return
        elif column.missing == self.rows and not target and self.wishes.features is None:
            self.account.left_out[name] = "no value in any row"
        elif column.bad is None:
            if not target and self.wishes.features is None and self._counts_rows(name):
                self.account.left_out[name] = "counts the rows"
            else:
                self._take(name, PLAIN)
        else:
            self._read_texts(name)

    def _take(self, name: str, numbers: Numbers) -> None:
        if name == self.wishes.target:
            self.account.target = numbers
        else:
            self.account.numbers[name] = numbers

    def _counts_rows(self, name: str) -> bool:
        unnamed = UNNAMED.fullmatch(name) is not None
        if not unnamed and not COUNTERS.fullmatch(name.casefold()):
            return False
        values = np.sort(self.plain[name].values.to_numpy())
        whole = len(values) > 1 and np.isfinite(values).all() and (values == np.floor(values)).all()
        steps = np.diff(values)
        return bool(whole and (steps >= 1).all() and (unnamed or (steps == 1).all()))

    def _read_dates(self, name: str, format_: str | None) -> None:
        texts = self.table.written(name).drop_nulls().unique()
        found = dates_of(texts, FORMATS if format_ is None else (format_,))
        if len(found) == 1:
            self.account.dates[name] = found[0]
        elif found:
            ways = " or ".join(f"'{name}={dates.format}'" for dates in found)
            self.problems.append(f"column {name!r}: expected dates of one meaning; say --dates {ways}")
        else:
            row, text = self._first(
                name, Dates(format_ or ISO).parsed(self.table.written(name)).to_series().is_null()
            )
            self.problems.append(
                f"column {name!r}: expected dates{'' if format_ is None else f' {format_}'}, got {text!r} "
                f"in row {row}; say --dates '{name}=FORMAT', as %d.%m.%Y"
            )

    def _first(self, name: str, mask: "pl.Series") -> tuple[int, str]:
        """Return the first row, from 1, that has a text where the mask is true, and that text."""
        texts = self.table.written(name)
        row = int((mask.fill_null(value=True) & texts.is_not_null()).arg_max() or 0)
        return row + 1, str(texts[row : row + 1].str.head(40)[0])

    def _read_texts(self, name: str) -> None:
        """Find out about a column that is not of numbers as Python writes them."""
        column, target = self.plain[name], name == self.wishes.target
        texts = self.table.written(name)
        unique = texts.drop_nulls().unique()
        mostly = 2 * column.bad_count <= len(texts) - column.missing or (target and self.wishes.task is not None)
        row, text = self._first(name, column.values.is_null())
        if not mostly and not unique.head(SAMPLE).str.contains("[0-9]").any():
            self._read_kinds(name)
        elif ways := ways_of(unique):
            self.ways[name] = ways
        elif (dates := dates_of(unique, (ISO,))) and not target:
            self.account.dates[name] = dates[0]
        elif dates:
            self.problems.append(
                f"column {name!r}: expected numbers or classes, got dates, as {text!r} in row {row}"
            )
        elif mixed := self._mixed(name):
            self.problems.append(mixed)
        elif mostly:
            way_out = f"choose among the columns with --features or --exclude, or see --na {text!r}"
            if target:
                way_out = "for classes, --task classification"
            self.problems.append(f"column {name!r}: expected finite numbers, got {text!r} in row {row}; {way_out}")
        else:
            self._read_kinds(name)

    def _mixed(self, name: str) -> str | None:
        """Return what is wrong with a column that is mostly numbers with marks, or dates; None for another."""
        texts = self.table.written(name)
        known = texts.drop_nulls()
        parts = split(known)
        values = dates = None
        if 2 * parts["digits"].null_count() <= len(known):
            bare = parts.with_columns(before=parts["digits"].str.head(0), after=parts["digits"].str.head(0))
            counts = {way: bare.height - Numbers("", "", *way).of(bare).null_count() for way in WAYS}
            way = max(counts, key=lambda way: counts[way])
            marked = parts["digits"].is_not_null() & known.cast(polars.Float64, strict=False).is_null()
            if marked.any() and 2 * counts[way] >= len(known):
                before, after = (parts[mark].drop_nulls().mode().sort()[0] for mark in ("before", "after"))
                values = Numbers(before, after, *way).parsed(texts)
        elif 2 * known.str.contains("^[0-9]{4}-[0-9]{2}-").sum() > len(known):
            values = dates = Dates(ISO).parsed(texts).to_series()
        if values is None:
            return None
        good, like = self._first(name, values.is_not_null())
        bad, text = self._first(name, values.is_null())
        what = "numbers" if dates is None else "dates"
        return (
            f"column {name!r}: expected {what} that are written in one way, got {like!r} in row {good} and "
            f"{text!r} in row {bad}; leave it out with --exclude, or see --na and --categorical"
        )

    def _read_kinds(self, name: str) -> None:
        """Take texts for kinds, unless they are names: so many that few rows have one in common."""
        texts = self.table.text(name).drop_nulls()
        different, known = texts.n_unique(), len(texts)
        said = f"{different} different texts in {known} rows"
        names = 2 * different > known
        if name == self.wishes.target:
            if names:
                self.problems.append(f"column {name!r}: expected numbers or classes, got {said}")
        elif not names and different <= MOST_KINDS:
            self.account.kinds.append(name)
            self._suggest_dates(name)
        elif self.wishes.features is not None:
            such = self.table.texts(name)[0][:40]
            self.problems.append(
                f"column {name!r}: expected numbers, or at most {MOST_KINDS} different texts, got {said}, such as "
                f"{such!r}; choose among the columns with --features, or see --categorical"
            )
        else:
            self.account.left_out[name] = f"{said}; --categorical keeps it"
            self._suggest_dates(name)

    def _suggest_dates(self, name: str) -> None:
        sample = self.table.text(name).drop_nulls().head(100)
        if sample.str.contains("[0-9].*[0-9]").all() and dates_of(sample, FORMATS[1:]):
            self.account.asides.append(f"column {name!r} looks like dates: see --dates")

    def settle(self) -> None:
        """Find out about numbers that may be meant in several ways by what the other columns have."""
        decimal = self.table.decimal
        commas = decimal == "," or any(_decimals(ways) == {","} for ways in self.ways.values())
        points = decimal == "." or any(_decimals(ways) == {"."} for ways in self.ways.values())
        if commas and not points:
            points |= self._reconsider_points()
        meant = decimal or ("," if commas and not points else "." if points and not commas else None)
        for name, groups in self.ways.items():
            fitting = [ways for ways in groups if meant in (None, *(way.decimal for way in ways))]
            if len(fitting) == 1:
                self._take(name, next(way for way in fitting[0] if meant in (None, way.decimal)))
            elif fitting and self.table.separator == "," and fitting[0][0].group == ",":
                self._take(name, fitting[0][0])  # its fields had to be quoted for that
            else:
                self._refuse(name, [ways[0] for ways in fitting or groups], meant)

    def _refuse(self, name: str, ways: list[Numbers], meant: str | None) -> None:
        """Say that numbers mean several things, or not what ``meant``, the mark of decimals, says they do."""
        texts = self.table.written(name)
        differ = ways[0].parsed(texts) != ways[-1].parsed(texts) if len(ways) > 1 else texts.is_not_null()
        row, text = self._first(name, differ)
        if len(ways) > 1:
            expected, way_out = "numbers of one meaning", "say --decimal . or --decimal ,"
        else:
            expected, way_out = f"decimals after {meant!r}", "see --decimal and --exclude"
        self.problems.append(f"column {name!r}: expected {expected}, got {text!r} in row {row}; {way_out}")

    def _reconsider_points(self) -> bool:
        """Let ``1.234`` be thousands too, where there are decimal commas; say whether there are decimal points."""
        points = False
        for name, column in self.plain.items():
            if column.bad is None and self.table.is_written(name) and name not in self.account.kinds:
                texts = self.table.written(name).drop_nulls()
                if texts.str.contains(".", literal=True).any():
                    ways = ways_of(texts.unique())
                    points |= "," not in _decimals(ways)
                    if "," in _decimals(ways) or self.table.decimal == ",":
                        self.ways[name] = ways
        return points

    def look_at_target(self) -> None:
        """Say that a number may be meant for a class."""
        name = self.wishes.target
        if self.wishes.task is None and self.account.target is not None and not self.problems:
            (values,) = self.table.numbers({name: self.account.target})
            found = values.head(1000).unique()
            if 1 < len(found) <= FEW and (values == values.floor()).all() and 2 * values.n_unique() <= self.rows:
                shown = ", ".join(f"{value:g}" for value in values.drop_nulls().unique().sort().head(FEW))
                self.account.asides.append(
                    f"the target {name!r} is fitted as a number, though it has the values {shown} alone; "
                    f"for classes, --task classification"
                )


def _decimals(groups: Iterable[Sequence[Numbers]]) -> set[str]:
    return {way.decimal for ways in groups for way in ways}
