"""Metrics: what people read, where the loss is what the network learns from.

A metric looks at the targets and at what `predict` returns, probabilities or plain values. It is
computed in two halves: `totals` gives sums over some rows, and those of several batches, ranks or
engines are simply added; `value` makes the number of the sum. So an F1 over ten batches is the F1
of all their rows and not the mean of ten F1s, which is another number.

`confusion_matrix` and `classification_report` show where a classifier errs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import nan, prod
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pellucid.description import Description, number, one_of
from pellucid.errors import DataError, OptionError, ShapeError, did_you_mean
from pellucid.random import Array
from pellucid.targets import IGNORED, class_indices, row_weights

Totals = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Metric(Description, ABC):
    """Base of all metrics. A new one needs `name`, `totals` and `value`."""

    higher_is_better: ClassVar[bool] = True

    @property
    @abstractmethod
    def name(self) -> str:
        """The key in results and records: "accuracy"."""

    @abstractmethod
    def totals(self, y_true: Array, y_pred: Array, weight: Array | None = None) -> Totals:
        """Sums over these rows, a float64 vector; `weight` (B,) says how much each row counts."""

    @abstractmethod
    def value(self, totals: Totals) -> float:
        """The metric, from the summed totals of all rows; NaN where there were none."""

    @final
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The metric of all these rows.

        >>> Accuracy()([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
        0.6666666666666666
        """
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        weight = None if sample_weight is None else row_weights(sample_weight, len(y_pred))
        return self.value(self.totals(y_true, y_pred, weight))


# --------------------------------------------------------------------------------- classification
#
# Which answers there are is read from the shape of the predictions:
#
#   (B, K), K ≥ 2     one of K classes; the largest wins, the first among equals
#   (B, T, K)         the same, T times a row
#   (B, 1) or (B,)    no or yes: yes above a probability of ½
#   (B, K) with multilabel=True     K separate answers of no or yes


@dataclass(frozen=True, repr=False)
class Accuracy(Metric):
    """The share of right answers; key "accuracy".

    Targets are class indices or rows in the shape of the predictions (one-hot or probabilities).
    With several labels a row, every single label counts as an answer (Keras's binary accuracy;
    scikit-learn's `accuracy_score` calls a row right only if all of it is); key "binary_accuracy".

    Parameters
    ----------
    multilabel : bool, default False
        Whether the K outputs are separate answers of no or yes.
    """

    multilabel: bool = False

    def __post_init__(self) -> None:
        one_of(self, "multilabel", (False, True))

    @property
    def name(self) -> str:
        return "binary_accuracy" if self.multilabel else "accuracy"

    def totals(self, y_true: Array, y_pred: Array, weight: Array | None = None) -> Totals:
        truth, answer, _, w = _answers(y_true, y_pred, weight, self.multilabel)
        right = (truth == answer).reshape(-1)
        return np.array([w @ right, w.sum()])

    def value(self, totals: Totals) -> float:
        return _ratio(totals[0], totals[1], empty=nan)


@dataclass(frozen=True, repr=False)
class TopK(Metric):
    """How often the true class is among the k most probable ones; key "top_5_accuracy".

    Among equally probable classes the lower index comes first, as it does for `Accuracy`, which
    is the same as k = 1. A probability of NaN is never among them.

    Parameters
    ----------
    k : int, default 5
    """

    k: int = 5

    def __post_init__(self) -> None:
        number(self, "k", at_least=1, integer=True)

    @property
    def name(self) -> str:
        return f"top_{self.k}_accuracy"

    def totals(self, y_true: Array, y_pred: Array, weight: Array | None = None) -> Totals:
        if y_pred.ndim < 2 or y_pred.shape[-1] < 2:
            raise ShapeError(f"{self!r} needs probabilities of 2 or more classes (B, K)")
        truth, _, classes, w = _answers(y_true, y_pred, weight, multilabel=False)
        true = truth.reshape(-1, 1)  # (N, 1)
        p = y_pred.reshape(-1, classes)  # (N, K)
        p_true = np.take_along_axis(p, true, axis=1)
        ahead = (p > p_true) | ((p == p_true) & (np.arange(classes) < true)) | np.isnan(p_true)
        right = ahead.sum(axis=1) < min(self.k, classes)
        return np.array([w @ right, w.sum()])

    def value(self, totals: Totals) -> float:
        return _ratio(totals[0], totals[1], empty=nan)


@dataclass(frozen=True, repr=False)
class ClassCounts(Metric):
    """What Precision, Recall and F1 share: true positives tp, false fp and false negatives fn.

    Parameters
    ----------
    average : {"macro", "micro", "binary"}, default "macro"
        "macro": the plain mean over the classes that occur, among targets or answers; "micro":
        from the counts of all classes together; "binary": of class 1 alone, where there are two.
    multilabel : bool, default False
        Whether the K outputs are separate answers of no or yes; then "macro" is the mean over
        all K.

    A ratio with nothing below the line is 0, scikit-learn's ``zero_division=0``.
    """

    average: str = "macro"
    multilabel: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        one_of(self, "average", ("macro", "micro", "binary"))
        one_of(self, "multilabel", (False, True))
        if self.multilabel and self.average == "binary":
            raise OptionError(f"{type(self).__name__}: several labels have no class 1 to be binary")

    @abstractmethod
    def ratio(self, tp: Totals, fp: Totals, fn: Totals) -> Totals:
        """The metric of each class from its counts."""

    @final
    def totals(self, y_true: Array, y_pred: Array, weight: Array | None = None) -> Totals:
        """The counts, (tp, fp, fn) of every class one after the other, (3K,)."""
        truth, answer, classes, w = _answers(y_true, y_pred, weight, self.multilabel)
        if self.average == "binary" and classes != 2:
            raise ShapeError(
                f'{self!r} is about two classes, not {classes}: average="macro" or "micro"'
            )
        if self.multilabel:
            w = w.reshape(-1, classes)  # (N, K)
            yes, said = truth.reshape(w.shape), answer.reshape(w.shape)
            tp, fp, fn = ((w * mask).sum(axis=0) for mask in (yes & said, ~yes & said, yes & ~said))
        else:
            truth, answer = truth.reshape(-1), answer.reshape(-1)
            right, wrong = w * (truth == answer), w * (truth != answer)
            tp = np.bincount(truth, right, classes)
            fp = np.bincount(answer, wrong, classes)
            fn = np.bincount(truth, wrong, classes)
        return np.concatenate([tp, fp, fn]).astype(np.float64, copy=False)

    @final
    def value(self, totals: Totals) -> float:
        if not totals.any():
            return nan
        tp, fp, fn = totals.reshape(3, -1)  # (K,) each
        if self.average == "binary":
            tp, fp, fn = tp[1:], fp[1:], fn[1:]
        elif self.average == "micro":
            tp, fp, fn = (count.sum(keepdims=True) for count in (tp, fp, fn))
        elif not self.multilabel:
            occurs = tp + fp + fn > 0
            tp, fp, fn = tp[occurs], fp[occurs], fn[occurs]
        return float(self.ratio(tp, fp, fn).mean())


@dataclass(frozen=True, repr=False)
class Precision(ClassCounts):
    """Of the rows said to be of a class, the share that are: tp / (tp + fp); key "precision"."""

    @property
    def name(self) -> str:
        return "precision"

    def ratio(self, tp: Totals, fp: Totals, fn: Totals) -> Totals:
        return _divide(tp, tp + fp)


@dataclass(frozen=True, repr=False)
class Recall(ClassCounts):
    """Of the rows of a class, the share that was found: tp / (tp + fn); key "recall"."""

    @property
    def name(self) -> str:
        return "recall"

    def ratio(self, tp: Totals, fp: Totals, fn: Totals) -> Totals:
        return _divide(tp, tp + fn)


@dataclass(frozen=True, repr=False)
class F1(ClassCounts):
    """The harmonic mean of precision and recall: 2tp / (2tp + fp + fn); key "f1"."""

    @property
    def name(self) -> str:
        return "f1"

    def ratio(self, tp: Totals, fp: Totals, fn: Totals) -> Totals:
        return _divide(2 * tp, 2 * tp + fp + fn)


# -------------------------------------------------------------------------------------- regression


@dataclass(frozen=True, repr=False)
class MeanAbsoluteError(Metric):
    """The mean of |y − p| over rows and outputs; key "mae"."""

    higher_is_better: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "mae"

    def totals(self, y_true: Array, y_pred: Array, weight: Array | None = None) -> Totals:
        y, p = _values(y_true, y_pred)  # (B, N)
        w = row_weights(weight, len(p))
        return np.array([w @ np.abs(y - p).mean(axis=1), w.sum()])

    def value(self, totals: Totals) -> float:
        return _ratio(totals[0], totals[1], empty=nan)


@dataclass(frozen=True, repr=False)
class R2(Metric):
    """The share of the targets' variance that is explained, the mean over the outputs; key "r2".

    ::

        R² = 1 − Σ w (y − p)² / Σ w (y − ȳ)²,        Σ w (y − ȳ)² = Σwy² − (Σwy)² / Σw

    1 is perfect, 0 no better than the mean ȳ of the targets. Where the targets do not vary it is
    1 if they are met and else 0, as in scikit-learn. The right-hand form is what can be added up
    over batches; its price is that targets whose spread is below a millionth of their size count
    as constant.
    """

    @property
    def name(self) -> str:
        return "r2"

    def totals(self, y_true: Array, y_pred: Array, weight: Array | None = None) -> Totals:
        """Σw(y−p)², Σwy, Σwy² of every output and Σw, one after the other, (3N + 1,)."""
        y, p = _values(y_true, y_pred)  # (B, N)
        w = row_weights(weight, len(p))
        return np.concatenate([w @ np.square(y - p), w @ y, w @ np.square(y), [w.sum()]])

    def value(self, totals: Totals) -> float:
        w = totals[-1]
        if w == 0:
            return nan
        error, first, second = totals[:-1].reshape(3, -1)  # (N,) each
        spread = second - first**2 / w
        constant = spread <= 1e-12 * second
        r2 = 1 - error / np.where(constant, 1.0, spread)
        return float(np.where(constant, np.where(error == 0, 1.0, 0.0), r2).mean())


# ------------------------------------------------------------------------------------------ names


_NAMES: dict[str, Metric] = {
    "accuracy": Accuracy(),
    "binary_accuracy": Accuracy(multilabel=True),
    "top_5_accuracy": TopK(5),
    "precision": Precision(),
    "recall": Recall(),
    "f1": F1(),
    "r2": R2(),
    "mae": MeanAbsoluteError(),
}


def as_metric(x: Metric | str) -> Metric:
    """The metric of this name, or the metric itself; any ``top_<k>_accuracy`` is a name.

    >>> as_metric("f1"), as_metric("top_3_accuracy")
    (F1(), TopK(k=3))
    """
    if isinstance(x, Metric):
        return x
    if not isinstance(x, str):
        raise OptionError(f"a metric or its name is needed, not {x!r}")
    if x in _NAMES:
        return _NAMES[x]
    k = x.removeprefix("top_").removesuffix("_accuracy")
    if k.isdecimal() and x == f"top_{k}_accuracy":
        return TopK(int(k))
    raise OptionError(f"no metric {x!r}. {did_you_mean(x, _NAMES)}")


# ---------------------------------------------------------------------------------------- reports


def confusion_matrix(y_true: Any, y_pred: Any, classes: int | None = None) -> NDArray[np.int64]:
    """How often class i (row) was taken for class j (column): (K, K).

    Parameters
    ----------
    y_true : array (B,)
        Class indices, or one-hot rows (B, K).
    y_pred : array (B,) or (B, K)
        Class indices, or the probabilities that `predict` returns.
    classes : int, optional
        K; by default the number of columns, or one more than the largest index there is.

    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2])
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if len(y_true) != len(y_pred):
        raise ShapeError(f"y_true has {len(y_true)} rows, y_pred has {len(y_pred)}")
    for y in (y_true, y_pred):
        if y.ndim not in {1, 2} or (y.ndim == 2 and y.shape[1] < 2):
            raise ShapeError(
                f"class indices (B,) or rows of 2 or more classes (B, K) are needed, not {y.shape}"
            )
    if classes is None:
        widths = [y.shape[1] for y in (y_true, y_pred) if y.ndim == 2]
        indices = [int(y.max()) + 1 for y in (y_true, y_pred) if y.ndim == 1 and y.size]
        classes = max([*widths, *indices], default=0)
    true, said = (
        class_indices(y if y.ndim == 1 else y.argmax(axis=1), classes) for y in (y_true, y_pred)
    )
    counts = np.bincount(true * classes + said, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)


def classification_report(y_true: Any, y_pred: Any, names: Any = None) -> str:
    """Precision, recall, F1 and the number of rows of each class, as a plain table.

    `y_true` and `y_pred` are as for `confusion_matrix`; `names` are the classes' names in order.

    >>> print(classification_report([0, 0, 1, 1], [0, 1, 1, 1], names=["cat", "dog"]))
              precision  recall      f1    rows
    cat          1.0000  0.5000  0.6667       2
    dog          0.6667  1.0000  0.8000       2
    mean         0.8333  0.7500  0.7333       4
    accuracy                     0.7500       4
    """
    names = None if names is None else [str(name) for name in names]
    counts = confusion_matrix(y_true, y_pred, None if names is None else len(names))
    names = [str(k) for k in range(len(counts))] if names is None else names
    tp = np.diag(counts).astype(np.float64)
    fp, fn = counts.sum(axis=0) - tp, counts.sum(axis=1) - tp
    scores = np.stack([m.ratio(tp, fp, fn) for m in (Precision(), Recall(), F1())], axis=1)
    support, total = counts.sum(axis=1), int(counts.sum())

    width = max(map(len, [*names, "accuracy"]))
    lines = [f"{'':{width}}  precision  recall      f1    rows"]
    table = [*zip(names, scores, support, strict=True)]
    if len(names):
        table.append(("mean", scores.mean(axis=0), np.int64(total)))
    for name, (precision, recall, f1), rows in table:
        lines.append(f"{name:{width}}  {precision:9.4f}  {recall:.4f}  {f1:.4f}  {rows:6}")
    accuracy = _ratio(tp.sum(), total, empty=nan)
    lines.append(f"{'accuracy':{width}}  {'':9}  {'':6}  {accuracy:6.4f}  {total:6}")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------- helpers


def _answers(
    y_true: Array, y_pred: Array, weight: Array | None, multilabel: bool
) -> tuple[Array, Array, int, Totals]:
    """True and predicted classes, one for each answer, how many classes, each answer's weight.

    With several labels a row both are bool (B, ..., K); else int64 (B, ...).
    """
    if y_pred.ndim == 0 or y_true.ndim == 0 or len(y_true) != len(y_pred):
        raise ShapeError(_misfit(y_true, y_pred))
    one = y_pred.ndim == 1 or y_pred.shape[-1] == 1  # a single answer of no or yes
    if multilabel or one:
        if y_true.shape != y_pred.shape:
            raise ShapeError(_misfit(y_true, y_pred))
        truth, answer = y_true > 0.5, y_pred > 0.5
        w = _spread(weight, truth)
        if multilabel:
            return truth, answer, y_pred.shape[-1] if y_pred.ndim > 1 else 1, w
        return truth.astype(np.int64), answer.astype(np.int64), 2, w
    classes = y_pred.shape[-1]
    answer = y_pred.argmax(axis=-1)
    if y_true.shape == y_pred.shape:
        if np.any(np.abs(y_true.sum(axis=-1) - 1) > 1e-3):
            raise DataError(
                "target rows that do not sum to 1 are not of one class: for several labels a row "
                "use multilabel=True"
            )
        return y_true.argmax(axis=-1), answer, classes, _spread(weight, answer)
    if y_true.shape != y_pred.shape[:-1]:
        raise ShapeError(_misfit(y_true, y_pred))
    ignored = y_true == IGNORED  # places without a target, as a loss prepares them
    if not ignored.any():
        return class_indices(y_true, classes), answer, classes, _spread(weight, answer)
    indices = class_indices(np.where(ignored, 0, y_true), classes)
    return indices, answer, classes, _spread(weight, answer, ~ignored)


def _values(y_true: Array, y_pred: Array) -> tuple[Totals, Totals]:
    """Targets and predictions as float64 rows (B, N)."""
    if y_true.shape != y_pred.shape or y_pred.ndim == 0:
        raise ShapeError(_misfit(y_true, y_pred))
    shape = len(y_pred), max(prod(y_pred.shape[1:]), 1)
    return y_true.astype(np.float64).reshape(shape), y_pred.astype(np.float64).reshape(shape)


def _misfit(y_true: Array, y_pred: Array) -> str:
    """Both shapes, and the fix where it is a matter of one axis."""
    text = f"y_true of shape {y_true.shape} does not fit y_pred of shape {y_pred.shape}"
    if y_pred.shape == (*y_true.shape, 1):
        return f"{text}: write y_true[{':, ' * y_true.ndim}None]"
    if y_true.ndim > 1 and y_true.shape[-1] == 1 and y_true.shape[:-1] in {
        y_pred.shape, y_pred.shape[:-1]
    }:  # fmt: skip
        return f"{text}: write y_true[{':, ' * (y_true.ndim - 1)}0]"
    return text


def _spread(weight: Array | None, answer: Array, kept: Array | None = None) -> Totals:
    """The weights of the rows, dealt out among each row's answers: (B,) → (N,).

    Where some are not `kept`, the others share their row's weight.
    """
    w, n = row_weights(weight, len(answer)), prod(answer.shape[1:])
    if kept is None:
        return np.repeat(w, n)
    kept = kept.reshape(len(answer), n)
    each = w * n / np.maximum(kept.sum(axis=1), 1)
    spread: Totals = (each[:, None] * kept).reshape(-1)
    return spread


def _divide(above: Totals, below: Totals) -> Totals:
    """Their ratio, 0 where there is nothing below the line."""
    return above / np.where(below > 0, below, 1.0)


def _ratio(above: float, below: float, empty: float) -> float:
    return float(above / below) if below > 0 else empty
