"""Looking inside: what a step does, whether gradients are right, what is wrong."""

from pellucid.insight.diagnose import Diagnosis, Finding, diagnose
from pellucid.insight.gradcheck import GradientReport, gradcheck
from pellucid.insight.trace import Trace, trace

__all__ = ["Diagnosis", "Finding", "GradientReport", "Trace", "diagnose", "gradcheck", "trace"]
