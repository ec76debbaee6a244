"""The gates of nets by a second route: what they are made of, loops over elements, and the limits."""

import re
from itertools import product

import numpy as np
import pytest

import gdcore as gd
from gdcore.derivatives.gates.activations import ACTIVATIONS

DTYPES = [np.float32, np.float64]


def number(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def refuses(error, said, call):
    with pytest.raises(error, match=re.escape(said)):
        call()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_dense_has_the_bits_of_its_parts(activation, dtype):
    function = ACTIVATIONS.get(activation, lambda z: z)
    x, w, b = number(0, 70, 5, dtype=dtype), number(1, 5, 33, dtype=dtype), number(2, 33, dtype=dtype)
    weights = number(3, 70, 33, dtype=dtype)

    def fused(p):
        return np.sum(gd.dense(*p, activation) * weights)

    def parts(p):
        return np.sum(function(p[0] @ p[1] + p[2]) * weights)

    np.testing.assert_array_equal(gd.dense(x, w, b, activation), function(x @ w + b))
    value, grads = gd.value_and_grad(fused)([x, w, b])
    expected, by_parts = gd.value_and_grad(parts)([x, w, b])
    assert value == expected
    if activation == "sigmoid":  # whose slope dense takes from what it gave
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(grads[0], by_parts[0], **tolerance)
        np.testing.assert_allclose(grads[1], by_parts[1], **tolerance)
    else:
        np.testing.assert_array_equal(grads[0], by_parts[0])
        np.testing.assert_array_equal(grads[1], by_parts[1])
    np.testing.assert_allclose(grads[2], by_parts[2], rtol=1e-4 if dtype is np.float32 else 1e-12, atol=1e-5)


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_dense_takes_other_layouts_lists_and_dtypes_of_two_kinds(activation):
    x, w, b = number(0, 4, 3), number(1, 3, 2), number(2, 2)
    plain = gd.dense(x, w, b, activation)
    np.testing.assert_array_equal(gd.dense(x.tolist(), w.tolist(), b.tolist(), activation), plain)
    strided = [np.repeat(y, 2, axis=-1)[..., ::2] for y in (x, w, b)]
    np.testing.assert_allclose(gd.dense(*strided, activation), plain, rtol=1e-14)

    def loss(p):
        return np.sum(gd.dense(*p, activation) ** 2)

    for given in (strided, [x.astype(np.float32), w, b], [x, w, b.astype(np.float32)]):
        for got, expected, y in zip(gd.grad(loss)(given), gd.grad(loss)([x, w, b]), given, strict=True):
            assert got.dtype == y.dtype
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_constant_of_an_outer_derivative_goes_through_dense():
    x, w, b = number(0, 4, 3), number(1, 3, 2), number(2, 2)

    def outer(a):  # the gradient's own gradient reaches it, and never the layer
        inner = gd.grad(lambda w: a * np.sum(gd.dense(x, w, b, "silu")))(w)
        return np.sum(inner * inner)

    total = np.sum(gd.grad(lambda w: np.sum(gd.dense(x, w, b, "silu")))(w) ** 2)
    np.testing.assert_allclose(gd.grad(outer)(3.0), 6 * total)


def test_one_result_of_dense_may_be_used_twice():
    x, w = number(0, 4, 3), number(1, 3, 3)

    def loss(w):
        h = gd.dense(x, w, np.zeros(3), "tanh")
        return np.sum(h * gd.dense(h, w, None, "gelu"))

    gd.check_grads(loss, w)


def test_bad_arguments_of_dense_are_named():
    x, w, b = np.ones((4, 3)), np.ones((3, 2)), np.ones(2)
    refuses(ValueError, "w: expected shape (n, m), got float64 (3,)", lambda: gd.dense(x, w[:, 0], b))
    refuses(ValueError, "x: expected shape (..., 3), got float64 (4, 2)", lambda: gd.dense(x[:, :2], w, b))
    refuses(ValueError, "b: expected shape (2,), got float64 (1,)", lambda: gd.dense(x, w, b[:1]))
    refuses(ValueError, "activation: expected one of 'relu', 'tanh'", lambda: gd.dense(x, w, b, "swish"))
    refuses(TypeError, "activation: expected one of 'relu', 'tanh'", lambda: gd.dense(x, w, b, gd.relu))
    refuses(ValueError, "x: expected shape (..., 3), got", lambda: gd.grad(lambda y: gd.dense(y, w).sum())(b))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "gelu", "silu"])
def test_activations_keep_the_dtype_and_take_integers_and_scalars(name):
    f = ACTIVATIONS[name]
    for dtype in (np.float16, np.float32, np.float64):
        assert f(np.ones(3, dtype)).dtype == dtype
    assert f(np.ones((2, 3), int)).dtype == np.float64
    assert type(f(2)) is np.float64
    assert type(f(np.float32(2))) is np.float32
    np.testing.assert_array_equal(f(number(0, 4, 3).T), f(number(0, 4, 3)).T)
    refuses(TypeError, "x: expected real numbers of at most 64 bits, got complex128", lambda: f(np.ones(2) * 1j))


def test_gelu_and_silu_are_their_formulas():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-8, 8, 400)
    np.testing.assert_allclose(gd.gelu(x), x * special.ndtr(x), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(gd.silu(x), x * special.expit(x), rtol=1e-14)


def test_logsumexp_is_that_of_scipy():
    special = pytest.importorskip("scipy.special")
    x, b = number(0, 2, 3, 4), np.abs(number(1, 3, 1))
    for axis, keepdims in product((None, 0, -1, (0, 2)), (False, True)):
        for weights in (None, b):
            got = gd.logsumexp(x, axis, weights, keepdims)
            expected = special.logsumexp(x, axis, weights, keepdims)
            assert np.shape(got) == np.shape(expected)
            np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert type(gd.logsumexp(x)) is np.float64
    assert gd.logsumexp(x.astype(np.float32), 1).dtype == np.float32


def test_logsumexp_of_infinite_elements():
    inf = np.inf
    for x, expected in (([-inf, -inf], -inf), ([inf, 0.0], inf), ([-inf, 2.0], 2.0), ([], -inf)):
        assert gd.logsumexp(np.array(x)) == expected
    gradient = gd.grad(gd.logsumexp)
    np.testing.assert_array_equal(gradient(np.array([-inf, -inf])), [0.5, 0.5])
    np.testing.assert_array_equal(gradient(np.array([inf, 0.0, inf])), [0.5, 0, 0.5])
    np.testing.assert_array_equal(gradient(np.array([-inf, 2.0])), [0, 1])
    assert np.isnan(gd.logsumexp(np.array([np.nan, 1.0])))


def test_layer_norm_makes_rows_of_mean_0_and_variance_1():
    x = 5 + 3 * number(0, 6, 40)
    y = gd.layer_norm(x, eps=1e-30)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=-1), 1)
    gain, bias = number(1, 40), number(2, 40)
    np.testing.assert_allclose(gd.layer_norm(x, gain, bias, 1e-30), y * gain + bias, rtol=1e-12)
    refuses(ValueError, "gain: expected shape (40,), got float64 (39,)", lambda: gd.layer_norm(x, gain[1:]))
    refuses(
        ValueError, "x: expected shape (..., n) with n >= 1, got float64 (3, 0)", lambda: gd.layer_norm(x[:3, :0])
    )


def test_dropout_drops_what_the_generator_says():
    x = number(0, 50, 20)
    for rate in (0.0, 0.3, 0.9):
        y = gd.dropout(x, rate, np.random.default_rng(7))
        u = np.random.default_rng(7).random(x.shape, np.float32) if rate else np.zeros(x.shape)
        np.testing.assert_array_equal(y, np.where(u >= np.float32(rate), x * (1 / (1 - rate)), 0))
    rng = np.random.default_rng(7)
    state = rng.bit_generator.state
    gd.dropout(x, 0, rng)
    assert rng.bit_generator.state == state
    kept = gd.dropout(np.ones(100_000, np.float32), 0.25, rng)
    assert abs(kept.mean() - 1) < 0.01
    assert gd.dropout(np.array([np.inf]), 0.99, np.random.default_rng(0)) == 0
    refuses(ValueError, "rate: expected a number >= 0 and < 1, got 1", lambda: gd.dropout(x, 1, rng))
    refuses(TypeError, "rate: expected a number, got '0.5'", lambda: gd.dropout(x, "0.5", rng))
    refuses(TypeError, "rng: expected a numpy.random.Generator, got 0", lambda: gd.dropout(x, 0.5, 0))


def test_gradient_of_an_embedding_is_added_up_by_rows():
    table, index, g = number(0, 5, 3), np.array([[4, 0, 4], [4, 1, 0]]), number(1, 2, 3, 3)
    expected = np.zeros_like(table)
    np.add.at(expected, index, g)
    for kind in (np.int64, np.int32, np.uint8):
        got = gd.grad(lambda table, kind=kind: np.sum(gd.embedding(table, index.astype(kind)) * g))(table)
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    refuses(ValueError, "index: expected rows from 0 to 4, got -1 to 4", lambda: gd.embedding(table, [-1, 4]))
    refuses(ValueError, "index: expected rows from 0 to 4, got 5 to 5", lambda: gd.embedding(table, [5]))
    refuses(TypeError, "index: expected integers, got float64 (1,)", lambda: gd.embedding(table, [0.0]))
    refuses(ValueError, "table: expected shape (rows, n), got float64 (3,)", lambda: gd.embedding(table[0], [0]))


def convolved(x, w, b, stride, padding):
    """Return the convolution, a number at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    rows = range(0, x.shape[2] - w.shape[2] + 1, stride[0])
    columns = range(0, x.shape[3] - w.shape[3] + 1, stride[1])
    y = np.empty((len(x), len(w), len(rows), len(columns)))
    for n, o, i, j in np.ndindex(y.shape):
        at = x[n, :, rows[i] : rows[i] + w.shape[2], columns[j] : columns[j] + w.shape[3]]
        y[n, o, i, j] = np.sum(at * w[o]) + b[o]
    return y


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (4, 3)])
@pytest.mark.parametrize("pictures", [1, 3, 40])
def test_convolution_is_that_of_loops(pictures, stride, padding, monkeypatch):
    monkeypatch.setattr("gdcore.derivatives.gates.pictures.CHUNK", 5000)  # several parts
    x, w, b = number(0, pictures, 2, 6, 5), number(1, 3, 2, 3, 2), number(2, 3)
    np.testing.assert_allclose(
        gd.conv2d(x, w, b, stride=stride, padding=padding), convolved(x, w, b, stride, padding)
    )
    g = number(3, *convolved(x, w, b, stride, padding).shape)
    grads = gd.grad(lambda p: np.sum(gd.conv2d(*p, stride=stride, padding=padding) * g))([x, w, b])
    step = number(4, *x.shape), number(5, *w.shape), number(6, *b.shape)
    # The convolution is linear in each argument: the slope along a step is the convolution of the step.
    zero = np.zeros_like(b)
    slopes = [
        np.sum(g * convolved(step[0], w, zero, stride, padding)),
        np.sum(g * convolved(x, step[1], zero, stride, padding)),
        np.sum(g * step[2][:, None, None]),
    ]
    for grad, s, slope in zip(grads, step, slopes, strict=True):
        np.testing.assert_allclose(np.sum(grad * s), slope, rtol=1e-10, atol=1e-10)


def test_bad_arguments_of_pictures_are_named():
    x, w = np.ones((2, 3, 4, 5)), np.ones((6, 3, 2, 2))
    refuses(ValueError, "x: expected shape (pictures, channels, rows, columns), got", lambda: gd.conv2d(x[0], w))
    refuses(ValueError, "w: expected shape (outputs, 3, height, width), got", lambda: gd.conv2d(x, w[:, :2]))
    refuses(ValueError, "b: expected shape (6,), got float64 (3,)", lambda: gd.conv2d(x, w, np.ones(3)))
    refuses(TypeError, "w: expected float64 as x, got float32", lambda: gd.conv2d(x, w.astype(np.float32)))
    refuses(TypeError, "x: expected float32 or float64, got int64", lambda: gd.conv2d(x.astype(int), w))
    refuses(ValueError, "stride: expected an int >= 1 or a pair of them, got 0", lambda: gd.conv2d(x, w, stride=0))
    refuses(ValueError, "padding: expected an int >= 0", lambda: gd.conv2d(x, w, padding=(1, -1)))
    refuses(TypeError, "padding: expected an int >= 0", lambda: gd.conv2d(x, w, padding=0.5))
    refuses(ValueError, "within the padded picture", lambda: gd.conv2d(x, np.ones((1, 3, 5, 1))))
    refuses(ValueError, "size: expected a window within the picture, got (5, 5)", lambda: gd.max_pool2d(x, 5))
    refuses(
        ValueError,
        "size: expected an int >= 1 or a pair of them, got (1, 2, 3)",
        lambda: gd.max_pool2d(x, (1, 2, 3)),
    )


def test_pooling_gives_the_gradient_to_the_first_of_equal_elements_and_nan_wins():
    x = np.array([[[[1.0, 1.0, 0.0], [1.0, 0.0, 2.0]]]])
    np.testing.assert_array_equal(gd.grad(lambda x: gd.max_pool2d(x, 2, 1).sum())(x)[0, 0], [[1, 0, 0], [0, 0, 1]])
    x[0, 0, 0, 1] = np.nan
    assert np.isnan(gd.max_pool2d(x, 2, 1)).all()
    assert gd.max_pool2d(x[..., 1:, :], (1, 2), 2).shape == (1, 1, 1, 1)  # what is left over is not looked at


def test_softmax_and_cross_entropy_agree_along_every_axis():
    x = number(0, 3, 4, 20)
    for axis in (0, 1, 2, -2):
        e = np.exp(x - x.max(axis, keepdims=True))
        expected = e / e.sum(axis, keepdims=True)
        np.testing.assert_allclose(gd.softmax(x, axis), expected, rtol=1e-14)
        np.testing.assert_allclose(gd.log_softmax(x, axis), np.log(expected), rtol=1e-13)
        np.testing.assert_allclose(gd.logsumexp(x, axis), np.log(np.exp(x).sum(axis)), rtol=1e-13)
    labels = np.random.default_rng(1).integers(0, 20, (3, 4))
    loss = gd.softmax_cross_entropy(x, labels)
    assert loss == pytest.approx(gd.softmax_cross_entropy(x, np.eye(20)[labels]), rel=1e-14)
    assert loss == pytest.approx(-np.take_along_axis(gd.log_softmax(x), labels[..., None], -1).mean(), rel=1e-14)
