"""What scikit-learn's networks minimise, as a program gives it."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, compile_network
from pellucid.layers.base import Cache
from pellucid.losses import MSE, CrossEntropy, Poisson
from pellucid.network.network import Network

Array = NDArray[Any]


class Objective:
    """The value and gradient of a batch, with the penalty that scikit-learn adds.

    ::

        L = Σ_b w_b ℓ_b / Σw + ½ · alpha · Σ W² / Σw             Σw is n without weights

    The penalty is divided by the batch's own Σw, and so has half the weight in a batch of twice
    the rows. It applies to weights and not to biases.

    Three values differ from those of our losses, while the gradients agree. Probabilities are kept
    within [ε, 1 − ε], ε the spacing of floats at 1, so that a row costs no more than −log ε. The
    square is a mean over outputs though its gradient is that of their sum. Poisson's loss has the
    terms y log y − y that no prediction changes.
    """

    def __init__(
        self, net: Network, alpha: float, key: object = None, arrays: Sequence[Array] = ()
    ) -> None:
        self.net, self.alpha = net, float(alpha)
        self.key, self.arrays = key, arrays  # what it was made for
        self.program = compile_network(net)
        ((self._output, self._loss),) = net.losses.items()
        (self._input,) = net.graph.inputs
        theta, g = net.parameters.vector, self.program.gradients.vector
        self._weights = [(theta[a:b], g[a:b]) for a, b, decay in net.stretches() if decay]
        epsilon = float(np.finfo(net.dtype).eps)
        self._least, self._most = -log1p(-epsilon), -log(epsilon)

    def gradient(self, parts: Sequence[Batch]) -> float:
        """The value over all parts of a batch; the gradient is in the program's vector."""
        value, total = 0.0, parts[0].total
        with np.errstate(all="ignore"):  # what overflows shows in the value, as in scikit-learn
            self.program.begin()
            for number, batch in enumerate(parts):
                z = self.program.forward(batch, number)[self._output]
                value += self._value(batch, z, self.program.loss())
                self.program.backward()
            if self.alpha:
                rate = self.alpha / total
                for w, g in self._weights:
                    value += 0.5 * rate * float(w @ w)
                    g += rate * w
        return value

    def predict(self, x: Array) -> Array:
        """What the outputs for rows x (B, I) mean: probabilities or values, (B, K)."""
        y = self.program.quick(x)
        if y is None:
            y = self.program.predict({self._input: x})[self._output]
        return y

    def _value(self, batch: Batch, z: Array, value: float) -> float:
        """What a part adds to the value, from its outputs (B, K) and our loss of it."""
        loss, y = self._loss, batch.targets[self._output]
        if isinstance(loss, MSE):
            return value / int(z.shape[1])
        if isinstance(loss, Poisson):
            from scipy import special

            constant: Array = special.xlogy(y, y) - y
            return value + _mean(constant.sum(axis=1), batch)
        if isinstance(loss, CrossEntropy):
            # No p is below e^−(max − min) / K.
            if float(z.max() - z.min()) < self._most - log(z.shape[1]) - 1:
                return value
            values = loss.forward(y, z, Cache())
            return _mean(np.clip(values, self._least, self._most), batch)
        if -1 + self._most > z.max() and 1 - self._most < z.min():
            return value
        values = loss.forward(y.reshape(-1, 1), z.reshape(-1, 1), Cache())  # one for each output
        values = np.clip(values, self._least, self._most).reshape(z.shape)
        return _mean(values.sum(axis=1), batch)


def _mean(values: Array, batch: Batch) -> float:
    """A part's share of the weighted mean over the batch."""
    w = batch.weight
    return float((values if w is None else values * w).sum()) / batch.total
