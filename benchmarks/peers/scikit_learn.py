"""scikit-learn's MLP, an epoch at a time by `partial_fit` on rows already in that epoch's order.

So it takes the same initial weights and the same batches as everybody. Two things are its own: Adam
adds ε to the uncorrected √v, and the squared loss has a half in front, which doubling the learning
rate of SGD makes up for.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from benchmarks.jobs import Job

Array = NDArray[Any]


class _Model:
    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job, self.threads = job, threads
        self.use()
        regress = job.loss == "mse"
        sizes = tuple(given[0] for kind, *given in job.layers if kind == "dense")[:-1]
        self.model = (MLPRegressor if regress else MLPClassifier)(
            hidden_layer_sizes=sizes, solver=job.optimizer, alpha=0.0, shuffle=False, max_iter=1,
            batch_size=min(job.batch or 1, len(job.x)),
            learning_rate_init=job.rate * (2 if regress else 1),
            momentum=0.0, nesterovs_momentum=False, n_iter_no_change=10**9, random_state=0,
        )  # fmt: skip
        self.target = job.y[:, 0] if regress else job.y
        self._initialize()
        self.reset()

    def _initialize(self) -> None:
        """Makes the arrays, on a few rows in which every class occurs."""
        x = np.zeros((10, *self.job.row), np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "Got `batch_size`")
            self.model.fit(x, np.arange(10))

    def use(self) -> None:
        """Sets the number of threads for the process."""
        threadpool_limits(self.threads)

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "partial_fit, an epoch a call" if self.job.trains else "predict_proba"

    def reset(self) -> None:
        """The initial weights, and an optimizer that has seen nothing."""
        weights = [array.copy() for array in self.job.weights]
        self.model.coefs_, self.model.intercepts_ = weights[::2], weights[1::2]
        vars(self.model).pop("_optimizer", None)  # partial_fit makes a new one


class Trainer(_Model):
    """One `partial_fit` for each epoch."""

    def train(self, epochs: int) -> None:
        """The rows of an epoch are picked once, in its order."""
        for order in self.job.orders[:epochs]:
            self.model.partial_fit(self.job.x[order], self.target[order])

    def weights(self) -> list[Array]:
        """The weights as they are now."""
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [array for pair in pairs for array in pair]


class Predictor(_Model):
    """Calls of `predict_proba`."""

    def predict(self) -> Array:
        """Probabilities."""
        found: Array = self.model.predict_proba(self.job.x)
        return found
