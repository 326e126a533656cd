"""What a user's function reads besides its arguments, and whether it may change.

A recorded function is not run again. So one that reads a list, an array or another object that can
change is not recorded at all; and the numbers, strings and tuples that it reads by name are
remembered, with where they stand, and looked at again before the formula is used.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from pellucid.description import Description
from pellucid.engine.formulas.nodes import Untraceable

PLAIN = (int, float, str, bytes, bool, type(None), np.generic, np.ufunc, np.dtype)


class Read(NamedTuple):
    """A name that was read, where, and what it stood for."""

    place: Any  # a mapping, or a closure's cell
    name: str
    value: object

    def now(self) -> object:
        """What it stands for now."""
        if isinstance(self.place, Mapping):
            return self.place.get(self.name)
        return self.place.cell_contents


def ours(thing: Any) -> bool:
    """Whether it is this library's own, or NumPy's."""
    module = getattr(thing, "__module__", None) or ""
    return module.split(".")[0] in ("pellucid", "numpy", "math", "builtins")


def reads_of(thing: Any) -> tuple[Read, ...]:
    """All that a description or function of a user's reads by name; nothing of the library's own.

    Raises `Untraceable` where that may change without anybody's notice.
    """
    found: dict[tuple[int, str], Read] = {}
    stack: list[Any] = [thing]
    seen: list[Any] = []
    while stack:
        this = stack.pop()
        if any(this is other for other in seen):
            continue
        seen.append(this)
        if isinstance(this, types.MethodType | staticmethod | classmethod):
            stack.append(this.__func__)
        elif isinstance(this, property):
            stack += [f for f in (this.fget,) if f is not None]
        elif isinstance(this, types.FunctionType):
            for read in _names(this):
                found[id(read.place), read.name] = read
                stack.append(read.value)
        elif isinstance(this, Description):
            own = vars(this)
            for name, value in own.items():
                found[id(own), name] = Read(own, name, value)
                stack.append(value)
            stack.append(type(this))
        elif isinstance(this, type):
            for base in () if ours(this) else this.__mro__:
                for name, value in () if ours(base) else vars(base).items():
                    if not name.startswith("__"):
                        found[id(base), name] = Read(vars(base), name, value)
                        stack.append(value)
        elif isinstance(this, tuple | frozenset):
            stack += this
        elif hasattr(this, "__wrapped__"):
            stack.append(this.__wrapped__)
        elif not _plain(this):
            raise Untraceable(f"it reads {f'{this!r}'[:60]}, which may change")
    return tuple(found.values())


def changed(reads: Iterable[Read]) -> bool:
    """Whether something that was read stands for something else now."""
    return any(read.now() is not read.value and read.now() != read.value for read in reads)


def _names(function: types.FunctionType) -> list[Read]:
    """The globals and the enclosing names that a function reads, and its defaults."""
    if ours(function):
        return []
    code, place = function.__code__, function.__globals__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    found = [Read(cell, name, cell.cell_contents) for name, cell in cells]
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]  # lambdas inside
    names = dict.fromkeys(name for part in (code, *inner) for name in part.co_names)
    found += [Read(place, name, place[name]) for name in names if name in place]
    defaults = {
        "__defaults__": function.__defaults__ or (),
        "__kw__": function.__kwdefaults__ or (),
    }
    found += [Read(defaults, name, value) for name, value in defaults.items()]
    return [read for read in found if getattr(builtins, read.name, None) is not read.value]


def _plain(this: object) -> bool:
    """Whether it stays what it is: numbers and texts, NumPy and its functions, parts of classes."""
    if isinstance(this, types.ModuleType):
        return this.__name__.split(".")[0] in ("numpy", "math")
    if isinstance(this, types.MemberDescriptorType | types.GetSetDescriptorType):
        return True
    if type(this).__module__ in ("typing", "abc", "_abc"):
        return True
    return isinstance(this, PLAIN) or (callable(this) and ours(this))
