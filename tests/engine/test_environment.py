"""A step is worked out in the floating-point environment of the thread that makes it, and in no other."""

import ctypes
import inspect
import platform
import sys
import threading

import numpy as np
import pytest
from rules_table import RULES, every_rule

import gdcore as gd
from gdcore import rules
from gdcore.environment import environment, kept

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="sets the control register of x86-64"
)

BITS = {"up": 0x4000, "down": 0x2000, "to zero": 0x6000, "flush": 0x8040}
"""Of MXCSR: rounding, or subnormal results and operands to 0."""

every_environment = pytest.mark.parametrize("name", BITS)


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


def given_to(rule):
    """Hyperparameters that use all that the rule has."""
    given = {**rule.hyperparameters, **rule.options, "lr": 0.01, "weight_decay": 0.1, "l2": 0.03}
    return {name: value for name, value in given.items() if name in rule.hyperparameters}


def steps(module, rule, dtype, size=1001):
    function, given = getattr(module, rule.name), given_to(rule)
    draws = np.random.default_rng(0).standard_normal((5, size)).astype(dtype)
    draws[:, ::7] *= dtype(1e-30 if dtype is np.float32 else 1e-200)  # squares and products that are subnormal
    param, *grads = draws
    slots = {slot: np.zeros(size, dtype) for slot in rule.used_slots(given)}
    for t, grad in enumerate(grads, 1):
        accepted = inspect.signature(getattr(gd.reference, rule.name)).parameters
        named = {name: value for name, value in {**given, "t": t}.items() if name in accepted}
        function(param, *(grad,) * rule.has_gradient, **slots, **named)
    return np.concatenate([param, *slots.values()])


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
@every_rule
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
        found += [within(name, lambda: steps(gd.updates, rules.ADAM, np.float32, 200_001)) for _ in range(3)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("name", ["up", "down", "to zero"])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.corrections], ids=lambda rule: rule.name)
def test_coefficients_of_one_environment_do_not_reach_another(rule, name):
    values = [*given_to(rule).values()]

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
    third = kept(16)(lambda x: calls.append(x) or x / 3)
    assert third(1.0) == third(1.0) < within("up", lambda: third(1.0))
    assert third(1.0) < within("up", lambda: third(1.0))
    assert calls == [1.0, 1.0]
