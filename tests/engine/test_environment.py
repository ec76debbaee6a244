"""A step is worked out in the floating-point environment of the thread that makes it, and in no other."""

import ctypes
import platform
import sys
import threading

import numpy as np
import pytest

import gdcore as gd
from gdcore import rules
from gdcore.environment import environment, kept

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="sets the control register of x86-64"
)

BITS = {"up": 0x4000, "down": 0x2000, "to zero": 0x6000, "flush": 0x8040}
"""Of MXCSR: rounding, or subnormal results and operands to 0."""

every_environment = pytest.mark.parametrize("name", BITS)

RULES = {
    "sgd": ({"lr": 0.01, "weight_decay": 0.1, "l2": 0.03}, ()),
    "momentum": ({"lr": 0.01, "nesterov": True, "weight_decay": 0.1}, ("v",)),
    "rmsprop": ({"lr": 0.01, "momentum": 0.7, "l2": 0.03}, ("s", "a", "buf")),
    "adam": ({"lr": 0.01, "betas": (0.8, 0.97)}, ("m", "v", "vmax")),
}


def within(name, function):
    """Return what a function returns in a thread of another environment."""
    found = []

    def work():
        libc, saved = ctypes.CDLL(None), (ctypes.c_uint32 * 8)()  # seven words of the x87, and MXCSR
        libc.fegetenv(saved)
        saved[7] |= BITS[name]
        libc.fesetenv(saved)
        found.append(function())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


def steps(module, rule, dtype, size=1001):
    given, slots = RULES[rule]
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4, size)).astype(dtype)
    draws[:, ::7] *= dtype(1e-30 if dtype is np.float32 else 1e-200)  # squares and products that are subnormal
    param, *grads = draws
    state = {slot: np.zeros(size, dtype) for slot in slots}
    for t, grad in enumerate(grads, 1):
        getattr(module, rule)(param, grad, **state, **given, **({"t": t} if rule == "adam" else {}))
    return np.concatenate([param, *state.values()])


@pytest.fixture
def set_num_threads():
    before = gd.get_num_threads()
    yield gd.set_num_threads
    gd.set_num_threads(before)


def test_environments_are_told_apart():
    told = [environment(), *[within(name, environment) for name in BITS]]
    assert len(set(told)) == len(told)


@every_environment
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_kernel_equals_reference_bit_for_bit_in_every_environment(rule, dtype, name):
    usual = steps(gd.updates, rule, dtype)
    ours, theirs = within(name, lambda: (steps(gd.updates, rule, dtype), steps(gd.reference, rule, dtype)))
    np.testing.assert_array_equal(ours, theirs)
    assert name == "flush" or np.any(ours != usual)
    np.testing.assert_array_equal(steps(gd.updates, rule, dtype), usual)


@every_environment
def test_threads_change_no_bit_in_any_environment(name, set_num_threads):
    found = []
    for count in (1, 3):
        set_num_threads(count)
        found += [within(name, lambda: steps(gd.updates, "adam", np.float32, 200_001)) for _ in range(3)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("name", ["up", "down", "to zero"])
@pytest.mark.parametrize("rule", [rule for rule in rules.RULES.values() if rule.corrections])
def test_coefficients_of_one_environment_do_not_reach_another(rule, name):
    values = [0.5 if value is rules.REQUIRED else value for value in rule.hyperparameters.values()]

    def coefficients():
        return [rule.coefficients(t, *values) for t in range(1, 300)]

    usual = coefficients()
    for beta in np.linspace(0.1, 0.9, 40).tolist():  # what was kept is forgotten
        rule.coefficients(1, *[(beta, beta) if type(value) is tuple else value for value in values])
    assert within(name, coefficients) != usual
    assert coefficients() == usual


@pytest.mark.parametrize("name", ["up", "down", "to zero"])
def test_an_optimizer_that_goes_from_thread_to_thread_works_out_its_coefficients_anew(name):
    rng = np.random.default_rng(0)
    ours, *grads = rng.standard_normal((9, 501))
    theirs, m, v = ours.copy(), np.zeros(501), np.zeros(501)
    opt = gd.Adam(ours, lr=0.1, betas=(0.9, 0.997), weight_decay=0.1)
    for t, grad in enumerate(grads, 1):

        def step(t=t, grad=grad):
            opt.step(grad)
            gd.reference.adam(theirs, grad, m, v, t=t, lr=0.1, betas=(0.9, 0.997), weight_decay=0.1)

        if t % 3:
            step()
        else:
            within(name, step)
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_kept_is_worked_out_once_an_environment():
    calls = []
    third = kept(lambda x: calls.append(x) or x / 3)
    assert third(1.0) == third(1.0) < within("up", lambda: third(1.0))
    assert third(1.0) < within("up", lambda: third(1.0))
    assert calls == [1.0, 1.0]
