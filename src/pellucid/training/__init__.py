"""Training: the loop, its observers, single steps, and the state that goes on after a stop."""

from pellucid.training.averaging import AveragedWeights, averaged, measure
from pellucid.training.batches import shuffled
from pellucid.training.callbacks import Checkpoint, EarlyStopping
from pellucid.training.fit import evaluate, fit
from pellucid.training.loop import Run
from pellucid.training.plateau import ReduceLROnPlateau
from pellucid.training.rates import RateSearch, find_learning_rate
from pellucid.training.record import Record
from pellucid.training.state import TrainingState
from pellucid.training.step import Step
from pellucid.training.together import fit_together

__all__ = [
    "AveragedWeights", "Checkpoint", "EarlyStopping", "RateSearch", "Record", "ReduceLROnPlateau",
    "Run", "Step", "TrainingState", "averaged", "evaluate", "find_learning_rate", "fit",
    "fit_together", "measure", "shuffled",
]  # fmt: skip
