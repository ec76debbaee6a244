"""torch.optim.Adam, fused and foreach."""

from typing import Any

import problem
import torch

VERSION = f"torch {torch.__version__}"


def fused(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, in one loop in C++ an array."""
    return adam(params, grads, threads, fused=True)


def foreach(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, one operation at a time over all arrays."""
    return adam(params, grads, threads, foreach=True)


def adam(params: list[Any], grads: list[Any], threads: int, **implementation: bool) -> problem.Adam:
    torch.set_num_threads(threads)
    tensors = [torch.from_numpy(param).requires_grad_() for param in params]
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = torch.from_numpy(grad)
    betas = (problem.BETA1, problem.BETA2)
    optimizer = torch.optim.Adam(tensors, problem.LR, betas, problem.EPS, **implementation)
    return problem.Adam(optimizer.step, lambda: params)  # the tensors share the memory of params


ADAMS = {"fused": fused, "foreach": foreach}
