"""The six rungs: what each asks for, and who looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pellucid.errors import OptionError
from pellucid.ladder.descent import check_batches, check_sgd_step
from pellucid.ladder.network import (
    check_dense,
    check_loss,
    check_relu,
    check_sgd,
    check_train_epoch,
    check_train_step,
)
from pellucid.ladder.pieces import (
    check_cross_entropy,
    check_cross_entropy_gradient,
    check_dense_backward,
    check_dense_forward,
    check_elementwise,
)
from pellucid.ladder.verdict import Caller, Verdict

Check = Callable[[Any, Any, Any], Verdict]


@dataclass(frozen=True)
class Rung:
    """One exercise: its title, its starter file, and a check for each piece it asks for."""

    number: int
    title: str
    starter: str
    checks: dict[str, Check]


RUNGS = (
    Rung(1, "a dense layer's forward pass", "rung_1_forward.py",
         {"dense_forward": check_dense_forward}),
    Rung(2, "a loss and its gradient", "rung_2_loss.py",
         {"cross_entropy": check_cross_entropy,
          "cross_entropy_gradient": check_cross_entropy_gradient}),
    Rung(3, "an activation and its derivative", "rung_3_activation.py",
         {name: check_elementwise(name)
          for name in ("sigmoid", "sigmoid_derivative", "relu", "relu_derivative")}),
    Rung(4, "a dense layer's backward pass", "rung_4_backward.py",
         {"dense_backward": check_dense_backward}),
    Rung(5, "gradient descent", "rung_5_descent.py",
         {"sgd_step": check_sgd_step, "batches": check_batches}),
    Rung(6, "a network that trains", "rung_6_network.py",
         {"Dense": check_dense, "ReLU": check_relu, "CrossEntropy": check_loss, "SGD": check_sgd,
          "train_step": check_train_step, "train_epoch": check_train_epoch}),
)  # fmt: skip


def look(
    path: Path, names: dict[str, Any], begin: Callable[[str], object] = lambda piece: None
) -> Iterator[tuple[int, Verdict]]:
    """Every piece that is among the names a file defines, with the number of its rung.

    The reader's code runs in this process: `check_file` starts one for it.
    """
    call = Caller(path)
    for rung in RUNGS:
        for piece, check in rung.checks.items():
            if piece not in names:
                continue
            begin(piece)
            try:
                verdict = check(names[piece], call, names)
            except Exception as error:
                verdict = Verdict(piece)
                verdict.say(f"{piece} raises {call.told(error)}")
            except SystemExit:
                verdict = Verdict(piece)
                verdict.say(f"{piece} ends the program: leave out exit()")
            yield rung.number, verdict


def write_starters(folder: str | Path) -> list[Path]:
    """Writes the six starter files into a folder; a file that is there already is never replaced.

    >>> [path.name for path in write_starters("ladder")][:1]      # doctest: +SKIP
    ['rung_1_forward.py']
    """
    folder = Path(folder)
    taken = [rung.starter for rung in RUNGS if (folder / rung.starter).exists()]
    if taken:
        raise OptionError(
            f"{folder / taken[0]} is there already, and may be your work: give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for rung in RUNGS:
        path = folder / rung.starter
        source = files("pellucid.ladder") / "starters" / rung.starter
        path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        written.append(path)
    return written
