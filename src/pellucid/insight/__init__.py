"""Looking inside: what a step does, what shapes do, whether gradients are right, what is wrong."""

from pellucid.insight import plots
from pellucid.insight.diagnose import Diagnosis, Finding, diagnose
from pellucid.insight.explain import Explanation, explain
from pellucid.insight.gradcheck import GradientReport, gradcheck
from pellucid.insight.trace import Trace, trace
from pellucid.insight.tracebacks import explain_errors

__all__ = [
    "Diagnosis", "Explanation", "Finding", "GradientReport", "Trace", "diagnose", "explain",
    "explain_errors", "gradcheck", "plots", "trace",
]  # fmt: skip
