"""What the commands do: train a linear model on a table, run the worked example, predict."""

import argparse
import csv
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .files import check_destination, replacing
from .history import History, Record
from .optimizers import SGD, Adam, Momentum, Optimizer, RMSProp
from .training import fit

if TYPE_CHECKING:
    from .linear_model import LinearModel, Scaling
    from .tables import Table

Floats = NDArray[np.float64]

SUCCESS: Final = 0
FAILED: Final = 1
USAGE: Final = 2

OPTIMIZERS: Final[dict[str, tuple[Callable[..., Optimizer], float]]] = {
    "sgd": (SGD, 0.01),
    "momentum": (Momentum, 0.01),
    "rmsprop": (RMSProp, 0.002),
    "adam": (Adam, 0.002),
}
"""Each with the learning rate that it has by default, for standardised columns and batches of 64."""

DEFAULTS: Final[dict[str, Any]] = {
    "features": None,
    "optimizer": "adam",
    "lr": None,
    "epochs": None,
    "batch_size": 64,
    "weight_decay": 0.0,
    "l2": 0.0,
    "validation": 0.2,
    "seed": 0,
    "output": None,
}

HOPELESS: Final = 2.0
"""A run that ends this many times worse than predicting the mean counts as diverged."""

UNFINISHED: Final = 0.99
"""A run whose last tenth of epochs brings the RMSE below this part of what it was is not at its end."""

UNSTEADY: Final = 1.01
"""A run whose last RMSE is this many times its best one wanders about the optimum."""

LEAST_STEPS: Final = 2000
LEAST_EPOCHS: Final = 20
"""What a run takes by default: small tables need many epochs, as they give few steps in each."""


class CommandError(Exception):
    """What ends a command with one line on stderr, and the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def _warn(message: str) -> None:
    print(f"gdcore: warning: {message}", file=sys.stderr)


def train(args: argparse.Namespace) -> int:
    """Fit a linear model to a table; without a table, run the worked example."""
    given = {name: value for name, value in vars(args).items() if name != "command"}
    if "data" not in given:
        return _train_worked_example(given)
    if "target" not in given:
        raise CommandError("--target: expected the column to predict (see gdcore train --help)", USAGE)
    options = argparse.Namespace(**{**DEFAULTS, **given})
    if options.lr is None:
        options.lr = OPTIMIZERS[options.optimizer][1]
    _check_options(options)
    from .tables import Table, TableError  # noqa: PLC0415

    try:
        table = Table(options.data)
        features = _features(options, table)
        hint = "" if options.features else "; choose among the columns with --features"
        numbers = table.numbers((*features, options.target), dict.fromkeys(features, hint))
    except TableError as error:
        raise CommandError(str(error)) from error
    _train_on(numbers, features, options)
    return SUCCESS


def _train_worked_example(given: dict[str, Any]) -> int:
    from . import worked_example  # noqa: PLC0415

    epochs = given.pop("epochs", worked_example.EPOCHS)
    if given:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise CommandError(f"{flag}: expected a file DATA.csv with it (see gdcore train --help)", USAGE)
    print(worked_example.report(epochs))
    return SUCCESS


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what can be refused before the table is read."""
    try:
        make_optimizer(options, (np.zeros(1), np.zeros(1)))
    except (TypeError, ValueError) as error:
        name, _, said = str(error).partition(":")
        flag = f"--{name.replace('_', '-')}" if name in DEFAULTS else name
        raise CommandError(f"{flag}:{said}", USAGE) from error
    if options.output is not None:
        _check_output(options.output, options.data)


def _check_output(output: str, *inputs: str) -> None:
    check_destination(output)
    for path in inputs:
        if Path(output).exists() and Path(path).exists() and Path(output).samefile(path):
            raise CommandError(f"--output: expected another file than {path!r}, which is read", USAGE)


def make_optimizer(options: argparse.Namespace, params: tuple[Floats, Floats]) -> Optimizer:
    """Return the optimizer that ``options`` ask for; it regularises the weights, not the bias."""
    w, b = params
    groups = [{"params": w}, {"params": b, "weight_decay": 0.0, "l2": 0.0}]
    kind, _ = OPTIMIZERS[options.optimizer]
    return kind(groups, lr=options.lr, weight_decay=options.weight_decay, l2=options.l2)


def _features(options: argparse.Namespace, table: "Table") -> tuple[str, ...]:
    table.require([options.target])
    if options.features is None:
        features = tuple(name for name in table.columns if name != options.target)
        if not features:
            raise CommandError(f"{options.data}: expected columns beside the target, got {options.target!r} alone")
        return features
    features = tuple(name.strip() for name in next(csv.reader([options.features]), []))
    if not features:
        raise CommandError("--features: expected at least one column, got none", USAGE)
    if options.target in features:
        raise CommandError(f"--features: expected columns beside the target, got {options.target!r}", USAGE)
    if len(set(features)) < len(features):
        twice = next(name for name in features if features.count(name) > 1)
        raise CommandError(f"--features: expected each column once, got {twice!r} again", USAGE)
    table.require(features)
    return features


def _train_on(numbers: Floats, features: tuple[str, ...], options: argparse.Namespace) -> None:
    from .linear_model import LinearModel, Scaling  # noqa: PLC0415

    rng = np.random.default_rng(options.seed)
    trained, held = _split(numbers, options, rng)
    try:
        scaling = Scaling.of(trained)
    except ValueError as error:
        raise CommandError(f"{options.data}: {error}") from error
    _check_constant(scaling, (*features, options.target))
    params = (np.zeros(len(features)), np.zeros(1))
    z, z_held = scaling.standardised(trained), scaling.standardised(held)
    history, alone = _descend(params, z, z_held, float(scaling.scale[-1]), options, rng)
    try:
        model = LinearModel.unscaled(params, scaling, features, options.target)
    except OverflowError as error:
        raise CommandError(f"{options.data}: {error}") from error
    if options.output is not None:
        model.save(options.output)
    _warn_of_outcome(history, alone)
    print(f"\n{_summary(history, len(z), options)}")


def _descend(
    params: tuple[Floats, Floats],
    z: Floats,
    z_held: Floats,
    unit: float,
    options: argparse.Namespace,
    rng: np.random.Generator,
) -> tuple[History, float]:
    """Train ``params`` on the standardised rows ``z``; the last column is the target, in multiples of ``unit``.

    Return the history, and the RMSE of predicting the mean alone.
    """
    from .linear_model import mean_squared_error, rmse  # noqa: PLC0415

    def error_of(rows: Floats) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return unit * rmse(rows[:, :-1] @ params[0] + params[1], rows[:, -1])

    alone = error_of(z)
    batches = -(-len(z) // options.batch_size)
    epochs = options.epochs or max(LEAST_EPOCHS, -(-LEAST_STEPS // batches))
    print(
        f"{options.data}: {len(z)} rows to train on, {len(z_held)} held out; "
        f"{_count(len(params[0]), 'feature')}, target {options.target!r}\n"
        f"{options.optimizer}, lr {options.lr:g}: {_count(epochs, 'epoch')} of {_count(batches, 'step')}; "
        f"predicting the mean alone has RMSE {alone:.6g}\n\n"
        f"epoch      train RMSE  validation RMSE",
        flush=True,
    )
    with _progress(epochs * batches) as (count, write):

        def value_and_grad(params: Any, x: Floats, y: Floats) -> tuple[Any, Any]:
            count()
            return mean_squared_error(params, x, y)

        def look(record: Record, _: Any) -> None:
            record["rmse"] = error_of(z)
            record["validation"] = error_of(z_held) if len(z_held) else None
            validation = "-" if record["validation"] is None else f"{record['validation']:.6g}"
            write(f"{record['epoch']:>5}  {record['rmse']:>14.6g}  {validation:>15}")

        # Copied, so that gathering a batch reads whole rows of features and nothing beside them.
        data = (np.ascontiguousarray(z[:, :-1]), np.ascontiguousarray(z[:, -1]))
        optimizer = make_optimizer(options, params)
        try:
            history = fit(
                value_and_grad,
                params,
                data,
                optimizer,
                epochs=epochs,
                batch_size=options.batch_size,
                rng=rng,
                callback=look,
            )
        except FloatingPointError as error:
            raise CommandError(f"the run diverged: {error} than {options.lr:g}") from error
    last = history.records[-1]["rmse"]
    if not last <= HOPELESS * alone:
        raise CommandError(
            f"the run diverged: RMSE {last:.6g} after the last epoch, where predicting the mean alone has "
            f"{alone:.6g}; try a smaller lr than {options.lr:g}"
        )
    return history, alone


def _warn_of_outcome(history: History, alone: float) -> None:
    errors = history.to_dict()["rmse"]
    last, before = errors[-1], errors[-1 - len(errors) // 10]
    if last >= alone > 0:
        _warn(f"the model is no better than predicting the mean alone, which has RMSE {alone:.6g}")
    elif last < UNFINISHED * before:
        _warn(
            f"the train RMSE still fell by {100 * (1 - last / before):.2g} % in the last tenth of the epochs; "
            f"try more --epochs or a larger --lr"
        )
    elif last > UNSTEADY * min(errors):
        _warn(
            f"the train RMSE ends {100 * (last / min(errors) - 1):.2g} % above its best, {min(errors):.6g}; "
            f"try a smaller --lr or a larger --batch-size"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _split(numbers: Floats, options: argparse.Namespace, rng: np.random.Generator) -> tuple[Floats, Floats]:
    rows = len(numbers)
    if rows < 2:
        raise CommandError(f"{options.data}: expected at least 2 rows below the header, got {rows}")
    held = round(options.validation * rows)
    if rows - held < 2:
        raise CommandError(
            f"--validation: expected a part that leaves at least 2 of {rows} rows to train on, "
            f"got {options.validation:g}"
        )
    if options.validation and not held:
        _warn(f"no row is held out: {options.validation:g} of {rows} rows is less than one")
    order = rng.permutation(rows)
    return numbers[order[held:]], numbers[order[:held]]


def _check_constant(scaling: "Scaling", names: tuple[str, ...]) -> None:
    *features, target = scaling.constant
    constant = [name for name, is_constant in zip(names, features, strict=False) if is_constant]
    if len(constant) == len(features):
        raise CommandError("no usable feature: every one has the same value in all rows to train on")
    if constant:
        _warn(f"constant in the rows to train on, so given weight 0: {', '.join(map(repr, constant))}")
    if target:
        _warn(f"the target {names[-1]!r} is constant in the rows to train on")


def _summary(history: History, rows: int, options: argparse.Namespace) -> str:
    records = history.records
    measure, name = (
        ("validation", "validation RMSE") if records[-1]["validation"] is not None else ("rmse", "train RMSE")
    )
    best = min(records, key=lambda record: float(record[measure]))
    seconds = sum(record["seconds"] for record in records)
    speed = rows * len(records) / max(seconds, 1e-9)
    saved = "not saved (no --output)" if options.output is None else f"saved to {options.output}"
    return (
        f"{name} {records[-1][measure]:.6g} (best {best[measure]:.6g}, epoch {best['epoch']}); "
        f"{_count(len(records), 'epoch')} in {seconds:.3g} s, {speed:.3g} samples/s; "
        f"model {saved}"
    )


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[], object], Callable[[str], object]]]:
    """Give two functions: one counts a step, one writes a line to stdout. On a terminal there is a bar of steps."""
    if not sys.stderr.isatty():
        yield lambda: None, lambda line: print(line, flush=True)
        return
    try:
        from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("the progress bar needs tqdm: pip install 'gdcore[cli]'") from error
    # A terminal that does not know its size says 0 by 0, and tqdm would draw a bar of that size.
    sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    columns, lines = (None, None) if sized else (80, 24)
    with tqdm(total=total, unit="step", dynamic_ncols=sized, ncols=columns, nrows=lines, leave=False) as bar:

        def write(line: str) -> None:
            bar.write(line, file=sys.stdout)
            sys.stdout.flush()

        yield bar.update, write


def predict(args: argparse.Namespace) -> int:
    """Predict a line for each row of a table."""
    from .linear_model import LinearModel, ModelError  # noqa: PLC0415
    from .tables import Table, TableError  # noqa: PLC0415

    if args.output is not None:
        _check_output(args.output, args.model, args.data)
    try:
        model = LinearModel.load(args.model)
        table = Table(args.data)
        predictions = model.predict(table.numbers(model.features))
    except (ModelError, TableError) as error:
        raise CommandError(str(error)) from error
    if not len(table):
        raise CommandError(f"{args.data}: expected at least 1 row below the header, got 0")
    overflown = int((~np.isfinite(predictions)).sum())
    if overflown:
        raise CommandError(
            f"{args.data}: expected values of the size trained on, got {overflown} infinite predictions"
        )
    content = _predictions_as_csv(model.target, predictions)
    if args.output is None:
        sys.stdout.write(content)
        sys.stdout.flush()
    else:
        with replacing(args.output) as file:
            file.write(content.encode())
    _say_rmse(model, table, predictions)
    return SUCCESS


def _predictions_as_csv(target: str, predictions: Floats) -> str:
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow([target])
    return header.getvalue() + "".join(f"{value!r}\n" for value in predictions.tolist())


def _say_rmse(model: "LinearModel", table: "Table", predictions: Floats) -> None:
    from .linear_model import rmse  # noqa: PLC0415
    from .tables import TableError  # noqa: PLC0415

    if model.target not in table.columns:
        return
    try:
        targets = table.numbers([model.target])[:, 0]
    except TableError as error:
        _warn(f"no RMSE: {error}")
    else:
        print(f"RMSE {rmse(predictions, targets):.6g} over {len(table)} rows", file=sys.stderr)
