"""What the classifier and the regressor share: fitting, and what is remembered of it."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from math import ceil, inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pellucid.errors import DataError
from pellucid.estimators.conversion import converted, given_back
from pellucid.estimators.descent import AdamSteps, Descent, Interrupt, MomentumSteps, Steps
from pellucid.estimators.methods import unchanged_on_error
from pellucid.estimators.networks import arrays_of, build, drawn
from pellucid.estimators.objective import Objective
from pellucid.estimators.parameters import check_parameters, hidden_sizes, random_of
from pellucid.estimators.quasi_newton import minimize
from pellucid.estimators.rows import Rows, block_rows, dense
from pellucid.estimators.validation import checked_features, checked_weight
from pellucid.training.interrupts import interrupts

Array = NDArray[Any]
_OF_A_FIT = (  # what a fit from the start forgets
    "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_", "_optimizer",
    "_no_improvement_count",
)  # fmt: skip


class MLP(BaseEstimator, ABC):  # type: ignore[misc]
    """Base of the two: a network of dense layers behind scikit-learn's interface.

    `coefs_` and `intercepts_` are views of the network's parameters. Arrays that a user puts in
    their place are copied into the network before it is used.
    """

    engine: str
    coefs_: list[Array]
    intercepts_: list[Array]
    out_activation_: str
    n_outputs_: int
    n_features_in_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    t_: int
    n_iter_: int
    n_layers_: int
    _optimizer: Steps
    _no_improvement_count: int
    _objective: Objective

    # ---- what the two differ in ----------------------------------------------------------------

    @abstractmethod
    def _targets(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """X checked, and y as the network's loss wants it."""

    @abstractmethod
    def _outputs(self, targets: Array) -> tuple[int, str]:
        """How many outputs there are, and their activation."""

    @abstractmethod
    def _validation_score(self, p: Array, y: Array, weight: Array | None) -> float:
        """How good outputs p (B, K) are for targets y."""

    @abstractmethod
    def _strata(self, y: Array) -> Array | None:
        """What early stopping's split keeps the shares of."""

    # ---- fitting -------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits the network to data.

        Parameters
        ----------
        X : array or sparse matrix (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_outputs)
            Labels for the classifier (or a matrix of 0 and 1, several labels a row), numbers for
            the regressor.
        sample_weight : array (n_samples,), optional
            The loss is Σwℓ/Σw over each batch.

        Raises
        ------
        DataError, OptionError : values that cannot be used; the estimator is as it was before
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Self:
        check_parameters(self)
        with unchanged_on_error(self):
            first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
            X, y = self._targets(X, y, incremental=incremental, reset=first)
            weight = checked_weight(sample_weight, X.shape[0], X.dtype)
            random = self._random_state = random_of(self)
            outputs, out_activation = self._outputs(y)
            if first:
                self._initialize(outputs, out_activation, random, X.dtype)
            elif self.coefs_[-1].shape[1] != outputs:
                raise DataError(
                    f"y has {outputs} outputs, and {self.coefs_[-1].shape[1]} in the fit before: "
                    "warm_start=False begins anew"
                )
            objective = self._objective_of_arrays(np.float64 if self.solver == "lbfgs" else None)
            objective.alpha = float(self.alpha)
            rows = Rows(objective.net, X, y, weight)
            if self.solver == "lbfgs":
                self.n_iter_, self.loss_ = minimize(
                    objective, rows, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol
                )
            else:
                self._descend(objective, rows, random, incremental=incremental)
            if not np.isfinite(objective.net.parameters.vector).all():
                raise DataError(
                    "Solver produced non-finite parameter weights. The input data may contain large"
                    " values and need to be preprocessed."
                )
        return self

    def _initialize(
        self, outputs: int, out_activation: str, random: np.random.RandomState, dtype: Any
    ) -> None:
        """Draws weights, and forgets the fit before."""
        units = [self.n_features_in_, *hidden_sizes(self), outputs]
        self.__dict__.pop("_objective", None)
        for name in _OF_A_FIT:
            self.__dict__.pop(name, None)
        self.out_activation_, self.n_outputs_, self.n_layers_ = out_activation, outputs, len(units)
        self.n_iter_ = self.t_ = 0
        self.coefs_, self.intercepts_ = drawn(random, units, self.activation, dtype)

    def _descend(
        self, objective: Objective, rows: Rows, random: np.random.RandomState, *, incremental: bool
    ) -> None:
        """Epochs of gradient descent until nothing improves, or max_iter of them."""
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._steps()
        self._begin_history()
        picks = held = None
        if self.early_stopping:
            picks, held = self._split(rows, random)
        count = rows.count if picks is None else len(picks)
        theta, self.n_iter_ = objective.net.parameters.vector, 0
        best = theta.copy() if held is not None else None
        interrupt = Interrupt()
        descent = Descent(
            objective, self._optimizer, rows, picks, self._rows_a_batch(count),
            random if self.shuffle else None, interrupt.flag,
        )  # fmt: skip
        try:
            with interrupts([interrupt]):  # type: ignore[list-item]
                self._learn(descent, rows, held, best, incremental=incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        if best is not None:
            theta[...] = best

    def _learn(
        self, descent: Descent, rows: Rows, held: Array | None, best: Array | None, *,
        incremental: bool,
    ) -> None:  # fmt: skip
        """Epoch after epoch; `best` becomes the best parameters where rows are held out."""
        for _ in range(1 if incremental else self.max_iter):
            self._note(descent.epoch(), descent.count)
            if held is None or best is None:
                self._compare_loss()
            elif self._compare_score(rows, held):
                best[...] = self._objective.net.parameters.vector
            self._optimizer.epoch_ends(self.t_)
            if self._no_improvement_count > self.n_iter_no_change and self._stops():
                return
        if not incremental:
            self._warn_of_max_iter()

    def _steps(self) -> Steps:
        if self.solver == "adam":
            return AdamSteps(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        return MomentumSteps(
            self.learning_rate_init, self.learning_rate, self.momentum, self.nesterovs_momentum,
            self.power_t,
        )  # fmt: skip

    def _rows_a_batch(self, count: int) -> int:
        if isinstance(self.batch_size, str):
            return min(200, count)
        if self.batch_size > count:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped", stacklevel=5,
            )  # fmt: skip
        return min(int(self.batch_size), count)

    # ---- early stopping and the history --------------------------------------------------------

    def _split(self, rows: Rows, random: np.random.RandomState) -> tuple[Array, Array]:
        """The rows to train on, and those held out: 2 at least, and as many as classes."""
        strata = self._strata(rows.y)
        classes = 0 if strata is None else len(np.unique(strata))
        size, least = self.validation_fraction, max(2, classes)
        if size > 0 and ceil(size * rows.count) < least:
            size = least
            if rows.count - least < max(1, classes):
                raise DataError(
                    "The validation set is too small. Increase 'validation_fraction' or the size "
                    f"of your dataset: n_samples = {rows.count}."
                )
        picks, held = train_test_split(
            np.arange(rows.count), random_state=random, test_size=size, stratify=strata
        )
        return picks, held

    def _begin_history(self) -> None:
        """Makes what a first fit has not, and what a change of early_stopping asks for."""
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_, self._no_improvement_count = [], 0
        self.loss_curve_ = [*self.loss_curve_]  # an earlier fit's list is somebody else's by now
        if self.early_stopping:
            self.validation_scores_ = [*(getattr(self, "validation_scores_", None) or [])]
            if getattr(self, "best_validation_score_", None) is None:
                self.best_validation_score_ = -inf
            self.best_loss_ = None
        else:
            self.validation_scores_ = self.best_validation_score_ = None
            if getattr(self, "best_loss_", None) is None:
                self.best_loss_ = inf

    def _note(self, loss: float, count: int) -> None:
        """An epoch is done."""
        self.n_iter_ += 1
        self.t_ += count
        self.loss_ = loss
        self.loss_curve_.append(loss)
        self._say(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _compare_loss(self) -> None:
        assert self.best_loss_ is not None
        worse = self.loss_ > self.best_loss_ - self.tol
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0
        self.best_loss_ = min(self.best_loss_, self.loss_)  # NaN is no improvement

    def _compare_score(self, rows: Rows, held: Array) -> bool:
        """Notes the score of the rows held out; whether it is the best so far."""
        assert self.validation_scores_ is not None
        assert self.best_validation_score_ is not None
        weight = None if rows.weight is None else rows.weight[held]
        score = self._validation_score(self._propagate(rows.x[held]), rows.y[held], weight)
        self.validation_scores_.append(score)
        self._say(f"Validation score: {score:f}")
        worse = score < self.best_validation_score_ + self.tol
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            return True
        return False

    def _stops(self) -> bool:
        """Whether it is time to stop, now that nothing has improved; else the rate is lowered."""
        what = "Validation score" if self.early_stopping else "Training loss"
        done = self._optimizer.slow_down()
        self._say(
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} "
            f"consecutive epochs. {done}"
        )
        if done.endswith("Stopping."):
            return True
        self._no_improvement_count = 0
        return False

    def _warn_of_max_iter(self) -> None:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
            "optimization hasn't converged yet.", ConvergenceWarning, stacklevel=6,
        )  # fmt: skip

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line)

    # ---- the network ---------------------------------------------------------------------------

    def _objective_of_arrays(self, dtype: Any = None) -> Objective:
        """The network with its objective, its parameters those of `coefs_` and `intercepts_`.

        It is made anew where there is none (after unpickling), or where it does not fit the arrays
        and the parameters of the estimator any more.
        """
        arrays = [*self.coefs_, *self.intercepts_]
        units = (self.coefs_[0].shape[0], *(w.shape[1] for w in self.coefs_))
        if dtype is None:
            dtype = np.result_type(*arrays)
        dtype = np.dtype(np.float32 if dtype == np.float32 else np.float64)
        key = (units, self.activation, self.out_activation_, dtype, self.engine)
        made: Objective | None = self.__dict__.get("_objective")
        if made is not None and made.key == key:
            for view, array in zip(made.arrays, arrays, strict=True):
                if view is not array:
                    view[...] = array
            return made
        net = build(units, self.activation, self.out_activation_, dtype, self.engine)
        coefs, intercepts = arrays_of(net)
        for view, array in zip([*coefs, *intercepts], arrays, strict=True):
            view[...] = array
        self.coefs_[:], self.intercepts_[:] = coefs, intercepts
        self._objective = Objective(net, self.alpha, key, [*coefs, *intercepts])
        return self._objective

    def _propagate(self, X: Any) -> Array:
        """What the network gives out for rows of X, (B, K): probabilities, or values."""
        objective = self._objective_of_arrays()
        size = block_rows(X) or max(X.shape[0], 1)
        blocks = [
            objective.predict(dense(X, slice(start, start + size), objective.net.dtype))
            for start in range(0, X.shape[0], size)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _checked_outputs(self, X: Any) -> Array:
        """The same for what a user hands over."""
        return self._propagate(checked_features(self, X))

    # ---- from and to scikit-learn's objects ----------------------------------------------------

    @classmethod
    def from_sklearn(cls, model: Any, *, engine: str = "auto") -> Self:
        """An estimator with all that scikit-learn's `model` of the same name has learnt.

        Fitted or not: parameters, weights, curves and the optimizer's state, so that `partial_fit`
        and warm starts go on where it stopped. The two share no array.
        """
        return converted(model, cls, engine)

    def to_sklearn(self) -> Any:
        """scikit-learn's estimator of the same name, with all that this one has learnt."""
        return given_back(self, type(self))

    # ---- scikit-learn's protocols --------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the network, which `coefs_` and `intercepts_` make again."""
        state = dict(super().__getstate__())
        state.pop("_objective", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
