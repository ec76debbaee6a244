"""A line through 29 points, by four optimizers.

The points lie on y = 2 x + 30. Each run starts at the line y = x + 1 and takes one point a step, always in the same
order. Watch how the slope is found at once and the intercept slowly: the points lie far from x = 0, so that turning
the line changes the errors a hundred times as much as lifting it does.
"""

import numpy as np

import gdcore as gd

x = 1.0 + (37 * np.arange(29)) % 97
y = 2 * x + 30

# %% [markdown]
# The learning rates differ by a factor of a thousand, as what they are multiplied with has other units: SGD
# and Momentum step by slopes, the others by slopes divided by their size.

# %%
OPTIMIZERS = {
    "SGD": lambda line: gd.SGD(line, lr=1e-4),
    "Momentum": lambda line: gd.Momentum(line, lr=1e-4, beta=0.9),
    "RMSProp": lambda line: gd.RMSProp(line, lr=0.02),
    "Adam": lambda line: gd.Adam(line, lr=0.1),
}

# %% [markdown]
# The gradient need not be written: gd.value_and_grad makes it of the loss.


# %%
def loss(line, x, y):
    """Return the mean squared error of the line y = a x + b. This is all that gdcore has to know of it."""
    a, b = line
    return np.mean((a * x + b - y) ** 2)


def rmse(line, x, y):
    """Return the error in the units of y."""
    return np.sqrt(loss(line, x, y))


def main(epochs=50, axes=None):
    """Fit the line by each optimizer, and return what each found: (a, b, RMSE). ``axes`` shows the way there."""
    found = {}
    for name, make in OPTIMIZERS.items():
        line = np.ones(2)  # stepped in place
        history = gd.fit(
            gd.value_and_grad(loss),
            line,
            (x, y),
            make(line),
            epochs=epochs,
            batch_size=1,
            rng=None,
            shuffle=False,
            metrics={"rmse": rmse},
        )
        a, b = line
        first, last = history.records[0]["rmse"], history.records[-1]["rmse"]
        print(f"{name:>8}: y = {a:.4f} x + {b:7.4f}   RMSE after 1 epoch {first:6.3f}, after {epochs} {last:6.3f}")
        found[name] = a, b, last
        if axes is not None:
            axes.semilogy(history.to_dict()["rmse"], label=name)
            axes.set(xlabel="epoch", ylabel="RMSE")
            axes.legend()
    return found


# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(axes=plt.figure(figsize=(6, 3.5), layout="constrained").subplots())
    plt.show()
