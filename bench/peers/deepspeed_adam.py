"""DeepSpeed's CPUAdam, which is compiled when it is first used: that needs a C++ compiler and ninja."""

from typing import Any

import deepspeed
import problem
import torch
from deepspeed.ops.adam import DeepSpeedCPUAdam
from deepspeed.ops.op_builder import CPUAdamBuilder

VERSION = f"deepspeed {deepspeed.__version__}"

try:
    CPUAdamBuilder().load(verbose=False)
except Exception as error:  # whatever the compiler, the linker or the loader meets
    raise ImportError(f"deepspeed's CPUAdam could not be built here: {error}") from error


def adam(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, in a loop with intrinsics, compiled for this CPU."""
    torch.set_num_threads(threads)
    tensors = [torch.from_numpy(param).requires_grad_() for param in params]
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = torch.from_numpy(grad)
    betas = (problem.BETA1, problem.BETA2)
    optimizer = DeepSpeedCPUAdam(tensors, problem.LR, betas=betas, eps=problem.EPS, adamw_mode=False)
    return problem.Adam(optimizer.step, lambda: params)  # the tensors share the memory of params


ADAMS = {"CPUAdam": adam}
