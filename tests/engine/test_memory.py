"""A step allocates nothing, and state lies where it can be streamed."""

import os
import platform
import shutil
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from rules_table import every_make

import gdcore as gd
from gdcore import corrections

COUNTER = """
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static long calls;
long count_of_allocations(void) { return calls; }
void *malloc(size_t n) { calls++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { calls++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { calls++; return __libc_realloc(p, n); }
"""


@every_make
def test_steps_leave_no_memory_behind(make):
    params = {f"p{i}": np.ones((20, 30)) for i in range(20)} | {"strided": np.ones((40, 20))[:, ::2]}
    grads = {name: np.full(param.shape, 0.5) for name, param in params.items()}
    opt = make(params)

    def steps():
        for _ in range(20 * corrections.BLOCK):
            opt.step(grads)

    tracemalloc.start()
    try:
        steps()  # what is kept of Adam's bias corrections takes turns
        before, _ = tracemalloc.get_traced_memory()
        steps()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000  # less than an object a step
    assert peak - before < 50_000  # and no array was made


@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="another library is preloaded")
@pytest.mark.skipif(
    not (sys.platform == "linux" and platform.libc_ver()[0] == "glibc" and shutil.which("cc")),
    reason="needs glibc and a C compiler",
)
def test_a_step_does_not_call_malloc(tmp_path):
    (tmp_path / "counter.c").write_text(COUNTER, "utf-8")
    library = tmp_path / "counter.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "counter.c"], check=True)
    code = """
        import ctypes, gc
        import numpy as np
        from gdcore import optimizers
        count = ctypes.CDLL(None).count_of_allocations
        params = {f"p{i}": np.ones(100, np.float32) for i in range(100)} | {"large": np.ones(300_000)}
        grads = {name: np.full_like(param, 0.5) for name, param in params.items()}
        made = [getattr(optimizers, name)(params, lr=0.1) for name in optimizers.__all__]
        for opt in made:
            for _ in range(5):
                opt.step(grads)
        gc.disable()
        before = count()
        for opt in made:
            for _ in range(50):  # Adam's bias corrections are worked out for 64 steps at a time
                opt.step(grads)
        print(count() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "0"


def test_state_begins_on_cache_lines_and_its_streams_do_not_alias():
    # Streams that lie a multiple of 4096 bytes apart wait for each other's stores.
    params = [np.ones(1 << 20, np.float32), np.ones(1 << 19)]
    opt = gd.Adam(params)
    for slots in opt.state.values():
        starts = [array.ctypes.data for array in slots.values()]
        assert all(start % 64 == 0 for start in starts)
        assert (starts[1] - starts[0]) % 4096 != 0


@pytest.mark.peers
@pytest.mark.parametrize("order", ["torch first", "gdcore first"])
def test_torch_in_the_same_process_changes_nothing(order):
    code = """
        import {first}, {second}
        import numpy as np
        torch.set_num_threads(2)
        w, expected = np.ones(300_000, np.float32), np.ones(300_000, np.float32)
        g = np.full(300_000, 1e-3, np.float32)
        state = [np.zeros_like(w) for _ in range(2)]
        opt = gdcore.Adam(w)
        for t in range(1, 30):
            torch.ones(500, 500) @ torch.ones(500, 500)
            opt.step(g)
            gdcore.reference.adam(expected, g, *state, t=t)
        print((w == expected).all(), np.float32(1e-40) * np.float32(0.5) > 0)
    """
    first, second = ("torch", "gdcore") if order == "torch first" else ("gdcore", "torch")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code).format(first=first, second=second)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=Path(__file__).parent,
    )
    assert done.stdout.strip() == "True True", done.stderr
