"""Threads change how long a step takes, and nothing else."""

import os
import platform
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from rules_table import every_make

import gdcore as gd
from gdcore.engine import threads

PIECE = 8192  # elements that a thread takes at a time


@pytest.fixture
def set_num_threads():
    before = gd.get_num_threads()
    yield gd.set_num_threads
    gd.set_num_threads(before)


def new_params(dtype):
    # Arrays that end before, on and after the borders of pieces, an empty one, and strided ones across borders.
    rng = np.random.default_rng(0)
    sizes = [1, PIECE - 1, PIECE, PIECE + 1, 0, 15, 16, 17, 5 * PIECE + 3, 3, 100_003]
    arrays = [rng.standard_normal(n).astype(dtype) for n in sizes]
    strided = rng.standard_normal((3 * PIECE, 4)).astype(dtype)
    return [*arrays, strided[:, ::2], strided.T[1], np.asfortranarray(rng.standard_normal((301, 77)).astype(dtype))]


def train(make, dtype, steps=4):
    params = new_params(dtype)
    opt = make(params)
    rng = np.random.default_rng(1)
    for t in range(steps):
        grads = [rng.standard_normal(param.shape).astype(dtype) for param in params]
        if t == 2:
            grads[2] = None
        opt.step(grads)
    return params, [array for slots in opt.state.values() for array in slots.values()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_make
def test_the_number_of_threads_changes_no_bit(make, dtype, set_num_threads):
    set_num_threads(1)
    params, state = train(make, dtype)
    for count in (2, 3, 7):
        set_num_threads(count)
        for _ in range(2):
            other_params, other_state = train(make, dtype)
            for ours, theirs in zip(params + state, other_params + other_state, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_updates_of_large_arrays_use_threads_and_change_no_bit(set_num_threads):
    rng = np.random.default_rng(0)
    w, g = rng.standard_normal((2, 300_001))
    expected = w.copy()
    gd.reference.sgd(expected, g, lr=0.1)
    for count in (1, 2, 7):
        set_num_threads(count)
        ours = w.copy()
        gd.updates.sgd(ours, g, lr=0.1)
        np.testing.assert_array_equal(ours, expected)


def test_optimizers_stepped_at_the_same_time_do_not_disturb_each_other(set_num_threads):
    set_num_threads(3)
    params = [np.zeros(300_000) for _ in range(4)]
    grad = np.ones(300_000)

    def work(param):
        opt = gd.SGD(param, lr=1.0)
        for _ in range(50):
            opt.step(grad)

    workers = [threading.Thread(target=work, args=(param,)) for param in params]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for param in params:
        assert (param == -50).all()


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip(), done.stderr, done.returncode


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_steps_after_a_fork_and_so_does_its_parent():
    out, err, status = run(
        """
        import os
        import numpy as np, gdcore as gd
        gd.set_num_threads(3)
        w, g = np.zeros(500_000), np.ones(500_000)
        opt = gd.SGD(w, lr=1.0)
        for _ in range(10):
            opt.step(g)
        for _ in range(5):
            child = os.fork()
            if child == 0:
                for _ in range(20):
                    opt.step(g)
                grandchild = os.fork()
                if grandchild == 0:
                    opt.step(g)
                    os._exit(0 if (w == -31).all() else 1)
                ended_well = os.waitpid(grandchild, 0)[1] == 0
                os._exit(0 if ended_well and (w == -30).all() else 1)
            opt.step(g)
            opt.step(np.ones(500_000))
            assert os.waitpid(child, 0)[1] == 0
            w += 2
        assert (w == -10).all()
        print("done")
        """
    )
    assert (out, status) == ("done", 0), err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_the_step_of_another_thread():
    out, err, status = run(
        """
        import os, signal, threading
        import numpy as np, gdcore as gd
        w, g = np.zeros(3_000_000), np.ones(3_000_000)
        opt = gd.SGD(w, lr=1.0)
        stop = []
        def work():
            while not stop:
                opt.step(g)
        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                t = opt.state_dict()["t"]
                whole = (w == -t).all()
                opt.step(g)
                os._exit(0 if whole and (w == -t - 1).all() else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.append(True)
        thread.join()
        print("done")
        """
    )
    assert (out, status) == ("done", 0), err


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc's fesetround")
def test_helpers_compute_in_the_floating_point_environment_of_the_caller():
    out, err, _ = run(
        """
        import ctypes, ctypes.util
        import numpy as np, gdcore as gd
        gd.set_num_threads(3)
        libm = ctypes.CDLL(ctypes.util.find_library("m"))
        rng = np.random.default_rng(0)
        w, g = rng.standard_normal((2, 1_000_000))
        gd.updates.sgd(w.copy(), g, lr=0.1)
        libm.fesetround(0x800)  # upward, on x86
        expected = w.copy()
        gd.reference.sgd(expected, g, lr=0.1)
        for _ in range(20):
            ours = w.copy()
            gd.updates.sgd(ours, g, lr=0.1)
            assert (ours == expected).all()
        libm.fesetround(0)
        nearest = w.copy()
        gd.reference.sgd(nearest, g, lr=0.1)
        print((expected == nearest).all())
        """
    )
    assert out == ("False" if platform.machine() == "x86_64" else out), err
    assert "Error" not in err


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")  # noqa: PTH112
def test_only_a_large_step_starts_threads():
    out, err, _ = run(
        """
        import os
        import numpy as np, gdcore as gd
        gd.set_num_threads(3)
        before = len(os.listdir("/proc/self/task"))
        for n in (10, 20_000, 90_000):
            gd.Adam(np.ones(n)).step(np.ones(n))
        small = len(os.listdir("/proc/self/task"))
        for _ in range(3):
            gd.Adam(np.ones(200_000)).step(np.ones(200_000))
        print(small - before, len(os.listdir("/proc/self/task")) - before)
        """
    )
    assert out == "0 2", err


def test_the_environment_sets_the_number_of_threads():
    code = "import gdcore; print(gdcore.get_num_threads())"
    assert run(code, GDCORE_NUM_THREADS="5")[0] == "5"
    assert run(code, GDCORE_NUM_THREADS="")[0] == str(threads.default_threads())
    assert "GDCORE_NUM_THREADS: expected an integer >= 1, got 'many'" in run(code, GDCORE_NUM_THREADS="many")[1]
    assert "GDCORE_NUM_THREADS: expected an integer >= 1, got '0'" in run(code, GDCORE_NUM_THREADS="0")[1]


def test_bad_numbers_of_threads_are_refused(set_num_threads):
    before = gd.get_num_threads()
    for bad in (0, -1):
        with pytest.raises(ValueError, match=f"count: expected an integer >= 1, got {bad}"):
            set_num_threads(bad)
    set_num_threads(np.int64(before))
    for bad in (1.0, "2", None, True):
        with pytest.raises(TypeError, match="count: expected an integer >= 1, got"):
            set_num_threads(bad)
    assert gd.get_num_threads() == before


def test_there_are_at_most_64_threads(set_num_threads):
    set_num_threads(10**30)
    assert gd.get_num_threads() == 64


def test_the_default_follows_affinity_and_cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    own = tmp_path / "own"
    own.write_text("0::/job/step\n", "utf-8")
    root = tmp_path / "cgroup"
    (root / "job" / "step").mkdir(parents=True)
    assert threads.default_threads(root, tmp_path / "absent") == 16
    assert threads.default_threads(root, own) == 16
    (root / "job" / "step" / "cpu.max").write_text("max 100000\n", "utf-8")
    assert threads.default_threads(root, own) == 16
    (root / "job" / "cpu.max").write_text("250000 100000\n", "utf-8")
    assert threads.default_threads(root, own) == 3
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text("50000\n", "utf-8")
    (root / "cpu" / "cpu.cfs_period_us").write_text("100000\n", "utf-8")
    assert threads.default_threads(root, own) == 1
    (root / "cpu" / "cpu.cfs_quota_us").write_text("-1\n", "utf-8")
    assert threads.default_threads(root, own) == 3
