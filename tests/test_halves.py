"""Half precision: what is converted, and steps of it, with the bits of the reference."""

import copy
import itertools
import math
import pickle
from importlib.util import find_spec

import numpy as np
import pytest
from rules_table import every_make
from test_rules import VARIANTS, assert_same_bits, call, make_slots, settings
from test_stages import COMBINATIONS, SHAPES, before_the_rule, optimizer_of

import gdcore as gd
from gdcore.engine._halves import narrowed, widened
from gdcore.halves import BFLOAT16, half_of
from gdcore.training.divergence import largest_weight

DTYPES = {"float16": np.dtype(np.float16), "marked": BFLOAT16}
if find_spec("ml_dtypes"):
    import ml_dtypes

    DTYPES["ml_dtypes"] = np.dtype(ml_dtypes.bfloat16)

every_half = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)

ALL = np.arange(2**16, dtype=np.uint16)


def bits(array):
    return np.asarray(array).view(np.uint32 if array.dtype == np.float32 else np.uint16)


def same(a, b):
    return np.array_equal(*(x if half_of(x.dtype) is None else bits(x) for x in (np.asarray(a), np.asarray(b))))


def halved(array, dtype):
    return gd.reference.narrow(np.asarray(array, np.float32), dtype)


def value_of(h, exponent_bits):
    """The number that bits stand for, from the definition of the format; NaN and infinity aside."""
    fraction_bits = 15 - exponent_bits
    exponent = (h >> fraction_bits & ((1 << exponent_bits) - 1)).astype(int)
    fraction = (h & ((1 << fraction_bits) - 1)) / 2.0**fraction_bits
    size = np.where(exponent > 0, 1 + fraction, fraction) * 2.0 ** (
        np.maximum(exponent, 1) - (1 << (exponent_bits - 1)) + 1
    )
    return np.where(h >> 15, -size, size)


# Conversions -----------------------------------------------------------------------------------------------------


@every_half
def test_every_half_is_widened_exactly(dtype):
    halves = ALL.view(dtype)
    wide = gd.reference.widen(halves)
    assert np.array_equal(bits(widened(halves)), bits(wide))
    exponent_bits = 5 if dtype == np.float16 else 8
    top = (1 << exponent_bits) - 1 << (15 - exponent_bits)
    size = ALL & 0x7FFF
    finite = size < top
    assert np.array_equal(wide[finite], value_of(ALL[finite], exponent_bits))
    assert np.array_equal(np.signbit(wide), ALL >= 0x8000)
    assert np.array_equal(np.isinf(wide), size == top)
    assert np.array_equal(np.isnan(wide), size > top)
    if dtype != BFLOAT16:  # what NumPy or ml_dtypes makes of it
        assert np.array_equal(bits(halves.astype(np.float32)), bits(wide))


def tricky():
    """Numbers of float32 at, between and beside those of half precision, and some of all sizes."""
    rng = np.random.default_rng(0)
    found = [rng.integers(0, 2**32, 100_000)]
    for exponent_bits in (5, 8):
        dtype = np.dtype(np.float16) if exponent_bits == 5 else BFLOAT16
        wide = bits(gd.reference.widen(ALL.view(dtype))).astype(np.int64)
        between = (wide[:-1] + wide[1:]) // 2
        found += [np.clip(x + k, 0, 2**32 - 1) for x in (wide, between) for k in (-1, 0, 1)]
    return np.concatenate(found).astype(np.uint32).view(np.float32)


def nearest(x, dtype):
    """The finite or infinite half that is next to x, of two the even one, found among all of them by its value."""
    count = 0x7C00 if dtype == np.float16 else 0x7F80
    sizes = np.append(value_of(ALL[:count], 5 if dtype == np.float16 else 8), 0)
    sizes[count] = 2 * sizes[count - 1] - sizes[count - 2]  # where infinity begins, if there were one number more
    size = np.abs(x.astype(float))
    above = np.minimum(np.searchsorted(sizes, size), count)
    below = np.maximum(above - 1, 0)
    down, up = size - sizes[below], sizes[above] - size
    found = np.where((down < up) | ((down == up) & (below % 2 == 0)), below, above)
    return (found | np.where(np.signbit(x), 0x8000, 0)).astype(np.uint16)


@every_half
def test_float32_is_rounded_to_the_nearest_half_and_to_the_even_one_of_two(dtype):
    x = tricky()
    narrow = gd.reference.narrow(x, dtype)
    out = np.zeros(x.shape, np.uint16).view(dtype)
    narrowed(out, x)
    assert np.array_equal(bits(out), bits(narrow))
    nan = np.isnan(x)
    assert np.array_equal(bits(narrow)[~nan], nearest(x[~nan], dtype))
    assert np.isnan(gd.reference.widen(narrow)[nan]).all()
    assert np.array_equal(np.signbit(gd.reference.widen(narrow)), np.signbit(x))
    if dtype != BFLOAT16:
        with np.errstate(all="ignore"):
            assert np.array_equal(bits(x.astype(dtype))[~nan], bits(narrow)[~nan])


@every_half
def test_what_is_widened_is_rounded_back_to_itself(dtype):
    wide = gd.reference.widen(ALL.view(dtype))
    known = ~np.isnan(wide)
    assert np.array_equal(bits(gd.reference.narrow(wide, dtype))[known], ALL[known])


# Steps -----------------------------------------------------------------------------------------------------------

FULL = np.dtype(np.float32)
PAIRS = [(FULL, half) for half in DTYPES.values()]  # parameter, gradient
PAIRS += [(half, other) for half in DTYPES.values() for other in (FULL, *DTYPES.values())]


def new_arrays(dtype, rng):
    """Arrays of many sizes, in C and Fortran order and strided."""
    make = (lambda shape: halved(rng.standard_normal(shape), dtype)) if half_of(dtype) else None
    make = make or (lambda shape: rng.standard_normal(shape).astype(dtype))
    arrays = [make(shape) for shape in SHAPES]
    return [*arrays, np.asfortranarray(arrays[-1]), make((20, 60))[::2, 1::3]]


def by_reference(rule, t, params, masters, grads, slots, given, asked):
    """One step as its stages one after the other in plain NumPy; returns the norm."""
    passed, found = before_the_rule([gd.reference.widen(g) if half_of(g.dtype) else g for g in grads], asked)
    for w, m, g, own in zip(params, masters, passed, slots, strict=True):
        if half_of(w.dtype):
            gd.reference.recall(m, w)
        call(gd.reference, rule, t, m, g, {name: slot for name, slot in own.items() if name != "average"}, given)
        if "average" in asked:
            gd.reference.average(m, own["average"], 1 - asked["average"])
        if half_of(w.dtype):
            w[...] = gd.reference.narrow(m, w.dtype)
    if "zero" in asked:
        for g in grads:
            gd.reference.zero(g)
    return found


@pytest.mark.parametrize(("rule", "options"), [v for v in VARIANTS if v.values[0].has_gradient])
def test_a_step_of_halves_equals_its_stages_one_after_the_other_bit_for_bit(rule, options):
    """Of all combinations each variant of a rule has a part: its neighbours have the others."""
    rng = np.random.default_rng(1)
    given = settings(rule, options)
    first = next(i for i, v in enumerate(VARIANTS) if v.values == (rule, options))
    pairs = itertools.islice(itertools.cycle(PAIRS), first, None)
    for asked, (of_params, of_grads) in zip(COMBINATIONS[first % 5 :: 5], pairs, strict=False):
        ours = new_arrays(of_params, rng)
        theirs = [np.copy(w) for w in ours]
        masters = [gd.reference.widen(w) if half_of(of_params) else w for w in theirs]
        slots = [make_slots(rule, options, w.shape, np.float32) for w in ours]
        kept = {"average": asked["average"]} if "average" in asked else {}
        for m, own in zip(masters, slots, strict=True):
            own.update({name: m.copy() for name in kept})
        opt = optimizer_of(rule)(ours, **{"weight_decay": 0.0, **given}, **kept, master=True)
        for t in range(1, 3):
            grads = new_arrays(of_grads, rng)
            copies = [np.copy(g, order="K") for g in grads]
            norm = by_reference(rule, t, theirs, masters, copies, slots, given, asked)
            assert opt.step(grads, **{k: v for k, v in asked.items() if k != "average"}) == norm
            for i, (w, own) in enumerate(zip(ours, opt.state.values(), strict=True)):
                said = f"{i} of {of_params} by {of_grads} with {asked}"
                assert same(w, theirs[i]), f"param {said}"
                assert same(grads[i], copies[i]), f"grad {said}"
                expected = {**slots[i], **({"master": masters[i]} if half_of(of_params) else {})}
                assert own.keys() == expected.keys()
                for name, slot in own.items():
                    assert_same_bits(np.ravel(slot), np.ravel(expected[name]), f"{name} {said}")
            for w, other in zip(ours[2:4], theirs[2:4], strict=True):  # what is written to a parameter counts
                w[...] = other[...] = halved(rng.standard_normal(w.shape), w.dtype) if half_of(w.dtype) else 0


@every_half
def test_a_large_step_of_halves_by_many_threads_equals_one_in_float32(dtype):
    before = gd.get_num_threads()
    try:
        for count in (1, 3):
            gd.set_num_threads(count)
            rng = np.random.default_rng(2)
            halves = [halved(rng.standard_normal(n), dtype) for n in (130_003, 5, 66_000)]
            wide = [gd.reference.widen(w) for w in halves]
            one, other = gd.Adam(halves, lr=0.1, master=True), gd.Adam(wide, lr=0.1)
            for _ in range(3):
                grads = [halved(rng.standard_normal(w.size), dtype) for w in wide]
                passed = [gd.reference.widen(g) for g in grads]
                assert one.step(grads, max_norm=1.0, zero=True) == other.step(passed, max_norm=1.0)
                assert not any(bits(g).any() for g in grads)
            for w, m, slots in zip(halves, wide, one.state.values(), strict=True):
                assert_same_bits(slots["master"], m, f"{count} threads")
                assert same(w, gd.reference.narrow(m, dtype))
    finally:
        gd.set_num_threads(before)


@every_half
def test_special_halves_step_as_their_stages_do(dtype):
    halves = np.tile(ALL, 1).view(dtype)
    w, m = halves.copy(), gd.reference.widen(halves)
    g = halves[::-1].copy()
    gd.SGD(w, lr=0.5, master=True).step(g, scale=3.0)
    gd.reference.sgd(m, gd.reference.scale(gd.reference.widen(g), 3.0), lr=0.5)
    known = ~np.isnan(m)
    assert np.array_equal(bits(w)[known], bits(gd.reference.narrow(m, dtype))[known])
    assert np.isnan(gd.reference.widen(w)[~known]).all()


@every_make
def test_gradients_of_mixed_kinds_step_one_tree(make):
    rng = np.random.default_rng(3)
    kinds = [*DTYPES.values(), FULL, np.dtype(np.float64)]
    ours = {str(i): rng.standard_normal(40, FULL) for i in range(len(kinds) - 1)}
    ours[str(len(kinds) - 1)] = rng.standard_normal(40)
    theirs = {name: w.copy() for name, w in ours.items()}
    one, other = make(ours), make(theirs)
    for turn in range(3):  # each array is met by gradients of other kinds
        grads = {}
        for i, name in enumerate(list(ours)[:-1]):
            kind = kinds[:-1][(i + turn) % (len(kinds) - 1)]
            grads[name] = halved(rng.standard_normal(40), kind) if half_of(kind) else rng.standard_normal(40, FULL)
        grads[str(len(kinds) - 1)] = rng.standard_normal(40)
        one.step(grads, max_norm=1.0)
        other.step({n: gd.reference.widen(g) if half_of(g.dtype) else g for n, g in grads.items()}, max_norm=1.0)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_gradient_in_the_same_memory_may_be_of_another_kind():
    memory = np.zeros(8, np.float32)
    ours, theirs = np.ones(8, np.float32), np.ones(8, np.float32)
    one, other = gd.Adam(ours, lr=0.1), gd.Adam(theirs, lr=0.1)
    for kind in (FULL, np.dtype(np.float16), BFLOAT16, FULL):
        grad = memory.view(kind)[:8]
        numbers = np.arange(8, dtype=np.float32) - 3
        grad[...] = halved(numbers, kind) if half_of(kind) else numbers
        one.step(grad, scale=0.5)
        other.step(numbers, scale=0.5)
        assert np.array_equal(ours, theirs)


@every_half
def test_rows_of_halves_are_summed_and_stepped_in_float32(dtype):
    rng = np.random.default_rng(4)
    for master in (False, True):
        table = halved(rng.standard_normal((50, 7)), dtype)
        wide = gd.reference.widen(table)
        ours = table if master else wide.copy()
        one, other = gd.Adam(ours, lr=0.1, master=master, average=0.5), gd.Adam(wide, lr=0.1, average=0.5)
        for _ in range(3):
            index, values = rng.integers(0, 50, 20), halved(rng.standard_normal((20, 7)), dtype)
            rows, passed = gd.Rows(index, values, 50), gd.Rows(index, gd.reference.widen(values), 50)
            assert np.array_equal(np.asarray(rows), np.asarray(passed))
            assert one.step(rows, max_norm=1.0) == other.step(passed, max_norm=1.0)
        assert same(ours, gd.reference.narrow(wide, dtype) if master else wide)
        assert np.array_equal(one.averages(), other.averages())


@every_half
def test_halves_that_are_not_finite_skip_a_step_or_raise(dtype):
    w = halved(np.ones(70), dtype)
    opt = gd.Adam(w, master=True, average=0.5)
    for bad in (math.inf, math.nan):
        grad = halved(np.ones(70), dtype)
        grad[33] = halved(np.array(bad), dtype)[()]
        with pytest.raises(FloatingPointError, match="grads: expected a finite norm"):
            opt.step(grad, max_norm=1.0)
        opt.step(grad, skip_nonfinite=True, zero=True)
        assert not bits(grad).any()
    assert (opt.t, opt.skipped) == (0, 2)
    assert same(w, halved(np.ones(70), dtype))
    large = halved(np.full(70, 3e4), dtype)
    opt.step(large, scale=1e36, skip_nonfinite=True)  # the scaled gradients are looked at
    assert opt.skipped == 3


@every_half
def test_small_steps_are_not_lost_to_rounding(dtype):
    w = halved(np.ones(5), dtype)
    opt = gd.SGD(w, lr=1.0, master=True)
    for _ in range(1000):
        opt.step(np.full(5, 1e-4, np.float32))
    np.testing.assert_allclose(gd.reference.widen(w), 0.9, rtol=4e-3)


# What keeps them -------------------------------------------------------------------------------------------------


def tree_of(dtype):
    rng = np.random.default_rng(5)
    return {"a": halved(rng.standard_normal((5, 3)), dtype), "b": rng.standard_normal(7).astype(np.float32)}


def walk(opt, params, steps, seed):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        opt.step({name: rng.standard_normal(w.shape).astype(np.float32) for name, w in params.items()})


@every_half
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_resumed_run_of_halves_equals_an_uninterrupted_one(dtype, suffix, tmp_path):
    whole, parts = tree_of(dtype), tree_of(dtype)
    opt, again = (gd.Adam(tree, lr=0.01, average=0.9, master=True) for tree in (whole, parts))
    walk(opt, whole, 3, 1)
    assert opt.state_dict()["state"]["a"]["master"].dtype == np.float32
    assert "master" not in opt.state["b"]
    gd.save(tmp_path / f"run.{suffix}", whole, opt)
    found = gd.load(tmp_path / f"run.{suffix}", parts, again)
    assert same(found.params["a"], whole["a"])
    assert half_of(found.params["a"].dtype) == half_of(dtype)
    copied, copied_params = copy.deepcopy((opt, whole))
    pickled, pickled_params = pickle.loads(pickle.dumps((opt, whole)))
    for kept, params in ((opt, whole), (again, parts), (copied, copied_params), (pickled, pickled_params)):
        walk(kept, params, 3, 2)
        assert same(params["a"], whole["a"])
        assert same(params["b"], whole["b"])
        assert np.array_equal(kept.averages()["a"], opt.averages()["a"])


@every_half
def test_a_master_that_was_loaded_is_that_of_the_parameter_or_gives_way(dtype):
    w = halved(np.linspace(1, 2, 9), dtype)
    opt = gd.SGD(w, lr=0.0, master=True)
    saved = opt.state_dict()
    w[...] = halved(np.linspace(5, 6, 9), dtype)
    opt.load_state_dict(saved)
    opt.step(np.ones(9, np.float32))
    assert same(w, halved(np.linspace(5, 6, 9), dtype))


def test_a_container_tells_others_what_bfloat16_is(tmp_path):
    w = gd.bfloat16(np.array([0x3F80, 0x4000], np.uint16))
    gd.save(tmp_path / "w.npz", w)
    gd.save(tmp_path / "w.safetensors", w)
    assert same(np.load(tmp_path / "w.npz")["params"], w)
    assert b'"dtype": "BF16"' in (tmp_path / "w.safetensors").read_bytes()
    with pytest.raises(TypeError, match="params: expected a dtype that"):
        gd.save(tmp_path / "void.npz", np.zeros(2, "V2"))


@every_half
def test_within_averaged_halves_are_the_rounded_averages(dtype):
    params = tree_of(dtype)
    opt = gd.Adam(params, lr=0.1, average=0.5, master=True)
    walk(opt, params, 4, 1)
    before, averages = copy.deepcopy(params), opt.averages()
    assert averages["a"].dtype == np.float32
    with opt.averaged():
        assert same(params["a"], gd.reference.narrow(averages["a"], dtype))
        assert same(params["b"], averages["b"])
    assert all(same(params[name], before[name]) for name in params)


@every_half
def test_groups_may_be_of_halves_and_of_float32(dtype):
    a, b = halved(np.ones(3), dtype), np.ones(3, np.float32)
    opt = gd.SGD([{"params": a, "lr": 0.5}, {"params": [b]}], lr=0.25, master=True)
    opt.step([halved(np.ones(3), dtype), [np.ones(3, np.float32)]])
    assert gd.reference.widen(a).tolist() == [0.5] * 3
    assert b.tolist() == [0.75] * 3


@every_half
def test_a_run_of_halves_keeps_the_best_and_is_resumed(dtype, tmp_path):
    x = np.linspace(-1, 1, 32, dtype=np.float32)
    data = x, 3 * x + 1

    def loss_and_grads(params, x, y):
        w = gd.reference.widen(params)
        error = w[0] * x + w[1] - y
        return float(np.mean(error**2)), halved([np.mean(2 * error * x), np.mean(2 * error)], dtype)

    def run(params, epochs, **given):
        opt = gd.Adam(params, lr=0.3, master=True)
        rng = np.random.default_rng(0)
        gd.fit(loss_and_grads, params, data, opt, epochs=epochs, batch_size=8, rng=rng, **given)
        return params

    given = {"checkpoint": tmp_path / "run.npz", "patience": 20}
    whole, parts = halved(np.zeros(2), dtype), halved(np.zeros(2), dtype)
    run(whole, 30, patience=20)
    run(parts, 10, **given)
    assert same(run(halved(np.zeros(2), dtype), 30, **given, resume=True), whole)
    np.testing.assert_allclose(gd.reference.widen(whole), [3, 1], atol=0.05)


@every_half
def test_the_watch_over_a_run_sees_weights_of_halves(dtype):
    assert largest_weight({"w": halved([1.0, -3.0], dtype), "n": np.arange(9)}) == 3


# What is refused -------------------------------------------------------------------------------------------------


@every_half
def test_halves_without_a_master_are_refused_by_name(dtype):
    name = half_of(dtype)
    with pytest.raises(TypeError, match=rf"params\['w'\]: expected float32 or float64, got {name}; .* master=True"):
        gd.Adam({"w": halved(np.ones(3), dtype)})
    with pytest.raises(TypeError, match="master: expected True or False, got 1 of type int"):
        gd.Adam(np.ones(3), master=1)
    with pytest.raises(TypeError, match=f"param: expected float32 or float64, got {name}"):
        gd.updates.sgd(halved(np.ones(3), dtype), np.ones(3, np.float32), lr=0.1)


@every_half
def test_half_gradients_that_do_not_fit_are_refused_before_any_write(dtype):
    name = half_of(dtype)
    w, wide = halved(np.ones(4), dtype), np.ones(3)
    opt = gd.Adam([w, wide], master=True, average=0.5)
    half, full = halved(np.ones(4), dtype), np.ones(3)
    locked = half.copy()
    locked.flags.writeable = False
    for grads, asked, error, said in [
        ([half, halved(full, dtype)], {}, TypeError, rf"grads\['1'\]: expected float64 \(3,\), got {name} \(3,\)"),
        ([half[:2], full], {}, ValueError, rf"grads\['0'\]: expected the shape of {name} \(4,\), got {name} \(2"),
        ([w, full], {}, ValueError, r"grads\['0'\]: expected memory of its own, got .*params\['0'\]"),
        ([locked, full], {"zero": True}, ValueError, r"grads\['0'\]: expected a writeable array, got a read-only"),
        ([np.ones(4, np.uint16), full], {}, TypeError, r"grads\['0'\]: expected .*, got uint16 \(4,\)"),
        ([np.ones(4, ">f2"), full], {}, TypeError, r"grads\['0'\]: expected .*, got >?f.* in byte order '>'"),
        ([np.ma.array(half), full], {}, TypeError, r"grads\['0'\]: expected an array without a mask"),
        ([None, gd.Rows([0], half[:1], 3)], {}, TypeError, r"grads\['1'\]: expected Rows of float64 \(3,\), got"),
    ]:
        with pytest.raises(error, match=said):
            opt.step(grads, **asked)
    assert opt.t == 0
    assert same(w, half)
    opt.step([half, full], zero=True)
    assert opt.t == 1


@every_half
def test_a_parameter_of_another_kind_in_its_place_is_refused(dtype):
    w = halved(np.ones(4), dtype)
    tree = {"w": w}
    opt = gd.SGD(tree, lr=0.5, master=True)
    tree["w"] = w.copy()
    with pytest.raises(ValueError, match=r"params\['w'\]: expected the array that the optimizer was made for"):
        opt.step({"w": np.ones(4, np.float32)})


@pytest.mark.parametrize("bad", [np.ones(3), np.ones(3, np.int16), [1, 2], np.ones(3, ">u2"), 5])
def test_what_is_no_uint16_is_not_marked(bad):
    with pytest.raises(TypeError, match="array: expected a NumPy array of uint16, the bits of bfloat16, got"):
        gd.bfloat16(bad)


def test_a_mark_is_on_the_same_memory_and_stays_in_views_and_copies():
    own = np.arange(12, dtype=np.uint16).reshape(3, 4)
    marked = gd.bfloat16(own[:, ::2])
    assert np.shares_memory(own, marked)
    assert gd.bfloat16(marked).dtype == marked.dtype
    for other in (marked[1:], marked.T, marked.copy(), pickle.loads(pickle.dumps(marked)), np.asarray(marked)):
        assert half_of(other.dtype) == "bfloat16"
    assert np.array_equal(marked["bfloat16"], own[:, ::2])
    with pytest.raises(TypeError):
        marked + marked
    with pytest.raises(TypeError, match="array: expected an array without a mask"):
        gd.bfloat16(np.ma.array(own))


def test_zero_dimensional_and_empty_halves_step():
    w, empty = halved(np.array(1.0), BFLOAT16), halved(np.zeros(0), BFLOAT16)
    opt = gd.SGD([w, empty], lr=0.5, master=True)
    opt.step([np.float16(1.0), halved(np.zeros(0), np.float16)], max_norm=9.0)
    assert gd.reference.widen(w) == 0.5
