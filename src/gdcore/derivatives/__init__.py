"""Derivatives of plain NumPy functions: gradient, Jacobian, Hessian.

In goes a function of trees of arrays; it is run on traced values, which leave a node on a tape at each gate
they pass; out comes the gradient, by a walk back along the tape. Start reading at ``value_and_grad`` in
``operators.py``, then ``_traced.pyx`` (what stands in for an array), ``_gate.pyx`` and ``_usual.pyx`` (what
happens at a gate) and ``_tape.pyx`` (the walk back). The gates themselves are rows of the table in ``gates/``.
docs/gates.md follows one value through all of them. The other derivatives are in ``vjps.py``, ``jacobians.py`` and
``samples.py``; gradients by rows in ``lookups.py``.
"""

from ._gate import COMPLEX as COMPLEX
from ._gate import HOLOMORPHIC as HOLOMORPHIC
from ._gate import REAL as REAL
from ._gate import Gate as Gate
from ._traced import Traced as Traced
from ._traced import real as real
from .check import check_grads
from .extend import gate, rematerialise, stop_gradient
from .gates.activations import gelu, relu, sigmoid, silu, softplus, tanh
from .gates.layers import dense, dropout, embedding, layer_norm
from .gates.nets import log_softmax, logsumexp, softmax, softmax_cross_entropy, squared_error
from .gates.pictures import conv2d, max_pool2d
from .gates.registry import own as own
from .jacobians import hessian, jacobian
from .joining import array as array
from .nets import activate as activate
from .nets import activate_back as activate_back
from .nets import alone as alone
from .nets import cross_entropy as cross_entropy
from .operators import grad, hvp, value_and_grad
from .samples import value_and_grads
from .vectors import flatten
from .vjps import elementwise_grad, jvp, vjp

__all__ = [
    "check_grads",
    "conv2d",
    "dense",
    "dropout",
    "elementwise_grad",
    "embedding",
    "flatten",
    "gate",
    "gelu",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "layer_norm",
    "log_softmax",
    "logsumexp",
    "max_pool2d",
    "relu",
    "rematerialise",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "squared_error",
    "stop_gradient",
    "tanh",
    "value_and_grad",
    "value_and_grads",
    "vjp",
]

for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
