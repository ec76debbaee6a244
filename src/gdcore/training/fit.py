"""The training process: the loop over batches and epochs.

It is given the optimizer and the gradient, and knows neither.
"""

import numbers
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..arguments import check_callable, checked_int, checked_number, flag, is_array
from ..clipping import Limits
from ..data import Batches, Samples, as_source, hold_out
from ..trees import flatten
from .callbacks import ReduceOnPlateau, checked_callbacks, heard
from .divergence import Watch
from .evaluation import Evaluation
from .history import History
from .loop import Loop
from .rates import ByGroup, checked_schedule, described
from .resume import Saver
from .run import Run
from .team import Accumulating, Alone, Callback, Team, ValueAndGrad

if TYPE_CHECKING:
    from pathlib import Path


class Steps(Protocol):
    """What :func:`fit` needs of an optimizer."""

    def step(self, grads: Any, /) -> object:
        """Update the parameters in place."""


def fit(
    value_and_grad: Callable[..., tuple[Any, Any]],
    params: Any,
    data: Any,
    optimizer: Steps,
    *,
    epochs: int,
    batch_size: int | None = None,
    rng: "np.random.Generator | None" = None,
    shuffle: bool = True,
    prefetch: int = 0,
    accumulate: int = 1,
    metrics: Mapping[str, Callable[..., float]] | None = None,
    running: bool = False,
    validation: Any = None,
    averages: bool = False,
    patience: int | None = None,
    monitor: str | None = None,
    schedule: Any = None,
    max_norm: float | None = None,
    max_value: float | None = None,
    divergence: float | None = 1e6,
    checkpoint: "str | Path | None" = None,
    checkpoint_every: float = 10.0,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    callback: Any = None,
    verbose: int = 0,
    progress: bool | None = None,
    comm: Any = None,
) -> History:
    """Train ``params`` in place: one step of ``optimizer`` for each batch of each epoch.

    ``loss, grads = value_and_grad(params, *batch)``, then ``optimizer.step(grads)``.

    Arguments:
        value_and_grad: any callable that returns the loss of a batch, a real number, and its gradients, a tree
            that ``optimizer.step`` takes.
        params: what ``value_and_grad`` is given first: the parameters that ``optimizer`` steps in place.
        data: a tuple of columns of samples, as :func:`gdcore.minibatches` takes them; or a source of batches: what
            can be iterated again and again, such as a DataLoader or a list of tuples, or a function of the epoch,
            from 1, that returns an iterator. A batch is a tuple or list of arrays, or one alone; what NumPy can
            read reaches ``value_and_grad`` as arrays.
        optimizer: anything with ``step(grads)``, made for ``params``. One of this package steps these very arrays,
            views of them, or some of them: the others are frozen.
        epochs: how often to go through the data, an int >= 0.
        batch_size: samples a batch, as for :func:`gdcore.minibatches`. None takes all samples at once, in order; a
            source of batches has its own.
        rng: draws a new order for each epoch, as for :func:`gdcore.minibatches`; without ``batch_size`` it may be
            None.
        shuffle: False goes through the data in order, as for :func:`gdcore.minibatches`.
        prefetch: how many batches one thread reads ahead of the steps, an int >= 0.
        accumulate: how many batches a step takes, an int >= 1: its gradient is the mean of theirs, each weighed by
            its samples.
        metrics: by name, functions ``metric(params, *arrays)`` of all samples, such as those of ``gd.metrics``.
        running: also tell the metrics as met during the epoch, each batch before its step.
        validation: what no step sees: a tuple of columns like ``data``, a source of batches, or the part of the
            samples, > 0 and < 1, that ``rng`` draws and holds out.
        averages: judge each epoch by the averages of the weights that ``optimizer``, made with ``average=``, keeps:
            metrics, what is told of ``validation``, and the loss after an epoch are theirs, and ``patience`` keeps
            them. Without ``patience`` the parameters end as the last step left them; ``callback`` sees those too.
        patience: stop after so many epochs without a better ``monitor``, an int >= 1. If given, the parameters of
            the best epoch are put back at the end, however the run ends. Where ``monitor`` is the loss, that of the
            parameters after the epoch is worked out for it, by a pass over ``data``.
        monitor: the key of the record by which epochs are compared. By default the first metric, over
            ``validation`` if that is given; without metrics, the loss.
        schedule: ``optimizer.lr = schedule(optimizer.t)`` before each step, as those of ``gd.schedules``. A list of
            them has one for each group of the optimizer, None for one that keeps its rate; a dict has them by the
            index of the group.
        max_norm: largest global norm of the gradients, as in :func:`gdcore.clip_by_global_norm`, > 0.
        max_value: largest magnitude of an element, as in :func:`gdcore.clip_by_value`, > 0; this comes first.
        divergence: how many times the largest loss of the first epoch the loss may be for ten steps in a row while
            it and the weights grow, > 0. None lets them grow.
        checkpoint: a file, ``*.npz`` or ``*.safetensors``, that is written as by :func:`gdcore.save` in the course
            of the run, at its end, and at Ctrl-C.
        checkpoint_every: seconds from one writing to the next, >= 0; 0 writes after each step.
        resume: go on from ``checkpoint`` if it is there. Parameters, optimizer, generator and history are set to
            what they were, and the result is that of a run without a break, bit for bit. A source of batches has to
            be a function of the epoch for it, that yields the same batches when it is asked for that epoch again.
        settings: what else the run depends on, such as the activation of a net: plain values by name. A checkpoint
            of other settings is refused, as is one of other samples, hyperparameters, limits, metrics or another
            ``batch_size``; ``epochs`` and ``patience`` may differ, and a schedule of ``gd.schedules`` that has the
            same rates for the steps done.
        callback: called as ``callback(record, params)`` after each epoch. It may add keys to the record, change
            ``params`` in place, and stops the run by returning True or raising StopIteration. A list of them is
            called in order.
        verbose: 1 prints a line of the record after each epoch.
        progress: show a bar of the steps (tqdm, the extra ``cli``). None means: if standard error is a terminal and
            tqdm is there.
        comm: a communicator of mpi4py, that of ``optimizer``, a :class:`gdcore.distributed.ShardedOptimizer`: its
            ranks train together, each on a part of every batch. All of them call ``fit`` with the same arguments
            and generators that stand alike. The loss is to be a mean over its samples, as those of the parts are
            averaged; noise in it needs another generator than ``rng``. Rank 0 alone calls ``callback``, shows the
            bar and writes the checkpoint, in a folder that all can read; all ranks get its records, of what
            ``callback`` adds only numbers and text. Limits on the gradients are given to the optimizer.

    A record has ``epoch``, from 1; ``loss``, the mean over the samples of the losses met during the epoch: each
    batch's loss, before its step, weighted by the length of the batch; where patience compares by the loss, that is
    ``running_loss``, and ``loss`` is the one over all of ``data`` after the epoch; with ``running``,
    ``running_<name>`` for each metric, as met; ``<name>`` for each metric, over all of ``data`` after the epoch
    (of no source of batches, which is gone through once an epoch);
    ``validation_loss`` and ``validation_<name>``, over all of ``validation``; with a schedule ``lr``, that of the
    last step (``lr_0``, ``lr_1`` ... where groups differ); and ``seconds``, the time of the steps.

    Ctrl-C ends the run after a whole step: ``stopped`` of the history is then ``"interrupted"``.

    Raises TypeError or ValueError for an argument out of its range, before any step; ValueError for an optimizer of
    other arrays, also when a callback has put others in their place; FileExistsError for a ``checkpoint`` that is
    there without ``resume``; TypeError for a loss that is no real number; :class:`gdcore.DivergenceError`, naming
    epoch and step, for a loss or gradient that is not finite and for loss and weights that grow without end. In
    these, and when ``value_and_grad`` or the optimizer raises, the parameters stand where the last whole step left
    them, or, with ``patience``, where the best epoch did. Where the loss is not finite, that is where it is not.

    >>> import numpy as np, gdcore as gd
    >>> x = np.arange(8.0)
    >>> w = np.zeros(1)
    >>> def value_and_grad(w, x, y):
    ...     r = w * x - y
    ...     return np.mean(r**2), np.array([2 * np.mean(r * x)])
    >>> rng = np.random.default_rng(0)
    >>> history = gd.fit(value_and_grad, w, (x, 3 * x), gd.SGD(w, lr=0.01), epochs=20, batch_size=4, rng=rng)
    >>> w.round(6)
    array([3.])
    >>> len(history)
    20
    """
    check_callable("value_and_grad", value_and_grad)
    if not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"optimizer: expected an object with step(grads), got {type(optimizer).__name__}")
    if isinstance(optimizer, type):
        name = optimizer.__name__
        raise TypeError(f"optimizer: expected one of your parameters, {name}(params, lr=...), got the class {name}")
    schedule = checked_schedule(schedule, optimizer)
    callbacks = checked_callbacks(callback, schedule)
    if schedule is not None:
        # Groups of several rates have no one rate, and need none where each has its schedule.
        _check_attributes(optimizer, "schedule", ("t",) if isinstance(schedule, ByGroup) else ("lr", "t"))
    epochs = checked_int("epochs", epochs, 0)
    accumulate = checked_int("accumulate", accumulate, 1)
    prefetch = checked_int("prefetch", prefetch, 0)
    source, watched = _sources(data, validation, batch_size, rng, shuffle)
    shuffle = bool(shuffle) and batch_size is not None
    patience = _checked_patience(patience, params)
    evaluation = Evaluation(value_and_grad, metrics, source, watched, running, patience)
    history = evaluation.history(monitor, open_ended=bool(callbacks))
    judged = _judged(averages, optimizer)
    limits = Limits(max_norm, max_value)
    watch = Watch(None if divergence is None else checked_number("divergence", divergence, 0, above=True))
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(
            f"progress: expected True, False or None, got {progress!r} of type {type(progress).__name__}"
        )
    if settings is not None and not isinstance(settings, Mapping):
        raise TypeError(f"settings: expected a dict or None, got {type(settings).__name__}")
    if comm is not None and not all(part is None or part.plain for part in (source, watched)):
        raise TypeError("comm: expected None with a source of batches or a sparse matrix, as ranks share arrays")
    hear = heard(callbacks, optimizer, _checked_verbose(verbose), epochs)
    team = _team(optimizer, comm, value_and_grad, hear, limits, accumulate)
    sameness = {
        "batch_size": source.size if isinstance(source, Samples) else None,
        "accumulate": accumulate,
        **vars(team.limits),
        "metrics": [*evaluation.metrics],
        "running": bool(running),
        "loss_after": evaluation.loss_after,
        "averages": bool(averages),
        "monitor": history.monitor,
        "settings": {} if settings is None else dict(settings),
    }
    own = {
        "schedule": described(schedule),
        "epochs": epochs,
        "shuffle": shuffle,
        "divergence": divergence,
        "resume": resume,
        "checkpoint": None if checkpoint is None else "given",
        "validation": None if validation is None else "given",
    }
    samples = {"data": _columns(source), "validation": _columns(watched)}
    team.agree(params, {"patience": patience, **sameness, **own}, samples, rng)
    run = Run(params, optimizer, rng, history, watch, shuffle=shuffle, sums=1 + len(evaluation.running))
    saver = _saver(checkpoint, checkpoint_every, resume, run, (source, watched), schedule, sameness, team)
    for each in callbacks:
        if isinstance(each, ReduceOnPlateau):
            each.resume(history.records)
    loop = Loop(run, team, source, evaluation, schedule, patience, saver, judged, accumulate, prefetch)
    clock = _never if saver is None else saver.is_due
    team.go(lambda: loop.go(epochs, progress if team.leads else False), history, clock)
    return history


def _judged(averages: Any, optimizer: Any) -> Callable[[], AbstractContextManager[None]]:
    """Return the context in which the parameters are those by which an epoch is judged."""
    if not flag("averages", averages):
        return nullcontext
    if getattr(optimizer, "average", None) is None:
        kind = type(optimizer).__name__
        raise ValueError(
            f"averages: expected False with an optimizer that was made without average, such as {kind}"
        )
    averaged: Callable[[], AbstractContextManager[None]] = optimizer.averaged
    return averaged


def _team(
    optimizer: Any, comm: Any, value_and_grad: ValueAndGrad, callback: Callback, limits: Limits, accumulate: int
) -> Team:
    """Return who makes the steps: with ``comm``, the optimizer says."""
    if comm is not None and accumulate > 1:
        raise ValueError(f"accumulate: expected 1 with comm, got {accumulate}")
    if comm is None:
        if getattr(getattr(optimizer, "comm", None), "size", 1) > 1:
            raise TypeError("comm: expected that of the optimizer, which is one over several ranks, got None")
        return (Alone if accumulate == 1 else Accumulating)(optimizer, value_and_grad, callback, limits)
    if not callable(getattr(optimizer, "team", None)):
        raise TypeError(
            f"optimizer: expected a gd.distributed.ShardedOptimizer with comm, got {type(optimizer).__name__}"
        )
    team: Team = optimizer.team(comm, value_and_grad, callback, limits)
    return team


def _sources(
    data: Any, validation: Any, batch_size: Any, rng: Any, shuffle: Any
) -> tuple[Samples | Batches, Samples | Batches | None]:
    """Return where the batches come from, and those that no step sees."""
    flag("shuffle", shuffle)
    source = as_source("data", data, batch_size, rng, shuffle)
    if validation is None:
        return source, None
    if not isinstance(validation, numbers.Real):
        return source, as_source("validation", validation, None, None, False)
    if isinstance(source, Batches):
        raise TypeError(
            f"validation: expected samples or a source of batches, as no part of another source of batches can be "
            f"held out, got {validation!r}"
        )
    kept, held = hold_out(source.columns, validation, rng)
    rows: int = kept[0].shape[0]
    return Samples(kept, rows if batch_size is None else source.size), Samples(held, held[0].shape[0])


def _columns(source: Samples | Batches | None) -> tuple[Any, ...]:
    return source.columns if isinstance(source, Samples) else ()


def _checked_verbose(verbose: Any) -> int:
    return checked_int("verbose", int(verbose) if isinstance(verbose, bool | np.bool_) else verbose, 0)


def _never() -> bool:
    return False


def _saver(
    checkpoint: Any,
    every: Any,
    resume: Any,
    run: Run,
    sources: tuple[Samples | Batches, Samples | Batches | None],
    schedule: Any,
    sameness: dict[str, Any],
    team: Team,
) -> Saver | None:
    """Return what writes the checkpoints, after going on from the one that is there."""
    flag("resume", resume)
    if checkpoint is None:
        if resume:
            raise ValueError("checkpoint: expected a path to resume from, got None")
        return None
    _check_attributes(run.optimizer, "checkpoint", ("t", "state_dict", "load_state_dict"))
    source, validation = sources
    if isinstance(source, Batches) and not source.repeatable:
        raise TypeError(
            f"checkpoint: expected None with a source of batches that is no function of the epoch, as nobody can "
            f"go on in the middle of a {source.kind}; data=lambda epoch: ..., which returns its batches, is one"
        )
    saver = Saver(checkpoint, every, run, source, validation, schedule, sameness, team)
    if team.of_leader(saver.path.exists()):
        if not resume:
            raise FileExistsError(
                f"checkpoint: expected a new file, or resume=True to go on from it, got {str(checkpoint)!r}, "
                f"which exists"
            )
        saver.resume()
    return saver


def _check_attributes(optimizer: Any, what: str, names: Sequence[str]) -> None:
    for name in names:
        try:
            getattr(optimizer, name)
        except AttributeError:
            raise TypeError(
                f"{what}: expected None with an optimizer without {name!r}, such as {type(optimizer).__name__}"
            ) from None


def _checked_patience(patience: Any, params: Any) -> int | None:
    if patience is None:
        return None
    for leaf in flatten(params):
        if not is_array(leaf):
            raise TypeError(f"params: expected NumPy arrays, as patience puts them back, got {type(leaf).__name__}")
    return checked_int("patience", patience, 1)
