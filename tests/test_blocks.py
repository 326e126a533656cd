"""Blocks: residual connections on symbols and in lists, and the names of their nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import (
    MSE,
    SGD,
    Adam,
    BatchNorm,
    Conv1D,
    Conv2D,
    CrossEntropy,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Input,
    MaxPool2D,
    Network,
    ReLU,
    Residual,
    Tanh,
    residual,
    scope,
    shared,
)
from pellucid.description import Description
from pellucid.errors import GraphError, OptionError, ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 8, 8, 3))


def names(net: Network) -> list[str]:
    return [node.name for node in net.graph.nodes]


def test_a_residual_block_adds_its_input() -> None:
    net = Network([Residual([Dense(4), Tanh(), Dense(4)])], inputs=4, dtype="float64")
    x, p = RNG.normal(size=(5, 4)), net.parameters
    inner = np.tanh(x @ p["residual_1/dense_1/W"]) @ p["residual_1/dense_2/W"]
    np.testing.assert_allclose(net(x), x + inner, rtol=1e-12)
    for name in p:
        p[name][...] = 0
    np.testing.assert_array_equal(net(x), x)  # a block that computes nothing does no harm


def test_nodes_are_named_after_their_block() -> None:
    block = Residual([Conv2D(3, 3, padding="same"), ReLU()])
    net = Network([block, block, Flatten(), Dense(2)], (8, 8, 3), loss=MSE(), optimizer=SGD(0.1))
    assert names(net) == [
        "input",
        "residual_1/conv2d_1", "residual_1/relu_1", "residual_1/add_1",
        "residual_2/conv2d_1", "residual_2/relu_1", "residual_2/add_1",
        "flatten_1", "dense_1",
    ]  # fmt: skip
    assert list(net.parameters) == [
        "residual_1/conv2d_1/W", "residual_1/conv2d_1/b",
        "residual_2/conv2d_1/W", "residual_2/conv2d_1/b", "dense_1/W", "dense_1/b",
    ]  # fmt: skip
    assert "residual_2/conv2d_1" in net.summary()
    assert set(net.activations(IMAGES, "residual_1/relu_1")) == {"residual_1/relu_1"}
    assert "residual_1/conv2d_1" in net.explain_engine()


def test_blocks_within_blocks_and_names_of_ones_own() -> None:
    inner = Residual([Dense(4, name="first"), Dense(4)])
    net = Network([Dense(4), Residual([inner, inner, Dense(4)], name="stem"), Dense(1)], inputs=4)
    assert names(net) == [
        "input", "dense_1",
        "stem/residual_1/first", "stem/residual_1/dense_1", "stem/residual_1/add_1",
        "stem/residual_2/first", "stem/residual_2/dense_1", "stem/residual_2/add_1",
        "stem/dense_1", "stem/add_1", "dense_2",
    ]  # fmt: skip
    with pytest.raises(GraphError, match="'stem' names two blocks"):
        Network([Residual([Dense(4)], name="stem"), Residual([Dense(4)], name="stem")], inputs=4)
    with pytest.raises(GraphError, match="'r/a' names two nodes"):
        Network([Dense(4, name="r/a"), Residual([Dense(4, name="a")], name="r")], inputs=4)
    with pytest.raises(GraphError, match="without '/'"):
        Network([Residual([Dense(4)], name="a/b")], inputs=4)


def test_the_same_on_symbols_and_in_lists() -> None:
    layers = [Conv2D(3, 3, padding="same"), BatchNorm(), ReLU(), Conv2D(3, 3, padding="same")]
    listed = Network([Residual(layers), MaxPool2D(), GlobalAvgPool2D()], inputs=(8, 8, 3))
    x = Input((8, 8, 3))
    wired = Network(inputs=x, outputs=GlobalAvgPool2D()(MaxPool2D()(residual(x, layers))))
    called = Network(inputs=x, outputs=GlobalAvgPool2D()(MaxPool2D()(Residual(layers)(x))))
    assert names(listed) == names(wired) == names(called)
    np.testing.assert_array_equal(listed(IMAGES), wired(IMAGES))
    np.testing.assert_array_equal(listed(IMAGES), called(IMAGES))


def test_an_output_asked_for_by_name_has_that_name() -> None:
    x = Input(4)
    y = residual(x, [Dense(4)])
    net = Network(inputs={"x": x}, outputs={"y": y, "z": residual(y, [Dense(4)])})
    assert names(net) == ["x", "residual_1/dense_1", "y", "residual_2/dense_1", "z"]
    assert set(net(np.ones((2, 4)))) == {"y", "z"}


def test_a_block_of_ones_own_is_a_function() -> None:
    tower = shared(Dense(4), name="tower")

    def block(x: Any) -> Any:
        with scope("pair"):
            return tower(tower(x))

    x = Input(4)
    net = Network(inputs=x, outputs=block(block(x)))
    assert names(net) == [
        "input",
        "pair_1/tower",
        "pair_1/tower_2",
        "pair_2/tower",
        "pair_2/tower_2",
    ]
    assert list(net.parameters) == ["tower/W", "tower/b"]
    with pytest.raises(ShapeError), scope("left by an error"):
        Conv2D(2, 3)(x)
    assert Dense(4)(x).scope is None


# -------------------------------------------------------------------------------- shortcuts


@pytest.mark.parametrize(
    ("row", "layers", "found"),
    [
        (5, [Dense(3)], Dense(3, use_bias=False)),
        (4, [Dense(4)], Dense(4, use_bias=False)),
        ((9, 2), [Conv1D(4, 3, strides=2, padding="same")], Conv1D(4, 1, 2, use_bias=False)),
        ((8, 8, 3), [Conv2D(6, 3, 2, 1)], Conv2D(6, 1, (2, 2), use_bias=False)),
        ((7, 9, 3), [Conv2D(6, 3, (1, 3), 1)], Conv2D(6, 1, (1, 3), use_bias=False)),
        ((None, None, 3), [Conv2D(6, 3, 2, 1)], Conv2D(6, 1, (2, 2), use_bias=False)),
        ((None, 3), [Conv1D(6, 3, padding="causal")], Conv1D(6, 1, 1, use_bias=False)),
    ],
    ids=repr,
)
def test_a_projection_brings_the_input_to_the_layers_shape(
    row: Any, layers: Any, found: Any
) -> None:
    net = Network([Residual(layers, shortcut="project")], inputs=row)
    projection = net.graph.nodes[-2]
    assert projection.layer == found
    assert projection.name.startswith("residual_1/")
    lengths = [11 if n is None else n for n in (row if isinstance(row, tuple) else (row,))]
    y = net(np.ones((2, *lengths)))
    assert y.shape[-1] == net.graph.nodes[-1].spec.shape[-1]
    assert projection.spec.shape == net.graph.nodes[-1].spec.shape


def test_layers_of_ones_own_as_a_shortcut() -> None:
    way = [MaxPool2D(), Conv2D(5, 1)]
    net = Network([Residual([Conv2D(5, 3, 2, 1)], way)], inputs=(8, 8, 3))
    assert [type(n.layer).__name__ for n in net.graph.nodes] == [
        "NoneType", "Conv2D", "MaxPool2D", "Conv2D", "Add",
    ]  # fmt: skip
    one = Residual([Dense(3)], shortcut=Dense(3))
    assert Network([one], inputs=5)(np.ones((2, 5))).shape == (2, 3)


@pytest.mark.parametrize(
    ("row", "block", "said"),
    [
        (5, Residual([Dense(3)]), r"\(B, 5\) into \(B, 3\).*shortcut=\"project\""),
        ((8, 8, 3), Residual([Conv2D(3, 3)]), r"padding=\"same\" keeps its input's lengths"),
        ((None, 3), Residual([Conv1D(3, 3)]), r"into \(B, \?, 3\), and a sum needs equal shapes"),
        ((8, 8, 3), Residual([Conv2D(3, 3)], "project"), r"no 1×1 convolution turns .*shortcut=\["),
        ((8, 8, 3), Residual([Flatten(), Dense(3)], "project"), "no 1×1 convolution"),
        (5, Residual([Dense(3)], shortcut=Dense(4)), r"\(B, 3\) and \(B, 4\)"),
        (5, Residual([Conv2D(3, 3)]), r"needs images"),
    ],
    ids=repr,
)
def test_sums_that_do_not_fit_say_what_would(row: Any, block: Residual, said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        Network([block], inputs=row)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Residual([]), lambda: Residual(Dense(3)), lambda: Residual([Dense]),
        lambda: Residual([Dense(3)], "projekt"), lambda: Residual([Dense(3)], 3),
        lambda: Residual([Dense(3)], []), lambda: Residual([Dense(3)], activation=ReLU()),
    ],
)  # fmt: skip
def test_blocks_that_make_no_sense_are_refused(make: Any) -> None:
    with pytest.raises(OptionError, match="Residual"):
        make()


def test_what_a_block_cannot_do_is_said() -> None:
    block = Residual([Dense(3)])
    with pytest.raises(GraphError, match=r"Network\(\[\.\.\.\]\)\(x\)"):
        block(np.ones((2, 3)))
    with pytest.raises(GraphError, match="share the layers inside it"):
        shared(block, name="tower")(Input(3))
    with pytest.raises(ShapeError, match="takes 1 input"):
        block(Input(3), Input(3))
    with pytest.raises(GraphError, match="a network is made of layers"):
        residual(Input(3), [np.ones(3)])


# --------------------------------------------------------------------------------- whole life


def test_a_block_is_a_description_like_any_other() -> None:
    block = Residual([Conv2D(4, 3, 2, 1), ReLU()], shortcut=[Conv2D(4, 1, 2)], name="down")
    copy = Description.from_config(json.loads(json.dumps(block.to_config())))
    assert copy == block
    assert hash(copy) == hash(block)
    assert repr(Residual([Dense(3)], "project")) == "Residual((Dense(3),), shortcut='project')"
    assert block.output_spec(Input((8, 8, 3)).spec).shape == (4, 4, 4)


def test_a_frozen_block_is_not_trained() -> None:
    block = Residual([Dense(4), Residual([Dense(4)])], shortcut=Dense(4), trainable=False)
    net = Network([block, Dense(1)], inputs=4, loss=MSE(), optimizer=SGD(0.1))
    before = {name: array.copy() for name, array in net.parameters.items()}
    net.fit(RNG.normal(size=(16, 4)), RNG.normal(size=(16, 1)), epochs=1, progress=False)
    changed = [name for name in before if (before[name] != net.parameters[name]).any()]
    assert changed == ["dense_1/W", "dense_1/b"]


def test_gradients_files_and_training_with_blocks(tmp_path: Path) -> None:
    layers = [
        Conv2D(4, 3, padding="same"),
        Residual([BatchNorm(), ReLU(), Conv2D(4, 3, padding="same")]),
        Residual([Conv2D(6, 3, 2, 1), Tanh()], shortcut="project"),
        GlobalAvgPool2D(),
        Dense(3),
    ]
    net = Network(layers, inputs=(8, 8, 3), loss=CrossEntropy(), optimizer=Adam(0.01))
    x, y = RNG.normal(size=(24, 8, 8, 3)).astype(np.float32), np.arange(24) % 3
    net.gradcheck(x[:5], y[:5])
    before = net.evaluate(x, y)["loss"]
    net.fit(x, y, epochs=10, progress=False)
    assert net.evaluate(x, y)["loss"] < before
    net.save(tmp_path / "net.safetensors")
    twin = Network.load(tmp_path / "net.safetensors")
    assert names(twin) == names(net)
    np.testing.assert_array_equal(twin(x), net(x))
    assert "residual_2/conv2d_2" in str(net.trace(x[:2], y[:2]))
    other = net.clone(seed=3)
    assert names(other) == names(net)
