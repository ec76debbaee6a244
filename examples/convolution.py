"""Handwritten digits, read by a small convolutional net: plain NumPy and four gates.

1,797 images of 8 x 8 pixels come with scikit-learn. Two layers of 3 x 3 kernels look for strokes, and for what
strokes make together; of every 2 x 2 pixels the largest is kept; a dense layer gives an output for each digit. A
quarter of the images is held back: no step sees them.
"""

import numpy as np
from sklearn.datasets import load_digits

import gdcore as gd


def start(rng):
    """Return the parameters at the start: normal numbers of variance 2 / inputs, as relu wants them (He)."""

    def he(*shape):
        inputs = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        return (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)

    return {
        "strokes": {"w": he(16, 1, 3, 3), "b": np.zeros(16, np.float32)},
        "shapes": {"w": he(32, 16, 3, 3), "b": np.zeros(32, np.float32)},
        "digits": {"w": he(32 * 4 * 4, 10), "b": np.zeros(10, np.float32)},
    }


def net(params, images, rng=None):
    """Return an output for each digit; with ``rng``, in training, half of what the dense layer sees is dropped."""
    x = gd.relu(gd.conv2d(images, **params["strokes"], padding=1))
    x = gd.relu(gd.conv2d(x, **params["shapes"], padding=1))
    x = gd.max_pool2d(x, 2)
    x = x.reshape(len(images), -1)
    if rng is not None:
        x = gd.dropout(x, 0.5, rng)
    return gd.dense(x, **params["digits"])


def main(epochs=20, seed=0, figure=None):
    """Train, and return the part of the unseen images that is read right; ``figure`` shows the first kernels."""
    rng = np.random.default_rng(seed)
    images, digits = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)  # pixels are 0 to 16; one channel
    order = rng.permutation(len(images))
    train, test = order[450:], order[:450]

    def loss(params, images, digits):
        return gd.softmax_cross_entropy(net(params, images, rng), digits)

    def right(images, digits):
        return np.mean(np.argmax(net(params, images), axis=1) == digits)

    params = start(rng)
    gd.fit(
        gd.value_and_grad(loss),
        params,
        (images[train], digits[train]),
        gd.AdamW(params),
        epochs=epochs,
        batch_size=32,
        rng=rng,
        schedule=gd.schedules.cosine(3e-3, steps=epochs * -(-len(train) // 32)),
        callback=lambda record, _: print(
            f"epoch {record['epoch']:2}: loss {record['loss']:.4f}, right {right(images[train], digits[train]):.1%}"
        ),
    )
    score = right(images[test], digits[test])
    print(f"Of {len(test)} images held back, {score:.2%} are read right.")
    if figure is not None:
        for axes, kernel in zip(figure.subplots(2, 8).flat, params["strokes"]["w"][:, 0], strict=True):
            axes.imshow(kernel, cmap="gray_r")
            axes.set_axis_off()
    return score


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(figure=plt.figure(figsize=(6, 1.7), layout="constrained"))
    plt.show()
