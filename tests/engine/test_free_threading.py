"""Threads at the same time, with the GIL and without it: each gets what it gets alone."""

import sys
import sysconfig
import threading

import numpy as np
import pytest
from rules_table import every_kind, settings

import gdcore as gd

WORKERS = 4


@pytest.fixture(autouse=True)
def _restless():
    """Threads take turns as often as they can, while another one sets how many of them a step has."""
    before, interval = gd.get_num_threads(), sys.getswitchinterval()
    done = threading.Event()

    def change():
        count = 1
        while not done.wait(1e-3):
            count = count % 3 + 1
            gd.set_num_threads(count)

    other = threading.Thread(target=change)
    sys.setswitchinterval(1e-5)
    other.start()
    yield
    done.set()
    other.join()
    sys.setswitchinterval(interval)
    gd.set_num_threads(before)


def at_once(work, count=WORKERS):
    """Return ``work(i)`` of each of ``count`` threads, which begin together."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(i):
        barrier.wait()
        try:
            results[i] = work(i)
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_no_module_of_gdcore_asks_for_the_gil():
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()


@every_kind
def test_threads_that_step_optimizers_of_their_own(kind):
    def trained(seed):
        params = [numbers(90_001, seed=seed), numbers(5, 7, seed=seed).astype(np.float32)]
        opt = kind(params, **settings(kind), average=0.9)
        for t in range(5):
            opt.step([numbers(90_001, seed=t), numbers(5, 7, seed=t).astype(np.float32)], max_norm=1.0)
        return [array.tobytes() for array in (*params, *opt.averages())]

    assert at_once(trained) == [trained(seed) for seed in range(WORKERS)]


def test_threads_that_step_the_same_optimizer_take_turns():
    w, grad = np.zeros(70_000), np.ones(70_000)
    opt = gd.SGD(w, lr=1.0)
    seen = []

    def work(_):
        for _ in range(25):
            opt.step(grad)
            seen.append(opt.state_dict()["t"])

    at_once(work)
    assert opt.t == 25 * WORKERS == max(seen)
    assert (w == -opt.t).all()


def test_threads_that_step_change_and_read_one_optimizer():
    w = np.zeros(10_000)
    opt = gd.Adam([{"params": w, "lr": 0.5}])
    lone = gd.Adam([{"params": np.zeros(1), "lr": 0.5}])

    def work(i):
        for _ in range(50):
            if i % 2:
                opt.step([np.ones(10_000)])
            else:
                opt.lr = 0.5
                assert opt.groups[0]["lr"] == opt.lr == 0.5
                assert opt.state_dict()["groups"][0]["lr"] == 0.5

    at_once(work)
    for _ in range(opt.t):
        lone.step([np.ones(1)])
    assert opt.t == 50 * WORKERS // 2
    assert (w == lone.groups[0]["params"][0]).all()


def test_threads_that_differentiate():
    def loss(p, x):
        h = gd.relu(x @ p["w"] + p["b"])
        return np.mean(np.tanh(gd.layer_norm(h)) ** 2) + gd.softmax_cross_entropy(h, np.arange(len(x)) % 4)

    params, x = {"w": numbers(6, 4), "b": np.zeros(4)}, numbers(12, 6)

    def derived(i):
        found = []
        for _ in range(8):
            value, grads = gd.value_and_grad(loss)(params, x + i)
            curve = gd.hvp(lambda w: np.sum(np.sin(w) ** 3))(params["w"], x[:6, :4] + i)
            found += [value.tobytes(), grads["w"].tobytes(), grads["b"].tobytes(), curve.tobytes()]
        return found

    assert at_once(derived) == [derived(i) for i in range(WORKERS)]


def test_threads_that_make_gates_and_use_those_of_others():
    gates = []

    def work(_):
        for _ in range(20):
            made = gd.gate(lambda x: x * x, lambda ans, x: lambda g: 2 * g * x)
            gates.append(made)
            for gate in list(gates):
                assert gd.grad(lambda x, gate=gate: np.sum(gate(x)))(np.array([3.0])) == 6.0

    at_once(work)


def test_threads_that_fit():
    x, y = numbers(40, 3), numbers(40, seed=1)

    def loss(params, rows, targets):
        return np.mean((gd.tanh(rows @ params["w"]) @ params["v"] - targets) ** 2)

    def fitted(seed):
        params = {"w": numbers(3, 5, seed=seed), "v": numbers(5, seed=seed)}
        opt, rng = gd.Adam(params, lr=0.01), np.random.default_rng(seed)
        history = gd.fit(
            gd.value_and_grad(loss), params, (x, y), opt, epochs=3, batch_size=8, rng=rng, progress=False
        )
        return history.to_dict()["loss"]

    assert at_once(fitted) == [fitted(seed) for seed in range(WORKERS)]
