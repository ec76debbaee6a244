"""A step writes its parameters and its own state, and nothing else; whatever the arrays look like."""

import itertools

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rules_table import MAKERS

GUARD = 0xA5
MARGIN = 64  # bytes of guard on either side


class Guarded:
    """An array somewhere within guard bytes, with strides of any kind."""

    def __init__(self, shape, dtype, steps, order, fill):
        itemsize = np.dtype(dtype).itemsize
        spread = [max(n, 1) * abs(step) for n, step in zip(shape, steps, strict=True)]
        size = int(np.prod(spread, dtype=np.int64)) * itemsize
        self.memory = np.full(size + 2 * MARGIN + itemsize, GUARD, np.uint8)
        start = MARGIN + -(self.memory.ctypes.data + MARGIN) % itemsize

        def lay_out(memory, kind):
            dense = memory[start : start + size].view(kind).reshape(spread, order=order)
            strided = dense[(..., *(slice(None, None, step) for step in steps))]
            return strided[(..., *(slice(n) for n in shape))]

        self.array = lay_out(self.memory, dtype)
        self.array[...] = fill
        owned = np.zeros_like(self.memory)
        lay_out(owned, f"u{itemsize}")[...] = 2 ** (8 * itemsize) - 1
        self.owned = owned == 255

    def guards_intact(self):
        return bool((self.memory[~self.owned] == GUARD).all())


@st.composite
def guarded(draw, shape, dtype, seed):
    steps = [draw(st.sampled_from([1, 1, 2, -1, -3])) for _ in shape]
    order = draw(st.sampled_from("CF"))
    fill = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return Guarded(shape, dtype, steps, order, fill)


@st.composite
def problems(draw):
    arrays = draw(st.integers(1, 3))
    pairs = []
    for index in range(arrays):
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
        dtype = draw(st.sampled_from([np.float32, np.float64]))
        pairs.append(tuple(draw(guarded(shape, dtype, 10 * index + k)) for k in range(2)))
    return pairs


@hypothesis.settings(max_examples=300)
@hypothesis.given(problems(), st.sampled_from(sorted(MAKERS)))
def test_a_step_equals_that_on_contiguous_copies_and_writes_nothing_else(pairs, kind):
    params = [param.array for param, _ in pairs]
    grads = [grad.array for _, grad in pairs]
    copies = [param.copy(order="C") for param in params]
    kept = [grad.memory.copy() for _, grad in pairs]
    opt, other = MAKERS[kind](params), MAKERS[kind](copies)
    for _ in range(2):
        opt.step(grads)
        other.step([grad.copy(order="C") for grad in grads])
    for (param, grad), memory, copy in zip(pairs, kept, copies, strict=True):
        np.testing.assert_array_equal(param.array, copy, strict=True)
        assert param.guards_intact()
        np.testing.assert_array_equal(grad.memory, memory)
    for name, slots in other.state.items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(opt.state[name][slot], array, strict=True)


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    st.lists(st.integers(0, 40), min_size=1, max_size=6), st.sampled_from(sorted(MAKERS)), st.integers(0, 9)
)
def test_the_split_into_arrays_changes_no_bit(sizes, kind, seed):
    rng = np.random.default_rng(seed)
    whole = rng.standard_normal(sum(sizes)).astype(np.float32)
    parts = whole.copy()
    borders = np.cumsum([0, *sizes])
    views = [parts[a:b] for a, b in itertools.pairwise(borders)]
    opt, other = MAKERS[kind](whole), MAKERS[kind](views)
    for _ in range(2):
        grad = rng.standard_normal(sum(sizes)).astype(np.float32)
        opt.step(grad)
        other.step([grad[a:b] for a, b in itertools.pairwise(borders)])
    np.testing.assert_array_equal(parts, whole)


@hypothesis.settings(max_examples=200)
@hypothesis.given(problems(), st.sampled_from(sorted(MAKERS)), st.data())
def test_a_failed_step_writes_nothing(pairs, kind, data):
    params = [param.array for param, _ in pairs]
    grads = [grad.array for _, grad in pairs]
    opt = MAKERS[kind](params)
    opt.step(grads)
    before, state = [param.memory.copy() for param, _ in pairs], opt.state_dict()
    spoiled = data.draw(st.integers(0, len(grads) - 1))
    grads[spoiled] = np.ones((*grads[spoiled].shape, 2), grads[spoiled].dtype)
    try:
        opt.step(grads)
    except ValueError:
        pass
    else:
        raise AssertionError("a gradient of another shape was stepped")
    for (param, _), memory in zip(pairs, before, strict=True):
        np.testing.assert_array_equal(param.memory, memory)
    assert opt.t == state["t"]
    for name, slots in state["state"].items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(opt.state[name][slot], array)
