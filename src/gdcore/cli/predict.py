"""``gdcore predict``: a line for each row of a table."""

import argparse
import csv
import io
import sys
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from ..tables import Dialect, Table, TableError, TableModel
from . import texts
from .errors import SUCCESS, CommandError
from .outputs import check_other
from .report import scored, warn

DESCRIPTION: Final = """\
Predict a line for each row of a CSV or Parquet file, below a header with the name of the
target. If the file has the target too, say the RMSE or the accuracy on stderr."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="what gdcore train saved")
    parser.add_argument("data", metavar="DATA", help="CSV with a header line, or Parquet; - is standard input")
    parser.add_argument(
        "--separator", type=texts.separator, metavar="CHAR", help="as for train (default: what fits)"
    )
    parser.add_argument("--encoding", type=texts.encoding, metavar="NAME", help="as for train (default: what fits)")
    parser.add_argument("--output", metavar="FILE.csv", help="where to write (default: standard output)")
    parser.add_argument(
        "--probabilities", action="store_true", help="give the probability of each class in a column of its own"
    )


def run(args: argparse.Namespace) -> int:
    """Predict a line for each row of a table."""
    if args.output is not None:
        check_other("--output", args.output, args.model, args.data)
    model = TableModel.load(args.model)
    table = Table(args.data, Dialect(args.separator, args.encoding, na=model.columns.na))
    content, predictions = _predicted(model, table, args.probabilities)
    for name, rows in model.columns.unknown(table).items():
        warn(f"column {name!r} has texts in {rows} of {len(table)} rows that were not there in training")
    if args.output is None:
        sys.stdout.write(content)
        sys.stdout.flush()
    else:
        with replacing(args.output) as file:
            file.write(content.encode())
    _say_score(model, table, predictions)
    return SUCCESS


def _predicted(model: TableModel, table: Table, probabilities: bool) -> tuple[str, NDArray[Any]]:
    """Return the predictions as CSV, and as they are."""
    if not len(table):
        raise CommandError(f"{table.path}: expected at least 1 row below the header, got 0")
    target = model.target
    predictions = model.predict(table)
    overflown = int((~np.isfinite(predictions)).sum())
    if overflown:
        raise CommandError(
            f"{table.path}: expected values of the size trained on, got {overflown} infinite predictions"
        )
    if probabilities:
        if not target.classes:
            raise CommandError(
                f"--probabilities: expected a model of classes, got one of the number {target.name!r}"
            )
        return _csv(
            [f"{target.name}={text}" for text in target.classes], model.probabilities(table).tolist()
        ), predictions
    values = [target.classes[code] for code in predictions] if target.classes else predictions.tolist()
    return _csv([target.name], [[value] for value in values]), predictions


def _csv(header: list[str], rows: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _say_score(model: TableModel, table: Table, predictions: NDArray[Any]) -> None:
    if model.target.name not in table.columns:
        return
    try:
        print(scored(*model.score(table, predictions), len(table)), file=sys.stderr)
    except TableError as error:
        warn(f"no score: {error}")
