"""Batch normalisation: give every channel mean 0 and variance 1, as measured on the batch.

For one channel with values x₁ … x_N (N = B for features, B·H·W for images)::

    μ = Σ x_n / N      v = Σ (x_n − μ)² / N      r = 1/√(v + ε)      x̂_n = (x_n − μ) r
    y_n = γ x̂_n + β

In training x̂ depends on all values through μ and v. With g_n = dy_n γ, the gradient by x̂_n, and
∂μ/∂x_m = 1/N, ∂v/∂x_m = 2 (x_m − μ)/N, ∂r/∂v = −r³/2::

    ∂x̂_n/∂x_m = r (δ_nm − 1/N) − (x_n − μ) r³ (x_m − μ)/N = r (δ_nm − 1/N − x̂_n x̂_m/N)

    dx_m = Σ_n g_n ∂x̂_n/∂x_m = r (g_m − Σ g_n/N − x̂_m Σ g_n x̂_n/N)
         = γ r (dy_m − dβ/N − x̂_m dγ/N)

for the parameters' gradients are just these sums::

    dβ = Σ dy_n        dγ = Σ dy_n x̂_n

In inference μ and v are the running statistics, constants, and dx_m = γ r dy_m.
(Ioffe and Szegedy, ICML 2015.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import DataError, ShapeError
from pellucid.initializers import Ones, Zeros
from pellucid.layers.base import (
    Array,
    Cache,
    Layer,
    ParameterSpec,
    Spec,
    StateSpec,
    Views,
    single,
)
from pellucid.layers.windows import batch_last


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch normalisation over all axes but the last: (B, ..., C) → (B, ..., C).

    In training it uses the batch's own statistics (so a batch of one row of features is an error)
    and moves the running ones towards them, the unbiased variance as in PyTorch; in inference it
    uses the running ones.

    Parameters
    ----------
    momentum : float, default 0.9
        The share of the old running statistic that stays, in [0, 1); one minus PyTorch's momentum.
    epsilon : float, default 1e-5
        Added to the variance. Alias: eps.
    center, scale : bool, default True
        Whether there is a β; whether there is a γ.

    Parameters in the network: ``gamma`` and ``beta`` (C,), to which weight decay does not apply.
    State: ``mean`` and ``variance`` (C,).
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    center: bool = True
    scale: bool = True

    aliases: ClassVar[dict[str, str]] = {"eps": "epsilon"}
    batch_statistics: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number(self, "momentum", at_least=0, below=1)
        number(self, "epsilon", above=0)
        object.__setattr__(self, "momentum", float(self.momentum))
        object.__setattr__(self, "epsilon", float(self.epsilon))

    def output_spec(self, *inputs: Spec) -> Spec:
        x = single(inputs, self)
        if not x.shape or x.shape[-1] is None:
            raise ShapeError(f"{self!r} needs a known number of channels, not {x}")
        return Spec(x.shape)

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        channels: int = inputs[0].shape[-1]  # type: ignore[assignment]
        specs = {}
        if self.scale:
            specs["gamma"] = ParameterSpec((channels,), Ones(), decay=False)
        if self.center:
            specs["beta"] = ParameterSpec((channels,), Zeros(), decay=False)
        return specs

    def state_specs(self, *inputs: Spec) -> dict[str, StateSpec]:
        channels: int = inputs[0].shape[-1]  # type: ignore[assignment]
        return {"mean": StateSpec((channels,), 0.0), "variance": StateSpec((channels,), 1.0)}

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = _channels_apart(x)
        if cache.training:
            axes, n = tuple(range(x.ndim - 1)), x.size // max(x.shape[-1], 1)
            if n < 2:
                raise DataError(
                    f"{self!r}: a training batch of shape {x.shape} has {n} value(s) per channel, "
                    "and a variance needs two: use a batch of two rows or more"
                )
            mean = x.sum(axis=axes) / n
            x_hat = x - mean
            variance = np.square(x_hat).sum(axis=axes) / n
            self._remember(cache.new_state, mean, variance * (n / (n - 1)))
        else:
            x_hat, variance = x - cache.state.mean, cache.state.variance
        r = 1 / np.sqrt(variance + self.epsilon)
        x_hat *= r
        cache.x_hat = x_hat
        cache.factor = p.gamma * r if self.scale else r
        y: Array = x_hat * p.gamma if self.scale else x_hat
        return y + p.beta if self.center else y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        dy, x_hat = _channels_apart(dy), cache.x_hat
        axes = tuple(range(dy.ndim - 1))
        dbeta = dy.sum(axis=axes)
        dgamma = (dy * x_hat).sum(axis=axes)
        if self.center:
            dp.beta += dbeta
        if self.scale:
            dp.gamma += dgamma
        if cache.training:
            n = dy.size // dy.shape[-1]
            dx: Array = x_hat * (dgamma / -n)
            dx += dy
            dx -= dbeta / n
            dx *= cache.factor
        else:
            dx = dy * cache.factor
        return dx

    def _remember(self, new_state: Views, mean: Array, variance: Array) -> None:
        new_state.mean += (1 - self.momentum) * (mean - new_state.mean)
        new_state.variance += (1 - self.momentum) * (variance - new_state.variance)


def _channels_apart(x: Array) -> Array:
    """The same array, each channel in one piece of memory where there is more than a row of them.

    Summing a piece is ten times as fast as every eighth value, and rounds less.
    """
    return x if x.ndim == 2 else batch_last(x).swapaxes(0, -1)
