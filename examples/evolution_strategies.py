"""A pole balanced on a cart by evolution strategies: Adam without a derivative.

The policy is a small net whose 49 weights lie in one flat vector. Nobody can differentiate how long a pole stands,
so the gradient is estimated: try the weights a little to one side and to the other of where we are, and lean to the
side that did better,

    g = mean((F(w + s e) - F(w - s e)) / (2 s) * e),    e from a normal distribution.

That each e is tried on both sides (antithetic sampling) takes out most of the noise. The optimizer does not ask
where its gradient comes from.

Sources: Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning", 2017; the cart
is that of Barto, Sutton, Anderson, "Neuronlike adaptive elements", 1983.
"""

import numpy as np

import gdcore as gd

HIDDEN, PAIRS, SIGMA, STEPS = 8, 32, 0.3, 400


def push(w, state):
    """Return the force, -10 to 10 N, of each policy ``w`` (n, 49) in its ``state`` (n, 4)."""
    inner, outer = w[:, : 5 * HIDDEN].reshape(-1, 5, HIDDEN), w[:, 5 * HIDDEN :]
    hidden = np.tanh(np.einsum("ni,nij->nj", state, inner[:, :4]) + inner[:, 4])
    return 10 * np.tanh((hidden * outer[:, :HIDDEN]).sum(axis=1) + outer[:, HIDDEN])


def survival(w, state):
    """Return for each policy the part of 8 seconds that its pole stands, from its start ``state`` (n, 4)."""
    standing, stood = np.ones(len(w), bool), np.zeros(len(w))
    for _ in range(STEPS):
        _, speed, angle, turning = state.T
        sin, cos = np.sin(angle), np.cos(angle)
        along = (push(w, state) + 0.05 * turning**2 * sin) / 1.1
        falling = (9.8 * sin - cos * along) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        state = state + 0.02 * np.stack([speed, along - 0.05 * falling * cos / 1.1, turning, falling], axis=1)
        standing &= (np.abs(state[:, 0]) < 2.4) & (np.abs(state[:, 2]) < 0.21)
        stood += standing
    return stood / STEPS


def main(generations=60, seed=0, axes=None):
    """Train the policy, and return how long 100 poles stand before and after. ``axes`` shows the way there."""
    rng = np.random.default_rng(seed)
    w = 0.1 * rng.standard_normal(6 * HIDDEN + 1)
    before = survival(np.tile(w, (100, 1)), rng.uniform(-0.12, 0.12, (100, 4))).mean()
    optimizer = gd.Adam(w, lr=0.1)
    means, bests = [], []
    for generation in range(1, generations + 1):
        e = rng.standard_normal((PAIRS, len(w)))
        start = np.tile(rng.uniform(-0.12, 0.12, 4), (2 * PAIRS, 1))  # the same for all, so that they compare
        fitness = survival(np.concatenate([w + SIGMA * e, w - SIGMA * e]), start)
        better = fitness[:PAIRS] - fitness[PAIRS:]
        optimizer.step(-better @ e / (2 * SIGMA * PAIRS))  # it descends, and fitness is to rise
        means.append(8 * fitness.mean())
        bests.append(8 * fitness.max())
        if generation % 10 == 0:
            print(f"generation {generation:3}: poles stand {means[-1]:.2f} s of 8 s, the best {bests[-1]:.2f} s")
    after = survival(np.tile(w, (100, 1)), rng.uniform(-0.12, 0.12, (100, 4))).mean()
    print(f"100 new starts: {8 * before:.2f} s before, {8 * after:.2f} s after")
    if axes is not None:
        axes.plot(bests, label="the best of a generation")
        axes.plot(means, label="their mean")
        axes.set(xlabel="generation", ylabel="seconds that poles stand")
        axes.legend()
    return before, after


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    main(axes=plt.figure(figsize=(6, 3.5), layout="constrained").subplots())
    plt.show()
