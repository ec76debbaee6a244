"""Fuzz a target for a time: ``python tests/fuzz/guided.py TARGET SECONDS``; 0 seconds: until it is stopped.

It needs atheris, which is guided by what of gdcore's code in Python is reached. It begins with ``corpus/TARGET``,
and keeps inputs that reach more under ``build/fuzz``. One that fails ends it and is kept there as ``crash-...``;
with its error mended it belongs into the corpus, which the tests go through.
"""

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

with atheris.instrument_imports(include=["gdcore"]):
    import targets


def main():
    """Fuzz what the command line says."""
    name, seconds = sys.argv[1:]
    found = HERE.parents[1] / "build" / "fuzz" / name
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=4096", "-timeout=60"]
    places = [f"-artifact_prefix={found}/", str(found), str(HERE / "corpus" / name)]
    atheris.Setup([sys.argv[0], *limits, *places], targets.TARGETS[name])
    atheris.Fuzz()


main()
