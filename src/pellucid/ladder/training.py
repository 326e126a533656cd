"""Training the embedded digits with the reader's own layers, in the reader's process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.embedded import digits
from pellucid.random import Stream

if TYPE_CHECKING:
    from pellucid.ladder.child import Reporter

Array = NDArray[Any]
NEEDED = ("Dense", "ReLU", "CrossEntropy", "SGD", "train_step")


def train(path: Path, names: dict[str, Any], reporter: Reporter, options: dict[str, Any]) -> None:
    """784-128-10 by the reader's classes; after each epoch, how many held-out digits are right."""
    from pellucid.ladder.verdict import Caller

    missing = [name for name in NEEDED if name not in names]
    if missing:
        reporter.send("failed", text=f"the file has no {', no '.join(missing)}: rung 6 asks for "
                      f"{', '.join(NEEDED)}; a network of the library's layers is a list, "
                      "layers = [Dense(128), ReLU(), Dense(10)]")  # fmt: skip
        return
    try:
        _train(names, reporter, options)
    except NotImplementedError as error:
        reporter.send("failed", text=f"something is not written yet: {Caller(path).told(error)}")
    except Exception as error:
        reporter.send("failed", text=Caller(path).told(error))


def _train(names: dict[str, Any], reporter: Reporter, options: dict[str, Any]) -> None:
    seed, size = int(options["seed"]), int(options["batch_size"])
    (x, y), (held, answers) = (
        (data.x.reshape(len(data.x), -1) / np.float32(255), data.y) for data in digits()
    )
    rng = np.random.Generator(np.random.Philox(seed))
    reporter.begin("making the layers")
    layers = [names["Dense"](784, 128, rng), names["ReLU"](), names["Dense"](128, 10, rng)]
    loss, optimizer = names["CrossEntropy"](), names["SGD"](float(options["learning_rate"]))
    reporter.done()
    start = time.perf_counter()
    for epoch in range(int(options["epochs"])):
        order = Stream(seed, "shuffle", step=epoch).permutation(len(x))
        reporter.begin(f"epoch {epoch + 1}")
        if "train_epoch" in names:
            value = names["train_epoch"](layers, loss, optimizer, x, y, size, order)
        else:
            parts = [order[k : k + size] for k in range(0, len(x), size)]
            values = [names["train_step"](layers, loss, optimizer, x[p], y[p]) for p in parts]
            value = np.average(np.asarray(values, float), weights=[len(p) for p in parts])
        right = float((_scores(layers, held).argmax(axis=1) == answers).mean())
        reporter.done()
        value = float("nan") if value is None else float(value)
        reporter.send("epoch", epoch=epoch + 1, loss=value if np.isfinite(value) else None,
                      accuracy=right, seconds=time.perf_counter() - start)  # fmt: skip
        if not np.isfinite(value):
            reporter.send("failed", text=f"the loss is {value}: a learning rate too large, or a "
                          "gradient that is not the loss's own; pellucid check tells")  # fmt: skip
            return
    dense = [layers[0], layers[2]]
    reporter.send("weights", arrays=[np.asarray(a).tolist() for d in dense for a in (d.W, d.b)])


def _scores(layers: list[Any], x: Array) -> Array:
    for layer in layers:
        x = layer.forward(x)
    return np.asarray(x)
