"""The compiled rules equal the reference bit for bit. Every test walks the table of rules."""

import ast
import inspect
import itertools
import math
import pickle
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rules_table import KINDS, every_rule
from rules_table import RULES as TABLE

import gdcore as gd
from gdcore import powers, reference, rules, stages
from gdcore.engine import _plan
from gdcore.models.choices import OPTIMIZERS

DTYPES = [np.float32, np.float64]
SIZES = [*range(71), 1_000]


def variants(rule):
    """Every combination of the rule's options, each with and without weight decay and l2."""
    switches = {**rule.options, "weight_decay": 0.1, "l2": 0.03}
    switches = {name: value for name, value in switches.items() if name in rule.hyperparameters}
    for chosen in itertools.product((False, True), repeat=len(switches)):
        yield {name: value for (name, value), on in zip(switches.items(), chosen, strict=True) if on}


VARIANTS = [
    pytest.param(rule, options, id=f"{rule.name}-{'-'.join(options) or 'plain'}")
    for rule in TABLE
    for options in variants(rule)
]


def settings(rule, options):
    given = {"lr": 0.01, "weight_decay": 0.0} if rule is rules.DECAY else {"lr": 0.01}
    return {**given, **options}


def make_slots(rule, options, n, dtype, draw=None):
    values = {**rule.hyperparameters, **options}
    return {name: np.zeros(n, dtype) if draw is None else draw() for name in rule.used_slots(values) if name}


@cache
def accepted(name):
    return inspect.signature(getattr(gd.reference, name)).parameters


def call(module, rule, t, param, grad, slots, given):
    kwargs = {name: value for name, value in {**given, "t": t}.items() if name in accepted(rule.name)}
    grads = (grad,) if rule.has_gradient else ()
    getattr(module, rule.name)(param, *grads, **slots, **kwargs)


def assert_same_bits(ours, theirs, what):
    bits = np.uint32 if ours.dtype == np.float32 else np.uint64
    same = (ours.view(bits) == theirs.view(bits)) | (np.isnan(ours) & np.isnan(theirs))
    if not same.all():
        i = np.flatnonzero(~same)[0]
        pytest.fail(f"{what}, element {i} of {ours.size}: kernel {ours[i]!r}, reference {theirs[i]!r}")


def assert_parity(rule, options, dtype, n, steps, rng, draw, draw_slots=None):
    given = settings(rule, options)
    ours = draw()
    theirs = ours.copy()
    our_slots = make_slots(rule, options, n, dtype, draw_slots)
    their_slots = {name: slot.copy() for name, slot in our_slots.items()}
    for t in range(1, steps + 1):
        grad = draw()
        call(gd.updates, rule, t, ours, grad, our_slots, given)
        call(gd.reference, rule, t, theirs, grad, their_slots, given)
        if draw_slots or t == steps:  # given slots may be of values that a later step replaces
            assert_same_bits(ours, theirs, "param")
            for name, slot in our_slots.items():
                assert_same_bits(slot, their_slots[name], name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_kernel_equals_reference_bit_for_bit_at_every_size(rule, options, dtype):
    rng = np.random.default_rng(1)
    for n in SIZES:
        assert_parity(rule, options, dtype, n, 3, rng, lambda n=n: rng.standard_normal(n).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_kernel_equals_reference_bit_for_bit_over_many_steps(rule, options, dtype):
    rng = np.random.default_rng(2)
    assert_parity(rule, options, dtype, 100_003, 3, rng, lambda: rng.standard_normal(100_003).astype(dtype))
    assert_parity(rule, options, dtype, 37, 2 * rules.BLOCK + 2, rng, lambda: rng.standard_normal(37).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_kernel_equals_reference_bit_for_bit_on_special_values(rule, options, dtype):
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    tiny = [info.smallest_subnormal, -3 * info.smallest_subnormal, info.tiny, -info.tiny]
    usual = [0.0, -0.0, 1.0, -1.0, info.eps, 1e-20, -1e20]
    huge = [info.max, -info.max, np.inf, -np.inf, np.nan]
    special = np.array([*tiny, *usual, *huge], dtype)

    def draw():
        return rng.choice(special, 515)

    def draw_slots():
        return rng.choice(special[special >= 0], 515)

    assert_parity(rule, options, dtype, 515, 6, rng, draw)
    assert_parity(rule, options, dtype, 515, 6, rng, draw, draw_slots)


@every_rule
def test_rule_has_a_kernel_a_reference_and_an_update_of_one_signature(rule):
    assert rule.name in _plan.kernel_names()
    reference, update = getattr(gd.reference, rule.name), getattr(gd.updates, rule.name)
    assert inspect.signature(reference) == inspect.signature(update)
    assert ("t" in inspect.signature(reference).parameters) == bool(rule.corrections)
    assert (update.__name__, update.__qualname__, update.__module__) == (rule.name, rule.name, "gdcore.updates")
    assert inspect.getdoc(update).startswith(inspect.getdoc(reference))
    assert pickle.loads(pickle.dumps(update)) is update
    for name, default in rule.hyperparameters.items():
        if name not in rule.slots.values():
            parameter = inspect.signature(update).parameters[name]
            assert parameter.default == (inspect.Parameter.empty if default is rules.REQUIRED else default)


def test_no_kernel_is_without_a_rule():
    assert _plan.kernel_names() == [*rules.RULES, "stream", *stages.STAGES, *stages.CONVERSIONS, *stages.LOOKS]


@pytest.mark.parametrize("rule", [rule for rule in TABLE if rule.has_gradient], ids=lambda rule: rule.name)
def test_rule_has_an_optimizer_with_its_hyperparameters_and_defaults(rule):
    kinds = {name.lower(): kind for name, kind in KINDS.items() if kind.rule is rule}
    assert rule.name in kinds
    for kind in kinds.values():
        parameters = dict(inspect.signature(kind).parameters)
        assert next(iter(parameters)) == "params"
        assert list(parameters)[1:] == [*rule.hyperparameters, "keep"]
        if kind is not gd.AdamW:
            for name, default in rule.hyperparameters.items():
                expected = inspect.Parameter.empty if default is rules.REQUIRED else default
                assert parameters[name].default == expected
    assert inspect.signature(gd.AdamW).parameters["weight_decay"].default == 0.01


@every_rule
def test_rule_names_each_coefficient_and_checks_each_hyperparameter(rule):
    values = {name: 0.5 if value is rules.REQUIRED else value for name, value in rule.hyperparameters.items()}
    assert len(rule.coefficients(1, *values.values())) == len(rule.coefficient_names)
    assert rule.coefficient_names[0] == "decay"
    assert set(rule.hyperparameters) <= set(rules.CHECKS)
    assert set(rule.options) <= set(rule.hyperparameters)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 0.9, 0.999, 0.9999999, 1 - 2**-53])
@pytest.mark.parametrize("t", [0, 1, 2, 3, 63, 64, 65, 1000])
def test_one_minus_power_is_accurate(beta, t):
    exact = 1 - Fraction(beta) ** t
    assert math.isclose(powers.one_minus_power(beta, t), float(exact), rel_tol=1e-14, abs_tol=0)


@pytest.mark.parametrize("t", [1, 2, 63, 64, 65, 1000, 2**24 + 1, 2**53 + 1, 2**63 - 1])
def test_bias_correction_is_that_of_an_exact_integer_step(t):
    betas, lr, eps = (1 - 2**-10, 1 - 2**-30), 0.5, 0.25
    values = rules.ADAM.coefficients(t, lr, betas, eps, eps, False, False, 0.0, 0.0)
    coefficients = dict(zip(rules.ADAM.coefficient_names, values, strict=True))
    root = math.sqrt(-math.expm1(t * math.log1p(-(2**-30))))
    correction1 = -math.expm1(t * math.log1p(-(2**-10)))
    assert math.isclose(coefficients["eps"], eps * root, rel_tol=1e-12)
    assert math.isclose(coefficients["eps_root"], eps * root**2, rel_tol=1e-12)
    assert math.isclose(coefficients["lr"], lr * root / correction1, rel_tol=1e-12)
    hat = rules.ADAM.coefficients(t, lr, betas, eps, eps, True, False, 0.0, 0.0)
    assert hat == tuple({**coefficients, "eps": eps, "eps_root": eps}.values())


@pytest.mark.parametrize("t", [1, 2, 63, 64, 65, 200, 1000, 2**53 + 1])
@pytest.mark.parametrize(
    ("beta1", "momentum_decay"), [(0.9, 4e-3), (0.999, 30.0), (0.0, 1.0), (0.9, 0.0), (0.5, 1e300)]
)
def test_the_momenta_of_nadam_are_their_products(t, beta1, momentum_decay):
    def mu(i):
        return beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay))

    values = rules.NADAM.coefficients(t, 1.0, (beta1, 0.0), 1.0, 0.0, momentum_decay, 0.0, 0.0)
    product = math.prod(mu(i) for i in range(1, min(t, 60_000) + 1))
    _, _, lr, lr_g, *_ = values
    assert math.isclose(lr, mu(t + 1) / (1 - product * mu(t + 1)), rel_tol=1e-12)
    assert math.isclose(lr_g, (1 - mu(t)) / (1 - product), rel_tol=1e-12)


def test_steps_beyond_2_to_the_24_still_count():
    beta2 = 1 - 2**-30
    eps = [
        rules.ADAM.coefficients(t, 1.0, (0.9, beta2), 1.0, 0.0, False, False, 0.0, 0.0)[7]
        for t in (2**24, 2**24 + 1)
    ]
    assert eps[0] < eps[1]


def test_first_step_of_adam_has_the_size_of_the_learning_rate():
    for dtype in DTYPES:
        w = np.zeros(3, dtype)
        gd.updates.adam(w, np.array([1e-2, -5, 1e3], dtype), np.zeros(3, dtype), np.zeros(3, dtype), t=1, lr=0.1)
        np.testing.assert_allclose(w, [-0.1, 0.1, -0.1], rtol=2e-6)


def test_lion_is_the_plain_formula_in_pure_python():
    rng = np.random.default_rng(8)
    grads = rng.integers(-3, 4, (50, 6)) / 4  # zeros among them
    w, lr, (beta1, beta2), decay, l2 = [1.0, -0.5, 0.0, 2.0, 0.25, -3.0], 0.01, (0.75, 0.5), 0.5, 0.125
    ours, m = np.array(w), np.zeros(6)
    momenta = [0.0] * 6
    for grad in grads:
        gd.updates.lion(ours, grad, m, lr=lr, betas=(beta1, beta2), weight_decay=decay, l2=l2)
        for i, raw in enumerate(grad):
            g = float(raw) + l2 * w[i]
            along = beta1 * momenta[i] + (1 - beta1) * g
            w[i] = (1 - lr * decay) * w[i] - lr * ((along > 0) - (along < 0))
            momenta[i] = beta2 * momenta[i] + (1 - beta2) * g
    np.testing.assert_allclose(ours, w, rtol=1e-13)
    np.testing.assert_allclose(m, momenta, rtol=1e-12)


def test_centered_rmsprop_never_takes_the_root_of_a_negative_number():
    # s - a^2 of a constant gradient is 0 but for rounding, which can make it negative.
    for dtype in DTYPES:
        grad = np.linspace(0.1, 3, 1000).astype(dtype)
        w, s, a = np.zeros(1000, dtype), np.zeros(1000, dtype), np.zeros(1000, dtype)
        for _ in range(500):
            gd.updates.rmsprop(w, grad, s, a=a, lr=1e-3)
        assert np.isfinite(w).all()


def subnormal_slots(module, rule, options, dtype):
    """Return the slots that hold a subnormal number after some step, of gradients that begin to vanish."""
    tiny = np.finfo(dtype).tiny
    given = {**settings(rule, options), "weight_decay": 0.0, "l2": 0.0, "eps": 1.0}
    param, slots, found = np.ones(100, dtype), make_slots(rule, options, 100, dtype), set()
    for t in range(1, 40):
        grad = np.geomspace(tiny, math.sqrt(tiny), 100).astype(dtype) / dtype(2) ** t
        call(module, rule, t, param, grad, slots, given)
        found |= {name for name, slot in slots.items() if ((slot != 0) & (np.abs(slot) < tiny)).any()}
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_no_slot_ever_holds_a_subnormal_number(rule, options, dtype, monkeypatch):
    assert not subnormal_slots(gd.updates, rule, options, dtype)
    assert not subnormal_slots(gd.reference, rule, options, dtype)
    monkeypatch.setattr(reference, "_flushed", lambda x: x)  # and without the mend each would
    assert subnormal_slots(gd.reference, rule, options, dtype) == set(make_slots(rule, options, 1, dtype))


def test_l2_equals_weight_decay_for_sgd():
    rng = np.random.default_rng(4)
    w, g = rng.standard_normal((2, 100))
    coupled, decoupled = w.copy(), w.copy()
    for _ in range(10):
        gd.updates.sgd(coupled, g, lr=0.1, l2=0.5)
        gd.updates.sgd(decoupled, g, lr=0.1, weight_decay=0.5)
    np.testing.assert_allclose(coupled, decoupled, rtol=1e-12)


def test_weight_decay_is_decay_before_the_step():
    rng = np.random.default_rng(5)
    for rule in TABLE:
        if rule.has_gradient:
            w, g = rng.standard_normal((2, 50))
            together, apart = w.copy(), w.copy()
            given = {"lr": 0.1, "weight_decay": 0.25}
            call(gd.updates, rule, 1, together, g, make_slots(rule, {}, 50, w.dtype), given)
            gd.updates.decay(apart, **given)
            call(gd.updates, rule, 1, apart, g, make_slots(rule, {}, 50, w.dtype), {"lr": 0.1})
            np.testing.assert_allclose(together, apart, rtol=1e-14, atol=1e-15)


def test_reference_refuses_the_hyperparameters_that_the_kernel_refuses():
    arrays = [np.ones(2) for _ in range(3)]
    for module in (gd.reference, gd.updates):
        with pytest.raises(TypeError, match=r"buf: expected an array, as momentum is 0\.9, got None"):
            module.rmsprop(*arrays, momentum=0.9)
        with pytest.raises(ValueError, match="lr: expected a finite number >= 0, got -1"):
            module.sgd(*arrays[:2], lr=-1)
        with pytest.raises(TypeError, match="momentum: expected a number"):
            module.rmsprop(*arrays, momentum=np.ones(2))


def test_scalars_are_gradients_of_0d_arrays_for_updates_too():
    w = np.ones(())
    gd.updates.sgd(w, np.float64(2), lr=0.25)
    assert w == 0.5


def test_no_test_has_a_list_of_optimizers_of_its_own():
    """Such a list knows nothing of the next rule: what is true of all is walked by ``rules_table``."""
    for path in [*Path(__file__).parent.rglob("*.py"), *(Path(__file__).parents[1] / "bench").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
                inside = [child for child in ast.walk(node) if isinstance(child, ast.Attribute)]
                inner = [child.attr for child in inside if not ast.unparse(child.value).startswith("torch")]
                assert len(set(inner) & set(KINDS)) < 3, f"{path}:{node.lineno}"


@every_rule
def test_the_command_line_and_the_estimators_offer_each_rule(rule):
    if rule.has_gradient:
        kind, rate = OPTIMIZERS[rule.name]
        assert kind is KINDS[kind.__name__]
        assert kind.rule is rule
        assert 0 < rate == rule.lr_for_tables < 1
    else:
        assert rule.name not in OPTIMIZERS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_optimizer_is_in_the_tables_of_the_docs(kind):
    root = Path(__file__).parents[1]
    page = (root / "docs" / "rules.md").read_text("utf-8")
    assert re.search(rf"^\| {kind.__name__} \| ", page, re.MULTILINE)
    names, rate = [name for name, (other, _) in OPTIMIZERS.items() if other is kind], kind.rule.lr_for_tables
    assert all(re.search(rf"^\| `{name}` \| {rate:g} \|", page, re.MULTILINE) for name in names)
    assert re.search(
        rf"^\| .*`gd\.{kind.__name__}`.* \| optimizers: ", (root / "README.md").read_text("utf-8"), re.MULTILINE
    )
