"""A second interpreter in the process is refused with an ImportError, or gets the right steps: never a crash."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import sys
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    step = '''
    try:
        import gdcore as gd
    except ImportError as error:
        print("refused")
    else:
        import numpy as np
        w = np.ones(200_000)
        gd.SGD(w, lr=0.5).step(np.ones(200_000))
        print("right" if (w == 0.5).all() else "wrong")
    '''
    def inside():
        interpreter = interpreters.create()
        getattr(interpreters, "exec", getattr(interpreters, "run_string", None))(interpreter, step)
        interpreters.destroy(interpreter)

    for place in sys.argv[1:]:
        exec(step) if place == "main" else inside()
"""


@pytest.mark.parametrize("places", [["main", "inside", "inside", "main"], ["inside", "inside", "main"]])
def test_another_interpreter_is_refused_or_right(places):
    program = textwrap.dedent(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *places], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert len(said) == len(places)
    assert set(said) <= {"right", "refused"}
    assert places[0] == "inside" or said[0] == said[-1] == "right"
