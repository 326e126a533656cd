"""Training: the loop, its observers, single steps, and the state that goes on after a stop."""

from pellucid.training.batches import shuffled
from pellucid.training.callbacks import Checkpoint, EarlyStopping
from pellucid.training.fit import evaluate, fit
from pellucid.training.loop import Run
from pellucid.training.record import Record
from pellucid.training.state import TrainingState
from pellucid.training.step import Step

__all__ = [
    "Checkpoint", "EarlyStopping", "Record", "Run", "Step", "TrainingState", "evaluate", "fit",
    "shuffled",
]  # fmt: skip
