"""Bad data, bad options, bad moments: each has a defined end.

What is refused is refused by a named error that says what, where and what to do, and leaves the
network as it was; what is odd but right works, to finite numbers and without a warning.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

from pellucid import (
    L2,
    MSE,
    SGD,
    Adam,
    AdamW,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Checkpoint,
    Constant,
    Conv2D,
    Cosine,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Flatten,
    Input,
    LeakyReLU,
    MaxPool2D,
    Network,
    Normal,
    Observer,
    ReLU,
    Sigmoid,
    Standardize,
    Tanh,
    WarmUp,
)
from pellucid.data import Dataset
from pellucid.errors import (
    DataError,
    DivergenceError,
    GraphError,
    NotBuiltError,
    OptionError,
    PellucidError,
    ResumeError,
    ShapeError,
    StepError,
    UnknownNameError,
)
from pellucid.events import EpochEnd, RunEnd, RunStart, StepEnd
from pellucid.layers import Activation

RNG = np.random.default_rng(8)
X = RNG.normal(size=(24, 5)).astype(np.float32)
Y = (np.arange(24) % 3).astype(np.int64)
T = X[:, :2] * 2 - 1


def classifier(built: bool = True, **options: Any) -> Network:
    settings = {"loss": CrossEntropy(), "optimizer": Adam(0.01), **options}
    return Network([Standardize(), Dense(6), ReLU(), Dense(3)], 5 if built else None, **settings)


def regressor(**options: Any) -> Network:
    settings = {"loss": MSE(), "optimizer": SGD(0.05), **options}
    return Network([Dense(4), Tanh(), Dense(2)], inputs=5, **settings)


def image_net() -> Network:
    layers = [Conv2D(2, 3), ReLU(), Flatten(), Dense(3)]
    return Network(layers, inputs=(4, 4, 1), loss=CrossEntropy(), optimizer=Adam(0.01))


def reader() -> Network:
    return Network([Embedding(10, 3), Flatten(), Dense(3)], inputs=4, loss=CrossEntropy(),
                   optimizer=Adam(0.01))  # fmt: skip


def but(array: Any, place: Any, value: Any, dtype: Any = None) -> np.ndarray:
    """The array with one value changed."""
    changed = np.array(array, dtype)
    changed[place] = value
    return changed


def run(net: Network, x: Any = X, y: Any = Y, **options: Any) -> Any:
    return net.fit(x, y, **{"epochs": 1, "batch_size": 8, "progress": False, **options})


def fingerprint(net: Network) -> dict[str, Any]:
    """All that a refused call must leave as it was."""
    found: dict[str, Any] = {"built": net.built, "loss": net.loss, "optimizer": net.optimizer}
    if net.built:
        slots = {name: vector.tobytes() for name, vector in net.slots.items()}
        found |= {"parameters": net.parameters.vector.tobytes(), "updates": net.updates,
                  "state": net.state.vector.tobytes(), "slots": slots,
                  "training": net.training}  # fmt: skip
    return found


# ---- what is refused -----------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
ONES = np.ones(24)


class Fault(NamedTuple):
    """A call on a network of `make`, the error it ends in, and words its message has."""

    id: str
    call: Callable[[Network], object]
    error: type[PellucidError]
    words: tuple[str, ...]
    make: Callable[[], Network] = classifier


def stream(*batches: Any) -> Callable[[], Iterator[Any]]:
    return lambda: iter(batches)


FAULTS = [
    # 29: not a number, row and column named
    Fault("29 NaN in x", lambda n: run(n, but(X, (3, 2), NAN)), DataError,
          ("x has nan at row 3, column 2", "np.nan_to_num")),
    Fault("29 infinity in x", lambda n: run(n, but(X, (23, 0), -INF)), DataError,
          ("x has -inf at row 23, column 0",)),
    Fault("29 NaN in float16", lambda n: run(n, but(X, (1, 4), NAN, np.float16)), DataError,
          ("x has nan at row 1, column 4",)),
    Fault("29 NaN in an image", lambda n: run(n, but(np.ones((24, 4, 4, 1)), (5, 1, 2, 0), NAN)),
          DataError, ("row 5, column 1, 2, 0",), image_net),
    Fault("29 NaN in class labels", lambda n: run(n, X, but(Y, 7, NAN, float)), DataError,
          ("row 7", "nan", "0 … 2")),
    Fault("29 NaN in targets", lambda n: run(n, X, but(T, (4, 1), NAN)), DataError,
          ("row 4, column 1", "nan"), regressor),
    Fault("29 NaN in weights", lambda n: run(n, sample_weight=but(ONES, 6, NAN)), DataError,
          ("sample_weight has nan at row 6",)),
    Fault("29 NaN in validation x", lambda n: run(n, validation=(but(X, (2, 1), NAN), Y)),
          DataError, ("validation: x has nan at row 2, column 1",)),
    Fault("29 NaN in predict", lambda n: n.predict(but(X, (0, 1), NAN)), DataError,
          ("has nan at row 0, column 1",)),
    Fault("29 NaN in evaluate", lambda n: n.evaluate(but(X, (0, 1), NAN), Y), DataError,
          ("x has nan at row 0, column 1",)),
    Fault("29 NaN in a step", lambda n: n.step(but(X, (0, 1), INF), Y), DataError,
          ("x has inf at row 0, column 1",)),
    # 30: finite, but not for the network
    Fault("30 too large for float32", lambda n: run(n, but(X, (3, 2), 1e300, float)), DataError,
          ("x has 1e+300 at row 3, column 2", "too large for float32", "dtype='float64'")),
    Fault("30 in predict", lambda n: n.predict(but(X, (3, 2), -1e39, float)), DataError,
          ("-1e+39 at row 3, column 2", "too large for float32")),
    Fault("30 a target", lambda n: run(n, X, but(T, (4, 1), 1e39, float)), DataError,
          ("y has 1e+39 at row 4, column 1", "too large for float32"), regressor),
    Fault("30 a large weight", lambda n: run(n, sample_weight=but(ONES, 1, 1e39)), DataError,
          ("sample_weight is 1e+39 at row 1", "divide all by their mean")),
    Fault("30 a small weight", lambda n: run(n, sample_weight=but(ONES, 1, 1e-60)), DataError,
          ("sample_weight is 1e-60 at row 1", "divide all by their mean")),
    # 32: shapes
    Fault("32 no rows", lambda n: run(n, X[:0], Y[:0]), DataError, ("x has no rows",)),
    Fault("32 no rows to evaluate", lambda n: n.evaluate(X[:0], Y[:0]), DataError, ("no rows",)),
    Fault("32 no row in a step", lambda n: n.step(X[:0], Y[:0]), StepError, ("at least one row",)),
    Fault("32 no features", lambda n: run(n, X[:, :0]), ShapeError, ("(B, 5)", "(24, 0)")),
    Fault("32 one row as a vector", lambda n: run(n, X[0]), ShapeError,
          ("(B, 5)", "(5,)", "x[None]")),
    Fault("32 a column as a vector", lambda n: run(n, X[:, 0]), ShapeError, ("(B, 5)", "(24,)")),
    Fault("32 3-D", lambda n: run(n, X[:, None]), ShapeError,
          ("(B, 5)", "(24, 1, 5)", "x.reshape(-1, 5)")),
    Fault("32 a number", lambda n: run(n, 3.0), ShapeError, ("(B, 5)", "()")),
    Fault("32 images without channels", lambda n: run(n, np.ones((24, 4, 4))), ShapeError,
          ("(B, 4, 4, 1)", "(24, 4, 4)", "reshape"), image_net),
    Fault("32 rows of unequal length", lambda n: run(n, [[1.0] * 5, [2.0] * 4]), DataError,
          ("x is not an array",)),
    # 33: another number of features
    Fault("33 predict", lambda n: n.predict(X[:, :4]), ShapeError, ("(B, 5)", "(24, 4)")),
    Fault("33 evaluate", lambda n: n.evaluate(X[:, :4], Y), ShapeError, ("(B, 5)", "(24, 4)")),
    Fault("33 a step", lambda n: n.step(X[:, :4], Y), ShapeError, ("(B, 5)", "(24, 4)")),
    Fault("33 validation", lambda n: run(n, validation=(X[:, :4], Y)), ShapeError,
          ("validation:", "(B, 5)", "(24, 4)")),
    # 34: a class with one member, 35 and 36: labels
    Fault("34 one of a class", lambda n: run(n, X, but(Y * 0, 3, 2), validation=0.25), DataError,
          ("class 2 has one row only", "stratif")),
    Fault("35 fractions", lambda n: run(n, X, Y + 0.5), DataError, ("row 0", "0.5", "0 … 2")),
    Fault("35 words", lambda n: run(n, X, np.array(["cat", "dog", "emu"])[Y]), DataError,
          ("y has dtype <U3", "encode_labels")),
    Fault("35 objects", lambda n: run(n, X, np.array(["cat", 1, None])[Y]), DataError,
          ("y has dtype object", "encode_labels")),
    Fault("35 negative", lambda n: run(n, X, but(Y, 5, -1)), DataError, ("row 5", "-1", "0 … 2")),
    Fault("36 beyond the classes", lambda n: run(n, X, Y + 1), DataError, ("row 2", "3", "0 … 2")),
    Fault("36 in evaluate", lambda n: n.evaluate(X, Y + 1), DataError, ("row 2", "3", "0 … 2")),
    Fault("36 in validation", lambda n: run(n, validation=(X, Y + 1)), DataError,
          ("validation: row 2", "0 … 2")),
    Fault("36 in a step", lambda n: n.step(X, Y + 1), DataError, ("row 2", "0 … 2")),
    Fault("36 words of an embedding",
          lambda n: n.step(but(np.ones((2, 4), int), (1, 2), 10), [0, 1]).forward(), DataError,
          ("index 10 at position (1, 2)", "0 … 9"), reader),
    Fault("36 counted from the end",
          lambda n: n.predict(but(np.ones((2, 4), int), (1, 2), -1)), DataError,
          ("index -1 at position (1, 2)", "0 … 9"), reader),
    Fault("36 fractions of words", lambda n: n.predict(np.ones((2, 4))), DataError,
          ("whole numbers", "float64"), reader),
    # 37: batches
    Fault("37 batch of none", lambda n: run(n, batch_size=0), OptionError, ("batch_size", "0")),
    Fault("37 negative", lambda n: run(n, batch_size=-3), OptionError, ("batch_size", "-3")),
    Fault("37 half a row", lambda n: run(n, batch_size=2.5), OptionError, ("batch_size", "2.5")),
    Fault("37 True", lambda n: run(n, batch_size=True), OptionError, ("batch_size", "True")),
    Fault("37 epochs", lambda n: run(n, epochs=-1), OptionError, ("epochs", "-1")),
    Fault("37 accumulate", lambda n: run(n, accumulate=0), OptionError, ("accumulate", "0")),
    Fault("37 predict", lambda n: n.predict(X, batch_size=0), OptionError, ("batch_size", "0")),
    Fault("37 evaluate", lambda n: n.evaluate(X, Y, batch_size=0), OptionError, ("batch_size",)),
    # 39: weights and lengths
    Fault("39 all zero", lambda n: run(n, sample_weight=ONES * 0), DataError,
          ("zero everywhere", "nothing would be learnt")),
    Fault("39 negative", lambda n: run(n, sample_weight=but(ONES, 9, -1)), DataError,
          ("negative at row 9",)),
    Fault("39 too few", lambda n: run(n, sample_weight=ONES[:9]), DataError,
          ("(9,)", "24 rows need (24,)")),
    Fault("39 a column", lambda n: run(n, sample_weight=ONES[:, None]), DataError,
          ("(24, 1)", "(24,)")),
    Fault("39 words", lambda n: run(n, sample_weight=["a"] * 24), DataError, ("sample_weight",)),
    Fault("39 lengths", lambda n: run(n, X, Y[:20]), DataError, ("24 rows", "20 rows")),
    Fault("39 a column of labels for values", lambda n: run(n, X, T[:, 0]), ShapeError,
          ("(24,)", "(24, 2)"), regressor),
    Fault("39 no y", lambda n: run(n, X, None), DataError, ("targets are missing", "fit(x, y)")),
    Fault("39 a class without a weight", lambda n: run(n, class_weight={0: 1, 2: 1}), DataError,
          ("class_weight says nothing of class 1",)),
    Fault("39 class weights of zero", lambda n: run(n, class_weight=[0, 0, 0]), DataError,
          ("zero everywhere",)),
    Fault("39 a NaN class weight", lambda n: run(n, class_weight=[1, NAN, 1]), DataError, ("nan",)),
    Fault("39 a negative class weight", lambda n: run(n, class_weight=[1, -1, 1]), DataError,
          ("negative",)),
    Fault("39 balance", lambda n: run(n, class_weight="balance"), DataError, ("'balanced'",)),
    Fault("39 a number as class weights", lambda n: run(n, class_weight=5), DataError,
          ("'balanced', a dict or a list", "5")),
    Fault("39 words as class weights", lambda n: run(n, class_weight={"a": 1}), DataError,
          ("'balanced', a dict or a list",)),
    Fault("39 class weights without classes", lambda n: run(n, X, T, class_weight=[1, 2]),
          DataError, ("sample_weight instead",), regressor),
    # 40: what is no plain array
    Fault("40 complex", lambda n: run(n, X + 1j), DataError, ("x has dtype complex64", "two")),
    Fault("40 objects", lambda n: run(n, X.astype(object)), DataError,
          ("x has dtype object", "numeric")),
    Fault("40 words", lambda n: run(n, X.astype(str)), DataError, ("x has dtype <U32", "encode")),
    Fault("40 bytes", lambda n: run(n, X.astype("S9")), DataError, ("x has dtype |S9", "encode")),
    Fault("40 dates", lambda n: run(n, X.astype("M8[s]")), DataError, ("datetime64[s]", "convert")),
    Fault("40 records", lambda n: run(n, np.zeros(24, "f4,f4")), DataError, ("x has dtype [('f0'",)),
    Fault("40 None", lambda n: run(n, None), DataError, ("x has dtype object",)),
    Fault("40 masked", lambda n: run(n, np.ma.masked_less(X, 0)), DataError,
          ("x has masked values", "x.filled")),
    Fault("40 in predict", lambda n: n.predict(X.astype(object)), DataError, ("object",)),
    # a run's other options
    Fault("no validation rows", lambda n: run(n, validation=(X[:0], Y[:0])), DataError,
          ("validation data has no rows",)),
    Fault("validation of all", lambda n: run(n, validation=1.0), OptionError, ("between 0 and 1",)),
    Fault("validation of too few", lambda n: run(n, validation=0.01), DataError, ("each side",)),
    Fault("validation a word", lambda n: run(n, validation="last"), OptionError,
          ("validation is a Dataset, (x, y) or a fraction, not str",)),
    Fault("validation x only", lambda n: run(n, validation=X), OptionError, ("not ndarray",)),
    Fault("validation rows", lambda n: run(n, validation=0.5, validation_rows="lst"), OptionError,
          ("'random' or 'last', not 'lst'",)),
    Fault("a metric", lambda n: run(n, metrics=["acuracy"]), OptionError, ("'accuracy'",)),
    Fault("a loss", lambda n: run(n, loss="mse_loss"), OptionError, ("mse_loss",)),
    Fault("an optimizer", lambda n: run(n, optimizer="adm"), OptionError, ("'adam'",)),
    Fault("a callback", lambda n: run(n, callbacks=[print]), OptionError, ("Observers",)),
    Fault("resume", lambda n: run(n, resume=True), ResumeError, ("no run to resume",)),
    Fault("a loss that does not fit", lambda n: run(n, loss=MSE()), ShapeError, ("(24, 3)",)),
    # batches from generators
    Fault("no batches", lambda n: run(n, stream(), None), DataError, ("gave none", "function")),
    Fault("an empty batch", lambda n: run(n, stream((X[:0], Y[:0])), None), DataError,
          ("batch 1", "no rows")),
    Fault("not a batch", lambda n: run(n, stream(X), None), DataError, ("(x, y)",)),
    Fault("a NaN batch", lambda n: run(n, stream((but(X, (1, 1), NAN), Y)), None), DataError,
          ("x has nan at row 1, column 1",)),
    Fault("weights beside", lambda n: run(n, stream((X, Y)), None, sample_weight=ONES),
          OptionError, ("weights come with each batch",)),
    Fault("class weights beside", lambda n: run(n, stream((X, Y)), None, class_weight="balanced"),
          OptionError, ("weights come with each batch",)),
    Fault("a fraction of a stream", lambda n: run(n, stream((X, Y)), None, validation=0.2),
          DataError, ("cannot be split", "validation=(x, y)")),
    Fault("steps of arrays", lambda n: run(n, steps_per_epoch=3), OptionError, ("generators",)),
    Fault("no steps", lambda n: run(n, stream((X, Y)), None, steps_per_epoch=0), OptionError,
          ("steps_per_epoch", "0")),
    # 45: the phases of a step in a wrong order
    Fault("45 loss first", lambda n: n.step(X, Y).loss(), StepError,
          ("loss comes after forward", "step.forward()")),
    Fault("45 backward first", lambda n: n.step(X, Y).backward(), StepError,
          ("backward comes after loss", "step.loss()")),
    Fault("45 update first", lambda n: n.step(X, Y).update(), StepError, ("step.backward()",)),
    Fault("45 gradients first", lambda n: n.step(X, Y).gradients, StepError, ("step.backward()",)),
    Fault("45 values first", lambda n: n.step(X, Y).values, StepError, ("step.forward()",)),
    Fault("45 no targets", lambda n: after(n.step(X), "forward").loss(), StepError,
          ("the loss needs targets: net.step(x, y)",)),
    Fault("45 backward after forward", lambda n: after(n.step(X, Y), "forward").backward(),
          StepError, ("step.loss()",)),
    Fault("45 forward twice", lambda n: after(n.step(X, Y), "forward").forward(), StepError,
          ("forward has already run", "net.step(x, y)")),
    Fault("45 backward twice",
          lambda n: after(n.step(X, Y), "forward", "loss", "backward").backward(), StepError,
          ("backward has already run", "net.step(x, y)")),
    Fault("45 after inference", lambda n: inferred(n).loss(), StepError, ("inference", "training")),
    Fault("45 backward after inference", lambda n: inferred(n).backward(), StepError, ("loss()",)),
    Fault("45 another step between", lambda n: interleaved(n).backward(), StepError,
          ("another step has begun",)),
]  # fmt: skip


def after(step: Any, *phases: str) -> Any:
    for phase in phases:
        getattr(step, phase)()
    return step


def inferred(net: Network) -> Any:
    step = net.step(X, Y)
    step.forward(training=False)
    return step


def interleaved(net: Network) -> Any:
    step = after(net.step(X, Y), "forward", "loss")
    after(net.step(X, Y), "forward")
    return step


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_is_refused_by_name_and_changes_nothing(fault: Fault) -> None:
    net = fault.make()
    before = fingerprint(net)
    in_the_run = fault.id in ("no batches", "an empty batch", "not a batch", "a NaN batch")
    with pytest.raises(PellucidError) as caught:
        fault.call(net)
    assert type(caught.value) is fault.error, caught.value
    for word in fault.words:
        assert word in str(caught.value), str(caught.value)
    found = fingerprint(net)
    if in_the_run:  # it had begun; what there is to resume is kept
        before["training"] = found["training"]
    assert found == before


def test_no_fault_is_listed_twice() -> None:
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda n: run(n, but(X, (1, 1), NAN)), DataError, "row 1, column 1"),
        (lambda n: run(n, X[:, None], Y), ShapeError, r"\(24, 1, 3\)|outputs"),
        (lambda n: run(n, X, Y + 1), DataError, "row 2"),
        (lambda n: run(n, X, Y, validation=3), OptionError, "between 0 and 1"),
        (lambda n: run(n, X, Y, metrics="nothing"), OptionError, "nothing"),
        (lambda n: run(n, X, Y, optimizer="adm"), OptionError, "adam"),
        (lambda n: run(n, X, Y, resume="nowhere"), OSError, "does not exist"),
        (
            lambda n: run(n, X[:, 0], Y),
            ShapeError,
            r"features[^$]*x has shape \(24,\), rows first; .*x\[:, None\]",
        ),
        (lambda n: run(n, X[:, :0], Y), ShapeError, r"\(0,\)"),
        (lambda n: run(n, 5.0, Y), GraphError, r"np.array\(\[\[x\]\]\)"),
    ],
)
def test_a_refused_fit_leaves_an_unbuilt_network_unbuilt(
    call: Callable[[Network], object], error: type[Exception], words: str
) -> None:
    net = classifier(built=False)
    before = fingerprint(net)
    with pytest.raises(error, match=words):
        call(net)
    assert fingerprint(net) == before
    run(net)  # and the right data builds it
    assert net.parameters["dense_1/W"].shape == (5, 6)


def test_a_loss_that_is_refused_leaves_the_network_unbuilt() -> None:
    net = Network([Dense(3), Sigmoid()], loss=CrossEntropy())
    for _ in range(2):
        with pytest.raises(GraphError, match="remove sigmoid_1"):
            net.build(5)
        assert not net.built


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NotBuiltError, match="no loss: Network"):
        run(classifier(loss=None))
    with pytest.raises(NotBuiltError, match="no optimizer: Network"):
        run(classifier(optimizer=None))
    with pytest.raises(NotBuiltError, match="an update needs an optimizer"):
        after(classifier(optimizer=None).step(X, Y), "forward", "loss", "backward", "update")
    with pytest.raises(UnknownNameError, match="Did you mean 'loss'"):
        run(classifier())["los"]
    with pytest.raises(DataError, match="one-time iterator cannot tell the input shape"):
        run(classifier(built=False), iter([(X, Y)]), None)
    with pytest.raises(DataError, match="used up after one epoch"):
        run(classifier(), iter([(X, Y)]), None, epochs=2)
    used_up = iter([(X, Y)])
    with pytest.raises(DataError, match="a function that returns a new iterator"):
        run(classifier(), lambda: used_up, None, epochs=2)


OPTIONS: list[tuple[str, Callable[[], object], type[PellucidError], str]] = [
    *((f"learning rate {rate!r}", lambda rate=rate: SGD(rate), OptionError, "learning_rate")
      for rate in (0, -1, NAN, INF, "fast", None, True)),
    ("momentum of 1", lambda: SGD(momentum=1.0), OptionError, "momentum"),
    ("momentum below 0", lambda: SGD(momentum=-0.1), OptionError, "momentum"),
    ("nesterov alone", lambda: SGD(nesterov=True), OptionError, "momentum=0.9"),
    ("beta of 1", lambda: Adam(beta_1=1), OptionError, "beta_1"),
    ("epsilon of 0", lambda: Adam(epsilon=0), OptionError, "epsilon"),
    ("clipping at 0", lambda: Adam(clip_norm=0), OptionError, "clip_norm"),
    ("weight decay below 0", lambda: AdamW(weight_decay=-1), OptionError, "weight_decay"),
    ("a cosine of no steps", lambda: Cosine(0.1, steps=0), OptionError, "steps"),
    ("a warm-up of no steps", lambda: WarmUp(0.1, steps=0), OptionError, "steps"),
    ("dropout of all", lambda: Dropout(1.0), OptionError, "rate"),
    ("dropout below 0", lambda: Dropout(-0.1), OptionError, "rate"),
    ("no units", lambda: Dense(0), OptionError, "units"),
    ("half a unit", lambda: Dense(2.5), OptionError, "units"),  # type: ignore[arg-type]
    ("stride of 0", lambda: Conv2D(4, 3, strides=0), OptionError, "strides"),
    ("kernel of 0", lambda: Conv2D(4, 0), OptionError, "kernel_size"),
    ("no dilation", lambda: Conv2D(4, 3, dilation_rate=0), OptionError, "dilation_rate"),
    ("groups of filters", lambda: Conv2D(4, 3, groups=3), OptionError, "4 filters.*3 groups"),
    ("groups of channels", lambda: Network([Conv2D(4, 3, groups=2)], inputs=(5, 5, 3)),
     ShapeError, "3 channels.*2 groups"),
    ("kernel larger than the image", lambda: Network([Conv2D(4, 7)], inputs=(5, 5, 1)),
     ShapeError, "7"),
    ("pool larger than the image", lambda: Network([MaxPool2D(6)], inputs=(5, 5, 1)),
     ShapeError, "6"),
    ("pool of 0", lambda: AvgPool2D(0), OptionError, "pool_size"),
    ("batch norm momentum of 1", lambda: BatchNorm(momentum=1.0), OptionError, "momentum"),
    ("a penalty below 0", lambda: L2(-1), OptionError, "rate"),
    ("a negative seed", lambda: Network([Dense(1)], seed=-1), OptionError, "seed"),
    ("float16", lambda: Network([Dense(1)], dtype="float16"), OptionError, "float16"),
    ("a misspelt option", lambda: Dense(unit=3), OptionError, "units"),  # type: ignore[call-arg]
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), [o[1:] for o in OPTIONS],
                         ids=[o[0] for o in OPTIONS])  # fmt: skip
def test_senseless_options_are_refused(
    call: Callable[[], object], error: type[PellucidError], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


# ---- 30, 31: what runs away ----------------------------------------------------------------------


def finite(net: Network) -> bool:
    return bool(np.isfinite(net.parameters.vector).all() and np.isfinite(net.state.vector).all())


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_that_diverges_names_the_step(dtype: str, watched: bool, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    net = regressor(optimizer=SGD(300.0), dtype=dtype)
    kept = EarlyStopping("loss", patience=10**6)
    events: list[Any] = []

    class Watch(Observer):
        every = 1 if watched else None

        def on_epoch(self, event: EpochEnd) -> None:
            assert finite(event.run.net)
            events.append(event.row["loss"])

        def on_alarm(self, event: Any) -> None:
            events.append(event.kind)

        def on_run_end(self, event: RunEnd) -> None:
            events.append(event.reason)

    with pytest.raises(DivergenceError) as caught:
        run(net, X * 1e3, T, epochs=4000, callbacks=[Watch(), kept, Checkpoint(path)])
    message = str(caught.value)
    assert net.training is not None
    epoch, batch = net.training.epoch + 1, net.training.batch
    if "not made" in message:
        assert f"at update {net.updates + 1} (epoch {epoch}, batch {batch + 1})" in message
    else:
        assert f"after update {net.updates} (epoch {epoch})" in message
    assert "learning rate too large" in message
    assert events[-2:] == ["divergence", "diverged"]
    assert np.isfinite(events[:-2]).all()
    assert finite(net)  # the best of the finished epochs
    assert net.training.stopped == "diverged"
    saved = Network.load(path)
    assert finite(saved)
    assert saved.training is not None
    assert saved.training.epoch == len(events) - 2
    net.reset()
    run(net, X, T, optimizer=SGD(0.01))


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("every", [None, 1])
def test_parameters_that_overflow_in_the_last_update_are_no_success(
    epochs: int, every: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    net = Network([Dense(1)], inputs=5, loss=MSE(), optimizer=SGD(3e38))
    with pytest.raises(DivergenceError, match=r"parameters are NaN or infinite after update 1 \(e"):
        run(net, X, T[:, :1] * 100, batch_size=24, epochs=epochs,
            callbacks=[Checkpoint(path, every=every)])  # fmt: skip
    assert not path.exists()
    with pytest.raises(DivergenceError, match=r"the loss became NaN.* update 2 .*not made"):
        run(net, X, T[:, :1], batch_size=24)


@dataclass(frozen=True, repr=False)
class Steep(Activation):
    """The identity, with an infinite slope."""

    def value(self, z: Any) -> Any:
        return z * 1

    def slope(self, z: Any, a: Any) -> Any:
        return np.full_like(z, np.inf)


def test_a_gradient_that_is_not_finite_makes_no_update() -> None:
    net = Network([Dense(2), Steep()], inputs=5, loss=MSE(), optimizer=SGD(0.1))
    before = net.parameters.vector.copy()
    with pytest.raises(DivergenceError, match=r"the gradient became NaN .*update 1 .*not made"):
        run(net, X, T)
    step = after(net.step(X, T), "forward", "loss", "backward")
    with pytest.raises(DivergenceError, match="gradient of dense_1/W is NaN or infinite: no upd"):
        step.update()
    np.testing.assert_array_equal(net.parameters.vector, before)
    assert net.updates == 0


def test_running_statistics_that_overflow_are_no_success() -> None:
    net = Network([BatchNorm(), Dense(1)], inputs=5, loss=MSE(), optimizer=SGD(1e-30))
    with pytest.raises(DivergenceError, match="running statistics are NaN or infinite after"):
        run(net, X * np.float32(1e30), T[:, :1])


def test_values_near_the_largest_double_end_in_a_named_error() -> None:
    large = {"x": (X.astype(float) * 1e307, T), "y": (X, T.astype(float) * 1e307)}
    for x, y in large.values():
        for layers in ([], [Standardize()], [BatchNorm()], [Dense(4), ReLU()]):
            net = Network([*layers, Dense(2)], loss=MSE(), optimizer=SGD(0.1), dtype="float64")
            with pytest.raises((DivergenceError, DataError), match=r"too large|NaN or infinite"):
                run(net, x, y, epochs=3)
    net = regressor(optimizer=SGD(1e300), dtype="float64")
    with pytest.raises(DivergenceError, match=r"NaN or infinite (at|after) update \d"):
        run(net, X, T, epochs=3)


# ---- what is odd but works -----------------------------------------------------------------------


def trained(net: Network, x: Any = X, y: Any = Y, **options: Any) -> np.ndarray:
    record = run(net, x, y, epochs=3, **options)
    assert np.isfinite(record["loss"]).all()
    assert finite(net)
    vector: np.ndarray = net.parameters.vector
    return vector


def test_one_row_one_class_and_constant_features_are_finite() -> None:
    trained(classifier(), X[:1], Y[:1])
    net = classifier()
    run(net, X, Y * 0, epochs=99)
    assert net.evaluate(X, Y * 0)["accuracy"] == 1
    constant = np.full((24, 5), 7.0)
    for layers in ([Standardize()], [BatchNorm()], []):
        net = Network([*layers, Dense(4), ReLU(), BatchNorm(), Dense(3)], loss=CrossEntropy(),
                      optimizer=Adam(0.01))  # fmt: skip
        trained(net, constant)
        assert np.isfinite(net.predict(constant)).all()


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    np.testing.assert_array_equal(
        trained(classifier(), batch_size=24), trained(classifier(), batch_size=10**9)
    )


@pytest.mark.parametrize("accumulate", [1, 2, 5])
def test_a_remainder_of_one_joins_the_batch_before_it(accumulate: int) -> None:
    net = Network([Dense(4), BatchNorm(), Dense(3)], loss=CrossEntropy(), optimizer=Adam(0.01))
    sizes = []

    class Look(Observer):
        every = 1
        tensors = ("input",)

        def on_step(self, event: StepEnd) -> None:
            sizes.append(len(event.tensors["input"]))

    run(net, X[:9], Y[:9], batch_size=4, accumulate=accumulate, callbacks=[Look()])
    assert sum(sizes) == 9 or accumulate > 1
    assert sizes[-1] == 5
    assert finite(net)
    for rows, size in ((1, 8), (9, 1)):
        with pytest.raises(DataError, match="use a batch of two rows or more"):
            run(net, X[:rows], Y[:rows], batch_size=size)
    image = Network([Conv2D(2, 3), BatchNorm(), Flatten(), Dense(3)], loss=CrossEntropy(),
                    optimizer=Adam(0.01))  # fmt: skip
    trained(image, RNG.normal(size=(1, 5, 5, 1)), Y[:1])  # one image has values enough


def test_weight_zero_is_the_row_removed() -> None:
    weight = RNG.uniform(0.5, 2, 24) * (np.arange(24) % 4 > 0)
    left = weight > 0
    for make, y in ((classifier, Y), (regressor, T)):
        full = make(dtype="float64")
        part = make(dtype="float64")
        if make is classifier:
            full.adapt(X)
            part.adapt(X)
        a = run(full, X, y, sample_weight=weight, batch_size=24, epochs=5)
        b = run(part, X[left], y[left], sample_weight=weight[left], batch_size=24, epochs=5)
        np.testing.assert_allclose(full.parameters.vector, part.parameters.vector, rtol=1e-11)
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-12)
        score = full.evaluate(X, y, sample_weight=weight)
        other = full.evaluate(X[left], y[left], sample_weight=weight[left])
        assert score.keys() == other.keys()
        np.testing.assert_allclose(list(score.values()), list(other.values()), rtol=1e-12)


def test_weights_of_one_are_no_weights_and_only_ratios_matter() -> None:
    plain = trained(classifier()).copy()
    np.testing.assert_array_equal(trained(classifier(), sample_weight=ONES), plain)
    for factor in (2.0**-60, 2.0**60):
        np.testing.assert_array_equal(trained(classifier(), sample_weight=ONES * factor), plain)
    np.testing.assert_allclose(trained(classifier(), class_weight=[1e-30] * 3), plain, rtol=1e-4)
    trained(classifier(), sample_weight=np.where(np.arange(24) < 8, 1e-30, 1e30))


def test_a_batch_of_weight_zero_learns_nothing_and_does_no_harm() -> None:
    weight = (np.arange(24) >= 8).astype(float)
    net = classifier(optimizer=SGD(0.1))
    states = []

    class Look(Observer):
        every = 1

        def on_step(self, event: StepEnd) -> None:
            states.append((event.loss, net.parameters.vector.copy()))

    net.adapt(X)
    start = net.parameters.vector.copy()
    run(net, sample_weight=weight, shuffle=False, callbacks=[Look()])
    assert states[0][0] == 0
    np.testing.assert_array_equal(states[0][1], start)
    assert states[1][0] > 0


# ---- 40: dtypes and layouts ----------------------------------------------------------------------


def reversed_rows(a: np.ndarray) -> np.ndarray:
    return a[::-1].copy()[::-1]


def on_disk(a: np.ndarray, path: Path) -> np.ndarray:
    mapped = np.memmap(path, a.dtype, "w+", shape=a.shape)
    mapped[...] = a
    mapped.flush()
    return np.memmap(path, a.dtype, "r", shape=a.shape)


LAYOUTS: dict[str, Callable[[np.ndarray, Path], Any]] = {
    "list": lambda a, path: a.tolist(),
    "fortran": lambda a, path: np.asfortranarray(a),
    "reversed": lambda a, path: reversed_rows(a),
    "mirrored": lambda a, path: a[..., ::-1].copy()[..., ::-1],
    "every other": lambda a, path: np.repeat(a, 2, axis=0)[::2],
    "big-endian": lambda a, path: a.astype(a.dtype.newbyteorder(">")),
    "memory-mapped": on_disk,
    "unaligned": lambda a, path: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(
        a.dtype).reshape(a.shape),
    "read-only": lambda a, path: a,
    "matrix": lambda a, path: np.ma.array(a),
    "array-like": lambda a, path: ArrayLike(a),
}  # fmt: skip


class ArrayLike:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.array, dtype)

    def __len__(self) -> int:
        return len(self.array)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("task", ["classes", "values", "words"])
def test_any_layout_of_data_gives_the_same_bits(task: str, layout: str, tmp_path: Path) -> None:
    words = RNG.integers(0, 10, size=(24, 4))
    tasks: dict[str, Any] = {"classes": (classifier, X, Y), "values": (regressor, X, T),
                  "words": (reader, words, Y)}  # fmt: skip
    make, x, y = tasks[task]
    weight = np.arange(1.0, 25.0)
    change = LAYOUTS[layout]
    given = [change(a, tmp_path / str(i)) for i, a in enumerate((x, y, weight))]
    for array in given:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    before = [np.array(a, copy=True) for a in given]
    expected, found = make(), make()
    options: dict[str, Any] = {"validation": 0.25, "epochs": 3}
    run(expected, x, y, sample_weight=weight, **options)
    run(found, given[0], given[1], sample_weight=given[2], **options)
    np.testing.assert_array_equal(found.parameters.vector, expected.parameters.vector)
    np.testing.assert_array_equal(found.predict(given[0]), expected.predict(x))
    np.testing.assert_array_equal(found(given[0]), expected(x))
    assert found.evaluate(*given[:2], sample_weight=given[2]) == expected.evaluate(
        x, y, sample_weight=weight
    )
    step, twin = found.step(*given), expected.step(x, y, weight)
    for phase in ("forward", "loss", "backward"):
        np.testing.assert_array_equal(getattr(step, phase)(), getattr(twin, phase)())
    for one, other in zip(given, before, strict=True):
        np.testing.assert_array_equal(np.asarray(one), other)


@pytest.mark.parametrize("dtype", ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", "g"])
def test_any_numeric_dtype_is_the_number_it_holds(dtype: str) -> None:
    x = RNG.integers(0, 2, size=(24, 5))
    labels = Y % 2
    values = RNG.integers(0, 2, size=(24, 2))
    for make, y in ((classifier, labels), (regressor, values)):
        expected = trained(make(), x.astype(np.float32), y).copy()
        given = x.astype(dtype), y.astype(dtype)
        before = given[0].copy(), given[1].copy()
        net = make()
        np.testing.assert_array_equal(trained(net, *given), expected)
        weighted = trained(make(), x, y, sample_weight=np.ones(24, dtype))
        np.testing.assert_array_equal(weighted, expected)
        for a, b in zip(given, before, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
    if dtype not in "efdg":
        words = RNG.integers(0, 2, size=(24, 4))
        np.testing.assert_array_equal(
            trained(reader(), words.astype(dtype), labels), trained(reader(), words, labels)
        )


def test_sparse_matrices_and_datasets() -> None:
    class Sparse:
        """What SciPy's sparse matrices look like from here."""

        nnz, shape = 3, (24, 5)

        def toarray(self) -> np.ndarray:
            return X

    for call in (run, lambda n, x: n.predict(x), lambda n, x: n.evaluate(x, Y)):
        with pytest.raises(DataError, match=r"x is a sparse matrix.*x\.toarray\(\)"):
            call(classifier(), Sparse())
    expected = trained(classifier(), X, Y).copy()
    np.testing.assert_array_equal(trained(classifier(), Dataset(X, Y), None), expected)


# ---- 42, 43: extremes ----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e200])
@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1), SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9, nesterov=True), Adam(), AdamW(),
     Adam(clip_norm=1.0), SGD(0.1, clip_norm=1.0), SGD(0.1, clip_value=0.5, weight_decay=0.01)],
    ids=repr,
)  # fmt: skip
def test_extreme_gradients_leave_finite_parameters(optimizer: Any, scale: float) -> None:
    net = regressor(optimizer=optimizer, dtype="float64")
    directions = RNG.choice([-1.0, 0.0, 1.0], size=net.parameters.vector.size)
    start = net.parameters.vector.copy()
    for _ in range(5):
        step = net.step(X, T)
        after(step, "forward", "loss", "backward")
        step.gradients.vector[...] = directions * scale
        step.update()
        assert finite(net)
    if scale == 0 and not optimizer.weight_decay:
        np.testing.assert_array_equal(net.parameters.vector, start)
    if optimizer.clip_norm and scale > 1 and isinstance(optimizer, SGD):
        moved = np.linalg.norm(net.parameters.vector - start)
        np.testing.assert_allclose(moved, 5 * 0.1, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_logits_have_finite_losses_and_exact_gradients(dtype: str, size: float) -> None:
    z = np.array([[size, -size, 0], [-size, size, 0], [size, size, -size]], dtype)
    y = np.array([0, 2, 1])
    loss = CrossEntropy()
    np.testing.assert_allclose(loss(y, z), (0 + size + np.log(2)) / 3, rtol=1e-6)
    expected = np.array([[0, 0, 0], [0, 1, -1], [0.5, -0.5, 0]]) / 3
    np.testing.assert_allclose(loss.gradient(y, z), expected, rtol=1e-6, atol=0)
    binary, t = BinaryCrossEntropy(), np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0]], float)
    np.testing.assert_allclose(binary(t, z), (size + np.log(2) + np.log(2) + size) / 9, rtol=1e-6)
    slope = np.array([[0, -1, 0.5], [0, 0, -0.5], [1, 0, 0]]) / 9
    np.testing.assert_allclose(binary.gradient(t, z), slope, rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy()])
def test_a_network_with_extreme_logits_trains_without_a_warning(loss: Any) -> None:
    net = Network([Dense(3, kernel_initializer=Normal(5000.0))], inputs=5, loss=loss,
                  optimizer=SGD(0.1))  # fmt: skip
    assert np.abs(net(X)).max() > 1e4
    y = Y if isinstance(loss, CrossEntropy) else np.eye(3)[Y]
    record = run(net, X, y, epochs=3, validation=0.25)
    assert np.isfinite(record["loss"]).all()
    assert np.isfinite(record["validation_loss"]).all()
    probabilities = net.predict(X)
    assert (probabilities >= 0).all()
    assert (probabilities <= 1).all()
    step = net.step(X, y)
    after(step, "forward", "loss", "backward", "update")
    assert np.isfinite(step.gradients.vector).all()


def test_validation_may_overflow_without_ending_the_run() -> None:
    net = regressor()
    record = run(net, X, T, validation=(X, T * 1e20), epochs=2)
    assert min(record["validation_loss"]) > 1e38  # what float32 cannot hold, a float64 sum may
    assert np.isfinite(record["loss"]).all()


# ---- 44: short sequences -------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 7])
def test_sequences_of_any_length_have_a_defined_end(length: int) -> None:
    x = Input((None, 3))
    net = Network(inputs=x, outputs=Dense(3)(ReLU()(Dense(4)(x))), loss=MSE(), optimizer=Adam())
    data = RNG.normal(size=(6, length, 3))
    assert net.predict(data).shape == (6, length, 3)
    start = net.parameters.vector.copy()
    record = run(net, data, data)
    assert np.isfinite(record["loss"]).all()
    assert finite(net)
    assert (length == 0) == np.array_equal(net.parameters.vector, start)
    labels = np.zeros((6, length), int)
    net.loss = CrossEntropy()
    assert np.isfinite(run(net, data, labels)["loss"]).all()
    assert net.predict(data[:0]).shape == (0, length, 3)


# ---- 46, 47, 48: what happens meanwhile ----------------------------------------------------------


@pytest.mark.parametrize("moment", ["made", "forward", "loss"])
def test_data_changed_after_a_step_was_made_has_no_effect(moment: str) -> None:
    for make, y in ((classifier, Y), (regressor, T)):
        one, other = make(), make()
        mine, target, weight = X.copy(), y.copy(), ONES.copy()
        step, twin = one.step(mine, target, weight), other.step(X, y, ONES)
        phases = ["made", "forward", "loss", "backward", "update"]
        for phase in phases:
            if phase != "made":
                np.testing.assert_array_equal(getattr(step, phase)(), getattr(twin, phase)())
            if phase == moment:
                mine[...], target[...], weight[...] = 77, 1, 0
        np.testing.assert_array_equal(one.parameters.vector, other.parameters.vector)


def test_what_a_step_gives_out_is_the_callers_own() -> None:
    net, twin = regressor(), regressor()
    step, other = net.step(X, T), twin.step(X, T)
    out, kept = step.forward(), other.forward().copy()
    values = step.values
    for array in values.values():
        array[...] = 5
    np.testing.assert_array_equal(out, kept)
    after(step, "loss", "backward", "update")
    after(other, "loss", "backward", "update")
    np.testing.assert_array_equal(net.parameters.vector, twin.parameters.vector)


def test_two_threads_on_two_networks_do_not_meet() -> None:
    def make(seed: int) -> Network:
        layers = [Standardize(), Dense(16), BatchNorm(), ReLU(), Dropout(0.4), Dense(3)]
        return Network(layers, loss=CrossEntropy(), optimizer=Adam(0.01), seed=seed)

    def work(net: Network) -> None:
        for _ in range(3):
            run(net, epochs=8, batch_size=3, validation=0.25, callbacks=[EarlyStopping()])
            net.predict(X)

    alone = [make(seed) for seed in range(4)]
    for net in alone:
        work(net)
    together = [make(seed) for seed in range(4)]
    threads = [threading.Thread(target=work, args=(net,)) for net in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert one.updates == other.updates > 0
        np.testing.assert_array_equal(one.parameters.vector, other.parameters.vector)
        np.testing.assert_array_equal(one.state.vector, other.state.vector)


def test_one_network_may_predict_in_many_threads() -> None:
    net = Network([Dense(16), BatchNorm(), Dropout(0.5), Dense(3)], inputs=5)
    pieces = [RNG.normal(size=(50, 5)) for _ in range(8)]
    expected, found = [net.predict(piece) for piece in pieces], [None] * 8

    def work(i: int) -> None:
        for _ in range(20):
            found[i] = net.predict(pieces[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


@dataclass(frozen=True, repr=False)
class Failing(Activation):
    """Runs out of memory in the call that is asked for."""

    at: ClassVar[dict[str, int]] = {}

    def count(self, what: str) -> None:
        if what in self.at:
            self.at[what] -= 1
            if self.at[what] == 0:
                raise MemoryError(what)

    def value(self, z: Any) -> Any:
        self.count("forward")
        return np.maximum(z, 0)

    def slope(self, z: Any, a: Any) -> Any:
        self.count("backward")
        return (z > 0).astype(z.dtype)


class FailingObserver(Observer):
    every = 1

    def on_step(self, event: StepEnd) -> None:
        Failing().count("step")

    def on_epoch(self, event: EpochEnd) -> None:
        Failing().count("epoch")


@pytest.mark.parametrize(
    ("where", "call"), [("forward", 6), ("backward", 5), ("step", 5), ("epoch", 2), ("forward", 4)]
)
def test_out_of_memory_in_the_middle_leaves_a_usable_network(where: str, call: int) -> None:
    def make() -> Network:
        layers = [Dense(8), Failing(), BatchNorm(), Dropout(0.2), Dense(3)]
        return Network(layers, inputs=5, loss=CrossEntropy(), optimizer=Adam(0.01), seed=2)

    Failing.at.clear()
    options: dict[str, Any] = {"epochs": 3, "validation": 0.25, "batch_size": 6}
    whole = make()
    record = run(whole, **options)
    net = make()
    Failing.at[where] = call
    with pytest.raises(MemoryError):
        run(net, callbacks=[FailingObserver()], **options)
    Failing.at.clear()
    assert net.updates > 0
    assert finite(net)
    assert np.isfinite(net.predict(X)).all()
    after(net.copy().step(X, Y), "forward", "loss", "backward", "update")
    again = run(net, resume=True, **options)  # and it can go on
    np.testing.assert_array_equal(net.parameters.vector, whole.parameters.vector)
    np.testing.assert_array_equal(net.state.vector, whole.state.vector)
    assert again["loss"] == record["loss"]
    assert again["validation_loss"] == record["validation_loss"]


def test_an_observer_that_stops_without_a_reason_still_stops() -> None:
    class Stop(Observer):
        every = 2

        def on_step(self, event: StepEnd) -> None:
            event.run.stop("")
            event.run.stop("again")

    net = classifier()
    assert run(net, callbacks=[Stop()], epochs=5).stopped == "stopped"
    assert net.updates == 2

    class AtOnce(Observer):
        def on_run_start(self, event: RunStart) -> None:
            event.run.stop("not today")

    assert run(net, callbacks=[AtOnce()]).stopped == "not today"
    assert net.updates == 2
    assert len(run(net, epochs=0)) == 0


def test_dead_and_constant_networks_do_not_divide_by_zero() -> None:
    dead = Network([Dense(4, kernel_initializer=Constant(-1.0)), LeakyReLU(), BatchNorm(),
                    Dense(3, kernel_initializer=Constant(0.0))], inputs=5, loss=CrossEntropy(),
                   optimizer=AdamW(0.1))  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(dead, np.zeros((24, 5)))
        trained(dead, np.abs(X))
