"""Formulas as NumPy lines, for `print(net.program)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pellucid.engine.formulas.nodes import Node

if TYPE_CHECKING:
    from pellucid.engine.formulas.compiling import Output

SIGNS = {
    "add": ("+", 4), "subtract": ("-", 4), "multiply": ("*", 5), "divide": ("/", 5),
    "power": ("**", 7), "less": ("<", 2), "less_equal": ("<=", 2), "equal": ("==", 2),
    "not_equal": ("!=", 2),
}  # fmt: skip
NAMES = {"absolute": "abs", "times": "share"}
_LONG = 60  # characters of an expression, before it gets a name of its own


class _Writer:
    def __init__(self, outputs: Sequence[Output], leaves: Mapping[int, str]) -> None:
        self.lines: list[str] = []
        self.names = dict(leaves)
        self.uses: dict[int, int] = {}
        seen, stack = set(), [output.node for output in outputs]
        while stack:
            node = stack.pop()
            self.uses[node.number] = self.uses.get(node.number, 0) + 1
            if node.number not in seen and node.number not in leaves:
                seen.add(node.number)
                stack += node.args

    def text(self, node: Node, inside: int = 0) -> str:
        """An expression; in brackets where what it stands in binds closer."""
        if node.number not in self.names:
            text, binds = self._plain(node)
            if node.args and (self.uses.get(node.number, 1) > 1 or len(text) > _LONG):
                name = f"t{sum(n.startswith('t') for n in self.names.values()) + 1}"
                self.lines.append(f"{name} = {text}")
                self.names[node.number] = name
            else:
                return f"({text})" if binds < inside else text
        return self.names[node.number]

    def _plain(self, node: Node) -> tuple[str, int]:
        """A node and how closely it binds."""
        if node.op == "input":
            return str(node.value), 9
        if node.op == "constant":
            return f"{node.value:.8g}", 9 if node.value >= 0 else 6
        if node.op == "number":
            return ("rate" if node.value == 0 else f"numbers[{node.value}]"), 9
        if node.op == "column":
            first = ", ".join(f"{v:.6g}" for v in node.value[:6])
            return f"[{first}{', …' if len(node.value) > 6 else ''}]", 9
        if node.op in SIGNS:
            sign, binds = SIGNS[node.op]
            a, b = (self.text(arg, binds + k) for k, arg in enumerate(node.args))
            return f"{a} {sign} {b}", binds
        if node.op == "negative":
            return f"-{self.text(node.args[0], 7)}", 6
        if node.op in ("sum", "max", "min"):
            return f"{self.text(node.args[0], 9)}.{node.op}(axis=-1)", 9
        if node.op == "over":
            return f"{self.text(node.args[0], 9)}.sum(axis=0)", 9
        if node.op == "copy":
            return self._plain(node.args[0])
        name = NAMES.get(node.op, node.op)
        if not node.args:
            return name, 9
        return f"{name}({', '.join(self.text(arg) for arg in node.args)})", 9


def written(
    outputs: Sequence[Output], leaves: Mapping[int, str], never: Sequence[Node]
) -> list[str]:
    """What the outputs are, line by line; `leaves` have names of their own.

    A loss is NaN where a condition holds that never should.
    """
    writer = _Writer(outputs, leaves)
    for name, node, how in outputs:
        text, _ = writer._plain(node)
        if node.number in writer.names:
            text = writer.names[node.number]
        writer.lines.append(f"{'l' if how == 'total' else name} = {text}")
        if how == "total":
            writer.lines += [f"l = where({writer.text(condition)}, nan, l)" for condition in never]
        if node.args:
            writer.names.setdefault(node.number, name)
    return writer.lines
