"""The site, which ``make docs`` builds into build/site."""

import builtins
import inspect
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import gdcore as gd

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))
import api  # noqa: E402

os.environ["COLUMNS"] = "80"  # of the help of the commands
api.write(DOCS / "reference")


def underline_titles(examples: Path, gallery: Path) -> str:
    """Copy the examples, the first line of each underlined as the gallery wants its title, and return where to."""
    gallery.mkdir(parents=True, exist_ok=True)
    for path in examples.glob("*.py"):
        title, rest = path.read_text("utf-8").removeprefix('"""').split("\n", 1)
        (gallery / path.name).write_text(f'"""{title.rstrip(".")}\n{"=" * len(title)}\n{rest}', "utf-8")
    introduction = "Examples\n========\n\nEach is a page to read and to run.\n"
    (gallery / "GALLERY_HEADER.rst").write_text(introduction, "utf-8")
    return str(gallery)


def say_where(_gallery: object, example: str) -> None:
    """Let an example find what lies beside its folder: the gallery runs it without a ``__file__``."""
    builtins.__file__ = str(ROOT / "examples" / Path(example).name)


def lead_to_pages(_app: object, _page: str, source: list[str]) -> None:
    """Make links to files, as they work where the code is read, links to pages here, by the pages' titles."""
    source[0] = re.sub(r"\[[\w./-]+\.md\](?=\([\w./-]+\.md\b)", "[]", source[0])
    source[0] = re.sub(r"\]\((?:\.\./)+examples/(\w+)\.py\)", r"](/gallery/\1.rst)", source[0])
    source[0] = re.sub(r"\]\((?:\.\./)+CONTRIBUTING\.md\b", "](/project/contributing.md", source[0])


def where_written(_app: object, module: str | None, name: str) -> str | None:
    """Return the module that a name's source is in: public things say that they are of gdcore itself."""
    if not module:
        return None
    thing = import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part, None)
    functions = [thing, *vars(thing).values()] if isinstance(thing, type) else [inspect.unwrap(thing)]
    files = (function.__code__.co_filename for function in functions if hasattr(function, "__code__"))
    package = Path(gd.__file__).parent
    path = next((Path(file) for file in files if Path(file).is_relative_to(package)), None)
    if path is None:
        return None
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(["gdcore", *(part for part in parts if part != "__init__")])


def setup(app: Any) -> None:
    """Connect it."""
    app.connect("source-read", lead_to_pages)
    app.connect("viewcode-follow-imported", where_written)


project = "gdcore"
copyright = "2026, the gdcore developers"  # noqa: A001
version = release = gd.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery/*.ipynb", "gallery/*.py", "gallery/*.json", "**/sg_execution_times.rst"]

autosummary_generate = False  # api.py makes the pages
autodoc_typehints = "none"  # the descriptions say it in words
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_param = False  # one description may be of several arguments
myst_heading_anchors = 4
suppress_warnings = ["config.cache"]

sphinx_gallery_conf = {
    "examples_dirs": underline_titles(ROOT / "examples", ROOT / "build/gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "copyfile_regex": "",
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "reset_modules": ("matplotlib", say_where),
    "download_all_examples": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"gdcore {version}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "logo": {"text": "gdcore"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 7,
}
html_sidebars = {"index": [], "tutorial/start": []}
