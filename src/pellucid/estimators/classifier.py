"""MLPClassifier: classes from features, in the place of scikit-learn's."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from pellucid.errors import DataError
from pellucid.estimators.base import MLP
from pellucid.estimators.methods import Incremental, unchanged_on_error
from pellucid.estimators.parameters import keep
from pellucid.estimators.validation import checked_pair

Array = NDArray[Any]


class MLPClassifier(ClassifierMixin, MLP):  # type: ignore[misc]
    """A classifier by a network of dense layers: scikit-learn's, trained by Pellucid.

    Two classes, or several labels a row (a matrix of 0 and 1), end in logistic units and binary
    cross-entropy; more classes in a softmax and cross-entropy. With an integer `random_state` and
    float64 data `loss_curve_` is scikit-learn's to rounding: weights, the order of rows and the
    split are drawn from the same numbers. What is better here: an error leaves the estimator as it
    was, and one about NaN names its row and column; ``random_state=None`` never draws from NumPy's
    global generator; `warm_start` may change the solver.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"}
        L-BFGS looks at all rows at once and is SciPy's.
    alpha : float, default 1e-4
        The penalty ½·alpha·ΣW²/n, n the rows (Σw, with weights) of a batch.
    batch_size : int or "auto"
        "auto" is 200, or all rows where they are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        For "sgd": rate/(t + 1)^power_t with t the rows seen, changed after each epoch; or a fifth
        whenever nothing improves, until it is 1e-6.
    learning_rate_init, power_t : float, default 0.001 and 0.5
    max_iter : int, default 200
        Epochs, or iterations of "lbfgs".
    shuffle : bool, default True
    random_state : int, RandomState or None
    tol, n_iter_no_change : float, default 1e-4; int or inf, default 10
        It stops after more than so many epochs in a row whose loss is not lower by `tol` than the
        best (with early stopping: whose score is not higher). "lbfgs" stops where no entry of the
        gradient is larger than `tol`.
    verbose, warm_start : bool, default False
        Print each epoch; go on from the last fit.
    momentum, nesterovs_momentum : float, default 0.9; bool, default True
        For "sgd".
    early_stopping, validation_fraction : bool, default False; float, default 0.1
        Hold rows out, look at their score after each epoch, and keep the best weights.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        For "adam"; ε is added to √v before its correction.
    max_fun : int, default 15000
        Calls of the loss, for "lbfgs".
    engine : {"auto", "native", "numpy"}
        What computes; see `pellucid.Network`.

    Attributes
    ----------
    classes_ : array, or list of arrays
    coefs_, intercepts_ : lists of arrays (I, O) and (O,)
        Layer by layer; views of the network's parameters.
    loss_, best_loss_, loss_curve_ : float; float or None; list
    validation_scores_, best_validation_score_ : list and float, or None
    n_iter_, t_ : int
        Epochs (or iterations) of the last fit; rows seen.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(solver="lbfgs", hidden_layer_sizes=8, max_iter=500, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    """

    loss = "log_loss"

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: str = "relu", *, solver: str = "adam",
        alpha: float = 0.0001, batch_size: Any = "auto", learning_rate: str = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200,
        shuffle: bool = True, random_state: Any = None, tol: float = 1e-4, verbose: Any = False,
        warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10,
        max_fun: int = 15000, engine: str = "auto",
    ) -> None:  # fmt: skip
        keep(self, locals())

    # ---- labels --------------------------------------------------------------------------------

    def _targets(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = checked_pair(self, X, y, reset=reset, numbers=False)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        if self._label_binarizer.y_type_ == "multiclass":
            return X, np.searchsorted(self.classes_, y).astype(np.int64)
        return X, self._label_binarizer.transform(y).astype(bool)

    def _check_classes(self, classes: Array) -> None:
        """Refuses classes that the fits before have not seen."""
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise DataError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise DataError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _outputs(self, targets: Array) -> tuple[int, str]:
        if targets.ndim == 1:
            return len(self.classes_), "softmax"
        return targets.shape[1], "logistic"

    def _strata(self, y: Array) -> Array | None:
        return y.astype(bool) if y.shape[1] == 1 else None

    def _validation_score(self, p: Array, y: Array, weight: Array | None) -> float:
        """The accuracy; a row with several labels is right where all of them are."""
        if self.out_activation_ == "softmax":
            right = p.argmax(axis=1) == y.argmax(axis=1)
        else:
            right = ((p > 0.5) == (y > 0.5)).all(axis=1)
        return float(np.average(right, weights=weight))

    # ---- what a user asks for ------------------------------------------------------------------

    @Incremental
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """One epoch over some rows, after what was learnt before.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : array
            Every class there will be; the first call needs it.
        """
        with unchanged_on_error(self):
            self._note_classes(y, classes)
            return self._fit(X, y, sample_weight, incremental=True)

    def _note_classes(self, y: Any, classes: Any) -> None:
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise DataError("classes must be passed on the first call to partial_fit.")
        if classes is None:
            return
        given = unique_labels(classes)
        if known is not None and not np.array_equal(known, given):
            raise DataError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{known!r}"
            )
        if known is None:
            labels = y if type_of_target(y).startswith("multilabel") else classes
            self.classes_, self._label_binarizer = given, LabelBinarizer().fit(labels)

    def predict(self, X: Any) -> Array:
        """The classes of rows X (n_samples, n_features): (n_samples,), or a matrix of 0 and 1."""
        check_is_fitted(self)
        p = self._checked_outputs(X)
        labels: Array = self._label_binarizer.inverse_transform(
            p.ravel() if self.n_outputs_ == 1 else p
        )
        return labels

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (n_samples, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        p = self._checked_outputs(X)
        if self.out_activation_ == "logistic":  # neither 0 nor 1, which rounding would make of some
            p = np.clip(p, np.finfo(p.dtype).tiny, 1 - np.finfo(p.dtype).epsneg)
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of the probabilities; −∞ where one is 0."""
        with np.errstate(divide="ignore"):
            log_p: Array = np.log(self.predict_proba(X))
        return log_p

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
