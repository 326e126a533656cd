"""What somebody new types: words of other libraries, slips, a look around; each is answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pellucid
from pellucid import (
    MSE,
    SGD,
    Adam,
    Checkpoint,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Network,
    ReLU,
)
from pellucid.data import Dataset
from pellucid.errors import DataError, OptionError, PellucidError, ShapeError
from pellucid.training import evaluate, fit

X = np.random.default_rng(0).normal(size=(64, 5))
Y = (X[:, 0] > 0).astype(int)


def network() -> Network:
    return Network([Dense(8), ReLU(), Dense(2)], loss=CrossEntropy(), optimizer=Adam(0.01))


def trained(**options: Any) -> Any:
    return network().fit(X, Y, **{"epochs": 1, "progress": False, **options})


# ---- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: trained(epoch=2), "fit has no option 'epoch'. Did you mean 'epochs'?"),
        (lambda: trained(class_weights="balanced"), "Did you mean 'class_weight'?"),
        (lambda: trained(verbose=0), "progress=False"),
        (lambda: trained(validation_split=0.2), "validation=0.2"),
        (lambda: trained(validation_data=(X, Y)), "validation=(x, y)"),
        (lambda: trained(lr=0.1), "optimizer=Adam("),
        (lambda: fit(network(), X, Y, batchsize=3), "Did you mean 'batch_size'?"),
        (lambda: network().evaluate(X, Y, metric="f1"), "Did you mean 'metrics'?"),
        (lambda: trained(callbacks=EarlyStopping()), "callbacks is a list"),
        (lambda: trained(callbacks=[EarlyStopping]), "call it, EarlyStopping()"),
        (lambda: Network([Dense(2)], optimiser="adam"), "Did you mean 'optimizer'?"),
        (lambda: EarlyStopping(moniter="loss"), "Did you mean 'monitor'?"),
        (lambda: EarlyStopping(restore_best_weights=True), "restore_best="),
        (lambda: Checkpoint("a", save_best_only=True), "best_of="),
        (lambda: Dense(8, activation="relu"), "put ReLU() behind this one"),
        (lambda: Dense(8, input_shape=(5,)), "Network(layers, inputs="),
        (lambda: Conv2D(8, 3, in_channels=1), "Network(layers, inputs="),
        (lambda: Dense(5, 8), "use_bias must be True or False, not 8"),
        (lambda: Dense(5, trainable="no"), "trainable must be True or False"),
    ],
)
def test_option_errors_say_what_to_write(act: Callable[[], Any], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        act()
    assert words in str(caught.value)
    assert isinstance(caught.value, PellucidError | TypeError | ValueError)


def test_numpy_scalars_become_plain_numbers() -> None:
    dense = Dense(Y.max() + 1, use_bias=np.True_)
    assert repr(dense) == "Dense(2)"
    assert type(dense.units) is int
    assert type(dense.use_bias) is bool
    assert repr(Dropout(np.float64(0.5))) == "Dropout(0.5)"
    assert repr(SGD(np.float64(0.5))) == "SGD(learning_rate=0.5)"


# ---- looking around ---------------------------------------------------------------------------


def test_signatures_show_the_options() -> None:
    assert [*inspect.signature(Dense).parameters][:2] == ["units", "use_bias"]
    assert "allow_squashed" in inspect.signature(CrossEntropy).parameters
    assert "patience" in inspect.signature(EarlyStopping).parameters
    assert "optimizer" in inspect.signature(Network).parameters


def test_fit_lists_its_options() -> None:
    text = " ".join((Network.fit.__doc__ or "").split())
    for name, parameter in inspect.signature(fit).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            shown = repr(parameter.default).replace("'", '"')
            assert f"{name}={shown}" in text, name
    assert inspect.signature(evaluate).parameters["batch_size"].default == 1024


def test_dir_shows_what_is_public() -> None:
    names = dir(pellucid)
    assert set(pellucid.__all__) <= set(names)
    assert {"data", "metrics", "training", "insight"} <= set(names)
    assert not {"Any", "annotations", "TYPE_CHECKING"} & set(names)
    for name in names:
        assert getattr(pellucid, name) is not None


@pytest.mark.parametrize(
    ("name", "there"),
    [("predict_proba", "net.predict"), ("history", "net.fit"), ("layers", "nodes")],
)
def test_words_of_other_libraries(name: str, there: str) -> None:
    with pytest.raises(AttributeError, match=there):
        getattr(network(), name)
    assert not hasattr(network(), name)


# ---- data -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: network().fit((X, Y)), DataError, "two arguments, (x, y)"),
        (lambda: network().predict(Dataset(X, Y)), DataError, "data.x"),
        (lambda: trained(validation=True), OptionError, "a fraction, not True"),
        (
            lambda: Network([Dense(1)], loss=MSE(), optimizer=Adam()).fit(
                X, np.full((64, 1), np.nan)
            ),
            DataError,
            "fill or drop",
        ),
        (
            lambda: Network([Dense(3)], loss=CrossEntropy(), optimizer=Adam()).fit(X, np.eye(2)[Y]),
            ShapeError,
            "give the last layer 2 outputs",
        ),
        (
            lambda: Network([Dense(3)], loss=MSE(), optimizer=Adam()).fit(X, X[:, :1]),
            ShapeError,
            "give the last layer 1 output",
        ),
        (
            lambda: Network([Conv2D(3, 2), Dense(2)], loss=CrossEntropy(), optimizer=Adam()).fit(
                np.ones((64, 5, 5, 1)), Y
            ),
            ShapeError,
            "put Flatten() before the last layer",
        ),
    ],
)
def test_data_errors_say_what_to_do(
    act: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        act()
    assert words in str(caught.value)


class Table:
    """Like a DataFrame: an array whose columns are attributes, two of them called x and y."""

    x, y = X[:, 0], X[:, 1]

    def __array__(self, *args: Any, **options: Any) -> Any:
        return np.asarray(X)


def test_columns_called_x_and_y_make_no_dataset() -> None:
    net = network()
    net.fit(Table(), Y, epochs=1, progress=False)
    assert np.array_equal(net.predict(Table()), net.predict(X))
    assert "no better than chance" in net.diagnose(Table()).wanting  # it was given no targets
    with pytest.raises(DataError, match="targets are missing"):
        net.fit(Table(), progress=False)


def test_a_dataset_wherever_rows_and_targets_go() -> None:
    net, data = network(), Dataset(X, Y)
    step = net.step(data)
    assert repr(step) == "<Step of 64 rows: done nothing yet>"
    step.forward()
    assert repr(step) == "<Step of 64 rows: done forward>"
    assert step.loss() == net.trace(data).loss
    assert net.gradcheck(data[:8]).passed
