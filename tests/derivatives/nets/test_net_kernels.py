"""The kernels of nets: the bits of their twins in NumPy, in every build; and the door before them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdcore.derivatives.nets import _door as door
from gdcore.derivatives.nets import functions, reference
from gdcore.engine import variants

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130]
CASES = [(1, 1), (3, 0), (0, 3), (2, 10), (65, 17), (64, 64), (130, 3), (5, 33), (1, 2049), (3, 5000)]


@pytest.fixture(autouse=True)
def silent():
    with np.errstate(all="ignore"):
        yield


def same(got, expected):
    """Compare bits; only those of NaN may differ."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got) & ~np.isnan(got), np.signbit(expected) & ~np.isnan(expected))


def drawn(rng, shape, dtype, scale=3.0):
    """Return numbers of all sizes; a few are special."""
    x = (scale * rng.standard_normal(shape)).astype(dtype)
    special = [np.inf, -np.inf, np.nan, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny / 3, -700.0, 700.0]
    at = rng.random(shape) < 0.02
    x[at] = rng.choice(np.array(special, dtype), at.sum())
    return x


def number(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


FUNCTIONS = {
    "exp": functions.exp,
    "log": functions.log,
    **{name: f for name, f in reference.ACTIVATIONS.items() if name != "none"},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_bits_of_its_twin(name, dtype):
    rng = np.random.default_rng(1)
    edges = [np.inf, -np.inf, np.nan, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny, -1e-45, 1e-310]
    bits = np.dtype(dtype).itemsize * 8
    anywhere = rng.integers(0, 2**bits, 4001, np.dtype(f"u{bits // 8}"), endpoint=False).view(dtype)
    for x in (
        *(rng.uniform(-4, 4, n).astype(dtype) for n in SIZES),
        rng.uniform(-800, 800, 999).astype(dtype),
        rng.uniform(-110, 95, 999).astype(dtype),
        np.array(edges, dtype),
        anywhere,
    ):
        got = np.empty_like(x)
        door.activate(name, x, None, got)
        same(got, FUNCTIONS[name](x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("kind", reference.ACTIVATIONS)
def test_activation_and_its_backward_have_the_bits_of_their_twins(kind, shape, dtype):
    rng = np.random.default_rng(2)
    for draw in (number, drawn):
        z, b, g = draw(rng, shape, dtype), draw(rng, shape[-1:], dtype), draw(rng, shape, dtype)
        s, h = reference.activate(kind, z, b)
        sums, got = z.copy(), np.empty_like(z)
        door.activate(kind, sums, b, got)
        same(sums, s)
        if kind != "none":
            same(got, h)
            sums = z.copy()
            door.activate(kind, sums, b, sums)
            same(sums, h)
        kept = h if kind in {"relu", "tanh", "sigmoid"} else s
        d, db = np.empty_like(g), np.empty_like(b)
        door.activate_back(kind, g, kept, d, db)
        expected, total = reference.activate_back(kind, g, kept)
        same(db, total)
        if kind != "none":
            same(d, expected)
            door.activate_back(kind, g, kept, g, None)
            same(g, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [case for case in CASES if 0 not in case])
def test_cross_entropy_of_classes_and_of_probabilities_has_the_bits_of_its_twin(shape, dtype):
    rng = np.random.default_rng(3)
    labels, parts = rng.integers(0, shape[1], shape[0]), rng.random(shape).astype(dtype)
    parts[rng.random(shape) < 0.3] = 0
    for y, twin in ((labels, reference.cross_entropy), (parts, reference.soft_cross_entropy)):
        for draw in (number, drawn):
            for b in (None, draw(rng, shape[-1:], dtype)):
                z = draw(rng, shape, dtype)
                d, db = np.empty_like(z), np.empty(shape[-1], dtype)
                loss = door.cross_entropy(z, b, y, d, db)
                expected = twin(z, b, y)
                same(loss, expected[0])
                same(d, expected[1])
                same(db, expected[2])
                assert door.cross_entropy(z, b, y, z, None) == loss or np.isnan(loss)
                same(z, d)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*CASES, (7,), (2, 3, 4)])
def test_softmax_and_its_logarithms_have_the_bits_of_their_twins(shape, dtype):
    rng = np.random.default_rng(4)
    for draw in (number, drawn):
        z = draw(rng, shape, dtype)
        for name, twin in (("softmax", reference.softmax), ("log_softmax", reference.log_softmax)):
            out = np.empty_like(z)
            door.softmax(name, z, out)
            same(out, twin(z) if z.size else z)
            g, d = draw(rng, shape, dtype), np.empty_like(z)
            door.softmax_back(name, g, out, d)
            same(d, reference.softmax_back(name, g, out))
            door.softmax_back(name, g, out, g)
            same(g, d)
        if shape[-1]:
            out = np.empty(shape[:-1], dtype)
            door.log_sum_exp(z, out)
            same(out, reference.log_sum_exp(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [case for case in CASES if case[1]])
def test_layer_norm_and_its_backward_have_the_bits_of_their_twins(shape, affine, dtype):
    rng = np.random.default_rng(5)
    for draw in (number, drawn):
        z, g = draw(rng, shape, dtype), draw(rng, shape, dtype)
        gain, bias = (draw(rng, shape[-1:], dtype) if affine else None for _ in range(2))
        out, mean, scale = np.empty_like(z), np.empty(shape[0], dtype), np.empty(shape[0], dtype)
        door.layer_norm(z, gain, bias, 1e-5, out, mean, scale)
        for got, expected in zip((out, mean, scale), reference.layer_norm(z, gain, bias, 1e-5), strict=True):
            same(got, expected)
        dz, dgain, dbias = np.empty_like(z), np.empty(shape[-1], dtype), np.empty(shape[-1], dtype)
        door.layer_norm_back(g, z, gain, mean, scale, dz, np.empty_like(z), dgain, dbias)
        for got, expected in zip(
            (dz, dgain, dbias), reference.layer_norm_back(g, z, gain, mean, scale), strict=True
        ):
            same(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_added_and_elements_dropped_as_by_their_twins(dtype):
    rng = np.random.default_rng(6)
    for count, rows, n in ((0, 3, 2), (50, 4, 5), (9, 30, 33)):
        g, table, index = drawn(rng, (count, n), dtype), drawn(rng, (rows, n), dtype), rng.integers(0, rows, count)
        got = table.copy()
        door.add_rows(g, index, got)
        same(got, reference.add_rows(g, index, table))
        u, out = rng.random((count, n), np.float32), np.empty_like(g)
        door.drop(g, u, 0.3, 1 / 0.7, out)
        same(out, reference.drop(g, u, 0.3, 1 / 0.7))


@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    step=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    around=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 9),
)
@settings(max_examples=150)
def test_windows_are_those_of_their_twins(sizes, kernel, step, around, dtype, seed):
    rng = np.random.default_rng(seed)
    window = (*sizes, *kernel, *step, *around)
    last = (*sizes[1:], sizes[0])  # pictures come last
    z = drawn(rng, last, dtype)
    if any(sizes[2 + i] + 2 * around[i] < kernel[i] for i in range(2)):
        with pytest.raises(ValueError, match="within the picture"):
            door.unfold(z, z, window)
        return
    expected = reference.unfold(z, window)
    got = np.full(expected.shape, np.nan, dtype)
    door.unfold(z, got, window)
    same(got, expected)
    columns = drawn(rng, expected.shape, dtype)
    folded = np.zeros(last, dtype)
    door.fold(columns, folded, window)
    same(folded, reference.fold(columns, window))
    z, inside = drawn(rng, sizes, dtype), (*window[:8], 0, 0)
    if kernel[0] <= sizes[2] and kernel[1] <= sizes[3]:
        best, places = reference.max_pool(z, inside)
        out, at = np.empty_like(best), np.empty(best.shape, np.int64)
        door.max_pool(z, out, at, inside)
        same(out, best)
        same(at, places)
        g, dz = drawn(rng, best.shape, dtype), np.zeros(sizes, dtype)
        door.max_pool_back(g, at, dz, inside)
        same(dz, reference.max_pool_back(g, at, inside))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("biased", [True, False])
def test_matrices_are_turned_as_by_their_twin(biased, dtype):
    rng = np.random.default_rng(7)
    for a, b, group in ((6, 17, 3), (1, 1, 1), (0, 4, 2), (64, 66, 2), (33, 31, 1), (40, 0, 4)):
        z = drawn(rng, (a, b), dtype)
        bias = drawn(rng, -(-a // group), dtype) if biased else None
        out, sums = np.empty((b, a), dtype), np.empty(b // group, dtype)
        door.turn(z, bias, out, sums, a, b, group)
        expected = reference.turn(z, bias, group)
        same(out, expected[0])
        same(sums, expected[1])


LEVELS = {variant.level: variant.name for variant in variants.VARIANTS if variants.obstacle(variant) is None}


@pytest.mark.parametrize("name", [name for level, name in LEVELS.items() if level != variants.chosen.level])
def test_every_variant_has_the_same_bits(name):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", "twin"],
        env={**os.environ, variants.ENVIRONMENT: name},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        timeout=600,
    )
    assert done.returncode == 0, done.stdout


# the door


def test_the_door_refuses_what_a_kernel_could_not_read():
    x, row = np.zeros((2, 3)), np.zeros(3)
    frozen = np.zeros((2, 3))
    frozen.flags.writeable = False
    for bad in (None, [1.0], x.astype(np.float32), x[:, ::-1], x.T, frozen, x.astype(">f8"), np.zeros((2, 3), int)):
        with pytest.raises(TypeError, match="h: expected a contiguous writable array of float64, got"):
            door.activate("relu", x, None, bad)
    for bad in (np.zeros(2), np.zeros((2, 3))):
        with pytest.raises(ValueError, match="b: expected 3 elements, got float64"):
            door.activate("relu", x, bad, x)
    with pytest.raises(TypeError, match="z: expected a contiguous array of float32 or float64, got int64"):
        door.activate("relu", np.zeros(3, int), None, row)
    with pytest.raises(TypeError, match="z: expected a contiguous writable"):
        door.activate("relu", frozen, row, x)
    for labels in (np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(ValueError, match="labels: expected classes from 0 to 2, got"):
            door.cross_entropy(x, None, labels, x, None)
        with pytest.raises(ValueError, match="index: expected rows from 0 to 2, got"):
            door.add_rows(np.zeros((2, 1)), labels, np.zeros((3, 1)))
    with pytest.raises(TypeError, match="labels: expected a contiguous array of int64"):
        door.cross_entropy(x, None, np.zeros(2, np.int32), x, None)
    with pytest.raises(ValueError, match="at: expected places from 0 to 5, got 6"):
        door.max_pool_back(np.zeros(1), np.array([6]), x, (1, 1, 2, 3, 2, 3, 1, 1, 0, 0))


def test_only_what_nothing_else_holds_is_alone():
    items = [np.zeros(2), np.zeros(3)]
    assert door.alone(items)
    held = items[1]
    assert not door.alone(items)
    del held
    view = items[0][:1]
    assert not door.alone(items)
    del view
    assert door.alone(items)
