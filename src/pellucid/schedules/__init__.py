"""Schedules: the learning rate as a function of the step."""

from pellucid.schedules.base import ConstantRate, Schedule, WarmUp, as_schedule, plain_numbers
from pellucid.schedules.cosine import Cosine, CosineRestarts, OneCycle
from pellucid.schedules.decay import (
    ExponentialDecay,
    InverseScaling,
    MultiStep,
    PolynomialDecay,
    StepDecay,
)

__all__ = [
    "ConstantRate", "Cosine", "CosineRestarts", "ExponentialDecay", "InverseScaling", "MultiStep",
    "OneCycle", "PolynomialDecay", "Schedule", "StepDecay", "WarmUp", "as_schedule",
    "plain_numbers",
]  # fmt: skip
