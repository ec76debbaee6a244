"""Gradients by rows: of leaves in which a function only looks rows up."""

import tracemalloc

import numpy as np
import pytest

import gdcore as gd

RNG = np.random.default_rng(0)
TABLES = [np.asarray(RNG.standard_normal(shape)) for shape in ((9,), (9, 4), (9, 1), (9, 2, 3), (9, 0))]
INDICES = [
    3,
    np.int32(-2),
    [1, 1, 1, -1, 8],
    np.array([], np.intp),
    np.array([4], np.uint8),
    RNG.integers(-9, 9, 40),
    RNG.integers(0, 9, (3, 2, 5)),
]
LOOK_UPS = [
    lambda table, i: table[i],
    lambda table, i: table[i, ...],
    lambda table, i: np.take(table, i, axis=0),
    lambda table, i: table.take(i, 0),
]


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_the_sum_of_the_rows_is_the_dense_gradient_bit_for_bit(look_up, dtype):
    for table in TABLES:
        for index in INDICES:
            params = {"E": table.astype(dtype), "w": dtype(1.5)}

            def f(p, index=index):
                return np.sum(np.sin(look_up(p["E"], index) * p["w"]) ** 2)

            value, grads = gd.value_and_grad(f, rows=("E",))(params)
            dense_value, dense = gd.value_and_grad(f)(params)
            rows = grads["E"]
            assert type(rows) is gd.Rows
            assert rows.length == 9
            assert rows.index.tolist() == (np.asarray(index, np.intp).reshape(-1) % 9).tolist()
            assert same_bits(np.asarray(rows), dense["E"])
            assert same_bits(grads["w"], dense["w"])
            assert value == dense_value


def test_look_ups_of_one_leaf_follow_one_another_in_their_order():
    table = RNG.standard_normal((6, 3)).astype(np.float32)
    index = np.array([5, 0, 5])

    def f(table):
        first = gd.embedding(table, index)
        second, third = table[2], np.take(table, [[1], [-1]], axis=0)
        return np.sum(first * 2) + np.sum(third**2) + 0 * np.sum(table[4]) + np.sum(second)

    rows = gd.grad(f, rows=["param"])(table)
    assert rows.index.tolist() == [5, 0, 5, 2, 1, 5, 4]
    expected = [np.full((3, 3), 2), np.ones((1, 3)), 2 * table[[1, 5]], np.zeros((1, 3))]
    assert same_bits(rows.values, np.concatenate(expected).astype(np.float32))
    assert np.allclose(np.asarray(rows), gd.grad(f)(table), rtol=1e-6)


def test_one_function_may_look_rows_up_in_several_leaves_and_share_the_gradient():
    params = {"layers": [np.ones((4, 2)), np.ones((5, 2))], "b": np.zeros(2)}

    def f(p, i):
        return np.sum((p["layers"][0][i] + p["layers"][1][i] + p["b"]) * 3.0)

    grads = gd.grad(f, rows=("layers.0", "layers.1"))(params, np.array([1, 3]))
    one, other = grads["layers"]
    one.values[...] = 7
    assert other.values.tolist() == [[3, 3]] * 2
    assert (one.length, other.length, grads["b"].tolist()) == (4, 5, [6, 6])


def test_a_leaf_that_is_not_looked_up_has_no_rows_and_one_without_influence_has_zeros():
    params = {"E": np.ones((4, 2)), "F": np.ones((4, 2))}
    grads = gd.grad(lambda p: float(len(p["E"][[1, 2]])), rows=("E", "F"))(params)
    assert (grads["E"].index.tolist(), grads["E"].values.tolist()) == ([1, 2], [[0, 0]] * 2)
    assert (grads["F"].index.size, grads["F"].values.shape) == (0, (0, 2))


def test_what_has_no_gradient_may_use_a_leaf_of_rows():
    def f(table, i):
        assert table.shape == (4, 2)
        assert len(table) == 4
        return np.sum(np.where((table > 0).all(), table[i], 0)) + gd.stop_gradient(table)[0, 0]

    assert gd.grad(f, rows=("param",))(np.ones((4, 2)), 1).values.tolist() == [[1, 1]]


def test_the_gradient_of_the_whole_table_is_never_made():
    table = np.zeros((200_000, 8))
    step = gd.value_and_grad(lambda table, i: np.sum(gd.embedding(table, i) ** 2 + table[i]), rows=("param",))
    tracemalloc.start()
    try:
        step(table, np.arange(100))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < table.nbytes / 20


OTHERWISE = [
    (np.sum, "np.sum"),
    (lambda table: np.sum(table[[0]]) + np.sum(table * 2), "np.multiply"),
    (lambda table: np.sum(np.ones((1, 4)) @ table), "np.matmul"),
    (lambda table: np.sum(table.T), "np.transpose"),
    (lambda table: np.sum(np.concatenate([table, table])), "np.concatenate"),
    (lambda table: np.sum(np.take(table, [0])), "np.r"),
    (lambda table: np.sum(table[1:]), r"indexing with slice\(1, None, None\)"),
    (lambda table: np.sum(table[:, [0]]), "indexing with slice"),
    (lambda table: np.sum(table[[0], [1]]), r"indexing with int64 \(1,\), int64 \(1,\)"),
    (lambda table: np.sum(table[0, 1]), "indexing with 0, 1"),
    (lambda table: np.sum(table[np.array([True, False, True, False])]), r"indexing with bool \(4,\)"),
    (lambda table: np.sum(table[...]), "indexing with Ellipsis"),
    (lambda table: np.sum(table[None]), "indexing with None"),
    (lambda table: np.sum(np.asarray(table)), "indexing"),
    (lambda table: np.sum(gd.rematerialise(lambda t: t[[0]])(table)), "gd.rematerialise"),
    (lambda table: np.sum(gd.gate(lambda t: t * 1, lambda ans, t: lambda g: g)(table)), "lambda"),
    (lambda table: [table * 2, np.sum(table[0])][1], "np.multiply"),
]


@pytest.mark.parametrize(("f", "used"), OTHERWISE, ids=range(len(OTHERWISE)))
def test_a_leaf_of_rows_that_is_used_otherwise_is_refused_with_what_used_it(f, used):
    with pytest.raises(TypeError, match=rf"params\['E'\]: expected only look-ups of rows, .* used by .*{used}"):
        gd.grad(lambda p: f(p["E"]), rows=("E",))({"E": np.ones((4, 2))})


def test_a_leaf_of_rows_that_is_returned_is_refused():
    with pytest.raises(ValueError, match="expected a scalar result"):
        gd.grad(lambda table: table, rows=("param",))(np.ones((4, 2)))


@pytest.mark.parametrize(
    ("rows", "params", "error", "said"),
    [
        ("E", None, TypeError, r"rows: expected a tuple of names of leaves, such as \('E',\), got 'E'"),
        ((0,), None, TypeError, r"rows: expected a tuple of names"),
        (("F",), {"E": np.ones(3), "b": 1.0}, ValueError, "rows: expected names of leaves, of 'E', 'b', got 'F'"),
        (("b",), {"E": np.ones(3), "b": 1.0}, TypeError, r"params\['b'\]: expected an array that has rows"),
    ],
)
def test_names_that_are_no_leaf_with_rows_are_refused(rows, params, error, said):
    with pytest.raises(error, match=said):
        gd.grad(lambda p: p["E"][0], rows=rows)(params)


def test_gradients_by_rows_are_not_differentiated_again():
    params = {"E": np.ones((4, 2)), "w": np.ones(2)}
    inner = gd.grad(lambda p: np.sum(p["E"][[1, 1]] ** 2 * p["w"] ** 2), rows=("E",))
    with pytest.raises(TypeError, match=r"params\['E'\]: .* cannot be differentiated again"):
        gd.grad(lambda p: np.sum(inner(p)["w"]))(params)
    with pytest.raises(TypeError, match=r"params\['E'\]: .* not differentiated again"):
        gd.grad(lambda w: np.sum(inner({"E": params["E"], "w": w})["w"]))(params["w"])


def test_rows_may_be_looked_up_within_another_derivative():
    def f(p):
        rows = gd.grad(lambda q: np.sum(gd.embedding(q["E"], [1, 3]) ** 3) + np.sum(q["E"][0]))(p)["E"]
        return np.sum(p["E"][[2]] ** 2) + gd.stop_gradient(np.sum(rows))

    rows = gd.grad(f, rows=("E",))({"E": np.ones((4, 2))})["E"]
    assert np.asarray(rows).tolist() == [[0, 0], [0, 0], [2, 2], [0, 0]]


def test_an_optimizer_steps_by_the_rows_as_by_these_rows_alone():
    table = RNG.standard_normal((50, 3))
    params, twin = {"E": table.copy(), "w": np.ones(3)}, {"E": table.copy(), "w": np.ones(3)}
    opt, other = gd.Adam(params), gd.Adam(twin)

    def f(p, i):
        return np.mean((p["E"][i] @ p["w"]) ** 2)

    for i in RNG.integers(0, 50, (4, 7)):
        grads = gd.grad(f, rows=("E",))(params, i)
        by_hand = gd.grad(lambda met, w, i=i: f({"E": met, "w": w}, np.arange(7)))(twin["E"][i], twin["w"])
        opt.step(grads)
        w = gd.grad(lambda w, i=i: f({"E": twin["E"], "w": w}, i))(twin["w"])
        other.step({"E": gd.Rows(i, by_hand, 50), "w": w})
    assert same_bits(params["E"], twin["E"])
    assert same_bits(params["w"], twin["w"])
