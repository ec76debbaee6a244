"""Past one machine: the optimizers over the ranks of an MPI job (extra ``mpi``).

Every rank holds all parameters and 1/N of the optimizer's state, as in ZeRO, stage 1: Rajbhandari et al. (2020).
"""

import math
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from .. import rules
from ..arguments import Array, checked_int, checked_number, is_complex, nonnegative
from ..clipping import Limits
from ..engine import Engine, check_among, check_like, multiply, norm
from ..groups import Group, Tree, split
from ..rows import Rows
from ..stages import Average
from ..stepping import Optimizer, expect_keys, replaced
from ..training import Callback, ValueAndGrad
from ..trees import Structure, flatten, rebuild
from .agreement import agree
from .exchange import BUFFERS, Exchange, Mean, flat
from .interrupts import uninterrupted
from .launch import Comm, communicator
from .partition import cut
from .rows import buckets_of, mean_rows, weightless
from .share import Share, members_of
from .team import Ranks
from .waiting import TIMEOUT, Waiting


class ShardedOptimizer:
    """Any optimizer, with its state and its work divided among the N ranks of an MPI job.

    ``g = (w_0 g_0 + w_1 g_1 + ... ) / N``, summed in the order of the ranks; then the step of ``kind`` with
    ``g``: its bits are those of ``kind`` in one process with the same ``g``, whatever N. All ranks end with the
    same bits.

    Arguments:
        kind: the optimizer: ``gd.Adam``, or another one of this package.
        params: as for ``kind``: arrays, trees of arrays or groups; the same on all ranks. With more than one rank
            each array is contiguous, in C or Fortran order. They are stepped in place.
        comm: a communicator of mpi4py; None means ``MPI.COMM_WORLD``.
        max_norm, max_value: limits on ``g``, as in :func:`gdcore.fit`. They need memory for this rank's share of
            ``g``. The norm is over all parameters; its last bits may depend on N.
        check_every: compare all ranks after so many steps, an int >= 1; None compares only at construction.
        bucket_bytes: size of all buffers together, an int >= 1. At least one element a rank is exchanged at once.
        timeout: seconds, > 0, that a rank waits for the others in a call that all of them have to make. If one has
            not come by then, the job ends and says which. None waits without end.
        **values: the hyperparameters of ``kind``, and ``average``. ``master`` is for one process. Gradients in half
            precision are exchanged in float32.

    Ranks are compared at construction, every ``check_every`` steps and when a state is loaded: structure, shapes,
    dtypes, hyperparameters, ``t``, and the parameters' bytes. Construction, ``step``, ``state_dict`` and
    ``load_state_dict`` are collective: every rank calls them in the same order, and calls ``step`` as often as the
    others. A call of ``step`` that raises counts too.

    From the first one of several ranks on, a rank that ends with an exception prints it and ends the job. A sharded
    optimizer can neither be copied nor pickled.

    Raises TypeError or ValueError as ``kind`` does; RuntimeError on all ranks if they disagree, saying who and in
    what, and for a launcher that is not that of the MPI in use; ImportError without mpi4py.

    >>> import numpy as np, gdcore as gd
    >>> w = np.array([1.0, 2.0])
    >>> opt = gd.distributed.ShardedOptimizer(gd.SGD, w, lr=0.1)
    >>> opt.step(np.array([10.0, 0.0]))
    >>> w
    array([0., 2.])
    """

    def __init__(
        self,
        kind: type[Optimizer],
        params: Tree,
        comm: Comm = None,
        *,
        max_norm: float | None = None,
        max_value: float | None = None,
        check_every: int | None = 100,
        bucket_bytes: int = 1 << 24,
        timeout: float | None = TIMEOUT,
        **values: Any,
    ) -> None:
        self.comm = communicator(comm)
        self.timeout = None if timeout is None else checked_number("timeout", timeout, 0, above=True)
        self._ranks = self.comm.Get_size()
        self._t = self._since = self._calls = self._away = 0

        def make() -> list[str]:
            if not isinstance(kind, type) or not issubclass(kind, Optimizer):
                raise TypeError(f"kind: expected an optimizer such as gd.Adam, got {kind!r}")
            if values.get("master"):
                raise ValueError("master: expected False, as ranks exchange parameters in full precision, got True")
            self.limits = Limits(max_norm, max_value)
            self._check_every = None if check_every is None else checked_int("check_every", check_every, 1)
            self._bucket_bytes = checked_int("bucket_bytes", bucket_bytes, 1)
            self._divide(kind, params, values)
            return self._description()

        agree(self.comm, make, f"the construction of {type(self).__name__}", self.timeout)

    def _divide(self, kind: type[Optimizer], params: Tree, values: Mapping[str, Any]) -> None:
        given, grouped = split(params, kind.rule)
        self._grouped = grouped
        trees = [group["params"] for group in given]
        tree = trees if grouped else params
        self._structure = Structure(tree, "params")
        self._params = [leaf for each in trees for leaf in flatten(each)]
        for label, param in zip(self._structure.labels, self._params, strict=True):
            if is_complex(param):
                raise TypeError(
                    f"params{label}: expected float32 or float64 in a sharded optimizer, got {param.dtype}; pass "
                    f"z.view(np.{param.real.dtype}) for z, and so for its gradient"
                )
        # What checks parameters and gradients: the engine of a rule that keeps no state.
        group = Group(rules.SGD, tree, {"lr": 0.0, "weight_decay": 0.0, "l2": 0.0}, set())
        self._door = Engine(self._structure, tree, self._params, [0] * len(self._params), [group])
        if self._ranks == 1:
            self._whole = kind(params, **values)
            return
        self._check_contiguous()
        # The whole optimizer steps arrays of no element: it knows the structure and checks hyperparameters, and has
        # no state. Those that step are in the share.
        empty = iter([np.empty(0, param.dtype) for param in self._params])
        for each in given:
            each["params"] = rebuild(each["params"], empty)
        self._whole = kind(given if grouped else given[0]["params"], **values)
        for whole, part in zip(self._whole.groups, trees, strict=True):
            whole.params = part
        slots = [self._whole.groups[member].used_slots for member in members_of(self._whole.groups)]
        kinds = [(param.dtype, used) for param, used in zip(self._params, slots, strict=True)]
        nbytes = self._bucket_bytes // (BUFFERS * self._ranks)
        buckets = cut([param.size for param in self._params], kinds, self._ranks, nbytes)
        self._buckets = buckets
        flat_params = [flat(param, param) for param in self._params]
        self._exchange = Exchange(self.comm, buckets, flat_params, self._structure.labels)
        self._share = Share(self._whole, self._params, buckets, self.comm)

    def _check_contiguous(self) -> None:
        for label, param in zip(self._structure.labels, self._params, strict=True):
            if not param.flags.c_contiguous and not param.flags.f_contiguous:
                raise ValueError(
                    f"params{label}: expected a contiguous array, in C or Fortran order, got strides "
                    f"{param.strides} for shape {param.shape}; pass a copy"
                )

    def _description(self) -> list[str]:
        # What all ranks have in common, a line each; the first that differs is told.
        if self._ranks == 1:
            return []
        lines = [f"{type(self._whole).__name__} over {len(self._params)} arrays"]
        for label, param in zip(self._structure.labels, self._params, strict=True):
            order = "C" if param.flags.c_contiguous else "Fortran"
            lines.append(f"params{label} of {param.dtype} {param.shape} in {order} order")
        options = {**vars(self.limits), "check_every": self._check_every, "bucket_bytes": self._bucket_bytes}
        options["timeout"] = self.timeout
        lines += [f"{name}={value!r}" for name, value in options.items()]
        lines.append(f"t={self.t}")
        for index, group in enumerate(self._whole.groups):
            lines += [f"{name}={group[name]!r} of group {index}" for name in group if name != "params"]
        for label, param in zip(self._structure.labels, self._params, strict=True):
            lines.append(f"params{label} with values of checksum {zlib.crc32(flat(param, param)):08x}")
        return lines

    @property
    def rule(self) -> str:
        """The name of the rule of ``kind``."""
        return self._whole.rule.name

    @property
    def t(self) -> int:
        """The number of steps taken so far."""
        return self._whole.t if self._ranks == 1 else self._t

    @property
    def lr(self) -> float:
        """The learning rate of all groups; to be set on all ranks alike."""
        return self._whole.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._whole.lr = value

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups, as those of any optimizer; to be changed on all ranks alike."""
        return self._whole.groups

    @property
    def state(self) -> Mapping[str, Mapping[str, tuple[Array, ...]]]:
        """The share of this rank, by parameter name and slot: flat views of what the next step reads and writes."""
        names = self._structure.names
        if self._ranks == 1:
            state = self._whole.state.items()
            return {name: {slot: (flat(a, a),) for slot, a in slots.items()} for name, slots in state}
        return dict(zip(names, self._share.state(), strict=True))

    @property
    def state_nbytes(self) -> int:
        """The bytes of the state of all ranks together."""
        slots = [sum(map(bool, self._whole.groups[member].used_slots)) for member in members_of(self._whole.groups)]
        return sum(param.nbytes * count for param, count in zip(self._params, slots, strict=True))

    def step(self, grads: Tree, *, weight: float = 1.0) -> None:
        """Update the parameters of all ranks in place by the average of the gradients of all.

        ``grads`` is what the ``step`` of any optimizer takes, this rank's. None skips a parameter, if it stands
        there on every rank; Rows stand there on every rank or on none. ``weight`` is what this rank counts beside
        the others, >= 0; the weights of all ranks are to have mean 1, as in ``samples here * ranks / samples``.
        What has weight 0 may be anything, even NaN; Rows of that weight are no rows.

        Raises TypeError or ValueError before anything is sent or written, for gradients as the ``step`` of any
        optimizer does, and for a weight out of its range; ValueError where only some ranks have None for a
        parameter, when the step may be half made; and RuntimeError as the constructor does, and, before anything is
        written, where the ranks have called ``step`` so often and so often or have Rows of other parameters.
        """
        self._calls += 1
        weight = nonnegative("weight", weight)
        if self._ranks == 1:
            self._step_alone(grads, weight)
            return
        if self._away:
            raise RuntimeError("step: expected a call outside of averaged(), got one within")
        flat_grads = self.flat_grads(grads)
        if self._since == self._check_every:
            self.check()
        waiting = Waiting(self.comm, f"call {self._calls} of step", self.timeout)
        with waiting, uninterrupted(), np.errstate(all="ignore"):
            self._step_together(flat_grads, weight)
            self._t += 1
            self._since += 1

    def flat_grads(self, grads: Tree) -> list[Any]:
        """Return each gradient in the order of its parameter's memory, or by rows, with more than one rank.

        Raises as ``step`` does for ``grads``.
        """
        leaves = zip(self._door.check(grads), self._params, strict=True)
        return [grad if grad is None or isinstance(grad, Rows) else flat(grad, param) for grad, param in leaves]

    def check_params(self, params: Tree) -> None:
        """Raise ValueError unless each array that is stepped is, or is a view of, one of those of ``params``."""
        check_among(self._structure.labels, self._params, flatten(params))

    def team(self, comm: Comm, value_and_grad: ValueAndGrad, callback: Callback, limits: Limits) -> Ranks:
        """Return what ``fit`` does over ranks, for its ``comm``, ``value_and_grad``, ``callback``, ``limits``."""
        if comm is not self.comm:
            raise ValueError("comm: expected the communicator of the optimizer, got another")
        for name, limit in vars(limits).items():
            if limit is not None:
                raise ValueError(f"{name}: expected None with comm, got {limit}; give it to the ShardedOptimizer")
        return Ranks(self, value_and_grad, callback)

    def check(self) -> None:
        """Compare the ranks now. Raises RuntimeError on all of them if they disagree."""
        agree(self.comm, self._description, "a comparison", self.timeout)
        self._since = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what ``state_dict`` of the optimizer in one process would: it holds the state of all ranks."""
        return self.gathered_state_dict(np.empty_like)

    def gathered_state_dict(self, make: Callable[[Array], Array | None]) -> dict[str, Any]:
        """Return the state dict with the state of all ranks in arrays that ``make(param)`` returns.

        They are like the parameter, or None where this rank need not have them.
        """
        whole = self._whole.state_dict()
        if self._ranks > 1:
            whole["t"] = self._t
            for leaf, (param, slots) in enumerate(zip(self._params, whole["state"].values(), strict=True)):
                for slot in slots:
                    slots[slot] = make(param)
                    with Waiting(self.comm, f"the state of params{self._structure.labels[leaf]}", self.timeout):
                        self._share.collect(leaf, slot, slots[slot])
        return whole

    def averages(self) -> Tree:
        """Return the averages of the weights of all ranks, as ``averages`` of any optimizer. Collective."""
        if self._ranks == 1:
            return self._whole.averages()
        self._whole.averages()  # raises where there are none
        found = [np.empty_like(param) for param in self._params]
        for leaf, average in enumerate(found):
            self._share.collect(leaf, "average", average)
        trees = [group.params for group in self._whole.groups]
        return rebuild(trees if self._grouped else trees[0], iter(found))

    @property
    def average(self) -> Average | None:
        """The decay of the average of the weights, and whether it is corrected; None where there is none."""
        return self._whole.average

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the parameters are their averages, as ``averaged`` of any optimizer. Collective."""
        if self._ranks == 1:
            with self._whole.averaged():
                yield
            return
        averages = flatten(self.averages())
        self._away += 1
        try:
            with replaced(self._params, averages):
                yield
        finally:
            self._away -= 1

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken, with any number of ranks or without ranks.

        Raises as ``load_state_dict`` of any optimizer, before anything is replaced, and RuntimeError where it fails
        on another rank or brings others.
        """
        if self._ranks == 1:
            self._whole.load_state_dict(state_dict)
            return
        before, t = self._whole.state_dict(), self._t
        try:
            agree(self.comm, lambda: self._load_all_but_state(state_dict), "load_state_dict", self.timeout)
        except BaseException:
            self._whole.load_state_dict(before)
            self._t = t
            raise
        with uninterrupted():
            self._share.load(self._t, [state_dict["state"][name] for name in self._structure.names])
        self._since = 0

    def _load_all_but_state(self, state_dict: Mapping[str, Any]) -> list[str]:
        empty = self._whole.state_dict()["state"]
        if isinstance(state_dict, Mapping) and "state" in state_dict:
            state = state_dict["state"]
            expect_keys("state_dict['state']", state, self._structure.names)
            for (name, slots), param in zip(empty.items(), self._params, strict=True):
                place = f"state_dict['state'][{name!r}]"
                expect_keys(place, state[name], tuple(slots))
                for slot in slots:
                    check_like(f"{place}[{slot!r}]", state[name][slot], param)
            state_dict = {**state_dict, "state": empty}
        self._whole.load_state_dict(state_dict)
        self._t = self._whole.t
        return self._description()

    def __reduce__(self) -> NoReturn:
        raise TypeError("ShardedOptimizer: expected not to be copied or pickled; use gd.distributed.save and load")

    def _step_alone(self, grads: Tree, weight: float) -> None:
        if weight == 0:  # what weighs nothing may be anything
            nothing = map(weightless, self._door.check(grads))
            grads, weight = rebuild(grads, nothing), 1.0
        self._whole.step(grads, scale=weight, **vars(self.limits))

    def _step_together(self, grads: list[Any], weight: float) -> None:
        by_rows = {leaf: grad for leaf, grad in enumerate(grads) if isinstance(grad, Rows)}
        idle = buckets_of(self._buckets, by_rows) if by_rows else frozenset()
        means = self._means(grads, weight, by_rows, idle)
        if self.limits.given:
            kept = [mean._replace(values=mean.values.copy()) for _, mean in means]
            pieces = [piece for index, mean in enumerate(kept) for piece in self._share.of(index, mean)]
            self._limit(
                [piece.values if isinstance(piece, Rows) else piece for piece in pieces if piece is not None]
            )
            means = enumerate(kept)
        for index, mean in means:
            self._share.step(index, mean)
            if index not in idle:
                self._exchange.gather(index)
        self._exchange.finish()
        self._share.bring_rows()

    def _means(
        self, grads: list[Any], weight: float, by_rows: Mapping[int, Rows], idle: Container[int]
    ) -> Iterator[tuple[int, Mean]]:
        others = [None if leaf in by_rows else grad for leaf, grad in enumerate(grads)]
        means = self._exchange.means(others, weight, self._calls, tuple(by_rows), idle)
        for index, mean in enumerate(means):
            if not index:  # by now all ranks are known to have rows of the same parameters
                self._share.take_rows(mean_rows(self.comm, by_rows, weight))
            yield index, mean

    def _limit(self, grads: list[Array]) -> None:
        """Bring flat gradients, this rank's share, within the limits, in place."""
        largest, max_norm = self.limits.max_value, self.limits.max_norm
        if largest is not None:
            for grad in grads:
                np.clip(grad, -largest, largest, out=grad)
        if max_norm is None:
            return
        norms = np.empty(self._ranks)
        self.comm.Allgather(np.array([norm(grads)]), norms)
        whole = norm([norms])
        if not math.isfinite(whole):
            raise FloatingPointError(f"grads: expected a finite norm, got {whole}")
        if whole > max_norm:
            multiply(grads, grads, max_norm, whole)
