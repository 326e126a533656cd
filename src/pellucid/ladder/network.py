"""Rung 6: layers that remember what they need, and a network of them that trains.

Each class is looked at by itself. The loop (`train_step`, `train_epoch`) is tried on layers of the
checker's own, so that what is said of it is about it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.ladder.descent import EARLY, judge_batches, judge_step, rows_seen
from pellucid.ladder.pieces import (
    FORWARD_SLIPS,
    LOSS_GRADIENT_SLIPS,
    LOSS_SLIPS,
    check_large,
    cross_entropy,
    cross_entropy_gradient,
    dense_cases,
    difference,
    judge_backward,
    loss_cases,
    normal,
    right_or_slip,
)
from pellucid.ladder.verdict import BLANK, Caller, Slip, Verdict, compare, name_slip, same

Array = NDArray[Any]


class _Dense:
    """A dense layer as rung 6 describes it."""

    def __init__(self, W: Array, b: Array) -> None:
        self.W, self.b = W.copy(), b.copy()
        self.dW, self.db = np.zeros_like(W), np.zeros_like(b)
        self.calls: list[str] = []

    def forward(self, x: Array) -> Array:
        self.calls.append("forward")
        self.x = x
        return np.asarray(x @ self.W + self.b)

    def backward(self, dy: Array) -> Array:
        self.calls.append("backward")
        self.dW, self.db = self.x.T @ dy, dy.sum(axis=0)
        return np.asarray(dy @ self.W.T)


class _ReLU:
    def forward(self, z: Array) -> Array:
        self.z = z
        return np.maximum(z, 0)

    def backward(self, da: Array) -> Array:
        return np.asarray(da * (self.z > 0))


class _CrossEntropy:
    def __init__(self) -> None:
        self.seen: list[Array] = []

    def forward(self, scores: Array, labels: Array) -> float:
        self.scores, self.labels = scores, labels
        self.seen.append(np.array(labels))
        return cross_entropy(scores, labels)

    def backward(self) -> Array:
        return cross_entropy_gradient(self.scores, self.labels)


class _SGD:
    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def update(self, layers: Sequence[Any]) -> None:
        for layer in layers:
            if hasattr(layer, "W"):
                layer.W -= self.learning_rate * layer.dW
                layer.b -= self.learning_rate * layer.db


for _kind in (_Dense, _ReLU, _CrossEntropy, _SGD):
    _kind.__name__ = _kind.__name__.removeprefix("_")  # as errors name them


# ---- the classes --------------------------------------------------------------------------------


def check_dense(kind: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """Initial weights, forward, backward, and what must not carry over from step to step."""
    verdict = Verdict("Dense")
    rng = np.random.Generator(np.random.Philox(0))
    layer = call(verdict, "Dense(200, 100, rng)", kind, 200, 100, rng)
    if layer is None or not _has(verdict, layer, ("W", "b", "forward", "backward")):
        return verdict
    _check_start(verdict, np.asarray(layer.W), np.asarray(layer.b))

    def forward(x: Array, W: Array, b: Array) -> Any:
        made = kind(W.shape[0], W.shape[1], rng)
        made.W, made.b = W, b
        return made.forward(x)

    if verdict.right:
        aside = Verdict("forward")
        right_or_slip(aside, call, forward, dense_cases(), lambda x, W, b: x @ W + b,
                      FORWARD_SLIPS, ["y"])  # fmt: skip
        _adopt(verdict, aside, "forward")
    results, first = [], Verdict("backward")
    for x, W, b in dense_cases() if verdict.right else ():
        made, dy = kind(*W.shape, rng), normal(len(x), len(b), draw=3)
        made.W, made.b = W.copy(), b.copy()
        made.forward(x.copy())
        dx = call(first, "backward", made.backward, dy)
        if dx is None:
            break
        if not same(made.W, W) or not same(made.b, b):
            verdict.say("backward changes W or b: that is what the optimizer is for")
            verdict.slip(EARLY)
            return verdict
        if not _has(verdict, made, ("dW", "db")):
            return verdict
        results.append(((dy, x, W, b), (dx, made.dW, made.db)))
    _adopt(verdict, first, "")
    aside = Verdict("backward")
    judge_backward(aside, results)
    _adopt(verdict, aside, "backward")
    if verdict.right:
        _check_again(verdict, kind, rng)
    return verdict


def _check_start(verdict: Verdict, W: Array, b: Array) -> None:
    if W.shape != (200, 100) or b.shape != (100,):
        verdict.say(f"Dense(200, 100, rng) has W of shape {W.shape} and b of shape {b.shape}; they "
                    "should be (200, 100) and (100,)")  # fmt: skip
        if W.shape == (100, 200):
            verdict.slip("a transposed W: it is (in, out), so that y = x @ W + b")
        if b.shape == (1, 100):
            verdict.slip("b has an axis too many: it is (out,)")
        return
    if (W[:, :1] == W).all():
        verdict.say(f"all columns of the initial W are the same ({W[0, 0]:.4g}, …)")
        verdict.slip("units that start alike stay alike: draw W at random, rng.normal(...)")
        return
    spread, best = float(W.std()), float(np.sqrt(2 / 200))
    if spread > 3 * best or spread < best / 5 or abs(W.mean()) > best:
        verdict.say(f"the initial W has mean {W.mean():.3g} and standard deviation {spread:.3g}; "
                    f"for 200 inputs about {best:.3g} is right")  # fmt: skip
        verdict.slip("unscaled initial weights: multiply rng.normal by √(2 / inputs)")


def _check_again(verdict: Verdict, kind: Callable[..., Any], rng: Any) -> None:
    """A second step must not know of the first."""
    x, W, b = dense_cases()[0]
    dy = normal(len(x), len(b), draw=3)
    made = kind(*W.shape, rng)
    made.W, made.b = W.copy(), b.copy()
    for k in (3.0, 1.0):
        made.forward(k * x)
        made.backward(dy)
    if same(made.dW, x.T @ dy):
        return
    verdict.say("after a second forward and backward, dW is not that of the second batch")
    if same(made.dW, 4 * x.T @ dy):
        verdict.slip("gradients pile up from step to step: dW = …, not dW += …")
    if same(made.dW, 3 * x.T @ dy):
        verdict.slip("backward uses the x of an earlier batch: forward has to keep the new one")


def check_relu(kind: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """Forward and backward, neither of which may change what it is given."""
    verdict = Verdict("ReLU")
    made = call(verdict, "ReLU()", kind)
    if made is None or not _has(verdict, made, ("forward", "backward")):
        return verdict
    z, da = normal(4, 3), normal(4, 3, draw=1)
    a = call(verdict, "forward", made.forward, z)
    if a is None:
        return verdict
    compare(verdict, "forward", a, np.maximum(z, 0))
    kept = np.array(a)
    dz = call(verdict, "backward", made.backward, da)
    if dz is None or compare(verdict, "backward", dz, da * (z > 0)):
        if not same(a, kept):
            verdict.say("backward changes what forward gave")
            verdict.slip("the input is overwritten: make a new array, z * 2 instead of z *= 2")
        return verdict
    name_slip(verdict, [((z, da), dz)], [
        Slip("da is missing: dz = da · f′(z)", lambda z, da: (z > 0).astype(float)),
        Slip("f′ of da for f′ of z: the sign that counts is that of what came in", lambda z, da: np.maximum(da, 0)),
        Slip("f′ of da for f′ of z: the sign that counts is that of what came in", lambda z, da: (da > 0) * z),
        Slip("a in the place of f′(z): where z > 0 the derivative is 1", lambda z, da: da * np.maximum(z, 0)),
        Slip("z in the place of f′(z): where z > 0 the derivative is 1", lambda z, da: da * z),
        Slip("da passes on everywhere: it is 0 where z was below 0", lambda z, da: da),
        Slip("the wrong way round: da passes where z > 0", lambda z, da: da * (z <= 0)),
    ])  # fmt: skip
    return verdict


def check_loss(kind: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """The value, and after it the gradient."""
    verdict = Verdict("CrossEntropy")
    made = call(verdict, "CrossEntropy()", kind)
    if made is None or not _has(verdict, made, ("forward", "backward")):
        return verdict
    aside = Verdict("forward")
    right_or_slip(aside, call, made.forward, loss_cases(), cross_entropy, LOSS_SLIPS, ["the loss"])
    _adopt(verdict, aside, "forward")

    def backward(z: Array, y: Array) -> Any:
        made.forward(z, y)
        return made.backward()

    aside = Verdict("backward")
    right_or_slip(aside, call, backward, loss_cases(), cross_entropy_gradient,
                  LOSS_GRADIENT_SLIPS, ["the gradient"])  # fmt: skip
    _adopt(verdict, aside, "backward")
    z, y = loss_cases()[0]
    difference(verdict, "scores", lambda: made.forward(z, y), z, lambda: backward(z, y))
    if verdict.right:
        z, y = np.array([[1000.0, 0.0], [-1000.0, 0.0]]), np.array([0, 1])
        check_large(verdict, call(Verdict(""), "", made.forward, z, y), 0.0)
    return verdict


def check_sgd(kind: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """A step on two layers with weights and one without."""
    verdict = Verdict("SGD")
    made = call(verdict, "SGD(0.25)", kind, 0.25)
    if made is None or not _has(verdict, made, ("update",)):
        return verdict
    _, W, b = dense_cases()[0]
    dense = [_Dense(W, b), _Dense(W.T, np.zeros(3))]
    layers = [dense[0], _ReLU(), dense[1]]
    for k, layer in enumerate(dense):
        layer.dW, layer.db = normal(*layer.W.shape, draw=5 + k), normal(*layer.b.shape, draw=8 + k)
    before = [a.copy() for layer in dense for a in (layer.W, layer.b)]
    gradients = [a.copy() for layer in dense for a in (layer.dW, layer.db)]
    aside = Verdict("update")
    call(aside, "update", made.update, layers)
    _adopt(verdict, _but_none(aside), "")
    if verdict.right:
        after = [a for layer in dense for a in (layer.W, layer.b)]
        slopes = [a for layer in dense for a in (layer.dW, layer.db)]
        judge_step(verdict, before, after, slopes, 0.25, gradients)
    return verdict


# ---- the loop -----------------------------------------------------------------------------------


def _layers() -> list[Any]:
    return [
        _Dense(normal(4, 5, draw=20), normal(5, draw=21)), _ReLU(),
        _Dense(normal(5, 3, draw=22), normal(3, draw=23)),
    ]  # fmt: skip


def _weights(layers: list[Any]) -> tuple[Array, ...]:
    return tuple(np.array(a) for layer in (layers[0], layers[2]) for a in (layer.W, layer.b))


def _right_step(layers: list[Any], x: Array, y: Array, rate: float) -> float:
    return _step(layers, _CrossEntropy(), _SGD(rate), x, y)


def _early_step(layers: list[Any], x: Array, y: Array, rate: float) -> None:
    """Each layer's weights change before the gradient goes back through them."""
    for layer in layers:
        x = layer.forward(x)
    dy = cross_entropy_gradient(x, y)
    for layer in reversed(layers):
        if isinstance(layer, _ReLU):
            dy = layer.backward(dy)
            continue
        layer.backward(dy)
        _SGD(rate).update([layer])
        dy = dy @ layer.W.T


def _after(change: Callable[[list[Any]], object]) -> Callable[..., Any]:
    """The weights after something was done with fresh layers."""

    def gives(*args: Any) -> tuple[Array, ...]:
        layers = _layers()
        change(layers)
        return _weights(layers)

    return gives


def check_train_step(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """One step on layers, loss and optimizer of the checker's own."""
    verdict, rate = Verdict("train_step"), 0.5
    x, y = normal(6, 4, draw=24), np.array([0, 2, 1, 1, 0, 2])
    layers = _layers()
    before = _weights(layers)
    given = call(verdict, "train_step", function, layers, _CrossEntropy(), _SGD(rate), x, y)
    if verdict.lines and verdict.lines[0] != "train_step gives None: is there a return?":
        if "backward" in layers[0].calls and "backward" not in layers[2].calls:
            verdict.slip("the gradient goes from the last layer to the first: reversed(layers)")
        return verdict
    expected = _layers()
    value = _right_step(expected, x, y, rate)
    after, right = _weights(layers), _weights(expected)

    def twice(ls: list[Any]) -> None:
        _right_step(ls, x, y, rate)
        _SGD(rate).update(ls)

    if not same(after, right):
        which = next(k for k, (a, r) in enumerate(zip(after, right, strict=True)) if not same(a, r))
        name = ("W of the first layer", "b of the first layer", "W of the last layer",
                "b of the last layer")[which]  # fmt: skip
        if same(after, before):
            verdict.say("no weight has changed after the step")
        else:
            compare(verdict, f"after the step, {name}", after[which], right[which])
        name_slip(verdict, [((), after)], [
            Slip(EARLY, _after(lambda ls: _early_step(ls, x, y, rate))),
            Slip("the optimizer is not called: optimizer.update(layers)", lambda: before),
            Slip("two updates in one step", _after(twice)),
            Slip("the update comes before the gradients are there", lambda: before),
            Slip("uphill: the step goes against the gradient, so subtract", _after(lambda ls: _right_step(ls, x, y, -rate))),
            Slip("only the last layer is updated: give the optimizer all layers",
                 lambda: (*before[:2], *right[2:])),
            Slip("only the first layer is updated: give the optimizer all layers",
                 lambda: (*right[:2], *before[2:])),
        ])  # fmt: skip
        called = layers[0].calls
        if "backward" not in called:
            verdict.slips[:] = ["backward is not called on every layer, the last one first"]
    elif given is not None and not same(given, value):
        compare(verdict, "the loss that it returns", given, value)
        again = cross_entropy(_through(layers, x), y)
        if same(given, again):
            verdict.slip("the loss is that after the update: it belongs before it")
    return verdict


def _step(layers: list[Any], loss: Any, optimizer: Any, x: Array, labels: Array) -> float:
    """A step as rung 6 describes it."""
    value = float(loss.forward(_through(layers, x), labels))
    dy = loss.backward()
    for layer in reversed(layers):
        dy = layer.backward(dy)
    optimizer.update(layers)
    return value


def _through(layers: list[Any], x: Array) -> Array:
    for layer in layers:
        x = layer.forward(x)
    return x


def check_train_epoch(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """Which rows and labels each step saw, and the mean loss."""
    verdict = Verdict("train_epoch")
    rows, size = 10, 4
    x, y = normal(rows, 4, draw=25), np.arange(rows) % 3
    order = np.array([3, 7, 0, 9, 1, 4, 8, 2, 6, 5])
    layers, loss = _layers(), _CrossEntropy()
    seen: list[list[int]] = []
    first = layers[0].forward

    def watched(part: Array) -> Array:
        seen.append(rows_seen(part, x))
        return np.asarray(first(part))

    layers[0].forward = watched
    values: list[float] = []
    inner = loss.forward

    def told(scores: Array, labels: Array) -> float:
        values.append(inner(scores, labels))
        return values[-1]

    loss.forward = told  # type: ignore[method-assign]
    around = getattr(function, "__globals__", {})
    own = around.get("train_step")
    if own is not None:
        around["train_step"] = _step  # so that what is said is about the epoch alone
    try:
        given = call(verdict, "train_epoch", function, layers, loss, _SGD(0.1), x, y, size, order)
    finally:
        if own is not None:
            around["train_step"] = own
    if given is None and (not seen or any("raises" in line for line in verdict.lines)):
        return verdict
    judge_batches(verdict, seen, rows, size, order.tolist())
    labels = [list(part) for part in loss.seen]
    if verdict.right and labels != [y[batch].tolist() for batch in seen]:
        verdict.say("the labels of a batch are not those of its rows")
        verdict.slip("x and y do not belong together: take the same rows of both, y[order]")
    if verdict.right and given is not None:
        shares = [len(batch) for batch in seen]
        right = float(np.average(values, weights=shares))
        if not same(given, right):
            compare(verdict, "the mean loss", given, right)
            name_slip(verdict, [((), given)], [
                Slip("the mean of the batches' means: the short last batch counts as much as a full "
                     "one, so weigh each by its rows", lambda: np.mean(values)),
                Slip("the sum of the batches' losses: a mean over the rows is meant", lambda: np.sum(values)),
                Slip("this is the last batch's loss: a mean over all rows is meant", lambda: values[-1]),
                Slip("the rows are not divided by: loss · rows, summed, over all rows",
                     lambda: np.dot(values, shares)),
            ])  # fmt: skip
    return verdict


def _has(verdict: Verdict, made: Any, names: Sequence[str]) -> bool:
    missing = [name for name in names if not hasattr(made, name)]
    if missing:
        after = " after backward" if missing[0] in ("dW", "db") else ""
        verdict.say(f"{type(made).__name__} has no {', no '.join(missing)}{after}")
    return not missing


def _adopt(verdict: Verdict, other: Verdict, where: str) -> None:
    """Takes over what was found about a part."""
    for line in other.lines:
        plain = line == BLANK or not where or line.startswith(where)
        verdict.say(line if plain else f"{where}: {line}")
    for words in other.slips:
        verdict.slip(words)
    for note in other.notes:
        verdict.note(note)


def _but_none(verdict: Verdict) -> Verdict:
    """The same, where nothing needs to be returned."""
    verdict.lines[:] = [line for line in verdict.lines if "gives None" not in line]
    verdict.slips[:] = [words for words in verdict.slips if words != "the return is missing"]
    return verdict
