"""Arrays that share an element are found, those that only interleave pass, and many of them take no more each."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdcore as gd
from gdcore.engine import overlaps
from gdcore.engine.overlaps import check_apart, check_disjoint

both_ways = pytest.mark.parametrize("pairs", [0, overlaps.PAIRS], ids=["runs", "pairs"])


def bytes_of(array):
    if not array.size:
        return set()
    steps = np.array(array.strides, int)[:, np.newaxis] * np.indices(array.shape).reshape(array.ndim, array.size)
    starts = array.__array_interface__["data"][0] + steps.sum(axis=0)
    return {start + k for start in np.broadcast_to(starts, array.size).tolist() for k in range(array.itemsize)}


@st.composite
def views_of_one_array(draw, least):
    base = np.zeros(draw(st.lists(st.integers(2, 7), min_size=1, max_size=3)), draw(st.sampled_from(["f4", "f8"])))

    def view():
        slices = [
            slice(draw(st.integers(0, n - 1)), draw(st.integers(0, n)), draw(st.integers(1, 3))) for n in base.shape
        ]
        return base[tuple(slices)][(..., *[slice(None, None, draw(st.sampled_from([1, -1])))] * base.ndim)].T

    return [view() for _ in range(draw(st.integers(least, 5)))]


def refused(check, *arguments):
    """Return which two arrays the check refuses, by their numbers, or None."""
    try:
        check(*arguments)
    except ValueError as error:
        return int(str(error).split(":")[0]), int(str(error).split()[-1])
    return None


@both_ways
@given(arrays=views_of_one_array(2))
def test_two_arrays_that_share_an_element_are_found_and_no_others(pairs, arrays):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps, "PAIRS", pairs)
        found = refused(check_disjoint, [str(i) for i in range(len(arrays))], arrays)
    held = [bytes_of(array) for array in arrays]
    shared = [(j, i) for j in range(len(arrays)) for i in range(j) if held[i] & held[j]]
    assert found in shared if shared else found is None


@both_ways
@given(views=views_of_one_array(2), count=st.integers(1, 4), repeat=st.booleans())
def test_arrays_that_share_an_element_with_others_are_found(pairs, views, count, repeat):
    arrays, disjoint = views[:count], []
    for other in views[count:]:
        if not any(bytes_of(other) & bytes_of(kept) for kept in disjoint):
            disjoint.append(other)
    if repeat:  # gradients may overlap themselves and each other
        arrays = [np.broadcast_to(array, (2, *array.shape)) for array in arrays]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps, "PAIRS", pairs)
        found = refused(check_apart, *({str(i): x for i, x in enumerate(some)} for some in (arrays, disjoint)))
    shared = [
        (i, j)
        for i, array in enumerate(arrays)
        for j, other in enumerate(disjoint)
        if bytes_of(array) & bytes_of(other)
    ]
    assert found in shared if shared else found is None


def test_columns_of_a_matrix_are_parameters_and_gradients_without_a_test_of_all_pairs(monkeypatch):
    calls = []
    exact = overlaps.shares_memory
    monkeypatch.setattr(overlaps, "shares_memory", lambda a, b: calls.append(1) or exact(a, b))
    table = np.ones((5, 1000))
    params, grads = list(table.T[::2]), list(table.T[1::2])
    opt = gd.SGD(params, lr=0.5)
    opt.step(grads)
    np.testing.assert_array_equal(table, np.tile([0.5, 1.0], (5, 500)))
    with pytest.raises(ValueError, match=r"grads\['7'\]: expected memory of its own, .* overlaps params\['8'\]"):
        opt.step([*grads[:7], params[8], *grads[8:]])
    with pytest.raises(ValueError, match=r"params\['500'\]: expected memory of its own, .* params\['499'\]"):
        gd.SGD([*params, table[4, 998:]], lr=0.5)
    assert len(calls) < 1000
    assert opt.t == 1


MANY = {
    "arrays": "gd.Adam(arrays(100_000)).step(arrays(100_000))",
    "groups": "opt = gd.Adam([{'params': p} for p in arrays(20_000)]); opt.load_state_dict(opt.state_dict())",
    "states": "opt = gd.SGD(arrays(50_000), lr=0.1); opt.load_state_dict(opt.state_dict())",
    "looks": "opt = gd.Adam(arrays(15_000)); [opt.state[str(i)]['m'] for i in range(15_000)]",
    "derivatives": "gd.grad(lambda w: sum([np.sum(x) for x in w]))(arrays(40_000))",
    "unknown keys": """
        tree = dict(zip(map(str, range(50_000)), arrays(50_000)))
        try:
            gd.SGD(tree, lr=0.1).step({**tree, "b": None})
        except ValueError as error:
            assert "grads['b']" in str(error)
    """,
}


@pytest.mark.skipif(
    sys.platform != "linux" or "LD_PRELOAD" in os.environ, reason="limits the CPU time of a build as it is"
)
@pytest.mark.parametrize("what", MANY)
def test_many_arrays_take_seconds_where_a_square_would_take_many(what):
    code = """
        import resource
        import numpy as np, gdcore as gd
        arrays = lambda n: [np.ones(1) for _ in range(n)]
        resource.setrlimit(resource.RLIMIT_CPU, (6, 6))
    """
    code = textwrap.dedent(code) + textwrap.dedent(MANY[what])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
