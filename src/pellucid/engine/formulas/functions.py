"""NumPy's functions on arrays that record; what is not here cannot be recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.engine.formulas.nodes import Untraceable
from pellucid.engine.formulas.numbers import Number
from pellucid.engine.formulas.traced import Traced, axes_of, where


def clip(x: Any, a_min: Any = None, a_max: Any = None, *, out: Any = None, **options: Any) -> Any:
    """np.clip."""
    low, high = options.pop("min", a_min), options.pop("max", a_max)
    if options or not isinstance(x, Traced):
        raise Untraceable("it calls np.clip in a way of its own")
    y = x.copy() if low is None else np.maximum(x, low)
    y = y if high is None else np.minimum(y, high)
    return y if out is None else out._set(y)


def _einsum(*operands: Any, **options: Any) -> Any:
    """Sums of one array, or of the product of two, that keep some axes."""
    *pairs, kept = operands
    arrays, labels = pairs[::2], pairs[1::2]
    every = list(range(arrays[0].ndim))
    if options or isinstance(arrays[0], str) or any(list(label) != every for label in labels):
        raise Untraceable("it calls np.einsum in a way of its own")
    value = arrays[0] if len(arrays) == 1 else arrays[0] * arrays[1]
    if list(kept) != sorted(kept) or len(arrays) > 2:
        raise Untraceable("it calls np.einsum in a way of its own")
    return value.sum(tuple(a for a in every if a not in kept))


def _expand_dims(x: Traced, axis: Any) -> Traced:
    axes = axes_of(axis, x.ndim + (len(axis) if isinstance(axis, tuple) else 1))
    lengths = iter(x.shape)
    return x.reshape([1 if a in axes else next(lengths) for a in range(x.ndim + len(axes))])


def _full(like: Traced, value: Any, dtype: Any = None, **_: Any) -> Traced:
    kind = like.dtype if dtype is None else np.dtype(dtype)
    if isinstance(value, Traced | Number):
        raise Untraceable("it fills an array")
    return Traced(like._recording, like._recording.constant(value, kind, like.shape))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002
    if ord not in (None, 2) or (ord == 2 and isinstance(axis, tuple)):
        raise Untraceable("it calls np.linalg.norm in a way of its own")
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "where": where,
    "clip": clip,
    "sum": lambda x, axis=None, **more: x.sum(axis, **more),
    "mean": lambda x, axis=None, **more: x.mean(axis, **more),
    "max": lambda x, axis=None, **more: x.max(axis, **more),
    "amax": lambda x, axis=None, **more: x.max(axis, **more),
    "min": lambda x, axis=None, **more: x.min(axis, **more),
    "amin": lambda x, axis=None, **more: x.min(axis, **more),
    "var": lambda x, axis=None, **more: x.var(axis, **more),
    "std": lambda x, axis=None, **more: x.std(axis, **more),
    "any": lambda x: x.any(),
    "all": lambda x: x.all(),
    "copy": lambda x: x.copy(),
    "reshape": lambda x, shape, **more: x.reshape(shape, **more),
    "ravel": lambda x: x.ravel(),
    "squeeze": lambda x, axis=None: x.squeeze(axis),
    "expand_dims": _expand_dims,
    "einsum": _einsum,
    "norm": _norm,
    "zeros_like": lambda x, dtype=None, **_: _full(x, 0, dtype),
    "ones_like": lambda x, dtype=None, **_: _full(x, 1, dtype),
    "empty_like": lambda x, dtype=None, **_: _full(x, 0, dtype),
    "full_like": _full,
    "shape": lambda x: x.shape,
    "ndim": lambda x: x.ndim,
    "size": lambda x: x.size,
}
