"""What the commands do that ask about this machine: how fast the rules run on it, and what runs."""

import argparse

from ..engine.config import show_config
from ..engine.threads import get_num_threads, set_num_threads
from ..files import check_destination
from .errors import SUCCESS, USAGE, CommandError
from .options import OPTIMIZERS

HEADER = ("rule", "elements", "ns/element", "GB/s", "of limit", "x NumPy")


def info(_args: argparse.Namespace) -> int:
    """Say which kernels and how many threads run here, and why."""
    show_config()
    return SUCCESS


def bench(args: argparse.Namespace) -> int:
    """Measure the rules on this machine."""
    from . import roofline  # noqa: PLC0415

    if args.plot is not None:
        check_plot(args.plot)
    if args.threads is not None:
        set_num_threads(args.threads)
    show_config()
    print(f"\n{args.dtype}, at most {get_num_threads()} threads; medians of {roofline.ROUNDS} rounds")
    print(
        "of limit: a loop that reads and writes the same and computes next to nothing takes this part of the time"
    )
    print("x NumPy: the rule in plain NumPy, on one thread, takes this many times as long\n")
    print(f"{HEADER[0]:<9}" + "".join(f"{name:>12}" for name in HEADER[1:]), flush=True)
    points = []
    for point in roofline.measure(args.optimizer or OPTIMIZERS, args.sizes, args.dtype):
        points.append(point)
        print(
            f"{point.rule:<9}{point.elements:>12,}{point.ns:>12.3f}{point.bandwidth:>12.1f}"
            f"{point.limit_ns / point.ns:>12.2f}{point.numpy_ns / point.ns:>12.1f}",
            flush=True,
        )
    if args.plot is not None:
        from ..plots import roofline as draw  # noqa: PLC0415

        draw(points, roofline.caches(), args.plot)
        print(f"\nsaved {args.plot}")
    return SUCCESS


def check_plot(path: str) -> None:
    """Refuse a ``--plot`` that nothing can be drawn to, before the work."""
    check_destination(path)
    from ..plots import check_format  # noqa: PLC0415

    try:
        check_format(path, "--plot")
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
