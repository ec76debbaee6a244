"""The optimizers: each declares its update rule and its defaults; one :class:`Optimizer` does all the work."""

from typing import Unpack

from . import rules
from .groups import Tree
from .stepping import Kept, Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "Momentum", "NAdam", "RMSProp"]


class SGD(Optimizer):
    """Gradient descent: ``w = w - lr * g``.

    Arguments:
        params: an array of floats or complex numbers, nested dicts, lists and tuples of such arrays, or groups: a
            list of dicts ``{"params": tree, "lr": ..., ...}`` whose hyperparameters replace those given beside
            them. The arrays are stepped in place. Contiguous ones are fastest; any strides work.
        lr: learning rate, >= 0.
        weight_decay: decoupled decay, >= 0: ``w = (1 - lr * weight_decay) * w`` before the step.
        l2: coupled penalty, >= 0: ``l2 / 2 * ||w||^2`` is added to the loss, so ``g = g + l2 * w``. For SGD alone
            it is the same as ``weight_decay``.
        average: in [0, 1): keep an exponential moving average of the weights, in the same pass, that
            ``averages()`` returns: ``a = a + (1 - average) * (w - a)``, from the first weights on. None: keep none.
        average_corrected: average the weights after steps alone, with the bias of the beginning taken out.
        master: step parameters of float16 and bfloat16 too: each has a float32 master as a slot, which is stepped
            and rounded to the parameter, to nearest even. It takes over what is written to the parameter.
        memory: a function of a number of bytes that returns a writeable buffer for the state, such as a mapped
            file. It is set to 0. None: ordinary memory.

    Raises TypeError or ValueError for a hyperparameter out of its range, and for a parameter that is no writeable,
    aligned array of float32, float64, complex64 or complex128 (with ``master`` also of half precision) in native
    byte order or that overlaps another.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0, 2.0])
    >>> opt = gd.SGD(w, lr=0.1)
    >>> opt.step(np.array([10.0, 0.0]))
    >>> w
    array([0., 2.])
    """

    rule = rules.SGD

    def __init__(
        self, params: Tree, lr: float, *, weight_decay: float = 0.0, l2: float = 0.0, **keep: Unpack[Kept]
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, l2=l2, **keep)


class Momentum(Optimizer):
    """Gradient descent along an exponentially weighted average of the gradients.

    ``v = beta * v + (1 - dampening) * g``, ``w = w - lr * v``; with nesterov
    ``w = w - lr * (beta * v + (1 - dampening) * g)``. ``v`` starts at 0.

    Arguments:
        params, lr, weight_decay, l2 and the rest: as for :class:`SGD`.
        beta: weight of the past, in [0, 1).
        dampening: in [0, 1]. None means ``beta``: ``v`` is an average, of the size of a gradient. 0 makes the
            heavy ball of Polyak (1964), torch's default: ``v`` is a sum, up to ``1 / (1 - beta)`` times as large.
        nesterov: look ahead by one step, as in Sutskever et al. (2013).

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0])
    >>> opt = gd.Momentum(w, lr=1.0, beta=0.5)
    >>> opt.step(np.array([1.0])); opt.step(np.array([0.0]))
    >>> w
    array([0.25])
    """

    rule = rules.MOMENTUM

    def __init__(
        self,
        params: Tree,
        lr: float,
        *,
        beta: float = 0.9,
        dampening: float | None = None,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            beta=beta,
            dampening=dampening,
            nesterov=nesterov,
            weight_decay=weight_decay,
            l2=l2,
            **keep,
        )


class RMSProp(Optimizer):
    """Gradient descent with each element's step divided by the root mean square of its gradients.

    ``s = beta * s + (1 - beta) * g^2``, ``w = w - lr * g / (sqrt(s + eps_root) + eps)``. Tieleman and Hinton
    (2012), with eps outside the root as in torch and eps_root inside as in Keras and optax; there is no bias
    correction, and ``s`` starts at 0.

    Arguments:
        params, lr, weight_decay, l2 and the rest: as for :class:`SGD`.
        beta: weight of the past, in [0, 1).
        eps: >= 0; added to the root, in units of a gradient. Must not round to 0 in the dtype of a parameter.
        eps_root: >= 0; added under the root, in units of a squared gradient. 0 only where eps is not, and must not
            round to 0 either.
        centered: divide by the standard deviation, as in Graves (2013): ``a = beta * a + (1 - beta) * g``, and
            ``max(s - a^2, 0)`` in place of ``s`` under the root.
        momentum: in [0, 1). If not 0, ``buf = momentum * buf + g / (sqrt(s + eps_root) + eps)``,
            ``w = w - lr * buf``.

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0])
    >>> gd.RMSProp(w, lr=0.1, beta=0.75).step(np.array([-30.0]))
    >>> w.round(6)
    array([1.2])
    """

    rule = rules.RMSPROP

    def __init__(
        self,
        params: Tree,
        lr: float = 1e-3,
        *,
        beta: float = 0.9,
        eps: float = 1e-8,
        eps_root: float = 0.0,
        centered: bool = False,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            beta=beta,
            eps=eps,
            eps_root=eps_root,
            centered=centered,
            momentum=momentum,
            weight_decay=weight_decay,
            l2=l2,
            **keep,
        )


class Adam(Optimizer):
    """Momentum and RMSProp with bias correction: Kingma and Ba (2015), algorithm 1.

    ``m = b1 * m + (1 - b1) * g``, ``v = b2 * v + (1 - b2) * g^2``,
    ``w = w - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t) + eps_root) + eps)``. eps is outside the root and is not
    scaled by the bias correction, as in torch; ``t`` is 1 in the first step; ``m`` and ``v`` start at 0.

    ``Adam(weight_decay=)`` of torch is ``l2`` here. What is called ``weight_decay`` here is that of AdamW, whose
    default is the one difference between the two classes.

    Arguments:
        params and the rest: as for :class:`SGD`.
        lr: learning rate, >= 0; about the size of each element's step.
        betas: weights of the past of ``m`` and ``v``, each in [0, 1).
        eps: >= 0; in units of a gradient. Must not round to 0 in the dtype of a parameter, at the first step
            after ``eps * sqrt(1 - b2)``.
        eps_root: >= 0; added under the root, as in optax; in units of a squared gradient. 0 only where eps is not,
            and must not round to 0 either, at the first step after ``eps_root * (1 - b2)``.
        epsilon_hat: add eps and eps_root before the bias correction of ``v``, as scikit-learn, Keras and thinc do:
            ``w = w - lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v + eps_root) + eps)``, the paper's second form,
            in which eps has a hat. Early steps are then shorter.
        amsgrad: divide by the largest ``v`` so far, as in Reddi et al. (2018).
        weight_decay: decoupled decay, as in Loshchilov and Hutter (2019): ``w = (1 - lr * weight_decay) * w``. It
            is not the same as ``l2``, which here is divided by ``sqrt(v)`` with the gradient.
        l2: coupled penalty, >= 0: ``g = g + l2 * w``. This is what torch calls ``weight_decay`` in its Adam.

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> params = {"w": np.ones((2, 2), np.float32), "b": np.zeros(2, np.float32)}
    >>> opt = gd.Adam(params, lr=0.5)
    >>> opt.step({"w": np.full((2, 2), 3, np.float32), "b": None})
    >>> params["w"]
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """

    rule = rules.ADAM

    def __init__(
        self,
        params: Tree,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_root: float = 0.0,
        epsilon_hat: bool = False,
        amsgrad: bool = False,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            eps_root=eps_root,
            epsilon_hat=epsilon_hat,
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            l2=l2,
            **keep,
        )


class AdamW(Optimizer):
    """:class:`Adam` whose ``weight_decay`` defaults to 0.01, as in torch; in optax to 1e-4, in Keras to 0.004.

    Arguments:
        params, lr, betas, eps, eps_root, epsilon_hat, amsgrad, l2, **keep: as for :class:`Adam`.
        weight_decay: decoupled decay, >= 0.

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0])
    >>> gd.AdamW(w, lr=0.5).step(np.array([3.0]))
    >>> w.round(6)
    array([0.495])
    """

    rule = rules.ADAM

    def __init__(
        self,
        params: Tree,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_root: float = 0.0,
        epsilon_hat: bool = False,
        amsgrad: bool = False,
        weight_decay: float = 0.01,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            eps_root=eps_root,
            epsilon_hat=epsilon_hat,
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            l2=l2,
            **keep,
        )


class Adagrad(Optimizer):
    """Gradient descent with each element's step divided by the root of the sum of its squared gradients.

    ``s = s + g^2``, ``w = w - lr * g / (sqrt(s + eps_root) + eps)``. Duchi, Hazan and Singer (2011), the diagonal
    form, with eps outside the root as in torch, and eps_root inside as in optax and Keras. ``s`` starts at 0, as in
    the paper and in torch; theirs starts at 0.1, which ``opt.state["param"]["s"][...] = 0.1`` does here. torch's
    ``lr_decay`` is a schedule.

    Arguments:
        params, lr, weight_decay, l2 and the rest: as for :class:`SGD`.
        eps, eps_root: as for :class:`RMSProp`.

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0])
    >>> opt = gd.Adagrad(w, lr=0.5)
    >>> opt.step(np.array([3.0])); opt.step(np.array([4.0]))
    >>> w.round(6)
    array([0.1])
    """

    rule = rules.ADAGRAD

    def __init__(
        self,
        params: Tree,
        lr: float = 0.01,
        *,
        eps: float = 1e-10,
        eps_root: float = 0.0,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(params, lr=lr, eps=eps, eps_root=eps_root, weight_decay=weight_decay, l2=l2, **keep)


class NAdam(Optimizer):
    """:class:`Adam` with Nesterov's momentum, which looks ahead by one step: Dozat (2016), algorithm 2.

    ``m`` and ``v`` as for Adam; ``mu_t = b1 * (1 - 0.96^(t * momentum_decay) / 2)``,
    ``step = mu_{t+1} / (1 - mu_1 ... mu_{t+1}) * m + (1 - mu_t) / (1 - mu_1 ... mu_t) * g``,
    ``w = w - lr * step / (sqrt(v / (1 - b2^t) + eps_root) + eps)``. As in torch, ``m`` is averaged with ``b1``, not
    with the ``mu_t`` of the paper's line.

    Arguments:
        params, lr, betas, eps, eps_root, weight_decay, l2 and the rest: as for :class:`Adam`.
        momentum_decay: how fast ``mu_t`` rises from about ``b1 / 2`` to ``b1``, >= 0; at 0 it does not. At 1 it
            rises as in Keras; inf is refused, but 1e6 is ``b1`` throughout, as in optax.

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0])
    >>> gd.NAdam(w, lr=0.5, betas=(0.5, 0.5), momentum_decay=0.0).step(np.array([3.0]))
    >>> w.round(6)
    array([0.433333])
    """

    rule = rules.NADAM

    def __init__(
        self,
        params: Tree,
        lr: float = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_root: float = 0.0,
        momentum_decay: float = 4e-3,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            eps_root=eps_root,
            momentum_decay=momentum_decay,
            weight_decay=weight_decay,
            l2=l2,
            **keep,
        )


class Lion(Optimizer):
    """Steps of one size, along the sign of a momentum: Chen et al. (2023), algorithm 2.

    ``w = w - lr * sign(b1 * m + (1 - b1) * g)``, then ``m = b2 * m + (1 - b2) * g``; ``sign(0)`` is 0. ``m`` starts
    at 0. The authors take ``lr`` 3 to 10 times smaller than for AdamW, and ``weight_decay`` as many times larger;
    its default, 0, is that of their code, where optax has 0.001.

    Arguments:
        params, l2 and the rest: as for :class:`SGD`.
        lr: learning rate, >= 0; the size of each element's step.
        betas: weights of the past, in the step and in ``m``, each in [0, 1).
        weight_decay: decoupled decay, >= 0: ``w = (1 - lr * weight_decay) * w`` before the step.

    Raises as :class:`SGD` does.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0, 1.0, 1.0])
    >>> gd.Lion(w, lr=0.25).step(np.array([300.0, 0.0, -0.001]))
    >>> w
    array([0.75, 1.  , 1.25])
    """

    rule = rules.LION

    def __init__(
        self,
        params: Tree,
        lr: float = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        l2: float = 0.0,
        **keep: Unpack[Kept],
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay, l2=l2, **keep)


for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
