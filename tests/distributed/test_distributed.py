"""Optimizers over ranks: the theorems hold under a real mpiexec, and faults end the job."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from gdcore.checkpoints import checkpoint
from gdcore.cli.options import Options
from gdcore.distributed import checkpoint as gathered
from gdcore.distributed import interrupts
from gdcore.distributed import launch as ranks
from gdcore.distributed import partition as shards
from gdcore.trees import flatten

HERE = Path(__file__).parent / "mpi"
BESIDE = Path(sys.executable).with_name("mpiexec")  # that of the extra
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
ENVIRONMENT = {
    **os.environ,
    "GDCORE_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parents[1]), os.environ.get("PYTHONPATH")])),
    # Open MPI asks before it runs as root, and before it starts more ranks than there are cores.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",  # MPICH's ranks that wait leave the cores to those that work
}
THEOREMS = re.findall(r"^def (test_\w+)", (HERE / "theorems.py").read_text("utf-8"), re.MULTILINE)

under_mpiexec = pytest.mark.skipif(
    MPIEXEC is None or find_spec("mpi4py") is None, reason="needs mpi4py, and mpiexec beside python or on the path"
)


def launch(count, *args, **environment):
    command = [MPIEXEC, "-n", str(count), sys.executable, *map(str, args)]
    try:
        return subprocess.run(
            command, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=100, check=False
        )
    except subprocess.TimeoutExpired as hang:  # a result as any, which can be cached
        said = [(stream or b"").decode() for stream in (hang.stdout, hang.stderr)]
        return subprocess.CompletedProcess(command, 124, said[0], f"{said[1]}\nit hangs")


def run(count, script, *args, **environment):
    return launch(count, "-W", "error", HERE / script, *args, **environment)


@cache
def theorems_on(count):
    return run(count, "theorems.py")


@under_mpiexec
@pytest.mark.parametrize("theorem", THEOREMS)
@pytest.mark.parametrize("count", [1, 3, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 4))])
def test_theorem(count, theorem):
    done = theorems_on(count)
    assert theorem in done.stdout.split(), done.stdout + done.stderr
    assert done.returncode == 0 or theorem != THEOREMS[-1], done.stderr


@pytest.mark.parametrize("sizes", [[0], [1], [5, 0, 3], [7, 7, 7, 1]])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("nbytes", [1, 8, 1000])
def test_every_element_has_one_owner_and_shares_differ_by_at_most_one(sizes, count, nbytes):
    kind = (np.dtype(np.float32), ())
    buckets = shards.cut(sizes, [kind] * len(sizes), count, nbytes)
    owners = [
        (s.leaf, element, rank)
        for bucket in buckets
        for rank, segments in enumerate(bucket.segments)
        for s in segments
        for element in range(s.start, s.stop)
    ]
    everything = [(leaf, element) for leaf, size in enumerate(sizes) for element in range(size)]
    assert sorted(owner[:2] for owner in owners) == everything
    shares = [sum(owner[2] == rank for owner in owners) for rank in range(count)]
    assert max(shares) - min(shares) <= 1
    assert all(max(bucket.counts) <= max(1, nbytes // 4) for bucket in buckets)


@under_mpiexec
def test_a_rank_that_raises_ends_the_job_with_its_traceback():
    done = run(3, "faults.py", "raise")
    assert done.returncode != 0
    assert "rank 1 of 3 ends the job:\nTraceback" in done.stderr
    assert "ZeroDivisionError: on purpose" in done.stderr


@under_mpiexec
def test_the_traceback_after_the_end_of_mpi_is_not_lost():
    done = run(3, "faults.py", "finalize")
    assert done.returncode != 0
    assert "ZeroDivisionError: on purpose" in done.stderr


@under_mpiexec
def test_a_hook_for_exceptions_that_was_there_is_called():
    done = run(3, "faults.py", "hook")
    assert done.returncode != 0
    assert "rank 1 of 3 ends the job:\nmy own words: on purpose\n" in done.stderr


@under_mpiexec
def test_a_rank_that_is_killed_ends_the_job():
    done = run(3, "faults.py", "kill")
    assert done.returncode != 0
    assert "survived" not in done.stdout


@under_mpiexec
def test_a_rank_with_other_parameters_ends_the_job_with_the_reason():
    done = run(3, "faults.py", "disagree")
    assert done.returncode != 0
    assert "rank 1: expected params of float64 (3,) in C order, as on ranks 0, 2, got params of" in done.stderr


OUT_OF_STEP = {
    "swallow": ("rank 1: expected call 4 of step, as on ranks 0, 2, got call 5 of step", 300),
    "retry": ("rank 1: expected call 4 of step, as on ranks 0, 2, got call 5 of step", 300),
    "more": ("at call 6 of step, longer than timeout=0.5 s: rank 0 does not answer; rank 2 does not answer", 0.5),
    "save": ("at call 4 of step, longer than timeout=0.5 s: rank 1 is at save", 0.5),
    "construct": ("longer than timeout=0.5 s: rank 1 is at the construction of ShardedOptimizer", 0.5),
    "stop": ("ends the job: waited for other ranks at call 4 of step, longer than timeout=0.5 s: rank 1 does", 0.5),
}


@under_mpiexec
@pytest.mark.parametrize("case", OUT_OF_STEP)
def test_ranks_that_are_out_of_step_end_the_job_and_say_where_they_are(case):
    said, timeout = OUT_OF_STEP[case]
    done = run(3, "out_of_step.py", case, timeout)
    assert done.returncode not in (0, 124), done.stderr
    assert said in done.stderr


@under_mpiexec
def test_ranks_that_are_together_may_take_longer_than_the_timeout():
    done = run(3, "out_of_step.py", "patient", 0.3)
    assert (done.returncode, done.stdout.split()) == (0, ["survived"] * 3), done.stderr


@under_mpiexec
def test_a_parameter_that_was_changed_is_refused_as_by_one_process():
    done = launch(2, "-W", "ignore::DeprecationWarning", HERE / "out_of_step.py", "changed", 300)
    assert (done.returncode, done.stdout.split()) == (0, ["survived"] * 2), done.stderr


def alone_of_4(*args, **environment):
    # One of the jobs of one rank that another MPI's launcher started, as it has set its variables for each.
    return subprocess.run(
        [sys.executable, *map(str, args)],
        env={**ENVIRONMENT, "MV2_COMM_WORLD_SIZE": "4", "MV2_COMM_WORLD_RANK": "0", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@under_mpiexec
def test_the_launcher_of_another_mpi_is_refused(table):
    said = "mpiexec: expected 4 ranks, as MV2_COMM_WORLD_SIZE says, got as many jobs of 1 rank each"
    program = (
        "import numpy, gdcore as gd; from mpi4py import MPI; gd.distributed.ShardedOptimizer(gd.Adam, numpy.ones(3)"
    )
    for comm in ("", ", MPI.COMM_WORLD"):
        done = alone_of_4("-c", f"{program}{comm})")
        assert done.returncode == 1
        assert said in done.stderr
    done = alone_of_4("-m", "gdcore", "train", table, "--target", "y")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"gdcore: error: {said}" in done.stderr
    # But not where a rank is meant to be alone.
    done = alone_of_4("-c", f"{program}, MPI.COMM_SELF)")
    assert done.returncode == 0, done.stderr
    assert alone_of_4("-c", f"{program})", GDCORE_ANY_LAUNCHER="1").returncode == 0


@pytest.mark.parametrize("name", ranks.LAUNCHERS)
def test_every_launcher_is_known_by_its_variable(name, monkeypatch):
    for other in ranks.LAUNCHERS:
        monkeypatch.delenv(other, raising=False)
    assert ranks.launched() == ("", 1)
    assert ranks.is_first()
    monkeypatch.setenv(name, "3")
    assert ranks.launched() == (name, 3)
    monkeypatch.setenv(ranks.LAUNCHERS[name], "1")
    assert not ranks.is_first()
    # Slurm may have started the launcher.
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "64")
    assert ranks.launched()[1] == (64 if name.startswith("SLURM") else 3)


def test_without_mpi4py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'gdcore[mpi]'")):
        ranks.communicator()


def test_mpi4py_without_an_mpi_is_told_as_a_missing_package(monkeypatch):
    class WithoutMPI:
        @property
        def MPI(self):
            raise RuntimeError("cannot load MPI library")

    monkeypatch.setitem(sys.modules, "mpi4py", WithoutMPI())
    with pytest.raises(ImportError, match="cannot load MPI library"):
        ranks.communicator()


def test_room_on_disk_needs_nothing_that_linux_alone_has(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with gathered.Scratch(tmp_path, 24) as scratch:
        array = scratch.like(np.ones(3))
        array[:] = [1, 2, 3]
        assert array.tolist() == [1, 2, 3]


def test_ctrl_c_waits_for_the_end_of_a_block():
    done = []

    def work():
        with interrupts.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("rest of the block")

    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert done
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, old)


def trained(count, tmp_path, epochs=5, checkpoint="-", fault="-"):
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    done = run(count, "training.py", report, checkpoint, epochs, fault)
    return done, json.loads(report.read_text("utf-8")) if report.exists() else None


@under_mpiexec
def test_training_together_is_training_alone(tmp_path):
    # The sums over a batch are made in other orders, so the last bits differ.
    _, alone = trained(1, tmp_path)
    for count in (2, 3, 4):
        done, together = trained(count, tmp_path)
        assert done.returncode == 0, done.stderr
        np.testing.assert_allclose(together["w"], alone["w"], rtol=1e-12)
        for a, b in zip(together["records"], alone["records"], strict=True):
            assert a == pytest.approx(b, rel=1e-12)


@under_mpiexec
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_resume_equals_uninterrupted(count, tmp_path):
    _, whole = trained(count, tmp_path, 8)
    path = tmp_path / "run.npz"
    _, interrupted = trained(count, tmp_path, 8, path, "interrupt")
    assert interrupted["stopped"] == "interrupted"
    assert len(interrupted["records"]) == 3
    _, resumed = trained(count, tmp_path, 8, path)
    assert resumed == whole


@under_mpiexec
@pytest.mark.parametrize("fault", ["kill", "gradient", "callback", "nan"])
def test_a_fault_leaves_the_last_checkpoint_whole(fault, tmp_path):
    path = tmp_path / "run.npz"
    done, report = trained(3, tmp_path, 8, path, fault)
    assert done.returncode != 0
    assert report is None
    assert gd.load(path).optimizer["t"] in {"kill": (49, 50), "callback": (32, 33)}.get(fault, (7,))
    if fault != "kill":
        error = "DivergenceError: loss" if fault == "nan" else "ZeroDivisionError: on purpose"
        assert error in done.stderr
    # The run goes on from there with any number of ranks.
    count = {"kill": 2, "callback": 1}.get(fault)
    if count:
        done, report = trained(count, tmp_path, 8, path)
        assert done.returncode == 0, done.stderr
        assert report["t"] == 88


TOGETHER = {
    "alike": "epochs" + 3 * " 0.5 7 True",
    "borrowed": "epochs" + 3 * " 0.5 7 True",  # the gradient of a sample that counts nothing is NaN
    "folder": "epochs" + 3 * " 0.5 7 True",  # the last rank has a file where rank 0 has none
    "late": "interrupted" + 3 * " 0.5 7 True",
    "ctrl-c": "interrupted",
    "callback ctrl-c": "interrupted" + 2 * " 0.5 7 True",
    "infinite": "DivergenceError: grads: expected a finite norm, got inf at step 5 of epoch 1; try a smaller lr",
    "noise": "RankError: rank 0: expected rng after epoch 1 in state ",
    "shard": "RankError: rank 2: expected data with values of checksum ",
    "validation": "RankError: rank 2: expected validation with values of checksum ",
    "checkpoint": "RankError: rank 0: expected checkpoint=None, as on ranks 1, 2, got checkpoint='given'",
    "patience": "RankError: rank 2: expected patience=None, as on ranks 0, 1, got patience=2",
    "divergence": "RankError: rank 2: expected divergence=1000000.0, as on ranks 0, 1, got divergence=None",
    "monitor": "RankError: rank 2: expected monitor='m', as on ranks 0, 1, got monitor='loss'",
    "metrics": "RankError: rank 2: expected metrics=['a'], as on ranks 0, 1, got metrics=['b']",
    "schedule": "RankError: rank 2: expected schedule=None, as on ranks 0, 1, got schedule=",
    "no comm": "TypeError: comm: expected that of the optimizer, which is one over several ranks, got None",
}
ALONE = {
    "exit": (2, "SystemExit: 3"),
    "callback exits": (0, "SystemExit: 3"),
    "wrong": (2, "ValueError: grads: expected float64 (1,), got float64 (2,)"),
}


@cache
def endings():
    with tempfile.TemporaryDirectory() as folder:
        return run(3, "agreeing.py", ",".join([*TOGETHER, *ALONE]), folder)


def ending(case):
    done = endings()
    said = dict(line.split("|")[1:] for line in done.stdout.splitlines() if line.startswith(f"{case}|"))
    assert sorted(said) == ["0", "1", "2"], done.stdout + done.stderr
    return [said[rank] for rank in sorted(said)]


@under_mpiexec
@pytest.mark.parametrize("case", TOGETHER)
def test_a_run_of_several_ranks_ends_alike_on_all(case):
    for said in ending(case):
        assert said.startswith(TOGETHER[case])


@under_mpiexec
@pytest.mark.parametrize("case", ALONE)
def test_what_one_rank_raises_is_told_by_all(case):
    rank, error = ALONE[case]
    for other, said in enumerate(ending(case)):
        assert said == (error if other == rank else f"RankError: rank {rank}: {error}")


def resuming_alone(steps):
    # What mpi/resuming.py does, in this process.
    params = {"w": np.ones((13, 7), np.float32), "turned": np.asfortranarray(np.ones((3, 5))), "b": [np.ones(())]}
    rng = np.random.default_rng(0)
    opt = gd.Adam(params, lr=0.1, amsgrad=True)
    for _ in range(steps):
        grads = [np.asarray(rng.integers(-9, 9, leaf.shape), leaf.dtype) for leaf in flatten(params)]
        opt.step({"w": grads[0], "turned": grads[1], "b": [grads[2]]})
    return params, opt


@under_mpiexec
def test_the_number_of_ranks_may_change_from_save_to_load(tmp_path):
    path = tmp_path / "run.npz"
    start = 0
    for count in (4, 2, 1, 3):
        done = run(count, "resuming.py", path, start, start + 3)
        assert done.returncode == 0, done.stderr
        start += 3
    # The same as without a break and without MPI: an optimizer in one process, which made the same steps.
    params, opt = resuming_alone(12)
    assert hashlib.sha256(b"".join(leaf.tobytes() for leaf in flatten(params))).hexdigest() in done.stdout
    saved = gd.load(path)
    assert (saved.epoch, saved.metadata) == (12, {"steps": 12})
    for name, slots in opt.state_dict()["state"].items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(saved.optimizer["state"][name][slot], array)
    opt.load_state_dict(saved.optimizer)
    assert opt.t == 12


@under_mpiexec
def test_a_disk_that_is_full_is_told_by_all_ranks_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.npz"
    assert run(3, "resuming.py", path, 0, 3).returncode == 0
    before = path.read_bytes()
    done = run(3, "resuming.py", path, 3, 6, "full")
    assert done.returncode != 0
    assert "rank 1: rank 0: OSError" in done.stdout
    assert "rank 2: rank 0: OSError" in done.stdout
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def gdcore(count, *args, **environment):
    return launch(count, "-m", "gdcore", *args, **environment)


@pytest.fixture
def table(tmp_path):
    pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((203, 3))
    rows = np.column_stack([x, x @ [1.0, -2.0, 3.0] + 0.5 + 0.1 * rng.standard_normal(203)])
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,y\n" + "".join(f"{','.join(map(repr, row))}\n" for row in rows.tolist()), "utf-8")
    return path


@under_mpiexec
def test_the_command_trains_on_4_ranks_and_speaks_once(table, tmp_path, gdc):
    # At its end gd.fit compares the weights of all ranks, bit for bit.
    asked = ["train", table, "--target", "y", "--hidden", "5", "--epochs", "5", "--batch-size", "10", "--clip", "1"]
    together = gdcore(4, *asked, "--output", tmp_path / "4.npz")
    status, alone, _ = gdc(*asked, "--output", tmp_path / "1.npz")
    assert (status, together.returncode) == (0, 0), together.stderr
    lines = together.stdout.splitlines()
    assert len(lines) == len(alone.splitlines())
    assert lines[:4] == alone.splitlines()[:4]
    predicted = [gdc("predict", tmp_path / f"{count}.npz", table)[1].split()[1:] for count in (1, 4)]
    assert len(predicted[0]) == 203
    # A norm that is limited on the average is not that of one process in its last bits.
    np.testing.assert_allclose(*np.array(predicted, np.float64), rtol=1e-9)


@under_mpiexec
@pytest.mark.slow
def test_each_flag_reaches_something_on_2_ranks_too(tables_for_every_flag):
    done = run(2, HERE.parents[1] / "cli" / "every_flag.py", tables_for_every_flag)
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["nothing 0", *(f"{row.name} 1" for row in fields(Options)), ""]


@under_mpiexec
@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        (["--no-such-option"], 2, "unrecognized arguments"),
        (["--target", "z"], 1, "expected a column 'z'"),
        (["--target", "y", "--output", "no/such/folder/model.npz"], 1, "no/such/folder"),
        (["--target", "y", "--optimizer", "sgd", "--lr", "1e9", "--epochs", "5"], 1, "the run diverged"),
        (["--target", "y", "--optimizer", "sgd", "--lr", "1e200", "--clip", "1"], 1, "the run diverged"),
    ],
)
def test_an_error_of_the_command_is_told_once_and_ends_all_ranks(asked, status, said, table):
    done = gdcore(2, "train", table, *asked)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("gdcore: ")]
    assert said in line


@under_mpiexec
def test_an_error_of_one_rank_is_told_by_the_command(table, tmp_path):
    # Rank 1 looks for the table where there is none.
    done = run(2, "command.py", table, tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("gdcore: ")]
    assert line.startswith("gdcore: error: rank 1: ")
    assert "no_such.csv" in line


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_arrays_that_stay_in_the_file_are_those_that_are_read(suffix, tmp_path):
    path = tmp_path / f"run.{suffix}"
    params, opt = resuming_alone(3)
    params["none"] = np.empty((0, 3))
    gd.save(path, params, opt)
    read, mapped = gd.load(path), checkpoint.read(path, mapped=lambda name: True)
    pairs = zip(
        flatten([read.params, read.optimizer["state"]]),
        flatten([mapped.params, mapped.optimizer["state"]]),
        strict=True,
    )
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs, strict=True)
        assert theirs.flags.writeable == (not theirs.size)
