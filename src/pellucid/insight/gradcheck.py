"""gradcheck: every gradient against central differences, both numbers shown.

A gradient g is right when, along any direction d, the loss changes as it says:

    (L(θ + εd) − L(θ − εd)) / 2ε  ≈  g·d                     with an error of order ε²

One random direction tests all entries of an array at once with two forward passes; single entries
are then tested too, because they are easier to understand when something is wrong. Everything
runs in a float64 copy with the same dropout masks, and nothing of the network changes.

At a kink (a tie in max pooling, z = 0 in a ReLU, as blank pixels and biases of 0 make them) there
is no derivative to agree with: the slopes on the two sides differ,

    (L(θ + εd) − L(θ)) / ε  ≠  (L(θ) − L(θ − εd)) / ε       whatever the ε

and any gradient between them will do. What does not agree there is compared once more beside it,
after a little noise on parameters and inputs of the copy, where a wrong gradient is as wrong. A
mistake made at ties alone is not seen there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import compile_network
from pellucid.errors import GradientError, OptionError, ShapeError
from pellucid.layers.base import Cache, Layer, as_float, shape_text
from pellucid.losses import Loss
from pellucid.network.network import Network
from pellucid.network.symbols import Input
from pellucid.random import Stream
from pellucid.training.batches import ArrayBatches
from pellucid.training.checked import as_data
from pellucid.training.sources import unpacked

Array = NDArray[Any]
_KINKS_FROM = 1e-6  # errors from here on are looked at again where there is a kink
_SHARES = 1e-3, 1e-2  # of noise beside a kink, on parameters and on inputs


class Comparison(NamedTuple):
    """One number by backpropagation beside the same by central differences."""

    array: str
    what: str
    analytic: float
    numeric: float
    error: float
    kink: bool = False  # there was a kink, so both numbers are those of a point beside it


@dataclass(frozen=True, repr=False)
class GradientReport:
    """All comparisons of a gradient check; `passed` and the worst one."""

    comparisons: list[Comparison]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every error is below the tolerance."""
        return all(c.error <= self.tolerance for c in self.comparisons)

    @property
    def worst(self) -> Comparison:
        """The comparison with the largest error."""
        return max(self.comparisons, key=lambda c: c.error)

    def rows(self) -> list[tuple[Comparison, str]]:
        """The worst comparison of each array, and the verdict on all of its own."""
        found = []
        for name in dict.fromkeys(c.array for c in self.comparisons):
            worst = max((c for c in self.comparisons if c.array == name), key=lambda c: c.error)
            mark = "ok" if worst.error <= self.tolerance else f"WRONG, at {worst.what}"
            if any(c.kink for c in self.comparisons if c.array == name):
                mark += "; at a kink: checked beside it"
            found.append((worst, mark))
        return found

    def __str__(self) -> str:
        rows = self.rows()
        width = max((len(worst.array) for worst, _ in rows), default=0)
        lines = [f"{'':{width}}    backpropagation  central difference  relative error"]
        for worst, mark in rows:
            lines.append(
                f"{worst.array:<{width}}  {worst.analytic:>17.9g} {worst.numeric:>19.9g} "
                f"{worst.error:>15.1e}  {mark}"
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from pellucid.insight.html import report_html

        return report_html(self)


def gradcheck(
    target: Network | Layer | Loss, x: Any, y: Any = None, *, sample_weight: Any = None,
    directions: int = 3, entries: int = 5, tolerance: float = 1e-6, seed: int = 0,
) -> GradientReport:  # fmt: skip
    """Checks the gradients of a network, a layer or a loss, and returns the comparisons.

    Parameters
    ----------
    target : Network with a loss, Layer, or Loss
    x, y : a batch; for a layer only `x` (a tuple where it takes several), for a loss the targets
        `x` and the predictions `y`
    directions, entries : random directions and single entries tested of each array
    tolerance : largest relative error, |a − n| / max(|a|, |n|, 1e-3·largest gradient entry, 1e-8)

    Raises
    ------
    GradientError
        Naming the failing arrays with both numbers.

    >>> from pellucid import Dense
    >>> gradcheck(Dense(2), np.ones((3, 4))).passed
    True
    """
    if isinstance(target, Loss):
        report = _check_loss(target, x, y, directions, entries, tolerance, seed)
    elif isinstance(target, Layer | Network):
        x, y, sample_weight = unpacked(x, y, sample_weight)
        net = target if isinstance(target, Network) else _around(target, x)
        if isinstance(target, Layer):
            x = _named_inputs(net, x)
            outputs = net.activations(x, *_ends(net))
            _check_spec(target, net, outputs)
            y = {name: np.zeros_like(a) for name, a in outputs.items()}
        report = _check_network(net, x, y, sample_weight, directions, entries, tolerance, seed)
    else:
        raise OptionError(f"gradcheck takes a network, a layer or a loss, not {target!r}")
    if not report.passed:
        bad = dict.fromkeys(c.array for c in report.comparisons if c.error > tolerance)
        raise GradientError(
            f"the gradient of {', '.join(bad)} does not agree with central differences\n{report}"
        )
    return report


def _check_network(
    net: Network, x: Any, y: Any, sample_weight: Any, directions: int, entries: int,
    tolerance: float, seed: int,
) -> GradientReport:  # fmt: skip
    net.inputs_for(x)
    twin = net.clone(dtype="float64", engine="numpy")  # the layers' own forward and backward
    twin.parameters.vector[...], twin.state.vector[...] = net.parameters.vector, net.state.vector
    twin.updates = net.updates
    data = as_data(twin, x, y, sample_weight)
    parts = ArrayBatches(twin, data, None, max(data.rows, 1)).get(0)
    if not parts:
        raise OptionError("gradcheck needs at least one row")
    batch = parts[0]._replace(inputs={k: np.array(a) for k, a in parts[0].inputs.items()})
    program = compile_network(twin, input_gradients=True)

    def value() -> float:
        program.begin()
        program.forward(batch)
        return program.loss()

    def gradients() -> dict[str, Array]:
        value()
        slopes = {k: np.array(d) for k, d in program.backward().items()}
        return {k: g.copy() for k, g in program.gradients.items()} | slopes

    scales = dict.fromkeys(twin.parameters, _SHARES[0])
    scales |= dict.fromkeys(batch.inputs, _SHARES[1])
    point = _Point({**twin.parameters, **batch.inputs}, scales, value, gradients)
    return GradientReport(_compared(point, directions, entries, tolerance, seed), tolerance)


def _check_loss(
    loss: Loss, y_true: Any, y_pred: Any, directions: int, entries: int, tolerance: float, seed: int
) -> GradientReport:
    prediction = np.array(as_float(y_pred), np.float64)
    target = loss.prepare(np.asarray(y_true), prediction.shape[1:])

    def value() -> float:
        return float(loss.forward(target, prediction, Cache()).sum())

    values = loss.forward(target, prediction, Cache())
    if np.shape(values) != (len(prediction),):
        raise ShapeError(
            f"{loss!r}: forward gives shape {np.shape(values)} for {len(prediction)} rows; it must "
            f"give each row's own value, ({len(prediction)},), and leave the mean over rows to fit"
        )

    def gradients() -> dict[str, Array]:
        cache = Cache()
        loss.forward(target, prediction, cache)
        return {"y_pred": loss.backward(cache)}

    point = _Point({"y_pred": prediction}, {"y_pred": _SHARES[1]}, value, gradients)
    return GradientReport(_compared(point, directions, entries, tolerance, seed), tolerance)


class _Point(NamedTuple):
    """The arrays at which a loss is looked at: its value there, and all its gradients."""

    arrays: dict[str, Array]  # written, and put back
    scales: dict[str, float]  # how far beside a kink to look, in shares of the largest entry or 1
    value: Callable[[], float]
    gradients: Callable[[], dict[str, Array]]


def _compared(
    point: _Point, directions: int, entries: int, tolerance: float, seed: int
) -> list[Comparison]:
    """Compares every gradient at the point, and where that is a kink, beside it."""
    gradients = point.gradients()
    found: list[Comparison] = []
    doubtful: list[tuple[int, Array]] = []  # which comparison, and its direction
    for name, gradient in gradients.items():
        shape = point.arrays[name].shape
        if gradient.shape != shape:
            raise GradientError(f"{name} has shape {shape}, its gradient {gradient.shape}")
        for what, direction in _directions(name, shape, directions, entries, seed):
            found.append(_compare(point, name, what, direction, gradient))
            if found[-1].kink and found[-1].error > min(tolerance, _KINKS_FROM):
                doubtful.append((len(found) - 1, direction))
            else:
                found[-1] = found[-1]._replace(kink=False)
    start = {name: array.copy() for name, array in point.arrays.items()}
    for attempt in range(3):  # a step may meet a kink there too
        if not doubtful:
            break
        for name in gradients:
            _nudge(point, name, start[name], seed, attempt)
        gradients = point.gradients()
        for i, direction in doubtful:
            name, what = found[i].array, found[i].what
            beside = _compare(point, name, what, direction, gradients[name])
            found[i] = beside._replace(kink=True)
        doubtful = [(i, d) for i, d in doubtful if found[i].error > min(tolerance, _KINKS_FROM)]
    for name, array in point.arrays.items():
        array[...] = start[name]
    return found


def _nudge(point: _Point, name: str, start: Array, seed: int, attempt: int) -> None:
    """Moves an array by a little noise."""
    share = point.scales[name] * max(float(np.abs(start).max(initial=0)), 1.0)
    noise = Stream(seed, "beside a kink", name, draw=attempt).normal(start.shape, std=share)
    point.arrays[name][...] = start + noise


def _compare(point: _Point, name: str, what: str, direction: Array, gradient: Array) -> Comparison:
    """Compares the slope along one direction of one array; `kink` says that its sides differ."""
    array, here = point.arrays[name], point.value()
    # below this nothing can be told from rounding: a bias before BatchNorm has a gradient of 0
    floor = max(1e-3 * float(np.abs(gradient).max()), 1e-5 * max(abs(here), 0.1))
    start, analytic = array.copy(), float((gradient * direction).sum())
    numeric, error, jump = 0.0, np.inf, 0.0
    for epsilon in (1e-5, 1e-6, 1e-4, 1e-7):  # a kink inside one step is missed by another
        array[...] = start + epsilon * direction
        above = point.value()
        array[...] = start - epsilon * direction
        below = point.value()
        tried = (above - below) / (2 * epsilon)
        wrong = abs(analytic - tried) / max(abs(analytic), abs(tried), floor)
        if not wrong >= error:
            numeric, error = tried, wrong
            jump = abs(above - 2 * here + below) / epsilon  # between the slopes of the two sides
        if error < 1e-8:
            break
    array[...] = start
    # a smooth loss has a jump of ε times its second derivative, which explains no error
    kink = jump > 1e-3 * abs(analytic - numeric)
    return Comparison(name, what, analytic, numeric, float(error), kink)


def _directions(
    name: str, shape: tuple[int, ...], directions: int, entries: int, seed: int
) -> Iterator[tuple[str, Array]]:
    stream, size = Stream(seed, "gradcheck", name), int(np.prod(shape))
    if not size:
        return
    for _ in range(directions):
        yield "a random direction", stream.normal(shape)
    for flat in stream.permutation(size)[:entries]:
        direction = np.zeros(shape)
        place = np.unravel_index(int(flat), shape)
        direction[place] = 1.0
        yield f"entry [{', '.join(map(str, place))}]", direction


class _Projection(Loss):
    """The sum of a layer's outputs times fixed random numbers: tests every output at once."""

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        cache.weights = Stream(0, "projection").normal(y_pred.shape)
        products: Array = cache.weights * y_pred
        total: Array = products.reshape(len(y_pred), -1).sum(axis=1)
        return total

    def backward(self, cache: Cache) -> Array:
        weights: Array = cache.weights
        return weights


def _around(layer: Layer, x: Any) -> Network:
    """A network of one layer whose loss looks at every output."""
    arrays = [np.asarray(a) for a in (x if isinstance(x, tuple) else (x,))]
    kind = "int" if layer.takes_integers else "float"
    inputs = [Input(a.shape[1:], kind, name=f"x{i}") for i, a in enumerate(arrays)]  # type: ignore[arg-type]
    outputs = layer(*inputs)
    names = list(outputs) if isinstance(outputs, tuple) else [outputs]
    net = Network(inputs=inputs, outputs=names, dtype="float64")
    net.loss = {name: _Projection() for name in net.graph.outputs}
    for name, array in net.parameters.items():  # zeros and ones would hide mistakes
        array[...] = Stream(0, "gradcheck", name).normal(array.shape, std=0.5) + 0.1
    return net


def _check_spec(layer: Layer, net: Network, outputs: dict[str, Array]) -> None:
    """Refuses a layer that promises another shape than it gives."""
    for array, spec in zip(outputs.values(), net.graph.output_specs.values(), strict=True):
        got = array.shape[1:]
        if len(got) != len(spec.shape) or any(
            want not in (None, n) for want, n in zip(spec.shape, got, strict=True)
        ):
            raise ShapeError(
                f"{layer!r}: forward gives {array.shape}, but output_spec says "
                f"{shape_text(spec.shape)} (without one of its own, a layer promises the shape of "
                "its input): write output_spec"
            )


def _named_inputs(net: Network, x: Any) -> dict[str, Any]:
    return dict(zip(net.graph.inputs, x if isinstance(x, tuple) else (x,), strict=True))


def _ends(net: Network) -> list[str]:
    """The nodes that give the outputs."""
    return [net.graph.nodes[source.node].name for source in net.graph.outputs.values()]
