"""Which build of the kernels runs here, and why.

The kernels are compiled once for every x86-64 CPU and once more for newer ones (one build on other
architectures). All give the same bits. The best one that this CPU supports is chosen at import; the environment
variable ``GDCORE_ISA`` forces one, and a forced one that cannot run here is an ImportError.

For x86-64-v4 there are two builds, with vectors of 256 bits and of 512. Which is faster depends on the CPU and the
rule: ``_plan.pyx`` measures it at the first use of each.
"""

import os
import sys
from importlib.machinery import PathFinder
from typing import Any, Final, NamedTuple

from .._together import load
from ._cpu import x86_64_level

ENVIRONMENT: Final = "GDCORE_ISA"


class Variant(NamedTuple):
    """A build of the kernels: its name, its modules, which differ in their vectors, and its level of x86-64."""

    name: str
    modules: tuple[str, ...]
    level: int


VARIANTS: Final = (
    Variant("x86-64-v4", ("gdcore._kernels_v4", "gdcore._kernels_v4_512"), 4),
    Variant("x86-64-v4-512", ("gdcore._kernels_v4_512",), 4),
    Variant("x86-64-v4-256", ("gdcore._kernels_v4",), 4),
    Variant("x86-64-v3", ("gdcore._kernels_v3",), 3),
    Variant("baseline", ("gdcore._kernels",), 0),
)


def is_built(module: str) -> bool:
    """Return whether this build of gdcore has a module."""
    return PathFinder.find_spec(module, sys.modules["gdcore"].__path__) is not None


def obstacle(variant: Variant) -> str | None:
    """Return why a variant cannot run here, or None if it can."""
    if not is_built(variant.modules[0]):
        return "not built for this architecture"
    if x86_64_level() < variant.level:
        return "this CPU lacks its instructions"
    return None


def choose(forced: str | None) -> Variant:
    """Return the variant to run: the forced one, or the best that can."""
    able = [variant for variant in VARIANTS if obstacle(variant) is None]
    able = able or [VARIANTS[-1]]  # whose module says, as it is loaded, what is wrong
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
    """Return the table of the kernels of a module that is compiled for the same levels of CPU."""
    level = f"_v{chosen.level}" if chosen.level else ""
    return load(module + level).table


tables: list[Any] = [load(name).table for name in chosen.modules if name == chosen.modules[0] or is_built(name)]
"""The tables of the rules' kernels, one for each width of vectors."""


def fates() -> list[tuple[str, str]]:
    """Return each variant's name and what becomes of it here."""
    why = f"in use: forced by {ENVIRONMENT}" if forced else "in use: the best that can run here"
    return [
        (variant.name, why if variant is chosen else obstacle(variant) or "can run here") for variant in VARIANTS
    ]
