"""A step of Adam over the ranks of a job: against the plain optimizer, and where its time goes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STEP = Path(__file__).parent / "mpi" / "step.py"
BESIDE = Path(sys.executable).with_name("mpiexec")  # that of the extra
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
# Open MPI asks before it runs as root, and before it starts more ranks than there are cores.
ASKED = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


@pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec, beside python or on the path")
@pytest.mark.parametrize("size", [200_000, 2_000_000, 20_000_000])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_step_over_ranks(ranks: int, size: int, record_ranks: Any, pytestconfig: pytest.Config) -> None:
    size, rounds = (size // 1000, 2) if pytestconfig.getoption("short") else (size, 11)
    done = subprocess.run(
        [str(MPIEXEC), "-n", str(ranks), sys.executable, str(STEP), str(size), str(rounds)],
        env={**os.environ, **ASKED},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    times = [found[name] for name in ("plain", "step", "work", "exchange")]
    record_ranks(str(ranks), f"{size:,}", *(f"{time:,.2f}" for time in times), f"{times[1] / times[0]:.3f}")
