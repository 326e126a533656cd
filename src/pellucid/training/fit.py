"""fit and evaluate: from what a user hands over to a run of the loop."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pellucid.data.dataset import Dataset
from pellucid.description import checked_options
from pellucid.engine.base import Tally, compile_network
from pellucid.errors import DataError, NotBuiltError, OptionError, ResumeError
from pellucid.events import Observer
from pellucid.metrics import Metric, as_metric
from pellucid.network.arrays import named
from pellucid.network.network import Network
from pellucid.optimizers import LBFGS
from pellucid.random import seed_of
from pellucid.training.batches import ArrayBatches
from pellucid.training.checked import as_data
from pellucid.training.fullbatch import Converged, FullBatch
from pellucid.training.loop import Run, train
from pellucid.training.progress import Progress
from pellucid.training.record import Record
from pellucid.training.sources import (
    ArraySource,
    Source,
    StreamSource,
    build_from_stream,
    is_stream,
    unpacked,
)
from pellucid.training.state import TrainingState, setting_of

Metrics = list[tuple[str, Metric]]


@checked_options(
    "fit",
    verbose="Write progress=False for none",
    validation_split="Write validation=0.2 to hold out a fifth of the rows",
    validation_data="Write validation=(x, y)",
    lr="The optimizer has it: optimizer=Adam(learning_rate=0.01)",
    learning_rate="The optimizer has it: optimizer=Adam(learning_rate=0.01)",
    max_iter="Write epochs=",
)
def fit(
    net: Network, x: Any, y: Any = None, *, epochs: int = 10, batch_size: int = 32,
    validation: Any = None, validation_rows: str = "random", loss: Any = None,
    optimizer: Any = None, metrics: Any = None, sample_weight: Any = None,
    class_weight: Any = None, shuffle: bool = True, shuffle_seed: Any = None, accumulate: int = 1,
    steps_per_epoch: int | None = None, callbacks: Sequence[Observer] = (),
    progress: bool = True, resume: Any = False,
) -> Record:  # fmt: skip
    """Trains a network and returns the record of the run.

    Parameters
    ----------
    x, y : arrays (dicts by node name where there are several), or a Dataset as `x`
        Rows first. Arrays on disk (`numpy.memmap`) stay there. `x` may also be an iterable of
        batches ``(x, y)`` or ``(x, y, sample_weight)`` that begins anew each epoch, or a function
        that returns an iterator. The names of a Dataset's classes stay with the network.
    epochs : int
        Passes over the data. A second `fit` goes on where the first stopped.
    batch_size : int
        Rows of one update; the last batch is as short as it comes out.
    validation : Dataset, (x, y) or fraction, optional
        Evaluated after each epoch. A fraction is split off at random from the seed, each class
        keeping its share; ``validation_rows="last"`` takes the last rows instead.
    loss, optimizer : set on the network if given
    metrics : list of Metric or str (dict by output), optional
        By default what suits the loss: accuracy for classes, none for values.
    sample_weight : (B,) array, optional
        The loss is Σwℓ/Σw over each batch.
    class_weight : "balanced", dict or list by class index, optional
        Multiplies the sample weights.
    shuffle, shuffle_seed : bool; int or numpy.random.Generator, optional
        Whether each epoch has an order of its own, and where that order, and the rows held out
        for validation, come from; the network's seed unless given.
    accumulate : int
        Batches whose gradients make one update together.
    callbacks : observers, see `pellucid.events.Observer`
    progress : bool
        A bar on a terminal, one line an epoch elsewhere (on stderr).
    resume : bool, path or TrainingState
        Go on with an interrupted run, bit for bit; `epochs` is then that run's.

    Raises
    ------
    DataError, ShapeError, OptionError : before anything is changed
    DivergenceError : where the loss or gradient becomes NaN or infinite
    Interrupted : after Ctrl-C, with the network whole
    """
    whole_number("epochs", epochs, 0)
    whole_number("batch_size", batch_size, 1)
    whole_number("accumulate", accumulate, 1)
    if steps_per_epoch is not None:
        whole_number("steps_per_epoch", steps_per_epoch, 1)
    seed = net.seed if shuffle_seed is None else seed_of(shuffle_seed)
    observers = [*checked_observers(callbacks), *([Progress()] if progress else [])]
    with all_or_nothing(net):
        if is_stream(x, y):
            if sample_weight is not None or class_weight is not None:
                raise OptionError("weights come with each batch: (x, y, sample_weight)")
            build_from_stream(net, x)
            set_training(net, loss, optimizer)
            source: Source = StreamSource(net, x, validation, steps_per_epoch, accumulate)
        else:
            if steps_per_epoch is not None:
                raise OptionError("steps_per_epoch is for generators: an epoch is all rows")
            net.classes = x.names if isinstance(x, Dataset) and x.names else net.classes
            x, y, sample_weight = unpacked(x, y, sample_weight)
            net.inputs_for(x)
            set_training(net, loss, optimizer)
            data = as_data(net, x, y, sample_weight, class_weight)
            source = ArraySource(
                net, data, validation, validation_rows, batch_size, shuffle, accumulate, seed
            )
        run = run_of(
            net, source, observers, epochs=epochs, metrics=metrics, resume=resume,
            batch_size=batch_size, accumulate=accumulate, shuffle=bool(shuffle),
            shuffle_seed=seed,
        )  # fmt: skip
    return train(run)


def whole_number(name: str, value: Any, least: int) -> None:
    """Refuses an option that is not a whole number, or too small."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise OptionError(f"{name} is a whole number of {least} or more, not {value!r}")


def checked_observers(callbacks: Any) -> list[Observer]:
    """`callbacks` as a list, refused where something in it is no observer."""
    if not isinstance(callbacks, list | tuple):
        raise OptionError(f"callbacks is a list of observers, not {callbacks!r}")
    for observer in callbacks:
        if not isinstance(observer, Observer):
            name = getattr(observer, "__name__", "")
            fix = f": call it, {name}()" if isinstance(observer, type) else ""
            raise OptionError(
                f"callbacks are Observers (help(pellucid.Observer)), not {observer!r}{fix}"
            )
    return list(callbacks)


def run_of(
    net: Network, source: Source, observers: list[Observer], *, epochs: int, metrics: Any,
    resume: Any, **options: Any,
) -> Run:  # fmt: skip
    """The program and its observers, ready to go (or to go on, under the same `options`)."""
    measures = metrics_of(net, metrics)
    names = [f"{output}/{metric.name}" for output, metric in measures]
    state = _state(net, resume, setting_of(net, rows=source.rows, metrics=names, **options))
    taps = any(o.tensors for o in observers)
    program = compile_network(net, measures, taps=taps, input_gradients=taps)
    steps = source.steps_per_epoch
    if isinstance(net.optimizer, LBFGS):
        program = FullBatch(program, source)
        observers, steps = [*observers, Converged(program)], net.optimizer.max_iter

    def finish_row() -> dict[str, float]:
        assert net.optimizer is not None
        row = {"penalty": penalty_of(net)} if net.penalty is not None else {}
        if source.validation is not None:
            tally = Tally()
            with np.errstate(all="ignore"):  # what overflows is seen in the record
                program.evaluate(ArrayBatches(net, source.validation, None, 1024), tally)
            row |= {f"validation_{k}": v for k, v in tally.values(measures).items()}
        return row | {"learning_rate": net.optimizer.rate(max(net.updates - 1, 0))}

    run = Run(
        net, program, state, observers, int(epochs), source.batches, finish_row,
        lambda tally: tally.values(measures), steps,
    )  # fmt: skip
    for key, observer in run.observers_by_key().items():
        if state.observers.get(key):
            observer.restore(state.observers[key])
    return run


@checked_options("evaluate", verbose="It prints nothing")
def evaluate(
    net: Network, x: Any, y: Any = None, *, batch_size: int = 1024, metrics: Any = None,
    sample_weight: Any = None, class_weight: Any = None,
) -> dict[str, float]:  # fmt: skip
    """The loss and metrics on data, in inference: ``{'loss': 0.11, 'accuracy': 0.967}``."""
    if isinstance(batch_size, bool) or not batch_size >= 1:
        raise OptionError(f"batch_size is a whole number of 1 or more, not {batch_size!r}")
    x, y, sample_weight = unpacked(x, y, sample_weight)
    data = as_data(net, x, y, sample_weight, class_weight)
    if data.rows == 0:
        raise DataError("x has no rows: there is nothing to evaluate")
    measures, tally = metrics_of(net, metrics), Tally()
    program = compile_network(net, measures)
    program.evaluate(ArrayBatches(net, data, None, batch_size), tally)
    return tally.values(measures)


def metrics_of(net: Network, metrics: Any) -> Metrics:
    """Metrics with the output each is about; by default what suits each loss."""
    outputs = list(net.graph.outputs)
    if metrics is None:
        return [(o, as_metric(m)) for o in outputs for m in net.losses[o].default_metrics]
    if not isinstance(metrics, Mapping):
        metrics = dict.fromkeys(outputs, metrics)
    found = named(dict.fromkeys(outputs, ()) | dict(metrics), outputs, "metrics")
    lists = {k: v if isinstance(v, list | tuple) else [v] for k, v in found.items()}
    return [(output, as_metric(m)) for output in outputs for m in lists[output]]


def penalty_of(net: Network) -> float:
    """The value of the network's penalty."""
    if net.penalty is None:
        return 0.0
    vector = net.parameters.vector
    return sum(net.penalty.value(vector[a:b]) for a, b, decay in net.stretches() if decay)


@contextmanager
def all_or_nothing(net: Network) -> Iterator[None]:
    """Takes back what preparing a run did to a network (building it, its loss) where it fails."""
    before = dict(net.__dict__)
    state = net.state.vector.copy() if net.built else None
    try:
        yield
    except BaseException:
        net.__dict__.clear()
        net.__dict__.update(before)
        if state is not None:
            net.state.vector[...] = state
        raise


def set_training(net: Network, loss: Any, optimizer: Any) -> None:
    """Gives a network what `fit` was given, and refuses one that still lacks something."""
    if loss is not None:
        net.loss = loss
    if optimizer is not None:
        net.optimizer = optimizer
    _ = net.losses
    if net.optimizer is None:
        raise NotBuiltError("this network has no optimizer: Network(..., optimizer=Adam())")


def _state(net: Network, resume: Any, setting: dict[str, Any]) -> TrainingState:
    """A new run after what came before, or the saved one to go on with."""
    if resume is False or resume is None:
        before = net.training
        epoch = before.epoch if before is not None else 0
        return TrainingState(net.updates, epoch, first_epoch=epoch, setting=setting)
    state = net.training if resume is True else resume
    if isinstance(resume, str | os.PathLike):
        from pellucid.formats.safetensors import load_state

        state = load_state(resume)
    if not isinstance(state, TrainingState):
        raise ResumeError("there is no run to resume: this network has not been trained")
    state.check_setting(setting)
    state.restore(net)
    return state.snapshot(net)
