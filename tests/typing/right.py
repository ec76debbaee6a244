"""What type checkers have to accept, and what they have to know of it; it also runs."""

from typing import Any, TypedDict, assert_type

import numpy as np

import gdcore as gd

Array = np.ndarray[Any, np.dtype[np.float64]]


class Line(TypedDict):
    """A tree of parameters."""

    a: Array
    b: Array


def loss(line: Line, x: Array, y: Array, *, l2: float = 0.0) -> np.floating[Any]:
    """Return the error of a line, as users write it."""
    error = line["a"] * x + line["b"] - y
    return np.mean(error**2) + l2 * np.sum(line["a"] ** 2)


line: Line = {"a": np.ones(1), "b": np.zeros(1)}
x = np.arange(5.0)

# Derivatives have the parameters of the function, and its value.
value, grads = gd.value_and_grad(loss)(line, x, y=2 * x, l2=0.1)
assert_type(value, np.floating[Any])
assert_type(gd.value_and_grad(loss)(line=line, x=x, y=x), tuple[np.floating[Any], Any])
gd.grad(loss)(line, x, x)
gd.jacobian(loss)(line, x, x, l2=1.0)
gd.hessian(loss)(line, x, x)
gd.hvp(loss)(line, line, x, x, l2=1.0)
assert_type(gd.rematerialise(loss)(line, x, x), np.floating[Any])
assert_type(gd.stop_gradient(line), Line)
gd.grad(lambda v: np.sum(v**2))(x)
gd.grad(np.sum)(x)
gd.grad(gd.grad(lambda v: v**3))(2.0)
gd.check_grads(loss, line, x, x, order=1)
assert_type(gd.value_and_grad(loss, argnums=(0, -1))(line, x, x), tuple[np.floating[Any], Any])
gd.grad(loss, 1)(line, x, x)
gd.elementwise_grad(lambda v: np.sin(v) * v)(x)


def loss_and_error(line: Line, x: Array) -> tuple[np.floating[Any], Array]:
    """Return a loss, and beside it what it was made of."""
    error = line["a"] * x + line["b"]
    return np.mean(error**2), error


both, grads = gd.value_and_grad(loss_and_error, has_aux=True)(line, x)
assert_type(both, tuple[np.floating[Any], Array])
assert_type(gd.grad(loss_and_error, has_aux=True)(line, x), tuple[Any, Array])
assert_type(gd.hessian(loss_and_error, has_aux=True)(line, x), tuple[Any, Array])
assert_type(gd.jacobian(loss_and_error, has_aux=True, mode="forward")(line, x), tuple[Any, Array])

number, pull = gd.vjp(loss)(line, x, x, l2=0.1)
assert_type(number, np.floating[Any])
pull(1.0)
assert_type(gd.jvp(loss)(line, line, x, x, l2=0.1), tuple[np.floating[Any], Any])
vector, back = gd.flatten(line)
assert_type(back(vector), Line)


@gd.value_and_grad
def energy(position: Array, mass: float) -> float:
    """Return an energy; a decorator keeps the parameters too."""
    return float(mass) * np.sum(position**2)


assert_type(energy(x, mass=2.0), tuple[float, Any])


def cube(x: Array) -> Array:
    """Return a cube, which a gate stays."""
    return x**3


own = gd.gate(cube, lambda ans, x: lambda g: g * 3 * x**2)
assert_type(own(x), Array)

# Optimizers, and training.
opt = gd.Adam(line, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.0)
opt.step(grads)
assert_type(opt.t, int)
assert_type(opt.lr, float)
opt.lr = 0.1
groups = gd.SGD([{"params": line, "lr": 0.1}], lr=0.2)
history = gd.fit(
    gd.value_and_grad(loss), line, (x, x), opt, epochs=1, batch_size=5, rng=np.random.default_rng(0), progress=False
)
assert_type(history, gd.History)
clipped, norm = gd.clip_by_global_norm(grads, max_norm=1.0)
assert_type(norm, float)
gd.schedules.constant(0.1)
gd.models.MLP((2, 3, 1), task="regression", rng=np.random.default_rng(0))
