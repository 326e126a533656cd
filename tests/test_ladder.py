"""The ladder: right solutions are right however they are written, and every slip is named."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pellucid.cli import main
from pellucid.data import digits
from pellucid.errors import FileFormatError, OptionError
from pellucid.ladder import RUNGS, check_file, train_digits, write_starters
from pellucid.ladder.digits import LadderError
from pellucid.ladder.pieces import (
    BACKWARD_SLIPS,
    FORWARD_SLIPS,
    LOSS_GRADIENT_SLIPS,
    LOSS_SLIPS,
    backward_cases,
    cross_entropy,
    cross_entropy_gradient,
    dense_backward,
    dense_cases,
    loss_cases,
)
from pellucid.ladder.rungs import look
from pellucid.ladder.verdict import Slip, Verdict, name_slip, same

HERE = Path(__file__).parent / "ladder"
STYLES = ("plain", "loops", "terse")
ALL = [piece for rung in RUNGS for piece in rung.checks]


def verdicts(path: Path, source: str, *pieces: str) -> dict[str, Verdict]:
    """What is said of a source; of the pieces named alone, if any are."""
    path.write_text(source, encoding="utf-8")
    names: dict[str, Any] = {"__name__": "mine"}
    exec(compile(source, str(path), "exec"), names)
    if pieces:
        names = {k: v for k, v in names.items() if k in pieces or k not in ALL}
    return {verdict.piece: verdict for _, verdict in look(path, names)}


@pytest.mark.parametrize("style", STYLES)
def test_right_solutions_are_right_in_every_style(style: str, tmp_path: Path) -> None:
    found = verdicts(tmp_path / "mine.py", (HERE / f"{style}.py").read_text())
    assert sorted(found) == sorted(ALL)
    for verdict in found.values():
        assert verdict.right, verdict
        assert not verdict.slips
        assert not verdict.notes, verdict


class Planted(NamedTuple):
    """A slip: the piece it is in, the lines of the plain solution it changes, words that name it."""

    piece: str
    old: str
    new: str
    words: str


FORWARD = "    return x @ W + b\n"
VALUE = "    return -np.log(p[np.arange(len(labels)), labels]).mean()\n"
TAIL = "    p[np.arange(len(labels)), labels] -= 1\n    return p / len(labels)\n"
SOFTMAX = """    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
"""
LOOP = """    for layer in reversed(layers):
        dy = layer.backward(dy)
    optimizer.update(layers)
"""
CUT = """    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]
"""
START = "rng.normal(size=(inputs, units)) * np.sqrt(2 / inputs)"
STEP = "        p -= learning_rate * g\n"
EPOCH = "    for xs, ys in batches(x[order], labels[order], size):\n"

PLANTED = [
    # rung 1
    Planted("dense_forward", FORWARD, "    return x @ W\n", "the bias is missing"),
    Planted("dense_forward", FORWARD, "    return x @ W.T + b\n", "transpose"),
    Planted("dense_forward", FORWARD, "    return W @ x + b\n", "wrong order"),
    Planted("dense_forward", FORWARD, "    return x * W + b\n", "the matrix product is @"),
    Planted("dense_forward", FORWARD, "    return x @ W - b\n", "subtracted"),
    Planted("dense_forward", FORWARD, "    return x @ W + b[:, None]\n", "goes down the rows"),
    Planted("dense_forward", FORWARD, "    return np.maximum(x @ W + b, 0)\n", "an activation"),
    Planted("dense_forward", FORWARD, "    return 1 / (1 + np.exp(-(x @ W + b)))\n", "an activation"),
    Planted("dense_forward", FORWARD, "    return (x @ W + b).sum(axis=0)\n", "added up"),
    Planted("dense_forward", FORWARD, "    return x[0] @ W + b\n", "only the first row"),
    Planted("dense_forward", FORWARD, "    x @ W + b\n", "return is missing"),
    Planted("dense_forward", FORWARD, "    b += 1\n    return x @ W + b - 1\n", "input is overwritten"),
    Planted("dense_forward", FORWARD, "    return np.dot(W, x.T) + b\n", "wrong order"),
    # rung 2, the value
    Planted("cross_entropy", VALUE, VALUE.replace("p[np.arange(len(labels)), labels]", "p[:, labels]"), "pairs them"),
    Planted("cross_entropy", SOFTMAX, SOFTMAX.replace("sum(axis=1, keepdims=True)", "sum(axis=1)"), "keepdims=True keeps"),
    Planted("cross_entropy_gradient", "    p = softmax(scores)\n    p[", "    e = np.exp(scores)\n    p = e / np.sum(e, axis=1)\n    p[", "keepdims=True keeps"),
    Planted("cross_entropy", VALUE, VALUE.replace("mean", "sum"), "the sum over the batch where the mean"),
    Planted("cross_entropy", VALUE, VALUE.replace("-np.log", "np.log"), "sign is missing"),
    Planted("cross_entropy", VALUE, VALUE.replace(".mean()", ""), "a value for each row"),
    Planted("cross_entropy", VALUE, VALUE.replace(".mean()", ".sum() / scores.size"), "mean is over all entries"),
    Planted("cross_entropy", VALUE, VALUE.replace("log", "log2"), "base 2"),
    Planted("cross_entropy", VALUE, VALUE.replace("log", "log10"), "base 10"),
    Planted("cross_entropy", VALUE, VALUE.replace("np.log", ""), "logarithm is missing"),
    Planted("cross_entropy", VALUE, "    return -scores[np.arange(len(labels)), labels].mean()\n", "softmax is missing"),
    Planted("cross_entropy", VALUE, "    return -np.log(p).mean()\n", "all classes count"),
    Planted("cross_entropy", SOFTMAX, "    e = np.exp(scores - scores.max())\n    return e / e.sum()\n", "whole batch"),
    Planted("cross_entropy", SOFTMAX, "    e = np.exp(scores - scores.max())\n    return e / e.sum(axis=0)\n", "down the columns"),
    Planted("cross_entropy", SOFTMAX, "    e = np.exp(scores)\n    return e / e.sum(axis=1, keepdims=True)\n", "large scores overflow"),
    Planted("cross_entropy", SOFTMAX, "    scores -= scores.max(axis=1, keepdims=True)\n    e = np.exp(scores)\n    return e / e.sum(axis=1, keepdims=True)\n", "input is overwritten"),
    # rung 2, the gradient
    Planted("cross_entropy_gradient", TAIL, TAIL.replace(" / len(labels)", ""), "is a mean over the rows and the gradient is not"),
    Planted("cross_entropy_gradient", TAIL, TAIL.replace("len(labels)\n", "len(labels) ** 2\n"), "twice"),
    Planted("cross_entropy_gradient", TAIL, TAIL.replace("/ len(labels)", "/ scores.size"), "divided by all entries"),
    Planted("cross_entropy_gradient", TAIL, TAIL.replace("return p", "return -p"), "sign is turned round"),
    Planted("cross_entropy_gradient", TAIL, "    return p / len(labels)\n", "not subtracted"),
    Planted("cross_entropy_gradient", TAIL, "    return p\n", "not subtracted"),
    Planted("cross_entropy_gradient", TAIL, "    return p * (1 - p) / len(labels)\n", "softmax's own derivative"),
    Planted("cross_entropy_gradient", "    p = softmax(scores)\n    p[", "    p = scores.copy()\n    p[", "softmax is missing"),
    Planted("cross_entropy_gradient", "    p = softmax(scores)\n    p[", "    p = scores\n    p[", "overwritten"),
    Planted("cross_entropy_gradient", SOFTMAX, "    e = np.exp(scores - scores.max())\n    return e / e.sum()\n", "whole batch"),
    Planted("cross_entropy_gradient", SOFTMAX, "    e = np.exp(scores - scores.max())\n    return e / e.sum(axis=0)\n", "down the columns"),
    Planted("cross_entropy_gradient", SOFTMAX, "    e = np.exp(scores)\n    return e / e.sum(axis=1, keepdims=True)\n", "large scores overflow"),
    # rung 3
    Planted("sigmoid", "1 / (1 + np.exp(-z))", "1 / (1 + np.exp(z))", "sign of z"),
    Planted("sigmoid", "1 / (1 + np.exp(-z))", "np.tanh(z)", "this is tanh"),
    Planted("sigmoid", "1 / (1 + np.exp(-z))", "1 / 1 + np.exp(-z)", "parentheses"),
    Planted("sigmoid", "1 / (1 + np.exp(-z))", "np.exp(z)", "divide by 1"),
    Planted("sigmoid", "    with np.errstate(over=\"ignore\"):\n        return 1 / (1 + np.exp(-z))", "    with np.errstate(all=\"ignore\"):\n        return np.exp(z) / (1 + np.exp(z))", "overflows where z is large"),
    Planted("sigmoid_derivative", "    a = sigmoid(z)\n    return", "    a = sigmoid(sigmoid(z))\n    return", "σ′ of a for σ′ of z"),
    Planted("sigmoid_derivative", "    a = sigmoid(z)\n    return", "    a = z\n    return", "z is taken for a"),
    Planted("sigmoid_derivative", "a * (1 - a)", "a", "itself, not its derivative"),
    Planted("sigmoid_derivative", "a * (1 - a)", "1 - a", "this is 1 − a"),
    Planted("sigmoid_derivative", "a * (1 - a)", "a * (a - 1)", "is positive"),
    Planted("sigmoid_derivative", "a * (1 - a)", "1 - a**2", "derivative of tanh"),
    Planted("relu", "np.maximum(z, 0)", "np.minimum(z, 0)", "smaller of z and 0"),
    Planted("relu", "np.maximum(z, 0)", "np.abs(z)", "negative values become positive"),
    Planted("relu", "np.maximum(z, 0)", "np.where(z > 0, z, 0.01 * z)", "a leak"),
    Planted("relu", "np.maximum(z, 0)", "np.max(z)", "entry by entry"),
    Planted("relu", "np.maximum(z, 0)", "(z > 0).astype(float)", "this is its derivative"),
    Planted("relu", "    return np.maximum(z, 0)", "    z[z < 0] = 0\n    return z", "input is overwritten"),
    Planted("relu_derivative", "(z > 0).astype(float)", "np.maximum(z, 0)", "the ReLU itself"),
    Planted("relu_derivative", "(z > 0).astype(float)", "(z < 0).astype(float)", "wrong way round"),
    Planted("relu_derivative", "(z > 0).astype(float)", "np.sign(z)", "not −1"),
    Planted("relu_derivative", "(z > 0).astype(float)", "np.ones_like(z)", "1 everywhere"),
    Planted("relu_derivative", "(z > 0).astype(float)", "1 if z.any() > 0 else 0", "one answer for the whole array"),
    Planted("relu", "np.maximum(z, 0)", "z if z > 0 else 0", "an if asks one question"),
    Planted("sigmoid", "1 / (1 + np.exp(-z))", "1 / (1 + __import__('math').exp(-z))", "functions of math"),
    # rung 4
    Planted("dense_backward", "dx = dy @ W.T", "dx = dy @ W", "transpose"),
    Planted("dense_backward", "dx = dy @ W.T", "dx = W @ dy", "wrong order"),
    Planted("dense_backward", "dx = dy @ W.T", "dx = dy @ W.T / len(x)", "dx: the mean over the batch where the sum"),
    Planted("dense_backward", "dx = dy @ W.T", "dx = (dy @ W.T) * x", "multiplied by x"),
    Planted("dense_backward", "dx = dy @ W.T", "dx = dy", "as it came"),
    Planted("dense_backward", "dx = dy @ W.T", "dx = (dy @ W.T).sum(axis=0)", "a gradient of its own"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = x.T @ dy / len(x)", "dW: the mean over the batch where the sum"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = dy.T @ x", "dW: a missing or misplaced transpose"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = x @ dy", "transpose"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = -x.T @ dy", "dW: the sign"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = np.outer(x[0], dy[0])", "dW: only the first row"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = x[:, :, None] * dy[:, None, :]", "dW: the batch's gradients"),
    Planted("dense_backward", "dW = x.T @ dy", "dW = np.ones_like(W) * dy.sum(axis=0)", "dW: x is missing"),
    Planted("dense_backward", "db = dy.sum(axis=0)", "db = dy.mean(axis=0)", "db: the mean over the batch where the sum"),
    Planted("dense_backward", "db = dy.sum(axis=0)", "db = dy", "db: the sum over the batch is missing"),
    Planted("dense_backward", "db = dy.sum(axis=0)", "db = dy.sum(axis=1)", "db: the sum runs along"),
    Planted("dense_backward", "db = dy.sum(axis=0)", "db = dy.sum(axis=0, keepdims=True)", "db has an axis too many"),
    Planted("dense_backward", "db = dy.sum(axis=0)", "db = dy.sum()", "one sum over everything"),
    Planted("dense_backward", "db = dy.sum(axis=0)", "db = np.ones_like(b)", "dy is missing"),
    Planted("dense_backward", "return dx, dW, db", "return dW, db, dx", "the order"),
    Planted("dense_backward", "dx = dy @ W.T", "W -= 0.1 * x.T @ dy\n    dx = dy @ W.T", "input is overwritten"),
    # rung 5
    Planted("sgd_step", STEP, "        p += learning_rate * g\n", "uphill"),
    Planted("sgd_step", STEP, "        p -= g\n", "learning rate is missing"),
    Planted("sgd_step", STEP, "        p -= g / learning_rate\n", "divided by the learning rate"),
    Planted("sgd_step", STEP, "        p = p - learning_rate * g\n", "not changed in place"),
    Planted("sgd_step", STEP, "        p[...] = -learning_rate * g\n", "replaced by the step"),
    Planted("sgd_step", STEP, "        p -= learning_rate * np.sign(g)\n", "only the sign"),
    Planted("sgd_step", STEP, "        p -= learning_rate * p\n", "taken for its gradient"),
    Planted("sgd_step", STEP, "        g *= learning_rate\n        p -= g\n", "input is overwritten"),
    Planted("sgd_step", STEP, STEP + "        return\n", "only the first array"),
    Planted("sgd_step", STEP, "        pass\n    p -= learning_rate * g\n", "only the last array"),
    Planted("batches", CUT, CUT.replace("len(x), size", "len(x) - size + 1, size"), "last batch is dropped"),
    Planted("batches", CUT, CUT.replace("        yield", "        return [(") .replace("size]\n", "size])]\n"), "only the first batch"),
    Planted("batches", CUT, CUT.replace("len(x), size", "len(x) + size, size"), "an empty batch"),
    Planted("batches", CUT, CUT.replace("range(0", "range(1"), "first row is left out"),
    Planted("batches", CUT, CUT.replace("start + size]", "start + size - 1]"), "one row short"),
    Planted("batches", CUT, CUT.replace("start + size]", "start + size + 1]"), "rows come twice"),
    Planted("batches", CUT, CUT.replace("y[start : start + size]", "y[:size]"), "do not belong together"),
    Planted("batches", CUT, CUT.replace("range(0, len(x), size)", "reversed(range(0, len(x), size))"), "another order"),
    # rung 6
    Planted("Dense", START, "rng.normal(size=(inputs, units))", "unscaled initial weights"),
    Planted("Dense", START, "rng.normal(size=(inputs, units)) * 0.001", "unscaled initial weights"),
    Planted("Dense", START, "np.zeros((inputs, units))", "units that start alike"),
    Planted("Dense", START, "rng.normal(size=(units, inputs)) * np.sqrt(2 / inputs)", "a transposed W"),
    Planted("Dense", "self.b = np.zeros(units)", "self.b = np.zeros((1, units))", "b has an axis too many"),
    Planted("Dense", "return dense_forward(x, self.W, self.b)", "return x @ self.W", "the bias is missing"),
    Planted("Dense", "        dx, self.dW, self.db = dense_backward(dy, self.x, self.W, self.b)\n", "        dW = self.x.T @ dy\n        self.W -= 0.1 * dW\n        dx = dy @ self.W.T\n", "weights updated too early"),
    Planted("Dense", "        dx, self.dW, self.db = dense_backward(dy, self.x, self.W, self.b)\n", "        self.dW = self.x.T @ dy / len(dy)\n        self.db = dy.sum(axis=0)\n        dx = dy @ self.W.T\n", "dW: the mean over the batch where the sum"),
    Planted("Dense", "        dx, self.dW, self.db = dense_backward(dy, self.x, self.W, self.b)\n", "        self.dW = getattr(self, 'dW', 0) + self.x.T @ dy\n        self.db = dy.sum(axis=0)\n        dx = dy @ self.W.T\n", "pile up"),
    Planted("Dense", "        self.x = x\n", "        if not hasattr(self, 'x'):\n            self.x = x\n", "x of an earlier batch"),
    Planted("Dense", "        self.x = x\n", "", "keep it, self.x = x"),
    Planted("Dense", "return dense_forward(x, self.W, self.b)", "return x @ W + b", "a layer's arrays are its own"),
    Planted("ReLU", "return da * relu_derivative(self.z)", "return relu_derivative(self.z)", "da is missing"),
    Planted("ReLU", "return da * relu_derivative(self.z)", "return relu(da)", "f′ of da for f′ of z"),
    Planted("ReLU", "return da * relu_derivative(self.z)", "return da * relu(self.z)", "in the place of f′"),
    Planted("ReLU", "return da * relu_derivative(self.z)", "return da", "passes on everywhere"),
    Planted("ReLU", "return da * relu_derivative(self.z)", "da[self.z <= 0] = 0\n        return da", "overwritten"),
    Planted("CrossEntropy", "        return cross_entropy_gradient(self.scores, self.labels)", "        return len(self.labels) * cross_entropy_gradient(self.scores, self.labels)", "the gradient is not"),
    Planted("CrossEntropy", "        return cross_entropy(scores, labels)", "        return len(labels) * cross_entropy(scores, labels)", "the sum over the batch where the mean"),
    Planted("SGD", "sgd_step([layer.W, layer.b], [layer.dW, layer.db], self.learning_rate)", "layer.W += self.learning_rate * layer.dW\n                layer.b += self.learning_rate * layer.db", "uphill"),
    Planted("SGD", "sgd_step([layer.W, layer.b], [layer.dW, layer.db], self.learning_rate)", "layer.W -= layer.dW\n                layer.b -= layer.db", "learning rate is missing"),
    Planted("SGD", "sgd_step([layer.W, layer.b], [layer.dW, layer.db], self.learning_rate)", "W = layer.W - self.learning_rate * layer.dW", "not changed in place"),
    Planted("train_step", LOOP, "    for layer in reversed(layers):\n        if hasattr(layer, 'W'):\n            layer.backward(dy)\n            optimizer.update([layer])\n            dy = dy @ layer.W.T\n        else:\n            dy = layer.backward(dy)\n", "weights updated too early"),
    Planted("train_step", LOOP, LOOP.replace("    optimizer.update(layers)\n", ""), "optimizer is not called"),
    Planted("train_step", LOOP, LOOP.replace("reversed(layers)", "layers"), "reversed(layers)"),
    Planted("SGD", "            if hasattr(layer, \"W\"):\n", "            if layer.W is not None:\n", "a ReLU has no weights"),
    Planted("train_step", LOOP, LOOP + "    optimizer.update(layers)\n", "two updates"),
    Planted("train_step", LOOP, "    optimizer.update(layers)\n" + LOOP.replace("    optimizer.update(layers)\n", ""), "optimizer"),
    Planted("train_step", LOOP, "    layers[-1].backward(dy)\n    optimizer.update(layers)\n", "backward is not called on every layer"),
    Planted("train_step", LOOP, LOOP.replace("update(layers)", "update(layers[-1:])"), "only the last layer"),
    Planted("train_step", LOOP + "    return value\n", LOOP + "    for layer in layers:\n        given = layer.forward(given)\n    return loss.forward(given, labels)\n", "after the update"),
    Planted("train_step", LOOP + "    return value\n", LOOP, "return is missing"),
    Planted("train_epoch", EPOCH, "    for xs, ys in list(batches(x[order], labels[order], size))[:-1]:\n", "last batch is dropped"),
    Planted("train_epoch", EPOCH, "    for xs, ys in batches(x, labels, size):\n", "the order is not used"),
    Planted("train_epoch", EPOCH, "    for xs, ys in batches(x[order], labels, size):\n", "do not belong together"),
    Planted("train_epoch", EPOCH, "    for xs, ys in list(batches(x[order], labels[order], size))[:1]:\n", "only the first batch"),
    Planted("train_epoch", "        total += len(xs) * train", "        total += len(x) / 3 * train", "the mean of the batches' means"),
    Planted("train_epoch", "        total += len(xs) * train", "        total += len(x) * train", "the sum of the batches' losses"),
    Planted("train_epoch", "    return total / len(x)", "    return total", "not divided by"),
]  # fmt: skip


@pytest.mark.parametrize("slip", PLANTED, ids=[f"{p.piece}-{p.words[:40]}" for p in PLANTED])
def test_every_slip_is_named(slip: Planted, tmp_path: Path) -> None:
    source = (HERE / "plain.py").read_text()
    if "given = layer.forward(given)" in slip.new:
        source = source.replace(
            "    for layer in layers:\n        x = layer", "    given = x\n    for layer in layers:\n        x = layer"
        )  # fmt: skip
    assert source.count(slip.old) == 1, slip.old
    found = verdicts(tmp_path / "mine.py", source.replace(slip.old, slip.new))
    verdict = found[slip.piece]
    assert not verdict.right
    assert any(slip.words in words for words in verdict.slips), verdict
    assert len(verdict.slips) == 1, verdict


def test_no_two_slips_are_taken_for_each_other() -> None:
    """Slips of a table under different words differ from what is right, and from each other."""
    tables = [
        (dense_cases(), dense_forward, FORWARD_SLIPS), (loss_cases(), cross_entropy, LOSS_SLIPS),
        (loss_cases(), cross_entropy_gradient, LOSS_GRADIENT_SLIPS),
        *((backward_cases(), lambda *a, k=k: dense_backward(*a)[k], slips)
          for k, (_, slips) in enumerate(BACKWARD_SLIPS)),
    ]  # fmt: skip
    for cases, right, slips in tables:
        for slip in slips:
            given = [(args, gives(slip, args)) for args in cases]
            given = [(args, value) for args, value in given if value is not None]
            assert given, slip.words
            assert not all(same(value, right(*args)) for args, value in given), slip.words
            verdict = Verdict("piece")
            name_slip(verdict, given, slips)
            assert verdict.slips == [slip.words]


def dense_forward(x: Any, W: Any, b: Any) -> Any:
    return x @ W + b


def gives(slip: Slip, args: tuple[Any, ...]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return slip.gives(*args)
    except ValueError:
        return None


def test_an_epoch_is_judged_by_itself(tmp_path: Path) -> None:
    """A step that is wrong does not make the epoch around it wrong."""
    source = (HERE / "plain.py").read_text()
    broken = source.replace(LOOP, LOOP.replace("reversed(layers)", "layers"))
    found = verdicts(tmp_path / "mine.py", broken)
    assert not found["train_step"].right
    assert found["train_epoch"].right


def test_gradients_are_shown_beside_central_differences(tmp_path: Path) -> None:
    source = (HERE / "plain.py").read_text()
    wrong = source.replace("dW = x.T @ dy", "dW = x.T @ dy / len(x)")
    (verdict,) = verdicts(tmp_path / "mine.py", wrong, "dense_backward").values()
    (line,) = [line for line in verdict.lines if "central differences" in line]
    numeric, given = map(float, re.findall(r"is (-?[\d.e-]+);? ?(?:yours)?", line)[:2])
    assert given == pytest.approx(numeric / 4, rel=1e-4)
    (right,) = verdicts(tmp_path / "mine.py", source, "dense_backward").values()
    numbers = [float(n) for n in re.findall(r"-?\d\.\d+", right.shown)]
    assert len(numbers) == 2
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-6)
    wrong = source.replace(TAIL, TAIL.replace(" / len(labels)", ""))
    found = verdicts(tmp_path / "mine.py", wrong)["cross_entropy_gradient"]
    assert any("by central differences the gradient by scores[" in line for line in found.lines)


def test_a_slip_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    """What is wrong in no known way is shown with its numbers, and nothing is guessed."""
    source = (HERE / "plain.py").read_text()
    odd = [
        (FORWARD, "    return x @ W + 1.7 * b\n", "dense_forward"),
        (VALUE, VALUE.replace("return", "return 0.3 +"), "cross_entropy"),
        ("a * (1 - a)", "a * (1 - a) + 0.05", "sigmoid_derivative"),
        ("dW = x.T @ dy", "dW = 1.3 * x.T @ dy", "dense_backward"),
        (STEP, "        p -= 0.7 * learning_rate * g\n", "sgd_step"),
        (
            "return da * relu_derivative(self.z)",
            "return 0.9 * da * relu_derivative(self.z)",
            "ReLU",
        ),
    ]
    for old, new, piece in odd:
        verdict = verdicts(tmp_path / "mine.py", source.replace(old, new))[piece]
        assert not verdict.right
        assert not verdict.slips, verdict
        assert "should be" in verdict.lines[0]
    for words in verdicts(tmp_path / "mine.py", source).values():
        assert words.right


# ---- files that cannot be looked at ----------------------------------------------------------


def test_starters_say_what_is_not_written_yet(tmp_path: Path) -> None:
    paths = write_starters(tmp_path / "ladder")
    assert [path.name for path in paths] == [rung.starter for rung in RUNGS]
    for rung, path in zip(RUNGS, paths, strict=True):
        text = path.read_text()
        assert f"pellucid check {path.name}" in text
        assert "import numpy" in text
        found = verdicts(path, text)
        assert list(found) == list(rung.checks)
        assert all(verdict.lines == ["not written yet"] for verdict in found.values())
    report = check_file(paths[5])
    assert not report.right
    assert str(report).count("not written yet") == 6
    with pytest.raises(OptionError, match="may be your work"):
        write_starters(tmp_path / "ladder")


TROUBLE = {
    "syntax": ("def dense_forward(x, W, b)\n    return x\n", "line 1: expected ':'"),
    "at import": ("import numpy as np\nboth = 1 / 0\n", r"ZeroDivisionError: division by zero \(line 2: both = 1 / 0\)"),
    "unknown import": ("import numpi\n", "No module named 'numpi'"),
    "inside": ("def relu(z):\n    return z.maximum(0)\n", r"no attribute 'maximum' \(line 2: return z.maximum\(0\)\)"),
    "endless": ("def relu(z):\n    while True:\n        pass\n", "(?s)relu did not come back within .* seconds.*line [23]"),
    "endless import": ("x = 0\nwhile True:\n    x = 1 - x\n", "(?s)the file itself did not come back.*line [23]"),
    "exit": ("def relu(z):\n    raise SystemExit\n", "ends the program"),
    "exit at import": ("import sys\nsys.exit(3)\n", "SystemExit"),
    "killed": ("import os\ndef relu(z):\n    os._exit(7)\n", "relu ended the process .status 7"),
    "a number": ("relu = 3\n", "not callable"),
    "arguments": ("def relu():\n    return 1\n", "takes 0 positional arguments"),
    "words": ("def relu(z):\n    return 'z'\n", "not an array of numbers"),
    "recursion": ("def relu(z):\n    return relu(z)\n", r"RecursionError.*line 2"),
    "shapes": ("def dense_forward(x, W, b):\n    return W @ x + b\n", r"given arrays of shape \(4, 3\), \(3, 2\), \(2,\)"),
    "nothing asked for": ("def layer(x):\n    return x\n", "nothing that the ladder asks for"),
}  # fmt: skip


@pytest.mark.parametrize("case", TROUBLE)
def test_trouble_is_told_with_the_readers_line(case: str, tmp_path: Path) -> None:
    source, words = TROUBLE[case]
    path = tmp_path / "mine.py"
    path.write_text(source)
    try:
        said = str(check_file(path, seconds=1.5))
    except FileFormatError as error:
        said = str(error)
    assert re.search(words, said), said


def test_what_is_printed_is_kept_apart_and_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\nimport os\nos.write(1, b'{broken\\n')\n"
        "def relu(z):\n    print('spam ' * 100000)\n    return np.maximum(z, 0)\n"
    )
    report = check_file(path)
    assert report.right
    assert len(str(report)) < 500
    assert "the file printed: spam spam" in str(report)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_file(tmp_path / "none.py")
    with pytest.raises(FileFormatError, match="a folder"):
        check_file(tmp_path)
    (tmp_path / "image.py").write_bytes(bytes(range(256)))
    with pytest.raises(FileFormatError, match="not text"):
        check_file(tmp_path / "image.py")


def test_files_beside_it_are_there_and_get_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "earlier.py").write_text("def relu(z):\n    return z * (z > 0)\n")
    (tmp_path / "json.py").write_text("raise RuntimeError\n")
    (tmp_path / "mine.py").write_text("from earlier import relu\n")
    monkeypatch.chdir(tmp_path)
    assert check_file("mine.py").right


def test_the_check_changes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text((HERE / "plain.py").read_text())
    before = path.stat().st_mtime_ns
    assert check_file(path).right
    assert [p.name for p in tmp_path.iterdir()] == ["mine.py"]
    assert path.stat().st_mtime_ns == before


# ---- training ---------------------------------------------------------------------------------


def test_the_digits_are_learnt_with_the_readers_own_layers(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    result = train_digits(HERE / "terse.py", epochs=2, told=told.append)
    assert [row["epoch"] for row in told] == [1, 2]
    assert result.accuracy > 0.9
    net, (_, test) = result.network(), digits()
    assert net.evaluate(test)["accuracy"] == pytest.approx(result.accuracy, abs=1e-3)
    assert np.isfinite(net.parameters.vector).all()


@pytest.mark.long
@pytest.mark.parametrize("style", ["plain", "terse"])
def test_the_goal_is_reached(style: str) -> None:
    for seed in range(2):
        assert train_digits(HERE / f"{style}.py", seed=seed).accuracy >= 0.95


def test_training_that_fails_says_where(tmp_path: Path) -> None:
    source = (HERE / "terse.py").read_text()
    cases = [
        (source.replace("class SGD", "class Descent"), "has no SGD"),
        (source.replace("return da * (self.a > 0)", "return da * self.q"), r"no attribute 'q' \(line \d+: return da \* self.q"),
        (source.replace("class SGD:", "class SGD:\n    raise NotImplementedError"), "NotImplementedError"),
        (source.replace("np.subtract(p, learning_rate * g, out=p)", "np.add(p, 1e9 * g, out=p)"), "the loss is"),
        ("def (", "line 1"),
    ]  # fmt: skip
    path = tmp_path / "mine.py"
    for text, words in cases:
        path.write_text(text)
        with pytest.raises(LadderError, match=words):
            train_digits(path, epochs=1)
    path.write_text(
        source.replace(
            "    return sum(n * v", "    while True:\n        n = 1\n    return sum(n * v"
        )
    )
    with pytest.raises(LadderError, match=r"epoch 1 did not come back within 3 seconds"):
        train_digits(path, epochs=1, seconds=3)


def test_solutions_take_120_lines() -> None:
    for style in STYLES:
        lines = (HERE / f"{style}.py").read_text().splitlines()
        assert len([line for line in lines if line.strip()]) <= 120


# ---- the command line ---------------------------------------------------------------------------


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--start", str(tmp_path / "ladder")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert main(["check", first]) == 1
    assert "not written yet" in capsys.readouterr().out
    Path(first).write_text(
        Path(first).read_text().replace("raise NotImplementedError", "return x @ W + b")
    )
    assert main(["check", first]) == 0
    assert "dense_forward           right" in capsys.readouterr().out
    assert main(["check", first, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["right"]
    assert found["pieces"][0]["piece"] == "dense_forward"
    for words in (["check"], ["check", first, "--start", "x"], ["check", str(tmp_path / "none.py")],
                  ["check", "--start", str(tmp_path / "ladder")], ["check", str(tmp_path)]):  # fmt: skip
        assert main(words) == 2
        assert capsys.readouterr().err.startswith("pellucid: ")


def test_train_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, saved = str(HERE / "terse.py"), str(tmp_path / "mine.safetensors")
    assert main(["train", "digits", "--layers", mine, "--epochs", "1", "-o", saved]) == 0
    out, err = capsys.readouterr()
    assert "of 2,000 digits it has never seen are right" in out
    assert err.count("epoch") == 1
    assert main(["evaluate", saved, "digits", "--json"]) == 0  # a network like any other
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.85
    assert main(["train", "digits", "--layers", mine, "--epochs", "1", "--quiet", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["record"][0]["accuracy"] > 0.85
    assert err == ""
    for more in (["digits_8x8", "--layers", mine], ["digits", "--layers", mine, "--loss", "mse"],
                 ["digits"], ["digits", "--layers", str(tmp_path / "none.py")]):  # fmt: skip
        assert main(["train", *more]) == 2
        assert capsys.readouterr().err.startswith("pellucid: ")
    (tmp_path / "broken.py").write_text("def (")
    assert main(["train", "digits", "--layers", str(tmp_path / "broken.py")]) == 1
    assert "line 1" in capsys.readouterr().err


# ---- the pages ----------------------------------------------------------------------------------

PAGES = Path(__file__).parents[1] / "docs" / "ladder"


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: f"rung {rung.number}")
@pytest.mark.parametrize("style", STYLES)
def test_the_examples_of_a_page_hold(rung: Any, style: str) -> None:
    text = (PAGES / f"rung_{rung.number}.md").read_text(encoding="utf-8").replace("```", "")
    names: dict[str, Any] = {"__name__": "mine"}
    exec(compile((HERE / f"{style}.py").read_text(), style, "exec"), names)
    page = doctest.DocTestParser().get_doctest(text, names, rung.title, None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(page)
    assert runner.tries >= 1
    assert not runner.failures
    assert rung.title in text.lower()
    assert rung.starter in text
    assert all(f"`{piece}" in text for piece in rung.checks)


def test_the_pages_give_nothing_away() -> None:
    source = (HERE / "plain.py").read_text()
    bodies = [line.strip() for line in source.splitlines() if line.startswith("    ")]
    telling = [b for b in bodies if "@" in b or "softmax" in b or "-=" in b or "np.maximum" in b]
    for page in PAGES.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert not [line for line in telling if line in text]
    assert "README.md" in [page.name for page in PAGES.iterdir()]
