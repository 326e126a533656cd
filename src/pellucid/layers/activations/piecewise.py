"""Activations made of straight and parabolic pieces: cheap, and one of them learnt.

============  =======================================  =======================================
layer         a = f(z)                                 f′(z)
============  =======================================  =======================================
PReLU         z where z > 0, else α z                  1 where z > 0, else α
HardSigmoid   min(max(z + 3, 0), 6) / 6                1/6 where −3 < z < 3, else 0
HardSwish     z min(max(z + 3, 0), 6) / 6              0, z/3 + ½ where −3 < z < 3, or 1
============  =======================================  =======================================

In their corners HardSigmoid and HardSwish have the slope outside, as in PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.errors import ShapeError
from pellucid.initializers import Constant, Initializer, as_initializer
from pellucid.layers.activations.basic import Activation
from pellucid.layers.base import Array, Cache, Layer, ParameterSpec, Spec, Views, rows, single


@dataclass(frozen=True, repr=False)
class PReLU(Layer):
    """A leaky ReLU that learns its slope: z where z > 0, else α z.

    With N the negative part of z, a = max(z, 0) + α N; each channel's α has the gradient::

        dα_c = Σ da_nc N_nc

    summed over the batch and all places (He et al., "Delving deep into rectifiers", ICCV 2015).

    Parameters
    ----------
    per_channel : bool, default True
        An α for each channel (the last axis), as its authors have it, or one for all, which is
        PyTorch's default.
    alpha_initializer : Initializer or str
        By default 0.25 everywhere, as its authors and PyTorch have it; Keras starts from 0.

    Parameters in the network: ``alpha`` (C,) or (1,), to which weight decay does not apply, since
    it would draw the unit to a plain ReLU.

    >>> from pellucid import Network
    >>> Network([PReLU()], inputs=2)(np.array([[-1.0, 2.0]], np.float32))
    array([[-0.25,  2.  ]], dtype=float32)
    """

    per_channel: bool = True
    alpha_initializer: Initializer | str = Constant(0.25)

    initialization: ClassVar[str | None] = "he"

    def output_spec(self, *inputs: Spec) -> Spec:
        x = single(inputs, self)
        if not x.shape or (self.per_channel and x.shape[-1] is None):
            raise ShapeError(f"{self!r} needs a known number of channels, not {x}")
        return Spec(x.shape)

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        channels: Any = inputs[0].shape[-1] if self.per_channel else 1
        start = as_initializer(self.alpha_initializer)
        return {"alpha": ParameterSpec((channels,), start, decay=False)}

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.x = x
        a: Array = np.minimum(x, 0)
        a *= p.alpha
        a += np.maximum(x, 0)
        return a

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        x: Array = cache.x
        dx: Array = dy * (x > 0)
        below = dy - dx  # dy where x ≤ 0, else 0
        slopes = rows(below * np.minimum(x, 0))  # (N, C)
        dp.alpha += slopes.sum(axis=0) if self.per_channel else slopes.sum()
        dx += below * p.alpha
        return dx


@dataclass(frozen=True, repr=False)
class HardSigmoid(Activation):
    """Straight lines for a sigmoid: ``relu6(z + 3) / 6``.

    PyTorch's and Keras 3's definition; Keras 2 had ``0.2 * z + 0.5`` between its ends.

    >>> HardSigmoid()(np.array([-np.inf, 0.0, 1.5, 4.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """

    initialization: ClassVar[str | None] = "glorot"
    squashes: ClassVar[str | None] = "probabilities"

    def value(self, z: Array) -> Array:
        a: Array = np.clip(z + 3, 0, 6)
        a /= 6
        return a

    def slope(self, z: Array, a: Array) -> Array:
        slope: Array = (np.abs(z) < 3) * z.dtype.type(1 / 6)
        return slope


@dataclass(frozen=True, repr=False)
class HardSwish(Activation):
    """A SiLU of parabolic and straight pieces: ``z * relu6(z + 3) / 6``.

    (Howard et al., "Searching for MobileNetV3", ICCV 2019.)

    >>> HardSwish()(np.array([-np.inf, 0.0, 1.5, 4.0]))
    array([-0.   ,  0.   ,  1.125,  4.   ])
    """

    initialization: ClassVar[str | None] = "he"

    def value(self, z: Array) -> Array:
        a: Array = np.clip(z + 3, 0, 6)
        a /= 6
        a *= np.maximum(z, -3)  # −∞ · 0 is not a number
        return a

    def slope(self, z: Array, a: Array) -> Array:
        slope: Array = np.clip(z, -3, 3) / 3
        slope += 0.5
        slope *= np.abs(z) < 3
        slope += z >= 3
        return slope
