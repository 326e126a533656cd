"""Rules about what came of training: answers, and the curves of the last run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pellucid.insight.diagnosis.base import Case, Finding, chance_of
from pellucid.losses import MSE, ClassLoss, Loss


def no_better_than_chance(case: Case) -> Finding | None:
    """A trained network whose loss a constant answer would reach."""
    if case.losses is None or case.targets is None or case.net.updates == 0:
        return None
    for name, values in case.losses.items():
        loss, target = case.net.losses[name], case.targets[name]
        chance = chance_of(loss, target)
        mean = float(values.mean()) if values.size else 0.0
        if len(values) >= 32 and chance is not None and mean > 0.98 * chance:
            return Finding(
                "no better than chance", name,
                f"the loss is {mean:.4g}; always answering with the average gives {chance:.4g}",
                f"after {case.net.updates} updates the network is of no more use here than that",
                f"{_scaled(loss, target)}{_pace(case)}check that rows of x and y belong together",
            )  # fmt: skip
    return None


def _pace(case: Case) -> str:
    """What a step does to the weights decides on the learning rate; the rest is patience."""
    trial, rate = case.trial, case.rate
    if trial is None or not trial.changes or rate is None:
        return "train longer, "
    name, size = case.step_size()
    step = f"a step changes {name} by {size:.1e} of its size, where about 1e-3 is usual"
    if size > 1e-2:
        return f"a learning rate ten times smaller than {rate:.3g} ({step}), then train longer; "
    if size < 3e-4:
        return f"a learning rate ten times larger than {rate:.3g} ({step}), then train longer; "
    return f"train longer (each step changes {name} by {size:.1e} of its size, as is usual); "


def _scaled(loss: Loss, target: np.ndarray) -> str:
    """What helps first where quantities are far from 1: weights grow by small steps."""
    if isinstance(loss, MSE) and target.std() > 10:
        return "bring y near 1 first, (y - y.mean()) / y.std(), "
    return ""


def majority_only(case: Case) -> Finding | None:
    """A classifier that gives every row the most frequent class."""
    if case.values is None or case.targets is None or case.net.updates == 0:
        return None
    for name, node, loss in case.outputs():
        y, scores = case.targets[name], case.values[node.name]
        if not isinstance(loss, ClassLoss) or y.ndim != 1 or y.dtype.kind not in "iu":
            continue
        counts = np.bincount(y[y >= 0]) if len(y) else np.zeros(1, int)
        most, rest = int(counts.argmax()), int(counts.sum() - counts.max())
        given = int((scores.argmax(axis=-1) == most).sum())
        if rest >= 5 and counts[most] > 0.7 * counts.sum() and given >= 0.995 * len(y):
            return Finding(
                "majority only", name,
                f"{given} of {len(y)} rows are taken for class {most}; {rest} belong to others",
                f"class {most} is {counts[most] / counts.sum():.0%} of the rows, so answering with "
                "it is right that often, and the loss asks for no more",
                'fit(..., class_weight="balanced"), and look at net.evaluate with a metric that '
                "counts classes alike",
            )  # fmt: skip
    return None


def overfitting(case: Case) -> Finding | None:
    """A validation loss that has risen for epochs while the training loss fell."""
    state = case.net.training
    rows = [] if state is None else [r for r in state.rows if "validation_loss" in r]
    if state is None or len(rows) < 5 or state.stopped.startswith("no better"):
        return None
    held = [row["validation_loss"] for row in rows]
    best = int(np.argmin(held))
    since = len(rows) - 1 - best
    if since < 3 or held[-1] < 1.15 * held[best] or rows[-1]["loss"] >= rows[best]["loss"]:
        return None
    return Finding(
        "overfitting", "the last run",
        f"since epoch {rows[best]['epoch']} the validation loss has gone from {held[best]:.4g} to "
        f"{held[-1]:.4g}, the training loss from {rows[best]['loss']:.4g} to "
        f"{rows[-1]['loss']:.4g}",
        "the network learns the rows by heart: what it gains on them it loses on others",
        "callbacks=[EarlyStopping()], which keeps the weights of the best epoch; more rows or "
        "augmentation; Dropout(0.3), weight decay or fewer units",
    )  # fmt: skip


def unsteady_loss(case: Case) -> Finding | None:
    """A training loss that goes up and down from epoch to epoch."""
    state = case.net.training
    losses = [] if state is None else [row["loss"] for row in state.rows[-10:]]
    rises = [b / a for a, b in pairwise(losses) if a > 0 and b > 1.2 * a]
    if len(losses) < 6 or len(rises) < 3:
        return None
    return Finding(
        "unsteady loss", "the last run",
        f"in the last {len(losses)} epochs the training loss rose {len(rises)} times by a fifth "
        f"or more, by up to {max(rises) - 1:.0%}",
        "steps are so long that they leap over the valley they are to go down into",
        "a learning rate three to ten times smaller, a schedule that ends low (Cosine), larger "
        "batches, or clip_norm=1.0",
    )  # fmt: skip
