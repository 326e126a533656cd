"""fit and evaluate: from what a user hands over to a run of the loop."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import split_indices
from pellucid.engine.base import Tally, compile_network
from pellucid.errors import DataError, NotBuiltError, OptionError, ResumeError, ShapeError
from pellucid.events import Observer
from pellucid.metrics import Metric, as_metric
from pellucid.network.arrays import named
from pellucid.network.network import Network
from pellucid.training.batches import (
    ArrayBatches,
    Data,
    StreamBatches,
    as_data,
    shuffled,
    stream_of,
)
from pellucid.training.loop import Run, train
from pellucid.training.progress import Progress
from pellucid.training.record import Record
from pellucid.training.state import TrainingState, setting_of

Array = NDArray[Any]
Metrics = list[tuple[str, Metric]]


def fit(
    net: Network, x: Any, y: Any = None, *, epochs: int = 10, batch_size: int = 32,
    validation: Any = None, validation_rows: str = "random", loss: Any = None,
    optimizer: Any = None, metrics: Any = None, sample_weight: Any = None,
    class_weight: Any = None, shuffle: bool = True, accumulate: int = 1,
    steps_per_epoch: int | None = None, callbacks: Sequence[Observer] = (),
    progress: bool = True, resume: Any = False,
) -> Record:  # fmt: skip
    """Trains a network and returns the record of the run.

    Parameters
    ----------
    x, y : arrays (dicts by node name where there are several), or a Dataset as `x`
        Rows first. Arrays on disk (`numpy.memmap`) stay there. `x` may also be an iterable of
        batches ``(x, y)`` or ``(x, y, sample_weight)`` that begins anew each epoch, or a function
        that returns an iterator.
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
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("accumulate", accumulate)):
        low = 0 if name == "epochs" else 1
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
            raise OptionError(f"{name} is a whole number of {low} or more, not {value!r}")
    if steps_per_epoch is not None and not (
        isinstance(steps_per_epoch, int | np.integer) and steps_per_epoch >= 1
    ):
        raise OptionError(
            f"steps_per_epoch is a whole number of 1 or more, not {steps_per_epoch!r}"
        )
    with _all_or_nothing(net):
        observers = [*callbacks, *([Progress()] if progress else [])]
        _check_observers(observers)
        streaming = _is_stream(x, y)
        x, y, sample_weight = _unpacked(x, y, sample_weight)
        if streaming:
            if sample_weight is not None or class_weight is not None:
                raise OptionError(
                    "weights come with each batch of a generator: (x, y, sample_weight)"
                )
            _build_from_stream(net, x)
        elif steps_per_epoch is not None:
            raise OptionError("steps_per_epoch is for generators: an epoch is all rows of arrays")
        else:
            net.inputs_for(x)
        _set_training(net, loss, optimizer)
        measures = metrics_of(net, metrics)
        join = any(n.layer is not None and n.layer.batch_statistics for n in net.graph.nodes)

        validator: Data | None = None
        order: Any = None
        if streaming:
            batches_of, count, rows = _stream_source(net, x, steps_per_epoch, accumulate)
            validator = _validation_data(net, validation)
        else:
            data = as_data(net, x, y, sample_weight, class_weight)
            if data.rows == 0:
                raise DataError("x has no rows: there is nothing to learn from")
            order, validator = _split(net, data, validation, validation_rows)
            adapt_layers(net, data.inputs, order)
            rows = data.rows if order is None else len(order)

            def batches_of(epoch: int) -> ArrayBatches:
                pick = order if order is not None else rows
                mixed = shuffled(net, pick, epoch) if shuffle else order
                return ArrayBatches(
                    net, data, mixed, batch_size, accumulate=accumulate, join_single=join
                )

            count = batches_of(0).count

        setting = setting_of(net, batch_size=batch_size, accumulate=accumulate, rows=rows,
                             shuffle=bool(shuffle),
                             metrics=[f"{output}/{m.name}" for output, m in measures])  # fmt: skip
        state = _state(net, resume, setting)
        taps = any(o.tensors for o in observers)
        program = compile_network(net, measures, taps=taps, input_gradients=taps)

        def measure(tally: Tally) -> dict[str, float]:
            return tally.values(measures)

        def finish_row() -> dict[str, float]:
            row: dict[str, float] = {}
            if net.penalty is not None:
                row["penalty"] = penalty_of(net)
            if validator is not None:
                tally = Tally()
                with np.errstate(all="ignore"):  # seen in the record
                    program.evaluate(ArrayBatches(net, validator, None, 1024), tally)
                row |= {f"validation_{k}": v for k, v in tally.values(measures).items()}
            assert net.optimizer is not None
            row["learning_rate"] = net.optimizer.rate(max(net.updates - 1, 0))
            return row

        run = Run(
            net, program, state, observers, int(epochs), batches_of, finish_row, measure, count
        )
        for key, observer in run.observers_by_key().items():
            if state.observers.get(key):
                observer.restore(state.observers[key])
    return train(run)


def evaluate(
    net: Network, x: Any, y: Any = None, *, batch_size: int = 1024, metrics: Any = None,
    sample_weight: Any = None, class_weight: Any = None,
) -> dict[str, float]:  # fmt: skip
    """The loss and metrics on data, in inference: ``{'loss': 0.11, 'accuracy': 0.967}``."""
    if isinstance(batch_size, bool) or not batch_size >= 1:
        raise OptionError(f"batch_size is a whole number of 1 or more, not {batch_size!r}")
    x, y, sample_weight = _unpacked(x, y, sample_weight)
    data = as_data(net, x, y, sample_weight, class_weight)
    if data.rows == 0:
        raise DataError("x has no rows: there is nothing to evaluate")
    measures, tally = metrics_of(net, metrics), Tally()
    program = compile_network(net, measures)
    program.evaluate(ArrayBatches(net, data, None, batch_size), tally)
    return tally.values(measures)


def adapt(net: Network, x: Any) -> Network:
    """Lets layers such as Standardize learn their statistics from `x`, anew."""
    arrays = net.inputs_for(x)
    for node in net.graph.nodes:
        if node.layer is not None and node.layer.adapts:
            net.state[f"{node.owner}/count"][...] = 0
    adapt_layers(net, arrays, None)
    return net


def adapt_layers(net: Network, inputs: Mapping[str, Array], order: Array | None) -> None:
    """Adapts every layer that wants to see the data first and has not, in blocks of rows."""
    rows = len(next(iter(inputs.values())))
    picks = range(rows) if order is None else order
    for node in net.graph.nodes:
        layer = node.layer
        if layer is None or not layer.adapts or net.state[f"{node.owner}/count"] > 0:
            continue
        source = net.graph.nodes[node.inputs[0].node].name

        def blocks(source: str = source) -> Iterator[Array]:
            for start in range(0, len(picks), 1024):
                pick = picks[start : start + 1024]
                chosen = slice(pick[0], pick[-1] + 1) if isinstance(pick, range) else pick
                batch = net.converted({name: a[chosen] for name, a in inputs.items()})
                yield net.program.infer(batch, [source])[source]

        for name, value in layer.adapt(blocks()).items():
            net.state[f"{node.owner}/{name}"] = value


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


# ---- the parts of fit -------------------------------------------------------------------------


@contextmanager
def _all_or_nothing(net: Network) -> Iterator[None]:
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


def _unpacked(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """x, y and weights out of a Dataset."""
    if y is None and hasattr(x, "x") and hasattr(x, "y"):
        weight = getattr(x, "sample_weight", None)
        return x.x, x.y, weight if sample_weight is None else sample_weight
    return x, y, sample_weight


def _is_stream(x: Any, y: Any) -> bool:
    if y is not None or hasattr(x, "x") or isinstance(x, np.ndarray | Mapping | list | tuple):
        return False
    return callable(x) or (hasattr(x, "__iter__") and not hasattr(x, "__array__"))


def _set_training(net: Network, loss: Any, optimizer: Any) -> None:
    if loss is not None:
        net.loss = loss
    if optimizer is not None:
        net.optimizer = optimizer
    _ = net.losses
    if net.optimizer is None:
        raise NotBuiltError("this network has no optimizer: Network(..., optimizer=Adam())")


def _build_from_stream(net: Network, source: Any) -> None:
    """Looks at the first batch of a source that can be asked again."""
    if net.built:
        return
    if hasattr(source, "__next__"):
        raise DataError(
            "a one-time iterator cannot tell the input shape without losing its first batch: "
            "Network(layers, inputs=shape), or pass a function that returns the iterator"
        )
    first = next(iter(stream_of(source)), None)
    if first is None:
        raise DataError("the source of batches is empty")
    net.inputs_for(first.x if hasattr(first, "x") else first[0])


def _stream_source(net: Network, source: Any, steps: int | None, accumulate: int) -> Any:
    once = iter(source) if hasattr(source, "__next__") else None
    asked: list[int] = []

    def batches_of(epoch: int) -> StreamBatches:
        asked.append(epoch)
        if once is not None and steps is None and epoch > asked[0]:
            raise DataError(
                "a one-time iterator is used up after one epoch: pass a function that returns a "
                "new one, or steps_per_epoch"
            )
        iterator = once if once is not None else iter(stream_of(source))
        return StreamBatches(net, iterator, steps, accumulate)

    return batches_of, steps, None


def _validation_data(net: Network, validation: Any) -> Data | None:
    if validation is None:
        return None
    if isinstance(validation, int | float):
        raise DataError("batches from a generator cannot be split: give validation=(x, y)")
    if isinstance(validation, tuple | list) and len(validation) in (2, 3):
        parts = tuple(validation)
    elif hasattr(validation, "x"):
        parts = _unpacked(validation, None, None)
    else:
        raise OptionError(
            f"validation is a Dataset, (x, y) or a fraction, not {type(validation).__name__}"
        )
    try:
        data = as_data(net, *parts)
    except (DataError, ShapeError) as error:
        raise type(error)(f"validation: {error}") from None
    if data.rows == 0:
        raise DataError("the validation data has no rows")
    return data


def _split(net: Network, data: Data, validation: Any, how: str) -> tuple[Array | None, Data | None]:
    """The rows to train on (None: all) and the data to validate on."""
    if isinstance(validation, bool) or not isinstance(validation, int | float):
        return None, _validation_data(net, validation)
    if how not in ("random", "last"):
        raise OptionError(f"validation_rows is 'random' or 'last', not {how!r}")
    target = next(iter(data.targets.values()))
    classes = len(data.targets) == 1 and target.ndim == 1 and target.dtype.kind in "iu"
    rows, held = split_indices(
        target if classes else data.rows, float(validation), stratify=classes and how != "last",
        seed=net.seed, last=how == "last",
    )  # fmt: skip

    def held_out(array: Array) -> Array:
        return array[held[0] : held[-1] + 1] if how == "last" else array[held]

    weight = None if data.weight is None else data.weight[held]
    inputs = {k: held_out(a) for k, a in data.inputs.items()}
    return rows, Data(inputs, {k: held_out(a) for k, a in data.targets.items()}, weight)


def _check_observers(observers: Sequence[Any]) -> None:
    for observer in observers:
        if not isinstance(observer, Observer):
            raise OptionError(f"callbacks are Observers, not {observer!r}")


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
