"""L-BFGS: a full-batch solver that remembers how the gradient has changed.

Near a minimum the loss is a parabola, and Newton's step −H⁻¹g goes straight to its bottom. BFGS
builds H⁻¹ from the steps s = θ′ − θ and the changes y = g′ − g that they made; L-BFGS keeps only
the last few pairs (s, y) and never writes the matrix down. With ρ = 1/yᵀs, each pair changes an
inverse Hessian H⁻¹ into (1 − ρsyᵀ) H⁻¹ (1 − ρysᵀ) + ρssᵀ, which maps y to s as it should.
Multiplied out from the newest pair to the oldest and back, −H⁻¹g takes two loops (Nocedal,
"Updating quasi-Newton matrices with limited storage", 1980)::

    q ← −g
    newest to oldest:   αᵢ = ρᵢ sᵢᵀq;   q ← q − αᵢ yᵢ
    d ← (sᵀy / yᵀy) q                          with the newest pair: the size of H⁻¹
    oldest to newest:   βᵢ = ρᵢ yᵢᵀd;   d ← d + (αᵢ − βᵢ) sᵢ

How far to go along d is found by trying. `strong_wolfe` returns a step t that lowers the loss by a
fair share of what its slope promised and at which little of that slope is left; the second makes
yᵀs > 0, without which H⁻¹ would not stay positive. Both follow Nocedal and Wright, "Numerical
optimization", 2nd edition, algorithms 3.5, 3.6 and 7.4, with the safeguards of minFunc, as in
PyTorch; numbers are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Any, ClassVar, NamedTuple, final

from pellucid.description import number
from pellucid.errors import OptionError
from pellucid.optimizers.base import Optimizer
from pellucid.optimizers.norms import inner
from pellucid.random import Array
from pellucid.schedules import Schedule


@final
@dataclass(frozen=True, repr=False)
class LBFGS(Optimizer):
    """A full-batch solver for small networks and few rows: ``net.fit(x, y, optimizer=LBFGS())``.

    An update is one iteration: a direction by the two loops above, then a line search, which looks
    at the loss of all rows once or a few times. An epoch is up to `max_iter` of them. Rows go
    through the network in batches of `batch_size`, which decides memory and speed, not the result
    (unless a layer measures its batches); they are the same in every epoch, and random layers draw
    the same numbers every time, so that the loss is one function of the weights. The run stops when
    a tolerance is reached, and `record.stopped` says which.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1
        The first step that each line search tries.
    history_size : int, default 10
        Pairs (s, y) kept; the slots are twice as many vectors. PyTorch's default is 100.
    max_iter : int, default 20
        Iterations of one epoch.
    tolerance_grad : float, default 1e-7
        Stop when no entry of the gradient is larger.
    tolerance_change : float, default 1e-9
        Stop when the loss changes by less, or no weight by more.

    Clipping, weight decay, max_norm and averages do not go with it: the line search needs a true
    gradient. ``Network(penalty=L2(1e-4))`` gives both the penalty's value and its gradient.

    >>> import numpy as np
    >>> from pellucid import Dense, MSE, Network
    >>> net = Network([Dense(1)], loss=MSE(), optimizer=LBFGS(), dtype="float64")
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> record = net.fit(x, 3 * x + 2, batch_size=20, progress=False)
    >>> record.stopped.split(":")[0], net.parameters["dense_1/W"].round(4).item()
    ('converged', 3.0)
    """

    learning_rate: float | Schedule = 1.0
    history_size: int = 10
    max_iter: int = 20
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9

    remedies: ClassVar[dict[str, str]] = {
        **Optimizer.remedies,
        "line_search_fn": "It always searches for a step by the strong Wolfe conditions",
        "max_eval": "Write max_iter=; a line search looks at the loss 25 times at most",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "history_size", at_least=1, integer=True)
        number(self, "max_iter", at_least=1, integer=True)
        number(self, "tolerance_grad", at_least=0)
        number(self, "tolerance_change", at_least=0)
        for option in ("clip_norm", "clip_value", "weight_decay", "max_norm", "average"):
            if getattr(self, option):
                raise OptionError(
                    f"LBFGS: {option} would make its gradient another function's than its loss. "
                    "For small weights: Network(penalty=L2(1e-4))"
                )

    def own_slots(self) -> tuple[str, ...]:
        """The steps and the changes of the gradient, newest first."""
        numbers = range(1, self.history_size + 1)
        return (*(f"s{k}" for k in numbers), *(f"y{k}" for k in numbers))

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        raise OptionError(
            "LBFGS looks at the loss of all rows several times for one update, which a single step "
            "cannot: net.fit(x, y, optimizer=LBFGS()) does"
        )


def remember(slots: dict[str, Array], size: int, s: Array, y: Array) -> None:
    """Puts a pair in front of the history, where its curvature yᵀs is large enough."""
    if inner(y, s) <= 1e-10:
        return
    for name, newest in (("s", s), ("y", y)):
        for k in range(size, 1, -1):
            slots[f"{name}{k}"][...] = slots[f"{name}{k - 1}"]
        slots[f"{name}1"][...] = newest


def direction(g: Array, slots: dict[str, Array], size: int) -> Array:
    """−H⁻¹g by the two loops; −g without a history."""
    pairs = [(slots[f"s{k}"], slots[f"y{k}"]) for k in range(1, size + 1)]
    curvatures = [inner(y, s) for s, y in pairs]  # 0 where there is no pair yet
    pairs = [pair for pair, ys in zip(pairs, curvatures, strict=True) if ys > 0]
    rhos = [1 / ys for ys in curvatures if ys > 0]
    d = -g
    alphas = []
    for (s, y), rho in zip(pairs, rhos, strict=True):
        alphas.append(rho * inner(s, d))
        d -= alphas[-1] * y
    if pairs:
        d *= 1 / (rhos[0] * inner(pairs[0][1], pairs[0][1]))
    for (s, y), rho, alpha in zip(pairs[::-1], rhos[::-1], alphas[::-1], strict=True):
        d += (alpha - rho * inner(y, d)) * s
    return d


class Point(NamedTuple):
    """The loss on the line θ + t·d: its value f and slope there, and whatever came with them."""

    t: float
    f: float
    slope: float
    found: Any = None


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, length: float, tolerance: float,
    c1: float = 1e-4, c2: float = 0.9, tries: int = 25,
) -> Point:  # fmt: skip
    """A point on the line where the loss is low and flat enough, or the best there was.

    ::

        f(t) ≤ f(0) + c₁ · t · f′(0)        enough lower
        |f′(t)| ≤ c₂ · |f′(0)|              enough flatter

    First t grows until an interval must hold such a point; then the interval is cut, by the lowest
    point of the cubic through its ends.

    Parameters
    ----------
    at : function of t
        The point there; a loss or gradient that is not finite counts as infinitely high.
    start : the point at t = 0, with a negative slope
    t : the first step to try
    length : the largest entry of d
    tolerance : an interval that moves no weight by more is not cut any further
    """

    def high(p: Point) -> bool:
        return not p.f <= start.f + c1 * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -c2 * start.slope

    before, now = start, at(t)
    for used in range(1, tries + 1):
        if high(now) or (used > 2 and now.f >= before.f):
            break
        if flat(now):
            return now
        if now.slope >= 0:
            break
        if used == tries:
            before = start
            break
        least, most = now.t + 0.01 * (now.t - before.t), 10 * now.t
        before, now = now, at(_lowest(before, now, least, most))
    return _zoom(at, [before, now], high, flat, length, tolerance, tries - used)


def _zoom(
    at: Callable[[float], Point], ends: list[Point], high: Callable[[Point], bool],
    flat: Callable[[Point], bool], length: float, tolerance: float, tries: int,
) -> Point:  # fmt: skip
    """Cuts the interval between two points, keeping the lowest at one end."""
    stuck = False
    low = 0 if ends[0].f <= ends[1].f else 1
    for _ in range(tries):
        left, right = sorted((ends[0].t, ends[1].t))
        if (right - left) * length < tolerance:
            break
        t = _lowest(ends[0], ends[1], left, right)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):  # a second time, or no cut at all
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stuck = near
        now = at(t)
        if high(now) or now.f >= ends[low].f:
            ends[1 - low] = now
            low = 0 if ends[0].f <= ends[1].f else 1
            continue
        if flat(now):
            return now
        if now.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = now
    return ends[low]


def _lowest(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic through two points and their slopes is lowest, between two limits.

    The middle, where it has no lowest point or an end is infinitely high.
    """
    if a.t > b.t:
        a, b = b, a
    middle = (least + most) / 2
    if not all(isfinite(value) for value in (a.f, b.f, a.slope, b.slope)):
        return middle
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < inf:
        return middle
    d2 = sqrt(square)
    below = b.slope - a.slope + 2 * d2
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below) if below else middle
    return min(max(t, least), most)
