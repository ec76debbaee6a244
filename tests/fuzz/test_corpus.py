"""What fuzzing has found, and where it began: every input is refused in words or used, and breaks nothing."""

from pathlib import Path

import pytest
from fuzz.targets import TARGETS

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*/*"))


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_fuzzed_breaks_nothing(target):
    inputs = [path for path in CORPUS if path.parent.name == target]
    assert inputs
    if target in {"rows", "model"}:
        pytest.importorskip("polars")
    for path in inputs:
        TARGETS[target](path.read_bytes())
