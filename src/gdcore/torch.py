"""A torch optimizer that steps a module on the CPU with gdcore: ``gdcore.torch``, where torch is installed."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from operator import itemgetter
from typing import Any

import torch
from torch.autograd.graph import increment_version
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from . import stepping
from .arguments import checked_number
from .engine import are, norm, seen
from .tensors import borrowed, check_leaf

__all__ = ["Optimizer"]

KINDS = (torch.Tensor, torch.nn.Parameter)
"""The types of tensors that have plain memory, if they are strided and on the CPU."""

is_neg = torch.Tensor.is_neg

FOREIGN = ("capturable", "differentiable", "foreach", "fused", "maximize")
"""What torch's own optimizers take in groups and this one does not."""


class Optimizer(torch.optim.Optimizer):
    """Steps the parameters of a module on the CPU with an optimizer of gdcore, wherever torch takes one of its own.

    Groups, ``state_dict`` and ``load_state_dict``, hooks, closures, torch's schedulers and ``clip_grad_norm_`` work
    as with torch's optimizers. A parameter whose ``grad`` is None is skipped. Each group counts its own steps, and
    does not count one in which it has no gradient at all.

    Arguments:
        params: ``module.parameters()``, ``module.named_parameters()``, or groups: dicts of ``"params"`` and of
            hyperparameters that replace those given here. Leaves on the CPU, strided, of float32 or float64, with
            ``master=True`` also of float16 and bfloat16.
        kind: a class of gdcore's: :class:`gdcore.AdamW`, say.
        max_norm: the largest global norm of the gradients of all groups, > 0, as in ``opt.step`` of gdcore: it
            spares a ``clip_grad_norm_``. ``norm`` is then what the last step found. None for no limit.
        **values: hyperparameters and options of ``kind``, by gdcore's names: what torch's Adam calls
            ``weight_decay`` is ``l2``. What is in ``param_groups`` is read at each step.

    Raises TypeError or ValueError as ``kind`` does, before anything is written; a step also for a gradient that is
    sparse or on another device.

    ::

        >>> import torch, gdcore as gd, gdcore.torch
        >>> module = torch.nn.Linear(2, 1)
        >>> opt = gdcore.torch.Optimizer(module.parameters(), gd.AdamW, lr=0.1)
        >>> module(torch.ones(3, 2)).square().mean().backward()
        >>> opt.step()
        >>> opt.param_groups[0]["betas"]
        (0.9, 0.999)
    """

    norm: float | None
    """The global norm of the gradients at the last step, where ``max_norm`` is given."""

    def __init__(
        self,
        params: Iterable[Any],
        kind: type[stepping.Optimizer],
        *,
        max_norm: float | None = None,
        **values: Any,
    ) -> None:
        if not (isinstance(kind, type) and issubclass(kind, stepping.Optimizer)):
            raise TypeError(f"kind: expected an optimizer class of gdcore, such as gd.AdamW, got {kind!r}")
        self.norm = None
        self._max_norm = None if max_norm is None else checked_number("max_norm", max_norm, 0, above=True)
        self._kind = kind
        self._parts: list[Part] = []
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
            if name in kind.rule.hyperparameters and parameter.default is not parameter.empty
        }
        for name in values:
            check_own(name)
        self._kept = {name: value for name, value in values.items() if name not in kind.rule.hyperparameters}
        super().__init__(params, defaults | {name: values[name] for name in values if name not in self._kept})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, which counts its steps from 0.

        Arguments:
            param_group: a dict of ``"params"`` and of hyperparameters.

        Raises TypeError or ValueError as the constructor does; then there is no new group.

        ::

            >>> opt.add_param_group({"params": other.parameters(), "lr": 1e-4})
        """
        super().add_param_group(param_group)
        try:
            part = Part(self._kind, param_group, self._kept)
        except BaseException:
            self.param_groups.pop()
            raise
        self._parts.append(part)
        param_group.update(zip(part.names, part.optimizer.groups[0].ordered, strict=True))
        self._show_state()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters in place by their ``grad``: all groups, or none if an error is raised.

        Arguments:
            closure: evaluates the model, calls ``backward`` and returns the loss; None: that has been done.

        Returns what the closure returns, else None.

        Raises TypeError or ValueError for a gradient that is sparse, on another device or of another dtype than its
        parameter, and for a hyperparameter in ``param_groups`` that is out of its range; FloatingPointError, with
        ``max_norm``, for a norm that is not finite.

        ::

            >>> opt.step()
        """
        if (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()
        ):
            return hooked(self, closure)
        return self._step(closure)

    step.hooked = True  # type: ignore[attr-defined]  # torch would wrap it, at the cost of a small step

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parts = self._parts
        ready = [part.prepared(group) for part, group in zip(parts, self.param_groups, strict=True)]
        scale, limit = 1.0, self._max_norm
        if len(parts) > 1:  # all or none
            checked = [
                grad for part, (_, grads) in zip(parts, ready, strict=True) for grad in part.checked(grads, limit)
            ]
            if limit is not None:
                scale, limit = self._scale_of(checked, limit), None
        for part, (stepped, grads) in zip(parts, ready, strict=True):
            if stepped:
                found = part.optimizer.step(grads, scale=scale, max_norm=limit)
                self.norm = self.norm if limit is None else found
                increment_version(stepped)
        return loss

    def _scale_of(self, grads: list[Any], limit: float) -> float:
        """Return the factor that limits the norm over all groups. Raises FloatingPointError if it is not finite."""
        self.norm = norm(grads)
        if not self.norm < float("inf"):
            raise FloatingPointError(f"grads: expected a finite global norm, got {self.norm}")
        return min(1.0, limit / self.norm) if self.norm else 1.0

    def _show_state(self) -> None:
        """Put the slots of each parameter, as tensors of the same memory, where torch looks for them."""
        self.state.clear()
        for part in self._parts:
            for param, slots in zip(part.params, part.optimizer._engine.slots, strict=True):
                self.state[param] = {name: torch.from_numpy(slot) for name, slot in slots.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs beside the parameters, in the form of torch's optimizers.

        ``{"state": {0: {slot: tensor, ..., "step": t}, ...}, "param_groups": [...]}``. As with torch the tensors
        are those of the optimizer, not copies.

        ::

            >>> torch.save(opt.state_dict(), "optimizer.pt")
        """
        self._show_state()  # if a parameter has moved, its state has
        for part in self._parts:
            for param in part.params:
                self.state[param]["step"] = part.optimizer.t
        found: dict[str, Any] = super().state_dict()
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken, bit for bit.

        Arguments:
            state_dict: what :meth:`state_dict` returned, of a module of the same parameters in the same groups.

        Raises TypeError or ValueError, before anything is replaced, for the state of another rule, of other
        parameters or of torch's own optimizers.

        ::

            >>> opt.load_state_dict(torch.load("optimizer.pt"))
        """
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            found = hook(self, state_dict)
            state_dict = state_dict if found is None else found
        groups, states = deepcopy(state_dict["param_groups"]), state_dict["state"]
        sizes, given = [[len(group["params"]) for group in all_] for all_ in (self.param_groups, groups)]
        if sizes != given:
            raise ValueError(f"state_dict: expected groups of {sizes} parameters, got {given}")
        loads = []
        for i, (part, group) in enumerate(zip(self._parts, groups, strict=True)):
            loads.append(part.prepare_load(f"state_dict['param_groups'][{i}]", group, states))
        for load in loads:
            load()
        for own, group, part in zip(self.param_groups, groups, self._parts, strict=True):
            own.update({key: value for key, value in group.items() if key != "params"})
            part.values = None
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        own = {"norm": self.norm, "_max_norm": self._max_norm, "_kind": self._kind}
        kept = {name: value for name, value in self._kept.items() if name != "memory"}
        states = [part.optimizer.state_dict() for part in self._parts]
        return own | {
            "defaults": self.defaults,
            "param_groups": self.param_groups,
            "_kept": kept,
            "states": states,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        states = state.pop("states")
        super().__setstate__(state | {"state": defaultdict(dict)})
        self._parts = [Part(self._kind, group, self._kept) for group in self.param_groups]
        for part, saved in zip(self._parts, states, strict=True):
            part.optimizer.load_state_dict(saved)
        self._show_state()


hooked = torch.optim.Optimizer.profile_hook_step(Optimizer._step)
"""A step with torch's hooks, under its profiler."""


class Part:
    """One group of parameters, and the optimizer of gdcore that steps them.

    ``arrays`` are the memory of ``params``; ``values`` are the group's hyperparameters as the optimizer has them,
    in the order of ``names``, None if it may have others.
    """

    def __init__(self, kind: type[stepping.Optimizer], group: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
        for name in FOREIGN:
            if group.get(name):
                check_own(name)
        self.kind, self.kept = kind, kept
        self.names = kind.rule.hyperparameters
        self.read = itemgetter(*self.names)
        self.params = list(group["params"])
        if not self.params:
            raise ValueError("params: expected at least one parameter in each group, got none")
        self.bind({name: group[name] for name in self.names if name in group})

    def bind(self, values: Mapping[str, Any]) -> None:
        """Make the optimizer for where the parameters now are in memory."""
        where = [f"params[{i}]" for i in range(len(self.params))]
        for place, param in zip(where, self.params, strict=True):
            check_leaf(place, param)
        self.arrays = [borrowed(place, param) for place, param in zip(where, self.params, strict=True)]
        self.optimizer = self.kind(self.arrays, **values, **self.kept)
        self.values: tuple[Any, ...] | None = self.optimizer.groups[0].ordered

    def prepared(self, group: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        """Return the parameters that a step will change, and the gradients of all, None where there is none.

        The optimizer is then up to date.
        """
        optimizer, params = self.optimizer, self.params
        if self.read(group) != self.values:
            optimizer.groups[0].update(zip(self.names, self.read(group), strict=True))
            self.values = optimizer.groups[0].ordered
        if not are(params, self.arrays, KINDS):
            self.follow()
        grads = [param.grad for param in params]
        try:
            plain = not any(map(is_neg, grads))
        except TypeError:  # of one that is None
            plain = False
        if plain:
            return params, seen(grads, KINDS)
        stepped = [param for param, grad in zip(params, grads, strict=True) if grad is not None]
        # Some may have a sign that their memory does not have.
        return stepped, seen([grad if grad is None else grad.resolve_neg() for grad in grads], KINDS)

    def checked(self, grads: list[Any], limit: float | None) -> list[Any]:
        """Return the gradients as the engine takes them, if a step can be made with them: for a norm, no halves."""
        pairs = self.optimizer._pairs
        return self.optimizer._engine.check(pairs.of(grads) if pairs.any else grads, limit is not None)

    def follow(self) -> None:
        """Go on with the same state where parameters have moved to other memory, by ``param.data = ...``, say."""
        arrays = [borrowed(f"params[{i}]", param) for i, param in enumerate(self.params)]
        own = [array.__array_interface__ for array in self.arrays]
        if [array.__array_interface__ for array in arrays] != own:
            saved = self.optimizer.state_dict()
            self.bind(dict(zip(self.names, self.optimizer.groups[0].ordered, strict=True)))
            self.optimizer.load_state_dict(saved)

    def prepare_load(self, place: str, group: Mapping[str, Any], states: Mapping[Any, Any]) -> Callable[[], None]:
        """Return what puts a group's state of a ``state_dict`` in the place of this one's. Raises ValueError."""
        steps = {states.get(key, {}).get("step") for key in group["params"]}
        if len(steps) != 1 or None in steps:
            raise ValueError(f"{place}: expected one 'step' for all parameters of a group, got {steps}")
        own = self.optimizer.state_dict()
        names = own["groups"][0]["params"]
        missing = [name for name in self.names if name not in group]
        if missing:
            raise ValueError(
                f"{place}: expected the hyperparameters of {self.kind.__name__}, got none of {missing[0]!r}"
            )
        state = {
            name: {slot: x.numpy() for slot, x in states[key].items() if slot != "step"}
            for name, key in zip(names, group["params"], strict=True)
        }
        values = {name: group[name] for name in self.names}
        new = {"t": steps.pop(), "groups": [{"params": names, **values}], "state": state}
        return self.optimizer.prepare_load(own | new)


def check_own(name: str) -> None:
    """Raise TypeError for an argument that torch's optimizers take and this one does not."""
    if name == "maximize":
        raise TypeError("maximize: expected no such argument; negate the loss")
    if name in FOREIGN:
        raise TypeError(f"{name}: expected no such argument, as one call of gdcore steps all parameters")
