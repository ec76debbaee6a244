"""What ``help`` says of what is public: arguments, result, errors and an example; and ``dir`` of the package."""

import doctest
import inspect
import re
from types import ModuleType

import pytest

import gdcore as gd


def public(module, name):
    here = [each for each, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    for each in getattr(module, "__all__", [each for each in here if not each.startswith("_")]):
        thing = getattr(module, each)
        if isinstance(thing, ModuleType):
            yield from public(thing, f"{name}.{each}")
        elif inspect.isroutine(thing) or inspect.isclass(thing):
            yield f"{name}.{each}", thing


TWINS = ("gd.reference.", "gd.scipy.")
"""Functions with the arguments of others: of ``gd.updates``, and of SciPy."""

THINGS = {name: thing for name, thing in public(gd, "gd") if not name.startswith(TWINS)}
CLASSES = {name: thing for name, thing in THINGS.items() if inspect.isclass(thing)}
METHODS = {
    f"{name}.{key}": (thing, found)
    for name, thing in CLASSES.items()
    for key in dir(thing)
    if not key.startswith("_")
    and inspect.isfunction(found := getattr(thing, key))
    and found.__module__.startswith("gdcore")
}
WRITTEN = re.compile(r"\b[Rr]aise(s|d)?\b|Error\b")


def parameters(function):
    found = [*inspect.signature(function).parameters.values()]
    return [p.name for p in found if p.name not in {"self", "cls"} and p.kind is not p.VAR_KEYWORD]


def said_of(name, thing):
    said = inspect.getdoc(thing) or ""
    if inspect.isclass(thing) and "Attributes:" in said:  # a record, which others make
        return said, []
    if inspect.isclass(thing) and issubclass(thing, BaseException | dict):
        return said, []
    return said, parameters(thing)


@pytest.mark.parametrize("name", THINGS)
def test_a_public_thing_says_how_it_is_called(name):
    said, expected = said_of(name, THINGS[name])
    assert ">>> " in said, "an example"
    if expected:
        assert "Arguments:" in said
        assert WRITTEN.search(said), "what raises"
        for each in expected:
            assert re.search(rf"\b{re.escape(each)}\b", said), each
    if not inspect.isclass(THINGS[name]) and inspect.signature(THINGS[name]).return_annotation not in {
        None,
        "None",
    }:
        assert re.search(r"\b[Rr]eturn(s|ed)?\b", said), "what it returns"


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_how_it_is_called(name):
    owner, method = METHODS[name]
    said = inspect.getdoc(method) or ""
    whole = said + (inspect.getdoc(owner) or "")
    assert said
    assert ">>> " in whole
    for each in parameters(method):
        assert re.search(rf"\b{re.escape(each)}\b", said), each


@pytest.mark.parametrize("name", [name for name in THINGS if name.startswith("gd.updates.")])
def test_an_example_that_is_made_from_a_rule_runs(name):
    test = doctest.DocTestParser().get_doctest(THINGS[name].__doc__, {}, name, None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_dir_shows_what_is_public_and_nothing_else():
    shown = [name for name in dir(gd) if not (name.startswith("__") and name.endswith("__"))]
    assert sorted(shown) == sorted({*gd.__all__, "GDClassifier", "GDRegressor"})
    assert all(hasattr(gd, name) for name in dir(gd))
