"""The commands of the ladder: `check` a file, and `train digits` with the layers in it."""

from __future__ import annotations

import ast
import runpy
import sys
import traceback
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pellucid.cli.shared import print_json
from pellucid.errors import CheckpointError, OptionError
from pellucid.formats.atomic import check_writable
from pellucid.ladder import check_file, train_digits, write_starters
from pellucid.ladder.digits import GOAL, LadderError
from pellucid.layers.base import Layer

_OTHERS = ("loss", "checkpoint", "resume", "patience", "plot")


def check(args: Namespace) -> int:
    """What is right and wrong in a file; or the files to begin with."""
    if (args.file is None) == (args.start is None):
        raise OptionError("check looks at a FILE, or writes the first ones with --start FOLDER")
    if args.start is not None:
        for path in write_starters(args.start):
            print(path)
        return 0
    report = check_file(args.file)
    if args.json:
        found = [v for verdicts in report.verdicts.values() for v in verdicts]
        print_json({"right": report.right, "trouble": report.trouble,
                    "pieces": [{"right": v.right, **asdict(v)} for v in found]})  # fmt: skip
    else:
        print(report)
    return 0 if report.right else 1


def is_file_of_layers(text: str | None) -> bool:
    """Whether ``--layers`` names a Python file rather than the layers."""
    return text is not None and text.strip().endswith(".py")


def list_in(path: str) -> list[Layer] | None:
    """The list `layers` of a Python file, which is run for it.

    None where it has none, and where it is a file of the ladder or not to be read, of which
    `train_own` tells.
    """
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    given = {n.id for part in tree.body for n in _assigned(part) if isinstance(n, ast.Name)}
    own = {part.name for part in tree.body if isinstance(part, ast.FunctionDef | ast.ClassDef)}
    if "layers" not in given or "train_step" in own:
        return None
    try:
        found = runpy.run_path(path)["layers"]
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        place = f", line {lines[-1]}" if lines else ""
        raise OptionError(f"{path}{place}: {type(error).__name__}: {error}") from None
    if not isinstance(found, list | tuple) or not found or not all(_is_layer(x) for x in found):
        raise OptionError(
            f"{path}: layers is a list of layers, [Dense(128), ReLU(), Dense(10)], not {found!r}"
        )
    return list(found)


def _assigned(part: ast.stmt) -> list[ast.expr]:
    """What a statement gives a value to."""
    if isinstance(part, ast.Assign):
        return part.targets
    return [part.target] if isinstance(part, ast.AnnAssign | ast.AugAssign) else []


def _is_layer(value: Any) -> bool:
    return isinstance(value, Layer) and value.arity == 1


def train_own(args: Namespace) -> int:
    """The embedded digits, learnt with the reader's own layers."""
    if args.data != "digits":
        raise OptionError(f"layers of your own learn the embedded digits: train digits --layers "
                          f"{args.layers}")  # fmt: skip
    for option in _OTHERS:
        if getattr(args, option, None) is not None:
            raise OptionError(f"--{option} is for the library's layers, not for a file of your own")
    if args.scale_target:
        raise OptionError("--scale-target is for quantities, and the digits are classes")
    if args.output is not None:
        try:
            check_writable(args.output)
        except CheckpointError as error:
            raise OptionError(str(error)) from None
    rate = 0.3 if args.learning_rate is None else args.learning_rate
    if not isinstance(rate, int | float):
        raise OptionError("--learning-rate is a number for layers of your own")

    def told(row: dict[str, Any]) -> None:
        if not args.quiet:
            loss = "nan" if row["loss"] is None else f"{row['loss']:.4f}"
            place = f"epoch {row['epoch']:>2}/{args.epochs}  {row['seconds']:6.1f} s"
            right = f"held-out digits right {row['accuracy']:.2%}"
            sys.stderr.write(f"{place}  loss {loss}  {right}\n")

    try:
        result = train_digits(
            args.layers.strip(), epochs=args.epochs, batch_size=args.batch_size,
            learning_rate=float(rate), seed=args.seed, told=told,
        )  # fmt: skip
    except LadderError as error:
        print(f"pellucid: {error}", file=sys.stderr)
        return 1
    if args.output is not None:
        result.network().save(args.output)
    if args.json:
        print_json({"model": args.output, "accuracy": result.accuracy, "record": result.rows})
        return 0
    goal = "the goal is reached" if result.accuracy >= GOAL else f"the goal is {GOAL:.0%}"
    print(f"{result.accuracy:.2%} of 2,000 digits it has never seen are right: {goal}")
    if args.output is not None:
        print(f"saved {args.output}")
    return 0
