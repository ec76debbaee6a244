"""gdcore itself, measured like its peers."""

from typing import Any

import problem

import gdcore as gd

VERSION = f"gdcore {gd.__version__}"


def adam(params: list[Any], grads: list[Any], threads: int) -> problem.Adam:
    """Follow the paper, bias corrections moved into lr and eps and worked out in double."""
    gd.set_num_threads(threads)
    tree, given = (arrays[0] if len(arrays) == 1 else named(arrays) for arrays in (params, grads))
    optimizer = gd.Adam(tree, problem.LR, betas=(problem.BETA1, problem.BETA2), eps=problem.EPS)
    return problem.Adam(lambda: optimizer.step(given), lambda: params)


def named(arrays: list[Any]) -> dict[str, Any]:
    return {f"layer{index}": array for index, array in enumerate(arrays)}


ADAMS = {"": adam}
