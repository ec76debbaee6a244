"""Finds the compiled modules that are one file: each of its own would take room in a wheel, and time to load.

What has loops over arrays for one level of CPU is beside it, as ``engine/variants.py`` chooses among those.
"""

import sys
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from typing import Final

MODULES: Final = {
    f"gdcore.{folder}._{name}"
    for folder, names in {
        "engine": "cpu pool coefficients plan norm rows halves stages update engine exported lent",
        "derivatives": "scalars tape products back traced gate usual layers ends",
        "derivatives.nets": "door",
    }.items()
    for name in names.split()
}
"""What is in the file; ``setup.py`` builds what is listed here."""


class Together:
    """A finder, as those in ``sys.meta_path``."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how a module in the file is loaded, and None for any other."""
        if name not in MODULES:
            return None
        file = str(
            import_module("gdcore._cython").__file__
        )  # it is named after Cython's own part, which each needs
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))


if __package__:  # not where setup.py reads the list; first of all, as an older build may have left files of modules
    sys.meta_path.insert(0, Together)
