"""A run that was broken off anywhere, and resumed, is the run without a break: the same bits, the same history."""

import itertools
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rules_table import KINDS

import gdcore as gd
from gdcore import metrics

DATA = np.random.default_rng(0).standard_normal((2, 17))
HELD = np.random.default_rng(1).standard_normal((2, 6))
STEPS, EPOCHS = 4, 3


class PowerCutError(BaseException):
    """What no code expects."""


class Run:
    """One process's view of a run: its own arrays, optimizer and generator, all made anew."""

    def __init__(self, kind, folder, **changed):
        self.params = {"w": np.array([0.5, -1.0]), "b": [np.array(0.25, np.float32)]}
        groups = [{"params": self.params["w"], "weight_decay": 0.1}, {"params": self.params["b"]}]
        self.opt = kind(groups, lr=0.05, average=0.7 if changed.get("averages") else None)
        self.rng = np.random.default_rng(5)
        self.changed = {"checkpoint": folder / "run.npz", "checkpoint_every": 0, "resume": True} | changed

    def value_and_grad(self, params, x, y):
        noise = self.rng.standard_normal(len(x))  # a gradient may draw from the same generator
        r = params["w"][0] * x + params["w"][1] + params["b"][0] + 0.1 * noise - y
        gw = np.array([2 * np.mean(r * x), 2 * np.mean(r)])
        return np.mean(r**2), [gw, [np.asarray(gw[1], np.float32)]]

    def fit(self, until=None):
        """Train; ``until`` is the call of the gradient at which the power goes."""
        calls = itertools.count()

        def value_and_grad(*args):
            if next(calls) == until:
                raise PowerCutError
            return self.value_and_grad(*args)

        return gd.fit(
            value_and_grad,
            self.params,
            tuple(DATA),
            self.opt,
            **{"epochs": EPOCHS, "batch_size": 5, "rng": self.rng, "validation": tuple(HELD)} | self.changed,
        )

    def outcome(self, history):
        state = self.opt.state_dict()
        slots = [array.tobytes() for slots in state["state"].values() for array in slots.values()]
        records = [{key: value for key, value in record.items() if key != "seconds"} for record in history.records]
        params = [self.params["w"].tobytes(), self.params["b"][0].tobytes()]
        return params, state["t"], state["groups"], slots, self.rng.bit_generator.state, records, history.stopped


def line(params, x):
    return params["w"][0] * x + params["w"][1] + params["b"][0]


WAYS = {
    "plain": {},
    "in order": {"shuffle": False},
    "patience": {"patience": 2, "monitor": "validation_loss"},
    "averages": {"averages": True, "patience": 2},
    "metrics": {"metrics": {"rmse": metrics.rmse(line), "w": lambda p, *_: p["w"][0]}, "running": True},
    "schedule": {"schedule": gd.schedules.cosine(0.1, STEPS * EPOCHS), "max_norm": 0.5, "max_value": 0.4},
}


@pytest.mark.parametrize(
    ("kind", "way"),
    [*((kind, "plain") for kind in KINDS.values()), *((gd.Adam, way) for way in WAYS if way != "plain")],
)
def test_a_run_cut_off_at_any_step_ends_as_the_one_without_a_break(tmp_path, kind, way):
    (tmp_path / "whole").mkdir()
    whole = Run(kind, tmp_path / "whole", **WAYS[way])
    expected = whole.outcome(whole.fit())
    calls = (STEPS + 1) * EPOCHS  # a validation loss is a call too
    for cut in range(calls):
        folder = tmp_path / f"{cut}"
        folder.mkdir()
        with pytest.raises(PowerCutError):
            Run(kind, folder, **WAYS[way]).fit(until=cut)
        after = Run(kind, folder, **WAYS[way])
        assert after.outcome(after.fit()) == expected, cut


def test_a_run_cut_off_again_and_again_ends_as_the_one_without_a_break(tmp_path):
    whole = Run(gd.Adam, tmp_path, checkpoint=tmp_path / "whole.npz")
    expected = whole.outcome(whole.fit())
    for _ in range(STEPS * EPOCHS):
        with pytest.raises(PowerCutError):
            Run(gd.Adam, tmp_path).fit(until=1)
    after = Run(gd.Adam, tmp_path)
    assert after.outcome(after.fit()) == expected


@cache
def uninterrupted(way):
    """What comes out of a run by Adam that nothing broke off."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Run(gd.Adam, Path(folder), **WAYS[way])
        return whole.outcome(whole.fit())


@pytest.mark.parametrize("way", ["plain", "patience"])
@pytest.mark.parametrize("line", range(0, 90))
def test_ctrl_c_at_any_line_of_the_loop_loses_nothing(tmp_path, way, line):
    """Interrupts the Nth line that the loop executes from its second epoch on, as a signal would."""
    from gdcore.training import loop
    from gdcore.training import run as runs

    broken = Run(gd.Adam, tmp_path, **WAYS[way])
    lines = itertools.count()

    def trace(frame, event, _):
        if frame.f_code.co_filename not in (loop.__file__, runs.__file__) or frame.f_code.co_name in (
            "go",
            "restore_best",
        ):
            return None if frame.f_code.co_name == "restore_best" else trace_nothing
        if event == "line" and broken.opt.t >= 2 * STEPS - 1 and next(lines) == line:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    def trace_nothing(frame, event, _):
        return trace_nothing

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        history = broken.fit()
    finally:
        sys.settrace(old)
    assert history.stopped == "interrupted"
    after = Run(gd.Adam, tmp_path, **WAYS[way])
    assert after.outcome(after.fit()) == uninterrupted(way)


def test_a_finished_run_is_not_trained_again_and_may_be_made_longer(tmp_path):
    first = Run(gd.Adam, tmp_path)
    expected = first.outcome(first.fit())
    again = Run(gd.Adam, tmp_path)
    assert again.outcome(again.fit(until=0)) == expected
    longer, whole = (
        Run(gd.Adam, tmp_path, epochs=5),
        Run(gd.Adam, tmp_path, checkpoint=None, resume=False, epochs=5),
    )
    assert longer.outcome(longer.fit()) == whole.outcome(whole.fit())


def test_a_run_that_a_callback_stopped_stays_stopped(tmp_path):
    first = Run(gd.Adam, tmp_path, callback=lambda record, _: record["epoch"] == 2)
    expected = first.outcome(first.fit())
    again = Run(gd.Adam, tmp_path)
    assert again.outcome(again.fit(until=0)) == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"batch_size": 4}, "checkpoint: expected a run with batch_size 4, got one with 5"),
        ({"shuffle": False}, "checkpoint: expected a run with shuffle False"),
        ({"max_norm": 1.0}, "checkpoint: expected a run with max_norm 1.0, got one with None"),
        (
            {"schedule": gd.schedules.constant(0.1)},
            r"checkpoint: expected a run with schedule constant\(lr=0.1\), got one",
        ),
        ({"validation": (HELD[0], HELD[1] + 1)}, "checkpoint: expected a run with validation"),
        ({"running": True}, "checkpoint: expected a run with running True, got one with False"),
        ({"metrics": {"m": lambda *_: 0.0}}, r"checkpoint: expected a run with metrics \['m'\]"),
        ({"settings": {"width": 3}}, "checkpoint: expected a run with settings {'width': 3}, got one with {}"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused_and_nothing_is_touched(tmp_path, changed, said):
    Run(gd.Adam, tmp_path).fit()
    other = Run(gd.Adam, tmp_path, **changed)
    before = other.outcome(gd.History([]))
    with pytest.raises(ValueError, match=said):
        other.fit()
    assert other.outcome(gd.History([])) == before


def test_a_run_with_a_schedule_goes_on_in_the_process_that_began_it(tmp_path):
    here = Run(gd.Adam, tmp_path, schedule=gd.schedules.cosine(0.1, 99), epochs=2)
    here.fit()
    here.changed["epochs"] = 4
    whole = Run(gd.Adam, tmp_path, schedule=gd.schedules.cosine(0.1, 99), epochs=4, checkpoint=None, resume=False)
    assert here.outcome(here.fit()) == whole.outcome(whole.fit())


HELD_RATE = gd.schedules.piecewise({0: 0.1})
LONGER = {
    "drops where the run ended": gd.schedules.piecewise({0: 0.1, 2 * STEPS: 0.01}),
    "says the same otherwise": gd.schedules.join({0: gd.schedules.constant(0.1)}),
}


@pytest.mark.parametrize("longer", LONGER)
def test_a_run_is_prolonged_where_its_rates_so_far_are_the_same(tmp_path, longer):
    Run(gd.Adam, tmp_path, schedule=HELD_RATE, epochs=2).fit()
    with pytest.raises(PowerCutError):
        Run(gd.Adam, tmp_path, schedule=LONGER[longer], epochs=4).fit(until=STEPS)
    after = Run(gd.Adam, tmp_path, schedule=LONGER[longer], epochs=4)
    whole = Run(gd.Adam, tmp_path, schedule=LONGER[longer], epochs=4, checkpoint=None, resume=False)
    assert after.outcome(after.fit()) == whole.outcome(whole.fit())
    # The past is now another one than that of the schedule it began with, where the rate has dropped since.
    again = Run(gd.Adam, tmp_path, schedule=HELD_RATE, epochs=4)
    if LONGER[longer](2 * STEPS) == 0.1:
        again.fit(until=0)
    else:
        with pytest.raises(ValueError, match="and other rates in its 16 steps"):
            again.fit()


def test_a_schedule_over_all_of_a_longer_run_is_refused_and_says_why(tmp_path):
    Run(gd.Adam, tmp_path, schedule=gd.schedules.cosine(0.1, 2 * STEPS), epochs=2).fit()
    longer = Run(gd.Adam, tmp_path, schedule=gd.schedules.cosine(0.1, 4 * STEPS), epochs=4)
    said = (
        r"expected a run with schedule cosine\(lr=0.1, steps=16, .*got one with cosine\(.*and other rates in its 8"
    )
    with pytest.raises(ValueError, match=said):
        longer.fit()
    assert longer.opt.t == 0


def test_other_samples_or_hyperparameters_are_another_run(tmp_path, monkeypatch):
    Run(gd.Adam, tmp_path).fit()
    other = Run(gd.Adam, tmp_path)
    other.opt.lr = 0.06
    with pytest.raises(ValueError, match=r"checkpoint: expected a run with hyperparameters .*0\.06"):
        other.fit()
    with pytest.raises(ValueError, match="checkpoint: expected a run with rule sgd, got one with adam"):
        Run(gd.SGD, tmp_path).fit()
    monkeypatch.setattr(sys.modules[__name__], "DATA", DATA + 1)
    with pytest.raises(ValueError, match="checkpoint: expected a run with data"):
        Run(gd.Adam, tmp_path).fit()


def test_samples_that_have_no_bytes_take_no_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "DATA", DATA.astype(object))
    with pytest.raises(TypeError, match=r"data\[0\]: expected no Python objects with a checkpoint or comm, got o"):
        Run(gd.Adam, tmp_path).fit()


def test_a_file_that_fit_did_not_write_is_refused(tmp_path):
    gd.save(tmp_path / "run.npz", np.zeros(1))
    with pytest.raises(gd.CheckpointError, match=r"checkpoint: expected one that gd.fit wrote"):
        Run(gd.Adam, tmp_path).fit()


def test_a_checkpoint_that_is_there_is_not_overwritten_unasked(tmp_path):
    Run(gd.Adam, tmp_path).fit()
    old = (tmp_path / "run.npz").read_bytes()
    with pytest.raises(FileExistsError, match="expected a new file, or resume=True"):
        Run(gd.Adam, tmp_path, resume=False).fit()
    assert (tmp_path / "run.npz").read_bytes() == old


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    names = ("run.npz", "run.npz.npz", "other.npz")
    for name in names:
        code = f"""
            import os
            from gdcore.files import replacing
            with replacing({str(tmp_path / name)!r}) as file:
                os.abort()
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True)
    assert len(list(tmp_path.glob(".*.tmp"))) == 3
    Run(gd.Adam, tmp_path).fit()
    assert len(list(tmp_path.glob(".*.tmp"))) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("least", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_changes_nothing(tmp_path, least):
    pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3))
    table = np.column_stack([x, x @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(300)])
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", header="a,b,c,y", comments="")
    command = [
        sys.executable, "-m", "gdcore", "train", "data.csv", "--target", "y", "--hidden", "8", "--epochs", "100",
        "--batch-size", "8", "--patience", "75", "--schedule", "cosine",
    ]  # fmt: skip

    def start(*more):
        """Start a run, and return it once it trains."""
        run = subprocess.Popen(
            [*command, *more], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while not run.stdout.readline().startswith("epoch"):
            assert run.poll() is None, run.stderr.read()
        return run

    def outcome(name):
        weights, biases = gd.load(tmp_path / name).params
        return [array.tobytes() for array in (*weights, *biases)]

    with start("--output", "whole.npz") as whole:
        started = time.perf_counter()
        whole.communicate()
        assert whole.returncode == 0
    seconds = time.perf_counter() - started
    kills = 0
    while kills < least:
        (tmp_path / "run.npz").unlink(missing_ok=True)
        finished = False
        while not finished:
            every = str(rng.choice([0, 0.005, 0.05]))
            with start(
                "--checkpoint", "run.npz", "--checkpoint-every", every, "--resume", "--output", "out.npz"
            ) as run:
                try:
                    _, said = run.communicate(timeout=rng.uniform(0, 1.5) * seconds)
                except subprocess.TimeoutExpired:
                    run.send_signal(signal.SIGKILL)
                    run.communicate()
                    kills += 1
                else:
                    assert (run.returncode, said) == (0, "")
                    finished = True
        assert outcome("out.npz") == outcome("whole.npz")
        assert not list(tmp_path.glob(".*.tmp"))


# Threads


def test_the_same_seed_gives_the_same_weights_on_any_number_of_threads():
    threads = gd.get_num_threads()
    x = np.random.default_rng(3).standard_normal((64, 3))
    outcomes = []
    try:
        for count in (1, 2, 3, 8):
            gd.set_num_threads(count)
            net = gd.models.MLP((3, 600, 600, 1), task="regression", rng=np.random.default_rng(0), dtype=np.float32)
            data = (x.astype(np.float32), x[:, 0].astype(np.float32))
            opt = gd.AdamW(net.groups(), lr=1e-3)
            gd.fit(net.value_and_grad, net.params, data, opt, epochs=2, batch_size=16, rng=np.random.default_rng(1))
            outcomes.append([array.tobytes() for array in (*net.params[0], *net.params[1])])
    finally:
        gd.set_num_threads(threads)
    assert all(outcome == outcomes[0] for outcome in outcomes)
