"""Formulas: elementwise Python, recorded once and run by one opcode; begin with `traced.py`."""

from pellucid.engine.formulas.compiling import Output, compile_formula
from pellucid.engine.formulas.formula import Formula
from pellucid.engine.formulas.nodes import Node, Recording, Untraceable
from pellucid.engine.formulas.numbers import Number
from pellucid.engine.formulas.traced import Traced
from pellucid.engine.formulas.watching import Read, changed

__all__ = [
    "Formula", "Node", "Number", "Output", "Read", "Recording", "Traced", "Untraceable", "changed",
    "compile_formula",
]  # fmt: skip
