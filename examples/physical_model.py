"""A damped oscillation fitted to noisy measurements, with error bars.

The position at time t is  A exp(-gamma t) cos(omega t + phi).  120 positions are measured with an error of 0.05.
The best parameters are those that make what was measured most likely; how sharply the likelihood falls off around
them says how well they are known: their covariance is the inverse of the Hessian of -log(likelihood) there.
"""

import numpy as np

import gdcore as gd

NAMES = ("A", "gamma", "omega", "phi")
TRUTH = np.array([1.5, 0.25, 3.0, 0.4])
START = np.array([1.0, 0.1, 2.8, 0.0])  # read off a plot: the basin of omega is narrow
SIGMA = 0.05

# %% [markdown]
# The model, in plain NumPy, and how unlikely it makes what was measured:


# %%
def position(params, t):
    """Return where the oscillator is at the times ``t``."""
    amplitude, gamma, omega, phi = params
    return amplitude * np.exp(-gamma * t) * np.cos(omega * t + phi)


def nll(params, t, measured):
    """Return -log(likelihood) of the measurements, but for a constant."""
    return np.sum((position(params, t) - measured) ** 2) / (2 * SIGMA**2)


# %% [markdown]
# Fit it, and differentiate twice at the best parameters:


# %%
def main(seed=0, epochs=1500, axes=None):
    """Fit, and return parameters, their covariance, and that of Gauss and Newton. ``axes`` shows the fit."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 8.0, 120)
    measured = position(TRUTH, t) + SIGMA * rng.standard_normal(len(t))

    params = START.copy()
    gd.fit(
        gd.value_and_grad(nll),
        params,
        (t, measured),
        gd.Adam(params, lr=0.02),
        epochs=epochs,
        batch_size=len(t),
        rng=None,
        shuffle=False,
    )
    covariance = np.linalg.inv(gd.hessian(nll)(params, t, measured))
    # Where the model is nearly linear within the error bars, its first derivatives alone give the same.
    slopes = gd.jacobian(position)(params, t)
    gauss_newton = np.linalg.inv(slopes.T @ slopes / SIGMA**2)

    errors = np.sqrt(np.diag(covariance))
    for name, value, error, truth in zip(NAMES, params, errors, TRUTH, strict=True):
        off = (value - truth) / error
        print(f"{name:>5} = {value:.4f} +- {error:.4f}   truth {truth:.2f}, {off:+.1f} error bars off")
    correlation = covariance[2, 3] / (errors[2] * errors[3])
    print(f"omega and phi are correlated: {correlation:.2f}")
    print(f"chi^2 = {2 * nll(params, t, measured):.0f} for {len(t) - len(params)} degrees of freedom")
    if axes is not None:
        axes.errorbar(t, measured, SIGMA, fmt=".", color="0.6", label="measured")
        axes.plot(t, position(params, t), label="fitted")
        axes.set(xlabel="time", ylabel="position")
        axes.legend()
    return params, covariance, gauss_newton


# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(axes=plt.figure(figsize=(6, 3.5), layout="constrained").subplots())
    plt.show()
