"""Initialisers that scale with the inputs and outputs of a unit, or with the whole array."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from pellucid.description import number
from pellucid.errors import ShapeError
from pellucid.initializers.base import Fans, Initializer, known
from pellucid.random import Array, Stream


@dataclass(frozen=True, repr=False)
class GlorotUniform(Initializer):
    """Uniform in ±gain·√(6 / (I + O)): Glorot and Bengio (2010), also called Xavier uniform.

    Parameters
    ----------
    gain : float, default 1
        Above 0.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        number(self, "gain", above=0)

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = self.gain * sqrt(6 / sum(known(fans, self)))
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class GlorotNormal(Initializer):
    """Normal with standard deviation gain·√(2 / (I + O)): Glorot and Bengio (2010).

    Parameters
    ----------
    gain : float, default 1
        Above 0.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        number(self, "gain", above=0)

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=self.gain * sqrt(2 / sum(known(fans, self))))


@dataclass(frozen=True, repr=False)
class HeUniform(Initializer):
    """Uniform in ±√(6 / I): He et al. (2015), also called Kaiming uniform."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = sqrt(6 / known(fans, self)[0])
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class HeNormal(Initializer):
    """Normal with standard deviation √(2 / I): He et al. (2015), for the ReLU family."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=sqrt(2 / known(fans, self)[0]))


@dataclass(frozen=True, repr=False)
class LeCunUniform(Initializer):
    """Uniform in ±√(3 / I): LeCun et al. (1998)."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = sqrt(3 / known(fans, self)[0])
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class LeCunNormal(Initializer):
    """Normal with standard deviation √(1 / I): LeCun et al. (1998), for SELU."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=sqrt(1 / known(fans, self)[0]))


@dataclass(frozen=True, repr=False)
class FanInUniform(Initializer):
    """Uniform in ±1/√I, for weights and biases alike: the default of PyTorch's layers.

    Its variance is 1/(3I), a third of LeCun's, so a signal shrinks from layer to layer.
    """

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = 1 / sqrt(known(fans, self)[0])
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class InverseSizeNormal(Initializer):
    """Normal with standard deviation 1 / (number of entries), as some tutorials have it.

    A warning more than a choice: the sum over I inputs has the standard deviation √I / (I·O) where
    1 is right, so the signal starves, unless raw pixels of 0 to 255 happen to make up for it.
    """

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=1 / max(prod(shape), 1))


@dataclass(frozen=True, repr=False)
class Orthogonal(Initializer):
    """A matrix whose rows, or columns, are at right angles and of one length: norms are kept.

    With all axes but the last folded into one, W (R, O): WᵀW = gain²·1 where O ≤ R, else
    WWᵀ = gain²·1. It is the Q of the QR factorisation of a normal matrix, with the signs that make
    every such W equally likely. Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear
    dynamics of learning in deep linear neural networks", 2014.

    Parameters
    ----------
    gain : float, default 1
        The length of the rows or columns, above 0; √2 makes up for a ReLU.

    >>> W = Orthogonal()((3, 2), None, Stream(0, "example"))
    >>> bool(np.allclose(W.T @ W, np.eye(2)))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        number(self, "gain", above=0)

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        if len(shape) < 2:
            raise ShapeError(
                f"Orthogonal makes matrices, and this parameter has shape {shape}: use Zeros or "
                "Normal"
            )
        from threadpoolctl import threadpool_limits  # its bits would depend on their number

        rows, columns = prod(shape[:-1]), shape[-1]
        normal = stream.normal((max(rows, columns), min(rows, columns)))
        with threadpool_limits(1, user_api="blas"):
            q, r = np.linalg.qr(normal)
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        return (q if rows >= columns else q.T).reshape(shape)
