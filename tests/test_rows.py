"""Gradients by rows: a step of those rows alone, with the bits of the reference on the rows gathered."""

import numpy as np
import pytest
from rules_table import every_make
from test_rules import VARIANTS, assert_same_bits, call, make_slots, settings
from test_stages import COMBINATIONS, DTYPES, optimizer_of

import gdcore as gd

SHAPES = [(50,), (50, 1), (50, 3), (50, 64), (20, 7, 5), (9, 700)]


def new_tables(dtype, rng):
    """Tables of many widths, in C and Fortran order and strided."""
    tables = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    return [*tables, np.asfortranarray(tables[3]), rng.standard_normal((40, 20)).astype(dtype)[::2, ::-3]]


def new_rows(table, rng):
    n = int(rng.integers(0, 30))
    values = rng.standard_normal((n, *table.shape[1:])).astype(table.dtype)
    return gd.Rows(rng.integers(0, len(table), n), values, len(table))


def gathered(rows):
    """Each row once, in rising order, and the sum of what was given for it, one after the other."""
    index = np.unique(rows.index)
    sums = np.empty((len(index), *rows.values.shape[1:]), rows.values.dtype)
    for place, i in enumerate(index):
        first, *others = rows.values[rows.index == i]
        sums[place] = first
        for other in others:
            sums[place] += other
    return index, sums


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), [v for v in VARIANTS if v.values[0].has_gradient])
def test_a_step_by_rows_equals_the_reference_on_these_rows_bit_for_bit(rule, options, dtype):
    rng = np.random.default_rng(1)
    given = settings(rule, options)
    for asked in [combination for combination in COMBINATIONS if "zero" not in combination][::5]:
        kept = {"average": asked["average"]} if "average" in asked else {}
        args = {name: value for name, value in asked.items() if name != "average"}
        ours = new_tables(dtype, rng)
        theirs = [w.copy() for w in ours]
        slots = [make_slots(rule, options, w.shape, dtype) | {name: w.copy() for name in kept} for w in ours]
        opt = optimizer_of(rule)(ours, **{"weight_decay": 0.0, **given}, **kept)
        for t in range(1, 4):
            grads = [new_rows(w, rng) for w in ours]
            places, passed = zip(*map(gathered, grads), strict=True)
            passed = [gd.reference.scale(g, asked.get("scale", 1.0)) for g in passed]
            passed = [gd.reference.clip(g, asked.get("max_value", 1e30)) for g in passed]
            found = gd.reference.norm(passed)
            if found > asked.get("max_norm", np.inf):
                passed = [gd.reference.scale(g, asked["max_norm"] / found) for g in passed]
            assert opt.step(grads, **args) == (found if "max_norm" in asked else None)
            for w, g, at, own in zip(theirs, passed, places, slots, strict=True):
                part, parts = w[at], {name: slot[at] for name, slot in own.items() if name != "average"}
                call(gd.reference, rule, t, part, g, parts, given)
                w[at] = part
                for name, slot in parts.items():
                    own[name][at] = slot
                if kept:
                    averages = own["average"][at]
                    gd.reference.average(part, averages, 1 - asked["average"])
                    own["average"][at] = averages
            for i, own in enumerate(opt.state.values()):
                assert_same_bits(np.ravel(ours[i]), np.ravel(theirs[i]), f"param {i} with {asked}")
                for name, slot in own.items():
                    assert_same_bits(np.ravel(slot), np.ravel(slots[i][name]), f"{name} {i} with {asked}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_an_update_of_rows_is_that_of_these_rows_taken_out_and_put_back(rule, options, dtype):
    rng = np.random.default_rng(4)
    given = {**settings(rule, options), "weight_decay": 0.1}
    tables = new_tables(dtype, rng)
    slots = [make_slots(rule, options, w.shape, dtype) for w in tables]
    others, other_slots = [w.copy() for w in tables], [{n: s.copy() for n, s in own.items()} for own in slots]
    third, third_slots = [w.copy() for w in tables], [{n: s.copy() for n, s in own.items()} for own in slots]
    for t in range(1, 4):
        for i in range(len(tables)):
            rows = new_rows(tables[i], rng)
            at, g = gathered(rows)
            call(gd.updates, rule, t, tables[i], rows.values, slots[i], {**given, "rows": rows.index})
            call(gd.reference, rule, t, others[i], rows.values, other_slots[i], {**given, "rows": rows.index})
            part, parts = third[i][at], {name: slot[at] for name, slot in third_slots[i].items()}
            call(gd.updates, rule, t, part, g, parts, given)
            third[i][at] = part
            for name, slot in parts.items():
                third_slots[i][name][at] = slot
    for i, ours in enumerate(tables):
        for twin, twin_slots in ((others, other_slots), (third, third_slots)):
            assert_same_bits(np.ravel(ours), np.ravel(twin[i]), f"param {i}")
            for name, slot in slots[i].items():
                assert_same_bits(np.ravel(slot), np.ravel(twin_slots[i][name]), f"{name} {i}")


def test_an_update_of_rows_is_the_step_of_an_optimizer_by_rows():
    rng = np.random.default_rng(5)
    w, m, v = rng.standard_normal((30, 4)), np.zeros((30, 4)), np.zeros((30, 4))
    table = w.copy()
    opt = gd.Adam(table, lr=0.1, l2=0.5)
    for t in range(1, 5):
        rows = new_rows(w, rng)
        gd.updates.adam(w, rows.values, m, v, t=t, lr=0.1, l2=0.5, rows=rows.index)
        opt.step(rows)
    assert_same_bits(w.ravel(), table.ravel(), "param")
    assert_same_bits(v.ravel(), opt.state["param"]["v"].ravel(), "v")


def test_an_update_of_rows_reads_a_gradient_of_any_strides_and_may_have_no_rows():
    w = np.zeros((4, 2))
    gd.updates.sgd(w, np.arange(12.0).reshape(2, 6).T[::3], lr=1.0, rows=[3, 1])
    assert w.tolist() == [[0, 0], [-3, -9], [0, 0], [0, -6]]
    gd.updates.sgd(w, np.empty((0, 2)), lr=1.0, rows=[])
    gd.updates.sgd(np.empty((0, 2)), np.empty((0, 2)), lr=1.0, rows=[])
    gd.updates.decay(w, lr=1.0, weight_decay=1.0, rows=np.array([3, 3], np.uint8))
    assert w.tolist() == [[0, 0], [-3, -9], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("rows", "grad", "error", "said"),
    [
        ([0.5], np.ones((1, 2)), TypeError, r"rows: expected integers of shape \(n,\), got float64 \(1,\)"),
        (1, np.ones((1, 2)), TypeError, r"rows: expected integers of shape \(n,\), got int64 \(\)"),
        ([True, False, True], np.ones((2, 2)), TypeError, "rows: expected integers"),
        ([-1], np.ones((1, 2)), ValueError, r"rows: expected rows in \[0, 3\), got -1"),
        ([3], np.ones((1, 2)), ValueError, r"rows: expected rows in \[0, 3\), got 3"),
        ([1], np.ones((3, 2)), ValueError, r"grad: expected float64 \(1, 2\), got float64 \(3, 2\)"),
        ([1], np.ones((1, 2), np.float32), TypeError, r"grad: expected float64 \(1, 2\), got float32"),
        ([1], [[1.0, 1.0]], TypeError, r"grad: expected float64 \(1, 2\), got list"),
    ],
)
def test_rows_that_do_not_fit_an_update_are_refused_before_any_write(rows, grad, error, said):
    w = np.ones((3, 2))
    with pytest.raises(error, match=said):
        gd.updates.sgd(w, grad, lr=1.0, rows=rows)
    with pytest.raises(ValueError, match="rows: expected None, as a 0-d parameter has no rows"):
        gd.updates.decay(np.ones(()), lr=1.0, weight_decay=1.0, rows=[0])
    m = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"v: expected float64 \(3, 2\), got float64 \(2, 2\)"):
        gd.updates.momentum(w, np.ones((1, 2)), m, lr=1.0, rows=[1])
    with pytest.raises(ValueError, match="v: expected memory of its own"):
        gd.updates.momentum(w, np.ones((1, 2)), w, lr=1.0, rows=[1])
    assert w.min() == m.min() == 1


@every_make
def test_a_step_by_all_rows_is_the_dense_step_whatever_the_threads(make):
    before = gd.get_num_threads()
    rng = np.random.default_rng(2)
    by_rows, dense = rng.standard_normal((2, 2_500, 96)).astype(np.float32)
    dense[...] = by_rows
    one, other = make([by_rows, np.ones(3)]), make([dense, np.ones(3)])
    try:
        for count in (1, 3, 3, 3, 3, 3):
            gd.set_num_threads(count)
            grad = rng.standard_normal(dense.shape, dtype=np.float32)
            order = rng.permutation(len(dense))
            one.step([gd.Rows(order, grad[order], len(dense)), None])
            other.step([grad, None])
    finally:
        gd.set_num_threads(before)
    assert np.array_equal(by_rows, dense)


def test_rows_and_dense_gradients_may_take_turns():
    rng = np.random.default_rng(3)
    w = rng.standard_normal((30, 4))
    other, dense = w.copy(), rng.standard_normal((30, 4))
    opt, twin = gd.Adam(w, lr=0.1), gd.Adam(other, lr=0.1)
    opt.step(gd.Rows(range(30), dense, 30))
    opt.step(dense)
    twin.step(dense)
    twin.step(dense)
    assert np.array_equal(w, other)
    opt.step(gd.Rows([], np.empty((0, 4)), 30))
    assert np.array_equal(w, other)
    assert opt.t == 3


def test_a_row_gradient_that_is_not_finite_skips_the_step():
    w = np.ones((4, 2))
    opt = gd.Adam(w)
    opt.step(gd.Rows([1, 1], [[np.inf, 1], [1.0, 1]], 4), skip_nonfinite=True)
    assert (opt.t, opt.skipped, w.min()) == (0, 1, 1)


def test_rows_are_the_array_that_they_stand_for():
    rows = gd.Rows([2, 0, 2], [[1.0], [2.0], [3.0]], 4)
    assert np.asarray(rows).tolist() == [[2], [0], [4], [0]]
    assert repr(rows) == "Rows(3 of 4, float64 (3, 1))"


BAD = [
    (([1.5], [[1.0]], 3), TypeError, r"index: expected integers of shape \(n,\), got float64 \(1,\)"),
    (([[1]], [[1.0]], 3), TypeError, r"index: expected integers of shape \(n,\), got int64 \(1, 1\)"),
    (([3], [[1.0]], 3), ValueError, r"index: expected rows in \[0, 3\), got 3"),
    (([-1], [[1.0]], 3), ValueError, r"index: expected rows in \[0, 3\), got -1"),
    (([1], [[1.0], [2.0]], 3), ValueError, r"values: expected 1 rows as in the index, got float64 \(2, 1\)"),
    (([1], [[1]], 3), TypeError, r"values: expected float32 or float64, got int64 \(1, 1\)"),
    (([1], [[1.0]], -1), ValueError, "length: expected an int >= 0, got -1"),
]


@pytest.mark.parametrize(("given", "error", "said"), BAD, ids=range(len(BAD)))
def test_bad_rows_are_refused_by_name(given, error, said):
    with pytest.raises(error, match=said):
        gd.Rows(*given)


def test_rows_that_do_not_fit_their_parameter_are_refused_before_any_write():
    table, bias = np.ones((3, 2)), np.ones(())
    opt = gd.Adam({"E": table, "b": bias})
    good = gd.Rows([1], np.ones((1, 2)), 3)
    changed = gd.Rows([1], np.ones((1, 2)), 3)
    changed.index[0] = 7
    for grads, error, said in [
        ({"E": gd.Rows([1], np.ones((1, 2)), 4), "b": None}, ValueError, r"grads\['E'\]: expected Rows of float64"),
        ({"E": gd.Rows([1], np.ones((1, 3)), 3), "b": None}, ValueError, r"grads\['E'\]: expected Rows of float64"),
        (
            {"E": gd.Rows([1], np.ones((1, 2), "f4"), 3), "b": None},
            TypeError,
            r"grads\['E'\]: expected Rows of float64",
        ),
        ({"E": good, "b": gd.Rows([0], [1.0], 1)}, ValueError, r"grads\['b'\]: .* a 0-d parameter has no rows"),
        ({"E": changed, "b": None}, ValueError, r"grads\['E'\]\.index: expected rows in \[0, 3\), got 7"),
        ({"E": good, "b": np.ones(2)}, ValueError, r"grads\['b'\]: expected float64 \(\), got float64 \(2,\)"),
    ]:
        with pytest.raises(error, match=said):
            opt.step(grads)
    with pytest.raises(ValueError, match=r"zero: expected False with gradients by rows"):
        opt.step({"E": good, "b": None}, zero=True)
    assert (opt.t, table.tolist()) == (0, [[1, 1]] * 3)
