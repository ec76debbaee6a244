"""Logistic regression with an L2 penalty, beside scikit-learn's.

569 tumours, 30 measurements each: malignant or not? The loss is convex, so there is one optimum, and two programs
that know nothing of each other must meet there. What differs is the way of writing the penalty:

    here             mean(loss) + l2 / 2 * ||w||^2       the bias is free
    scikit-learn     C * sum(loss) + 1 / 2 * ||w||^2     so C = 1 / (n * l2)
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import gdcore as gd


def main(l2=0.01, epochs=1000, axes=None):
    """Find the optimum in both ways, and return the largest difference between their weights, drawn in ``axes``."""
    x, benign = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    n, features = x.shape

    model = gd.models.Logistic(features)
    history = gd.fit(
        model.value_and_grad,
        model.params,
        (x, benign),
        gd.Momentum(model.groups(), lr=0.25, beta=0.95, dampening=0.0, nesterov=True, l2=l2),
        epochs=epochs,
        batch_size=n,  # the whole table at once: without noise, a constant learning rate reaches the optimum
        rng=None,
        shuffle=False,
        metrics=model.metrics,
    )
    theirs = LogisticRegression(C=1 / (n * l2), tol=1e-10, max_iter=10_000).fit(x, benign)

    (weights,), (bias,) = model.params
    difference = max(np.abs(weights[:, 0] - theirs.coef_[0]).max(), np.abs(bias - theirs.intercept_).max())
    print(f"{history}, {history.records[-1]['accuracy']:.1%} right")
    print(f"weights from {weights.min():.4f} to {weights.max():.4f}, bias {bias[0]:.4f}")
    print(f"scikit-learn: {theirs.coef_.min():.4f} to {theirs.coef_.max():.4f}, bias {theirs.intercept_[0]:.4f}")
    print(f"largest difference {difference:.1e}")
    if axes is not None:
        axes.axline((0, 0), slope=1, color="0.7")
        axes.plot(theirs.coef_[0], weights[:, 0], "o")
        axes.set(xlabel="scikit-learn's weights", ylabel="gdcore's weights")
    return difference


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(axes=plt.figure(figsize=(5, 4), layout="constrained").subplots())
    plt.show()
