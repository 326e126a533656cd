"""Lowering: from the nodes of a network to the instructions of a program.

Each kind of layer has one function here. It emits the instructions of its forward pass and leaves
behind a function that emits those of its backward pass; these run in reverse order after the
losses have been lowered. Buffers are only named here; `plan` gives them places in one arena, where
those that are never needed at the same time may share memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from pellucid.engine.base import NotLowered
from pellucid.engine.opcodes import MAPS, Buffer, Instruction
from pellucid.layers import (
    Add,
    Concatenate,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Layer,
    LeakyReLU,
    ReLU,
    Rescale,
    Reshape,
    Sigmoid,
    Standardize,
    Tanh,
)
from pellucid.losses import MSE, BinaryCrossEntropy, CrossEntropy
from pellucid.metrics import Accuracy
from pellucid.network.graph import Node, Source
from pellucid.optimizers import SGD, Adam, AdamW, Run, joined
from pellucid.penalties import L1, L2
from pellucid.random import philox_key

if TYPE_CHECKING:
    from pellucid.metrics import Metric
    from pellucid.network.network import Network

ALIGNMENT = 64


class Table(NamedTuple):
    """A lowered network: the instructions of each phase and the buffers that matter outside."""

    forward: list[Instruction]
    loss: list[Instruction]
    backward: list[Instruction]
    inputs: dict[str, Buffer]
    targets: dict[str, Buffer]
    weight: Buffer
    outputs: dict[str, Buffer]
    values: dict[str, Buffer]  # every node's output that is kept somewhere, by name
    slopes: dict[str, Buffer]  # the gradients by them
    input_slopes: dict[str, Buffer]


class Lowering:
    """A network being lowered: what has been emitted, and where each array is."""

    def __init__(
        self,
        net: Network,
        wanted: set[Source],
        *,
        fuse: bool,
        rows_for: frozenset[str] = frozenset(),
    ) -> None:
        """`rows_for` names the outputs whose classes come as rows of probabilities."""
        self.net, self.graph, self.wanted, self.fuse = net, net.graph, wanted, fuse
        self.rows_for = rows_for
        self.code: list[Instruction] = []
        self.at: dict[Source, Buffer] = {}
        self.slopes: dict[Source, Buffer] = {}
        self._later: list[tuple[str, Callable[[], None]]] = []
        self._node = ""

    # ---- what the layers' functions use ---------------------------------------------------------

    def emit(self, op: str, buffers: dict[str, Buffer | None], **numbers: float) -> None:
        """Adds an instruction."""
        self.code.append(Instruction(op, buffers, numbers, self._node))

    def later(self, backward: Callable[[], None]) -> None:
        """Emits the node's backward pass when its turn comes."""
        self._later.append((self._node, backward))

    def parameter(self, node: Node, key: str) -> Buffer:
        """A parameter, in the flat vector."""
        return self._stretch(self.net.parameters, f"{node.owner}/{key}", "theta")

    def gradient(self, node: Node, key: str) -> Buffer:
        """Its gradient."""
        return self._stretch(self.net.parameters, f"{node.owner}/{key}", "gradient")

    def state(self, node: Node, key: str) -> Buffer:
        """A running statistic."""
        return self._stretch(self.net.state, f"{node.owner}/{key}", "state")

    def _stretch(self, flat: Any, name: str, region: str) -> Buffer:
        start = flat.stretch(name)[0] * self.net.dtype.itemsize
        return Buffer(name, flat[name].shape, False, region, start)

    def send(self, source: Source) -> tuple[Buffer, int] | None:
        """Where the gradient by an array goes, and whether it is added; None if nobody wants it."""
        if source not in self.wanted:
            return None
        if source in self.slopes:
            return self.slopes[source], 1
        value = self.at[source]
        self.slopes[source] = Buffer(f"d/{value.name}", value.shape)
        return self.slopes[source], 0

    def pass_on(self, source: Source, dy: Buffer) -> None:
        """The gradient by an array is `dy` itself, in another shape; or a copy that is watched."""
        if source in self.wanted and source not in self.slopes and self.fuse:
            value = self.at[source]
            self.slopes[source] = dy.reshaped(f"d/{value.name}", value.shape)
            return
        entry, n = self.send(source), dy.size
        if entry is not None:
            self.emit("copy", {"y": entry[0], "x": dy}, width=n, y_width=n, y_start=0, x_width=n,
                      x_start=0, accumulate=entry[1])  # fmt: skip

    # ---- the whole network ----------------------------------------------------------------------

    def run(self) -> Table:
        """Lowers everything; NotLowered names the first node that cannot be."""
        graph = self.graph
        inputs: dict[str, Buffer] = {}
        fused: set[int] = set()
        for index, node in enumerate(graph.nodes):
            self._node = node.name
            if None in node.spec.shape:
                raise NotLowered(f"{node.name} has a length that is not known beforehand")
            shape: Any = node.spec.shape
            if node.layer is None:
                if node.spec.dtype == "int":
                    raise NotLowered(f"{node.name} carries whole numbers")
                inputs[node.name] = self.at[Source(index)] = Buffer(node.name, shape)
                continue
            if index in fused:
                continue
            lower = _LAYERS.get(type(node.layer))
            if lower is None:
                raise NotLowered(f"{node.name} ({node.layer!r}) has no instructions yet")
            follower = self._activation_after(index) if type(node.layer) is Dense else None
            if follower is not None:
                fused.add(follower)
            lower(self, index, node, follower)
        forward = self.code
        loss, targets, weight = self._losses()
        self.code = []
        for name, backward in reversed(self._later):
            self._node = name
            backward()
        names = {i: node.name for i, node in enumerate(graph.nodes)}
        return Table(
            forward, loss, self.code, inputs, targets, weight,
            {name: self.at[source] for name, source in graph.outputs.items()},
            {names[s.node]: b for s, b in self.at.items() if s.node not in self._hidden},
            {names[s.node]: b for s, b in self.slopes.items()},
            {n: self.slopes[s] for n, s in self._input_sources().items() if s in self.slopes},
        )  # fmt: skip

    def _input_sources(self) -> dict[str, Source]:
        nodes = enumerate(self.graph.nodes)
        return {node.name: Source(i) for i, node in nodes if node.layer is None}

    @property
    def _hidden(self) -> set[int]:
        """Nodes whose own output is never stored, since the one after is computed at once."""
        return {i for i, node in enumerate(self.graph.nodes) if Source(i) not in self.at}

    def _activation_after(self, index: int) -> int | None:
        """The ReLU that alone reads a dense layer, to be computed with it."""
        readers = self.graph.consumers(index)
        is_output = any(source.node == index for source in self.graph.outputs.values())
        if not self.fuse or len(readers) != 1 or is_output:
            return None
        layer = self.graph.nodes[readers[0]].layer
        return readers[0] if type(layer) in (ReLU, LeakyReLU) else None

    def _losses(self) -> tuple[list[Instruction], dict[str, Buffer], Buffer]:
        self.code, targets, weight = [], {}, Buffer("weight", ())
        for name, source in self.graph.outputs.items():
            loss, p = self.net.losses[name], self.at[source]
            self._node = name
            entry = self.send(source)
            dp = entry[0] if entry else Buffer(f"d/{name}", p.shape)
            common: dict[str, Any] = {"dp": dp, "p": p, "y": None, "weight": weight}
            if type(loss) is MSE or (
                type(loss) is BinaryCrossEntropy and loss.positive_weight is None
            ):
                common["y"] = targets[name] = Buffer(f"y/{name}", p.shape)
                op = "mse" if type(loss) is MSE else "binary_cross_entropy"
                self.emit(op, common, N=max(p.size, 1), scale=loss.scale)
            elif type(loss) is CrossEntropy and len(p.shape) == 1 and name in self.rows_for:
                common["y"] = targets[name] = Buffer(f"y/{name}", p.shape)
                self.emit("cross_entropy_rows", common, K=p.size, scale=loss.scale)
            elif type(loss) is CrossEntropy and len(p.shape) == 1:
                common["y"] = targets[name] = Buffer(f"y/{name}", (), integer=True)
                self.emit("cross_entropy", common, K=p.size, scale=loss.scale)
            else:
                raise NotLowered(f"the loss of {name} ({loss!r}) has no instructions yet")
        return self.code, targets, weight


# ---- one function a layer ---------------------------------------------------------------------


def _dense(low: Lowering, index: int, node: Node, follower: int | None) -> None:
    layer: Any = node.layer
    x, W = low.at[node.inputs[0]], low.parameter(node, "W")
    size = {"I": W.shape[0], "O": W.shape[1]}
    last = node if follower is None else low.graph.nodes[follower]
    y = Buffer(last.name, node.spec.shape)  # type: ignore[arg-type]
    b = low.parameter(node, "b") if layer.use_bias else None
    act, slope = 0, 0.0
    if follower is not None:
        slope = float(getattr(last.layer, "negative_slope", 0.0))
        act = 2 if slope else 1
        low.at[Source(follower)] = y
    else:
        low.at[Source(index)] = y
    low.emit("matmul", {"y": y, "x": x, "W": W, "b": b}, **size, act=act, slope=slope)

    def backward() -> None:
        source = Source(index if follower is None else follower)
        dy = low.slopes.get(source)
        if dy is None:
            return
        if follower is not None:
            dz = Buffer(f"d/{node.name}", y.shape)
            kind = MAPS.index("leaky" if slope else "relu")
            low.emit("map_grad", {"dx": dz, "dy": dy, "y": y}, kind=kind, a=slope, accumulate=0)
            dy = dz
        low.emit("matmul_dw", {"dW": low.gradient(node, "W"), "x": x, "dy": dy}, **size)
        if layer.use_bias:
            low.emit("rowsum", {"db": low.gradient(node, "b"), "dy": dy}, O=size["O"])
        entry = low.send(node.inputs[0])
        if entry is not None:
            low.emit("matmul_dx", {"dx": entry[0], "dy": dy, "W": W}, **size, accumulate=entry[1])

    low.later(backward)


def _map(kind: str, a: str | float = 0.0, b: str | float = 0.0) -> Callable[..., None]:
    """The function for an elementwise layer; `a` and `b` are numbers or the names of its fields."""

    def lower(low: Lowering, index: int, node: Node, _: int | None) -> None:
        values = [v if isinstance(v, float) else float(getattr(node.layer, v)) for v in (a, b)]
        x = low.at[node.inputs[0]]
        y = low.at[Source(index)] = Buffer(node.name, node.spec.shape)  # type: ignore[arg-type]
        number = MAPS.index(kind)
        low.emit("map", {"y": y, "x": x}, kind=number, a=values[0], b=values[1])

        def backward() -> None:
            dy, entry = low.slopes.get(Source(index)), None
            if dy is not None:
                entry = low.send(node.inputs[0])
            if entry is not None:
                low.emit("map_grad", {"dx": entry[0], "dy": dy, "y": y}, kind=number,
                         a=values[0], accumulate=entry[1])  # fmt: skip

        low.later(backward)

    return lower


def _alias(low: Lowering, index: int, node: Node, _: int | None) -> None:
    x = low.at[node.inputs[0]]
    low.at[Source(index)] = x.reshaped(node.name, node.spec.shape)  # type: ignore[arg-type]

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        if dy is not None:
            low.pass_on(node.inputs[0], dy)

    low.later(backward)


def _dropout(low: Lowering, index: int, node: Node, _: int | None) -> None:
    layer: Any = node.layer
    if layer.rate == 0:
        _alias(low, index, node, None)
        return
    x = low.at[node.inputs[0]]
    y = low.at[Source(index)] = Buffer(node.name, x.shape)
    mask = Buffer(f"{node.name}/mask", x.shape)
    key = [int(word) for word in philox_key(low.net.seed, "layer", node.name)]
    low.emit("dropout", {"y": y, "x": x, "mask": mask}, rate=layer.rate, key0=key[0], key1=key[1],
             draw=0)  # fmt: skip

    def backward() -> None:
        dy, entry = low.slopes.get(Source(index)), None
        if dy is not None:
            entry = low.send(node.inputs[0])
        if entry is not None:
            low.emit("multiply", {"dx": entry[0], "dy": dy, "mask": mask}, accumulate=entry[1])

    low.later(backward)


def _standardize(low: Lowering, index: int, node: Node, _: int | None) -> None:
    x = low.at[node.inputs[0]]
    y = low.at[Source(index)] = Buffer(node.name, x.shape)
    stats = {key: low.state(node, key) for key in ("mean", "variance")}
    low.emit("standardize", {"y": y, "x": x, **stats}, C=x.shape[-1])

    def backward() -> None:
        dy, entry = low.slopes.get(Source(index)), None
        if dy is not None:
            entry = low.send(node.inputs[0])
        if entry is not None:
            low.emit("standardize_dx", {"dx": entry[0], "dy": dy, **stats}, C=x.shape[-1],
                     accumulate=entry[1])  # fmt: skip

    low.later(backward)


def _merge(low: Lowering, index: int, node: Node, _: int | None) -> None:
    """Add and Concatenate along the last axis: both are copies of stretches of rows."""
    layer: Any = node.layer
    adding = isinstance(layer, Add)
    shape: Any = node.spec.shape
    if not adding and layer.axis not in (-1, len(shape)):
        raise NotLowered(f"{node.name} ({layer!r}) joins along another axis than the last")
    y = low.at[Source(index)] = Buffer(node.name, shape)
    start, places = 0, []
    for number, source in enumerate(node.inputs):
        x = low.at[source]
        width = prod(shape) if adding else x.shape[-1]
        place = {"width": width, "y_width": prod(shape) if adding else shape[-1], "y_start": start,
                 "x_width": width, "x_start": 0}  # fmt: skip
        low.emit("copy", {"y": y, "x": x}, **place, accumulate=int(adding and number > 0))
        places.append((source, place))
        start += 0 if adding else width

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        for source, place in places if dy is not None else ():
            entry = low.send(source)
            if entry is not None:
                low.emit(
                    "copy", {"y": entry[0], "x": dy}, width=place["width"],
                    y_width=place["x_width"], y_start=0, x_width=place["y_width"],
                    x_start=place["y_start"], accumulate=entry[1],
                )  # fmt: skip

    low.later(backward)


_LAYERS: dict[type[Layer], Callable[[Lowering, int, Node, int | None], None]] = {
    Dense: _dense,
    ReLU: _map("relu"),
    LeakyReLU: _map("leaky", "negative_slope"),
    Sigmoid: _map("sigmoid"),
    Tanh: _map("tanh"),
    Rescale: _map("affine", "scale", "offset"),
    Flatten: _alias,
    Reshape: _alias,
    Identity: _alias,
    Dropout: _dropout,
    Standardize: _standardize,
    Add: _merge,
    Concatenate: _merge,
}


# ---- the update and the metrics ------------------------------------------------------------------


def lower_update(net: Network) -> list[Instruction]:
    """Penalty, clipping and the optimizer's step, on every stretch that may be changed."""
    optimizer, penalty = net.optimizer, net.penalty
    if optimizer is None:
        return []
    if type(optimizer) not in (SGD, Adam, AdamW):
        raise NotLowered(f"the optimizer {optimizer!r} has no instructions yet")
    if type(penalty) not in (type(None), L1, L2):
        raise NotLowered(f"the penalty {penalty!r} has no instructions yet")
    code: list[Instruction] = []
    size = net.dtype.itemsize

    def at(region: str, run: Run) -> Buffer:
        name = f"{region}[{run.start}:{run.stop}]"
        return Buffer(name, (run.stop - run.start,), False, region, run.start * size)

    def each(op: str, buffers: dict[str, str], runs: list[Run], **numbers: float) -> None:
        for run in runs:
            places: dict[str, Buffer | None] = {key: at(r, run) for key, r in buffers.items()}
            code.append(Instruction(op, places, dict(numbers), "update"))

    tagged = net.stretches()
    decaying = [run for run in tagged if run.decay]
    if isinstance(penalty, L1 | L2):
        rates = {"l1": 0.0, "l2": 0.0} | {type(penalty).__name__.lower(): penalty.rate}
        each("penalize", {"g": "gradient", "theta": "theta"}, decaying, **rates)
    if optimizer.clip_value is not None:
        each("clamp", {"g": "gradient"}, tagged, limit=optimizer.clip_value)
    if optimizer.clip_norm is not None:
        total = Buffer("norm", (2,), batch=False, double=True)
        for number, run in enumerate(tagged):
            places: dict[str, Buffer | None] = {"total": total, "g": at("gradient", run)}
            code.append(Instruction("square_sum", places, {"start": number == 0}, "update"))
        for run in tagged:
            places = {"g": at("gradient", run), "total": total}
            code.append(Instruction("shrink", places, {"limit": optimizer.clip_norm}, "update"))
    for run in joined(tagged, optimizer.weight_decay > 0):
        decay = optimizer.weight_decay if run.decay else 0.0
        if isinstance(optimizer, SGD):
            code.append(Instruction("sgd", {
                "theta": at("theta", run), "g": at("gradient", run),
                "velocity": at("slot0", run) if optimizer.momentum else None,
            }, {"momentum": optimizer.momentum, "nesterov": optimizer.nesterov, "decay": decay},
                "update"))  # fmt: skip
        else:
            assert isinstance(optimizer, Adam | AdamW)
            each("adam", {"theta": "theta", "g": "gradient", "m": "slot0", "v": "slot1"}, [run],
                 beta_1=optimizer.beta_1, beta_2=optimizer.beta_2, epsilon=optimizer.epsilon,
                 decay=decay, decoupled=isinstance(optimizer, AdamW))  # fmt: skip
    return code


def lower_metrics(table: Table, metrics: Sequence[tuple[str, Metric]]) -> list[Instruction] | None:
    """The metrics' instructions; None where one of them has to be computed in Python."""
    code: list[Instruction] = []
    for output, metric in metrics:
        p, y = table.outputs[output], table.targets[output]
        if type(metric) is not Accuracy or not y.integer:
            return None
        places: dict[str, Buffer | None] = {"p": p, "y": y, "weight": table.weight}
        code.append(Instruction("accuracy", places, {"K": p.size}, output))
    return code


# ---- places in the arena ------------------------------------------------------------------------


def plan(
    table: Table, after: Sequence[Instruction], rows: int, itemsize: int, *, reuse: bool
) -> int:
    """Gives every buffer of the arena its offset for batches of `rows`; returns the arena's bytes.

    A buffer lives from the instruction that first writes it to the last that reads it; what comes
    in is there from the start, what goes out stays to the end. Two buffers whose lives do not
    meet may share memory (first fit, largest gap first is not needed at this size).
    """
    code = [*table.forward, *table.loss, *table.backward, *after]
    born: dict[Buffer, int] = {}
    dies: dict[Buffer, int] = {}
    for time, instruction in enumerate(code):
        for buffer in instruction.buffers.values():
            if buffer is not None and buffer.region == "arena":
                born.setdefault(buffer.root, time)
                dies[buffer.root] = time
    for buffer in [*table.inputs.values(), *table.targets.values(), table.weight]:
        born[buffer.root] = -1
        dies.setdefault(buffer.root, -1)
    for buffer in [*table.outputs.values(), *table.input_slopes.values()]:
        dies[buffer.root] = len(code)
    placed: list[tuple[int, int, Buffer]] = []
    top = 0
    for buffer in sorted(born, key=lambda b: born[b]):
        count = buffer.size * (rows if buffer.batch else 1)
        size = (
            -(-count * (8 if buffer.integer or buffer.double else itemsize) // ALIGNMENT)
            * ALIGNMENT
        )
        offset = 0
        for start, end, other in sorted(placed, key=lambda item: item[0]):
            apart = reuse and (dies[other] < born[buffer] or dies[buffer] < born[other])
            if not apart and start < offset + size and offset < end:
                offset = end
        buffer.offset = offset
        placed.append((offset, offset + size, buffer))
        top = max(top, offset + size)
    for instruction in code:
        for each in instruction.buffers.values():
            if each is not None and each.alias is not None:
                each.offset = each.root.offset
    for each in [*table.values.values(), *table.slopes.values(), *table.outputs.values()]:
        each.offset = each.root.offset if each.region == "arena" else each.offset
    return top
