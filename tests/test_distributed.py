"""Optimizers over ranks: the theorems hold under a real mpiexec, and faults end the job."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from gdcore import ranks, shards

HERE = Path(__file__).parent / "mpi"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
ENVIRONMENT = {
    **os.environ,
    "GDCORE_NUM_THREADS": "1",
    # Open MPI asks before it runs as root, and before it starts more ranks than there are cores.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
THEOREMS = re.findall(r"^def (test_\w+)", (HERE / "theorems.py").read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the extra mpi is for Linux")


def command(count, script, *args):
    return [str(MPIEXEC), "-n", str(count), sys.executable, "-W", "error", str(HERE / script), *map(str, args)]


def run(count, script, *args):
    return subprocess.run(
        command(count, script, *args), env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )


@cache
def theorems_on(count):
    return run(count, "theorems.py")


@pytest.mark.parametrize("theorem", THEOREMS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
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


def test_a_rank_that_raises_ends_the_job_with_its_traceback():
    done = run(3, "faults.py", "raise")
    assert done.returncode != 0
    assert "rank 1 of 3 ends the job:\nTraceback" in done.stderr
    assert "ZeroDivisionError: on purpose" in done.stderr


def test_a_rank_that_is_killed_ends_the_job():
    done = run(3, "faults.py", "kill")
    assert done.returncode != 0
    assert "survived" not in done.stdout


def test_a_rank_with_other_parameters_ends_the_job_with_the_reason():
    done = run(3, "faults.py", "disagree")
    assert done.returncode != 0
    assert "rank 1: expected params of float64 (3,) in C order, as on ranks 0, 2, got params of" in done.stderr


def test_the_launcher_of_another_mpi_is_refused():
    # As many jobs of one rank as Open MPI's mpiexec started, as it has set its variables for each.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import numpy, gdcore as gd; gd.distributed.ShardedOptimizer(gd.Adam, numpy.ones(3))",
        ],
        env={**ENVIRONMENT, "MV2_COMM_WORLD_SIZE": "4"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert "mpiexec: expected 4 ranks, as MV2_COMM_WORLD_SIZE says, got as many jobs of 1 rank each" in done.stderr


@pytest.mark.parametrize("name", ranks.SIZES)
def test_every_launcher_is_known_by_its_variable(name, monkeypatch):
    for other in ranks.SIZES:
        monkeypatch.delenv(other, raising=False)
    assert ranks.launched() == ("", 1)
    monkeypatch.setenv(name, "3")
    assert ranks.launched() == (name, 3)


def test_without_mpi4py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'gdcore[mpi]'")):
        ranks.world()


def test_ctrl_c_waits_for_the_end_of_a_block():
    done = []

    def work():
        with ranks.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def trained(count, tmp_path, epochs=5, checkpoint="-", fault="-"):
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    done = run(count, "training.py", report, checkpoint, epochs, fault)
    return done, json.loads(report.read_text()) if report.exists() else None
