"""thinc's Adam, without the clipping, the averages and the penalty that it has by default."""

from typing import Any

import problem
import thinc.about
import thinc.api

VERSION = f"thinc {thinc.about.__version__}"


def adam(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Add eps to sqrt(v) before its bias correction, unlike the paper; overwrite the gradient with 0."""
    del threads  # it has one
    kept = [grad.copy() for grad in grads]
    optimizer = thinc.api.Adam(
        problem.LR,
        L2=0.0,
        beta1=problem.BETA1,
        beta2=problem.BETA2,
        eps=problem.EPS,
        grad_clip=0.0,
        use_averages=False,
    )

    def step() -> None:
        for index, (param, grad) in enumerate(zip(params, grads, strict=True)):
            optimizer((index, "W"), param, grad)

    def refill() -> None:
        for grad, full in zip(grads, kept, strict=True):
            grad[...] = full

    return problem.Adam(step, lambda: params, refill)


ADAMS = {"": adam}
