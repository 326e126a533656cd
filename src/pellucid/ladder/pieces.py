"""Rungs 1 to 4: functions of arrays, each with what is right and the slips that are often made.

Every function is called on three cases: a batch, a batch whose sizes are all equal (in which a
missing transpose raises no error), and a single row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.ladder.verdict import (
    Caller,
    Slip,
    Verdict,
    central,
    compare,
    name_slip,
    same,
    same_entries,
)
from pellucid.random import Stream

Array = NDArray[Any]
Args = tuple[Any, ...]
MEAN = (
    "the mean over the batch where the sum is meant: every entry is divided by the number of rows"
)
SUM = "the sum over the batch where the mean is meant: divide by the number of rows"
TRANSPOSE = "a missing or misplaced transpose"


def normal(*shape: int, draw: int = 0) -> Array:
    """Numbers to try a function on, the same at every call."""
    return Stream(0, "ladder", draw=draw).normal(shape)


def softmax(z: Array, axis: Any = -1) -> Array:
    """Probabilities of scores, along an axis (None: over all of them)."""
    e = np.exp(z - z.max())
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def right_or_slip(
    verdict: Verdict, call: Caller, function: Callable[..., Any], cases: Sequence[Args],
    right: Callable[..., Any], slips: Sequence[Slip], names: Sequence[str],
) -> None:  # fmt: skip
    """Calls a function on every case and says what differs from what is right, and likely why."""
    results: list[tuple[Args, Any]] = []
    wrong = False
    for args in cases:
        given = call(verdict, verdict.piece, function, *args)
        if given is None:
            continue
        results.append((args, given))
        expected = right(*args)
        if wrong or same(given, expected):
            continue
        wrong = True
        because = f" for arrays of shape {', '.join(str(a.shape) for a in args)}"
        if not isinstance(expected, tuple):
            compare(verdict, names[0], given, expected, because)
        elif not isinstance(given, tuple | list) or len(given) != len(expected):
            verdict.say(f"{verdict.piece} returns {len(expected)} arrays, {', '.join(names)}")
        else:
            for name, g, e in zip(names, given, expected, strict=True):
                compare(verdict, name, g, e, because)
    if not verdict.right and results and not verdict.slips:
        name_slip(verdict, results, slips)


# ---- rung 1 -------------------------------------------------------------------------------------


def dense_cases() -> list[Args]:
    """Inputs x (B, I), W (I, O), b (O,) of three kinds."""
    return [
        (normal(*x), normal(*w, draw=1), normal(w[1], draw=2))
        for x, w in (((4, 3), (3, 2)), ((3, 3), (3, 3)), ((1, 3), (3, 2)))
    ]


FORWARD_SLIPS = [
    Slip("the bias is missing: add b to every row", lambda x, W, b: x @ W),
    Slip(f"{TRANSPOSE}: W is (in, out) here, so x @ W", lambda x, W, b: x @ W.T + b),
    Slip("the factors are in the wrong order: rows of x come first, x @ W", lambda x, W, b: W @ x + b),
    Slip("the factors are in the wrong order: rows of x come first, x @ W", lambda x, W, b: W @ x.T + b),
    Slip("the bias goes down the rows: b belongs to the columns", lambda x, W, b: x @ W + b[:, None]),
    Slip("* multiplies entry by entry; the matrix product is @", lambda x, W, b: x * W + b),
    Slip("the bias is subtracted", lambda x, W, b: x @ W - b),
    Slip("an activation is applied too: this layer has none", lambda x, W, b: np.maximum(x @ W + b, 0)),
    Slip("an activation is applied too: this layer has none", lambda x, W, b: 1 / (1 + np.exp(-x @ W - b))),
    Slip("the rows are added up: the result has one row for each row of x", lambda x, W, b: (x @ W + b).sum(axis=0)),
    Slip("only the first row is used", lambda x, W, b: x[0] @ W + b),
]  # fmt: skip


def check_dense_forward(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """Y = x W + b."""
    verdict = Verdict("dense_forward")
    right_or_slip(
        verdict, call, function, dense_cases(), lambda x, W, b: x @ W + b, FORWARD_SLIPS, ["y"]
    )
    return verdict


# ---- rung 2 -------------------------------------------------------------------------------------


def loss_cases() -> list[Args]:
    """Scores (B, K) and labels (B,)."""
    return [
        (2 * normal(5, 3), np.array([0, 2, 1, 1, 0])),
        (2 * normal(3, 3, draw=1), np.array([2, 0, 0])),
        (2 * normal(1, 4, draw=2), np.array([3])),
    ]


def cross_entropy(z: Array, y: Array) -> float:
    """The right value: the mean of −log p of each row's label."""
    return float(-np.log(softmax(z)[np.arange(len(y)), y]).mean())


def cross_entropy_gradient(z: Array, y: Array) -> Array:
    """The right gradient: (p − one-hot) / B."""
    return (softmax(z) - np.eye(z.shape[1])[y]) / len(z)


def _log_p(z: Array, y: Array, axis: Any = -1) -> Array:
    return np.asarray(np.log(softmax(z, axis))[np.arange(len(y)), y])


def _one_hot(z: Array, y: Array) -> Array:
    return np.asarray(np.eye(z.shape[1])[y])


def _lost_axis(z: Array) -> Array:
    """The logarithms of a softmax whose sums have lost their axis: it raises unless B = K."""
    e = np.exp(z - z.max())
    return np.asarray(np.log(e / e.sum(axis=1)))


_KEEP = "a sum loses its axis, so rows are divided by the wrong sums: keepdims=True keeps (B, 1)"
LOSS_SLIPS = [
    Slip(SUM, lambda z, y: -_log_p(z, y).sum()),
    Slip("the sign is missing: the loss is −log p, which is positive", lambda z, y: _log_p(z, y).mean()),
    Slip("a value for each row: the loss is their mean, one number", lambda z, y: -_log_p(z, y)),
    Slip("the softmax runs over the whole batch: each row has its own sum (axis=1, keepdims=True)",
         lambda z, y: -_log_p(z, y, None).mean()),
    Slip("the softmax runs down the columns: each row has its own sum (axis=1, keepdims=True)",
         lambda z, y: -_log_p(z, y, 0).mean()),
    Slip(_KEEP, lambda z, y: -_lost_axis(z)[np.arange(len(y)), y].mean()),
    Slip("p[:, labels] takes the labels of all rows from every row: p[np.arange(B), labels] pairs them",
         lambda z, y: -np.log(softmax(z)[:, y]).mean()),
    Slip("the mean is over all entries: only one entry of each row counts, so divide by the rows",
         lambda z, y: -_log_p(z, y).sum() / z.size),
    Slip("the logarithm is of base 2: np.log is the natural one", lambda z, y: -_log_p(z, y).mean() / np.log(2)),
    Slip("the logarithm is of base 10: np.log is the natural one", lambda z, y: -_log_p(z, y).mean() / np.log(10)),
    Slip("the logarithm is missing: −p instead of −log p", lambda z, y: -np.exp(_log_p(z, y)).mean()),
    Slip("the softmax is missing: the scores are taken for log p", lambda z, y: -(z * _one_hot(z, y)).sum(1).mean()),
    Slip("all classes count: only the row's own label does", lambda z, y: -np.log(softmax(z)).mean()),
    Slip("all classes count: only the row's own label does", lambda z, y: -np.log(softmax(z)).sum(1).mean()),
]  # fmt: skip

LOSS_GRADIENT_SLIPS = [
    Slip("the value is a mean over the rows and the gradient is not: divide by the number of rows",
         lambda z, y: softmax(z) - _one_hot(z, y)),
    Slip("divided by the number of rows twice", lambda z, y: cross_entropy_gradient(z, y) / len(z)),
    Slip("divided by all entries: the loss is a mean over the rows alone",
         lambda z, y: (softmax(z) - _one_hot(z, y)) / z.size),
    Slip("the sign is turned round: probabilities less one-hot labels",
         lambda z, y: -cross_entropy_gradient(z, y)),
    Slip("the one-hot labels are not subtracted", lambda z, y: softmax(z) / len(z)),
    Slip("the one-hot labels are not subtracted", lambda z, y: softmax(z)),
    Slip("the softmax is missing: scores less one-hot labels", lambda z, y: (z - _one_hot(z, y)) / len(z)),
    Slip("the softmax runs over the whole batch: each row has its own sum (axis=1, keepdims=True)",
         lambda z, y: (softmax(z, None) - _one_hot(z, y)) / len(z)),
    Slip("the softmax runs down the columns: each row has its own sum (axis=1, keepdims=True)",
         lambda z, y: (softmax(z, 0) - _one_hot(z, y)) / len(z)),
    Slip(_KEEP, lambda z, y: (np.exp(_lost_axis(z)) - _one_hot(z, y)) / len(z)),
    Slip("this is the softmax's own derivative, p (1 − p), not that of the loss",
         lambda z, y: softmax(z) * (1 - softmax(z)) / len(z)),
]  # fmt: skip
_LARGE = (
    "large scores overflow: subtract each row's greatest score first, which changes nothing else"
)


def check_cross_entropy(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """The value of the loss, on ordinary scores and on large ones."""
    verdict = Verdict("cross_entropy")
    right_or_slip(verdict, call, function, loss_cases(), cross_entropy, LOSS_SLIPS, ["the loss"])
    if verdict.right:
        z, y = np.array([[1000.0, 0.0], [-1000.0, 0.0]]), np.array([0, 1])
        check_large(verdict, call(Verdict(""), "", function, z, y), 0.0)
    return verdict


def check_large(verdict: Verdict, given: Any, right: Any) -> None:
    """What comes of scores of 1000 must be finite, and right."""
    if given is None or not same(given, right):
        found = np.asarray(np.nan if given is None else given).ravel()[0]
        verdict.say(f"for scores of 1000 it gives {found:.6g}")
        verdict.slip(_LARGE)


def check_cross_entropy_gradient(
    function: Callable[..., Any], call: Caller, names: Any
) -> Verdict:  # fmt: skip
    """The gradient, beside central differences of the reader's own loss."""
    verdict = Verdict("cross_entropy_gradient")
    right_or_slip(verdict, call, function, loss_cases(), cross_entropy_gradient,
                  LOSS_GRADIENT_SLIPS, ["the gradient"])  # fmt: skip
    own = names.get("cross_entropy")
    if own is not None:
        z, y = loss_cases()[0]
        difference(verdict, "scores", lambda: own(z, y), z, lambda: function(z, y))
    if verdict.right:
        z, y = np.array([[1000.0, 0.0], [-1000.0, 0.0]]), np.array([0, 1])
        check_large(verdict, call(Verdict(""), "", function, z, y), np.zeros((2, 2)))
    return verdict


def difference(
    verdict: Verdict, what: str, value: Callable[[], Any], array: Array,
    gradient: Callable[[], Any],
) -> None:  # fmt: skip
    """Shows a gradient beside central differences, both numbers, where they differ most."""
    right = verdict.right
    try:
        numeric = central(lambda: float(value()), array)
        given = np.asarray(gradient(), dtype=np.float64)
    except Exception:
        return  # which has been told of already
    if given.shape != numeric.shape:
        return
    apart = np.abs(given - numeric) if not right else np.abs(numeric)
    where = np.unravel_index(np.argmax(apart), numeric.shape)
    spot = [int(i) for i in where]
    if right and (not verdict.shown or what == "W"):
        verdict.shown = (
            f"by {what}{spot}: {given[where]:.6f}, by central differences {numeric[where]:.6f}"
        )
    if right or same_entries_loosely(given, numeric):
        return
    verdict.say(
        f"by central differences the gradient by {what}{spot} is {numeric[where]:.6g}; yours is "
        f"{given[where]:.6g}"
    )


def same_entries_loosely(a: Array, b: Array) -> bool:
    """Whether gradients agree as well as differences can tell."""
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-7)) or bool(same_entries(a, b).all())


# ---- rung 3 -------------------------------------------------------------------------------------


def _sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


_Z = [(2 * normal(4, 3),), (3 * normal(3, 3, draw=1),), (normal(5, draw=2),)]
_S = "sigmoid"

ELEMENTWISE: dict[str, tuple[Callable[..., Any], list[Slip]]] = {
    "sigmoid": (_sigmoid, [
        Slip("the sign of z: 1 / (1 + e^−z), not e^z", lambda z: 1 / (1 + np.exp(z))),
        Slip("this is tanh, from −1 to 1", np.tanh),
        Slip("parentheses: 1 / (1 + e^−z), not 1 / 1 + e^−z", lambda z: 1 + np.exp(-z)),
        Slip("e^z itself: divide by 1 + e^z", np.exp),
    ]),
    "sigmoid_derivative": (lambda z: _sigmoid(z) * (1 - _sigmoid(z)), [
        Slip("σ′ of a for σ′ of z: the sigmoid is taken twice, of what is a sigmoid already",
             lambda z: _sigmoid(_sigmoid(z)) * (1 - _sigmoid(_sigmoid(z)))),
        Slip("z is taken for a: a (1 − a) is right with a = sigmoid(z)", lambda z: z * (1 - z)),
        Slip("this is the sigmoid itself, not its derivative", _sigmoid),
        Slip("this is 1 − a; the derivative is a (1 − a)", lambda z: 1 - _sigmoid(z)),
        Slip("the sign: a (1 − a) is positive", lambda z: _sigmoid(z) * (_sigmoid(z) - 1)),
        Slip("this is the derivative of tanh, 1 − a²", lambda z: 1 - np.tanh(z) ** 2),
        Slip("this is the derivative of tanh, 1 − a²", lambda z: 1 - _sigmoid(z) ** 2),
    ]),
    "relu": (lambda z: np.maximum(z, 0), [
        Slip("the smaller of z and 0 where the larger is meant", lambda z: np.minimum(z, 0)),
        Slip("negative values become positive: they become 0", np.abs),
        Slip("this is its derivative, 1 or 0", lambda z: (z > 0).astype(float)),
        Slip("this is the largest of all values: np.maximum goes entry by entry", lambda z: max(z.max(), 0)),
        Slip("nothing happens to negative values", lambda z: z),
        *(Slip("a leak is left below 0: a ReLU is 0 there", lambda z, s=s: np.where(z > 0, z, s * z))
          for s in (0.01, 0.1, 0.2)),
    ]),
    "relu_derivative": (lambda z: (z > 0).astype(float), [
        Slip("this is the ReLU itself; its derivative is 1 where z > 0", lambda z: np.maximum(z, 0)),
        Slip("the wrong way round: 1 where z > 0, 0 below", lambda z: (z < 0).astype(float)),
        Slip("below 0 the derivative is 0, not −1", np.sign),
        Slip("1 everywhere: below 0 the derivative is 0", np.ones_like),
        *(Slip("a leak is left below 0: a ReLU is flat there", lambda z, s=s: np.where(z > 0, 1.0, s))
          for s in (0.01, 0.1, 0.2)),
    ]),
}  # fmt: skip


def check_elementwise(name: str) -> Callable[..., Verdict]:
    """A check of one of the functions of rung 3."""
    right, slips = ELEMENTWISE[name]

    def check(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
        verdict = Verdict(name)
        right_or_slip(verdict, call, function, _Z, right, slips, ["the result"])
        if verdict.lines and not verdict.slips and "is a number" in verdict.lines[0]:
            verdict.slip("one answer for the whole array: every entry has its own")
        own = names.get(name.removesuffix("_derivative"))
        if name.endswith("_derivative") and own is not None:
            z = _Z[2][0].copy()
            difference(verdict, "z", lambda: own(z).sum(), z, lambda: function(z))
        if name == "sigmoid" and verdict.right:
            z = np.array([-1000.0, 0.0, 1000.0])
            given = call(Verdict(""), "", function, z)
            if given is None or not same(given, np.array([0.0, 0.5, 1.0])):
                verdict.say(f"for z of −1000, 0, 1000 it gives {np.asarray(given)}, not 0, 0.5, 1")
                verdict.slip("e^z overflows where z is large: 1 / (1 + e^−z) does not")
        return verdict

    return check


# ---- rung 4 -------------------------------------------------------------------------------------


def backward_cases() -> list[Args]:
    """Dy (B, O), x (B, I), W (I, O), b (O,) of three kinds."""
    return [(normal(len(x), len(b), draw=3), x, w, b) for x, w, b in dense_cases()]


def dense_backward(dy: Array, x: Array, W: Array, b: Array) -> tuple[Array, Array, Array]:
    """The right gradients dx, dW, db."""
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


_R = dense_backward
BACKWARD_SLIPS: list[tuple[str, list[Slip]]] = [
    ("dx", [
        Slip(f"{TRANSPOSE}: dx = dy @ W.T", lambda dy, x, W, b: dy @ W),
        Slip(f"{TRANSPOSE}: dx = dy @ W.T", lambda dy, x, W, b: (dy @ W.T).T),
        Slip("the factors are in the wrong order: dy @ W.T", lambda dy, x, W, b: W @ dy),
        Slip("the factors are in the wrong order: dy @ W.T", lambda dy, x, W, b: W.T @ dy),
        Slip(MEAN, lambda dy, x, W, b: dy @ W.T / len(x)),
        Slip("dx is multiplied by x as well: y is linear in x, so only W remains",
             lambda dy, x, W, b: (dy @ W.T) * x),
        Slip("dy is passed on as it came: it has to go through W", lambda dy, x, W, b: dy),
        Slip("dx is the sum over the batch: each row has a gradient of its own",
             lambda dy, x, W, b: (dy @ W.T).sum(axis=0)),
    ]),
    ("dW", [
        Slip(MEAN, lambda dy, x, W, b: x.T @ dy / len(x)),
        Slip(f"{TRANSPOSE}: dW = x.T @ dy, of W's own shape", lambda dy, x, W, b: dy.T @ x),
        Slip(f"{TRANSPOSE}: dW = x.T @ dy, of W's own shape", lambda dy, x, W, b: x @ dy),
        Slip(f"{TRANSPOSE}: dW = x.T @ dy, of W's own shape", lambda dy, x, W, b: x @ dy.T),
        Slip("the batch's gradients are of every row: dW is their sum, x.T @ dy",
             lambda dy, x, W, b: x[:, :, None] * dy[:, None, :]),
        Slip("only the first row is used", lambda dy, x, W, b: np.outer(x[0], dy[0])),
        Slip("x is missing: dW = x.T @ dy", lambda dy, x, W, b: np.broadcast_to(dy.sum(0), W.shape)),
        Slip("the sign is turned round: descent subtracts later", lambda dy, x, W, b: -x.T @ dy),
    ]),
    ("db", [
        Slip(MEAN, lambda dy, x, W, b: dy.mean(axis=0)),
        Slip("the sum over the batch is missing: b acts on every row", lambda dy, x, W, b: dy),
        Slip("the sum runs along the rows: axis=0 is the batch", lambda dy, x, W, b: dy.sum(axis=1)),
        Slip("db has an axis too many: b is (O,), so no keepdims", lambda dy, x, W, b: dy.sum(0, keepdims=True)),
        Slip("one sum over everything: each unit has a bias of its own (axis=0)", lambda dy, x, W, b: dy.sum()),
        Slip("dy is missing: the sum of dy over the batch", lambda dy, x, W, b: np.ones_like(b)),
        Slip("dy is missing: the sum of dy over the batch", lambda dy, x, W, b: np.full_like(b, len(x))),
        Slip("the sign is turned round: descent subtracts later", lambda dy, x, W, b: -dy.sum(axis=0)),
    ]),
]  # fmt: skip


def check_dense_backward(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """The three gradients, beside central differences of Σ dy·y."""
    verdict = Verdict("dense_backward")
    results = [(args, call(verdict, verdict.piece, function, *args)) for args in backward_cases()]
    judge_backward(verdict, results)
    if not any("raises" in line for line in verdict.lines):
        dy, x, W, b = backward_cases()[0]

        def value() -> Any:
            return (dy * (x @ W + b)).sum()

        for i, (what, array) in enumerate((("x", x), ("W", W), ("b", b))):

            def gradient(place: int = i) -> Any:
                return function(dy, x, W, b)[place]

            difference(verdict, what, value, array, gradient)
    return verdict


def judge_backward(verdict: Verdict, results: Sequence[tuple[Args, Any]]) -> None:
    """Says which of dx, dW and db are wrong, and which slip each may come from."""
    found = [(args, given) for args, given in results if given is not None]
    if any(not isinstance(given, tuple | list) or len(given) != 3 for _, given in found):
        verdict.say("it returns three arrays: dx, dW, db")
        return
    orders = [(1, 2, 0), (1, 0, 2), (2, 1, 0), (2, 0, 1), (0, 2, 1)]
    for order in orders if found else ():
        if all(same(given, tuple(_R(*args)[i] for i in order)) for args, given in found):
            names = ", ".join(("dx", "dW", "db")[i] for i in order)
            verdict.say(f"the three gradients are right, but come as {names}")
            verdict.slip("the order: return dx, dW, db")
            return
    for i, (name, slips) in enumerate(BACKWARD_SLIPS):
        mine = [(args, given[i]) for args, given in found]
        bad = [(args, g) for args, g in mine if not same(g, _R(*args)[i])]
        if bad:
            args, given = bad[0]
            shapes = ", ".join(str(a.shape) for a in args[:3])
            compare(verdict, name, given, _R(*args)[i], f" for dy, x, W of shape {shapes}")
            aside = Verdict(name)
            name_slip(aside, mine, slips)
            for words in aside.slips:
                verdict.slip(f"{name}: {words}")
    if (
        verdict.lines
        and not verdict.slips
        and any("raises ValueError" in line for line in verdict.lines)
    ):
        verdict.slip(f"{TRANSPOSE}: dx = dy @ W.T is (B, I), dW = x.T @ dy is (I, O)")
