"""What scikit-learn's networks minimise, as a program gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, compile_network
from pellucid.estimators.losses import Responding
from pellucid.network.network import Network

Array = NDArray[Any]


class Objective:
    """A network's program, and the penalty that scikit-learn adds to its loss.

    ::

        L = Σ_b w_b ℓ_b / Σw + ½ · alpha · Σ W² / Σw             Σw is n without weights

    The penalty is divided by the batch's own Σw, so that a batch of twice the rows has half of it.
    It applies to weights and not to biases.
    """

    def __init__(
        self, net: Network, alpha: float, key: object = None, arrays: Sequence[Array] = ()
    ) -> None:
        self.net, self.alpha = net, float(alpha)
        self.key, self.arrays = key, arrays  # what it was made for
        self.program = compile_network(net)
        (self._input,), (self.output,) = net.graph.inputs, net.graph.outputs
        (loss,) = net.losses.values()
        assert isinstance(loss, Responding)
        self._loss = loss
        self.weights = [(a, b) for a, b, decay in net.stretches() if decay]

    def gradient(self, parts: Sequence[Batch]) -> float:
        """The value over all parts of a batch; the gradient is in the program's vector."""
        value, total = 0.0, parts[0].total
        theta, g = self.net.parameters.vector, self.program.gradients.vector
        with np.errstate(all="ignore"):  # what overflows shows in the value, as in scikit-learn
            self.program.begin()
            for number, batch in enumerate(parts):
                self.program.forward(batch, number)
                value += self.program.loss()
                self.program.backward()
            rate = self.alpha / total
            for a, b in self.weights:
                g[a:b] += rate * theta[a:b]
            return value + 0.5 * rate * self.squares()

    def squares(self, vector: Array | None = None) -> float:
        """ΣW² over the weights; with a vector of squares, the sum of those of weights."""
        theta = self.net.parameters.vector
        with np.errstate(all="ignore"):
            if vector is None:
                return sum(float(theta[a:b] @ theta[a:b]) for a, b in self.weights)
            return sum(float(vector[a:b].sum(dtype=np.float64)) for a, b in self.weights)

    def predict(self, x: Array) -> Array:
        """What the outputs for rows x (B, I) mean: probabilities or values, (B, K)."""
        with np.errstate(all="ignore"):
            z = self.program.quick(x)
            if z is None:
                z = self.program.predict({self._input: x})[self.output]
            return self._loss.response(z)
