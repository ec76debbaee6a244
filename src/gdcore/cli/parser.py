"""The command line: its arguments, its exit statuses, and the one line that each error is."""

import argparse
import io
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from .. import __version__
from ..distributed import LAST_WORDS, PATIENCE, TOLD, RankError, end_job, is_first
from ..models import OPTIMIZERS
from .bench import bench, info
from .errors import FAILED, INTERRUPTED, SUCCESS, USAGE, CommandError
from .options import LEAST_EPOCHS, LEAST_STEPS, MISSING, SCHEDULES, TASKS
from .paths import VALLEYS, paths
from .predict import predict
from .train import train

MOST_ELEMENTS: Final = 10_000_000_000
MOST_UNITS: Final = 1_000_000
MOST_STEPS: Final = 1_000_000

EXIT_STATUSES: Final = """\
exit status:
    0  success
    1  failed: a file cannot be read or written, its data cannot be used, the run diverged
    2  the command line is wrong
  130  interrupted by Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default that of the process, and return its exit status.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    gdcore ...
    0
    """
    _open_streams()
    try:
        status = _run(argv)
        sys.stdout.flush()
    except CommandError as error:
        return _fail(error, str(error), error.status)
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has seen enough. What is left must not fail again when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(error, f"{place}{error.strerror or error}")
    except UnicodeEncodeError as error:
        not_taken = error.object[error.start : error.end]
        return _fail(error, f"the output takes {error.encoding} alone, not {not_taken!a}")
    except (ImportError, MemoryError, RankError) as error:
        return _fail(error, str(error) or "out of memory")
    return status


def _open_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the process
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  # for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")  # the name of a file goes out as it came in


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else SUCCESS
    command: Callable[[argparse.Namespace], int] = args.command
    return command(args)


def _fail(error: BaseException, message: str, status: int = FAILED) -> int:
    known = isinstance(error, CommandError | KeyboardInterrupt | RankError) or TOLD in getattr(
        error, "__notes__", ()
    )
    if known and not is_first():
        time.sleep(LAST_WORDS)
        end_job(status, PATIENCE)
    else:
        print(f"gdcore: {'' if status == INTERRUPTED else 'error: '}{message}", file=sys.stderr, flush=True)
        end_job(status)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see {self.prog} --help)", USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gdcore",
        description="Gradient descent on tables.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gdcore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(commands)
    _add_predict(commands)
    _add_paths(commands)
    _add_bench(commands)
    _add_info(commands)
    return parser


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="fit a model to a table, or run the worked example",
        description="Fit a model to a CSV or Parquet file by mini-batch gradient descent: linear regression, or\n"
        "logistic or softmax regression where the target is text, or a net with --hidden.\n"
        "Numbers are standardised for the run, texts one-hot encoded; RMSEs and predictions are in the\n"
        "table's own units. Ctrl-C ends the run and keeps what was learned. Without a file, run the worked\n"
        "example y = 2x + 30 with all optimizers.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    _add_table_options(parser.add_argument_group("the table"))
    _add_model_options(parser.add_argument_group("the model"))
    _add_run_options(parser.add_argument_group("the run"))
    _add_file_options(parser.add_argument_group("what is kept and shown"))
    parser.set_defaults(command=train)


def _add_table_options(group: Any) -> None:
    group.add_argument("data", nargs="?", metavar="DATA", help="CSV with a header line, or Parquet")
    group.add_argument(
        "--target", type=str.strip, metavar="COLUMN", help="the column to predict (needed with a file)"
    )
    group.add_argument(
        "--features", metavar="A,B,...", help='the columns to predict from, as in "a,b" (default: all others)'
    )
    group.add_argument(
        "--categorical",
        metavar="A,B,...",
        help="columns of numbers that are kinds, one-hot encoded as texts are",
    )
    group.add_argument(
        "--missing",
        choices=MISSING,
        help="what a missing value is: an error, a reason to drop its row, or to be filled in, a number with the "
        "column's mean and a text with none of the known ones (default: error)",
    )
    group.add_argument(
        "--validation",
        type=_fraction,
        metavar="PART",
        help="part of the rows held out, in [0, 1) (default: 0.2)",
    )
    group.add_argument(
        "--seed",
        type=_int_from(0),
        metavar="N",
        help="of the held-out rows, the order of the others and the first weights (default: 0)",
    )


def _add_model_options(group: Any) -> None:
    group.add_argument(
        "--task", choices=TASKS, help="default: regression for a target of numbers, classification for texts"
    )
    group.add_argument(
        "--hidden",
        type=_layers,
        metavar="N,N,...",
        help="units of the hidden layers, as in 64,32 (default: none, a linear model)",
    )
    group.add_argument(
        "--activation", choices=("relu", "tanh", "sigmoid"), help="of the hidden layers (default: relu)"
    )


def _add_run_options(group: Any) -> None:
    rates = ", ".join(f"{name} {lr:g}" for name, (_, lr) in OPTIMIZERS.items())
    schedules = "; ".join(f"{name}: {said}" for name, (_, said) in SCHEDULES.items())
    group.add_argument("--optimizer", choices=OPTIMIZERS, help="default: adam")
    group.add_argument("--lr", type=float, metavar="RATE", help=f"learning rate (default: {rates})")
    group.add_argument(
        "--schedule", choices=SCHEDULES, help=f"how the learning rate goes: {schedules} (default: constant)"
    )
    group.add_argument(
        "--epochs",
        type=_int_from(1),
        metavar="N",
        help=f"passes over the data (default: what makes {LEAST_STEPS} steps, and at least {LEAST_EPOCHS}; "
        f"worked example: 50)",
    )
    group.add_argument("--batch-size", type=_int_from(1), metavar="N", help="rows a step (default: 64)")
    group.add_argument(
        "--weight-decay",
        type=float,
        metavar="RATE",
        help="decoupled decay of weights, not of biases (default: 0)",
    )
    group.add_argument(
        "--l2",
        type=float,
        metavar="FACTOR",
        help="penalty l2/2 ||w||^2 on the same weights, added to the loss (default: 0)",
    )
    group.add_argument(
        "--clip", type=_positive, metavar="NORM", help="largest global norm of a step's gradients (default: none)"
    )
    group.add_argument(
        "--patience",
        type=_int_from(1),
        metavar="N",
        help="stop after N epochs that are no better on the held-out rows, and keep the best weights "
        "(default: go on)",
    )


def _add_file_options(group: Any) -> None:
    group.add_argument("--output", metavar="MODEL", help="where to save the model: *.npz or *.safetensors")
    group.add_argument("--plot", metavar="FILE", help="draw the curves of the run, as *.png, *.pdf or *.svg")
    group.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="save all of the run there as it goes, as *.npz or *.safetensors, so that it can be resumed",
    )
    group.add_argument(
        "--checkpoint-every", type=_seconds, metavar="SECONDS", help="how often; 0 is after each step (default: 10)"
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on from --checkpoint if it is there: the same command with --resume ends with the bits of a run "
        "without a break",
    )
    group.add_argument(
        "--log-every", type=_int_from(1), metavar="N", help="show each Nth epoch (default: some 50 of them)"
    )


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser(
        "predict",
        help="use a saved model",
        description="Predict a line for each row of a CSV or Parquet file, below a header with the name of the\n"
        "target. If the file has the target too, say the RMSE or the accuracy on stderr.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="what gdcore train saved")
    parser.add_argument("data", metavar="DATA", help="CSV with a header line, or Parquet")
    parser.add_argument("--output", metavar="FILE.csv", help="where to write (default: standard output)")
    parser.add_argument(
        "--probabilities", action="store_true", help="give the probability of each class in a column of its own"
    )
    parser.set_defaults(command=predict)


def _add_bench(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the update rules on this machine",
        description="Time each update rule beside the limit, a loop that reads and writes the same and computes\n"
        "next to nothing, and beside the rule in plain NumPy. Medians of one run; rule and limit take turns.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, action="append", help="may be repeated (default: all)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="default: float32")
    parser.add_argument(
        "--sizes",
        type=_sizes,
        metavar="N,N,...",
        default=(100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
        help="elements of the array, as in 1000,1e6 (default: 100 to 1e7 by tens)",
    )
    parser.add_argument("--threads", type=_int_from(1), metavar="N", help="default: as in gdcore info")
    parser.add_argument("--plot", metavar="FILE", help="draw throughput against size (png, pdf, svg)")
    parser.set_defaults(command=bench)


def _add_paths(commands: Any) -> None:
    parser = commands.add_parser(
        "paths",
        help="walk the optimizers down two valleys, and draw their paths",
        description="Walk SGD, Momentum, RMSProp and Adam down a ravine and Rosenbrock's valley, say where each\n"
        "came to, and draw the paths with the distance that each step went below.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default_steps = ", ".join(f"{name} {valley.steps}" for name, valley in VALLEYS.items())
    parser.add_argument("--valley", choices=(*VALLEYS, "both"), default="both", help="default: both")
    parser.add_argument("--steps", type=_int_from(1, MOST_STEPS), metavar="N", help=f"default: {default_steps}")
    parser.add_argument("--plot", metavar="FILE", help="where to draw the paths (png, pdf, svg)")
    parser.set_defaults(command=paths)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="say which kernels and how many threads run here, and why",
        description="Say which kernels and how many threads run here, and why, with the versions that a\n"
        "report of a problem needs.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=info)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(1 <= number <= MOST_ELEMENTS and number == int(number) for number in numbers):
        raise argparse.ArgumentTypeError(f"expected integers from 1 to {MOST_ELEMENTS:g}, got {text!r}")
    return tuple(map(int, numbers))


def _int_from(least: int, most: float = math.inf) -> Callable[[str], int]:
    expected = f">= {least}" if most == math.inf else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected an integer {expected}, got {text!r}")
        return number

    return parse


def _fraction(text: str) -> float:
    return _number(text, "a number in [0, 1)", lambda number: 0 <= number < 1)


def _layers(text: str) -> tuple[int, ...]:
    return tuple(map(_int_from(1, MOST_UNITS), text.split(",")))


def _positive(text: str) -> float:
    return _number(text, "a finite number > 0", lambda number: 0 < number < math.inf)


def _seconds(text: str) -> float:
    return _number(text, "a number of seconds >= 0", lambda number: 0 <= number < math.inf)


def _number(text: str, expected: str, holds: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not holds(number):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return number
