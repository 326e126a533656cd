"""What the layers of the table compute, said in PyTorch: one function a family of layers.

Each takes a layer and returns its twin, `twin(p, state, x, training)`. Random layers draw what a
`Cache` without a network draws, and compute with it by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pellucid.random import Stream

Twin = Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor], Any, bool], torch.Tensor]


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels from the last axis to the one behind the batch."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """The way back."""
    return x.movedim(1, -1)


def each(value: Any, axes: int) -> tuple[Any, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def around(padding: Any, axes: int, size: Any, kernel: Any, strides: Any, dilation: Any) -> Any:
    """(before, after) along each axis; "same" from its definition in ONNX."""
    if padding == "valid":
        return [(0, 0)] * axes
    if padding == "causal":
        return [((kernel[0] - 1) * dilation[0], 0)]
    if padding == "same":
        found = []
        for n, k, s, d in zip(size, kernel, strides, dilation, strict=True):
            total = max((int(np.ceil(n / s)) - 1) * s + (k - 1) * d + 1 - n, 0)
            found.append((total // 2, total - total // 2))
        return found
    if axes == 1:
        return [each(padding, 2)]
    return [each(n, 2) for n in each(padding, 2)]


def pads(sides: Any) -> list[int]:
    """What `F.pad` takes: the last axis first."""
    return [n for pair in reversed(sides) for n in pair]


def unfolded(layer: Any, x: torch.Tensor, kernel: Any, dilation: Any = 1) -> Any:
    """Kernel, strides, dilation and padding of a layer with windows, an entry an axis."""
    axes = layer.axes
    kernel = each(kernel, axes)
    strides = kernel if layer.strides is None else each(layer.strides, axes)
    dilation = each(dilation, axes)
    sides = around(layer.padding, axes, x.shape[1:-1], kernel, strides, dilation)
    return kernel, strides, dilation, sides


def kernels(W: torch.Tensor) -> torch.Tensor:
    """Weights (k, ..., inside, outside) as PyTorch has them: (outside, inside, k, ...)."""
    return W.movedim(-1, 0).movedim(-1, 1).contiguous()


# --------------------------------------------------------------------------------- convolutions


def convolution(layer: Any) -> Twin:
    convolve = F.conv2d if layer.axes == 2 else F.conv1d

    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        _, strides, dilation, sides = unfolded(layer, x, layer.kernel_size, layer.dilation_rate)
        x = F.pad(first(x), pads(sides))
        return last(convolve(x, kernels(p["W"]), p.get("b"), strides, 0, dilation, layer.groups))

    return twin


def depthwise(layer: Any) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        _, strides, dilation, sides = unfolded(layer, x, layer.kernel_size, layer.dilation_rate)
        W = p["W"] if "W" in p else p["W_depth"]
        y = F.conv2d(
            F.pad(first(x), pads(sides)), kernels(W), None, strides, 0, dilation, x.shape[-1]
        )
        if "W_point" in p:
            y = F.conv2d(y, kernels(p["W_point"]))
        return last(y) + p["b"] if "b" in p else last(y)

    return twin


def transposed(layer: Any) -> Twin:
    """By PyTorch's own padding where that can say it, else by cutting the whole."""
    convolve = F.conv_transpose2d if layer.axes == 2 else F.conv_transpose1d

    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        axes, padding = layer.axes, 0 if layer.padding == "valid" else layer.padding
        kernel, strides = each(layer.kernel_size, axes), each(layer.strides, axes)
        dilation, rest = each(layer.dilation_rate, axes), each(layer.output_padding, axes)
        W, x = kernels(p["W"]), first(x)
        symmetric = isinstance(padding, int) or (axes == 2 and isinstance(padding[0], int))
        if padding != "same" and symmetric:
            return last(convolve(x, W, p.get("b"), strides, padding, rest, layer.groups, dilation))
        cut = []
        for i in range(axes):
            span = (kernel[i] - 1) * dilation[i] + 1
            if padding == "same":
                total = span - strides[i]
                before = max(total, 0) // 2
                cut.append((before, total - before))
            else:
                before, after = around(padding, axes, None, None, None, None)[i]
                cut.append((before, after - rest[i]))
        y = convolve(x, W, None, strides, 0, 0, layer.groups, dilation)
        y = last(F.pad(y, [-n for n in pads(cut)]))
        return y + p["b"] if "b" in p else y

    return twin


# ------------------------------------------------------------------------------------- pools


def pool(layer: Any) -> Twin:
    greatest = "Max" in type(layer).__name__
    biggest, mean = (
        (F.max_pool2d, F.avg_pool2d) if layer.axes == 2 else (F.max_pool1d, F.avg_pool1d)
    )

    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        kernel, strides, _, sides = unfolded(layer, x, layer.pool_size)
        x = first(x)
        if greatest:
            return last(biggest(F.pad(x, pads(sides), value=-np.inf), kernel, strides))
        total = mean(F.pad(x, pads(sides)), kernel, strides)
        if not layer.count_include_pad:
            total = total / mean(F.pad(torch.ones_like(x), pads(sides)), kernel, strides)
        return last(total)

    return twin


def whole(layer: Any) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        axes = tuple(range(1, layer.axes + 1))
        if "Max" in type(layer).__name__:
            return torch.amax(x, axes, keepdim=layer.keepdims)
        return torch.mean(x, axes, keepdim=layer.keepdims)

    return twin


def adaptive(layer: Any) -> Twin:
    f = F.adaptive_max_pool2d if "Max" in type(layer).__name__ else F.adaptive_avg_pool2d
    return lambda p, state, x, training: last(f(first(x), layer.output_size))


# ------------------------------------------------------------------------------------ resizing


def enlarged(layer: Any) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        factor = tuple(float(n) for n in each(layer.size, layer.axes))
        options = {} if layer.interpolation == "nearest" else {"align_corners": False}
        return last(
            F.interpolate(first(x), scale_factor=factor, mode=layer.interpolation, **options)
        )

    return twin


def padded(layer: Any) -> Twin:
    sign, amount = (1, layer.padding) if hasattr(layer, "padding") else (-1, layer.cropping)
    sides = around(amount, layer.axes, None, None, None, None)
    return lambda p, state, x, training: last(F.pad(first(x), [sign * n for n in pads(sides)]))


# ----------------------------------------------------------------------------------------- norms


def axes_norm(layer: Any) -> Twin:
    """PyTorch normalises the last axes: the others are brought there and back."""

    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        axes = layer.axis if isinstance(layer.axis, tuple) else (layer.axis,)
        axes = sorted(a % x.ndim for a in axes)
        end = list(range(x.ndim - len(axes), x.ndim))
        x = x.movedim(axes, end)
        shape = tuple(x.shape[i] for i in end)
        if type(layer).__name__ == "RMSNorm":
            y = F.rms_norm(x, shape, p.get("gamma"), layer.epsilon)
        else:
            y = F.layer_norm(x, shape, p.get("gamma"), p.get("beta"), layer.epsilon)
        return y.movedim(end, axes)

    return twin


def group_norm(layer: Any) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        groups = x.shape[-1] if layer.groups == -1 else layer.groups
        gamma = p.get("gamma", torch.ones(x.shape[-1], dtype=x.dtype))  # it wants both or none
        return last(F.group_norm(first(x), groups, gamma, p.get("beta"), layer.epsilon))

    return twin


# ---------------------------------------------------------------------------------- augmentation


def ends(factor: Any) -> tuple[float, float]:
    return factor if isinstance(factor, tuple) else (-factor, factor)


def warped(layer: Any) -> Twin:
    """`F.grid_sample` at the places that the definition gives, in pixels from the corner."""

    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        if not training:
            return x * 1
        b, h, w, _ = x.shape
        rows, columns = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
        grids = []
        kind, stream = type(layer).__name__, Stream(0, "layer")
        draws = stream.uniform((b, 1 if kind == "RandomRotation" else 2))
        for u in draws:
            i, j = rows - (h - 1) / 2, columns - (w - 1) / 2
            if kind == "RandomRotation":
                low, high = ends(layer.factor)
                angle = np.radians(360 * (low + (high - low) * u[0]))
                i, j = i * np.cos(angle) + j * np.sin(angle), j * np.cos(angle) - i * np.sin(angle)
            else:
                (low, high), wide = ends(layer.height_factor), layer.width_factor
                down = low + (high - low) * u[0]
                right = down if kind == "RandomZoom" else low + (high - low) * u[1]
                if wide is not None:
                    low, high = ends(wide)
                    right = low + (high - low) * u[1]
                if kind == "RandomShift":
                    i, j = i - down * h, j - right * w
                else:
                    i, j = i * (1 + down), j * (1 + right)
            grids.append(np.stack([j * 2 / w, i * 2 / h], -1))  # −1 and 1 are the outer edges
        grid = torch.tensor(np.array(grids))
        mode = {"constant": "zeros", "nearest": "border"}[layer.fill_mode]
        fill = layer.fill_value if layer.fill_mode == "constant" else 0.0
        y = F.grid_sample(first(x) - fill, grid, "bilinear", mode, align_corners=False)
        return last(y) + fill

    return twin


def flipped(layer: Any) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        if not training:
            return x * 1
        rows = []
        for image, (down, across) in zip(x, Stream(0, "layer").keep((len(x), 2), 0.5), strict=True):
            flip = [0] * bool(down and "vertical" in layer.mode)
            flip += [1] * bool(across and "horizontal" in layer.mode)
            rows.append(torch.flip(image, flip) if flip else image * 1)
        return torch.stack(rows)

    return twin


def covered(layer: Any) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        y = x.clone()
        height, width = each(layer.size, 2)
        for k, (u, v) in enumerate(Stream(0, "layer").uniform((len(x), 2))):
            top, left = int(u * x.shape[1]) - height // 2, int(v * x.shape[2]) - width // 2
            bottom, right = max(top + height, 0), max(left + width, 0)
            if training:
                y[k, max(top, 0) : bottom, max(left, 0) : right] = layer.fill_value
        return y

    return twin
