"""Metrics against scikit-learn, and the sum over batches against the whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from pellucid.description import Description
from pellucid.errors import DataError, OptionError, ShapeError
from pellucid.metrics import (
    F1,
    R2,
    Accuracy,
    MeanAbsoluteError,
    Metric,
    Precision,
    Recall,
    TopK,
    as_metric,
    classification_report,
    confusion_matrix,
)


def classes(rng, n, k=4):
    return rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)


def binary(rng, n):
    return rng.integers(0, 2, (n, 1)), rng.uniform(size=(n, 1))


def labels(rng, n, k=4):
    return rng.integers(0, 2, (n, k)), rng.uniform(size=(n, k))


def numbers(rng, n, k=3):
    y = 5 + rng.normal(size=(n, k))
    return y, y + 0.5 * rng.normal(size=(n, k))


class Case(NamedTuple):
    metric: Metric
    data: Any
    peer: Any  # (y_true, y_pred, sample_weight) → float


def said(p):
    return p.argmax(axis=1)


def counts_peer(function, average, kind):
    def peer(y, p, w):
        answer = said(p) if kind == "classes" else (p > 0.5).astype(int)
        if kind == "binary":
            y, answer = y.ravel(), answer.ravel()
        return function(y, answer, average=average, sample_weight=w, zero_division=0)

    return peer


CASES = {
    "accuracy": Case(
        Accuracy(), classes, lambda y, p, w: sk.accuracy_score(y, said(p), sample_weight=w)
    ),
    "accuracy-binary": Case(
        Accuracy(), binary,
        lambda y, p, w: sk.accuracy_score(y[:, 0], p[:, 0] > 0.5, sample_weight=w),
    ),
    "accuracy-multilabel": Case(
        Accuracy(multilabel=True), labels,
        lambda y, p, w: np.average(((p > 0.5) == y).mean(axis=1), weights=w),
    ),
    "top-1": Case(
        TopK(1), classes, lambda y, p, w: sk.accuracy_score(y, said(p), sample_weight=w)
    ),
    "top-2": Case(
        TopK(2), classes,
        lambda y, p, w: sk.top_k_accuracy_score(y, p, k=2, labels=range(4), sample_weight=w),
    ),
    "mae": Case(
        MeanAbsoluteError(), numbers,
        lambda y, p, w: sk.mean_absolute_error(y, p, sample_weight=w),
    ),
    "r2": Case(R2(), numbers, lambda y, p, w: sk.r2_score(y, p, sample_weight=w)),
}  # fmt: skip
for ours, theirs in [
    (Precision, sk.precision_score),
    (Recall, sk.recall_score),
    (F1, sk.f1_score),
]:
    for average in ("macro", "micro", "binary"):
        for kind, data in (("classes", classes), ("binary", binary), ("labels", labels)):
            if average == "binary" and kind != "binary":
                continue
            metric = ours(average, multilabel=kind == "labels")
            name = f"{metric.name}-{average}-{kind}"
            CASES[name] = Case(metric, data, counts_peer(theirs, average, kind))

table = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@table
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_scikit_learns(case, weighted):
    rng = np.random.default_rng(0)
    for n in (2, 7, 100):
        y, p = case.data(rng, n)
        w = rng.uniform(0.1, 3, n) if weighted else None
        assert case.metric(y, p, w) == pytest.approx(case.peer(y, p, w), rel=1e-9, abs=1e-12)


@table
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_totals_of_batches_add_up_to_the_whole(case, sizes, seed):
    rng = np.random.default_rng(seed)
    y, p = case.data(rng, sum(sizes))
    w = rng.uniform(0, 2, sum(sizes))
    cuts = np.cumsum(sizes)[:-1]
    parts = zip(np.split(y, cuts), np.split(p, cuts), np.split(w, cuts), strict=True)
    total = sum(case.metric.totals(*part) for part in parts)
    assert total.dtype == np.float64
    assert case.metric.value(total) == pytest.approx(
        case.metric(y, p, w), rel=1e-9, abs=1e-12, nan_ok=True
    )


@table
def test_weights_of_one_float32_and_no_rows(case):
    y, p = case.data(np.random.default_rng(1), 20)
    assert case.metric(y, p) == case.metric(y, p, np.ones(20, int))
    assert case.metric(y, p.astype(np.float32)) == pytest.approx(case.metric(y, p), rel=1e-5)
    w = np.ones(20)
    w[::2] = 0
    assert case.metric(y, p, w) == pytest.approx(case.metric(y[1::2], p[1::2]), rel=1e-12)
    assert np.isnan(case.metric(y[:0], p[:0]))
    assert np.isnan(case.metric(y, p, np.zeros(20)))


@table
def test_inputs_stay_as_they_were(case):
    y, p = case.data(np.random.default_rng(1), 20)
    value = case.metric(y, p)
    y.setflags(write=False)
    p.setflags(write=False)
    assert case.metric(y, p) == value
    assert case.metric(np.asfortranarray(y), np.asfortranarray(p)) == pytest.approx(value)
    assert Description.from_config(case.metric.to_config()) == case.metric


# -------------------------------------------------------------------------------- the many forms


def test_accuracy_takes_indices_one_hot_sequences_and_single_outputs():
    p = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])
    y = np.array([0, 1, 0])  # right, wrong, right: the first among equals wins
    assert Accuracy()(y, p) == pytest.approx(2 / 3)
    assert Accuracy()(np.eye(3)[y], p) == pytest.approx(2 / 3)
    assert Accuracy()(y.astype(float), p) == pytest.approx(2 / 3)
    assert Accuracy()(y.astype("u1"), p) == pytest.approx(2 / 3)
    assert Accuracy()([y, y[::-1]], [p, p]) == pytest.approx(4 / 6)
    assert Accuracy()([y, 1 - y], [p, p], [3, 1]) == pytest.approx((3 * 2 + 0) / (4 * 3))
    assert Accuracy()([1, 0, 1], [0.7, 0.3, 0.5]) == pytest.approx(2 / 3)  # a half is a no
    assert Accuracy()([True, False], [[0.2, 0.8], [0.2, 0.8]]) == 0.5


def test_targets_of_several_labels_are_not_taken_for_one_hot():
    y, p = np.array([[1, 1, 0]]), np.array([[0.9, 0.8, 0.1]])
    assert Accuracy(multilabel=True)(y, p) == 1
    with pytest.raises(DataError, match="multilabel=True"):
        Accuracy()(y, p)


def test_top_k_breaks_ties_like_argmax_and_is_not_fooled_by_nan():
    flat = np.full((4, 4), 0.25)
    assert TopK(1)(np.arange(4), flat) == Accuracy()(np.arange(4), flat) == 0.25
    assert TopK(3)(np.arange(4), flat) == 0.75
    assert TopK(9)(np.arange(4), flat) == 1
    assert TopK(2)(np.arange(4), np.full((4, 4), np.nan)) == 0
    with pytest.raises(ShapeError, match="2 or more classes"):
        TopK(2)([[1]], [[0.3]])


def test_classes_that_never_occur_do_not_count():
    y, p = np.array([0, 0, 1]), np.eye(5)[[0, 1, 1]]
    expected = sk.f1_score(y, said(p), average="macro", zero_division=0)
    assert F1()(y, p) == pytest.approx(expected)
    assert F1()(np.array([0, 0]), np.eye(5)[[1, 2]]) == 0
    assert Precision()(np.array([0, 0]), np.eye(5)[[1, 2]]) == 0


def test_labels_that_never_occur_do_count():
    y, p = np.array([[1, 0, 0], [1, 1, 0]]), np.array([[1.0, 0, 0], [1, 0, 0]])
    expected = sk.f1_score(y, p.astype(int), average="macro", zero_division=0)
    assert F1(multilabel=True)(y, p) == pytest.approx(expected) == 1 / 3


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e6])
def test_r2_of_constants_and_shifted_targets(scale):
    y = np.full((7, 1), 0.1) * scale
    assert R2()(y, y) == 1
    assert R2()(y, y + scale) == 0
    rng = np.random.default_rng(0)
    y = scale * (1000 + rng.normal(size=(50, 2)))
    p = y + scale * rng.normal(size=(50, 2))
    assert R2()(y, p) == pytest.approx(sk.r2_score(y, p), rel=1e-7)
    assert R2()(y[:, 0], p[:, 0]) == pytest.approx(sk.r2_score(y[:, 0], p[:, 0]), rel=1e-7)
    assert R2()(y, np.broadcast_to(y.mean(axis=0), y.shape)) == pytest.approx(0, abs=1e-7)
    assert R2()(y * [[1, 0]], p) < 1  # one output constant at 0


# --------------------------------------------------------------------------------------- errors


def test_nothing_is_broadcast_silently():
    with pytest.raises(ShapeError, match=r"\(5,\).*\(5, 1\): write y_true\[:, None\]"):
        Accuracy()(np.ones(5), np.ones((5, 1)))
    with pytest.raises(ShapeError, match=r"\(5, 1\).*\(5, 3\): write y_true\[:, 0\]"):
        Accuracy()(np.ones((5, 1), int), np.ones((5, 3)))
    for metric in (R2(), MeanAbsoluteError()):
        with pytest.raises(ShapeError, match=r"write y_true\[:, None\]"):
            metric(np.ones(5), np.ones((5, 1)))
        with pytest.raises(ShapeError, match=r"write y_true\[:, 0\]"):
            metric(np.ones((5, 1)), np.ones(5))
    with pytest.raises(ShapeError, match=r"\(4,\).*\(5, 3\)"):
        Accuracy()(np.ones(4, int), np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"sample_weight has shape \(4,\)"):
        Accuracy()(np.ones(5, int), np.ones((5, 3)), np.ones(4))
    with pytest.raises(DataError, match="negative"):
        Accuracy()(np.ones(5, int), np.ones((5, 3)), -np.ones(5))
    with pytest.raises(ShapeError):
        Accuracy()(1, 1)


@pytest.mark.parametrize("bad", [-1, 3, 0.5])
def test_labels_out_of_range_are_named(bad):
    for metric in (Accuracy(), TopK(2), F1()):
        with pytest.raises(DataError, match=r"row 1: label \S+ is not one of the 3 classes"):
            metric([0, bad], np.ones((2, 3)))


def test_options_and_names():
    assert as_metric("accuracy") == Accuracy()
    assert as_metric("top_3_accuracy") == TopK(3)
    assert as_metric(F1("micro")) == F1("micro")
    for name in (
        "accuracy", "binary_accuracy", "top_5_accuracy", "precision", "recall", "f1", "r2", "mae"
    ):  # fmt: skip
        assert as_metric(name).name == name
    assert not as_metric("mae").higher_is_better
    assert as_metric("r2").higher_is_better
    with pytest.raises(OptionError, match="Did you mean 'accuracy'"):
        as_metric("acuracy")
    with pytest.raises(OptionError, match="Did you mean 'macro'"):
        F1("macros")
    with pytest.raises(OptionError, match="binary"):
        F1("binary", multilabel=True)
    with pytest.raises(ShapeError, match="two classes, not 3"):
        F1("binary")([0, 1], np.ones((2, 3)))
    for make in (lambda: TopK(0), lambda: TopK(2.5), lambda: as_metric("top_0_accuracy")):
        with pytest.raises(OptionError):
            make()
    for wrong in ("top_x_accuracy", "5", 3, None):
        with pytest.raises(OptionError):
            as_metric(wrong)


# --------------------------------------------------------------------------------------- reports


def test_confusion_matrix_is_scikit_learns():
    rng = np.random.default_rng(0)
    y, p = classes(rng, 50)
    expected = sk.confusion_matrix(y, said(p), labels=range(4))
    for true in (y, np.eye(4)[y], y.astype("i2")):
        np.testing.assert_array_equal(confusion_matrix(true, p), expected)
        np.testing.assert_array_equal(confusion_matrix(true, said(p), 4), expected)
    assert confusion_matrix(y, p).dtype == np.int64
    assert confusion_matrix([0], [0], 3).shape == (3, 3)
    assert confusion_matrix([], []).shape == (0, 0)
    with pytest.raises(DataError, match="row 1: label 3 is not one of the 3"):
        confusion_matrix([0, 3], [0, 1], 3)
    with pytest.raises(DataError, match="row 0: label -1"):
        confusion_matrix([0, 1], [-1, 1])
    with pytest.raises(ShapeError, match="2 rows, y_pred has 3"):
        confusion_matrix([0, 1], [0, 1, 1])
    with pytest.raises(ShapeError, match=r"not \(2, 1\)"):
        confusion_matrix([0, 1], [[0], [1]])


def test_report_has_scikit_learns_numbers_in_aligned_columns():
    rng = np.random.default_rng(0)
    y, p = classes(rng, 200)
    names = ["ant", "bee", "caterpillar", "d"]
    report = classification_report(y, p, names)
    expected = sk.classification_report(
        y, said(p), target_names=names, output_dict=True, zero_division=0
    )
    lines = report.split("\n")
    assert len({len(line) for line in lines}) == 1
    for line in lines[1:5]:
        name, *scores = line.split()
        row = expected[name]
        assert [float(s) for s in scores] == pytest.approx(
            [row["precision"], row["recall"], row["f1-score"], row["support"]], abs=6e-5
        )
    mean = expected["macro avg"]
    assert [float(s) for s in lines[5].split()[1:]] == pytest.approx(
        [mean["precision"], mean["recall"], mean["f1-score"], 200], abs=6e-5
    )
    assert float(lines[6].split()[1]) == pytest.approx(expected["accuracy"], abs=6e-5)
    assert classification_report([0, 1], [0, 1]).split("\n")[1].startswith("0 ")
    assert classification_report([], []).count("\n") == 1
