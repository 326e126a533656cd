"""The commands, one function each: from the arguments to a result on stdout."""

from __future__ import annotations

import json
import math
import platform
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pellucid.cli.inputs import (
    IMAGES,
    layers_for,
    loss_for,
    read_data,
    read_image_for,
    targets_for,
)
from pellucid.cli.signals import Signals
from pellucid.data.dataset import Dataset
from pellucid.errors import CheckpointError, Interrupted, OptionError, ResumeError
from pellucid.events import Observer
from pellucid.formats.atomic import check_writable
from pellucid.formats.safetensors import load, load_state, save_state
from pellucid.insight.gradcheck import gradcheck as check_gradients
from pellucid.losses import BinaryCrossEntropy, ClassLoss, Loss, as_loss
from pellucid.metrics import classification_report, confusion_matrix
from pellucid.network.network import Network
from pellucid.notation import format_layers
from pellucid.penalties import L2
from pellucid.training.callbacks import Checkpoint, EarlyStopping

Array = NDArray[Any]
T = TypeVar("T")


def train(args: Namespace) -> None:
    """Trains a network and saves it."""
    signals: Signals = args.signals
    checkpoint = args.checkpoint or args.resume
    for path in filter(None, (args.output, checkpoint)):
        try:
            check_writable(path)
        except CheckpointError as error:  # before anything was done: a matter of usage
            raise OptionError(str(error)) from None
    state = _read(load_state, args.resume) if args.resume else None
    data = read_data(args.data, "train")
    net, data = _network(args, data)
    validation: Any = args.validation
    if isinstance(validation, str):
        validation = targets_for(net, read_data(validation))
    callbacks: list[Observer] = []
    if args.patience is not None:
        callbacks.append(EarlyStopping(patience=args.patience))
    if checkpoint:
        callbacks.append(Checkpoint(checkpoint))
    try:
        record = net.fit(
            data, epochs=args.epochs, batch_size=args.batch_size,
            validation=None if validation == 0 else validation, class_weight=args.class_weight,
            accumulate=args.accumulate, callbacks=[*callbacks, signals],
            progress=not args.quiet, resume=state,
        )  # fmt: skip
    except ResumeError as error:
        raise ResumeError(f"{error}\n--resume goes with the command of that run") from None
    except Interrupted:
        if not checkpoint:
            checkpoint = str(Path(args.output).with_suffix(".checkpoint.safetensors"))
            with signals.held():
                save_state(net, checkpoint, _state(net))
        raise Interrupted(
            f"stopped after update {net.updates}; go on with\n  {_resuming(args.words, checkpoint)}"
        ) from None
    with signals.held():
        net.save(args.output)
    if args.json:
        size = net.parameters.vector.size
        _print_json({"model": args.output, "parameters": size, "updates": net.updates,
                     "stopped": record.stopped, "record": record.rows})  # fmt: skip
    elif not args.quiet:
        print(f"saved {args.output}")


def _network(args: Namespace, data: Dataset) -> tuple[Network, Dataset]:
    """The network that the options describe, built for the data."""
    loss: Loss = args.loss if args.loss is not None else as_loss(loss_for(data.y))
    optimizer = args.optimizer
    if args.learning_rate is not None:
        optimizer = optimizer.replace(learning_rate=args.learning_rate)
    layers = layers_for(data, args.layers, loss)
    net = Network(
        layers, loss=loss, optimizer=optimizer, seed=args.seed, dtype=args.dtype,
        penalty=None if args.penalty_l2 is None else L2(args.penalty_l2),
    )  # fmt: skip
    net.inputs_for(data.x)
    if not args.quiet:
        size = net.parameters.vector.size
        print(f"{len(data):,} rows of {data.x.shape[1:]}; {loss!r}, {optimizer!r}", file=sys.stderr)
        print(f"{format_layers(layers)}: {size:,} parameters", file=sys.stderr)
        if args.loss is None and _may_be_classes(data.y):
            print(
                "y holds few whole numbers, but as floats, and is taken for quantities; for "
                "classes store y.astype(int)",
                file=sys.stderr,
            )
    return net, targets_for(net, data)


def _may_be_classes(y: Array) -> bool:
    """Whether targets are floats in type alone: 0.0, 1.0 and their like."""
    if y.ndim != 1 or y.dtype.kind != "f" or not np.isfinite(y).all():
        return False
    return bool((y >= 0).all() and (y == np.floor(y)).all() and len(np.unique(y)) <= 10)


def _read(reader: Callable[[str], T], path: str) -> T:
    """What is in a file; that there is none is a matter of usage, not a failure."""
    try:
        return reader(path)
    except CheckpointError as error:
        raise OptionError(str(error)) from None


def _state(net: Network) -> Any:
    assert net.training is not None, "a run that was interrupted leaves its state"
    return net.training


def _resuming(words: list[str], checkpoint: str) -> str:
    """The same command, going on from a checkpoint."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == "--resume":
            kept.pop()
        elif not word.startswith("--resume="):
            kept.append(word)
    return shlex.join(["pellucid", *kept, "--resume", checkpoint])


def evaluate(args: Namespace) -> None:
    """Loss and metrics of a network on data."""
    net = _read(load, args.model)
    data = targets_for(net, read_data(args.data))
    values = net.evaluate(data)
    if args.json:
        result: dict[str, Any] = {"rows": len(data), **values}
        if args.report:
            result["confusion_matrix"] = confusion_matrix(data.y, _chances(net, data))
        _print_json(result)
        return
    print(f"{len(data):,} rows of {args.data}")
    for name, value in values.items():
        print(f"{name:<16} {value:.4f}")
    if args.report:
        chances = _chances(net, data)
        print("", classification_report(data.y, chances, data.names), "", sep="\n")
        print("how often each class (row) was taken for each (column)")
        print(confusion_matrix(data.y, chances))


def _chances(net: Network, data: Dataset) -> Array:
    (loss,) = net.losses.values()
    if not isinstance(loss, ClassLoss):
        raise OptionError(f"--report is for classifiers; this network's loss is {loss!r}")
    chances: Array = net.predict(data.x)
    return chances


def predict(args: Namespace) -> None:
    """What a network says to each image or row."""
    net = _read(load, args.model)
    results = []
    for name in args.input:
        if name.lower().endswith(IMAGES):
            x = read_image_for(net, name, invert=args.invert)[None]
        else:
            x = read_data(name, targets=False).x
        outputs = net.predict(x)
        several = isinstance(outputs, dict)
        for row in range(len(x)):
            result: dict[str, Any] = {"input": name, "row": row}
            for output, values in (outputs if several else {"": outputs}).items():
                loss = net.losses[output or next(iter(net.losses))] if net.loss else None
                answer, text = _answer(loss, values[row])
                result |= {output: answer} if several else answer
                if not args.json:
                    place = f"{name} row {row}" if len(x) > 1 else name
                    print(f"{place}: {output + ' ' if several else ''}{text}")
            results.append(result)
    if args.json:
        _print_json({"predictions": results})


def _answer(loss: Loss | None, values: Array) -> tuple[dict[str, Any], str]:
    """What outputs mean under a loss: as JSON values, and in words."""
    if isinstance(loss, ClassLoss) and values.ndim == 1:
        best = np.argsort(-values, kind="stable")[:3].tolist()
        told = ", ".join(f"{k} {values[k]:.2%}" for k in best)
        return {"class": best[0], "probabilities": values}, f"{best[0]}  ({told})"
    key = "probabilities" if isinstance(loss, ClassLoss | BinaryCrossEntropy) else "values"
    return {key: values}, ", ".join(f"{value:.4g}" for value in values.ravel())


def trace(args: Namespace) -> None:
    """One step in the terminal."""
    net = _read(load, args.model)
    data = targets_for(net, read_data(args.data))[: args.rows]
    print(net.trace(data.x, data.y, few=args.few))


def summary(args: Namespace) -> None:
    """The nodes of a network and what trains it."""
    net = _read(load, args.model)
    if not args.json:
        print(net.summary())
        print(f"loss {net.loss!r}, optimizer {net.optimizer!r}; {net.updates:,} updates made")
        return
    nodes = []
    for node in net.graph.nodes:
        mine = {k: v.shape for k, v in net.parameters.items() if k.startswith(f"{node.owner}/")}
        nodes.append({
            "name": node.name,
            "layer": None if node.layer is None else node.layer.to_config(),
            "fed_by": [net.graph.nodes[source.node].name for source in node.inputs],
            "output_shapes": [[None, *spec.shape] for spec in node.outputs],
            "parameters": mine,
        })  # fmt: skip
    rest = {k: v for k, v in net.to_config().items() if k != "graph"}
    _print_json({"nodes": nodes, "outputs": list(net.graph.outputs), "updates": net.updates,
                 "parameters": net.parameters.vector.size, **rest})  # fmt: skip


def gradcheck(args: Namespace) -> int:
    """Every gradient beside central differences; 1 where they do not agree."""
    net = _read(load, args.model)
    data = targets_for(net, read_data(args.data))[: args.rows]
    report = check_gradients(net, data.x, data.y, tolerance=math.inf)
    report = replace(report, tolerance=1e-6)
    if args.json:
        _print_json({"passed": report.passed, "tolerance": report.tolerance,
                     "comparisons": [c._asdict() for c in report.comparisons]})  # fmt: skip
    else:
        print(report)
        verdict = "agree with" if report.passed else "DIFFER from"
        print(f"the gradients {verdict} central differences (tolerance {report.tolerance:g})")
    return 0 if report.passed else 1


def diagnose(args: Namespace) -> None:
    """What is wrong, in words."""
    net = _read(load, args.model)
    data = targets_for(net, read_data(args.data))
    found = net.diagnose(data.x, data.y)
    if args.json:
        _print_json({"findings": [asdict(f) for f in found], "rules": found.rules})
    else:
        print(found)


def version(args: Namespace) -> None:
    """Which versions run here."""
    from pellucid import __version__

    parts = {"pellucid": __version__, "python": platform.python_version(), "numpy": np.__version__}
    if args.json:
        _print_json(parts)
    else:
        print(", ".join(f"{name} {number}" for name, number in parts.items()))


def _print_json(value: Any) -> None:
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """JSON values; what is not finite becomes null, which every reader of JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
