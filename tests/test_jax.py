"""Arrays of jax in a step, and what jax may still be reading when it is made."""

import re
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd

jax = pytest.importorskip("jax")
jnp = jax.numpy

PAGE = Path(__file__).parents[1] / "docs" / "torch.md"


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_an_array_of_jax_is_the_gradient_that_its_copy_is(dtype):
    grad = jnp.asarray([1.5, -3.0, 0.1], dtype)
    w, v = np.ones(3, np.float32), np.ones(3, np.float32)
    gd.Adam({"w": w}, lr=0.1).step({"w": grad})
    gd.Adam({"w": v}, lr=0.1).step({"w": np.array(grad.astype(jnp.float32))})
    assert w.tobytes() == v.tobytes()


def test_a_step_waits_for_all_that_jax_reads():
    """Without waiting most of these rounds are wrong: jax reads the parameters after the step has changed them."""

    @jax.jit
    def work(p, x):
        y = jnp.sin(p * x)
        for _ in range(3):
            y = jnp.cos(y) + p
        return y

    x = jnp.ones(200_000, jnp.float32)
    for start in range(8):
        p = np.full(x.shape, 0.1 * start, np.float32)
        wanted = np.array(work(p.copy(), x))
        opt = gd.SGD(p, lr=1.0)
        grad, other = work(p, x), work(p, x)
        opt.step(grad)
        assert np.array_equal(grad, wanted)
        assert np.array_equal(other, wanted)


@pytest.mark.parametrize(
    ("grad", "error", "said"),
    [
        (lambda: jnp.ones(3), ValueError, r"grads\['w'\]: expected float32 \(2,\), got float32 \(3,\)"),
        (lambda: jnp.ones(2, jnp.int32), TypeError, r"grads\['w'\]: expected float32 \(2,\), got int32 \(2,\)"),
    ],
)
def test_an_array_that_is_no_gradient_is_refused_by_name(grad, error, said):
    with pytest.raises(error, match=said):
        gd.SGD({"w": np.ones(2, np.float32)}, lr=1.0).step({"w": grad()})


def test_a_deleted_array_is_refused():
    grad = jnp.ones(2)
    grad.delete()
    with pytest.raises(TypeError, match=r"grads\['w'\]: expected an array that NumPy can read"):
        gd.SGD({"w": np.ones(2, np.float32)}, lr=1.0).step({"w": grad})


def test_a_step_within_a_traced_function_is_refused():
    opt = gd.SGD({"w": np.ones(2, np.float32)}, lr=1.0)
    with pytest.raises(TypeError, match=r"grads\['w'\]"):
        jax.jit(lambda g: opt.step({"w": g}))(jnp.ones(2))


def test_an_array_of_jax_cannot_be_stepped_in_place():
    with pytest.raises(TypeError, match=r"params\['w'\]: expected a NumPy array of float32 or float64"):
        gd.SGD({"w": jnp.ones(2)}, lr=1.0)


def test_gradients_of_jax_cannot_be_set_to_zero():
    with pytest.raises(ValueError, match=r"grads.*(read-only|writeable)"):
        gd.SGD({"w": np.ones(2, np.float32)}, lr=1.0).step({"w": jnp.ones(2)}, zero=True)


def test_the_page_runs():
    namespace = {}
    blocks = re.findall(r"^```py\n# jax\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, "torch.md", "exec"), namespace)


def test_fit_takes_the_loss_and_the_gradients_of_jax():
    x = np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32)
    y = x @ np.float32([1, -2])

    def loss(w, x, y):
        return jnp.mean((x @ w - y) ** 2)

    w, v = np.zeros(2, np.float32), np.zeros(2, np.float32)
    history = gd.fit(jax.jit(jax.value_and_grad(loss)), w, (x, y), gd.SGD(w, lr=0.1), epochs=30)
    own = gd.value_and_grad(lambda w, x, y: np.mean((x @ w - y) ** 2))
    plain = gd.fit(own, v, (x, y), gd.SGD(v, lr=0.1), epochs=30)
    np.testing.assert_allclose(w, v, rtol=1e-5)
    np.testing.assert_allclose(history["loss"], plain["loss"], rtol=1e-4, atol=1e-10)
    for wrong in (jnp.ones(2), jnp.asarray(True), jnp.asarray(1j)):
        with pytest.raises(TypeError, match="expected a loss that is one real number, got"):
            gd.fit(lambda *_, wrong=wrong: (wrong, w), w, (x, y), gd.SGD(w, lr=0.1), epochs=1)
