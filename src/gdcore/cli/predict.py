"""``gdcore predict``: a line for each row of a table."""

import argparse
import csv
import io
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from ..tables import Table, TableModel
from .errors import SUCCESS, CommandError
from .report import warn
from .train import _check_other


def predict(args: argparse.Namespace) -> int:
    """Predict a line for each row of a table."""
    from ..tables import ModelError, Table, TableError, TableModel  # noqa: PLC0415  # noqa: PLC0415

    if args.output is not None:
        _check_other("--output", args.output, args.model, args.data)
    try:
        model = TableModel.load(args.model)
        table = Table(args.data)
        content, predictions = _predicted(model, table, args.probabilities)
    except (ModelError, TableError) as error:
        raise CommandError(str(error)) from error
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


def _predicted(model: "TableModel", table: "Table", probabilities: bool) -> tuple[str, NDArray[Any]]:
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


def _say_score(model: "TableModel", table: "Table", predictions: NDArray[Any]) -> None:
    from ..tables import TableError  # noqa: PLC0415

    if model.target.name not in table.columns:
        return
    try:
        print(model.score(table, predictions), file=sys.stderr)
    except TableError as error:
        warn(f"no score: {error}")
