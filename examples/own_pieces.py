"""A layer and a loss of one's own, each with its forward and its backward pass.
A saved file knows them by their registered names; whoever loads it imports this module first.
"""

import numpy as np

from pellucid import Constant, Layer, Loss, register
from pellucid.layers import ParameterSpec


@register("example.Sine")
class Sine(Layer):
    """y = sin(ω x), where each unit learns an ω of its own, which starts at `omega`."""

    omega: float = 1.0

    def parameter_specs(self, *inputs):
        return {"omega": ParameterSpec(inputs[0].shape, Constant(self.omega))}

    def forward(self, x, p, cache):
        cache.x = x
        return np.sin(p.omega * x)

    def backward(self, dy, p, dp, cache):
        dz = dy * np.cos(p.omega * cache.x)
        dp.omega += (dz * cache.x).sum(axis=0)
        return dz * p.omega


@register("example.LogCosh")
class LogCosh(Loss):
    """ℓ = Σ log cosh(p − y): ½(p − y)² where that is small, |p − y| − log 2 where it is large."""

    def forward(self, y_true, y_pred, cache):
        cache.error = y_pred - y_true
        return np.log(np.cosh(cache.error)).sum(axis=1)

    def backward(self, cache):
        return np.tanh(cache.error)
