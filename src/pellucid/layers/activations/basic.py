"""Activations: what makes a stack of layers more than one matrix product.

Without them x W₁ W₂ is x (W₁W₂), a single dense layer however many there are. An elementwise
activation takes every number z by itself to a = f(z), so the chain rule is one product::

    dz = da · f′(z)

z is what comes in and a what goes out; f′ is written with whichever makes it short, never with a
where z is meant (σ′(z) = a(1 − a) is right, σ′(a) is not).

==========  ===========================  ======================
layer       a = f(z)                     f′(z)
==========  ===========================  ======================
Identity    z                            1
ReLU        max(z, 0)                    1 where z > 0, else 0
LeakyReLU   z where z > 0, else s·z      1 where z > 0, else s
Sigmoid     1 / (1 + e⁻ᶻ)                a (1 − a)
Tanh        (eᶻ − e⁻ᶻ) / (eᶻ + e⁻ᶻ)      1 − a²
==========  ===========================  ======================

ReLU and LeakyReLU have a corner at 0, where any number between the two slopes would do; theirs is
the left one. The files beside this one go on: `smooth` (ELU, GELU, SiLU and their like),
`piecewise` (PReLU, HardSwish), `softmax`, which is not elementwise.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.layers.base import Array, Cache, Layer, Spec, Views, as_float, single


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """Base of the elementwise activations: a value, a slope, and nothing learnt.

    A new one writes both for float arrays, without changing z or a.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, repr=False)
    ... class Square(Activation):
    ...     def value(self, z):
    ...         return z * z
    ...     def slope(self, z, a):
    ...         return 2 * z
    >>> Square()(np.array([1.0, 3.0])), Square().derivative(np.array([1.0, 3.0]))
    (array([1., 9.]), array([2., 6.]))
    """

    squashes: ClassVar[str | None] = None  # "probabilities": no logits loss may follow

    @abstractmethod
    def value(self, z: Array) -> Array:
        """The value f(z), of z's shape and dtype."""

    @abstractmethod
    def slope(self, z: Array, a: Array) -> Array:
        """The derivative f′(z), given a = f(z) as well; booleans will do for 0 and 1."""

    def derivative(self, z: Any) -> Array:
        """f′(z) of an array or number, as floats.

        >>> Sigmoid().derivative([0, 2]).round(3)
        array([0.25 , 0.105])
        """
        z = as_float(z)
        return np.asarray(self.slope(z, self.value(z)), dtype=z.dtype)

    def output_spec(self, *inputs: Spec) -> Spec:
        return Spec(single(inputs, self).shape)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.z = x
        cache.a = a = self.value(x)
        return a

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        dz: Array = dy * self.slope(cache.z, cache.a)
        return dz


@dataclass(frozen=True, repr=False)
class Identity(Activation):
    """What comes in goes out: a place with a name, or no activation where one is asked for."""

    def value(self, z: Array) -> Array:
        return z

    def slope(self, z: Array, a: Array) -> Array:
        return np.ones_like(z)


@dataclass(frozen=True, repr=False)
class ReLU(Activation):
    """The positive part, ``max(z, 0)``; its derivative at 0 is 0.

    >>> ReLU()(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """

    initialization: ClassVar[str | None] = "he"

    def value(self, z: Array) -> Array:
        return np.maximum(z, 0)

    def slope(self, z: Array, a: Array) -> Array:
        return z > 0


@dataclass(frozen=True, repr=False)
class LeakyReLU(Activation):
    """A ReLU that lets a little through: z where z > 0, else ``negative_slope * z``.

    Parameters
    ----------
    negative_slope : float, default 0.01
        In (0, 1]. PyTorch's default; Keras has 0.3. Aliases: alpha, slope.

    >>> LeakyReLU(0.1)(np.array([-1.0, 0.0, 2.0]))
    array([-0.1,  0. ,  2. ])
    """

    negative_slope: float = 0.01

    aliases: ClassVar[dict[str, str]] = {"alpha": "negative_slope", "slope": "negative_slope"}
    initialization: ClassVar[str | None] = "he"

    def __post_init__(self) -> None:
        number(self, "negative_slope", above=0, at_most=1)
        object.__setattr__(self, "negative_slope", float(self.negative_slope))

    def value(self, z: Array) -> Array:
        return np.maximum(z, self.negative_slope * z)  # s ≤ 1: the larger one is the right one

    def slope(self, z: Array, a: Array) -> Array:
        slope: Array = np.maximum(z > 0, z.dtype.type(self.negative_slope))  # where takes ten times
        return slope


@dataclass(frozen=True, repr=False)
class Sigmoid(Activation):
    """The logistic function 1 / (1 + e⁻ᶻ), between 0 and 1.

    With e = e^(−|z|), which never overflows, it is 1 / (1 + e) for z ≥ 0 and e / (1 + e) for
    z < 0: each to within a few units in the last place, down to the smallest numbers there are.

    >>> Sigmoid()(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """

    initialization: ClassVar[str | None] = "glorot"
    squashes: ClassVar[str | None] = "probabilities"

    def value(self, z: Array) -> Array:
        e = np.abs(z, out=np.empty_like(z))
        np.negative(e, out=e)
        np.exp(e, out=e)
        a: Array = np.maximum(z >= 0, e)  # the numerator, 1 or e; NaN stays NaN
        e += 1
        a /= e
        return a

    def slope(self, z: Array, a: Array) -> Array:
        slope: Array = a * (1 - a)
        return slope


@dataclass(frozen=True, repr=False)
class Tanh(Activation):
    """The hyperbolic tangent, between −1 and 1.

    >>> Tanh()(np.array([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """

    initialization: ClassVar[str | None] = "glorot"

    def value(self, z: Array) -> Array:
        a: Array = np.tanh(z)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        slope: Array = 1 - a * a
        return slope
