"""Complex parameters are stepped as pairs of reals: every optimizer and rule, bit for bit."""

import copy
import pickle
import re

import numpy as np
import pytest
from engine.test_bad_input import LONG
from rules_table import every_make
from test_rules import VARIANTS, assert_same_bits, call, make_slots, settings

import gdcore as gd
from gdcore.arguments import as_complex, as_pairs
from gdcore.training.divergence import largest_weight

DTYPES = {np.complex64: np.float32, np.complex128: np.float64}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def draw(rng, dtype, shape=(5,)):
    return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape), dtype)


def new_params(dtype):
    """Complex arrays of all kinds, and a real one among them."""
    rng = np.random.default_rng(0)
    return {
        "line": draw(rng, dtype),
        "scalar": draw(rng, dtype, ()),
        "empty": draw(rng, dtype, (0, 2)),
        "fortran": np.asfortranarray(draw(rng, dtype, (3, 4))),
        "strided": draw(rng, dtype, (4, 9))[::2, 1::3],
        "real": rng.standard_normal(3).astype(DTYPES[dtype]),
    }


def new_grads(params, seed):
    rng = np.random.default_rng(seed)
    kinds = {name: draw(rng, complex, x.shape) for name, x in params.items()}
    return {name: (g if params[name].dtype.kind == "c" else g.real).astype(params[name].dtype)
            for name, g in kinds.items()}  # fmt: skip


def in_pairs(tree):
    return {name: np.array(as_pairs(x)) for name, x in tree.items()}


def assert_pairs(ours, theirs):
    for name, x in ours.items():
        np.testing.assert_array_equal(as_pairs(x), theirs[name], err_msg=name, strict=True)


@every_dtype
def test_pairs_are_views_and_come_back(dtype):
    for x in new_params(dtype).values():
        pairs = as_pairs(x)
        if x.dtype.kind == "c":
            assert pairs.shape == (*x.shape, 2)
            assert np.shares_memory(pairs, x) or not x.size
            np.testing.assert_array_equal(as_complex(pairs), x, strict=True)
        else:
            assert pairs is x


@every_dtype
@every_make
def test_an_optimizer_steps_complex_parameters_as_pairs(make, dtype):
    ours = new_params(dtype)
    theirs = in_pairs(ours)
    opt, other = make(ours, average=0.5), make(theirs, average=0.5)
    for seed, asked in enumerate(
        ({}, {"max_norm": 1.0}, {"scale": 0.5, "max_value": 0.3}, {"skip_nonfinite": True})
    ):
        grads = new_grads(ours, seed)
        assert opt.step(grads, **asked) == other.step(in_pairs(grads), **asked)
        assert_pairs(ours, theirs)
    averages, state = opt.averages(), opt.state_dict()
    assert all(averages[name].dtype == x.dtype and averages[name].shape == x.shape for name, x in ours.items())
    assert_pairs(averages, other.averages())
    for name, slots in other.state_dict()["state"].items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(state["state"][name][slot], array, strict=True)
    with opt.averaged():
        assert_pairs(ours, averages | in_pairs(averages))
    assert_pairs(ours, theirs)


@every_dtype
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_reference_and_updates_take_complex_arrays_as_pairs(rule, options, dtype):
    rng = np.random.default_rng(1)
    w, given = draw(rng, dtype), settings(rule, options)
    ours, theirs, pairs = w.copy(), w.copy(), np.array(as_pairs(w))
    slots = [make_slots(rule, options, shape, DTYPES[dtype]) for shape in ((5, 2), (5, 2))]
    complex_slots = make_slots(rule, options, 5, dtype)
    for t in (1, 2):
        g = draw(rng, dtype)
        call(gd.updates, rule, t, ours, g, slots[0], given)
        call(gd.updates, rule, t, pairs, np.array(as_pairs(g)), slots[1], given)
        call(gd.reference, rule, t, theirs, g, complex_slots, given)
    assert_same_bits(as_pairs(ours).ravel(), pairs.ravel(), "updates")
    assert_same_bits(as_pairs(theirs).ravel(), pairs.ravel(), "reference")
    for name, slot in complex_slots.items():
        assert_same_bits(as_pairs(slot).ravel(), slots[0][name].ravel(), name)


def test_the_reference_of_stages_takes_complex_arrays():
    z = draw(np.random.default_rng(2), np.complex64)
    np.testing.assert_array_equal(gd.reference.scale(z, 0.5), z * np.float32(0.5), strict=True)
    assert np.isclose(gd.reference.norm([z]), np.linalg.norm(z))
    assert np.abs(as_pairs(gd.reference.clip(z, 0.1))).max() <= np.float32(0.1)


@every_make
def test_a_copied_or_pickled_optimizer_goes_on_with_complex_parameters(make):
    params = new_params(np.complex64)
    opt = make(params)
    opt.step(new_grads(params, 0))
    for again in (copy.deepcopy((opt, params)), pickle.loads(pickle.dumps((opt, params)))):
        other, others = again
        other.step(new_grads(params, 1))
        fresh = {name: x.copy() for name, x in params.items()}
        third = make(fresh)
        third.load_state_dict(opt.state_dict())
        third.step(new_grads(params, 1))
        assert_pairs(others, in_pairs(fresh))


def test_gradients_by_rows_are_of_complex_numbers_too():
    table, whole = np.ones((4, 2), np.complex64), np.ones((4, 2), np.complex64)
    rows = gd.Rows([2, 0, 2], draw(np.random.default_rng(3), np.complex64, (3, 2)), 4)
    gd.SGD(table, lr=0.5).step(rows)
    gd.SGD(whole, lr=0.5).step(np.asarray(rows))
    np.testing.assert_array_equal(table, whole)
    with pytest.raises(
        TypeError, match=re.escape("grads: expected Rows of complex128, got Rows(3 of 4, complex64")
    ):
        gd.SGD(np.ones((4, 2), complex), lr=0.5).step(rows)


def test_a_run_that_diverges_is_known_by_the_parts_of_its_weights():
    assert largest_weight({"z": np.array([3.0 - 7.0j, 2.0]), "x": np.ones(2)}) == 7


def test_gradients_can_be_set_to_zero_and_a_step_that_is_not_finite_skipped():
    params = new_params(np.complex128)
    opt, grads = gd.Adam(params), new_grads(params, 0)
    grads["line"][2] = complex(0, np.nan)
    before = copy.deepcopy(params)
    opt.step(grads, skip_nonfinite=True, zero=True)
    assert opt.skipped == 1
    assert_pairs(params, in_pairs(before))
    assert not any(g.any() for g in grads.values())


def test_the_norm_of_complex_gradients_is_limited():
    grads = {"z": np.array([3.0 + 0.0j, 4.0j]), "none": None, "x": np.array([12.0])}
    clipped, norm = gd.clip_by_global_norm(grads, 6.5)
    assert norm == 13
    np.testing.assert_array_equal(clipped["z"], [1.5, 2j], strict=True)
    assert gd.clip_by_global_norm(grads, 20.0)[0] is grads
    assert gd.clip_by_global_norm(grads, 6.5, out=grads)[0] is grads
    np.testing.assert_array_equal(grads["z"], [1.5, 2j])
    np.testing.assert_array_equal(gd.clip_by_value([np.array([3.0 - 0.5j])], 1.0)[0], [1 - 0.5j])


@pytest.mark.parametrize("bad", [np.ones(3), np.ones(3, np.complex64), np.ones(2, complex), 1j, "a"])
def test_a_gradient_unlike_its_complex_parameter_is_refused(bad):
    z = np.ones(3, complex)
    with pytest.raises((TypeError, ValueError), match=re.escape("grads: expected complex128 (3,), got")):
        gd.Adam(z).step(bad)
    np.testing.assert_array_equal(z, 1)


def test_complex_parameters_that_cannot_be_stepped_are_refused():
    z = np.ones(4, complex)
    z.flags.writeable = False
    for params, said in (
        (z, "params: expected a writeable array, got a read-only one"),
        (np.ones(2, np.clongdouble), f"params: expected complex64 or complex128, got {LONG[1]}"),
        (np.ma.ones(2, dtype=complex), "params: expected an array without a mask"),
        (np.ones(2, ">c16"), "params: expected native byte order"),
        ([x := np.ones(4, complex), x[1:]], "params['1']: expected memory of its own"),
        ([x, x.imag], "params['1']: expected memory of its own"),
    ):
        with pytest.raises((TypeError, ValueError), match=re.escape(said)):
            gd.Adam(params)


def test_a_complex_parameter_that_was_replaced_is_refused():
    params = {"z": np.ones(3, complex)}
    opt = gd.Adam(params)
    params["z"] = params["z"].copy()
    with pytest.raises(
        ValueError, match=re.escape("params['z']: expected the array that the optimizer was made for")
    ):
        opt.step({"z": np.ones(3, complex)})
    params["z"] = params["z"][:]
    with pytest.raises(ValueError, match=re.escape("params['z']: expected the array that")):
        opt.check_params(params)


def test_checkpoints_hold_complex_parameters_where_their_format_does(tmp_path):
    params = new_params(np.complex64)
    opt = gd.Adam(params, average=0.5)
    opt.step(new_grads(params, 0))
    gd.save(tmp_path / "run.npz", params=params, optimizer=opt)
    other = new_params(np.complex64)
    again = gd.Adam(other, average=0.5)
    gd.load(tmp_path / "run.npz", params=other, optimizer=again)
    for step in (1, 2):
        opt.step(new_grads(params, step))
        again.step(new_grads(params, step))
    assert_pairs(params, in_pairs(other))
    with pytest.raises(TypeError, match="expected a dtype that"):
        gd.save(tmp_path / "run.safetensors", params=params, optimizer=opt)
