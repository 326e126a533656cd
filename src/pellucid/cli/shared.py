"""What commands have in common: opening networks, reading options, writing JSON."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pellucid.cli.datasets import How
from pellucid.errors import CheckpointError, OptionError

T = TypeVar("T")


def stored(reader: Callable[[str], T], path: str) -> T:
    """What is in a file; that there is none is a matter of usage, not a failure."""
    try:
        return reader(path)
    except CheckpointError as error:
        raise OptionError(str(error)) from None


def how_of(args: Namespace) -> How:
    """How the options of a command have data read."""
    return How(
        args.target, args.weight, args.size, args.grey, args.download,
        getattr(args, "quiet", False), args.columns, args.missing,
    )  # fmt: skip


def print_json(value: Any) -> None:
    """Writes a value as JSON on stdout."""
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """JSON values; what is not finite becomes null, which every reader of JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
