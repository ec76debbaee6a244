"""What other libraries do: their calls in the table of docs/rules.md, run, and kept as golden numbers.

``python tests/golden/peer_steps.py`` writes peer_steps.json; it wants all of them, and Keras a backend: JAX,
unless KERAS_BACKEND names another. What the table names has the value in VALUES, large enough to show. All is in
float64.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
STEPS = 8
START = (1.0, -2.0, 0.5)
VALUES = {"lr": 0.125, "b": 0.75, "b1": 0.75, "b2": 0.9, "d": 0.25, "e": 0.01, "r": 0.0625, "a": 0.1, "l": 0.0625}


def gradient(t):
    """The gradient of step t, from 1: eighths, which are exact."""
    return np.array([((7 * t + 3 * i) % 11 - 5) / 8 for i in range(len(START))])


def rows():
    """Return (their call, ours, what is done besides) of each row of the table whose first cell is a call."""
    table = re.findall(r"^\| `([\w.]+\(.*?\))` \| `(gd\..*?)` \| (.*?) ?\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [(theirs, ours, besides.strip()) for theirs, ours, besides in table]


def package(call):
    """Return the name of the package that a call is of."""
    return call.split(".")[0]


def here():
    """Return the packages that are installed."""
    return {name for name in RUNNERS if importlib.util.find_spec(name)}


def _torch(call):
    import torch

    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # else NAdam's product of momenta, for one, is of float32
    try:
        w = torch.tensor(START, requires_grad=True)
        opt = eval(call, {"torch": torch, "p": [w], **VALUES})
        for t in range(1, STEPS + 1):
            w.grad = torch.tensor(gradient(t))
            opt.step()
            yield w.tolist()
    finally:
        torch.set_default_dtype(usual)


def _optax(call):
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    opt = eval(call, {"optax": optax, **VALUES})
    w = jax.numpy.array(START)
    state = opt.init(w)
    for t in range(1, STEPS + 1):
        change, state = opt.update(jax.numpy.array(gradient(t)), state, w)
        w = optax.apply_updates(w, change)
        yield w.tolist()


def _keras(call):
    os.environ.setdefault("KERAS_BACKEND", "jax")  # torch gives the same
    import keras

    if keras.backend.backend() == "jax":
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    usual = keras.backend.floatx()
    keras.backend.set_floatx("float64")
    try:
        opt = eval(call, {"keras": keras, **VALUES})
        w = keras.Variable(np.array(START))
        for t in range(1, STEPS + 1):
            opt.apply([keras.ops.convert_to_tensor(gradient(t))], [w])
            yield keras.ops.convert_to_numpy(w).tolist()
    finally:
        keras.backend.set_floatx(usual)


def _sklearn(call):
    import sklearn.neural_network._stochastic_optimizers

    w = np.array(START)
    opt = eval(call, {"sklearn": sklearn, "p": [w], **VALUES})
    for t in range(1, STEPS + 1):
        opt.update_params([w], [gradient(t)])
        yield w.tolist()


def _thinc(call):
    import thinc.api
    from thinc.backends import Ops

    # Its compiled Adam knows float32 alone. Its own in Python, for other devices, takes any dtype.
    opt, ops = eval(call, {"thinc": thinc, **VALUES}), thinc.api.NumpyOps
    w, compiled = np.array(START), ops.adam
    opt.mom1["w"], opt.mom2["w"] = np.zeros((2, len(START)))
    ops.adam = Ops.adam
    ops.reshape1f, reshape1f = (lambda self, x, n: x.reshape(n)), ops.reshape1f
    try:
        for t in range(1, STEPS + 1):
            w, _ = opt("w", w, gradient(t))
            yield w.tolist()
    finally:
        ops.adam, ops.reshape1f = compiled, reshape1f


def _autograd(call):
    import autograd.misc.optimizers

    points = []

    def grad(w, i):
        points.append(w.tolist())
        return gradient(i + 1)

    eval(call, {"autograd": autograd, "grad": grad, "w": np.array(START), **VALUES})
    return points[1 : STEPS + 1]


RUNNERS = {
    "torch": _torch,
    "optax": _optax,
    "keras": _keras,
    "sklearn": _sklearn,
    "thinc": _thinc,
    "autograd": _autograd,
}


def run(call):
    """Return where a call of another library is after each step."""
    return list(RUNNERS[package(call)](call))


def version(name):
    """Return name and version of a package."""
    distribution = {"sklearn": "scikit-learn"}.get(name, name)
    return f"{distribution} {importlib.metadata.version(distribution)}"


if __name__ == "__main__":
    lines = [
        f"{json.dumps(theirs)}: {json.dumps({'made with': version(package(theirs)), 'points': run(theirs)})}"
        for theirs, _, _ in rows()
    ]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
