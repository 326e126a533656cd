"""from_sklearn and to_sklearn, pickles, copies, and arrays that a user puts in place of ours."""

from __future__ import annotations

import copy
import io
import pickle
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone

import pellucid.estimators as ours
from pellucid.errors import OptionError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RANDOM = np.random.RandomState(5)
X = RANDOM.normal(size=(120, 6))
Y = {
    "MLPClassifier": np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)],
    "MLPRegressor": X[:, :2] ** 2 + X[:, 2:4],
}
KINDS = ["MLPClassifier", "MLPRegressor"]
OPTIONS: list[dict[str, Any]] = [
    {"solver": "adam"},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    {"solver": "lbfgs"},
]


def _predictions(model: Any) -> Any:
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def _close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(_predictions(a), _predictions(b), rtol=1e-9, atol=1e-12)
    for one, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", [True, False])
def test_there_and_on(kind: str, options: dict[str, Any], there: bool) -> None:
    """What was converted predicts the same, and learns on as the one that it came from would."""
    cls = getattr(ours, kind)
    options = options | {"hidden_layer_sizes": (7, 5), "max_iter": 6, "random_state": 0}
    start = getattr(theirs, kind)(**options) if there else cls(**options)
    start.fit(X, Y[kind])
    end = cls.from_sklearn(start) if there else start.to_sklearn()
    assert type(end) is (cls if there else getattr(theirs, kind))
    shown = start.get_params() | end.get_params()
    assert shown | start.get_params() == shown
    for name in vars(start):
        if name.endswith("_") and name not in ("coefs_", "intercepts_", "classes_"):
            assert getattr(start, name) == getattr(end, name), name
    _close(start, end)
    if options["solver"] == "lbfgs":
        for model in (start, end):
            model.set_params(warm_start=True).fit(X, Y[kind])
    else:
        for model in (start, end):
            model.partial_fit(X, Y[kind])
            model.partial_fit(X[:50], Y[kind][:50])
    assert start.coefs_[0] is not end.coefs_[0]
    np.testing.assert_allclose(_predictions(start), _predictions(end), rtol=1e-5, atol=1e-6)
    if options["solver"] != "lbfgs":
        _close(start, end)


@pytest.mark.parametrize("kind", KINDS)
def test_not_fitted(kind: str) -> None:
    model = getattr(ours, kind).from_sklearn(getattr(theirs, kind)(alpha=0.5), engine="numpy")
    assert (model.alpha, model.engine) == (0.5, "numpy")
    assert not hasattr(model, "coefs_")
    assert model.to_sklearn().alpha == 0.5


def test_another_class_is_refused() -> None:
    with pytest.raises(OptionError, match=r"takes scikit-learn's MLPClassifier, not MLPRegressor"):
        ours.MLPClassifier.from_sklearn(theirs.MLPRegressor())


def _pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def _dumped(model: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("way", [_pickled, _dumped, copy.deepcopy])
@pytest.mark.parametrize("kind", KINDS)
def test_copies_learn_on_alike(kind: str, way: Any) -> None:
    model = getattr(ours, kind)(hidden_layer_sizes=8, max_iter=5, random_state=1)
    model.fit(X, Y[kind])
    other = way(model)
    before = _predictions(model).copy()
    np.testing.assert_array_equal(_predictions(other), before)
    other.partial_fit(X, Y[kind])
    np.testing.assert_array_equal(_predictions(model), before)  # nothing is shared
    model.partial_fit(X, Y[kind])
    np.testing.assert_array_equal(_predictions(other), _predictions(model))
    assert not hasattr(clone(other), "coefs_")


def test_a_pickle_holds_the_arrays_once() -> None:
    model = ours.MLPRegressor(hidden_layer_sizes=500, max_iter=1, solver="sgd", momentum=0)
    model.fit(X, Y["MLPRegressor"])
    size = sum(a.nbytes for a in model.coefs_ + model.intercepts_)
    assert len(pickle.dumps(model)) < 1.5 * size + 5000


def test_arrays_that_are_written_or_replaced_count() -> None:
    model = ours.MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0)
    model.fit(X, Y["MLPRegressor"])
    reference = model.to_sklearn()
    for changed in (model, reference):
        changed.coefs_[0][:] *= 2
        changed.intercepts_[1] = np.array([1.0, -1.0])
    _close(model, reference)
    for changed in (model, reference):
        changed.coefs_ = [np.ones((6, 3)), np.ones((3, 2))]
        changed.intercepts_ = [np.zeros(3), np.zeros(2)]
    np.testing.assert_allclose(model.predict(X), reference.predict(X), rtol=1e-12)


def test_the_page_runs() -> None:
    page = Path(__file__).parents[1] / "docs" / "coming_from_sklearn.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 2
    exec("".join(blocks), {})
