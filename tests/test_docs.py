"""What the documentation shows is what happens."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import gdcore as gd

ROOT = Path(__file__).parents[1]
PAGES = [f"docs/{path.name}" for path in ROOT.glob("docs/*.md")]
MODULES = sorted(module.name for module in pkgutil.walk_packages(gd.__path__, "gdcore.") if "._" not in module.name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE):
        exec(compile(block, page, "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES])
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert target.startswith("https://") or ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("name", gd.__all__)
def test_every_public_name_is_documented(name):
    assert inspect.getdoc(getattr(gd, name))
    assert re.search(rf"`gd\.{name}\b", (ROOT / "README.md").read_text())


def test_everything_public_is_exported():
    public = {name for name, thing in vars(gd).items() if not name.startswith("_") and getattr(thing, "rule", None)}
    assert public <= set(gd.__all__)
