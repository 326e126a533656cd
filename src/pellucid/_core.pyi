from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

Table = tuple[NDArray[Any], NDArray[Any]]
Source = tuple[NDArray[Any], int, bool]

class Program32:
    def load(
        self,
        phases: Sequence[Table],
        regions: Sequence[NDArray[Any]],
        rows: int,
        sources: Sequence[Source],
        weight: int,
        unwritten: Sequence[tuple[int, int]],
        call: Callable[..., float | None] | None,
        formulas: Sequence[Table],
        numbers: int,
    ) -> None: ...
    def execute(
        self,
        phase: int,
        rows: int,
        weighted: bool,
        step: int,
        part: int,
        t: int,
        total: float,
        numbers: NDArray[Any],
        sums: NDArray[Any],
    ) -> None: ...
    def infer(
        self,
        sources: Sequence[Source],
        outputs: Sequence[NDArray[Any]],
        count: int,
        weight: NDArray[Any] | None,
        tally: NDArray[Any] | None,
    ) -> None: ...
    def predict(self, x: NDArray[Any], y: NDArray[Any]) -> bool: ...
    def run(
        self,
        order: NDArray[Any] | None,
        cuts: NDArray[Any],
        accumulate: int,
        count: int,
        step: int,
        numbers: NDArray[Any],
        weight: NDArray[Any] | None,
        shares: NDArray[Any],
        tally: NDArray[Any],
        stop: NDArray[Any],
        seconds: float,
    ) -> tuple[int, float, bool, int]: ...

class Program64(Program32): ...

def set_threads(count: int) -> None: ...
def threads() -> int: ...
def opcodes() -> list[str]: ...
