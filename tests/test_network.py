"""What a network is: building, naming, sharing, views, copies, and errors that name the remedy."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import (
    L2,
    MSE,
    Adam,
    Add,
    BatchNorm,
    BinaryCrossEntropy,
    Concatenate,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Exact,
    Flatten,
    Identity,
    Input,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Rescale,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
    mlp,
    shared,
)
from pellucid.errors import (
    DataError,
    EngineError,
    GraphError,
    NotBuiltError,
    OptionError,
    ShapeError,
    UnknownNameError,
)
from pellucid.layers.base import Views

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


def two_headed() -> Network:
    left, right = Input(5, name="left"), Input(3, name="right")
    body = ReLU()(Dense(8)(Concatenate()(left, right)))
    outputs = {"digit": Dense(4)(body), "size": Dense(1)(body)}
    loss = {"digit": CrossEntropy(), "size": 0.5 * MSE()}
    return Network(inputs=[left, right], outputs=outputs, loss=loss, optimizer=Adam())


# ---- building and naming -----------------------------------------------------------------------


def test_a_list_is_built_by_the_first_data() -> None:
    net = Network([Dense(3), ReLU(), Dense(2)])
    assert not net.built
    with pytest.raises(NotBuiltError, match=r"net\.build"):
        _ = net.parameters
    assert net(X).shape == (6, 2)
    assert [n.name for n in net.graph.nodes] == ["input", "dense_1", "relu_1", "dense_2"]
    assert list(net.parameters) == ["dense_1/W", "dense_1/b", "dense_2/W", "dense_2/b"]


def test_a_list_and_a_graph_are_the_same_network() -> None:
    x = Input(5)
    graph = Network(inputs=x, outputs=Dense(2)(ReLU()(Dense(3)(x))))
    chain = Network([Dense(3), ReLU(), Dense(2)], inputs=5)
    assert graph.graph == chain.graph
    assert np.array_equal(graph.parameters.vector, chain.parameters.vector)


def test_names() -> None:
    net = Network([Dense(4, name="hidden"), LeakyReLU(), Dense(4), BatchNorm(), Dense(1)], inputs=5)
    names = [n.name for n in net.graph.nodes]
    assert names == ["input", "hidden", "leaky_relu_1", "dense_1", "batch_norm_1", "dense_2"]
    images = Network([Conv2D(2, 3), MaxPool2D(2), Flatten(), Dense(1)], inputs=(8, 8, 1))
    assert [n.name for n in images.graph.nodes][1:3] == ["conv2d_1", "max_pool2d_1"]
    with pytest.raises(GraphError, match="names two nodes"):
        Network([Dense(4, name="a"), Dense(4, name="a")], inputs=4)


def test_an_own_name_never_collides_with_a_given_one() -> None:
    net = Network([Dense(4), Dense(4, name="dense_1")], inputs=4)
    assert [n.name for n in net.graph.nodes] == ["input", "dense_2", "dense_1"]


def test_repeating_a_layer_makes_independent_parameters() -> None:
    net = Network([Dense(5)] * 3, inputs=5)
    assert len(net.parameters) == 6
    assert not np.array_equal(net.parameters["dense_1/W"], net.parameters["dense_2/W"])


def test_shared_layers_have_one_set_of_parameters() -> None:
    tower = shared(Dense(4), name="tower")
    a, b = Input(3, name="a"), Input(3, name="b")
    net = Network(inputs=[a, b], outputs=Add()(tower(a), tower(b)))
    assert list(net.parameters) == ["tower/W", "tower/b"]
    x = np.ones((2, 3), np.float32)
    out = net({"a": x, "b": 2 * x})
    w, bias = net.parameters["tower/W"], net.parameters["tower/b"]
    assert np.allclose(out, 3 * x @ w + 2 * bias, atol=1e-6)


def test_shared_layers_must_see_equal_shapes() -> None:
    tower = shared(Dense(4), name="tower")
    a, b = Input(3), Input(5)
    with pytest.raises(GraphError, match=r"shares the parameters of 'tower'.*\(5, 4\)"):
        Network(inputs=[a, b], outputs=Add()(tower(a), tower(b)))


def test_shared_in_a_list() -> None:
    tower = shared(Dense(5), name="tower")
    net = Network([tower, ReLU(), tower], inputs=5, loss=MSE())
    assert net.parameters.vector.size == 30
    assert net.gradcheck(X, np.zeros((6, 5))).passed


@given(depth=st.integers(1, 40), fan=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_any_acyclic_graph_builds(depth: int, fan: int) -> None:
    x = Input(3)
    layers = [x]
    for i in range(depth):
        sources = [layers[(i * 7 + k) % len(layers)] for k in range(fan)]
        layers.append(Dense(3)(sources[0] if fan == 1 else Add()(*sources, layers[-1])))
    net = Network(inputs=x, outputs=layers[-1])
    assert net(np.ones((2, 3))).shape == (2, 3)
    again = Network.from_config(json.loads(json.dumps(net.to_config())))
    assert again.graph == net.graph


def test_deep_networks_need_no_recursion() -> None:
    net = Network([Identity()] * 3000, inputs=2)
    assert np.array_equal(net(np.ones((1, 2))), np.ones((1, 2)))


def test_initialisers_follow_the_activation_downstream() -> None:
    x = Input(6)
    net = Network(
        inputs=x,
        outputs=[
            ReLU()(BatchNorm()(Dense(4, name="he")(x))),
            Tanh()(Dense(4, name="glorot")(x)),
            Dense(4, name="plain")(x),
            Dense(4, name="linear")(ReLU()(Dense(4, name="before")(Dropout(0.5)(x)))),
        ],
    )
    specs = net.graph.parameter_specs()
    kinds = {k: type(s.initializer).__name__ for k, s in specs.items() if k.endswith("/W")}
    assert kinds == {
        "he/W": "HeNormal", "glorot/W": "GlorotUniform", "plain/W": "GlorotUniform",
        "linear/W": "GlorotUniform", "before/W": "HeNormal",
    }  # fmt: skip
    assert "HeNormal" in net.summary()


def test_order_does_not_follow_the_hash_seed() -> None:
    code = (
        "from pellucid import *; x = Input(3); h = [Dense(3)(x) for _ in range(6)]; "
        "net = Network(inputs=x, outputs=Add()(*h)); "
        "print(*net.parameters, *(n.name for n in net.graph.nodes), net.parameters.vector.sum())"
    )
    orders = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={**os.environ, "PYTHONHASHSEED": str(seed)}).stdout
        for seed in (1, 2)
    }  # fmt: skip
    assert len(orders) == 1


# ---- flat vectors, views, exact weights ---------------------------------------------------------


@pytest.mark.parametrize("make", [lambda n: n, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n)),
                                  lambda n: n.astype("float64"), lambda n: n.clone()])  # fmt: skip
def test_parameters_are_views_into_one_vector(make: object) -> None:
    net = make(Network([Dense(3), BatchNorm(), Dense(2)], inputs=5, optimizer=Adam()))  # type: ignore[operator]
    for flat in (net.parameters, net.state, net.program.gradients):
        assert flat.vector.flags.c_contiguous
        for view in flat.values():
            assert np.shares_memory(view, flat.vector)
        assert sum(v.size for v in flat.values()) == flat.vector.size
    net.parameters["dense_1/b"][1] = 7
    assert 7 in net.parameters.vector
    assert net(X)[0].shape == (2,)


def test_the_vector_is_never_replaced() -> None:
    net = Network([Dense(3), BatchNorm(), Dense(1)], inputs=5, loss=MSE(), optimizer=Adam())
    address = net.parameters.vector.ctypes.data
    net.fit(X, X[:, :1], epochs=2, progress=False)
    net.reset()
    net.parameters["dense_1/W"] = np.ones((5, 3))
    assert net.parameters.vector.ctypes.data == address


def test_exact_weights() -> None:
    weights = [[1.14858562, -0.43257711, -0.37347383], [-0.75870339, 0.6119356, -1.62743362]]
    net = Network([Dense(3, kernel_initializer=Exact(weights))], inputs=2, dtype="float64")
    assert np.array_equal(net.parameters["dense_1/W"], weights)
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 2\)"):
        net.parameters["dense_1/W"] = np.ones((3, 2))
    with pytest.raises(UnknownNameError, match="dense_1/W"):
        net.parameters["dense_1/w"]
    assert np.array_equal(net.parameters["dense_1/W"], weights)


def test_gradient_views_refuse_to_be_rebound() -> None:
    views = Views({"W": np.zeros(2)})
    views.W += 1
    with pytest.raises(GraphError, match="cannot be replaced"):
        views.W = np.ones(2)
    with pytest.raises(GraphError):
        views.new = np.ones(2)
    assert views.W.tolist() == [1, 1]


def test_z_and_a_of_any_layer() -> None:
    net = Network([Dense(3), ReLU(), Dense(2)], inputs=5)
    seen = net.activations(X)
    assert list(seen) == ["input", "dense_1", "relu_1", "dense_2"]
    z = X @ net.parameters["dense_1/W"] + net.parameters["dense_1/b"]
    assert np.array_equal(seen["dense_1"], z)
    assert np.array_equal(seen["relu_1"], np.maximum(z, 0))
    assert np.array_equal(seen["dense_2"], net(X))
    assert list(net.activations(X, "relu_1")) == ["relu_1"]
    with pytest.raises(UnknownNameError, match="relu_1"):
        net.activations(X, "relu1")


# ---- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_go_on_as_the_original_would(twin: object) -> None:
    net = Network([Dense(3), Dropout(0.3), BatchNorm(), Dense(1)], loss=MSE(), optimizer=Adam())
    net.fit(X, X[:, :1], epochs=2, batch_size=3, progress=False)
    other = twin(net)  # type: ignore[operator]
    for n in (net, other):
        n.fit(X, X[:, :1], epochs=2, batch_size=3, progress=False)
    assert np.array_equal(net.parameters.vector, other.parameters.vector)
    assert np.array_equal(net.state.vector, other.state.vector)
    assert net.updates == other.updates == 8


def test_clone_and_reset_start_over() -> None:
    net = Network(
        [Dense(3), BatchNorm(), Dense(1)], inputs=5, loss=MSE(), optimizer=Adam(), penalty=L2(0.1)
    )
    start = net.parameters.vector.copy()
    net.fit(X, X[:, :1], epochs=2, progress=False)
    assert not np.array_equal(net.parameters.vector, start)
    fresh = net.clone()
    assert np.array_equal(fresh.parameters.vector, start)
    assert fresh.penalty == L2(0.1)
    assert fresh.updates == 0
    assert not np.array_equal(net.clone(seed=1).parameters.vector, start)
    net.reset()
    assert np.array_equal(net.parameters.vector, start)
    assert net.training is None
    assert not any(v.any() for v in net.slots.values())


def test_float64_twin_has_the_same_weights() -> None:
    net = Network([Dense(3), Dense(1)], inputs=5)
    twin = net.astype("float64")
    assert twin.dtype == np.float64
    assert np.array_equal(twin.parameters.vector.astype(np.float32), net.parameters.vector)
    assert np.allclose(
        net.clone(dtype="float64").parameters.vector, net.parameters.vector, atol=1e-7
    )
    assert twin(X).dtype == np.float64
    assert net(X.astype(np.float64)).dtype == np.float32


def test_seeds() -> None:
    def weights(seed: object) -> np.ndarray:
        return mlp([5, 4, 3], seed=seed).parameters.vector

    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))
    assert np.array_equal(weights(np.random.default_rng(1)), weights(np.random.default_rng(1)))
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - to see that nobody touched it
    mlp([5, 4, 3]).fit(X, X[:, :3], loss=MSE(), optimizer=Adam(), progress=False, epochs=1)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    for bad in (-1, 1.5, "0", True):
        with pytest.raises(OptionError, match="seed"):
            mlp([5, 4, 3], seed=bad)


# ---- several inputs, outputs, losses -------------------------------------------------------------


def test_several_inputs_and_outputs_are_dicts_by_name() -> None:
    net = two_headed()
    x = {"left": X, "right": X[:, :3]}
    y = {"digit": np.arange(6) % 4, "size": X[:, :1]}
    net.fit(x, y, epochs=3, progress=False)
    outputs = net(x)
    assert {k: v.shape for k, v in outputs.items()} == {"digit": (6, 4), "size": (6, 1)}
    scores = net.evaluate(x, y)
    assert scores["loss"] == pytest.approx(scores["digit/loss"] + scores["size/loss"])
    assert "digit/accuracy" in scores
    assert np.allclose(net.predict(x)["digit"].sum(axis=1), 1, atol=1e-6)
    with pytest.raises(DataError, match="right"):
        net({"left": X})
    with pytest.raises(DataError, match="Did you mean 'right'"):
        net({"left": X, "rihgt": X[:, :3]})
    with pytest.raises(DataError, match="different numbers of rows"):
        net({"left": X, "right": X[:2, :3]})


def test_integer_inputs_feed_an_embedding() -> None:
    net = Network([Embedding(10, 4), Flatten(), Dense(1)], loss=MSE(), optimizer=Adam())
    words = np.array([[1, 2, 3], [4, 5, 9]], np.int16)
    net.fit(words, [[0.0], [1.0]], epochs=1, progress=False)
    assert net.predict(words).shape == (2, 1)
    with pytest.raises(DataError, match="whole numbers"):
        net(words.astype(float))
    with pytest.raises(ShapeError, match="dtype='int'"):
        Embedding(10, 4)(Input(3))


def test_integer_images_become_floats() -> None:
    images = np.full((2, 4, 4), 255, np.uint8)
    net = Network([Rescale(1 / 255), Flatten(), Dense(1)])
    assert net(images).dtype == np.float32
    assert np.allclose(net.activations(images, "rescale_1")["rescale_1"], 1)


# ---- errors that help ----------------------------------------------------------------------------


def test_a_shape_error_shows_the_path() -> None:
    with pytest.raises(ShapeError) as caught:
        Network([Flatten(), Dense(8), Conv2D(4, 3)], inputs=(28, 28))
    text = str(caught.value)
    for part in ("Dense(8)", "(B, 8)", "Conv2D(4, 3)", "does not fit here", "(B, 784)"):
        assert part in text


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Network([Dense]), GraphError, "Dense()"),
        (lambda: Network([]), GraphError, "at least one"),
        (Network, GraphError, "list of layers"),
        (lambda: Network([Dense(3), "relu"]), GraphError, "relu"),
        (lambda: Network([Dense(3)], dtype="float16"), OptionError, "float64"),
        (lambda: Network([Dense(3)], engine="nunpy"), EngineError, "Did you mean 'numpy'"),
        (lambda: Network([Dense(3)], penalty=0.1), OptionError, "L2"),
        (lambda: Dense(unit=3), OptionError, "Did you mean 'units'"),
        (Dense, OptionError, "units"),
        (lambda: Dense(0), OptionError, "at least 1"),
        (lambda: Dense(2.5), OptionError, "whole number"),
        (lambda: Input(0), ShapeError, "1 or more"),
        (lambda: Network([Dense(2), Softmax()], inputs=3, loss=CrossEntropy()), GraphError,
         "remove softmax_1"),
        (lambda: Network([Dense(2), Sigmoid(), Flatten()], inputs=3, loss=BinaryCrossEntropy()),
         GraphError, "remove sigmoid_1"),
        (lambda: Network([Dense(2)], inputs=3, loss="mean"), OptionError, "mse"),
        (lambda: Network([Add()], inputs=3), ShapeError, "two or more"),
        (lambda: Network(inputs=Input(3), outputs=Dense(1)(Input(3))), GraphError, "not among the inputs"),
        (lambda: Dense(3)(X), GraphError, "Network"),
        (lambda: Network([Reshape((2, 2))], inputs=5), ShapeError, "5"),
        (lambda: Network([Dense(10**12)], inputs=5), MemoryError, "dense_1/W with shape (5, 1"),
    ],
)  # fmt: skip
def test_mistakes_name_their_remedy(make: object, error: type, words: str) -> None:
    with pytest.raises(error) as caught:
        make()  # type: ignore[operator]
    assert words in str(caught.value)


def test_squashed_outputs_can_be_allowed() -> None:
    with pytest.warns(UserWarning, match="remove softmax_1"):
        Network([Dense(2), Softmax()], inputs=3, loss=CrossEntropy(allow_squashed=True))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[0], "add the batch axis"),
        (X[:, :4], "(B, 5)"),
        (X.reshape(6, 5, 1), "reshape"),
        (X + 1j, "real and imaginary"),
        (X.astype(object), "numeric"),
        (np.array([["a"] * 5]), "encode"),
        ([[1, 2], [3]], "not an array"),
    ],
)
def test_wrong_inputs_are_refused_by_name(x: object, words: str) -> None:
    net = Network([Dense(1)], inputs=5)
    with pytest.raises((ShapeError, DataError), match=None) as caught:
        net(x)
    assert words in str(caught.value)


def test_penalties_are_apart_from_the_loss() -> None:
    net = Network([Dense(2)], inputs=5, loss=MSE(), optimizer=Adam(), penalty=L2(0.5))
    weights = net.parameters["dense_1/W"]
    before = net.evaluate(X, np.zeros((6, 2)))["loss"]
    assert before == pytest.approx(float((net(X) ** 2).mean()), rel=1e-5)
    step = net.step(X, np.zeros((6, 2)))
    step.forward(), step.loss(), step.backward()
    plain = step.gradients["dense_1/W"].copy()
    expected = plain + 0.5 * weights
    step.update()
    assert np.allclose(step.gradients["dense_1/W"], expected, atol=1e-6)
    record = net.fit(X, np.zeros((6, 2)), epochs=1, progress=False)
    assert record[-1]["penalty"] == pytest.approx(0.25 * float((weights**2).sum()), rel=1e-5)


def test_summary_counts_and_flags() -> None:
    net = Network([Dense(3, trainable=False), ReLU(), Dense(1)], inputs=5)
    text = net.summary()
    assert "22 parameters" in text
    assert "4 trainable" in text
    assert "not trainable" in text
    net.parameters["dense_1/W"][0, 0] = np.nan
    assert "NaN or infinity in: dense_1/W" in net.summary()


def test_a_trainable_flag_concerns_the_optimizer_alone() -> None:
    net = Network(
        [Dense(3, trainable=False), ReLU(), Dense(1)], inputs=5, loss=MSE(), optimizer=Adam()
    )
    frozen = net.parameters["dense_1/W"].copy()
    step = net.step(X, X[:, :1])
    step.forward(), step.loss(), step.backward()
    assert step.gradients["dense_1/W"].any()
    step.update()
    net.fit(X, X[:, :1], epochs=3, progress=False)
    assert np.array_equal(net.parameters["dense_1/W"], frozen)
    assert net.parameters["dense_2/b"].any()
