"""What ``gdcore train`` and ``gdcore predict`` do."""

import argparse
import csv
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import check_destination, replacing
from .bench import check_plot
from .errors import SUCCESS, USAGE, CommandError
from .options import DEFAULTS, OPTIMIZERS
from .report import warn

if TYPE_CHECKING:
    from ..tables.model import TableModel
    from ..tables.table import Table
    from .table_run import Job


def train(args: argparse.Namespace) -> int:
    """Fit a model to a table; without a table, run the worked example."""
    given = {name: value for name, value in vars(args).items() if name != "command"}
    if "data" not in given:
        return _train_worked_example(given)
    if "target" not in given:
        raise CommandError("--target: expected the column to predict (see gdcore train --help)", USAGE)
    options = argparse.Namespace(**{**DEFAULTS, **given})
    if options.lr is None:
        options.lr = OPTIMIZERS[options.optimizer][1]
    from ..distributed.launch import agree, only_first_speaks, started  # noqa: PLC0415
    from ..tables.table import Table, TableError  # noqa: PLC0415
    from .preparing import prepared  # noqa: PLC0415

    comm = started()
    with only_first_speaks(comm) as speaks:
        if not speaks:
            options.output = options.plot = None
        jobs: list[Job] = []

        def prepare() -> list[str]:
            _check_options(options)
            try:
                jobs.append(prepared(options, Table(options.data)))
            except TableError as error:
                raise CommandError(str(error)) from error
            return []

        if comm is None:
            prepare()
        else:
            agree(comm, prepare)
        return replace(jobs[0], comm=comm).run()


def _train_worked_example(given: dict[str, Any]) -> int:
    from . import example as worked_example  # noqa: PLC0415

    epochs = given.pop("epochs", worked_example.EPOCHS)
    if given:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise CommandError(f"{flag}: expected a file DATA with it (see gdcore train --help)", USAGE)
    print(worked_example.report(epochs))
    return SUCCESS


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what can be refused before the table is read."""
    from .table_run import make_optimizer  # noqa: PLC0415

    try:
        make_optimizer(options, [{"params": np.zeros(1)}])
    except (TypeError, ValueError) as error:
        name, _, said = str(error).partition(":")
        flag = f"--{name.replace('_', '-')}" if name in DEFAULTS else name
        raise CommandError(f"{flag}:{said}", USAGE) from error
    if options.resume and options.checkpoint is None:
        raise CommandError("--resume: expected --checkpoint FILE with it", USAGE)
    for flag, path in (("--output", options.output), ("--checkpoint", options.checkpoint)):
        if path is not None:
            _check_other(flag, path, options.data)
            _check_suffix(flag, path)
    if options.plot is not None:
        check_plot(options.plot)
    if options.output is not None and options.output == options.checkpoint:
        raise CommandError(
            f"--output: expected another file than --checkpoint, got {options.output!r} for both", USAGE
        )
    if options.checkpoint is not None and not options.resume and Path(options.checkpoint).exists():
        raise CommandError(
            f"--checkpoint: expected a new file, got {options.checkpoint!r}, which exists; "
            f"add --resume to go on from it",
            USAGE,
        )


def _check_suffix(flag: str, path: str) -> None:
    from ..checkpoints.checkpoint import check_path  # noqa: PLC0415

    try:
        check_path(path)
    except ValueError as error:
        raise CommandError(f"{flag}: {str(error).removeprefix('path: ')}", USAGE) from error


def _check_other(flag: str, path: str, *read: str) -> None:
    check_destination(path)
    for other in read:
        if Path(path).exists() and Path(other).exists() and Path(path).samefile(other):
            raise CommandError(f"{flag}: expected another file than {other!r}, which is read", USAGE)


def predict(args: argparse.Namespace) -> int:
    """Predict a line for each row of a table."""
    from ..tables.model import ModelError, TableModel  # noqa: PLC0415
    from ..tables.table import Table, TableError  # noqa: PLC0415

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
    from ..tables.table import TableError  # noqa: PLC0415

    if model.target.name not in table.columns:
        return
    try:
        print(model.score(table, predictions), file=sys.stderr)
    except TableError as error:
        warn(f"no score: {error}")
