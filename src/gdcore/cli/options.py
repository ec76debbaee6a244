"""What ``gdcore train`` can be asked for: one row a flag, of which parser, help, checks and settings are made."""

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from ..models import ACTIVATIONS, LEAST_EPOCHS, LEAST_STEPS, OPTIMIZERS, SCHEDULES
from ..rules import CHECKS
from ..tables import is_format
from . import texts
from .errors import USAGE, CommandError

T = TypeVar("T")


def _dates(text: str) -> tuple[tuple[str, str | None], ...]:
    """Parse the names of columns of dates, each with its format behind an equals sign or without."""
    found = []
    for part in texts.names(text):
        name, _, format_ = part.partition("=")
        if not is_format(format_):
            raise ArgumentTypeError(f"expected a format as %d.%m.%Y, got {format_!r}")
        found.append((name.strip(), format_ or None))
    return tuple(found)


RATES: Final = ", ".join(f"{name} {lr:g}" for name, (_, lr) in OPTIMIZERS.items())
COURSES: Final = "; ".join(f"{name}: {said}" for name, (_, said) in SCHEDULES.items())

TABLE, MODEL, RUN, FILES = "the table", "the model", "the run", "what is kept and shown"
"""The groups of the help."""


def flag(
    default: T,
    parse: Callable[[str], T] | None,
    group: str,
    said: str = "",
    *,
    shown: str | None = None,
    goes: str | None = None,
    keyword: str | None = None,
    **how: Any,
) -> T:
    """Return a row: a field of Options whose name, with dashes, is that of the flag.

    Arguments:
        default: the value without the flag.
        parse: from the text to the value; None for a flag that is there or not.
        group: where the help has it.
        said: the help, to which the default is added.
        shown: what the help calls the default, if that says too little.
        goes: whose keyword argument it is: ``"optimizer"``; ``"limits"`` on gradients, those of ``fit`` or of an
            optimizer over ranks; ``"fit"``; the ``"dialect"`` of the table; ``"settings"`` that tell runs apart.
            None where code reads it.
        keyword: its name there, if it is another.
        how: ``choices`` and ``metavar``, as argparse has them.
    """
    how |= {"action": "store_true"} if parse is None else {"type": parse}
    if shown is None and default is not False and default not in (None, ()):
        shown = f"{default:g}" if isinstance(default, int | float) else str(default)
    known = f"default: {shown}" if shown else ""
    how["help"] = f"{said} ({known})" if said and known else said or known
    row: T = field(default=default, metadata={"group": group, "how": how, "goes": goes, "keyword": keyword})
    return row


def needed(said: str, **how: Any) -> Any:
    """Return a row that has no default."""
    return field(metadata={"group": TABLE, "how": {"help": said, **how}, "goes": None})


@dataclass(frozen=True)
class Options:
    """What a run is asked for, checked. Raises CommandError for a hyperparameter that no optimizer takes."""

    data: str = needed("CSV with a header line, or Parquet; - is standard input", metavar="DATA")
    target: str = needed("the column to predict (needed with a file)", type=str.strip, metavar="COLUMN")
    features: tuple[str, ...] | None = flag(
        None, texts.names, TABLE, 'the columns to predict from, as in "a,b"', shown="all others", metavar="A,B,..."
    )
    exclude: tuple[str, ...] = flag((), texts.names, TABLE, "columns that are left out", metavar="A,B,...")
    categorical: tuple[str, ...] = flag(
        (),
        texts.names,
        TABLE,
        "columns whose numbers, or whose many texts, are kinds, one-hot encoded",
        metavar="A,B,...",
    )
    dates: tuple[tuple[str, str | None], ...] = flag(
        (),
        _dates,
        TABLE,
        "columns of dates or times, which become year, month, day, weekday and time; where more than one format "
        "fits, as A=%%d/%%m/%%Y",
        shown="those that are as 2024-12-31 throughout",
        metavar="A,B,...",
    )
    na: tuple[str, ...] | None = flag(
        None,
        texts.several,
        TABLE,
        "what stands for a missing value, beside an empty field; a text in quotes never does",
        goes="dialect",
        shown="NA, N/A, NaN, NULL, None and the like",
        metavar="TEXT,...",
    )
    missing: str = flag(
        "error",
        str,
        TABLE,
        "what a missing value is: an error, a reason to drop its row, or to be filled in, a number with the "
        "column's mean and a text with none of the known ones",
        goes="settings",
        choices=("error", "drop", "fill"),
    )
    separator: str | None = flag(
        None,
        texts.separator,
        TABLE,
        "what stands between fields: a character, tab or spaces",
        goes="dialect",
        shown="what fits: , ; | tab or spaces",
        metavar="CHAR",
    )
    decimal: str | None = flag(
        None, str, TABLE, "the mark of decimals", goes="dialect", shown="what fits all columns", choices=(".", ",")
    )
    encoding: str | None = flag(
        None,
        texts.encoding,
        TABLE,
        "of the characters, as latin-1",
        goes="dialect",
        shown="UTF-8 or 16, else cp1252",
        metavar="NAME",
    )
    weights: str | None = flag(
        None,
        str.strip,
        TABLE,
        "the column of what each row weighs, numbers >= 0; it is no feature",
        shown="all alike",
        metavar="COLUMN",
    )
    class_weight: str | tuple[tuple[str, float], ...] | None = flag(
        None,
        texts.class_weights,
        TABLE,
        'what the rows of each class weigh, as in "a=1,b=2"; balanced lets all classes weigh alike',
        shown="1",
        metavar="KIND=WEIGHT,...",
    )
    validation: float = flag(
        0.2, texts.part, TABLE, "part of the rows held out, of each class alike, in [0, 1)", metavar="PART"
    )
    test: str | None = flag(
        None, str, TABLE, "another file, of rows that the model is judged by at the end", metavar="FILE"
    )
    seed: int = flag(
        0,
        texts.integer(0),
        TABLE,
        "of the held-out rows, the order of the others and the first weights",
        metavar="N",
    )

    task: str | None = flag(
        None,
        str,
        MODEL,
        shown="regression for a target of numbers, classification for texts",
        choices=("regression", "classification"),
    )
    hidden: tuple[int, ...] = flag(
        (),
        texts.layers,
        MODEL,
        "units of the hidden layers, as in 64,32",
        shown="none, a linear model",
        metavar="N,N,...",
    )
    activation: str = flag("relu", str, MODEL, "of the hidden layers", goes="settings", choices=tuple(ACTIVATIONS))

    optimizer: str = flag("adam", str, RUN, choices=tuple(OPTIMIZERS))
    lr: float | None = flag(None, float, RUN, "learning rate", shown=RATES, goes="optimizer", metavar="RATE")
    schedule: str = flag("constant", str, RUN, f"how the learning rate goes: {COURSES}", choices=tuple(SCHEDULES))
    epochs: int | None = flag(
        None,
        texts.integer(1),
        RUN,
        "passes over the data",
        shown=f"what makes {LEAST_STEPS} steps, and at least {LEAST_EPOCHS}; worked example: 50",
        metavar="N",
    )
    batch_size: int = flag(64, texts.integer(1), RUN, "rows a step", goes="fit", metavar="N")
    weight_decay: float = flag(
        0.0, float, RUN, "decoupled decay of weights, not of biases", goes="optimizer", metavar="RATE"
    )
    l2: float = flag(
        0.0,
        float,
        RUN,
        "penalty l2/2 ||w||^2 on the same weights, added to the loss",
        goes="optimizer",
        metavar="FACTOR",
    )
    clip: float | None = flag(
        None,
        texts.positive,
        RUN,
        "largest global norm of a step's gradients",
        shown="none",
        goes="limits",
        keyword="max_norm",
        metavar="NORM",
    )
    patience: int | None = flag(
        None,
        texts.integer(1),
        RUN,
        "stop after N epochs that are no better on the held-out rows, and keep the best weights",
        shown="go on",
        goes="fit",
        metavar="N",
    )

    output: str | None = flag(None, str, FILES, "where to save the model: *.npz or *.safetensors", metavar="MODEL")
    plot: str | None = flag(
        None, str, FILES, "draw the curves of the run, as *.png, *.pdf or *.svg", metavar="FILE"
    )
    checkpoint: str | None = flag(
        None,
        str,
        FILES,
        "save all of the run there as it goes, as *.npz or *.safetensors, so that it can be resumed",
        goes="fit",
        metavar="FILE",
    )
    checkpoint_every: float = flag(
        10.0, texts.seconds, FILES, "how often; 0 is after each step", goes="fit", metavar="SECONDS"
    )
    resume: bool = flag(
        False,
        None,
        FILES,
        "go on from --checkpoint if it is there: the same command with --resume ends with the bits of a run "
        "without a break",
        goes="fit",
    )
    log_every: int | None = flag(
        None, texts.integer(1), FILES, "show each Nth epoch", shown="some 50 of them; with --json all", metavar="N"
    )
    json: bool = flag(
        False, None, FILES, "in place of texts print JSON, an object a line: the start, each epoch, the end"
    )
    quiet: bool = flag(False, None, FILES, "print warnings and errors only")

    def __post_init__(self) -> None:
        for name, value in self.keywords("optimizer").items():
            try:
                CHECKS[name](flag_of(name), value)
            except ValueError as error:
                raise CommandError(str(error), USAGE) from error

    def keywords(self, goes: str) -> dict[str, Any]:
        """Return the values of the rows that go there, by keyword; those that are None are not given."""
        rows = [row for row in fields(self) if row.metadata["goes"] == goes]
        values = {row.metadata["keyword"] or row.name: getattr(self, row.name) for row in rows}
        return {keyword: value for keyword, value in values.items() if value is not None}

    @property
    def rate(self) -> float:
        """The learning rate: that asked for, or the optimizer's own."""
        return OPTIMIZERS[self.optimizer][1] if self.lr is None else self.lr


def add_arguments(parser: ArgumentParser) -> None:
    """Give a parser the flags of the rows. What is not given will not be in its namespace."""
    groups: dict[str, Any] = {}
    for row in fields(Options):
        group = row.metadata["group"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        positional = row.name == "data"
        name, extra = (row.name, {"nargs": "?"}) if positional else (flag_of(row.name), {})
        groups[group].add_argument(name, default=SUPPRESS, **row.metadata["how"], **extra)


def flag_of(name: str) -> str:
    """Return how a row is written on the command line."""
    return f"--{name.replace('_', '-')}"
