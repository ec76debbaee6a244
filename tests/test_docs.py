"""What the documentation shows is what happens."""

import ast
import doctest
import importlib
import inspect
import pickle
import re
from pathlib import Path

import pytest

import gdcore as gd

ROOT = Path(__file__).parents[1]
PAGES = [f"docs/{path.name}" for path in ROOT.glob("docs/*.md")]
SOURCE = Path(gd.__file__).parent
EXAMPLES = [
    path
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text() and path != SOURCE / "torch.py"  # which test_torch.py runs, where torch is
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_examples_in_docstrings_run(path):
    """Of every docstring in the source: a name that says it is of another module is no reason to pass it over."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    module = importlib.import_module(".".join(["gdcore", *(part for part in parts if part != "__init__")]))
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, documented)]
    runner, examples = doctest.DocTestRunner(), 0
    for node in nodes:
        said = ast.get_docstring(node) or ""
        name = f"{path.name}: {getattr(node, 'name', 'module')}"
        test = doctest.DocTestParser().get_doctest(said, dict(vars(module)), name, str(path), 0)
        examples += len(test.examples)
        runner.run(test)
    assert examples
    assert runner.summarize(verbose=False).failed == 0


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in ["README.md", *PAGES] if blocks_of(page)])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks_of(page):
        exec(compile(block, page, "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES])
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert target.startswith("https://") or ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("name", gd.__all__)
def test_every_public_name_is_documented(name):
    assert inspect.getdoc(getattr(gd, name))
    assert re.search(rf"`gd\.{name}\b", (ROOT / "README.md").read_text())


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
