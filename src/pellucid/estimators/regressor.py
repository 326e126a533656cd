"""MLPRegressor: numbers from features, in the place of scikit-learn's."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from pellucid.estimators.base import MLP
from pellucid.estimators.methods import Incremental
from pellucid.estimators.parameters import keep
from pellucid.estimators.validation import checked_pair

Array = NDArray[Any]


class MLPRegressor(RegressorMixin, MLP):  # type: ignore[misc]
    """A regressor by a network of dense layers: scikit-learn's, trained by Pellucid.

    Parameters, attributes and what is better here: see `MLPClassifier`. The first parameter is one
    more:

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        Half the mean square over rows and outputs; or half of Poisson's deviance for counts of 0 or
        more, whose network gives logarithms of rates.

    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> model = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", max_iter=500, random_state=0)
    >>> model.fit(X, X.ravel() ** 2).score(X, X.ravel() ** 2) > 0.95
    True
    """

    def __init__(
        self, loss: str = "squared_error", hidden_layer_sizes: Any = (100,),
        activation: str = "relu", *, solver: str = "adam", alpha: float = 0.0001,
        batch_size: Any = "auto", learning_rate: str = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200,
        shuffle: bool = True, random_state: Any = None, tol: float = 1e-4, verbose: Any = False,
        warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10,
        max_fun: int = 15000, engine: str = "auto",
    ) -> None:  # fmt: skip
        keep(self, locals())

    def _targets(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = checked_pair(self, X, y, reset=reset, numbers=True)
        return X, y.reshape(len(y), -1).astype(np.result_type(y, np.float32), copy=False)

    def _outputs(self, targets: Array) -> tuple[int, str]:
        return targets.shape[1], "exp" if self.loss == "poisson" else "identity"

    def _strata(self, y: Array) -> Array | None:
        return None

    def _validation_score(self, p: Array, y: Array, weight: Array | None) -> float:
        """R², NaN where an output is not finite."""
        return float(r2_score(y, p, sample_weight=weight)) if np.isfinite(p).all() else float("nan")

    @Incremental
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over some rows, after what was learnt before; arguments as in `fit`."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The values for rows X (n_samples, n_features): (n_samples,) or (n_samples, n_outputs)."""
        check_is_fitted(self)
        p = self._checked_outputs(X)
        return p.ravel() if p.shape[1] == 1 else p
