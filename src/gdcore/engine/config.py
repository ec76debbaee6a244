"""What runs here, and why."""

import platform

import numpy as np

from .._version import __version__
from . import _plan, threads, variants


def show_config() -> None:
    """Print which kernels run here and why, with the versions that a report of a problem needs.

    >>> import gdcore as gd
    >>> gd.show_config()  # doctest: +ELLIPSIS
    gdcore ...
    """
    print(f"gdcore {__version__}, NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"threads: {threads.get_num_threads()} for a large step")
    print("kernels:")
    for name, fate in variants.fates():
        print(f"  {name:<13} {fate}")
    if len(variants.tables) > 1:
        wide = [f"{rule} {dtype}" for rule, dtype in _plan.wide_kernels()]
        print(f"  vectors of 512 bits, where they are measured to be faster: {', '.join(wide) or 'nowhere'}")
