"""The rule of the house, read from the source: what imports what, late imports and type checkers' included.

The top level of the package is gradient descent itself; each folder is one thing around it. A folder's ``__init__``
names what others may take from it; nothing imports upward; no circles.
"""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "gdcore"  # what is installed has no .pyx
BELOW = ("engine", "derivatives", "scipy", "checkpoints", "data")
FOLDERS = (*BELOW, "training", "models", "tables", "distributed", "cli")
"""From the bottom to the top: a folder takes from those before it."""

DOORS = {"__init__", "__main__"}
"""What of the top level is above all folders."""


def module_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


NAMED = {
    folder: {
        alias.asname or alias.name
        for node in ast.walk(ast.parse((SOURCE / folder / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for folder in FOLDERS
}
"""What each folder's ``__init__`` names."""

FILES = {path: module_of(path) for path in sorted(SOURCE.rglob("*.py*")) if path.suffix in {".py", ".pyx"}}
MODULES = set(FILES.values())
LINE = re.compile(r"^\s*from (\S+) c?import ([^#(\n]+)|^\s*c?import (gdcore\S*)", re.MULTILINE)


@cache
def imports(path):
    """Return what a file takes of gdcore: the module, as its parts, and the name; None for the module itself."""
    return tuple(_imports(path))


def _imports(path):
    folder = path.relative_to(SOURCE).parts[:-1]
    if path.suffix == ".pyx":
        found = [(m[1] or m[3], [n.split()[0] for n in (m[2] or "").split(",") if n.strip()]) for m in _lines(path)]
    else:
        nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]
        found = [
            ("." * node.level + (node.module or ""), [alias.name for alias in node.names])
            for node in nodes
            if isinstance(node, ast.ImportFrom)
        ]
        found += [(alias.name, []) for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for place, names in found:
        level = len(place) - len(place.lstrip("."))
        parts = tuple(part for part in place.lstrip(".").split(".") if part)
        if level:
            parts = (*folder[: len(folder) - level + 1], *parts)
        elif parts[:1] == ("gdcore",):
            parts = parts[1:]
        else:
            continue
        for name in names or [None]:
            inner = (*parts, name) in MODULES and not (parts != folder and name in NAMED.get(".".join(parts), ()))
            yield ((*parts, name), None) if inner else (parts, name)


def _lines(path):
    return LINE.finditer(path.read_text("utf-8"))


def folder_of(module):
    return module[0] if module and module[0] in FOLDERS else None


def test_the_folders_are_those_of_the_rule():
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} == set(FOLDERS)


def test_each_folder_begins_with_what_it_is():
    for folder in FOLDERS:
        said = ast.get_docstring(ast.parse((SOURCE / folder / "__init__.py").read_text("utf-8")))
        assert "Start reading at" in " ".join(said.split()), folder


def test_nothing_imports_upward():
    for path, module in FILES.items():
        own = folder_of(module)
        if own is None and module[0] in DOORS:
            continue
        below = FOLDERS[: FOLDERS.index(own)] if own else ("engine",)
        for target, name in imports(path):
            assert target or name is None or name in {"__version__"}, f"{path}: takes {name} from the door"
            folder = folder_of(target)
            assert folder in {None, own, *below}, f"{path}: takes {name} from {folder}"


def test_others_take_from_a_folder_what_its_init_names():
    for path, module in FILES.items():
        for target, name in imports(path):
            folder = folder_of(target)
            if folder is None or folder == folder_of(module):
                continue
            assert len(target) == 1, f"{path}: takes {name} from {'.'.join(target)}, past the door of {folder}"
            assert name in {None, "*", *NAMED[folder]}, f"{path}: takes {name}, which {folder} does not name"


def test_there_are_no_circles():
    """Neither of modules within a folder, nor of folders and modules of the top level."""
    within, between = {}, {}
    for path, module in FILES.items():
        if module[0] in DOORS or path.name == "__init__.py":
            continue
        own = folder_of(module) or module[0]
        for target, _ in imports(path):
            other = folder_of(target) or (target[0] if target else "__init__")
            if other != own:
                between.setdefault(own, set()).add(other)
            elif target != module and len(target) > 1:
                within.setdefault(module, set()).add(target)
    assert within
    TopologicalSorter(within).prepare()
    TopologicalSorter(between).prepare()


def test_what_all_use_imports_numpy_only():
    allowed = {
        "arguments": set(),
        "environment": set(),
        "trees": set(),
        "files": set(),
        "_kernels": {"_arithmetic", "_halves", "_table"},
    }
    allowed |= {
        "powers": set(),
        "corrections": {"environment", "powers"},
        "rules": {"arguments", "corrections"},
        "halves": {"arguments"},
        "reference": {"arguments", "halves", "powers", "rules"},
        "schedules": {"arguments", "powers"},
    }
    for name, others in allowed.items():
        path = next(path for path, module in FILES.items() if module == (name,))
        assert {target[0] for target, _ in imports(path)} <= others, name


def test_training_knows_no_rank_and_derivatives_no_optimizer():
    taken = {}
    for path, module in FILES.items():
        if folder_of(module):
            taken.setdefault(module[0], set()).update(target[0] for target, _ in imports(path) if target)
    # The engine knows which CPU the kernels of nets run on; of the rules it steps derivatives take nothing.
    # Gradients may be Rows.
    assert taken["derivatives"] <= {"derivatives", "trees", "arguments", "engine", "rows"}
    named = {
        name
        for path, module in FILES.items()
        if folder_of(module) == "derivatives"
        for target, name in imports(path)
        if target == ("engine",)
    }
    assert named == {"kernels_of"}
    assert "distributed" not in taken["training"]


def test_no_file_has_more_than_400_lines():
    for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyx"), *SOURCE.rglob("*.pxd")]:
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


def test_a_text_says_its_encoding():
    """Without one it is read and written as the system's, which on Windows is another one."""
    for path in [*SOURCE.rglob("*.py"), *Path(__file__).parent.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(ast.Attribute(attr="read_text"), [], []) | ast.Call(
                    ast.Attribute(attr="write_text"), [_], []
                ):
                    raise AssertionError(f"{path}:{node.lineno}")
