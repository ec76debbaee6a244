"""Optimizers over the ranks of an MPI job."""

from .checkpoint import load, save
from .optimizer import ShardedOptimizer

__all__ = ["ShardedOptimizer", "load", "save"]
