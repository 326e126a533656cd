"""From a network to a table of instructions; begin with `Lowering.run` in base.py."""

from pellucid.engine.lowering.base import Call, Kind, Lowering, Purpose, Table, View
from pellucid.engine.lowering.plan import ALIGNMENT, plan

__all__ = ["ALIGNMENT", "Call", "Kind", "Lowering", "Purpose", "Table", "View", "plan"]
