"""Normalisation within a row: layer, group and root-mean-square norm, which never mix rows.

Each takes pieces of a row, N numbers x₁ … x_N, by themselves: LayerNorm all features of a place,
GroupNorm a group of channels over the whole image. As in `normalization.py`::

    μ = Σ x_n / N      v = Σ (x_n − μ)² / N      r = 1/√(v + ε)      x̂_n = (x_n − μ) r
    y_n = γ_n x̂_n + β_n

and with g_n = dy_n γ_n, the gradient by x̂_n, the same chain rule gives::

    dx_m = r (g_m − Σ g_n/N − x̂_m Σ g_n x̂_n/N)

RMSNorm leaves the mean where it is: v = Σ x_n² / N and x̂_n = x_n r, hence ∂r/∂x_m = −r³ x_m/N and

    dx_m = r (g_m − x̂_m Σ g_n x̂_n/N)

γ and β are shared by all pieces, so their gradients are sums over pieces, dγ_n = Σ dy_n x̂_n and
dβ_n = Σ dy_n. Training and inference are the same computation: nothing is remembered.
(Ba, Kiros and Hinton 2016; Wu and He, ECCV 2018; Zhang and Sennrich, NeurIPS 2019.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.initializers import Ones, Zeros
from pellucid.layers.base import Array, Cache, Layer, ParameterSpec, Spec, Views, single
from pellucid.layers.windows import batch_last

Axes = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class _AxesNorm(Layer):
    """What LayerNorm and RMSNorm share: the axes."""

    axis: int | tuple[int, ...] = -1

    aliases: ClassVar[dict[str, str]] = {"eps": "epsilon", "dim": "axis"}

    def __post_init__(self) -> None:
        axes: Any = self.axis if isinstance(self.axis, list | tuple) else (self.axis,)
        whole = all(isinstance(a, int | np.integer) and not isinstance(a, bool) for a in axes)
        if not axes or not whole or 0 in axes or len(set(axes)) < len(axes):
            raise OptionError(
                f"{type(self).__name__}: axis is a whole number or several different ones, and not "
                f"0, which is the batch; the features are axis -1; not {self.axis!r}"
            )
        axes = tuple(int(a) for a in axes)
        object.__setattr__(self, "axis", axes if len(axes) > 1 else axes[0])
        _check_epsilon(self)

    def output_spec(self, *inputs: Spec) -> Spec:
        shape = single(inputs, self).shape
        axes = self._axes(len(shape) + 1)
        if any(shape[a - 1] is None for a in axes):
            raise ShapeError(f"{self!r} needs known lengths along {self.axis}, not {inputs[0]}")
        return Spec(shape)

    def _axes(self, rank: int) -> Axes:
        """The axes of an array with so many, counted from the front, in their order."""
        given = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        axes = sorted(a % rank if -rank < a < rank else 0 for a in given)
        if axes[0] == 0 or len(set(axes)) < len(axes):
            raise ShapeError(f"{self!r}: an array of {rank} axes has no such axes, or one twice")
        return tuple(axes)

    def _parameter(self, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """The shape of γ and β: one number for each place in a piece."""
        return tuple(shape[a - 1] for a in self._axes(len(shape) + 1))  # type: ignore[misc]


@dataclass(frozen=True, repr=False)
class LayerNorm(_AxesNorm):
    """Mean 0 and variance 1 along the last axis of every place: (B, ..., C) → (B, ..., C).

    Parameters
    ----------
    axis : int or tuple of int, default -1
        What is normalised together, counted with the batch as axis 0. Alias: dim.
    epsilon : float, default 1e-5
        Added to the variance, as in PyTorch; Keras has 1e-3. Alias: eps.
    center, scale : bool, default True
        Whether there is a β; whether there is a γ.

    Parameters in the network: ``gamma`` and ``beta``, as long as the axes, (C,) for the last one;
    weight decay does not apply to them.

    >>> from pellucid import Network
    >>> Network([LayerNorm()], inputs=2)([[1.0, 3.0]]).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    epsilon: float = 1e-5
    center: bool = True
    scale: bool = True

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        return _gamma_and_beta(self._parameter(inputs[0].shape), self.scale, self.center)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.axes = axes = self._axes(x.ndim)
        cache.x_hat, cache.r = _normalized(x, axes, self.epsilon, center=True)
        return _scaled(cache.x_hat, p, axes, scale=self.scale, center=self.center)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        axes: Axes = cache.axes
        g = _unscaled(dy, cache.x_hat, p, dp, axes, scale=self.scale, center=self.center)
        if not cache.needs_dx:
            return None
        return _sent_back(g, cache.x_hat, cache.r, axes, center=True)


@dataclass(frozen=True, repr=False)
class RMSNorm(_AxesNorm):
    """Mean square 1 along the last axis of every place: (B, ..., C) → (B, ..., C).

    Parameters
    ----------
    axis : int or tuple of int, default -1
        What is normalised together, counted with the batch as axis 0. Alias: dim.
    epsilon : float, default 1e-6
        Added to the mean square, as in Keras; PyTorch takes the float type's own eps where none is
        given. Alias: eps.
    scale : bool, default True
        Whether there is a γ.

    Parameters in the network: ``gamma``, as long as the axes, (C,) for the last one; weight decay
    does not apply to it.

    >>> from pellucid import Network
    >>> Network([RMSNorm()], inputs=2)([[1.0, 7.0]]).round(3)
    array([[0.2, 1.4]], dtype=float32)
    """

    epsilon: float = 1e-6
    scale: bool = True

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        return _gamma_and_beta(self._parameter(inputs[0].shape), self.scale, center=False)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.axes = axes = self._axes(x.ndim)
        cache.x_hat, cache.r = _normalized(x, axes, self.epsilon, center=False)
        return _scaled(cache.x_hat, p, axes, scale=self.scale, center=False)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        axes: Axes = cache.axes
        g = _unscaled(dy, cache.x_hat, p, dp, axes, scale=self.scale, center=False)
        if not cache.needs_dx:
            return None
        return _sent_back(g, cache.x_hat, cache.r, axes, center=False)


@dataclass(frozen=True, repr=False)
class GroupNorm(Layer):
    """Mean 0 and variance 1 of each group of channels in each row: (B, ..., C) → (B, ..., C).

    Parameters
    ----------
    groups : int, default 32
        Pieces the channels are cut into; C divides by it. 1 takes all channels together, and C
        (written −1) each by itself, which is called instance normalisation. Alias: num_groups.
    epsilon : float, default 1e-5
        Added to the variance, as in PyTorch; Keras has 1e-3. Alias: eps.
    center, scale : bool, default True
        Whether there is a β; whether there is a γ.

    Parameters in the network: ``gamma`` and ``beta`` (C,), to which weight decay does not apply.

    >>> from pellucid import Network
    >>> Network([GroupNorm(2)], inputs=4)([[1.0, 3.0, 10.0, 10.0]]).round(3)
    array([[-1.,  1.,  0.,  0.]], dtype=float32)
    """

    groups: int = 32
    epsilon: float = 1e-5
    center: bool = True
    scale: bool = True

    aliases: ClassVar[dict[str, str]] = {"eps": "epsilon", "num_groups": "groups"}

    def __post_init__(self) -> None:
        if self.groups != -1:
            number(self, "groups", at_least=1, integer=True)
        _check_epsilon(self)

    def output_spec(self, *inputs: Spec) -> Spec:
        shape = single(inputs, self).shape
        if not shape or shape[-1] is None:
            raise ShapeError(f"{self!r} needs a known number of channels, not {inputs[0]}")
        if self.groups > 0 and shape[-1] % self.groups:
            raise ShapeError(
                f"{self!r}: the {shape[-1]} channels of {inputs[0]} do not divide into "
                f"{self.groups} groups"
            )
        return Spec(shape)

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        channels: int = inputs[0].shape[-1]  # type: ignore[assignment]
        return _gamma_and_beta((channels,), self.scale, self.center)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = batch_last(x)  # (C, ..., B)
        groups = len(x) if self.groups == -1 else self.groups
        pieces = x.reshape(groups, prod(x.shape[:-1]) // groups, x.shape[-1])  # (G, N, B)
        cache.x_hat, cache.r = _normalized(pieces, (1,), self.epsilon, center=True)
        x_hat = cache.x_hat.reshape(x.shape)
        return _scaled(x_hat, p, (0,), scale=self.scale, center=self.center).swapaxes(0, -1)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        dy, x_hat, r = batch_last(dy), cache.x_hat, cache.r
        g = _unscaled(
            dy, x_hat.reshape(dy.shape), p, dp, (0,), scale=self.scale, center=self.center
        )
        if not cache.needs_dx:
            return None
        dx = _sent_back(g.reshape(x_hat.shape), x_hat, r, (1,), center=True)
        return dx.reshape(dy.shape).swapaxes(0, -1)


def _normalized(x: Array, axes: Axes, epsilon: float, *, center: bool) -> tuple[Array, Array]:
    """x̂ and r, with lengths of 1 along the axes, which are one piece of a row."""
    n = prod(x.shape[a] for a in axes)
    x_hat = x - _sum(axes, x) / n if center else x
    r: Array = 1 / np.sqrt(_sum(axes, x_hat, x_hat) / n + epsilon)
    return np.multiply(x_hat, r, out=x_hat if center else None), r


def _scaled(x_hat: Array, p: Views, axes: Axes, *, scale: bool, center: bool) -> Array:
    """γ x̂ + β, as far as they are there; `axes` are those of γ and β."""
    y = x_hat
    if scale:
        y = y * _along(p.gamma, axes, y.ndim)
    if center:
        beta = _along(p.beta, axes, y.ndim)
        y = np.add(y, beta, out=y if scale else None)
    return y


def _unscaled(
    dy: Array, x_hat: Array, p: Views, dp: Views, axes: Axes, *, scale: bool, center: bool
) -> Array:
    """The gradient by x̂; those of γ and β are added to theirs."""
    others = tuple(a for a in range(dy.ndim) if a not in axes)
    if center:
        dp.beta += _sum(others, dy).reshape(dp.beta.shape)
    if scale:
        dp.gamma += _sum(others, dy, x_hat).reshape(dp.gamma.shape)
        return dy * _along(p.gamma, axes, dy.ndim)
    return dy


def _sent_back(g: Array, x_hat: Array, r: Array, axes: Axes, *, center: bool) -> Array:
    """The gradient by x, given that by x̂."""
    n = prod(g.shape[a] for a in axes)
    dx: Array = x_hat * (_sum(axes, g, x_hat) / -n)
    dx += g
    if center:
        dx -= _sum(axes, g) / n
    dx *= r
    return dx


def _sum(axes: Axes, *arrays: Array) -> Array:
    """Σ of one array, or of the products of two, along axes that are kept with length 1.

    Three times as fast as multiplying and then adding up, and for one array twice as `sum` is.
    """
    every = list(range(arrays[0].ndim))
    operands = [item for array in arrays for item in (array, every)]
    total: Array = np.einsum(*operands, [axis for axis in every if axis not in axes])
    return np.expand_dims(total, axes)


def _along(values: Array, axes: Axes, rank: int) -> Array:
    """A parameter as it lies along the axes of an array with so many."""
    lengths = iter(values.shape)
    return values.reshape([next(lengths) if a in axes else 1 for a in range(rank)])


def _gamma_and_beta(shape: tuple[int, ...], scale: bool, center: bool) -> dict[str, ParameterSpec]:
    specs = {}
    if scale:
        specs["gamma"] = ParameterSpec(shape, Ones(), decay=False)
    if center:
        specs["beta"] = ParameterSpec(shape, Zeros(), decay=False)
    return specs


def _check_epsilon(layer: Any) -> None:
    number(layer, "epsilon", above=0)
    object.__setattr__(layer, "epsilon", float(layer.epsilon))
