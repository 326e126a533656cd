"""The commands, one function each: from the arguments to a result on stdout."""

from __future__ import annotations

import math
import platform
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.cli.check import check
from pellucid.cli.completion import script
from pellucid.cli.datasets import images_in, read_data
from pellucid.cli.inputs import IMAGES, read_image_for, targets_for
from pellucid.cli.shared import how_of, print_json, stored
from pellucid.cli.training import train
from pellucid.cli.walkthrough import walkthrough
from pellucid.data.dataset import Dataset
from pellucid.errors import OptionError
from pellucid.formats.safetensors import load
from pellucid.insight.gradcheck import gradcheck as check_gradients
from pellucid.losses import BinaryCrossEntropy, ClassLoss, Loss
from pellucid.metrics import classification_report, confusion_matrix
from pellucid.network.network import Network

Array = NDArray[Any]
__all__ = [
    "check",
    "completion",
    "diagnose",
    "evaluate",
    "gradcheck",
    "predict",
    "summary",
    "trace",
    "train",
    "version",
    "walkthrough",
]


def _data(args: Namespace, net: Network) -> Dataset:
    """What the DATA argument of a command names, for a network."""
    return targets_for(net, read_data(args.data, "test", how_of(args), net=net))


def evaluate(args: Namespace) -> None:
    """Loss and metrics of a network on data."""
    net = stored(load, args.model)
    data = _data(args, net)
    values = net.evaluate(data, metrics=args.metrics)
    if args.json:
        result: dict[str, Any] = {"rows": len(data), **values}
        if args.report:
            result["confusion_matrix"] = confusion_matrix(*_answers(net, data))
        print_json(result)
        return
    answers = _answers(net, data) if args.report else None
    print(f"{len(data):,} rows of {args.data}")
    for name, value in values.items():
        print(f"{name:<16} {value:.4f}")
    if answers is not None:
        print("", classification_report(*answers, data.names or net.classes), "", sep="\n")
        print("how often each class (row) was taken for each (column)")
        print(confusion_matrix(*answers))


def _answers(net: Network, data: Dataset) -> tuple[Array, Array]:
    """The classes, (N,) or (N, K), and their probabilities, (N, K); of masks, those of pixels."""
    losses = list(net.losses.values())
    if len(losses) != 1 or not isinstance(losses[0], ClassLoss):
        raise OptionError(f"--report is for classifiers; this network's loss is {net.loss!r}")
    chances = net.predict(data.x)
    if chances.ndim == 4:
        return data.y.reshape(-1), chances.reshape(-1, chances.shape[-1])
    return data.y, chances


def predict(args: Namespace) -> None:
    """What a network says to each image or row."""
    net = stored(load, args.model)
    results = []
    for name in [file for text in args.input for file in images_in(text) or [text]]:
        if name.lower().endswith(IMAGES):
            x = read_image_for(net, name, invert=args.invert)[None]
        else:
            x = read_data(name, "test", how_of(args), targets=False, net=net).x
        outputs = net.predict(x)
        several = isinstance(outputs, dict)
        for row in range(len(x)):
            result: dict[str, Any] = {"input": name, "row": row}
            for output, values in (outputs if several else {"": outputs}).items():
                loss = net.losses[output or next(iter(net.losses))] if net.loss else None
                answer, text = _answer(loss, values[row], net.classes)
                result |= {output: answer} if several else answer
                if not args.json:
                    place = f"{name} row {row}" if len(x) > 1 else name
                    print(f"{place}: {output + ' ' if several else ''}{text}")
            results.append(result)
    if args.json:
        print_json({"predictions": results})


def _answer(
    loss: Loss | None, values: Array, classes: Sequence[str] | None
) -> tuple[dict[str, Any], str]:
    """What outputs mean under a loss: as JSON values, and in words."""
    if isinstance(loss, ClassLoss) and values.ndim == 1:
        named = classes is not None and len(classes) == len(values)
        names: Any = classes if named else range(len(values))
        best = np.argsort(-values, kind="stable")[:3].tolist()
        told = ", ".join(f"{names[k]} {values[k]:.2%}" for k in best)
        answer = {"class": best[0], "probabilities": values}
        answer |= {"name": names[best[0]]} if named else {}
        return answer, f"{names[best[0]]}  ({told})"
    if isinstance(loss, ClassLoss) and values.ndim == 3:  # a class for each pixel
        mask = values.argmax(axis=-1)
        names = classes or range(values.shape[-1])
        kinds, counts = np.unique(mask, return_counts=True)
        shares = [f"{names[k]} {n / mask.size:.2%}" for k, n in zip(kinds, counts, strict=True)]
        return {"mask": mask}, ", ".join(shares)
    key = "probabilities" if isinstance(loss, ClassLoss | BinaryCrossEntropy) else "values"
    return {key: values}, ", ".join(f"{value:.4g}" for value in values.ravel())


def trace(args: Namespace) -> None:
    """One step in the terminal."""
    net = stored(load, args.model)
    data = _data(args, net)[: args.rows]
    print(net.trace(data.x, data.y, few=args.few))


def summary(args: Namespace) -> None:
    """The nodes of a network and what trains it."""
    net = stored(load, args.model)
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
    print_json({"nodes": nodes, "outputs": list(net.graph.outputs), "updates": net.updates,
                 "parameters": net.parameters.vector.size, **rest})  # fmt: skip


def gradcheck(args: Namespace) -> int:
    """Every gradient beside central differences; 1 where they do not agree."""
    net = stored(load, args.model)
    data = _data(args, net)[: args.rows]
    report = check_gradients(net, data.x, data.y, tolerance=math.inf)
    report = replace(report, tolerance=1e-6)
    if args.json:
        print_json({"passed": report.passed, "tolerance": report.tolerance,
                     "comparisons": [c._asdict() for c in report.comparisons]})  # fmt: skip
    else:
        print(report)
        verdict = "agree with" if report.passed else "DIFFER from"
        print(f"the gradients {verdict} central differences (tolerance {report.tolerance:g})")
    return 0 if report.passed else 1


def diagnose(args: Namespace) -> None:
    """What is wrong, in words."""
    net = stored(load, args.model)
    data = _data(args, net)
    found = net.diagnose(data.x, data.y)
    if args.json:
        print_json({"findings": [asdict(f) for f in found], "rules": found.rules})
    else:
        print(found)


def completion(args: Namespace) -> None:
    """A script for a shell that completes what may be typed."""
    print(script(args.shell), end="")


def version(args: Namespace) -> None:
    """Which versions run here."""
    from pellucid import __version__

    parts = {"pellucid": __version__, "python": platform.python_version(), "numpy": np.__version__}
    if args.json:
        print_json(parts)
    else:
        print(", ".join(f"{name} {number}" for name, number in parts.items()))
