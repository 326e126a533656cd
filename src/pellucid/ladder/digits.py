"""The embedded digits, learnt by the reader's own layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import PellucidError, ShapeError
from pellucid.ladder.runner import EPOCH_SECONDS, documents, existing
from pellucid.layers import Dense, Flatten, ReLU, Rescale
from pellucid.losses import CrossEntropy
from pellucid.network.network import Network

GOAL = 0.95


class LadderError(PellucidError, RuntimeError):
    """The reader's own code failed; the message says in which line."""


@dataclass
class Result:
    """What came of it: a row for each epoch, and the weights that were learnt."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """The share of the held-out digits that are right at the end."""
        return float(self.rows[-1]["accuracy"]) if self.rows else 0.0

    def network(self) -> Network:
        """A network of this library with the same weights, to save, predict with and look into."""
        layers = [Rescale(1 / 255), Flatten(), Dense(128), ReLU(), Dense(10)]
        net = Network(layers, inputs=(28, 28), loss=CrossEntropy())
        for name, value in zip(net.parameters, self.weights, strict=True):
            array = np.asarray(value)
            if array.shape != net.parameters[name].shape:
                raise ShapeError(
                    f"your {name} has shape {array.shape}, and should have "
                    f"{net.parameters[name].shape}"
                )
            net.parameters[name] = array
        return net


def train_digits(
    path: str | Path, *, epochs: int = 20, batch_size: int = 64, learning_rate: float = 0.3,
    seed: int = 0, seconds: float = EPOCH_SECONDS, told: Callable[[dict[str, Any]], None] | None = None,
) -> Result:  # fmt: skip
    """Trains 784-128-10 on the 8,000 digits with a file's Dense, ReLU, CrossEntropy and SGD.

    `told` is called with a row (epoch, loss, accuracy, seconds) after each epoch, which may take
    `seconds` at most. A LadderError says what went wrong, and in which line.
    """
    result = Result()
    options = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
               "seed": seed}  # fmt: skip
    for document in documents(existing(path), "train", seconds, json.dumps(options)):
        kind = document.pop("kind")
        if kind == "epoch":
            result.rows.append(document)
            if told is not None:
                told(document)
        elif kind == "weights":
            result.weights = document["arrays"]
        elif kind in ("failed", "unreadable", "stopped"):
            raise LadderError(f"{path}: {document['text']}")
    return result
