"""What every optimizer does, whatever its rule."""

import copy
import inspect
import pickle
import signal
import sys
import threading
import weakref

import numpy as np
import pytest
from rules_table import KINDS, every_make

import gdcore as gd
from gdcore import rules


def new_params():
    rng = np.random.default_rng(0)
    return {
        "layers": [
            {"w": rng.standard_normal((7, 5)), "b": rng.standard_normal(5, dtype=np.float32)},
            {"w": rng.standard_normal((5, 3), dtype=np.float32), "b": np.zeros(())},
        ],
        "scale": (np.ones(1), np.empty((0, 4), np.float32)),
    }


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in leaves(child)]
    if isinstance(tree, list | tuple):
        return [leaf for child in tree for leaf in leaves(child)]
    return [tree]


def like(tree, rng):
    if isinstance(tree, dict):
        return {key: like(child, rng) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(like(child, rng) for child in tree)
    return np.asarray(rng.standard_normal(tree.shape), tree.dtype)


def train(opt, params, steps, seed):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        opt.step(like(params, rng))


def assert_same(ours, theirs):
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def assert_same_state(ours, theirs):
    for name, slots in ours.state.items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(array, theirs.state[name][slot], strict=True)
    assert ours.t == theirs.t


def test_every_optimizer_is_tested():
    kinds = {name for name, kind in vars(gd).items() if inspect.isclass(kind) and hasattr(kind, "rule")}
    assert kinds == set(KINDS)


@every_make
def test_step_on_a_tree_equals_steps_on_its_arrays(make):
    params, apart = new_params(), new_params()
    opt = make(params)
    opts = [make(array) for array in leaves(apart)]
    rng = np.random.default_rng(1)
    for _ in range(5):
        grads = like(params, rng)
        opt.step(grads)
        for one, grad in zip(opts, leaves(grads), strict=True):
            one.step(grad)
    assert_same(params, apart)
    assert opt.t == 5


@every_make
def test_step_is_in_place(make):
    params = new_params()
    before, addresses = leaves(params), [leaf.ctypes.data for leaf in leaves(params)]
    view = params["layers"][0]["w"][2:4]
    train(make(params), params, 2, 1)
    assert all(a is b for a, b in zip(before, leaves(params), strict=True))
    assert addresses == [leaf.ctypes.data for leaf in leaves(params)]
    assert np.shares_memory(view, params["layers"][0]["w"])


@every_make
def test_steps_keep_nothing_that_is_given_up(make):
    params, grads = new_params(), like(new_params(), np.random.default_rng(1))
    opt = make(params)
    opt.step(grads)
    given = (params, params["layers"], params["scale"], grads, grads["layers"], *leaves(grads))
    held = list(map(sys.getrefcount, given))
    for _ in range(3):
        opt.step(grads)
    assert list(map(sys.getrefcount, given)) == held
    del given
    seen = [weakref.ref(leaf) for leaf in (*leaves(params), *leaves(grads))]
    del opt, params, grads
    assert not any(leaf() is not None for leaf in seen)


@every_make
def test_gradients_are_only_read(make):
    params = new_params()
    grads = like(params, np.random.default_rng(1))
    kept = copy.deepcopy(grads)
    for leaf in leaves(grads):
        leaf.flags.writeable = False
    make(params).step(grads)
    assert_same(grads, kept)


@every_make
def test_zero_learning_rate_changes_nothing(make):
    params = new_params()
    kept = copy.deepcopy(params)
    opt = make(params)
    opt.lr = 0.0
    train(opt, params, 3, 1)
    assert_same(params, kept)


@every_make
def test_none_skips_a_parameter_and_its_state(make):
    params = new_params()
    kept = copy.deepcopy(params["layers"][0])
    opt = make(params)
    grads = like(params, np.random.default_rng(1))
    grads["layers"][0] = {"w": None, "b": None}
    opt.step(grads)
    assert_same(params["layers"][0], kept)
    assert not any(array.any() for array in opt.state["layers.0.w"].values())
    assert opt.t == 1
    np.testing.assert_array_equal(params["scale"][0] != 1, True)


@every_make
def test_resume_equals_uninterrupted(make):
    straight, params = new_params(), new_params()
    opt = make(straight)
    train(opt, straight, 70, 1)
    train(opt, straight, 70, 2)

    first = make(params)
    train(first, params, 70, 1)
    saved = pickle.loads(pickle.dumps(first.state_dict()))
    resumed_params = copy.deepcopy(params)
    resumed = make(resumed_params)
    resumed.lr = 0.5  # which the state dict sets right
    resumed.load_state_dict(saved)
    train(resumed, resumed_params, 70, 2)
    assert_same(resumed_params, straight)
    assert_same_state(resumed, opt)


@every_make
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_are_independent_and_work(make, duplicate):
    params = new_params()
    opt = make(params)
    train(opt, params, 3, 1)
    other, other_params = duplicate((opt, params))
    before, state = copy.deepcopy(params), opt.state_dict()
    train(other, other_params, 3, 2)
    assert_same(params, before)
    assert opt.t == 3
    for name, slots in state["state"].items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(opt.state[name][slot], array)
    train(opt, params, 3, 2)
    assert_same(params, other_params)
    assert type(other) is type(opt)
    assert_same_state(opt, other)


@every_make
def test_state_has_dtype_and_shape_of_its_parameter(make):
    params = new_params()
    opt = make(params)
    names = ["layers.0.w", "layers.0.b", "layers.1.w", "layers.1.b", "scale.0", "scale.1"]
    assert list(opt.state) == names
    for name, leaf in zip(names, leaves(params), strict=True):
        for array in opt.state[name].values():
            assert (array.dtype, array.shape) == (leaf.dtype, leaf.shape)
            assert array.ctypes.data % 64 == 0
            assert not array.any()


def test_state_slots_follow_the_options():
    w = np.ones(2)
    assert set(gd.SGD(w, 0.1).state["param"]) == set()
    assert set(gd.Momentum(w, 0.1).state["param"]) == {"v"}
    assert set(gd.RMSProp(w).state["param"]) == {"s"}
    assert set(gd.RMSProp(w, centered=True).state["param"]) == {"s", "a"}
    assert set(gd.RMSProp(w, momentum=0.9).state["param"]) == {"s", "buf"}
    assert set(gd.Adam(w).state["param"]) == {"m", "v"}
    assert set(gd.Adam(w, amsgrad=True).state["param"]) == {"m", "v", "vmax"}


def test_groups_have_their_own_hyperparameters():
    rng = np.random.default_rng(0)
    w, b, alone_w, alone_b = np.ones(5), np.ones(3), np.ones(5), np.ones(3)
    opt = gd.Adam([{"params": {"w": w}, "lr": 0.1, "betas": (0.5, 0.9)}, {"params": b}], lr=0.01, weight_decay=0.5)
    one, other = gd.Adam(alone_w, 0.1, betas=(0.5, 0.9), weight_decay=0.5), gd.Adam(alone_b, 0.01, weight_decay=0.5)
    for _ in range(4):
        grad_w, grad_b = rng.standard_normal(5), rng.standard_normal(3)
        opt.step([{"w": grad_w}, grad_b])
        one.step(grad_w)
        other.step(grad_b)
    assert_same([w, b], [alone_w, alone_b])
    assert list(opt.state) == ["0.w", "1"]
    assert [group["lr"] for group in opt.groups] == [0.1, 0.01]
    assert opt.groups[0]["params"] == {"w": w}
    assert set(opt.groups[0]) == {"params", *rules.ADAM.hyperparameters}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_of_groups_are_independent_and_work(duplicate):
    params = [np.ones(3), np.ones(2, np.float32)]
    opt = gd.Adam([{"params": params[0], "lr": 0.5}, {"params": {"b": params[1]}}], lr=0.1)
    grads = [np.full(3, 0.5), {"b": np.full(2, -1, np.float32)}]
    opt.step(grads)
    other, other_params = duplicate((opt, params))
    assert [group["lr"] for group in other.groups] == [0.5, 0.1]
    for _ in range(2):
        opt.step(grads)
        other.step(grads)
    assert_same(params, other_params)
    assert_same_state(other, opt)
    assert not np.shares_memory(params[0], other_params[0])


def test_state_of_groups_is_resumed():
    def make(lr):
        return gd.RMSProp([{"params": np.ones(3), "lr": lr}, {"params": np.ones(2)}], lr=0.1)

    first, second = make(0.5), make(0.25)
    first.step([np.ones(3), np.ones(2)])
    second.load_state_dict(first.state_dict())
    assert second.groups[0]["lr"] == 0.5
    assert_same_state(second, first)


def test_new_optimizer_can_be_made_of_the_groups_of_another():
    first = gd.Momentum([{"params": np.ones(3), "lr": 0.5}, {"params": np.ones(2)}], lr=0.1, beta=0.5)
    second = gd.Momentum(first.groups, lr=7.0)
    assert [group["lr"] for group in second.groups] == [0.5, 0.1]
    assert [group["beta"] for group in second.groups] == [0.5, 0.5]


def test_several_hyperparameters_are_assigned_all_or_none():
    (group,) = gd.Adam(np.ones(1), lr=0.25).groups
    with pytest.raises(ValueError, match="eps"):
        group.update(lr=0.5, eps=-1)
    assert group["lr"] == 0.25
    group.update({"lr": 0.5}, eps=1e-3)
    assert (group["lr"], group["eps"]) == (0.5, 1e-3)
    with pytest.raises(KeyError, match="rate"):
        group.update(lr=0.125, rate=1)
    assert group["lr"] == 0.5


def test_a_subclass_keeps_its_attributes_when_copied():
    class Tagged(gd.Adam):
        def __init__(self, params, tag):
            super().__init__(params)
            self.tag = tag

    assert copy.deepcopy(Tagged(np.ones(1), "mine")).tag == "mine"


def test_a_step_from_within_a_step_is_refused_and_a_state_dict_is_that_before_it():
    w = np.ones(3)
    opt = gd.Adam({"w": w})
    seen = []

    class Curious(dict):
        def __getitem__(self, key):
            seen.append(opt.state_dict())
            with pytest.raises(RuntimeError, match="from within a step of this optimizer"):
                opt.step({"w": np.ones(3)})
            with pytest.raises(RuntimeError, match="from within a step"):
                opt.load_state_dict(seen[-1])
            return super().__getitem__(key)

    opt.step(Curious(w=np.ones(3)))
    assert [state["t"] for state in seen] == [0]
    assert opt.t == 1
    opt.step({"w": np.ones(3)})
    assert opt.t == 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_a_signal_handler_may_save_the_state():
    params = {f"p{i}": np.zeros(10) for i in range(300)}
    grads = like(params, np.random.default_rng(0))
    opt = gd.Adam(params)
    saved = []
    old = signal.signal(signal.SIGALRM, lambda *_: saved.append(opt.state_dict()["t"]))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while len(saved) < 50:
            opt.step(grads)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert saved == sorted(saved)


def test_the_step_count_does_not_overflow():
    w = np.ones(2)
    opt = gd.Adam(w)
    opt.load_state_dict({**opt.state_dict(), "t": 2**63 - 2})
    opt.step(np.ones(2))
    assert opt.t == 2**63 - 1
    before = w.copy()
    with pytest.raises(OverflowError, match=r"t: expected a step count below 2\*\*63"):
        opt.step(np.ones(2))
    np.testing.assert_array_equal(w, before)
    opt.load_state_dict(opt.state_dict())


def test_learning_rate_can_be_set_for_all_groups_and_for_one():
    opt = gd.SGD([{"params": np.zeros(1)}, {"params": np.zeros(1)}], lr=0.1)
    assert opt.lr == 0.1
    opt.lr = 0.2
    assert [group["lr"] for group in opt.groups] == [0.2, 0.2]
    opt.groups[1]["lr"] = 0.3
    with pytest.raises(ValueError, match=r"lr: expected groups of one learning rate, got \[0.2, 0.3\]"):
        _ = opt.lr
    opt.step([np.ones(1), np.ones(1)])
    assert [float(group["params"][0]) for group in opt.groups] == [-0.2, -0.3]


@every_make
def test_one_optimizer_an_array_steps_layers_as_their_gradients_arrive(make):
    rng = np.random.default_rng(12)
    together = {name: rng.standard_normal(shape) for name, shape in (("first", (3, 40)), ("last", 7))}
    apart, by_one = copy.deepcopy(together), copy.deepcopy(together)
    opt, each = make(together), {name: make(array) for name, array in apart.items()}
    one = make(by_one)
    for _ in range(5):
        grads = like(together, rng)
        opt.step(grads)
        for name in reversed(grads):
            each[name].step(grads[name])
            one.step({**dict.fromkeys(grads), name: grads[name]})
    assert_same(together, apart)
    assert (opt.t, one.t, [alone.t for alone in each.values()]) == (5, 10, [5, 5])
    # t counts for all, which only matters where it is in the coefficients.
    same = all((together[name] == by_one[name]).all() for name in together)
    assert same == (opt.rule.corrections is None)


def test_adamw_is_adam_with_another_default():
    a, b = np.ones(3), np.ones(3)
    gd.AdamW(a).step(np.ones(3))
    gd.Adam(b, weight_decay=0.01).step(np.ones(3))
    assert_same(a, b)


def test_scalars_that_numpy_reductions_return_are_gradients_of_0d_arrays():
    w = np.array(1.0, np.float32)
    opt = gd.SGD(w, lr=0.5)
    opt.step(np.float32(3) * w)
    assert w == -0.5
    with pytest.raises(TypeError, match=r"grads: expected float32 \(\), got float64 \(\)"):
        opt.step(np.float64(1))


def test_threads_that_step_one_optimizer_are_serialised():
    w = np.zeros(20_000)
    opt = gd.SGD(w, lr=1.0)
    grad = np.ones(20_000)
    threads = [threading.Thread(target=lambda: [opt.step(grad) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opt.t == 400
    assert (w == -400).all()


def test_other_threads_run_during_a_step():
    # With a switch interval this long a thread hands over only where it gives the GIL away.
    w, grad = np.zeros(3_000_000), np.ones(3_000_000)
    opt = gd.Adam(w)
    started, stop = threading.Event(), []

    def work():
        started.set()
        while not stop and opt.t < 300:
            opt.step(grad)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        seen = opt.t
        stop.append(True)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen < 300


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@every_make
def test_interrupt_comes_before_or_after_a_step_but_never_within(make):
    params = {"a": np.zeros(5_000), "b": np.zeros(30_000), "c": np.zeros(5_000)}
    grads = like(params, np.random.default_rng(1))
    opt = make(params)
    caught = 0

    def interrupt(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        while caught < 20:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                while True:
                    opt.step(grads)
            except KeyboardInterrupt:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    again_params = {name: np.zeros_like(array) for name, array in params.items()}
    again = make(again_params)
    for _ in range(opt.t):
        again.step(grads)
    assert_same(params, again_params)
    assert_same_state(opt, again)


def test_repr_says_what_it_is():
    assert repr(gd.SGD({"w": np.zeros(2)}, lr=0.5)) == (
        "SGD(1 arrays, t=0, groups=[{'lr': 0.5, 'weight_decay': 0.0, 'l2': 0.0}])"
    )


def test_a_step_after_an_array_was_replaced_is_refused():
    def step(params, change, grads=None):
        opt = gd.SGD(params, lr=0.1)
        grads = like(params, np.random.default_rng(0))
        change(params)
        before = opt.t
        with pytest.raises(
            ValueError, match=r"expected the array that the optimizer was made for.*\[...\] = values"
        ):
            opt.step(grads)
        assert opt.t == before

    step({"w": np.ones(2)}, lambda p: p.update(w=np.ones(2)))
    step({"a": np.ones(1), "w": np.ones(2)}, lambda p: p.update(w=p["w"] / 2))
    step([np.ones(2), [np.ones(3)]], lambda p: p[1].__setitem__(0, np.ones(3)))
    step({"net": {"layers": [{"w": np.ones(2)}]}}, lambda p: p["net"]["layers"][0].update(w=np.ones(2)))
    step({"net": {"layers": [{"w": np.ones(2)}]}}, lambda p: p["net"]["layers"].__setitem__(0, {"w": np.ones(2)}))
    step({"w": np.ones(2), "b": np.ones(1)}, lambda p: p.update(w=p.pop("w").copy()))  # in another order
    step({"w": np.ones(2), "b": np.ones(2)}, lambda p: p.update(w=p["b"], b=p["w"]))
    step({"w": np.ones(2)}, lambda p: p.update(w=p["w"][::-1]))
    step({"w": np.ones(2)}, lambda p: p.update(w="w"))


def test_a_tree_that_has_grown_or_lost_a_branch_is_no_array_that_was_replaced():
    w, b = np.zeros(2), np.zeros(1)
    params = {"w": w, "b": b}
    opt = gd.SGD(params, lr=1.0)
    params["more"] = np.zeros(1)
    opt.step({"w": np.ones(2), "b": np.ones(1)})
    del params["w"]
    opt.step({"w": np.ones(2), "b": np.ones(1)})
    params["w"] = w[:]  # a view is as good as the array
    opt.step({"w": np.ones(2), "b": np.ones(1)})
    assert (w.tolist(), b.tolist()) == ([-3, -3], [-3])
