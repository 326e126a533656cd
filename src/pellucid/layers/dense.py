"""Dense: every output is a weighted sum of every input, plus a bias.

For rows x (B, I), weights W (I, O) and bias b (O,)::

    y = x W + b                      y_bo = Σ_i x_bi W_io + b_o

The chain rule, with dY the gradient of the loss by y (B, O)::

    dW_io = Σ_b (∂y_bo/∂W_io) dY_bo = Σ_b x_bi dY_bo        dW = xᵀ dY
    db_o  = Σ_b dY_bo                                       db = sum of the rows of dY
    dX_bi = Σ_o (∂y_bo/∂x_bi) dY_bo = Σ_o dY_bo W_io        dX = dY Wᵀ

Axes between the batch and the features are kept: (B, T, I) gives (B, T, O).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid.description import number
from pellucid.errors import ShapeError
from pellucid.initializers import Initializer, Zeros, as_initializer
from pellucid.layers.base import (
    Array,
    Cache,
    Layer,
    ParameterSpec,
    Spec,
    Views,
    rows,
    single,
)


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """A fully connected layer, ``y = x @ W + b``: (B, ..., I) → (B, ..., units).

    Parameters
    ----------
    units : int
        Outputs, O.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : Initializer or str
        "auto" looks at the first activation downstream: He for the ReLU family, LeCun normal for
        SELU, else Glorot uniform.

    Parameters in the network: ``W`` (I, O), which weight decay applies to, and ``b`` (O,).

    >>> from pellucid import Network
    >>> Network([Dense(3)], inputs=2).parameters["dense_1/W"].shape
    (2, 3)
    """

    units: int
    use_bias: bool = True
    kernel_initializer: Initializer | str = "auto"
    bias_initializer: Initializer | str = Zeros()

    aliases: ClassVar[dict[str, str]] = {"bias": "use_bias", "initializer": "kernel_initializer"}
    initialization: ClassVar[str | None] = "glorot"

    def __post_init__(self) -> None:
        number(self, "units", at_least=1, integer=True)

    def output_spec(self, *inputs: Spec) -> Spec:
        x = single(inputs, self)
        if not x.shape or x.shape[-1] is None:
            raise ShapeError(f"{self!r} needs a known number of features, not {x}")
        return Spec((*x.shape[:-1], self.units))

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        features: int = inputs[0].shape[-1]  # type: ignore[assignment]
        shape, fans = (features, self.units), (features, self.units)
        specs = {"W": ParameterSpec(shape, as_initializer(self.kernel_initializer), fans=fans)}
        if self.use_bias:
            start = as_initializer(self.bias_initializer)
            specs["b"] = ParameterSpec((self.units,), start, decay=False, fans=fans)
        return specs

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.x = x
        y: Array = x @ p.W
        if self.use_bias:
            y += p.b
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        dp.W += rows(cache.x).T @ rows(dy)  # (I, N) @ (N, O)
        if self.use_bias:
            dp.b += rows(dy).sum(axis=0)
        dx: Array | None = dy @ p.W.T if cache.needs_dx else None
        return dx
