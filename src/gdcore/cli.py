"""The command line: its arguments, its exit statuses, and the one line that each error is."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from . import __version__
from .commands import FAILED, LEAST_EPOCHS, LEAST_STEPS, OPTIMIZERS, SUCCESS, USAGE, CommandError, predict, train
from .machine import bench, info
from .paths import VALLEYS, paths

INTERRUPTED: Final = 130

MOST_ELEMENTS: Final = 10_000_000_000

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
    try:
        status = _run(argv)
        sys.stdout.flush()
    except CommandError as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has seen enough. What is left must not fail again when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}")
    except UnicodeEncodeError as error:
        return _fail(f"the output takes {error.encoding} alone, not {error.object[error.start : error.end]!a}")
    except (ImportError, MemoryError) as error:
        return _fail(str(error) or "out of memory")
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else SUCCESS
    command: Callable[[argparse.Namespace], int] = args.command
    return command(args)


def _fail(message: str, status: int = FAILED) -> int:
    print(f"gdcore: {'' if status == INTERRUPTED else 'error: '}{message}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"gdcore: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gdcore",
        description="Gradient descent on tables of numbers.",
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
        help="fit a linear model to a CSV file, or run the worked example",
        description="Fit a linear model to a CSV file by mini-batch gradient descent on the squared error.\n"
        "Features and target are standardised for the run; RMSEs and the saved model are in the\n"
        "table's own units. Without a file, run the worked example y = 2x + 30 with all optimizers.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    rates = ", ".join(f"{name} {lr:g}" for name, (_, lr) in OPTIMIZERS.items())
    parser.add_argument("data", nargs="?", metavar="DATA.csv", help="comma-separated values with a header line")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict (needed with a file)")
    parser.add_argument(
        "--features", metavar="A,B,...", help='the columns to predict from, as in "a,b" (default: all others)'
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help="default: adam")
    parser.add_argument("--lr", type=float, metavar="RATE", help=f"learning rate (default: {rates})")
    parser.add_argument(
        "--epochs",
        type=_int_from(1),
        metavar="N",
        help=f"passes over the data (default: what makes {LEAST_STEPS} steps, and at least {LEAST_EPOCHS}; "
        f"worked example: 50)",
    )
    parser.add_argument("--batch-size", type=_int_from(1), metavar="N", help="rows a step (default: 64)")
    parser.add_argument(
        "--weight-decay",
        type=float,
        metavar="RATE",
        help="decoupled decay of the weights of the standardised features, not of the bias (default: 0)",
    )
    parser.add_argument(
        "--l2",
        type=float,
        metavar="FACTOR",
        help="penalty l2/2 ||w||^2 on the same weights, added to the mean squared error of the standardised "
        "target (default: 0)",
    )
    parser.add_argument(
        "--validation",
        type=_fraction,
        metavar="PART",
        help="part of the rows held out, in [0, 1) (default: 0.2)",
    )
    parser.add_argument(
        "--seed",
        type=_int_from(0),
        metavar="N",
        help="of the held-out rows and the order of the others (default: 0)",
    )
    parser.add_argument("--output", metavar="MODEL.npz", help="where to save the model (default: nowhere)")
    parser.set_defaults(command=train)


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser(
        "predict",
        help="use a saved model",
        description="Predict a line for each row of a CSV file, below a header with the name of the target.\n"
        "If the file has the target too, say the RMSE on stderr.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL.npz", help="what gdcore train saved")
    parser.add_argument("data", metavar="DATA.csv", help="comma-separated values with a header line")
    parser.add_argument("--output", metavar="FILE.csv", help="where to write (default: standard output)")
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
    parser.add_argument("--steps", type=_int_from(1), metavar="N", help=f"default: {default_steps}")
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


def _int_from(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"expected an integer >= {least}, got {text!r}")
        return number

    return parse


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a number in [0, 1), got {text!r}")
    return number
