"""Derivatives of plain NumPy functions: gradient, Jacobian, Hessian.

In goes a function of trees of arrays; it is run on traced values, which leave a node on a tape at each gate
they pass; out comes the gradient, by a walk back along the tape. Start reading at ``value_and_grad`` in
``operators.py``, then ``_traced.pyx`` (what stands in for an array), ``_gate.pyx`` and ``_usual.pyx`` (what
happens at a gate) and ``_tape.pyx`` (the walk back). The gates themselves are rows of the table in ``gates/``.
docs/gates.md follows one value through all of them.
"""

from .check import check_grads
from .extend import gate, rematerialise, stop_gradient
from .gates.nets import (
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    softplus,
    squared_error,
    tanh,
)
from .gates.nets import saving_cross_entropy as saving_cross_entropy
from .operators import grad, hessian, hvp, jacobian, value_and_grad

__all__ = [
    "check_grads",
    "gate",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "log_softmax",
    "relu",
    "rematerialise",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "squared_error",
    "stop_gradient",
    "tanh",
    "value_and_grad",
]

for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
