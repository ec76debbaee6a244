"""optax.adam under jit."""

from functools import partial
from typing import Any

import jax
import optax
import problem

VERSION = f"optax {optax.__version__}, jax {jax.__version__}"


def adam(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, 1 - beta2^t in float32, in one compiled step that reuses the arrays' memory."""
    del threads  # XLA takes the cores that the process may use
    rule = optax.adam(problem.LR, problem.BETA1, problem.BETA2, problem.EPS)
    weights, given = jax.device_put((params, grads))
    state = rule.init(weights)

    @partial(jax.jit, donate_argnums=(0, 1))
    def compiled(weights: Any, state: Any, given: Any) -> Any:
        updates, state = rule.update(given, state, weights)
        return optax.apply_updates(weights, updates), state

    def step() -> None:
        nonlocal weights, state
        weights, state = jax.block_until_ready(compiled(weights, state, given))

    return problem.Adam(step, lambda: weights)


ADAMS = {"jit": adam}
