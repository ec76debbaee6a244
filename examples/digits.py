"""Handwritten digits, read by a net of two layers.

1,797 images of 8 x 8 pixels come with scikit-learn. Each is a row of 64 numbers; the net has 64 hidden units and an
output for each digit, and the largest is the answer. A quarter of the images is held back: no step sees them.
"""

import numpy as np
from sklearn.datasets import load_digits

import gdcore as gd


def main(epochs=25, figure=None):
    """Train the net, and return the part of the images it has not seen that it reads right.

    Those that it reads wrong are drawn in ``figure``.
    """
    rng = np.random.default_rng(0)
    images, digits = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)  # pixels are 0 to 16
    order = rng.permutation(len(images))
    train, test = order[450:], order[:450]

    net = gd.models.MLP((64, 64, 10), task="classes", rng=rng, dtype=np.float32)
    history = gd.fit(
        net.value_and_grad,
        net.params,
        (images[train], digits[train]),
        gd.Adam(net.groups(), lr=5e-3, weight_decay=0.1),
        epochs=epochs,
        batch_size=32,
        rng=rng,
        metrics=net.metrics,
        validation=(images[test], digits[test]),
    )
    for record in history.records[::4]:
        print(
            f"epoch {record['epoch']:2}: loss {record['loss']:.4f}, right {record['accuracy']:.1%}, "
            f"of those held back {record['validation_accuracy']:.1%}"
        )

    wrong = test[net.predict(images[test]) != digits[test]]
    print(f"Of {len(test)} images held back, {len(wrong)} are read wrong. One of them, a {digits[wrong[0]]}:")
    for row in images[wrong[0]].reshape(8, 8):
        print("    " + "".join(" .:+#@"[int(5 * pixel)] * 2 for pixel in row))
    if figure is not None:
        for axes, i in zip(figure.subplots(2, 4).flat, wrong, strict=False):
            axes.imshow(images[i].reshape(8, 8), cmap="gray_r")
            axes.set_title(f"{digits[i]}, read as {net.predict(images[i : i + 1])[0]}")
            axes.set_axis_off()
    return 1 - len(wrong) / len(test)


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(figure=plt.figure(figsize=(6, 3.2), layout="constrained"))
    plt.show()
