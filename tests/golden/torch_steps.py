"""Fills golden files with what torch's optimizers do: ``python tests/golden/torch_steps.py torch_*.json``.

Not a test: it wants torch, 2.13.0 for what is here. A file has runs, each an optimizer that has one
name in torch and here, and its hyperparameters; this adds where it is after some steps, in float64.
"""

import json
import sys
from pathlib import Path

START = [1.0, -2.0, 0.5]
SHOWN = (1, 2, 3, 10, 63, 64, 65, 128, 129, 150)


def gradient(t):
    """The gradient of step t, from 1: eighths, which are exact."""
    return [((7 * t + 3 * i) % 11 - 5) / 8 for i in range(len(START))]


def walk(optimizer, hyperparameters):
    import torch

    torch.set_default_dtype(torch.float64)  # else NAdam's product of momenta, for one, is of float32
    given = dict(hyperparameters)
    decay = {"decoupled_weight_decay": True} if "weight_decay" in given else {}
    if "l2" in given:  # torch's weight_decay, unless told otherwise
        given["weight_decay"] = given.pop("l2")
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    opt = getattr(torch.optim, optimizer)([w], foreach=False, **given, **decay)
    points = {}
    for t in range(1, max(SHOWN) + 1):
        w.grad = torch.tensor(gradient(t), dtype=torch.float64)
        opt.step()
        if t in SHOWN:
            points[t] = w.tolist()
    return {"made with": f"torch {torch.__version__}", "points": points}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        runs = json.loads(path.read_text("utf-8"))
        for run in runs:
            run.update(walk(run["optimizer"], run["hyperparameters"]))
        path.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
