"""TrainingState: all that a run needs to go on as if it had never stopped.

Random numbers are keyed by seed, place and step, and an epoch's order by its number, so there is
no generator to save: counters are enough.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Tally
from pellucid.errors import ResumeError
from pellucid.network.network import Network

Array = NDArray[Any]


@dataclass
class TrainingState:
    """Where a run is: counters, running sums, the record, and copies of every vector.

    Attributes
    ----------
    updates : updates made since the network was reset; keys dropout and schedules
    epoch, batch : finished epochs, and updates made in the one under way
    first_epoch : what `epoch` was when this run began
    seconds : time spent training so far
    stopped : why the run ended; empty while it goes on and when it completed
    tally : sums over the rows of the epoch under way
    rows : the record so far
    observers : what each observer asked to keep, by its place among them
    setting : what has to be the same to go on: architecture, optimizer, batch size, rows
    parameters, state, slots : copies of the flat vectors
    """

    updates: int = 0
    epoch: int = 0
    batch: int = 0
    first_epoch: int = 0
    seconds: float = 0.0
    stopped: str = ""
    tally: Tally = field(default_factory=Tally)
    rows: list[dict[str, Any]] = field(default_factory=list)
    observers: dict[str, dict[str, Any]] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)
    parameters: Array | None = None
    state: Array | None = None
    slots: dict[str, Array] = field(default_factory=dict)

    def snapshot(self, net: Network) -> TrainingState:
        """The state with copies of the network's vectors, safe from what happens next."""
        taken = copy.deepcopy(self)
        taken.updates = net.updates
        taken.parameters = net.parameters.vector.copy()
        taken.state = net.state.vector.copy()
        taken.slots = {name: vector.copy() for name, vector in net.slots.items()}
        return taken

    def restore(self, net: Network) -> None:
        """Copies the vectors and the counter back into the network."""
        if self.parameters is None or self.state is None:
            raise ResumeError("this training state holds no vectors")
        pairs = [("parameters", self.parameters, net.parameters.vector)]
        pairs += [("state", self.state, net.state.vector)]
        pairs += [(k, v, net.slots[k]) for k, v in self.slots.items() if k in net.slots]
        if set(self.slots) != set(net.slots):
            raise ResumeError(
                f"the optimizer keeps {sorted(net.slots)}, the training state has "
                f"{sorted(self.slots)}: resume with the optimizer of the run"
            )
        for name, saved, vector in pairs:
            if saved.shape != vector.shape or saved.dtype != vector.dtype:
                raise ResumeError(
                    f"{name}: {saved.size} values of {saved.dtype} were saved, the network has "
                    f"{vector.size} of {vector.dtype}: resume with the network of the run"
                )
        for _, saved, vector in pairs:
            vector[...] = saved
        net.updates = self.updates

    def check_setting(self, setting: dict[str, Any]) -> None:
        """A ResumeError naming what differs from the run that is to go on."""
        for key, now in setting.items():
            if key in self.setting and self.setting[key] != now:
                where, was, now = _first_difference(key, self.setting[key], now)
                raise ResumeError(
                    f"{where} was {_short(was)} and is now {_short(now)}: a run goes on only with "
                    "the same one (leave out resume to start a new run)"
                )


def _first_difference(place: str, was: Any, now: Any) -> tuple[str, Any, Any]:
    """Where two JSON values differ first, and what stands there in each."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *now]:
            if key not in was or key not in now or was[key] != now[key]:
                return _first_difference(f"{place}.{key}", was.get(key), now.get(key))
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for i, (one, other) in enumerate(zip(was, now, strict=True)):
            if one != other:
                return _first_difference(f"{place}[{i}]", one, other)
    return place, was, now


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 160 else text[:150] + " …"


def setting_of(net: Network, **options: Any) -> dict[str, Any]:
    """What a resumed run must share with the one that stopped, as JSON values."""
    config = net.to_config()
    keys = ("graph", "loss", "optimizer", "penalty", "seed", "dtype")
    return {key: config[key] for key in keys} | {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in options.items()
    }
