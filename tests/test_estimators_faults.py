"""Bad input: what is refused, in which words, and that an estimator is left as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import DataConversionWarning, NotFittedError

from pellucid.errors import DataError, EngineError, OptionError
from pellucid.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RANDOM = np.random.RandomState(2)
X = RANDOM.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
SMALL: dict[str, Any] = {"hidden_layer_sizes": 5, "max_iter": 3, "random_state": 0}


def _refused(error: Any, message: str, model: Any, *data: Any, **more: Any) -> None:
    before = dict(model.__dict__)
    with pytest.raises(error, match=message):
        model.fit(*data, **more)
    assert model.__dict__ == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_29_where_nan_or_infinity_stands_is_said(kind: Any, value: float) -> None:
    wrong = X.copy()
    wrong[7, 2] = value
    _refused(
        DataError,
        r"Input X contains .*\n(.*\n)*The first in X is at row 7, column 2",
        kind(**SMALL),
        wrong,
        Y,
    )
    _refused(
        DataError, r"in X is at row 7, column 2", kind(**SMALL), scipy.sparse.csr_array(wrong), Y
    )
    _refused(
        DataError,
        r"in y is at row 3",
        MLPRegressor(**SMALL),
        X,
        np.where(np.arange(60) == 3, value, Y),
    )
    weight = np.ones(60)
    weight[9] = value
    _refused(DataError, r"in sample_weight is at row 9", kind(**SMALL), X, Y, sample_weight=weight)
    with pytest.raises(DataError, match="in X is at row 7, column 2"):
        kind(**SMALL).fit(X, Y).predict(wrong)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_30_and_31_what_diverges_is_said_and_taken_back(solver: str) -> None:
    huge = np.full_like(X, 1e308)
    model = MLPRegressor(**SMALL, solver=solver)
    _refused(DataError, "non-finite parameter weights", model, huge, Y)
    model.fit(X, Y)
    weights = [w.copy() for w in model.coefs_]
    before, moments = (
        model.predict(X).copy(),
        {k: v.copy() for k, v in model._optimizer.slots.items() if k != "squares"},
    )
    with pytest.raises(DataError, match="non-finite parameter weights"):
        model.partial_fit(huge, Y)
    assert all((w == v).all() for w, v in zip(model.coefs_, weights, strict=True))
    np.testing.assert_array_equal(model.predict(X), before)
    assert all((model._optimizer.slots[k] == v).all() for k, v in moments.items())
    model.partial_fit(X, Y)
    assert np.isfinite(model.predict(X)).all()


def test_32_shapes_are_named() -> None:
    model = MLPClassifier(**SMALL)
    _refused(ValueError, r"Found array with 0 sample\(s\) \(shape=\(0, 4\)\)", model, X[:0], Y[:0])
    _refused(ValueError, r"Found array with 0 feature\(s\) \(shape=\(60, 0\)\)", model, X[:, :0], Y)
    _refused(ValueError, "Expected 2D array, got 1D array", model, X[:, 0], Y)
    _refused(ValueError, r"dim 3|3D", model, X[:, :, None], Y)
    assert MLPClassifier(**SMALL).fit(X[:1], Y[:1]).predict(X).shape == (60,)


def test_33_other_features_at_predict() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = MLPClassifier(**SMALL).fit(frame, Y)
    assert list(model.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(model.predict(frame), MLPClassifier(**SMALL).fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing:\n- d"):
        model.predict(frame[["a", "b", "c"]])
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        MLPClassifier(**SMALL).fit(X, Y).predict(X[:, :3])
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- e"):
        model.predict(frame.rename(columns={"a": "e"}))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        MLPClassifier().predict(X)


def test_34_one_class_and_unseen_ones() -> None:
    assert set(MLPClassifier(**SMALL).fit(X, np.full(60, "yes")).predict(X)) == {"yes"}
    model = MLPClassifier(**SMALL)
    with pytest.raises(DataError, match="classes must be passed on the first call"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X, Y, classes=[0, 1])
    assert not hasattr(model, "classes_")
    model.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(DataError, match=r"classes not in `self.classes_`"):
        model.partial_fit(X, Y + 5)
    alone = np.where(np.arange(60) == 0, 1, 0)
    _refused(ValueError, "only 1 member", MLPClassifier(**SMALL, early_stopping=True), X, alone)


@pytest.mark.parametrize(
    "labels",
    [[0.0, 1.0, 2.0], ["x", "y", "z"], [-7, 0, 40]],
    ids=["floats", "words", "gaps"],
)
def test_35_labels_of_many_kinds(labels: list[Any]) -> None:
    y = np.array(labels)[Y]
    model = MLPClassifier(**SMALL).fit(X, y)
    assert model.predict(X).dtype == y.dtype
    assert set(model.predict(X).tolist()) <= set(labels)
    assert MLPClassifier(**SMALL).fit(X, Y > 0).predict(X).dtype == bool
    if isinstance(labels[0], str):
        MLPClassifier(**SMALL).fit(X, y.astype(object)).predict(X)
    else:
        _refused(ValueError, "Unknown label type", MLPClassifier(), X, y.astype(object))
    _refused(TypeError, "bytes is not supported", MLPClassifier(), X, y.astype(bytes))
    _refused(ValueError, "Unknown label type", MLPClassifier(), X, X[:, 0])


def test_37_batches_and_38_constant_features() -> None:
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        MLPClassifier(**SMALL, batch_size=1000).fit(X, Y)
    _refused(
        OptionError, r"'batch_size' parameter .* Got 0 instead", MLPClassifier(batch_size=0), X, Y
    )
    MLPClassifier(**SMALL, batch_size=59).fit(X, Y)
    assert np.isfinite(MLPRegressor(**SMALL).fit(np.ones((60, 4)), Y).predict(X)).all()


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_39_weights(solver: str) -> None:
    model = MLPClassifier(**SMALL, solver=solver, batch_size=60, shuffle=False)
    _refused(DataError, "at least one non-zero", model, X, Y, sample_weight=np.zeros(60))
    _refused(
        DataError,
        r"sample_weight.shape == \(59,\), expected \(60,\)",
        model,
        X,
        Y,
        sample_weight=np.ones(59),
    )
    _refused(ValueError, r"inconsistent numbers of samples: \[60, 59\]", model, X, Y[:59])
    weight = (np.arange(60) % 3 > 0).astype(float)
    whole = model.fit(X, Y, sample_weight=weight).predict_proba(X)
    model.set_params(batch_size=40)
    kept = model.fit(X[weight > 0], Y[weight > 0]).predict_proba(X)
    np.testing.assert_allclose(whole, kept, rtol=1e-9)


def test_39_a_batch_without_weight_makes_no_step() -> None:
    """scikit-learn divides by its sum, 0."""
    weight = np.repeat([1.0, 0.0, 1.0], 20)
    model = MLPClassifier(**SMALL, batch_size=20, shuffle=False, alpha=0).fit(X, Y, weight)
    kept = np.r_[0:20, 40:60]
    other = MLPClassifier(**SMALL, batch_size=20, shuffle=False, alpha=0).fit(X[kept], Y[kept])
    np.testing.assert_allclose(model.predict_proba(X), other.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x.astype(np.int8), lambda x: x.astype(np.float16), lambda x: x.astype(object),
        lambda x: x.astype(">f8"), np.asfortranarray, lambda x: x[::-1][::-1],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2], scipy.sparse.csc_array, scipy.sparse.coo_array,
        lambda x: x.tolist(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_40_every_kind_of_array(made: Any, engine: str) -> None:
    whole = np.round(X * 4)
    reference = MLPClassifier(**SMALL, engine=engine).fit(whole, Y)
    given = made(whole)
    model = MLPClassifier(**SMALL, engine=engine).fit(given, Y)
    np.testing.assert_array_equal(model.coefs_[0], reference.coefs_[0])
    np.testing.assert_array_equal(model.predict_proba(given), reference.predict_proba(whole))


def test_40_the_callers_arrays_are_not_changed(tmp_path: Any) -> None:
    held = [X.copy(), Y.astype(float), np.ones(60)]
    for array in held:
        array.flags.writeable = False
    MLPRegressor(**SMALL).fit(*held)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    MLPRegressor(**SMALL).fit(mapped, Y).predict(mapped)
    _refused(ValueError, "Complex data not supported", MLPRegressor(), X + 1j, Y)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        MLPRegressor(**SMALL).fit(X, Y[:, None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate_init": 0}, r"a float in the range \(0.0, inf\). Got 0 instead"),
        ({"learning_rate_init": -1.0}, "Got -1.0 instead"),
        ({"learning_rate_init": np.nan}, "Got nan instead"),
        ({"learning_rate_init": "fast"}, "Got 'fast' instead"),
        ({"learning_rate": "slow"}, "a str among {'adaptive', 'constant', 'invscaling'}"),
        ({"momentum": 1.5}, r"a float in the range \[0.0, 1.0\]. Got 1.5"),
        ({"alpha": -1}, "The 'alpha' parameter of MLPClassifier must be a float"),
        ({"beta_1": 1}, r"\[0.0, 1.0\)"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"max_iter": 0}, r"an int in the range \[1, inf\). Got 0"),
        ({"max_iter": 2.5}, "Got 2.5"),
        ({"n_iter_no_change": 2.5}, r"\[1, inf\) or inf. Got 2.5"),
        ({"shuffle": "yes"}, "an instance of 'bool'"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes must be > 0, got \[5, 0\]"),
        ({"hidden_layer_sizes": -3}, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": "many"}, "hidden_layer_sizes"),
        ({"random_state": -1}, "random_state"),
        ({"solver": "newton"}, "Got 'newton'"),
        ({"activation": "gelu"}, "Got 'gelu'"),
        ({"batch_size": 1.5}, "a str among {'auto'} or an int"),
    ],
    ids=str,
)  # fmt: skip
def test_41_parameters(options: dict[str, Any], message: str) -> None:
    _refused(OptionError, message, MLPClassifier(**options), X, Y)
    with pytest.raises((ValueError, TypeError)):
        MLPClassifier(**options).fit(X, Y)


def test_engines_are_named() -> None:
    _refused(EngineError, "Did you mean 'native'", MLPClassifier(engine="nativ"), X, Y)


def test_partial_fit_where_it_is_not() -> None:
    for options, word in (
        ({"solver": "lbfgs"}, "stochastic"),
        ({"early_stopping": True}, "early_stopping"),
    ):
        for kind in (MLPClassifier, MLPRegressor):
            assert not hasattr(kind(**options), "partial_fit")
            with pytest.raises(ValueError, match=word):
                _ = kind(**options).partial_fit


def test_an_interrupted_fit_keeps_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = MLPClassifier(**SMALL), []
    monkeypatch.setattr(model, "verbose", True)

    def stop(line: str) -> None:
        seen.append(line)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(model, "_say", stop)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y)
    assert model.n_iter_ == 2
    assert model.predict(X).shape == (60,)


@pytest.mark.long
def test_6_ctrl_c_ends_a_fit_between_two_updates() -> None:
    code = (
        "import warnings, numpy as np\n"
        "from pellucid.estimators import MLPClassifier\n"
        "X = np.random.RandomState(0).rand(20000, 200)\n"
        "model = MLPClassifier((300, 300), max_iter=10**4, n_iter_no_change=10**6, tol=0)\n"
        "print('ready', flush=True)\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    model.fit(X, X[:, 0] > 0.5)\n"
        "print(caught[0].message, np.isfinite(model.predict_proba(X[:9])).all())"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.readline()
    time.sleep(2)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=30)
    assert out.strip() == "Training interrupted by user. True"


def test_47_fits_in_threads_do_not_meet() -> None:
    alone = [
        MLPClassifier(**SMALL | {"random_state": k, "max_iter": 20}).fit(X, Y) for k in range(4)
    ]
    beside = [MLPClassifier(**SMALL | {"random_state": k, "max_iter": 20}) for k in range(4)]
    threads = [threading.Thread(target=model.fit, args=(X, Y)) for model in beside]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_without_scikit_learn_the_error_names_the_command() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "try:\n    import pellucid.estimators\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == (
        'MissingExtraError this needs scikit-learn: pip install "pellucid[sklearn]"'
    )
