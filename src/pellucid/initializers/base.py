"""Initialisers: the numbers that parameters start with.

A layer's output should neither grow nor shrink on its way through a deep network, and neither
should the gradient on its way back. For y_o = Σ_i x_i W_io with I independent inputs of mean
square q and weights of mean 0 and variance v, the variance of y is I·v·q. So

* v = 1/I keeps it (LeCun et al. 1998); SELU is made for this one;
* v = 2/I keeps it where a ReLU before the sum has halved q (He et al. 2015);
* v = 2/(I + O) is half-way between 1/I, right for the way there, and 1/O, right for the way back
  (Glorot and Bengio 2010).

A uniform distribution on [−a, a] has the variance a²/3, hence the limits a = √(3v) below. I and O
are the *fans*: the inputs one unit sees and the outputs one input reaches; a convolution counts
its window in both. The normal ones are not truncated, which is PyTorch's choice, not Keras's.

Numbers come as float64 from the stream that is handed in; a float32 network rounds the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from pellucid.description import Description
from pellucid.errors import OptionError
from pellucid.random import Array, Stream

Fans = tuple[int, int]  # inputs a unit sees, outputs an input reaches


@dataclass(frozen=True, repr=False)
class Initializer(Description, ABC):
    """Base of all initialisers: a function of shape, fans and random numbers."""

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        """Float64 values of this shape; `fans` may be None where the layer names none.

        >>> from pellucid.initializers import HeNormal
        >>> HeNormal()((2, 2), (2, 2), Stream(0, "example")).shape
        (2, 2)
        """


def known(fans: Fans | None, initializer: Initializer) -> Fans:
    """Fans of at least 1, or the error that says who needs them."""
    if fans is None:
        raise OptionError(
            f"{initializer!r} scales with fans, and this parameter has none: use Normal, Uniform, "
            "Constant, Zeros or Ones"
        )
    return max(fans[0], 1), max(fans[1], 1)
