"""How numbers and dates are written in a column: found out from its texts, and read the same way again."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .errors import polars

if TYPE_CHECKING:
    import polars as pl

CURRENCIES: Final = [
    "AUD",
    "BRL",
    "CAD",
    "CHF",
    "CNY",
    "CZK",
    "DKK",
    "EUR",
    "GBP",
    "HKD",
    "HUF",
    "INR",
    "JPY",
    "KRW",
    "MXN",
    "NOK",
    "NZD",
    "PLN",
    "RUB",
    "SEK",
    "SGD",
    "TRY",
    "USD",
    "ZAR",
    "kr\\.?",
    "Fr\\.?",
    "Kč",
    "zł",
    "Ft",
    "Rs\\.?",
]
"""How they are written without a sign of their own."""

MARK: Final = rf"(?:[A-Z]{{0,2}}\p{{Sc}}|[%‰]|{'|'.join(CURRENCIES)})"

MINUS: Final = r"[-\u{2212}\u{2013}]"
"""A hyphen, a minus or an en dash."""

NUMBER: Final = (
    rf"^(?P<open>\()?(?P<first>\+|{MINUS})?\s*(?P<before>{MARK})?\s*(?P<second>\+|{MINUS})?"
    r"(?P<digits>(?:[0-9][0-9.,'\u{2019}\s]*?|[.,][0-9]+?)(?:[eE][-+]?[0-9]+)?)"
    rf"\s*(?P<after>{MARK})?\s*(?P<last>{MINUS})?(?P<close>\))?$"
)
"""A number with all marks that it may have; which of them, in what form, has to be the same in the whole column."""

GROUPS: Final = {"": "", ",": ",", ".": r"\.", " ": r"\s", "'": r"['\u{2019}]"}
"""What may stand between groups of digits, and how it is matched: spaces of all widths are alike."""

GROUPED: Final = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}

WAYS: Final = tuple(
    (group, decimal)
    for decimal, groups in ((".", ("", ",", " ", "'")), (",", ("", ".", " ", "'")))
    for group in groups
)
"""Marks of thousands and of decimals that go together, the plain ones first."""


@dataclass(frozen=True)
class Numbers:
    """Numbers that are written in one way: ``$1,037.50`` has ``before="$"``, ``group=","`` and ``decimal="."``.

    ``minus`` is ``"-"`` before a negative number, ``"()"`` around it, or ``"1-"`` after it.
    """

    before: str = ""
    after: str = ""
    group: str = ""
    decimal: str = "."
    minus: str = "-"

    def parsed(self, texts: "pl.Series") -> "pl.Series":
        """Return the numbers, float64; null for what is not written in this way."""
        return texts.cast(polars.Float64, strict=False) if self == PLAIN else self.of(split(texts))

    def of(self, parts: "pl.DataFrame") -> "pl.Series":
        """Return the numbers that were split into these parts, as :meth:`parsed` does."""
        group, mark = GROUPS[self.group], re.escape(self.decimal)
        whole = "[0-9]+"
        if group:
            thousands, lakhs = f"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+", f"[1-9][0-9]?(?:{group}[0-9]{{2}})+"
            whole = f"(?:[0-9]+|{thousands}|{lakhs}{group}[0-9]{{3}})"
        digits, lead, last = parts["digits"], parts["lead"], parts["last"]
        fits = digits.str.contains(f"^(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][-+]?[0-9]+)?$")
        fits &= (parts["before"] == self.before) & (parts["after"] == self.after)
        around = parts["open"] == "("
        fits &= (around == (parts["close"] == ")")) & (~around | (self.minus == "()"))
        fits &= (last == "") | (self.minus == "1-")
        negative = lead.str.contains(MINUS)
        fits &= (lead.str.len_chars() + (last != "") + around) <= 1
        if group:
            digits = digits.str.replace_all(group, "")
        values = digits.str.replace(mark, ".").cast(polars.Float64, strict=False)
        values = (-values).zip_with(_sure(negative | around | (last != "")), values)
        return values.set(~_sure(fits), None)

    def __str__(self) -> str:
        said = [repr(mark) for mark in (self.before, self.after) if mark]
        said += [f"{GROUPED[self.group]} between thousands"] if self.group else []
        said += ["decimal commas"] if self.decimal == "," else []
        said += {"()": ["parentheses for minus"], "1-": ["minus behind"]}.get(self.minus, [])
        return f"with {', '.join(said)}" if said else ""


SAMPLE: Final = 1000
"""What is not found in so many texts is not looked for in the others."""

PLAIN: Final = Numbers()
"""As Python writes them."""


def _sure(mask: "pl.Series") -> "pl.Series":
    return mask.fill_null(value=False)


def split(texts: "pl.Series") -> "pl.DataFrame":
    """Return what stands before, in and after the digits of numbers, "" for nothing; null for what is no number."""
    parts = texts.str.extract_groups(NUMBER).struct.unnest()
    known = parts["digits"].is_not_null()
    columns = [
        polars.when(known).then(polars.col(name).fill_null("")).alias(name)
        for name in ("open", "before", "digits", "after", "last", "close")
    ]
    signs = polars.concat_str(polars.col("first", "second").fill_null(""))
    return parts.select(*columns, polars.when(known).then(signs).alias("lead"))


def ways_of(texts: "pl.Series") -> list[list[Numbers]]:
    """Return the ways in which all of ``texts`` can be read as numbers: in groups that give the same ones."""
    if len(texts) > SAMPLE and not ways_of(texts.head(SAMPLE)):
        return []
    parts = split(texts)
    marks = [parts[name].unique().to_list() for name in ("before", "after")]
    brackets, behind = (parts[name].eq_missing(mark).any() for name, mark in (("open", "("), ("last", "-")))
    if parts["digits"].null_count() or any(len(found) > 1 for found in marks):
        return []
    found: list[tuple[Any, list[Numbers]]] = []
    for group, decimal in WAYS:
        way = Numbers(marks[0][0], marks[1][0], group, decimal, "()" if brackets else "1-" if behind else "-")
        values = way.of(parts)
        if values.null_count():
            continue
        same = next((ways for others, ways in found if np.array_equal(others, values.to_numpy())), None)
        if same is None:
            found.append((values.to_numpy(), [way]))
        else:
            same.append(way)
    return [ways for _, ways in found]


# Dates ----------------------------------------------------------------------------------------------------------

ISO: Final = "%Y-%m-%d"

FORMATS: Final = (
    *(ISO, "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", ""),
)
"""What is tried, as strftime has it; the last is a time of the day alone."""

CLOCK: Final = (
    r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9](?:\.[0-9]+)?))?"
    r"(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?(?:\s?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
)
"""A time of the day. It is read as it stands: what zone it is of is not looked at."""

PARTS: Final = ("year", "month", "day", "weekday", "time")
"""The numbers that a date becomes; the day of the week is 1 to 7 from Monday, the time is in hours."""


DIRECTIVES: Final = re.compile(r"(?:[^%]|%[YymdebBhaAj])*")


def is_format(value: object) -> bool:
    """Return whether a value is a format of dates, without times."""
    return isinstance(value, str) and DIRECTIVES.fullmatch(value) is not None


@dataclass(frozen=True)
class Dates:
    """Dates of a format of strftime, with a time behind or without; the ``parts`` are what they become."""

    format: str
    parts: tuple[str, ...] = PARTS

    def parsed(self, texts: "pl.Series") -> "pl.DataFrame":
        """Return a column of numbers for each part, all null for what is no such date."""
        double = polars.Float64
        pattern = rf"^(?P<date>.+?)(?:(?:T|,?\s+){CLOCK})?$" if self.format else f"^{CLOCK}$"
        groups = texts.str.extract_groups(pattern).struct.unnest()
        hour = groups["hour"].cast(double)
        half = groups["half"].str.to_lowercase()
        hour = (hour % 12 + 12).zip_with(_sure(half == "p"), (hour % 12).zip_with(_sure(half == "a"), hour))
        seconds = 60 * groups["minute"].cast(double) + groups["second"].cast(double).fill_null(0)
        time = hour + seconds / 3600
        if not self.format:
            return time.to_frame("time")
        days = groups["date"].str.to_date(self.format, strict=False)
        days = days.set(_sure(days.dt.year() < 1000), None)  # a year of two digits is not that of %Y
        found = {
            "year": days.dt.year(),
            "month": days.dt.month(),
            "day": days.dt.day(),
            "weekday": days.dt.weekday(),
            "time": time.fill_null(0).set(days.is_null(), None),
        }
        parts: pl.DataFrame = polars.DataFrame({name: found[name].cast(double) for name in self.parts})
        return parts


def dates_of(texts: "pl.Series", formats: Iterable[str]) -> list[Dates]:
    """Return the formats by which all of ``texts`` can be read as dates, one for each way in which they differ."""
    if len(texts) > SAMPLE and not dates_of(texts.head(SAMPLE), formats):
        return []
    found: list[tuple[Any, Dates]] = []
    for format_ in formats:
        parts = Dates(format_, PARTS if format_ else ("time",)).parsed(texts)
        values = parts.to_numpy()
        if parts["time"].null_count() or any(np.array_equal(values, other) for other, _ in found):
            continue
        has_time = bool(values[:, -1].any())
        found.append((values, Dates(format_, PARTS[:-1] + PARTS[-1:] * has_time if format_ else ("time",))))
    return [dates for _, dates in found]
