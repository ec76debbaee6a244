"""Which build of the kernels runs here, and why.

The kernels are compiled once for every x86-64 CPU and once more for newer ones (one build on other
architectures). All give the same bits. The best one that this CPU supports is chosen at import; the environment
variable ``GDCORE_ISA`` forces one, and a forced one that cannot run here is an ImportError.
"""

import os
import platform
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any, Final, NamedTuple

import numpy as np

from .._version import __version__
from . import threads
from ._cpu import x86_64_level

ENVIRONMENT: Final = "GDCORE_ISA"


class Variant(NamedTuple):
    """One build of the kernels: its name, its module, and the level of x86-64 that it needs."""

    name: str
    module: str
    level: int


VARIANTS: Final = (
    Variant("x86-64-v4", "gdcore._kernels_v4", 4),
    Variant("x86-64-v3", "gdcore._kernels_v3", 3),
    Variant("baseline", "gdcore._kernels", 0),
)


def obstacle(variant: Variant) -> str | None:
    """Return why a variant cannot run here, or None if it can."""
    if PathFinder.find_spec(variant.module, sys.modules["gdcore"].__path__) is None:
        return "not built for this architecture"
    if x86_64_level() < variant.level:
        return "this CPU lacks its instructions"
    return None


def choose(forced: str | None) -> Variant:
    """Return the variant to run: the forced one, or the best that can."""
    able = [variant for variant in VARIANTS if obstacle(variant) is None]
    if not forced:
        return able[0]
    for variant in able:
        if variant.name == forced:
            return variant
    raise ImportError(
        f"{ENVIRONMENT}: expected one of {', '.join(variant.name for variant in able)}, which this CPU and this "
        f"build of gdcore have, got {forced!r}"
    )


forced = os.environ.get(ENVIRONMENT)
chosen = choose(forced)


def kernels_of(module: str) -> Any:
    """Return the table of the kernels of a module that is compiled for the same CPUs."""
    built = chosen.module.replace(VARIANTS[-1].module, module)
    return import_module(built).table  # type: ignore[attr-defined, unused-ignore]


table: Any = kernels_of(VARIANTS[-1].module)


def fates() -> list[tuple[str, str]]:
    """Return each variant's name and what becomes of it here."""
    why = f"in use: forced by {ENVIRONMENT}" if forced else "in use: the best that can run here"
    return [
        (variant.name, why if variant is chosen else obstacle(variant) or "can run here") for variant in VARIANTS
    ]


def show_config() -> None:
    """Print which kernels run here and why, with the versions that a report of a problem needs.

    >>> import gdcore as gd
    >>> gd.show_config()  # doctest: +ELLIPSIS
    gdcore ...
    """
    print(f"gdcore {__version__}, NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"threads: {threads.get_num_threads()} for a large step")
    print("kernels:")
    for name, fate in fates():
        print(f"  {name:<10} {fate}")
