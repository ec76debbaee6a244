"""Schedules against their formulas, and what holds for all of them."""

import ast
import copy
import inspect
import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdcore as gd
from gdcore import powers, schedules
from gdcore.schedules import constant, cosine, exponential, join, one_cycle, piecewise, step, warmup

EXAMPLES = {
    "constant": [constant(0.1)],
    "step": [step(0.1, 30, 0.1), step(0.0, 1, 10.0)],
    "exponential": [exponential(0.1, 0.999), exponential(0.3, 0.5, every=70), exponential(1e-6, 1.5, every=9)],
    "cosine": [cosine(0.1, 100), cosine(0.1, 1), cosine(0.01, 77, final=0.1)],
    "warmup": [warmup(0.1, 100), warmup(0.1, 7, start=0.03)],
    "one_cycle": [one_cycle(0.1, 100), one_cycle(0.1, 2, pct_start=0.5), one_cycle(0.1, 50, 0.25, 10.0, 2.0)],
    "piecewise": [piecewise({0: 0.1, 30: 0.01, 60: 0.001}), piecewise({0: 0.5})],
    "join": [join({100: cosine(0.1, 50), 0: warmup(0.1, 100)}), join({0: constant(0.1)})],
}
ALL = [schedule for some in EXAMPLES.values() for schedule in some]
everyone = pytest.mark.parametrize("schedule", ALL, ids=repr)

STEPS = range(200)


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-13, abs_tol=1e-300)


def test_every_public_function_has_an_example():
    functions = {name for name, thing in vars(schedules).items() if inspect.isfunction(thing)}
    made_here = {name for name in functions if vars(schedules)[name].__module__ == schedules.__name__}
    assert {name for name in made_here if not name.startswith("_")} == set(EXAMPLES)


# What holds for every schedule


@everyone
def test_the_rate_depends_on_the_step_alone(schedule):
    rates = [schedule(t) for t in STEPS]
    order = random.Random(0).choices(STEPS, k=500)
    assert [schedule(t) for t in order] == [rates[t] for t in order]
    assert all(type(rate) is float and 0.0 <= rate < math.inf for rate in rates)


@everyone
def test_copies_are_equal_and_have_the_same_bits(schedule):
    written_out = eval(repr(schedule), dict(vars(schedules)))
    for other in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule)), written_out):
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert [other(t).hex() for t in STEPS] == [schedule(t).hex() for t in STEPS]


@everyone
def test_a_schedule_cannot_be_changed(schedule):
    with pytest.raises(AttributeError):
        schedule.values = ()
    with pytest.raises(AttributeError):
        schedule.lr = 1.0


def test_schedules_differ_where_an_argument_does():
    assert len(set(ALL)) == len(ALL)


@everyone
def test_any_integer_is_a_step(schedule):
    for integer in (np.int64, np.uint8, np.int32):
        assert schedule(integer(7)) == schedule(7)
        assert type(schedule(integer(7))) is float


@everyone
@pytest.mark.parametrize(
    ("bad", "kind"), [(-1, ValueError), (1.0, TypeError), ("1", TypeError), (True, TypeError), (None, TypeError)]
)
def test_what_is_no_step_is_refused(schedule, bad, kind):
    with pytest.raises(kind, match=r"^step: expected an int >= 0, got"):
        schedule(bad)


@pytest.mark.parametrize(
    ("schedule", "end", "last"),
    [
        (cosine(0.1, 100), 100, 0.0),
        (cosine(0.1, 100, final=0.07), 100, 0.07),
        (warmup(0.1, 100, start=0.3), 100, 0.1),
        (one_cycle(0.5, 100), 100, 0.5 / 25 / 1e4),
        (piecewise({0: 0.1, 30: 0.01}), 30, 0.01),
        (join({0: warmup(0.1, 10), 10: cosine(0.1, 20, final=0.02)}), 30, 0.02),
        (step(0.1, 1, 0.5), 1100, 0.0),
        (exponential(0.1, 0.5), 1100, 0.0),
    ],
    ids=repr,
)
def test_the_last_rate_is_held(schedule, end, last):
    assert {schedule(t) for t in (end, end + 1, 10 * end, 10**30)} == {last}
    assert schedule(end - 1) != last or last == 0.0


def test_only_arithmetic_that_ieee_754_defines_is_used():
    for module, functions in ((schedules, {"math.pi"}), (powers, {"math.ldexp", "math.sqrt"})):
        tree = ast.parse(inspect.getsource(module))
        used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert {name for name in used if name.startswith("math.")} == functions
        assert not any(isinstance(node, ast.Pow) for node in ast.walk(tree))


def test_rates_have_the_same_bits_on_every_machine():
    wave, falling = cosine(0.1, 1000, final=0.001), exponential(0.1, 0.97, every=13)
    assert [wave(t).hex() for t in (1, 333, 777, 999)] == [
        "0x1.9999580752318p-4",
        "0x1.346866e5fe347p-4",
        "0x1.9ecc87a03c06cp-7",
        "0x1.063541c0f4a62p-10",
    ]
    assert [falling(t).hex() for t in (1, 13, 1000, 12345)] == [
        "0x1.98a4345e589e5p-4",
        "0x1.8d4fdf3b645a2p-4",
        "0x1.3ab224038df77p-7",
        "0x1.ee2553832fb4cp-46",
    ]


# Formulas, each typed out once more


@pytest.mark.parametrize("every", [1, 7, 30])
def test_step_is_its_formula_in_rational_numbers(every):
    schedule = step(0.1, every, 0.9)
    assert all(close(schedule(t), float(Fraction(0.1) * Fraction(0.9) ** (t // every))) for t in range(300))


@pytest.mark.parametrize("factor", [1e-3, 0.5, 0.999, 1.0, 1.01, 20.0])
@pytest.mark.parametrize("every", [1, 2, 7, 1000])
def test_exponential_is_its_formula(factor, every):
    schedule = exponential(0.1, factor, every)
    assert all(close(schedule(t), 0.1 * math.pow(factor, t / every)) for t in range(0, 60 * every, 1 + every // 9))


@pytest.mark.parametrize("every", [1, 2, 7, 1000])
def test_exponential_meets_step_bit_for_bit(every):
    stairs, falling = step(0.1, every, 0.7), exponential(0.1, 0.7, every)
    assert [stairs(t) for t in range(0, 50 * every, every)] == [falling(t) for t in range(0, 50 * every, every)]


def test_zero_stays_zero_where_the_power_overflows():
    assert step(0.0, 1, 10.0)(10_000) == exponential(0.0, 10.0)(10_000) == 0.0
    assert exponential(0.1, 10.0)(10_000) == math.inf


@pytest.mark.parametrize("final", [0.0, 0.01, 0.1, 0.4])
def test_cosine_is_its_formula(final):
    """Equation 5 of SGDR, with T_cur = step and T_i = steps."""
    schedule = cosine(0.1, 97, final)
    for t in range(98):
        expected = final + 0.5 * (0.1 - final) * (1 + math.cos(t / 97 * math.pi))
        assert schedule(t) == pytest.approx(expected, rel=1e-13, abs=1e-16)


def test_cosine_is_the_recursion_that_torch_uses():
    """``CosineAnnealingLR``, whose get_lr goes from one rate to the next."""
    schedule, rate, steps, final = cosine(0.1, 50, 0.003), 0.1, 50, 0.003
    for t in range(1, steps + 1):
        rate = (1 + math.cos(math.pi * t / steps)) / (1 + math.cos(math.pi * (t - 1) / steps)) * (
            rate - final
        ) + final
        assert schedule(t) == pytest.approx(rate, rel=1e-11)


def test_the_end_of_a_cosine_does_not_cancel():
    """Where ``1 + cos(pi x)`` has lost all its digits, ``(pi (1 - x) / 2)^2`` has them."""
    steps = 2**27
    assert close(cosine(1.0, steps)(steps - 1), (math.pi / 2 / steps) ** 2)


def test_warmup_is_a_straight_line():
    schedule = warmup(0.1, 64, start=0.02)
    expected = [float(Fraction(0.02) + (Fraction(0.1) - Fraction(0.02)) * t / 64) for t in range(65)]
    assert all(close(schedule(t), rate) for t, rate in enumerate(expected))
    assert (schedule(0), schedule(64)) == (0.02, 0.1)


@pytest.mark.parametrize("pct_start", [0.1, 0.3, 0.25])
def test_one_cycle_is_that_of_optax(pct_start):
    """``cosine_onecycle_schedule``: cosine pieces between values at int(pct_start * steps) and at steps."""
    steps, peak_value, div, final_div = 200, 0.3, 25.0, 1e4
    bounds = [0, int(pct_start * steps), steps]
    values = np.cumprod([peak_value / div, div, 1.0 / (div * final_div)])
    schedule = one_cycle(peak_value, steps, pct_start)
    for t in range(steps):
        k = 0 if t < bounds[1] else 1
        part = (t - bounds[k]) / (bounds[k + 1] - bounds[k])
        expected = values[k + 1] + (values[k] - values[k + 1]) / 2 * (1 + math.cos(math.pi * part))
        assert schedule(t) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_one_cycle_is_that_of_torch_which_ends_a_step_earlier():
    """``OneCycleLR(total_steps=100)``: phases end at pct_start * total_steps - 1 and total_steps - 1."""
    total, most, pct = 100, 0.3, 0.3
    first, last = pct * total - 1, total - 1
    initial, smallest = most / 25, most / 25 / 1e4
    schedule = one_cycle(most, total - 1, pct_start=first / last)
    for t in range(total):
        start, end, part = (
            (initial, most, t / first) if t <= first else (most, smallest, (t - first) / (last - first))
        )
        expected = end + (start - end) / 2 * (math.cos(math.pi * part) + 1)
        assert schedule(t) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_piecewise_jumps_at_its_steps_and_nowhere_else():
    schedule = piecewise({60: 0.001, 0: 0.1, 30: 0.01})
    assert [schedule(t) for t in range(90)] == 30 * [0.1] + 30 * [0.01] + 30 * [0.001]


def test_piecewise_is_a_join_of_constants():
    rates = {0: 0.1, 3: 0.7, 4: 0.2}
    joined = join({at: constant(lr) for at, lr in rates.items()})
    assert [piecewise(rates)(t) for t in range(10)] == [joined(t) for t in range(10)]


def test_each_joined_schedule_counts_from_where_it_begins():
    parts = {0: warmup(0.1, 5), 5: exponential(0.1, 0.9), 20: lambda t: 0.001 * t}
    schedule = join(parts)
    assert [schedule(t) for t in range(30)] == (
        [parts[0](t) for t in range(5)] + [parts[5](t) for t in range(15)] + [parts[20](t) for t in range(10)]
    )


def test_a_join_of_joins_counts_on():
    inner = join({0: constant(0.1), 2: warmup(0.2, 4)})
    outer = join({0: constant(0.5), 3: inner})
    assert [outer(t) for t in range(12)] == 3 * [0.5] + [inner(t) for t in range(9)]


# Shapes, for any arguments

rates = st.floats(0.0, 1e6)
counts = st.integers(1, 10_000)


@given(rates, counts, rates, st.integers(0, 20_000))
def test_cosine_and_warmup_stay_between_their_ends_and_meet_them(a, steps, b, t):
    for schedule in (cosine(a, steps, b), warmup(b, steps, a)):
        assert (schedule(0), schedule(steps)) == (a, b)
        assert min(a, b) <= schedule(t) <= max(a, b)


@given(rates, counts, rates, st.integers(0, 9_999))
def test_cosine_and_warmup_go_one_way(a, steps, b, t):
    for schedule in (cosine(a, steps, b), warmup(b, steps, a)):
        here, there = schedule(t), schedule(t + 1)
        assert here <= there if a <= b else here >= there


@given(st.floats(1e-6, 1.0), st.integers(2, 10_000), st.floats(0.0, 1.0))
def test_one_cycle_is_continuous_and_meets_its_peak(lr, steps, pct_start):
    peak = round(pct_start * steps)
    if not 1 <= peak < steps:
        with pytest.raises(ValueError, match=r"^pct_start: "):
            one_cycle(lr, steps, pct_start)
        return
    schedule = one_cycle(lr, steps, pct_start)
    assert schedule(0) == lr / 25.0
    assert schedule(peak) == lr
    steepest = math.pi / 2 * lr / min(peak, steps - peak)
    for t in (peak - 1, peak, steps - 1, steps):
        assert abs(schedule(t + 1) - schedule(t)) <= 1.0001 * steepest


@given(rates, counts, counts)
def test_warmup_and_cosine_join_without_a_jump(lr, rise, fall):
    schedule = join({0: warmup(lr, rise), rise: cosine(lr, fall)})
    assert schedule(rise) == lr == warmup(lr, rise)(rise)
    assert schedule(rise + fall) == 0.0
    assert abs(schedule(rise) - schedule(rise - 1)) <= 1.0001 * lr / rise


# With an optimizer


def test_a_resumed_run_needs_no_replay():
    grads = np.random.default_rng(0).standard_normal((60, 5))
    schedule = join({0: warmup(0.1, 10), 10: cosine(0.1, 50)})

    def steps(opt, some):
        for grad in some:
            opt.lr = schedule(opt.t)
            opt.step(grad)

    w, v = np.ones(5), np.ones(5)
    steps(gd.Adam(w), grads)
    first = gd.Adam(v)
    steps(first, grads[:37])
    second = gd.Adam(v)
    second.load_state_dict(first.state_dict())
    steps(second, grads[37:])
    assert w.tobytes() == v.tobytes()


# Arguments


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: constant(-0.1), ValueError, "lr: expected a finite number >= 0, got -0.1"),
        (lambda: constant(math.nan), ValueError, "lr: expected a finite number >= 0, got nan"),
        (lambda: constant("a"), TypeError, "lr: expected a finite number >= 0, got 'a' of type str"),
        (lambda: step(math.inf, 1, 0.5), ValueError, "lr: expected a finite number >= 0, got inf"),
        (lambda: step(0.1, 0, 0.5), ValueError, "every: expected an int >= 1, got 0"),
        (lambda: step(0.1, 2.0, 0.5), TypeError, "every: expected an int >= 1, got 2.0 of type float"),
        (lambda: step(0.1, 1, 0.0), ValueError, "factor: expected a finite number > 0, got 0.0"),
        (lambda: exponential(0.1, -1), ValueError, "factor: expected a finite number > 0, got -1"),
        (
            lambda: exponential(0.1, 0.5, every=True),
            TypeError,
            "every: expected an int >= 1, got True of type bool",
        ),
        (lambda: cosine(0.1, 0), ValueError, "steps: expected an int >= 1, got 0"),
        (lambda: cosine(0.1, 10, final=-1), ValueError, "final: expected a finite number >= 0, got -1"),
        (lambda: warmup(0.1, 10, start=math.nan), ValueError, "start: expected a finite number >= 0, got nan"),
        (lambda: warmup(0.1, 0.5), TypeError, "steps: expected an int >= 1, got 0.5 of type float"),
        (lambda: one_cycle(0.1, 1), ValueError, "steps: expected an int >= 2, got 1"),
        (lambda: one_cycle(0.1, 10, 0.01), ValueError, "pct_start: expected a part of 10 steps that is at least 1"),
        (
            lambda: one_cycle(0.1, 10, 1e308),
            ValueError,
            "pct_start: expected a part of 10 steps that is at least 1",
        ),
        (lambda: one_cycle(0.1, 10, 0.3, 0), ValueError, "div_factor: expected a finite number > 0, got 0"),
        (lambda: one_cycle(0.1, 10, 0.3, 25, -1), ValueError, "final_div_factor: expected a finite number > 0"),
        (lambda: piecewise({}), ValueError, "rates: expected one that begins at step 0, got steps []"),
        (lambda: piecewise({5: 0.1}), ValueError, "rates: expected one that begins at step 0, got steps [5]"),
        (lambda: piecewise({0: 0.1, -1: 0.1}), ValueError, "rates: step: expected an int >= 0, got -1"),
        (lambda: piecewise({0: 0.1, 1.5: 0.1}), TypeError, "rates: step: expected an int >= 0, got 1.5"),
        (lambda: piecewise({0: 0.1, 9: -1}), ValueError, "rates[9]: expected a finite number >= 0, got -1"),
        (lambda: piecewise([0.1]), TypeError, "rates: expected a dict whose keys are steps, got list"),
        (lambda: join({0: 0.1}), TypeError, "schedules[0]: expected a callable, got float"),
        (
            lambda: join({1: constant(0.1)}),
            ValueError,
            "schedules: expected one that begins at step 0, got steps [1]",
        ),
        (lambda: join([constant(0.1)]), TypeError, "schedules: expected a dict whose keys are steps, got list"),
    ],
)
def test_bad_arguments_are_refused_at_once(make, kind, message):
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value).startswith(message)
