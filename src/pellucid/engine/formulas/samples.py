"""Numbers to try out formulas on, beside the Python code that they come from."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.formulas.formula import OPERANDS, Formula
from pellucid.engine.formulas.nodes import Recording, Shape, Untraceable
from pellucid.engine.opcodes.base import Moment
from pellucid.random import Stream

Array = NDArray[Any]
ROWS = 5  # of samples
_LARGEST = 2**21  # values of samples


def sample(
    shape: Shape, dtype: np.dtype[Any], draw: int, *, rows: int | None = ROWS, wild: bool = True
) -> Array:
    """Numbers of both signs, some of them 0, ±1, large or small."""
    whole = shape if rows is None else (rows, *shape)
    if prod(whole) > _LARGEST:
        raise Untraceable(f"its rows of {prod(shape)} values are too long to be tried out")
    numbers = Stream(0, "formula", draw=draw).normal((prod(whole),), std=2.0).astype(dtype)
    special = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 3.0, 40.0, -40.0, 1e-6, 1e4, -1e4, -1e-30, 1e30]
    for k, value in enumerate(special if wild else special[:5]):
        if len(numbers) > 2:
            numbers[(7 * k + draw) % len(numbers)] = value
    return numbers.reshape(whole)


def run_twin(
    formula: Formula, arrays: dict[str, Array], at: Moment | None = None, *, weighted: bool = False
) -> Any:
    """The twin, on arrays by name."""
    given = [arrays[name] if name else None for name in formula.names]
    assert len(given) == OPERANDS
    with np.errstate(all="ignore"):
        return formula.run(at or Moment(ROWS, weighted, total=float(ROWS)), given)


def compare(recording: Recording, ours: Array, theirs: Any, *, mixed: bool = False) -> None:
    """Raises where a formula has other numbers than the code it was recorded from."""
    wanted = np.asarray(theirs).astype(ours.dtype).reshape(ours.shape)
    if np.array_equal(ours, wanted, equal_nan=True):
        return
    loose = recording.sums or recording.mixed or mixed
    size = np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-30)
    within = 256 * float(np.finfo(ours.dtype).eps)
    with np.errstate(all="ignore"):
        close = np.allclose(ours, wanted, rtol=within, atol=within * float(size), equal_nan=True)
    if not loose or not close:
        raise Untraceable("its formula gives other numbers than its Python code")
