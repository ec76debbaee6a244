"""Averages of the weights, and state in memory that the user gives."""

import copy
import math
import mmap
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from rules_table import every_make

import gdcore as gd


def walk(opt, params, steps, seed=0):
    """Step by the same random gradients; return the weights after each step."""
    rng, met = np.random.default_rng(seed), []
    for _ in range(steps):
        opt.step({name: rng.standard_normal(w.shape).astype(w.dtype) for name, w in params.items()})
        met.append({name: w.copy() for name, w in params.items()})
    return met


def new_params():
    rng = np.random.default_rng(9)
    return {"a": rng.standard_normal((5, 3)), "b": rng.standard_normal(7).astype(np.float32)}


@every_make
def test_the_average_is_the_weighted_sum_of_all_weights_met(make):
    for corrected in (False, True):
        params = new_params()
        first = {name: w.copy() for name, w in params.items()}
        opt = make(params, average=0.75, average_corrected=corrected)
        met = walk(opt, params, 9)
        for name, average in opt.averages().items():
            weights = [0.25 * 0.75 ** (8 - i) for i in range(9)]
            expected = sum(weight * w[name].astype(float) for weight, w in zip(weights, met, strict=True))
            expected = expected / sum(weights) if corrected else expected + 0.75**9 * first[name]
            np.testing.assert_allclose(average, expected, rtol=1e-12 if average.dtype == float else 2e-5)


@every_make
def test_an_average_changes_no_step(make):
    with_it, without = new_params(), new_params()
    walk(make(with_it, average=0.9), with_it, 5)
    walk(make(without), without, 5)
    assert all(np.array_equal(with_it[name], without[name]) for name in without)


def test_an_average_with_decay_0_is_the_weights_and_one_of_constant_weights_is_these():
    params = new_params()
    opt = gd.Adam(params, average=0.0)
    walk(opt, params, 3)
    assert all(np.allclose(opt.averages()[name], w, rtol=1e-6) for name, w in params.items())
    still = gd.SGD(params, lr=0.0, average=0.9999)
    before = {name: w.copy() for name, w in params.items()}
    walk(still, params, 50)
    assert all(np.array_equal(still.averages()[name], w) for name, w in before.items())


def test_within_averaged_the_parameters_are_the_averages():
    params = new_params()
    opt = gd.Adam(params, lr=0.1, average=0.5)
    walk(opt, params, 4)
    weights, averages = {name: w.copy() for name, w in params.items()}, opt.averages()
    with opt.averaged():
        assert all(np.array_equal(w, averages[name]) for name, w in params.items())
        with pytest.raises(RuntimeError, match="expected a call outside of averaged"):
            walk(opt, params, 1)
    assert all(np.array_equal(w, weights[name]) for name, w in params.items())
    assert all(np.array_equal(a, averages[name]) for name, a in opt.averages().items())
    walk(opt, params, 1)
    assert opt.t == 5


@every_make
def test_a_resumed_average_equals_an_uninterrupted_one(make, tmp_path):
    whole = new_params()
    opt = make(whole, average=0.9, average_corrected=True)
    walk(opt, whole, 3, seed=1)
    parts = {name: w.copy() for name, w in whole.items()}
    again = make(parts, average=0.5)
    gd.save(tmp_path / "run.npz", whole, opt)
    gd.load(tmp_path / "run.npz", parts, again)
    assert again.average == (0.9, True)
    copied = pickle.loads(pickle.dumps(opt))
    assert copied.average == copy.copy(opt).average == (0.9, True)
    walk(opt, whole, 3, seed=2)
    walk(again, parts, 3, seed=2)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    assert all(np.array_equal(opt.averages()[name], again.averages()[name]) for name in whole)


def test_a_skipped_parameter_keeps_its_average():
    a, b = np.ones(3), np.ones(3)
    opt = gd.SGD([a, b], lr=0.5, average=0.5)
    opt.step([np.ones(3), None])
    opt.step([np.full(3, np.nan), np.ones(3)], skip_nonfinite=True)
    assert [x.tolist() for x in opt.averages()] == [[0.75] * 3, [1.0] * 3]


@pytest.mark.parametrize("bad", [1.0, -0.1, math.nan, 2])
def test_an_average_outside_its_range_is_refused(bad):
    with pytest.raises(ValueError, match=r"average: expected None or a number in \[0, 1\), got"):
        gd.Adam(np.ones(3), average=bad)


def test_parameters_are_back_after_an_error_within_averaged():
    w = np.ones(3)
    opt = gd.SGD(w, lr=0.5, average=0.5)
    opt.step(np.ones(3))

    def fail():
        with opt.averaged():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert w.tolist() == [0.5] * 3


def test_what_has_no_average_says_so():
    opt = gd.Adam(np.ones(3))
    with pytest.raises(ValueError, match="average: expected an optimizer made with it, got Adam without"):
        opt.averages()
    with pytest.raises(ValueError, match="average_corrected: expected False without average, got True"):
        gd.Adam(np.ones(3), average_corrected=True)
    with pytest.raises(ValueError, match="got none of 'average'"):
        gd.Adam(np.ones(3), average=0.5).load_state_dict(opt.state_dict())


@every_make
def test_state_in_given_memory_steps_the_same(make, tmp_path):
    asked = []

    def on_file(size):
        asked.append(size)
        (tmp_path / "state").write_bytes(b"x" * size)  # whatever was there
        with (tmp_path / "state").open("r+b") as file:
            return mmap.mmap(file.fileno(), size)

    ours, theirs = new_params(), new_params()
    there, here = make(ours, memory=on_file, average=0.5), make(theirs, average=0.5)
    walk(there, ours, 4)
    walk(here, theirs, 4)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert len(asked) == 1
    content = (tmp_path / "state").read_bytes()
    assert all(slot.tobytes() in content for slots in there.state.values() for slot in slots.values())


def test_memory_that_does_not_fit_is_refused():
    w = np.ones(100)
    for memory, error, said in [
        (5, TypeError, "memory: expected a function of a number of bytes, got int"),
        (lambda size: None, TypeError, "memory: expected it to return a buffer, got NoneType"),
        (bytes, ValueError, "memory: expected a writeable, contiguous buffer"),
        (lambda size: bytearray(size - 1), ValueError, "memory: expected a buffer of [0-9]+ bytes or more"),
    ]:
        with pytest.raises(error, match=said):
            gd.Adam(w, memory=memory)
    long = np.ones(100_000)
    with pytest.raises(ValueError, match="memory: expected memory of its own, got memory that overlaps params"):
        gd.Adam(long[:100], memory=lambda size: long)
    assert (long == 1).all()


LIMITED = """
import mmap, resource, sys
import numpy as np, gdcore as gd
w, g = np.ones(4_000_000, np.float32), np.ones(4_000_000, np.float32)
file = open(sys.argv[1], "w+b")
def mapped(size):
    file.truncate(size)
    return mmap.mmap(file.fileno(), size)
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 20_000_000, used + 20_000_000))
try:
    gd.Adam(w)
except MemoryError:
    pass
else:
    sys.exit("there was memory enough")
opt = gd.Adam(w, memory=mapped)
opt.step(g)
assert opt.t == 1 and abs(w[-1] - 0.999) < 1e-6
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_state_on_a_mapped_file_may_be_larger_than_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "state")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "GDCORE_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_layers_stepped_as_their_gradients_arrive_want_an_optimizer_each():
    together, apart = [np.ones(3), np.ones(2)], [np.ones(3), np.ones(2)]
    opt, own = gd.Adam(together, lr=0.1), [gd.Adam(w, lr=0.1) for w in apart]
    rng = np.random.default_rng(4)
    for _ in range(5):
        grads = [rng.standard_normal(3), rng.standard_normal(2)]
        opt.step(grads)
        for each, grad in zip(reversed(own), reversed(grads), strict=True):
            each.step(grad)
    assert all(np.array_equal(a, b) for a, b in zip(together, apart, strict=True))
