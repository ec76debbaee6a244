"""A net that reads a text letter by letter and learns to write like it: an LSTM on gdcore's own README.

At each letter the net keeps some of what it remembers, and takes in something new; from what it then shows come
the chances of the next letter. To write, draw a letter by these chances, let the net read it, and draw the next.
"""

from pathlib import Path

import numpy as np

import gdcore as gd


def start(letters, rng, units=96):
    """Return the parameters of a net that remembers ``units`` numbers; the bias of 1 keeps them at first."""

    def normal(*shape):
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    return {
        "letter": normal(letters, 4 * units),
        "before": normal(units, 4 * units),
        "bias": np.repeat(np.float32([0, 1, 0, 0]), units),
        "scores": {"w": normal(units, letters), "b": np.zeros(letters, np.float32)},
    }


def read(params, letters, shown, kept):
    """Read one letter of each row: return what the net then shows and remembers."""
    z = gd.embedding(params["letter"], letters) + shown @ params["before"] + params["bias"]
    new, keep, take, show = np.split(z, 4, axis=1)
    kept = gd.sigmoid(keep) * kept + gd.sigmoid(take) * np.tanh(new)
    return gd.sigmoid(show) * np.tanh(kept), kept


def loss(params, text):
    """Return the surprise at a letter, -log(chance), on the mean over rows of letters, read from left to right."""
    seen, state = [], np.zeros((2, len(text), len(params["before"])), np.float32)
    for letters in text[:, :-1].T:
        state = read(params, letters, *state)
        seen.append(state[0])
    return gd.softmax_cross_entropy(gd.dense(np.concatenate(seen), **params["scores"]), text[:, 1:].T.ravel())


def write(params, alphabet, text, length, rng, temperature=0.5):
    """Return ``text`` and ``length`` letters after it; a low temperature prefers the likely ones."""
    state = np.zeros((2, 1, len(params["before"])), np.float32)
    for i in range(len(text) + length - 1):
        state = read(params, np.searchsorted(alphabet, [text[i]]), *state)
        if i + 1 == len(text):
            chances = gd.softmax(gd.dense(state[0][0].astype(float), **params["scores"]) / temperature)
            text += rng.choice(alphabet, p=chances)
    return text


def main(steps=400, axes=None):
    """Train on the README, and return the surprise at a letter at the start and at the end; ``axes`` shows it."""
    rng = np.random.default_rng(0)
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    alphabet, numbers = np.unique(list(text), return_inverse=True)
    params, losses = start(len(alphabet), rng), []
    optimizer = gd.Adam(params, lr=1e-2)
    for step in range(1, steps + 1):
        places = rng.integers(len(text) - 32, size=(32, 1)) + np.arange(33)
        value, grads = gd.value_and_grad(loss)(params, numbers[places])
        optimizer.step(grads, max_norm=1.0)
        losses.append(value)
        if step % 100 == 0:
            print(f"After {step} steps, at a surprise of {np.mean(losses[-10:]):.2f}, it writes:")
            print("    " + write(params, alphabet, "gdcore ", 100, rng).replace("\n", "\n    "))
    if axes is not None:
        axes.plot(losses)
    return losses[0], np.mean(losses[-10:])


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(axes=plt.axes(xlabel="step", ylabel="surprise at a letter"))
    plt.show()
