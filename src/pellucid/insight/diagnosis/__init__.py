"""The rules of `diagnose`: each looks at a network on a batch and returns a finding or nothing.

`RULES` has them in the order in which their findings are told, the most fundamental first. Where a
finding explains another (pixels that are not scaled make the first loss large), only the first is
told.
"""

from pellucid.insight.diagnosis.base import Case, Diagnosis, Finding, Rule, Trial
from pellucid.insight.diagnosis.data import (
    constant_inputs,
    large_first_loss,
    not_finite,
    sorted_rows,
    tiny_batches,
    unreachable_targets,
    unscaled_inputs,
)
from pellucid.insight.diagnosis.learning import (
    majority_only,
    no_better_than_chance,
    overfitting,
    unsteady_loss,
)
from pellucid.insight.diagnosis.signals import (
    dead_units,
    exploding_gradients,
    no_gradient,
    saturated_units,
    steps_too_large,
    steps_too_small,
    symmetric_units,
    vanishing_gradients,
)
from pellucid.insight.diagnosis.structure import (
    heavy_penalty,
    linear_stack,
    misplaced_dropout,
    nothing_to_train,
    softmax_of_one,
    squashed_outputs,
)

_SCALE = ("not finite", "unscaled inputs", "constant inputs")
_FLOW = (*_SCALE, "squashed outputs", "softmax of one", "dead units", "symmetric units",
         "saturated units")  # fmt: skip
_TOLD = ("majority only", "sorted rows", "symmetric units", "dead units", "steps too large",
         "steps too small")  # fmt: skip

RULES: dict[str, Rule] = {
    "not finite": Rule(not_finite),
    "nothing to train": Rule(nothing_to_train),
    "squashed outputs": Rule(squashed_outputs),
    "softmax of one": Rule(softmax_of_one),
    "linear stack": Rule(linear_stack),
    "misplaced dropout": Rule(misplaced_dropout),
    "tiny batches": Rule(tiny_batches),
    "unscaled inputs": Rule(unscaled_inputs, "data"),
    "constant inputs": Rule(constant_inputs, "data", ("not finite",)),
    "unreachable targets": Rule(unreachable_targets),
    "sorted rows": Rule(sorted_rows, "targets"),
    "symmetric units": Rule(symmetric_units, "data"),
    "dead units": Rule(dead_units, "data", ("symmetric units",)),
    "saturated units": Rule(saturated_units, "data", _SCALE),
    "no gradient": Rule(no_gradient, "targets", _FLOW),
    "vanishing gradients": Rule(vanishing_gradients, "targets", (*_FLOW, "no gradient")),
    "exploding gradients": Rule(exploding_gradients, "targets", (*_FLOW, "no gradient")),
    "large first loss": Rule(
        large_first_loss, "targets", (*_SCALE, "squashed outputs", "exploding gradients")
    ),
    "heavy penalty": Rule(heavy_penalty, "targets"),
    "steps too large": Rule(
        steps_too_large, "targets", (*_SCALE, "exploding gradients", "large first loss")
    ),
    "steps too small": Rule(steps_too_small, "targets", (*_FLOW, "no gradient")),
    "majority only": Rule(majority_only, "targets", _SCALE),
    "overfitting": Rule(overfitting),
    "unsteady loss": Rule(unsteady_loss, "", ("steps too large", "not finite")),
    "no better than chance": Rule(no_better_than_chance, "targets", _TOLD),
}

__all__ = ["RULES", "Case", "Diagnosis", "Finding", "Rule", "Trial"]
