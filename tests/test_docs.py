"""What the documentation shows is what happens."""

import ast
import doctest
import importlib.util
import inspect
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gdcore as gd
import gdcore.cli.parser

ROOT = Path(__file__).parents[1]
PAGES = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("docs/**/*.md"))]
SOURCE = Path(gd.__file__).parent
EXAMPLES = [
    path
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text("utf-8") and path != SOURCE / "torch.py"  # which test_torch.py runs, where torch is
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_examples_in_docstrings_run(path):
    """Of every docstring in the source: a name that says it is of another module is no reason to pass it over."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if parts[0] == "distributed":
        pytest.importorskip("mpi4py")
    module = importlib.import_module(".".join(["gdcore", *(part for part in parts if part != "__init__")]))
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, documented)]
    runner, examples = doctest.DocTestRunner(), 0
    for node in nodes:
        said = ast.get_docstring(node) or ""
        name = f"{path.name}: {getattr(node, 'name', 'module')}"
        test = doctest.DocTestParser().get_doctest(said, dict(vars(module)), name, str(path), 0)
        examples += len(test.examples)
        runner.run(test)
    assert examples
    assert runner.summarize(verbose=False).failed == 0


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in ["README.md", *PAGES] if blocks_of(page)])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks_of(page):
        exec(compile(block, page, "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES])
def test_links_between_pages_lead_somewhere(page):
    """Whether to a heading that is there, the site finds out when it is built."""
    made = {"docs/reference/index.rst", "docs/gallery/index.rst"}  # of the site
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
        path = Path(os.path.normpath(Path(page).parent / target)).as_posix()
        assert target.startswith("https://") or (ROOT / path).exists() or path in made, target


def table(page, first):
    """The rows below the header whose first two cells are ``first``, as dicts."""
    lines = (ROOT / page).read_text("utf-8").split(first, 1)[1].split("\n\n")[0].splitlines()
    head, _, *rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in [first + lines[0], *lines[1:]]
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_speeds_in_the_readme_are_those_that_were_measured():
    measured = {row["elements"]: row for row in table("docs/performance.md", "| elements | gdcore |")}
    for row in table("README.md", "| elements | torch fused |"):
        for peer, ratio in row.items():
            assert measured[row["elements"]][peer].endswith(ratio if peer == "elements" else f"({ratio})")


FOR_AN_INDEX = """
import runpy, sys
import Cython.Build, setuptools

Cython.Build.cythonize = lambda extensions, **_: extensions
setuptools.setup = lambda **options: print(options["long_description"])
whole = runpy.run_path("setup.py")["for_an_index"]
print("---")
print(whole(open("README.md", encoding="utf-8").read(), "https://host/gdcore"))
"""


def test_links_of_the_readme_are_whole_on_a_package_index():
    pytest.importorskip("Cython")
    command = [sys.executable, "-c", FOR_AN_INDEX]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, encoding="utf-8")
    as_built, whole = done.stdout.split("\n---\n")
    here = re.findall(r"(!?)\[[^]]*\]\(([^)]*)\)", (ROOT / "README.md").read_text("utf-8"))
    there = re.findall(r"(!?)\[[^]]*\]\(([^)]*)\)", whole)
    assert as_built.partition("\n")[0] == whole.partition("\n")[0] == "# gdcore"
    for (picture, target), (_, found) in zip(here, there, strict=True):
        expected = f"https://host/gdcore/{'raw' if picture else 'blob'}/HEAD/{target}"
        assert found == (target if target.startswith("https://") else expected)
    assert any(picture for picture, _ in here)


@pytest.mark.parametrize("name", gd.__all__)
def test_every_public_name_is_documented(name):
    assert inspect.getdoc(getattr(gd, name))
    assert re.search(rf"`gd\.{name}\b", (ROOT / "README.md").read_text("utf-8"))


def public_names():
    """What can be reached from gdcore without an underscore, and was made where it is or is said to be exported."""
    found, modules = [], [gd]
    for module in modules:
        for name in dir(module):
            thing = getattr(module, name)
            exported = name in getattr(module, "__all__", ())
            if name.startswith("_") or not (exported or getattr(thing, "__module__", None) == module.__name__):
                continue
            if inspect.ismodule(thing):
                modules.append(thing)
            elif exported or inspect.isclass(thing) or inspect.isroutine(thing):
                found.append((module.__name__, name))
    return [*found, ("gdcore", "GDClassifier"), ("gdcore", "GDRegressor")]


def test_every_public_name_has_a_page_in_the_reference():
    api = load("docs/api.py")
    pages = api.pages()
    names = public_names()
    assert len(names) > 150
    for module, name in names:
        assert re.search(rf"^\.\. [\w:]+:: ({module}\.)?{name}$", pages[f"{module}.{name}.rst"], re.MULTILINE)
        listing = pages["index.rst" if module == "gdcore" else f"{module}.rst"]
        assert f"\n   {module}.{name}\n" in listing
    for command in gd.cli.parser.COMMANDS:
        assert f"usage: gdcore {command}" in pages["command-line.rst"]


def test_pages_of_names_that_are_gone_go(tmp_path):
    api = load("docs/api.py")
    (tmp_path / "gdcore.gone.rst").touch()
    api.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(api.pages())


@pytest.mark.parametrize("folder", gd._NAMES)
def test_a_name_is_exported_as_type_checkers_find_it(folder):
    assert sorted(gd._NAMES[folder].split()) == sorted(importlib.import_module(f"gdcore.{folder}").__all__)


def test_public_things_say_that_they_are_public():
    """So that tracebacks and pickles hold no internal address."""
    owned = [getattr(gd, name) for name in gd.__all__ if name not in gd._MODULES]
    assert {thing.__module__ for thing in owned} == {"gdcore"}
    for thing in owned:
        assert pickle.loads(pickle.dumps(thing)) is thing
    assert {getattr(gd.models, name).__module__ for name in gd.models.__all__ if name != "ACTIVATIONS"} == {
        "gdcore.models"
    }
    assert {getattr(gd.distributed, name).__module__ for name in gd.distributed.__all__} == {"gdcore.distributed"}


def test_everything_public_is_exported():
    public = {name for name, thing in vars(gd).items() if not name.startswith("_") and getattr(thing, "rule", None)}
    assert public <= set(gd.__all__)
