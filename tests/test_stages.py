"""A whole step leaves the bits of its stages one after the other. Every test of parity walks rules and stages."""

import itertools
import math

import numpy as np
import pytest
from rules_table import KINDS, every_make
from test_rules import VARIANTS, assert_same_bits, call, make_slots, settings

import gdcore as gd
from gdcore import stages

DTYPES = [np.float32, np.float64]
ASKED = {"scale": -0.5, "max_value": 1.5, "max_norm": 2.0, "zero": True, "average": 0.75}
COMBINATIONS = [
    {name: value for (name, value), on in zip(ASKED.items(), chosen, strict=True) if on}
    for chosen in itertools.product((False, True), repeat=len(ASKED))
]
SHAPES = [(), (1,), (7,), (16,), (129,), (40, 33)]


def new_arrays(dtype, rng):
    """Arrays of many sizes, in C and Fortran order and strided."""
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    return [*arrays, np.asfortranarray(arrays[-1]), rng.standard_normal((20, 60)).astype(dtype)[::2, 1::3]]


def before_the_rule(passed, asked):
    """Return gradients as they come to the rule, by the stages in plain NumPy, and the norm."""
    found = None
    if "scale" in asked:
        passed = [gd.reference.scale(g, asked["scale"]) for g in passed]
    if "max_value" in asked:
        passed = [gd.reference.clip(g, asked["max_value"]) for g in passed]
    if "max_norm" in asked:
        found = gd.reference.norm(passed)
        if found > asked["max_norm"]:
            passed = [gd.reference.scale(g, asked["max_norm"] / found) for g in passed]
    return passed, found


def by_reference(rule, t, params, grads, slots, given, asked):
    """One step as its stages one after the other in plain NumPy; returns the norm."""
    passed, found = before_the_rule(grads, asked)
    for w, g, own in zip(params, passed, slots, strict=True):
        call(gd.reference, rule, t, w, g, {name: slot for name, slot in own.items() if name != "average"}, given)
        if "average" in asked:
            gd.reference.average(w, own["average"], 1 - asked["average"])
    if "zero" in asked:
        for g in grads:
            gd.reference.zero(g)
    return found


def optimizer_of(rule):
    return next(kind for kind in KINDS.values() if kind.rule is rule)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), [v for v in VARIANTS if v.values[0].has_gradient])
def test_a_step_equals_its_stages_one_after_the_other_bit_for_bit(rule, options, dtype):
    rng = np.random.default_rng(1)
    given = settings(rule, options)
    for asked in COMBINATIONS:
        ours = new_arrays(dtype, rng)
        theirs = [np.copy(w) for w in ours]
        slots = [make_slots(rule, options, w.shape, dtype) for w in ours]
        kept = {"average": asked["average"]} if "average" in asked else {}
        for w, own in zip(theirs, slots, strict=True):
            own.update({name: w.copy() for name in kept})
        opt = optimizer_of(rule)(ours, **{"weight_decay": 0.0, **given}, **kept)
        for t in range(1, 3):
            grads = new_arrays(dtype, rng)
            copies = [np.copy(g, order="K") for g in grads]
            norm = by_reference(rule, t, theirs, copies, slots, given, asked)
            assert opt.step(grads, **{k: v for k, v in asked.items() if k != "average"}) == norm
            for i, (w, own) in enumerate(zip(ours, opt.state.values(), strict=True)):
                assert_same_bits(np.ravel(w), np.ravel(theirs[i]), f"param {i} with {asked}")
                assert np.array_equal(grads[i], copies[i])
                for name, slot in own.items():
                    assert_same_bits(np.ravel(slot), np.ravel(slots[i][name]), f"{name} {i} with {asked}")


@every_make
def test_a_large_step_of_many_threads_and_arrays_equals_its_stages(make):
    rng = np.random.default_rng(2)
    before = gd.get_num_threads()
    try:
        for count in (1, 3):
            gd.set_num_threads(count)
            rng = np.random.default_rng(2)
            whole = [rng.standard_normal(n, dtype=np.float32) for n in (70_003, 5, 66_000)]
            apart = [w.copy() for w in whole]
            one, other = make(whole), make(apart)
            for _ in range(6):
                grads = [rng.standard_normal(w.size, dtype=np.float32) for w in whole]
                scaled = [gd.reference.clip(gd.reference.scale(g, 3.0), 4.0) for g in grads]
                clipped, norm = gd.clip_by_global_norm(scaled, 1.0)
                assert one.step(grads, scale=3.0, max_value=4.0, max_norm=1.0) == norm
                other.step(clipped)
            for a, b in zip(whole, apart, strict=True):
                assert_same_bits(a, b, f"{count} threads")
    finally:
        gd.set_num_threads(before)


@pytest.mark.parametrize("asked", [{}, {"scale": 0.5, "zero": True}], ids=["plain", "stages"])
def test_a_step_out_of_the_caches_leaves_the_bits_of_steps_within(asked):
    """Of its pieces some are driven the one way and some the other, and the first ones half and half."""
    rng = np.random.default_rng(9)
    w, g = rng.standard_normal((2, 300_001)).astype(np.float32)
    params, grads = ([part.copy() for part in np.array_split(whole, 7)] for whole in (w, g))
    for param, grad in zip([w, *params], [g, *grads], strict=True):
        opt = gd.Adam(param, average=0.5 if asked else None)
        for _ in range(2):
            opt.step(grad, **asked)
            grad[...] += 1
    assert_same_bits(w, np.concatenate(params), "param")


@pytest.mark.parametrize("dtype", DTYPES)
def test_stages_equal_their_twins_on_special_values(dtype):
    info = np.finfo(dtype)
    special = np.array(
        [0, -0.0, 1, -1, 2, info.tiny, info.smallest_subnormal, info.max, -info.max, np.inf, -np.inf, np.nan], dtype
    )
    grad = np.tile(special, 50)
    for asked in ({"scale": 3.0}, {"max_value": 1.0}, {"max_value": 1e300}, {"scale": 0.0, "max_value": math.inf}):
        ours, theirs = np.ones_like(grad), np.ones_like(grad)
        gd.SGD(ours, lr=1.0).step(grad, **asked)
        passed = gd.reference.scale(grad, asked.get("scale", 1.0))
        passed = gd.reference.clip(passed, asked["max_value"]) if "max_value" in asked else passed
        gd.reference.sgd(theirs, passed, lr=1.0)
        assert_same_bits(ours, theirs, str(asked))


@pytest.mark.parametrize("limit", [1e-5, 1e-20, 1e-37])
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float32, 1e37), (np.float64, 1e307)])
def test_a_factor_below_the_normal_numbers_costs_no_digit(dtype, size, limit):
    given = np.array([3.0, -2.0, 1.5, 0.0] * 20, dtype) * dtype(size)
    limit = limit if dtype is np.float32 else limit * 1e-260  # over the norm, below what the dtype can hold
    norm = gd.reference.norm([given])
    w, v = np.zeros_like(given), np.zeros_like(given)
    assert gd.SGD(w, lr=1.0).step(given, max_norm=limit) == norm
    np.testing.assert_allclose(-w, given.astype(np.float64) / norm * limit, rtol=4 * np.finfo(dtype).eps)
    (clipped,), _ = gd.clip_by_global_norm([given], limit)
    assert_same_bits(0 - w, clipped, "clipped")
    assert_same_bits(clipped, gd.reference.scale(given, limit, norm), "reference")
    out = given.copy()
    gd.clip_by_global_norm({"w": out}, limit, out={"w": out})
    assert_same_bits(out, clipped, "in place")
    if dtype is np.float64:
        return  # a scale that it cannot hold cannot be given
    gd.SGD(v, lr=1.0).step(given, scale=limit / size)
    np.testing.assert_allclose(-v, given.astype(np.float64) / size * limit, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [*range(20), 127, 128, 129, 500, 513, 1_025, 65_535, 65_537, 150_001])
def test_the_norm_is_that_of_the_reference_bit_for_bit_in_any_memory(dtype, size):
    rng = np.random.default_rng(size)
    long = rng.standard_normal(2 * size + 1).astype(dtype)
    dense, strided = long[:size].copy(), long[1 : 2 * size : 2]
    expected = gd.reference.norm([dense])
    assert math.isclose(expected, np.linalg.norm(dense.astype(np.float64)), rel_tol=1e-14)
    assert gd.clip_by_global_norm([dense], math.inf)[1] == expected
    shifted = np.empty(size + 1, dtype)[1:]
    shifted[...] = dense
    assert gd.clip_by_global_norm([shifted], math.inf)[1] == expected
    assert gd.clip_by_global_norm([strided], math.inf)[1] == gd.reference.norm([strided])
    assert gd.SGD(np.zeros(size, dtype), lr=0.1).step(dense, max_norm=math.inf) == expected


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-160, 1e-30, 1e30, 1e160, 1e300])
def test_a_norm_that_can_be_stated_is_found_whatever_its_squares(size):
    for dtype in DTYPES:
        if np.float64(size) == 0 or (dtype is np.float32 and not 1e-45 < size < 3e38):
            continue
        grads = [np.full(300, 3 * size, dtype), np.full((20, 20), 4 * size, dtype)[:, ::2]]
        exact = math.hypot(*(float(x) / size for g in grads for x in g.ravel())) * size
        norm = gd.SGD([np.zeros(300, dtype), np.zeros((20, 10), dtype)], lr=0.1).step(grads, max_norm=math.inf)
        assert math.isclose(norm, exact, rel_tol=1e-13 if size > 1e-308 else 1e-2)
        assert norm == gd.reference.norm(grads)


@every_make
def test_a_step_that_is_not_finite_is_skipped_whole_and_counted(make):
    rng = np.random.default_rng(3)
    for bad, asked in itertools.product((np.nan, np.inf, -np.inf), ({}, {"max_value": 1.0}, {"max_norm": 1.0})):
        w = rng.standard_normal((30, 40))
        opt = make(w)
        opt.step(rng.standard_normal((30, 40)))
        before, state, grad = w.copy(), opt.state_dict()["state"], rng.standard_normal((30, 40))
        grad[17, 31] = bad
        norm = opt.step(grad, skip_nonfinite=True, zero=True, **asked)
        assert norm is None if "max_norm" not in asked else not math.isfinite(norm)
        assert (opt.t, opt.skipped) == (1, 1)
        assert np.array_equal(w, before)
        assert not grad.any()  # so that gradients that are accumulated begin anew
        for name, slots in opt.state.items():
            assert all(np.array_equal(slot, state[name][slot_name]) for slot_name, slot in slots.items())
        opt.step(rng.standard_normal((30, 40)), skip_nonfinite=True, **asked)
        assert (opt.t, opt.skipped) == (2, 1)


def test_a_gradient_that_only_overflows_its_scale_is_skipped():
    w = np.ones(3, np.float32)
    opt = gd.SGD(w, lr=0.1)
    opt.step(np.full(3, 1e38, np.float32), scale=10.0, skip_nonfinite=True)
    assert (opt.t, opt.skipped, w[0]) == (0, 1, 1)
    wide = np.ones(3)
    gd.SGD(wide, lr=1e-308).step(np.full(3, 1e308), skip_nonfinite=True)  # whose squares alone overflow
    np.testing.assert_allclose(wide, 0, atol=1e-15)


def test_a_norm_that_is_not_finite_raises_before_any_write():
    w, grad = np.ones(3), np.array([1.0, np.nan, 2.0])
    opt = gd.Adam(w)
    with pytest.raises(FloatingPointError, match="grads: expected a finite norm, got nan"):
        opt.step(grad, max_norm=1.0, zero=True)
    assert (opt.t, w.tolist(), grad[2]) == (0, [1, 1, 1], 2)


BAD = [
    ({"scale": math.nan}, ValueError, "scale: expected a number that is finite in float32, got nan"),
    ({"scale": 1e39}, ValueError, r"scale: expected a number that is finite in float32, got 1e\+39"),
    ({"scale": "2"}, TypeError, "scale: expected a finite number, got '2' of type str"),
    ({"max_norm": 0}, ValueError, "max_norm: expected a number > 0, got 0"),
    ({"max_value": -1.0}, ValueError, r"max_value: expected a number > 0, got -1\.0"),
    ({"zero": 1}, TypeError, "zero: expected True or False, got 1 of type int"),
    ({"skip_nonfinite": None}, TypeError, "skip_nonfinite: expected True or False, got None"),
]


@pytest.mark.parametrize(("asked", "error", "said"), BAD, ids=lambda x: str(x)[:20])
def test_what_a_step_is_asked_beside_gradients_is_checked_by_name(asked, error, said):
    w = np.ones(3, np.float32)
    opt = gd.Adam(w)
    with pytest.raises(error, match=said):
        opt.step(np.ones(3, np.float32), **asked)
    assert (opt.t, w.tolist()) == (0, [1, 1, 1])


def test_gradients_that_are_set_to_zero_are_writeable_and_apart():
    a, b = np.ones(4), np.ones(4)
    opt = gd.SGD([a, b], lr=0.1)
    locked = np.ones(4)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match=r"grads\['1'\]: expected a writeable array, got a read-only one"):
        opt.step([np.ones(4), locked], zero=True)
    with pytest.raises(ValueError, match=r"grads\['0'\]: expected elements that share no memory"):
        opt.step([np.lib.stride_tricks.as_strided(np.ones(1), (4,), (0,)), np.ones(4)], zero=True)
    shared = np.ones(4)
    with pytest.raises(ValueError, match=r"grads\['1'\]: expected memory of its own, got the same array as"):
        opt.step([shared, shared], zero=True)
    assert (opt.t, a.tolist(), shared.tolist()) == (0, [1] * 4, [1] * 4)
    pair = np.ones(8)
    opt.step([pair[::2], pair[1::2]], zero=True)  # which interleave and share nothing
    assert not pair.any()
    opt.step([shared, shared])  # which is fine where they are only read


def test_the_table_of_stages_is_that_of_the_reference():
    assert all(callable(getattr(gd.reference, name)) for name in stages.STAGES)


def test_clipping_writes_to_out_what_it_would_return():
    rng = np.random.default_rng(5)
    grads = {
        "a": rng.standard_normal((70, 2000)).astype(np.float32),
        "b": [None, rng.standard_normal(7)],
        "c": np.ones(()),
    }
    copies = {"a": grads["a"].copy(), "b": [None, grads["b"][1].copy()], "c": np.ones(())}
    for limit in (0.5, 1e9):
        returned, norm = gd.clip_by_global_norm(grads, limit)
        into = {"a": np.empty((2000, 70), np.float32).T, "b": [None, np.empty(14)[::2]], "c": np.zeros(())}
        assert gd.clip_by_global_norm(grads, limit, out=into) == (into, norm)
        assert np.array_equal(into["a"], returned["a"])
        assert np.array_equal(into["b"][1], returned["b"][1])
        assert into["c"] == returned["c"]
        assert np.array_equal(grads["a"], copies["a"])
    returned, _ = gd.clip_by_global_norm(copies, 0.5)
    assert gd.clip_by_global_norm(grads, 0.5, out=grads)[0] is grads
    assert np.array_equal(grads["a"], returned["a"])


def test_out_is_checked_before_anything_is_written():
    grads = [np.ones(3), np.ones(3)]
    with pytest.raises(TypeError, match=r"out\['1'\]: expected float64 \(3,\), got float32 \(3,\)"):
        gd.clip_by_global_norm(grads, 1.0, out=[np.ones(3), np.ones(3, np.float32)])
    with pytest.raises(ValueError, match=r"out\['0'\]: expected memory of its own, got the same array as grads"):
        gd.clip_by_global_norm(grads, 1.0, out=[grads[1], np.ones(3)])
    with pytest.raises(ValueError, match=r"out: expected 2 items, got 1"):
        gd.clip_by_global_norm(grads, 1.0, out=[np.ones(3)])
    assert all((g == 1).all() for g in grads)
