"""The reference: a page for every public name, made from what gdcore exports. Nothing is listed by hand."""

import contextlib
import importlib
import inspect
import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from textwrap import indent
from types import FunctionType

import gdcore as gd
from gdcore.cli.parser import COMMANDS, main

METHODS = (FunctionType, property, cached_property, classmethod, staticmethod)


def groups() -> dict[str, list[str]]:
    """Return the names of gdcore itself by what they are for, as its source has them."""
    found = {"optimizers": gd._optimizers, **{folder: names.split() for folder, names in gd._NAMES.items()}}
    found["models"] = [name for name, folder in gd._LATE.items() if folder == "models"]
    listed = {name for names in found.values() for name in names}
    found["engine"] = [name for name in gd.__all__ if name not in listed and name not in gd._MODULES]
    return found


def modules() -> dict[str, list[str]]:
    """Return the names of each public module below gdcore, and of those below these."""
    found, waiting = {}, [f"gdcore.{name}" for name in gd._MODULES]
    while waiting:
        address = waiting.pop(0)
        module = importlib.import_module(address)
        exported = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", None) == address and callable(thing)
        ]
        found[address] = [name for name in exported if not inspect.ismodule(getattr(module, name))]
        waiting += [f"{address}.{name}" for name in exported if name not in found[address]]
    return found


def page(module: str, name: str) -> str:
    """Return the page of one name."""
    thing = getattr(importlib.import_module(module), name)
    text = f"{titled(name)}.. currentmodule:: {module}\n\n"
    if inspect.isclass(thing):
        members = ", ".join(methods(thing))
        return f"{text}.. autoclass:: {module}.{name}\n" + (f"   :members: {members}\n" if members else "")
    if isinstance(thing, Mapping):
        return f"{text}.. py:data:: {name}\n\n   A mapping of {', '.join(f'``{key!r}``' for key in thing)}.\n"
    text += f".. {'autofunction' if callable(thing) else 'autodata'}:: {module}.{name}\n"
    if module.startswith("gdcore.scipy."):
        scipy = module.removeprefix("gdcore.")
        theirs = getattr(importlib.import_module(scipy), name)
        text += f"\nSciPy's ``{scipy}.{name}``, for traced values too; :doc:`/scipy` says by what."
        if not inspect.isroutine(thing):
            both = [name for name in dir(thing) if name[0] != "_" and callable(getattr(theirs, name, None))]
            text += f" Of its methods: {', '.join(f'``{name}``' for name in both)}."
        text += "\n"
    return text


def methods(kind: type) -> list[str]:
    """Return what a class has of gdcore itself: what it takes over from elsewhere is described there."""
    found = {}
    for base in kind.__mro__:
        if base.__module__.split(".")[0] == "gdcore":
            found |= {
                name: None for name, thing in vars(base).items() if name[0] != "_" and isinstance(thing, METHODS)
            }
    return [name for name in found if inspect.getdoc(getattr(kind, name))]


def titled(title: str, line: str = "=") -> str:
    """Return a title as reStructuredText has it."""
    return f"{title}\n{line * len(title)}\n\n"


def listing(module: str, names: list[str]) -> str:
    """Return a table of names with the first line of each, and the pages below."""
    owner = importlib.import_module(module)
    rows = "".join(f"   {name}\n" for name in names if not isinstance(getattr(owner, name), Mapping))
    pages = "".join(f"   {module}.{name}\n" for name in names)
    table = f".. currentmodule:: {module}\n\n.. autosummary::\n   :nosignatures:\n\n{rows}"
    return f"{table}\n.. toctree::\n   :hidden:\n\n{pages}\n"


def pages() -> dict[str, str]:
    """Return all pages by their file's name."""
    top = titled("Reference") + "Every public name. With ``import gdcore as gd``, gdcore.Adam is ``gd.Adam``.\n\n"
    made = {}
    for folder, names in groups().items():
        top += titled(folder.capitalize(), "-") + listing("gdcore", names)
        made |= {f"gdcore.{name}.rst": page("gdcore", name) for name in names}
    top += titled("Modules", "-") + ".. toctree::\n   :maxdepth: 1\n\n"
    for module, names in modules().items():
        top += f"   {module}\n"
        made[f"{module}.rst"] = f"{titled(module)}.. automodule:: {module}\n   :no-members:\n\n" + (
            listing(module, names) if names else ""
        )
        made |= {f"{module}.{name}.rst": page(module, name) for name in names}
    top += "   command-line\n"
    made["command-line.rst"] = command_line()
    return made | {"index.rst": top}


def command_line() -> str:
    """Return the page of the commands, as they explain themselves."""
    text = titled("Command line")
    for name in COMMANDS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            main([name, "--help"])
        text += titled(f"gdcore {name}", "-") + f".. code-block:: text\n\n{indent(said.getvalue(), '   ')}\n"
    return text


def write(folder: Path) -> None:
    """Write the pages that are new or other than before, and remove those that are no longer."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for path in folder.iterdir():
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
