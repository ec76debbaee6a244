"""Model files of a right seal with wrong things inside: refused in one line, or used."""

import copy
import math
import os

import numpy as np
import pytest

import gdcore as gd

pytest.importorskip("polars")

WRONG = (
    *(None, True, 0, 3, 2**70, -1.5, math.nan, "", "x", "%Q", "\0"),
    *([], [1], ["x", "x"], [[]], (), {}, {"x": 1}, {"": [""]}),
    *(np.zeros(0), np.zeros(6), np.full(6, np.nan), np.ones((2, 2)), np.array(["x"])),
)
"""What is put in the place of each part."""

TABLE = "a;price;kind;day;y;class\n" + "".join(
    f"{a};1.{100 + a},50 €;{'pqr'[a % 3]};2024-0{1 + a % 9}-11;{a},{a % 10};{'yes' if a % 4 else 'no'}\n"
    for a in range(30)
)


def places(tree, path=()):
    """Yield the path to each part of a tree of plain values."""
    yield path
    branches = (
        tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list | tuple) else ()
    )
    for key, branch in branches:
        yield from places(branch, (*path, key))


def replaced(tree, path, value):
    if not path:
        return value
    tree = copy.copy(list(tree) if isinstance(tree, tuple) else tree)
    tree[path[0]] = replaced(tree[path[0]], path[1:], value)
    return tree


def without(tree, path):
    """Return a tree without one of its parts; None where that is no part that can be taken away."""
    tree = branch = copy.deepcopy(tree)
    for key in path[:-1]:
        branch = branch[key]
    if not isinstance(branch, dict | list):
        return None
    del branch[path[-1]]
    return tree


@pytest.fixture(params=["y", "class"])
def saved(request, gdc, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a file a part need not survive a power cut
    (tmp_path / "data.csv").write_text(TABLE, "utf-8")
    argv = ("--target", request.param, "--missing", "fill", "--hidden", 2, "--epochs", 1, "--output", "m.npz")
    status, out, err = gdc("train", "data.csv", *argv)
    assert status == 0, err
    assert "dates: 'day'" in out
    return gd.load("m.npz")


def test_a_part_that_is_another_is_refused_in_one_line_or_used(gdc, saved):
    refused = tried = 0
    for path in places(saved.metadata):
        for value in () if saved.metadata["target"]["classes"] and path[:1] == ("columns",) else WRONG:
            gd.save("bad.npz", saved.params, metadata=replaced(saved.metadata, path, value))
            status, out, err = gdc("predict", "bad.npz", "data.csv")
            where = f"{path}: {value!r:.40}: {err}"
            assert (status == 0 and len(out.splitlines()) == 31) or (status == 1 and out == ""), where
            assert status == 0 or (err.count("\n") == 1 and err.startswith("gdcore: error: ")), where
            refused += status
            tried += 1
    assert refused > 0.8 * tried


def test_an_array_in_the_place_of_the_format_is_refused_by_its_form(gdc, saved):
    for value, form in (
        (np.zeros(0), "(0,)"),
        (np.ones((2, 2)), "(2, 2)"),
        (np.array([saved.metadata["format"]]), "(1,)"),
    ):
        gd.save("bad.npz", saved.params, metadata=saved.metadata | {"format": value})
        _, _, err = gdc("predict", "bad.npz", "data.csv")
        assert err.endswith(f"expected the format {saved.metadata['format']!r}, got {value.dtype} {form}\n")


def test_a_part_that_is_absent_is_refused_in_one_line(gdc, saved):
    for path in places(saved.metadata):
        if path[:1] == ("training",) and path[1:]:
            continue  # what is told there may be anything
        if path and (metadata := without(saved.metadata, path)) is not None:
            gd.save("bad.npz", saved.params, metadata=metadata)
            status, out, err = gdc("predict", "bad.npz", "data.csv")
            assert (status, out, err.count("\n")) == (1, "", 1), f"{path}: {err}"


def test_weights_that_are_others_are_refused_in_one_line(gdc, saved):
    wrong = (
        np.zeros(0),
        np.zeros((2, 2, 2)),
        np.arange(3),
        np.array(["x"]),
        [],
        {},
        [np.zeros(2)],
        {"w": np.zeros(2)},
    )
    for path in [(), (0,), (1,), *((half, layer) for half in (0, 1) for layer in (0, 1))]:
        right = saved.params[path[0]][path[1]] if len(path) == 2 else np.zeros(1)
        for value in (*wrong, np.full_like(right, np.nan), np.full_like(right, -np.inf)):
            gd.save("bad.npz", replaced(saved.params, path, value), metadata=saved.metadata)
            status, out, err = gdc("predict", "bad.npz", "data.csv")
            assert (status, out, err.count("\n")) == (1, "", 1), f"{path}: {value!r:.60}: {err}"
