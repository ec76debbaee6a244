"""The whole step (unscale, clip by the global norm, AdamW, average, zero) against torch, and what its parts cost.

torch's is its fastest way in calls, and ``torch.compile`` of its foreach way, which is left out where it has no
compiler. Each steps arrays of its own, in turns; bars are of float32 and one thread.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gdcore as gd

LR, DECAY, AVERAGE, SCALE, MAX_NORM = 1e-4, 0.01, 0.999, 0.5, 1.0
Step = Callable[[], None]


@pytest.fixture
def size(pytestconfig: pytest.Config) -> int:
    return 10_000 if pytestconfig.getoption("short") else 20_000_000


def of_torch(torch: Any, w: Any, g: Any, *, compiled: bool) -> tuple[Step, Any, Any]:
    param = torch.from_numpy(w.copy()).requires_grad_()
    param.grad, average = torch.from_numpy(g.copy()), param.detach().clone()
    optimizer = torch.optim.AdamW([param], lr=LR, weight_decay=DECAY, fused=not compiled, foreach=compiled or None)

    def step() -> None:
        torch._foreach_mul_([param.grad], SCALE)
        torch.nn.utils.clip_grad_norm_([param], MAX_NORM, foreach=True)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_([average], [param], 1 - AVERAGE)
        optimizer.zero_grad(set_to_none=False)

    return torch.compile(step) if compiled else step, param, average


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch's own
def test_whole_step(size: int, threads: int, compare: Any, normal: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(threads)
    w, g = normal(size, np.dtype("f4")), normal(size, np.dtype("f4"))
    ours, grad = w.copy(), g.copy()
    optimizer = gd.AdamW(ours, lr=LR, weight_decay=DECAY, average=AVERAGE)

    def whole() -> None:
        optimizer.step(grad, scale=SCALE, max_norm=MAX_NORM, zero=True)

    def afresh() -> None:  # what a step has set to 0
        for array in grads:
            np.copyto(array, g)

    grads = [grad]
    peers: dict[str, tuple[Step, str]] = {}
    for name, compiled in (("torch, fused and foreach", False), ("torch.compile", True)):
        step, param, average = of_torch(torch, w, g, compiled=compiled)
        try:
            step()
        except torch._dynamo.exc.TorchDynamoException:  # no compiler, say
            continue
        if not peers:
            whole()
        assert np.allclose(param.detach().numpy(), ours, rtol=1e-5, atol=1e-6), name
        assert np.allclose(average.numpy(), optimizer.averages(), rtol=1e-5, atol=1e-6), name
        assert not param.grad.any()
        assert not grad.any()
        grads.append(param.grad.numpy())
        peers[name] = (step, "1/1.8")
    compare(f"whole step, {size:,}", whole, peers, afresh)


def test_clipping(size: int, compare: Any, normal: Any) -> None:
    w, g = normal(size, np.dtype("f4")), normal(size, np.dtype("f4"))
    clipped, plain = (gd.Adam(w.copy(), lr=LR) for _ in range(2))
    assert clipped.step(g, max_norm=MAX_NORM) == gd.reference.norm([g]) > MAX_NORM
    compare(
        f"Adam with max_norm that clips, {size:,}",
        lambda: clipped.step(g, max_norm=MAX_NORM),
        {"the plain step": (lambda: plain.step(g), "1.25")},
    )


def test_many_arrays(compare: Any, normal: Any) -> None:
    names = [f"layer{i}" for i in range(1000)]
    params, grads = ({name: normal(100, np.dtype("f4")) for name in names} for _ in range(2))
    one, grad = normal(100_000, np.dtype("f4")), normal(100_000, np.dtype("f4"))
    many, single = gd.Adam(params, lr=LR), gd.Adam(one, lr=LR)
    compare(
        "Adam, 1,000 arrays of 100",
        lambda: many.step(grads),
        {"one array of 100,000": (lambda: single.step(grad), "1.7")},
    )
