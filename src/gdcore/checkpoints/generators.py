"""The state of a random generator as plain values, and the generator of a state."""

from typing import Any, Final

import numpy as np

GENERATORS: Final = {
    kind.__name__: kind
    for kind in (
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.MT19937,
        np.random.Philox,
        np.random.SFC64,
    )
}

LARGEST: Final = {"pos": 624, "buffer_pos": 4, "has_uint32": 1}
"""What NumPy takes on trust, and then reads memory at."""

MAX_WORD: Final = 2**128 - 1


def state_of(rng: Any) -> dict[str, Any]:
    """Return the state of a ``numpy.random.Generator``.

    Raises TypeError for anything else, and for one whose bits come from elsewhere than NumPy.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
    bits = rng.bit_generator
    if GENERATORS.get(type(bits).__name__) is not type(bits):
        raise TypeError(f"rng: expected one of {', '.join(GENERATORS)}, got {type(bits).__name__}")
    state: dict[str, Any] = dict(bits.state)
    return state


def generator_of(state: Any) -> np.random.Generator:
    """Return a new generator that goes on as the one whose state it is.

    Raises errors of all kinds, and reads no foreign memory, for what is no state.
    """
    bits = GENERATORS[state["bit_generator"]]()
    _check_like(bits.state, state)
    bits.state = state
    return np.random.Generator(bits)


def _check_like(known: Any, state: Any, key: str = "rng") -> None:
    if type(state) is not type(known):
        raise TypeError(f"{key}: expected {type(known).__name__}, got {type(state).__name__}")
    if isinstance(known, dict):
        if known.keys() != state.keys():
            raise ValueError(f"{key}: expected the keys {set(known)}, got {set(state)}")
        for name in known:
            _check_like(known[name], state[name], name)
    elif isinstance(known, np.ndarray):
        if (known.dtype, known.shape) != (state.dtype, state.shape):
            raise ValueError(f"{key}: expected {known.dtype} {known.shape}, got {state.dtype} {state.shape}")
    elif isinstance(known, int) and not 0 <= state <= LARGEST.get(key, MAX_WORD):
        raise ValueError(f"{key}: expected an integer in [0, {LARGEST.get(key, MAX_WORD)}], got {state}")
