"""The numbers of MLPClassifier and MLPRegressor are scikit-learn's."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.exceptions import ConvergenceWarning

import pellucid.estimators as ours
from pellucid.data import digits_8x8
from pellucid.engine.native import missing
from pellucid.estimators.networks import build
from pellucid.estimators.objective import Objective
from pellucid.estimators.rows import Rows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ENGINES = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(bool(missing()), reason="no core")),
]


class Problem(NamedTuple):
    kind: str
    X: Any
    y: Any
    weight: Any = None


def _problems() -> dict[str, Problem]:
    random = np.random.RandomState(7)
    data = digits_8x8()
    X, y = np.asarray(data.x, np.float64).reshape(-1, 64)[:400], np.asarray(data.y)[:400]
    X = X / X.max()
    few = random.normal(size=(250, 6))
    value = few @ random.normal(size=6) + np.sin(2 * few[:, 0])
    both = np.stack([value, few[:, 1] * few[:, 2]], axis=1)
    labels = (few @ random.normal(size=(6, 4)) > 0.5).astype(int)
    weight = random.uniform(0, 3, 400)
    weight[::5] = 0
    classifier, regressor = "MLPClassifier", "MLPRegressor"
    return {
        "ten classes": Problem(classifier, X, y),
        "words": Problem(classifier, X, np.array(["even", "odd"])[y % 2]),
        "two classes": Problem(classifier, X, y < 5),
        "weighted": Problem(classifier, X, y, weight),
        "two, weighted": Problem(classifier, X, y % 2, weight),
        "labels": Problem(classifier, few, labels),
        "not scaled": Problem(classifier, X * 500, y),  # some rows cost as much as a row may
        "value": Problem(regressor, few, value),
        "two values": Problem(regressor, few, both),
        "value, weighted": Problem(regressor, few, both, weight[:250]),
        "counts": Problem(regressor, few, random.poisson(np.exp(few[:, 0] / 2)).astype(float)),
    }


PROBLEMS = _problems()
QUICK = {"solver": "sgd", "learning_rate_init": 0.1}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("ten classes", {}),
    ("ten classes", {"activation": "tanh"}),
    ("ten classes", {"activation": "logistic"}),
    ("ten classes", {"activation": "identity"}),
    ("ten classes", {"early_stopping": True, "validation_fraction": 0.2}),
    ("ten classes", {"hidden_layer_sizes": (20, 10), "alpha": 0.3, "batch_size": 64}),
    ("ten classes", {"hidden_layer_sizes": ()}),
    ("ten classes", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("ten classes", QUICK),
    ("ten classes", QUICK | {"momentum": 0}),
    ("ten classes", QUICK | {"momentum": 1.0, "learning_rate_init": 0.01}),
    ("ten classes", QUICK | {"nesterovs_momentum": False, "activation": "tanh"}),
    ("ten classes", QUICK | {"learning_rate": "invscaling", "power_t": 0.1}),
    ("ten classes", QUICK | {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1}),
    ("words", {"early_stopping": True}),
    ("two classes", QUICK | {"early_stopping": True, "activation": "logistic"}),
    ("two classes", {"shuffle": False, "batch_size": 33}),
    ("weighted", {}),
    ("weighted", QUICK | {"early_stopping": True}),
    ("two, weighted", QUICK | {"alpha": 1.0}),
    ("labels", {}),
    ("labels", QUICK | {"early_stopping": True}),
    ("not scaled", {"learning_rate_init": 0.01}),
    ("not scaled", QUICK | {"learning_rate_init": 1e-4}),
    ("value", {}),
    ("value", QUICK | {"activation": "tanh", "batch_size": 16, "learning_rate_init": 0.01}),
    ("two values", {"alpha": 0.1}),
    ("two values", {"early_stopping": True, "shuffle": False}),
    ("value, weighted", QUICK),
    ("counts", {"loss": "poisson"}),
    ("ten classes", {"solver": "lbfgs"}),
    ("two, weighted", {"solver": "lbfgs", "activation": "logistic"}),
    ("labels", {"solver": "lbfgs", "activation": "tanh"}),
    ("two values", {"solver": "lbfgs"}),
    ("counts", {"solver": "lbfgs", "loss": "poisson", "activation": "identity"}),
]


def _pair(name: str, **options: Any) -> tuple[Any, Any]:
    """Theirs and ours, not fitted."""
    kind = PROBLEMS[name].kind
    engine = options.pop("engine", "auto")
    options = {"random_state": 3, "max_iter": 20, "hidden_layer_sizes": 16} | options
    return getattr(theirs, kind)(**options), getattr(ours, kind)(**options, engine=engine)


def _fit(name: str, *models: Any, dtype: Any = np.float64) -> None:
    problem = PROBLEMS[name]
    for model in models:
        model.fit(problem.X.astype(dtype), problem.y, problem.weight)


def _same_attributes(a: Any, b: Any, rtol: float) -> None:
    public = {name for name in vars(a) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(vars(b)), public - set(vars(b))
    for name in public - {"classes_"}:
        one, other = getattr(a, name), getattr(b, name)
        if name in ("coefs_", "intercepts_"):
            for x, y in zip(one, other, strict=True):
                np.testing.assert_allclose(y, x, rtol=rtol, atol=rtol)
                assert y.dtype == x.dtype
        elif isinstance(one, str) or one is None:
            assert other == one
        else:
            np.testing.assert_allclose(other, one, rtol=rtol)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name} {options}" for name, options in CASES]
)
def test_same_curve(name: str, options: dict[str, Any], engine: str) -> None:
    a, b = _pair(name, **options, engine=engine)
    _fit(name, a, b)
    rtol = 1e-6 if options.get("solver") != "lbfgs" else 1e-5
    _same_attributes(a, b, rtol)
    if hasattr(a, "loss_curve_"):
        np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-10)
    X = PROBLEMS[name].X
    np.testing.assert_allclose(
        b.score(X, PROBLEMS[name].y), a.score(X, PROBLEMS[name].y), rtol=rtol
    )
    if hasattr(a, "predict_proba"):
        np.testing.assert_array_equal(b.predict(X), a.predict(X))
        np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), rtol=rtol, atol=rtol)
        np.testing.assert_array_equal(b.classes_, a.classes_)
    else:
        np.testing.assert_allclose(b.predict(X), a.predict(X), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", ["ten classes", "not scaled", "labels", "two values"])
def test_same_curve_in_float32(name: str) -> None:
    a, b = _pair(name)
    _fit(name, a, b, dtype=np.float32)
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=2e-5)
    assert {w.dtype for w in b.coefs_ + b.intercepts_} == {np.dtype(np.float32)}


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_start_goes_on_as_theirs(solver: str) -> None:
    a, b = _pair("ten classes", solver=solver, warm_start=True, max_iter=4)
    for _ in range(3):
        _fit("ten classes", a, b)
    _same_attributes(a, b, 1e-9)


def test_warm_start_with_early_stopping_keeps_the_best_weights_of_all_fits() -> None:
    """Theirs trains on in the very arrays that it keeps as the best, where a fit finds no better."""
    a, b = _pair("ten classes", warm_start=True, early_stopping=True, max_iter=8)
    _fit("ten classes", a, b, a, b)
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-10)
    assert b.validation_scores_ == a.validation_scores_
    best = [w.copy() for w in b.coefs_]
    b.set_params(learning_rate_init=30.0)  # nothing good comes of this
    _fit("ten classes", b)
    assert max(b.validation_scores_[16:]) < b.best_validation_score_
    assert all((w == v).all() for w, v in zip(b.coefs_, best, strict=True))


@pytest.mark.parametrize("name", ["ten classes", "two classes", "labels", "two values"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_goes_on_as_theirs(name: str, solver: str) -> None:
    problem = PROBLEMS[name]
    a, b = _pair(name, solver=solver, learning_rate="invscaling", batch_size=30)
    classes = {} if problem.kind == "MLPRegressor" else {"classes": np.unique(problem.y)}
    if name == "labels":
        classes = {"classes": np.arange(4)}
    for start in (0, 100, 50):
        some = slice(start, start + 110)
        for model in (a, b):
            model.partial_fit(problem.X[some], problem.y[some], **classes)
        classes = {}
    _same_attributes(a, b, 1e-9)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_sparse_rows_give_the_same(solver: str, kind: Any) -> None:
    problem = PROBLEMS["ten classes"]
    _, dense = _pair("ten classes", solver=solver, max_iter=5)
    _, sparse = _pair("ten classes", solver=solver, max_iter=5)
    dense.fit(problem.X, problem.y)
    sparse.fit(kind(problem.X), problem.y)
    for w, v in zip(dense.coefs_, sparse.coefs_, strict=True):
        np.testing.assert_array_equal(w, v)
    np.testing.assert_array_equal(dense.predict(problem.X), sparse.predict(kind(problem.X)))


def test_a_large_sparse_matrix_is_never_dense_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = PROBLEMS["ten classes"]
    _, whole = _pair("ten classes", solver="lbfgs", max_iter=5)
    _, parts = _pair("ten classes", solver="lbfgs", max_iter=5)
    whole.fit(problem.X, problem.y)
    monkeypatch.setattr("pellucid.estimators.rows._BLOCK", 64 * 50)
    parts.fit(scipy.sparse.csr_array(problem.X), problem.y)
    np.testing.assert_allclose(parts.loss_, whole.loss_, rtol=1e-12)
    made = scipy.sparse.csr_array(problem.X)
    np.testing.assert_allclose(parts.predict_proba(made), whole.predict_proba(problem.X), rtol=1e-6)


@pytest.mark.parametrize("out", ["softmax", "logistic", "exp", "identity"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_by_central_differences(activation: str, out: str, weighted: bool) -> None:
    """Of the value reported, but for the square's: there the gradient is of outputs times it."""
    random = np.random.RandomState(0)
    net = build([5, 4, 3], activation, out, np.float64, "auto")
    theta = net.parameters.vector
    theta[...] = 0.5 * random.normal(size=theta.size)
    X, y = random.normal(size=(6, 5)), random.randint(0, 3, 6)
    if out != "softmax":
        y = (random.normal(size=(6, 3)) > 0) if out == "logistic" else random.poisson(2.0, (6, 3))
    weight = random.uniform(0.5, 2, 6) if weighted else None
    rows = Rows(net, X, y.astype(np.int64) if out == "softmax" else y.astype(float), weight)
    alpha = 0.0 if out == "identity" else 0.7
    objective, times = Objective(net, alpha), 3 if out == "identity" else 1
    objective.gradient(rows.whole())
    gradient = objective.program.gradients.vector.copy()
    for place in range(theta.size):
        kept, values = theta[place], []
        for moved in (kept + 1e-6, kept - 1e-6):
            theta[place] = moved
            values.append(objective.gradient(rows.whole()))
        theta[place] = kept
        slope = times * (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx(gradient[place], rel=1e-5, abs=1e-7)


def test_no_numbers_are_drawn_from_numpys_own_generator() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # to see that it is left alone
    _, model = _pair("ten classes", max_iter=1, random_state=None)
    _fit("ten classes", model)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_same_seed_same_bits() -> None:
    _, a = _pair("ten classes", early_stopping=True)
    _, b = _pair("ten classes", early_stopping=True)
    _fit("ten classes", a, b)
    assert all((w == v).all() for w, v in zip(a.coefs_, b.coefs_, strict=True))
    assert a.loss_curve_ == b.loss_curve_


def test_constructors_agree() -> None:
    for kind in ("MLPClassifier", "MLPRegressor"):
        a, b = getattr(theirs, kind)(), getattr(ours, kind)()
        assert b.get_params() == a.get_params() | {"engine": "auto"}
        assert b.loss == a.loss
        methods = {name for name in dir(a) if not name.startswith("_")}
        assert methods <= set(dir(b)), methods - set(dir(b))


def test_max_iter_is_said() -> None:
    _, model = _pair("ten classes", max_iter=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _fit("ten classes", model)
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert caught[0].filename == __file__
