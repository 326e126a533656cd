"""The network of an estimator, and the arrays of it that scikit-learn's names stand for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.estimators.losses import loss_for
from pellucid.initializers import Zeros
from pellucid.layers import Dense, Layer, ReLU, Sigmoid, Tanh
from pellucid.network.network import Network

Array = NDArray[Any]
ACTIVATIONS: dict[str, type[Layer] | None] = {
    "identity": None, "logistic": Sigmoid, "tanh": Tanh, "relu": ReLU
}  # fmt: skip


def build(
    units: Sequence[int], activation: str, out_activation: str, dtype: Any, engine: str
) -> Network:
    """A network of dense layers, all 0, from the number of features to that of outputs."""
    layers: list[Layer] = []
    hidden = ACTIVATIONS[activation]
    for place, n in enumerate(units[1:], 1):
        layers.append(Dense(n, kernel_initializer=Zeros()))
        if hidden is not None and place < len(units) - 1:
            layers.append(hidden())
    return Network(
        layers, inputs=units[0], loss=loss_for(out_activation, dtype),
        dtype=np.dtype(dtype).name, engine=engine,
    )  # fmt: skip


def arrays_of(net: Network) -> tuple[list[Array], list[Array]]:
    """The weights (I, O) of its dense layers, and their biases (O,): views."""
    coefs = [array for name, array in net.parameters.items() if name.endswith("/W")]
    intercepts = [array for name, array in net.parameters.items() if name.endswith("/b")]
    return coefs, intercepts


def drawn(
    random: np.random.RandomState, units: Sequence[int], activation: str, dtype: Any
) -> tuple[list[Array], list[Array]]:
    """Initial weights and biases, layer by layer: uniform in ±√(f / (I + O)).

    f is 6, or 2 before logistic units. Glorot and Bengio, "Understanding the difficulty of training
    deep feedforward neural networks", 2010.
    """
    coefs, intercepts = [], []
    factor = 2.0 if activation == "logistic" else 6.0
    for fan_in, fan_out in pairwise(units):
        bound = np.sqrt(factor / (fan_in + fan_out))
        coefs.append(random.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
        intercepts.append(random.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
    return coefs, intercepts
