"""Finds the compiled modules that are one file: each of its own would take room in a wheel, and time to load.

What has loops over arrays for one level of CPU is beside it, as ``engine/variants.py`` chooses among those. Where
they cannot be loaded, ``load`` says what to do about it.
"""

import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, Final

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


def load(name: str) -> Any:
    """Import a compiled module that is a file of its own."""
    try:
        return import_module(name)
    except ImportError as error:
        *folders, file = name.split(".")
        folder = Path(__file__).parent.joinpath(*folders[1:])
        there = ", ".join(sorted(path.name for path in folder.glob(f"{file}.*[do]"))) or "nothing"  # .so, .pyd
        raise ImportError(
            f"gdcore: expected the module {file}{EXTENSION_SUFFIXES[0]} in {folder}, got {there} ({error}); "
            f"install it for this Python by: python -m pip install --force-reinstall gdcore, in a clone by: "
            f"python -m pip install . (what freezes a program has to keep it: PyInstaller by --collect-all gdcore)",
            name=name,
            path=error.path,
        ) from error


class Together:
    """A finder, as those in ``sys.meta_path``."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how a module in the file is loaded, and None for any other."""
        if name not in MODULES:
            return None
        file = str(load("gdcore._cython").__file__)  # it is named after Cython's own part, which each needs
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))


if __package__:  # not where setup.py reads the list
    if __package__ != "gdcore":
        raise ImportError(
            f"gdcore: expected its folder to be imported as gdcore, a name that its compiled modules hold, "
            f"got {__package__}; put what the folder is in on sys.path"
        )
    import numpy

    if int(numpy.__version__.partition(".")[0]) < 2:
        raise ImportError(
            f"gdcore: expected NumPy 2.0 or newer, got {numpy.__version__}; "
            f"install it by: python -m pip install 'numpy>=2.0'"
        )
    sys.meta_path.insert(0, Together)  # first of all, as an older build may have left files of modules
