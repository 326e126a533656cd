"""One function a kind of layer: its forward instructions, and later its backward ones."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from pellucid.engine.lowering.adaptive import lower_adaptive
from pellucid.engine.lowering.base import Lowering, View
from pellucid.engine.lowering.images import lower_conv, lower_pool, lower_transposed
from pellucid.engine.lowering.resizing import lower_cropping, lower_padding, lower_upsampling
from pellucid.engine.opcodes import MAPS, Buffer, Moment
from pellucid.errors import ShapeError
from pellucid.layers import (
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Concatenate,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Cropping1D,
    Cropping2D,
    Cutout,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    Identity,
    Layer,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
    ReLU,
    Rescale,
    Reshape,
    SeparableConv2D,
    Sigmoid,
    Softmax,
    Standardize,
    Tanh,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from pellucid.layers.base import Cache, shape_text
from pellucid.network.graph import Node, Source
from pellucid.random import philox_key

Lower = Callable[[Lowering, int, Node], None]


def lower_dense(low: Lowering, index: int, node: Node) -> None:
    """A product, with the bias and a ReLU right behind it in its epilogue."""
    layer: Any = node.layer
    x, W = low.at[node.inputs[0]], low.parameter(node, "W")
    b = low.parameter(node, "b") if layer.use_bias else None
    size = {"I": W.shape[0], "O": W.shape[1]}
    last, act, slope = folded_activation(low, index)
    y = low.output(last)
    low.emit("matmul", {"y": y, "x": x, "W": W, "b": b}, **size, act=act, slope=slope)

    def backward() -> None:
        dy = slope_before(low, node, y, low.slopes.get(Source(last)), act, slope)
        if dy is None:
            return
        dW, added = low.gradient(node, "W")
        db = low.gradient(node, "b")[0] if layer.use_bias else None
        low.emit("matmul_dw", {"dW": dW, "x": x, "dy": dy, "db": db}, **size, accumulate=added)
        entry = low.send(node.inputs[0])
        if entry is not None:
            low.emit("matmul_dx", {"dx": entry[0], "dy": dy, "W": W}, **size, accumulate=entry[1])

    low.later(backward)


def folded_activation(low: Lowering, index: int) -> tuple[int, int, float]:
    """The ReLU that alone reads node `index`: the last node then, `act` and the slope."""
    follower = low.only_reader(index, ReLU, LeakyReLU)
    if follower is None:
        return index, 0, 0.0
    low.folded.add(follower)
    slope = float(getattr(low.graph.nodes[follower].layer, "negative_slope", 0.0))
    return follower, 2 if slope else 1, slope


def slope_before(
    low: Lowering, node: Node, y: Buffer, dy: Buffer | None, act: int, slope: float
) -> Buffer | None:
    """The gradient before a folded activation."""
    if dy is None or not act:
        return dy
    dz = Buffer(f"d/{node.name}", y.shape)
    kind = MAPS.index("leaky" if slope else "relu")
    low.emit("map_grad", {"dx": dz, "dy": dy, "y": y}, kind=kind, a=slope, accumulate=0)
    return dz


Back = Callable[[Buffer, Buffer, int], None]  # dy, dx, whether it is added


def simple(low: Lowering, index: int, node: Node, emit: Back) -> None:
    """The backward pass of a node with one input, where its gradient is wanted."""

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        entry = low.send(node.inputs[0]) if dy is not None else None
        if dy is not None and entry is not None:
            emit(dy, *entry)

    low.later(backward)


def lower_map(kind: str, a: str | float = 0.0, b: str | float = 0.0) -> Lower:
    """For an elementwise layer; `a` and `b` are numbers or the names of its options."""

    def lower(low: Lowering, index: int, node: Node) -> None:
        first, second = (
            v if isinstance(v, float) else float(getattr(node.layer, v)) for v in (a, b)
        )
        number = MAPS.index(kind)
        y = low.output(index)
        low.emit("map", {"y": y, "x": low.at[node.inputs[0]]}, kind=number, a=first, b=second)
        simple(low, index, node, lambda dy, dx, added: low.emit(
            "map_grad", {"dx": dx, "dy": dy, "y": y}, kind=number, a=first,
        accumulate=added))  # fmt: skip

    return lower


def lower_alias(low: Lowering, index: int, node: Node) -> None:
    """The same memory in another shape."""
    source = Source(index)
    low.at[source] = low.at[node.inputs[0]].reshaped(node.name, low.shape(source))

    def backward() -> None:
        dy = low.slopes.get(source)
        if dy is not None:
            low.pass_on(node.inputs[0], dy)

    low.later(backward)


def lower_dropout(low: Lowering, index: int, node: Node) -> None:
    """In inference, and where nothing is dropped, the array itself."""
    layer: Any = node.layer
    if layer.rate == 0 or not low.purpose.training:
        lower_alias(low, index, node)
        return
    y = low.output(index)
    mask = Buffer(f"{node.name}/mask", y.shape)
    key = [int(word) for word in philox_key(low.net.seed, "layer", node.name)]
    low.emit("dropout", {"y": y, "x": low.at[node.inputs[0]], "mask": mask}, rate=layer.rate,
             key0=key[0], key1=key[1], draw=0)  # fmt: skip
    simple(low, index, node, lambda dy, dx, added: low.emit(
        "multiply", {"dx": dx, "dy": dy, "mask": mask},
        accumulate=added))  # fmt: skip


def lower_variation(low: Lowering, index: int, node: Node) -> None:
    """Noise and augmentation: in inference the array itself, in training a call."""
    if low.purpose.training:
        low.table.called.append(f"{node.name} ({node.layer!r})")
        lower_called(low, index, node)
    else:
        lower_alias(low, index, node)


def lower_standardize(low: Lowering, index: int, node: Node) -> None:
    """By constants that are state."""
    y = low.output(index)
    stats: Any = {key: low.state(node, key) for key in ("mean", "variance")}
    low.emit("standardize", {"y": y, "x": low.at[node.inputs[0]], **stats}, C=y.shape[-1])
    simple(low, index, node, lambda dy, dx, added: low.emit(
        "standardize_dx", {"dx": dx, "dy": dy, **stats}, C=y.shape[-1],
        accumulate=added))  # fmt: skip


def lower_batch_norm(low: Lowering, index: int, node: Node) -> None:
    """By the batch's statistics in training, which move the pending ones; else by the running."""
    layer: Any = node.layer
    x, y, training = low.at[node.inputs[0]], low.output(index), low.purpose.training
    C = y.shape[-1]
    gamma = low.parameter(node, "gamma") if layer.scale else None
    beta = low.parameter(node, "beta") if layer.center else None
    saved = Buffer(f"{node.name}/saved", (2, C), batch=False) if training else None
    region = "pending" if training else "state"
    stats = {key: low.state(node, key, region) for key in ("mean", "variance")}
    if training:
        low.table.needs[node.name] = -(-2 * C // max(y.size, 1)), layer, y.shape
    low.emit("normalize", {"y": y, "x": x, "gamma": gamma, "beta": beta, "saved": saved, **stats},
             C=C, momentum=layer.momentum, epsilon=layer.epsilon,
             training=int(training))  # fmt: skip

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        if dy is None:
            return
        dgamma, added = low.gradient(node, "gamma") if layer.scale else (None, 0)
        dbeta, added = low.gradient(node, "beta") if layer.center else (None, added)
        entry = low.send(node.inputs[0])
        low.emit("normalize_grad", {"dx": entry[0] if entry else None, "dy": dy, "x": x,
                 "gamma": gamma, "saved": saved, "dgamma": dgamma, "dbeta": dbeta}, C=C,
                 accumulate=entry[1] if entry else 0, added=added)  # fmt: skip

    low.later(backward)


def lower_softmax(low: Lowering, index: int, node: Node) -> None:
    """Along any axis but the batch's."""
    layer: Any = node.layer
    y = low.output(index)
    axis = layer.axis % (len(y.shape) + 1) - 1
    size = {"K": y.shape[axis], "inner": prod(y.shape[axis + 1 :])}
    low.emit("softmax", {"y": y, "x": low.at[node.inputs[0]]}, **size)
    simple(low, index, node, lambda dy, dx, added: low.emit(
        "softmax_grad", {"dx": dx, "dy": dy, "y": y}, **size,
        accumulate=added))  # fmt: skip


def lower_embedding(low: Lowering, index: int, node: Node) -> None:
    """Rows of a table by their numbers, which are checked before they come here."""
    x, W, y = low.at[node.inputs[0]], low.parameter(node, "W"), low.output(index)
    size = {"rows": W.shape[0], "D": W.shape[1]}
    low.table.looks_up[x.root.name] = W.shape[0], node.layer
    low.emit("lookup", {"y": y, "W": W, "x": x}, **size)

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        if dy is not None:
            dW, added = low.gradient(node, "W")
            low.emit("lookup_grad", {"dW": dW, "dy": dy, "x": x}, **size, accumulate=added)

    low.later(backward)


def lower_merge(low: Lowering, index: int, node: Node) -> None:
    """Add and Concatenate: both are copies of stretches of rows."""
    layer: Any = node.layer
    y = low.output(index)
    adding = isinstance(layer, Add)
    axis = 0 if adding else layer.axis % (len(y.shape) + 1) - 1
    y_width, start, places = prod(y.shape[axis:]), 0, []
    for number, source in enumerate(node.inputs):
        x = low.at[source]
        width = prod(x.shape[axis:])
        low.emit("copy", {"y": y, "x": x}, width=width, y_width=y_width, y_start=start,
                 x_width=width, x_start=0, accumulate=int(adding and number > 0))  # fmt: skip
        places.append((source, width, start))
        start += 0 if adding else width

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        for source, width, start in places if dy is not None else ():
            entry = low.send(source)
            if entry is not None:
                low.emit("copy", {"y": entry[0], "x": dy}, width=width, y_width=width, y_start=0,
                         x_width=y_width, x_start=start, accumulate=entry[1])  # fmt: skip

    low.later(backward)


def lower_called(low: Lowering, index: int, node: Node) -> None:
    """A layer without instructions: Python's own forward and backward, on views."""
    layer: Any = node.layer
    net, training = low.net, low.purpose.training
    xs = [low.at[source] for source in node.inputs]
    ys = [low.output(index, output) for output in range(len(node.outputs))]
    p, dp = net.parameters.of(node.owner), low.gradients.of(node.owner)
    state, pending = net.state.of(node.owner), low.pending.of(node.owner)
    feeds = any(source in low.wanted for source in node.inputs)
    kept = Cache(training=True, state=state, new_state=pending, needs_dx=feeds)
    if type(layer) not in LAYERS:
        low.table.called.append(f"{node.name} ({layer!r})")

    def forward(view: View, at: Moment) -> float:
        cache = kept if training else Cache(state=state)
        if training:
            cache.restart(True, (net.seed, node.name, at.step, at.part))
        x = [view(buffer) for buffer in xs]
        y = layer.forward(x[0] if layer.arity == 1 else tuple(x), p, cache)
        for buffer, value in zip(ys, (y,) if len(ys) == 1 else y, strict=True):
            _fits(node, "forward", view(buffer), value)
            view(buffer)[...] = value
        return 0.0

    low.call(forward, *xs, *ys)

    def backward() -> None:
        dys = [low.slopes.get(Source(index, output)) for output in range(len(ys))]
        if Source(index) not in low.wanted or all(dy is None for dy in dys):
            return
        entries = [low.send(source) for source in node.inputs]

        def run(view: View, _: Moment) -> float:
            d = tuple(
                np.zeros_like(view(y)) if dy is None else view(dy)
                for y, dy in zip(ys, dys, strict=True)
            )
            dx = layer.backward(d[0] if len(d) == 1 else d, p, dp, kept)
            for entry, value in zip(entries, (dx,) if layer.arity == 1 else dx, strict=True):
                if entry is None or value is None:
                    continue
                into = view(entry[0])
                _fits(node, "backward", into, value)
                into[...] = into + value if entry[1] else value
            return 0.0

        into = [entry[0] for entry in entries if entry is not None]
        low.call(run, *xs, *ys, *[dy for dy in dys if dy is not None], *into)

    low.later(backward)


def _fits(node: Node, what: str, place: Any, value: Any) -> None:
    if np.shape(value) != place.shape:
        raise ShapeError(
            f"{node.name}: {what} of {node.layer!r} gave an array of shape {np.shape(value)}, and "
            f"{shape_text(place.shape[1:])} with {len(place)} rows was expected"
            + (" by its output_spec" if what == "forward" else ", the shape of its input")
        )


LAYERS: dict[type[Layer], Lower] = {
    Dense: lower_dense,
    Conv2D: lower_conv,
    Conv1D: lower_conv,
    DepthwiseConv2D: lower_conv,
    SeparableConv2D: lower_conv,
    Conv2DTranspose: lower_transposed,
    Conv1DTranspose: lower_transposed,
    MaxPool2D: lower_pool,
    MaxPool1D: lower_pool,
    AvgPool2D: lower_pool,
    AvgPool1D: lower_pool,
    GlobalMaxPool2D: lower_pool,
    GlobalMaxPool1D: lower_pool,
    GlobalAvgPool2D: lower_pool,
    GlobalAvgPool1D: lower_pool,
    AdaptiveMaxPool2D: lower_adaptive,
    AdaptiveAvgPool2D: lower_adaptive,
    UpSampling2D: lower_upsampling,
    UpSampling1D: lower_upsampling,
    ZeroPadding2D: lower_padding,
    ZeroPadding1D: lower_padding,
    Cropping2D: lower_cropping,
    Cropping1D: lower_cropping,
    BatchNorm: lower_batch_norm,
    Embedding: lower_embedding,
    ReLU: lower_map("relu"),
    LeakyReLU: lower_map("leaky", "negative_slope"),
    Sigmoid: lower_map("sigmoid"),
    Tanh: lower_map("tanh"),
    Softmax: lower_softmax,
    Rescale: lower_map("affine", "scale", "offset"),
    Flatten: lower_alias,
    Reshape: lower_alias,
    Identity: lower_alias,
    Dropout: lower_dropout,
    GaussianNoise: lower_variation,
    RandomShift: lower_variation,
    RandomRotation: lower_variation,
    RandomZoom: lower_variation,
    RandomFlip: lower_variation,
    Cutout: lower_variation,
    Standardize: lower_standardize,
    Add: lower_merge,
    Concatenate: lower_merge,
}
