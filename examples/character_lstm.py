"""A net that reads a text letter by letter and learns to write like it: an LSTM on gdcore's own README.

At each letter the net keeps some of what it remembers, and takes in something new; from what it then shows come
the chances of the next letter. To write, draw a letter by these chances, let the net read it, and draw the next.
"""

from pathlib import Path

import numpy as np

import gdcore as gd

UNITS = 96  # how many numbers the net remembers


def start(letters, rng):
    """Return the parameters at the start; the bias of 1 keeps what is remembered until the net has learned more."""

    def normal(*shape):
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    return {
        "letter": normal(letters, 4 * UNITS),
        "before": normal(UNITS, 4 * UNITS),
        "bias": np.repeat(np.float32([0, 1, 0, 0]), UNITS),
        "scores": {"w": normal(UNITS, letters), "b": np.zeros(letters, np.float32)},
    }


def read(params, letters, shown, kept):
    """Read one letter of each row: return what the net then shows and remembers."""
    z = gd.embedding(params["letter"], letters) + shown @ params["before"] + params["bias"]
    new, keep, take, show = np.split(z, 4, axis=1)
    kept = gd.sigmoid(keep) * kept + gd.sigmoid(take) * np.tanh(new)
    return gd.sigmoid(show) * np.tanh(kept), kept


def loss(params, text):
    """Return the surprise at a letter, -log(chance), on the mean over rows of letters, read from left to right."""
    shown = kept = np.zeros((len(text), UNITS), np.float32)
    seen = []
    for letters in text[:, :-1].T:
        shown, kept = read(params, letters, shown, kept)
        seen.append(shown)
    return gd.softmax_cross_entropy(gd.dense(np.concatenate(seen), **params["scores"]), text[:, 1:].T.ravel())


def write(params, alphabet, beginning, length, rng, temperature=0.5):
    """Return ``beginning`` and ``length`` letters after it; a low temperature prefers the likely ones."""
    shown = kept = np.zeros((1, UNITS), np.float32)
    written = beginning
    for i in range(len(beginning) + length - 1):
        shown, kept = read(params, np.array([alphabet.index(written[i])]), shown, kept)
        if i + 1 == len(written):
            chances = gd.softmax(gd.dense(shown[0], **params["scores"]).astype(float) / temperature)
            written += rng.choice(alphabet, p=chances)
    return written


def main(steps=400):
    """Train on the README, and return the surprise at a letter at the start and at the end."""
    rng = np.random.default_rng(0)
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    alphabet = sorted(set(text))
    numbers = np.searchsorted(alphabet, list(text))
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
    return losses[0], np.mean(losses[-10:])


if __name__ == "__main__":
    main()
