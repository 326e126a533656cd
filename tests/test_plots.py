"""Drawings hold the numbers they claim to, change nothing, and need Matplotlib only when drawn."""

from __future__ import annotations

import builtins
import doctest
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from pellucid import (
    GELU,
    MSE,
    SGD,
    Adam,
    BinaryCrossEntropy,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Input,
    Network,
    ReLU,
    Rescale,
    Sigmoid,
    Softmax,
    Tanh,
    find_learning_rate,
    mlp,
)
from pellucid.data import Dataset, digits_8x8
from pellucid.errors import (
    DataError,
    MissingExtraError,
    OptionError,
    PellucidError,
    ShapeError,
    UnknownNameError,
)
from pellucid.insight import plots
from pellucid.training import Record

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")
RNG = np.random.default_rng(2)
POINTS = RNG.uniform(-2, 2, size=(120, 2))
QUADRANT = (POINTS[:, 0] > 0) * 1 + (POINTS[:, 1] > 0)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    settings = dict(plt.matplotlib.rcParams)
    yield
    assert dict(plt.matplotlib.rcParams) == settings  # no drawing changes a setting
    plt.close("all")


def trained(x: Any, y: Any, *layers: Any, loss: Any = None, epochs: int = 20) -> Network:
    net = Network(list(layers), loss=loss or CrossEntropy(), optimizer=Adam(0.02))
    net.fit(x, y, epochs=epochs, progress=False)
    return net


@pytest.fixture(scope="module")
def plane() -> Network:
    return trained(POINTS, QUADRANT, Dense(8), ReLU(), Dense(3))


@pytest.fixture(scope="module")
def images() -> tuple[Network, Dataset]:
    data = digits_8x8()[:300]
    return trained(
        data.x, data.y, Rescale(1 / 16), Flatten(), Dense(12), ReLU(), Dense(10), epochs=4
    ), data


def drawn(ax: Any) -> Any:
    """The picture as it would be saved: drawing must work too, not only placing."""
    ax.figure.canvas.draw()
    return ax


# ---- all of them ---------------------------------------------------------------------------------


def every_drawing(plane: Network, images: tuple[Network, Dataset]) -> dict[str, Callable[..., Any]]:
    net, data = images
    x, y = data.x[:40], data.y[:40]
    return {
        "learning_curves": lambda ax: plots.learning_curves(RECORD, ax),
        "decision_surface": lambda ax: plots.decision_surface(plane, POINTS, QUADRANT, ax, steps=10),
        "confusion_matrix": lambda ax: plots.confusion_matrix([0, 1], [1, 1], ax),
        "activations": lambda ax: plots.activations(ReLU(), ax=ax),
        "gradient_flow": lambda ax: plots.gradient_flow(net, x, y, ax),
        "diagram": lambda ax: plots.diagram(plane, ax),
        "rate_search": lambda ax: plots.rate_search(find_learning_rate(plane, POINTS, QUADRANT, steps=10), ax),
        "unit_maps": lambda ax: plots.unit_maps(plane, POINTS, "dense_2", ax, steps=10),
        "weights": lambda ax: plots.weights(net, None, ax, most=3),
        "activation_histograms": lambda ax: plots.activation_histograms(net, x, ax, nodes=["relu_1", "dense_1", "dense_2"]),
        "predictions": lambda ax: plots.predictions(net, x, y, ax, most=3),
        "mistakes": lambda ax: plots.mistakes(net, data, None, ax, most=3),
    }  # fmt: skip


SINGLE = ("learning_curves", "decision_surface", "confusion_matrix", "activations", "gradient_flow",
          "diagram", "rate_search")  # fmt: skip
GRIDS = ("unit_maps", "weights", "activation_histograms", "predictions", "mistakes")
RECORD = Record([{"epoch": i + 1, "loss": 1 / (i + 1), "accuracy": i / 4} for i in range(4)])


def test_the_lists_are_complete(plane: Network, images: tuple[Network, Dataset]) -> None:
    assert (
        sorted(every_drawing(plane, images)) == sorted((*SINGLE, *GRIDS)) == sorted(plots.__all__)
    )


@pytest.mark.parametrize("name", SINGLE)
def test_axes_are_taken_and_given_back(
    name: str, plane: Network, images: tuple[Network, Dataset]
) -> None:
    draw = every_drawing(plane, images)[name]
    new = drawn(draw(None))
    assert plt.get_fignums() == [new.figure.number]  # a notebook shows it
    _, other = plt.subplots()
    own = plt.matplotlib.figure.Figure().add_subplot()
    assert drawn(draw(own)) is own
    assert plt.gca() is other  # pyplot knows nothing of it
    assert len(plt.get_fignums()) == 2
    if name != "diagram":
        assert own.get_xlabel()
        assert own.get_ylabel() or name == "gradient_flow"  # whose rows have names


@pytest.mark.parametrize("name", GRIDS)
def test_grids_of_axes(name: str, plane: Network, images: tuple[Network, Dataset]) -> None:
    draw = every_drawing(plane, images)[name]
    new = draw(None)
    assert isinstance(new, np.ndarray)
    assert len(new) == 3
    drawn(new[0])
    assert len(plt.get_fignums()) == 1
    own = plt.matplotlib.figure.Figure().subplots(2, 2)
    given = draw(own)
    assert [a is b for a, b in zip(given, own.ravel(), strict=False)] == [True] * 3
    assert not own[1, 1].axison  # the one too many is empty
    assert len(plt.get_fignums()) == 1
    with pytest.raises(OptionError, match="3 pictures need as many Axes, not 1"):
        draw(own[0, 0])


@pytest.mark.parametrize("name", [*SINGLE, *GRIDS])
def test_the_network_keeps_every_bit(
    name: str, plane: Network, images: tuple[Network, Dataset]
) -> None:
    kept = []
    for net in (plane, images[0]):
        slots = {k: v.copy() for k, v in net.slots.items()}
        kept.append(
            (net, net.parameters.vector.copy(), net.state.vector.copy(), slots, net.updates)
        )
    every_drawing(plane, images)[name](None)
    for net, parameters, state, slots, updates in kept:
        assert net.parameters.vector.tobytes() == parameters.tobytes()
        assert net.state.vector.tobytes() == state.tobytes()
        assert all(np.array_equal(net.slots[k], v) for k, v in slots.items())
        assert net.updates == updates


@pytest.mark.parametrize("name", [*SINGLE, *GRIDS])
def test_without_matplotlib_it_says_what_to_install(
    name: str, plane: Network, images: tuple[Network, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(module: str, *args: Any, **options: Any) -> Any:
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *args, **options)

    draw = every_drawing(plane, images)[name]
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r'pip install "pellucid\[plot\]"'):
        draw(None)


def test_matplotlib_is_imported_only_when_something_is_drawn() -> None:
    code = (
        "import sys, pellucid.insight.plots, pellucid.insight.html\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from pellucid import ReLU\n"
        "pellucid.insight.plots.activations(ReLU())\n"
        "assert 'matplotlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"MPLBACKEND": "Agg"})


# ---- curves --------------------------------------------------------------------------------------


def test_learning_curves_are_the_record() -> None:
    net = mlp([2, 4, 3], loss=CrossEntropy(), optimizer=Adam(0.01))
    record = net.fit(POINTS, QUADRANT, epochs=6, validation=0.25, progress=False)
    ax = drawn(plots.learning_curves(record))
    left = {line.get_label(): line for line in ax.get_lines()}
    right = {line.get_label(): line for line in ax.figure.axes[1].get_lines()}
    for line, column in [
        (left["loss"], "loss"), (left["loss, validation"], "validation_loss"),
        (right["accuracy"], "accuracy"), (right["accuracy, validation"], "validation_accuracy"),
    ]:  # fmt: skip
        assert line.get_xdata().tolist() == record["epoch"]
        assert line.get_ydata().tolist() == record[column]
        assert line.get_linestyle() == ("--" if "validation" in column else "-")
    best = int(np.argmin(record["validation_loss"])) + 1
    assert left[f"best epoch, {best}"].get_xdata()[0] == best
    assert left["loss"].get_color() == left["loss, validation"].get_color()
    assert left["loss"].get_color() != right["accuracy"].get_color()
    assert ax.get_ylabel() == "loss"
    assert ax.figure.axes[1].get_ylabel() == "accuracy"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "loss",
        "loss, validation",
        f"best epoch, {best}",
        "accuracy",
        "accuracy, validation",
    ]
    assert len(ax.figure.axes) == 2  # the learning rate did not change


def test_a_learning_rate_that_changes_has_a_panel() -> None:
    rows = [{"epoch": i + 1, "loss": 10.0**-i, "learning_rate": 0.1 / (i + 1)} for i in range(5)]
    ax = drawn(plots.learning_curves(Record(rows)))
    (below,) = ax.figure.axes[1:]
    assert below.get_lines()[0].get_ydata().tolist() == [row["learning_rate"] for row in rows]
    assert ax.get_yscale() == "log"  # over so many decades
    own = plt.matplotlib.figure.Figure().add_subplot()
    assert plots.learning_curves(Record(rows), own) is own
    assert len(own.figure.axes) == 1


def test_records_of_one_epoch_of_none_and_with_holes() -> None:
    ax = plots.learning_curves(Record([{"epoch": 1, "loss": 0.5}]))
    assert ax.get_lines()[0].get_marker() == "o"
    assert ax.get_yscale() == "linear"
    with pytest.raises(DataError, match="no epoch was completed"):
        plots.learning_curves(Record())
    rows = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": float("nan"), "validation_loss": 2.0}]
    ax = drawn(plots.learning_curves(Record(rows)))
    assert np.isnan(ax.get_lines()[1].get_ydata()).tolist() == [True, False]
    several = {"epoch": 1, "loss": 3.0, "a/loss": 1.0, "b/loss": 2.0, "penalty": 0.1, "a/f1": 0.5}
    ax = drawn(plots.learning_curves(Record([several, several])))
    names = [line.get_label() for line in ax.get_lines()]
    assert names == ["loss", "a/loss", "b/loss", "penalty"]
    assert ax.figure.axes[1].get_lines()[0].get_label() == "a/f1"


def test_activations_and_their_derivatives() -> None:
    layers = (Tanh(), Sigmoid(), GELU())
    lines = drawn(plots.activations(*layers, low=-2, high=3)).get_lines()
    curves = [line for line in lines if len(line.get_xdata()) > 2]
    assert len(curves) == 6
    for k, layer in enumerate(layers):
        value, slope = curves[2 * k : 2 * k + 2]
        z = value.get_xdata()
        assert (z[0], z[-1]) == (-2, 3)
        np.testing.assert_array_equal(value.get_ydata(), layer(z))
        central = (layer(z + 1e-6) - layer(z - 1e-6)) / 2e-6
        np.testing.assert_allclose(slope.get_ydata(), central, atol=1e-8)
        assert (value.get_linestyle(), slope.get_linestyle()) == ("-", "--")
        assert value.get_color() == slope.get_color()
    for wrong in (Softmax(), Dense(3), ReLU):
        with pytest.raises(OptionError, match="no elementwise activation"):
            plots.activations(wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="which activations"):
        plots.activations()


# ---- the plane -----------------------------------------------------------------------------------


def places(image: Any) -> Any:
    """The middle of each pixel, row by row from below, (N·N, 2)."""
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape[:2]
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return np.stack([a.ravel() for a in np.meshgrid(x, y)], axis=1)


def test_a_decision_surface_shows_what_predict_says(plane: Network) -> None:
    ax = drawn(
        plots.decision_surface(
            plane, Dataset(POINTS, QUADRANT, names=("no", "one", "two")), steps=60
        )
    )
    (image,) = ax.get_images()
    assert image.origin == "lower"
    probabilities = plane.predict(places(image))
    np.testing.assert_array_equal(np.ravel(image.get_array()), probabilities.argmax(axis=1))
    sure = probabilities.max(axis=1)
    np.testing.assert_allclose(
        np.ravel(image.get_alpha()), 0.15 + 0.4 * (sure - 1 / 3) * 1.5, atol=1e-4
    )
    groups = [c for c in ax.collections if c.get_label() in ("no", "one", "two")]
    for k, group in enumerate(groups):
        np.testing.assert_array_equal(group.get_offsets(), POINTS[k == QUADRANT])
        np.testing.assert_allclose(group.get_facecolor()[0], image.cmap(image.norm(k)), atol=0.01)
    low, high = POINTS.min(axis=0), POINTS.max(axis=0)
    left, right, bottom, top = image.get_extent()
    assert left < low[0] < high[0] < right
    assert bottom < low[1] < high[1] < top
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["no", "one", "two"]
    lines = np.concatenate(
        [p.vertices for c in ax.collections if not c.get_offsets().any() for p in c.get_paths()]
    )
    two = np.sort(plane.predict(lines), axis=1)
    assert np.quantile(two[:, -1] - two[:, -2], 0.9) < 0.1  # on the lines, two are as likely


def test_a_surface_of_one_output() -> None:
    inside = (np.hypot(*POINTS.T) < 1.3)[:, None]
    net = trained(POINTS, inside, Dense(8), Tanh(), Dense(1), loss=BinaryCrossEntropy())
    (image,) = drawn(plots.decision_surface(net, POINTS, inside, steps=40)).get_images()
    np.testing.assert_allclose(
        np.ravel(image.get_array()), net.predict(places(image))[:, 0], atol=1e-6
    )
    assert (image.norm.vmin, image.norm.vmax) == (0, 1)
    y = POINTS[:, :1] * 3
    net = trained(POINTS, y, Dense(1), loss=MSE())
    ax = drawn(plots.decision_surface(net, POINTS, y, steps=40))
    (image,) = ax.get_images()
    values = net.predict(places(image))[:, 0]
    np.testing.assert_allclose(np.ravel(image.get_array()), values, atol=1e-5)
    assert image.norm.vmax == -image.norm.vmin == pytest.approx(np.abs(values).max())
    assert np.array_equal(ax.collections[0].get_array(), y[:, 0])  # the points in their own colours
    positive = trained(POINTS, y + 20, Dense(1), loss=MSE())
    positive.parameters["dense_1/b"] = [30]
    (image,) = plots.decision_surface(positive, POINTS, y + 20, steps=20).get_images()
    assert image.norm.vmin > 0


def test_what_has_no_plane_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"one input of shape \(B, 2\) is needed, not \(B, 3\)"):
        plots.decision_surface(mlp([3, 2], loss=CrossEntropy()), np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="no rows"):
        plots.decision_surface(mlp([2, 2], loss=CrossEntropy()), np.zeros((0, 2)))
    with pytest.raises(OptionError, match="2 steps or more"):
        plots.decision_surface(mlp([2, 2], loss=CrossEntropy()), POINTS, steps=1)
    x = Input(2)
    net = Network(
        inputs=x, outputs={"a": Dense(2)(x), "b": Dense(1)(x)}, loss=[CrossEntropy(), MSE()]
    )
    with pytest.raises(
        OptionError, match=r"which output is to be drawn\? output=: one of \['a', 'b'\]"
    ):
        plots.decision_surface(net, POINTS)
    (image,) = plots.decision_surface(net, POINTS, output="a", steps=10).get_images()
    np.testing.assert_array_equal(
        np.ravel(image.get_array()), net.predict(places(image))["a"].argmax(axis=1)
    )


def test_unit_maps_show_each_unit(plane: Network) -> None:
    axes = plots.unit_maps(plane, POINTS, "relu_1", steps=30)
    assert len(axes) == 8
    drawn(axes[0])
    whole = plane.activations(places(axes[0].get_images()[0]), "relu_1")["relu_1"]
    for k, ax in enumerate(axes):
        (image,) = ax.get_images()
        np.testing.assert_allclose(np.ravel(image.get_array()), whole[:, k], atol=1e-5)
        assert image.norm.vmax == -image.norm.vmin == pytest.approx(whole.max(), rel=1e-5)
        assert ax.get_title() == f"relu_1[{k}]"
    few = plots.unit_maps(plane, POINTS, "dense_1", most=3, steps=10)
    assert [ax.get_title() for ax in few] == ["dense_1[0]", "dense_1[1]", "dense_1[2] (+5)"]
    with pytest.raises(UnknownNameError, match="Did you mean"):
        plots.unit_maps(plane, POINTS, "dense_9")


# ---- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [False, True])
def test_the_confusion_matrix_has_scikit_learns_numbers(shares: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    true, said = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    names = ["a", "b", "c", "rather long"]
    ax = drawn(plots.confusion_matrix(true, said, names=names, shares=shares))
    expected = metrics.confusion_matrix(true, said)
    parts = metrics.confusion_matrix(true, said, normalize="true")
    (image,) = ax.get_images()
    np.testing.assert_allclose(image.get_array(), parts)
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    for (i, j), count in np.ndenumerate(expected):
        assert texts[j, i] == (f"{100 * parts[i, j]:.0f}" if shares else str(count))
    assert [t.get_text() for t in ax.get_xticklabels()] == names
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ax.get_title().startswith(f"{np.trace(expected)} of 200 right")


def test_confusion_of_probabilities_and_classes_that_never_occur() -> None:
    p = np.eye(3)[[0, 2, 2]]
    ax = drawn(plots.confusion_matrix(np.eye(3)[[0, 0, 2]], p, shares=True))
    assert [t.get_text() for t in ax.texts] == ["50", "0", "50", "", "", "", "0", "0", "100"]
    many = plots.confusion_matrix(np.arange(32), np.arange(32))
    assert len(many.texts) == 1024
    assert many.texts[0].get_fontsize() < 6
    with pytest.raises(PellucidError, match="no rows"):
        plots.confusion_matrix([], [])
    dark = [
        t for t in plots.confusion_matrix([0, 0, 1], [0, 0, 0]).texts if t.get_color() == "white"
    ]
    assert [t.get_text() for t in dark] == ["2", "1"]  # white only on the dark squares


def test_predictions_say_what_predict_says(images: tuple[Network, Dataset]) -> None:
    net, data = images
    axes = plots.predictions(net, data, most=30)
    drawn(axes[0])
    p = net.predict(data.x[:30])
    names = data.names or [str(k) for k in range(10)]
    for ax, image, y, row in zip(axes, data.x, data.y, p, strict=False):
        np.testing.assert_array_equal(ax.get_images()[0].get_array(), image)
        said = row.argmax()
        sure = f"{names[said]} {100 * row[said]:.0f} %"
        assert ax.get_title() == (sure if said == y else f"✗ {names[y]} → {sure}")
        assert (ax.title.get_color() == "black") == (said == y)
    assert len(plots.predictions(net, data.x[:3])) == 3


def test_mistakes_are_the_worst_first(images: tuple[Network, Dataset]) -> None:
    net, data = images
    p = net.predict(data.x)
    wrong = np.flatnonzero(p.argmax(axis=1) != data.y)
    assert len(wrong) > 3
    order = wrong[np.argsort(p[wrong, data.y[wrong]])][:6]
    for y in (data.y, np.eye(10)[data.y]):
        axes = plots.mistakes(net, data.x, y, most=6)
        for ax, i in zip(axes, order, strict=False):
            np.testing.assert_array_equal(ax.get_images()[0].get_array(), data.x[i])
            assert ax.get_title().startswith(f"✗ {data.y[i]} → {p[i].argmax()} ")
    with pytest.raises(DataError, match=r"mistakes\(net, x, y\)"):
        plots.mistakes(net, data.x)
    with pytest.raises(DataError, match="no mistakes among these"):
        plots.mistakes(net, data.x, p.argmax(axis=1))


def test_rows_become_images_of_a_shape_or_are_refused() -> None:
    net = mlp([12, 2], loss=CrossEntropy())
    x = RNG.normal(size=(3, 12)).astype(np.float32)
    (first, *_) = plots.predictions(net, x, shape=(3, 4))
    np.testing.assert_array_equal(first.get_images()[0].get_array(), x[0].reshape(3, 4))
    (colour, *_) = plots.predictions(net, x, shape=(2, 2, 3))
    picture = colour.get_images()[0].get_array()
    assert picture.shape == (2, 2, 3)
    assert (picture.min(), picture.max()) == (0, 1)
    with pytest.raises(ShapeError, match="say which, shape="):
        plots.predictions(net, x)
    with pytest.raises(ShapeError, match=r"no images of shape \(5, 5\)"):
        plots.predictions(net, x, shape=(5, 5))
    with pytest.raises(ShapeError, match="2 or more classes"):
        plots.predictions(mlp([12, 1], loss=MSE()), x, shape=(3, 4))
    with pytest.raises(DataError, match="no rows"):
        plots.predictions(net, x[:0], shape=(3, 4))


# ---- inside --------------------------------------------------------------------------------------


def test_weights_as_images(images: tuple[Network, Dataset]) -> None:
    net, _ = images
    W = net.parameters["dense_1/W"]
    axes = plots.weights(net)
    drawn(axes[0])
    assert len(axes) == 12
    for k, ax in enumerate(axes):
        (image,) = ax.get_images()
        np.testing.assert_array_equal(image.get_array(), W[:, k].reshape(8, 8))
        assert image.norm.vmax == -image.norm.vmin == pytest.approx(np.abs(W).max())
    (ax,) = plots.weights(net, "dense_2/W")
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), net.parameters["dense_2/W"])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("output", "input", "dense_2/W")
    shaped = plots.weights(net, "dense_2/W", shape=(3, 4))
    assert shaped[1].get_images()[0].get_array().shape == (3, 4)
    assert [ax.get_title() for ax in plots.weights(net, most=2)] == ["0", "1 (+10)"]
    with pytest.raises(ShapeError, match=r"12 inputs make no picture of shape \(5, 5\)"):
        plots.weights(net, "dense_2/W", shape=(5, 5))
    with pytest.raises(ShapeError, match="2 or 4 axes"):
        plots.weights(net, "dense_1/b")
    with pytest.raises(OptionError, match="no weights"):
        plots.weights(Network([ReLU()], inputs=3))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_kernels_as_images(channels: int) -> None:
    net = Network([Conv2D(5, 3)], inputs=(6, 6, channels))
    W = np.asarray(net.parameters["conv2d_1/W"], float)
    axes = plots.weights(net)
    drawn(axes[0])
    pictures = [ax.get_images()[0].get_array() for ax in axes]
    if channels == 1:
        expected = [W[:, :, 0, o] for o in range(5)]
    elif channels == 3:
        expected = [0.5 + W[..., o] / (2 * np.abs(W).max()) for o in range(5)]
    else:
        expected = [W[:, :, c, o] for o in range(5) for c in range(2)]
        assert axes[3].get_title() == "1, ch. 1"
    np.testing.assert_allclose(pictures, expected)


@pytest.mark.parametrize("silent", [True, False])
def test_gradient_flow_has_the_sizes_of_a_step(silent: bool) -> None:
    net = mlp([2, 6, 3], loss=CrossEntropy(), optimizer=SGD(0.1))
    if silent:  # so that nothing comes back to the first layer
        net.parameters["dense_2/W"][...] = 0
    ax = drawn(plots.gradient_flow(net, POINTS, QUADRANT))
    twin = net.copy()
    step = twin.step(POINTS, QUADRANT)
    step.forward()
    step.loss()
    step.backward()
    names = list(net.parameters)
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    gradients, no_gradient, ratios, no_ratio = [
        line for line in ax.get_lines() if len(line.get_ydata()) == len(names)
    ]
    for k, name in enumerate(names):
        g = np.asarray(step.gradients[name], float)
        if not g.any():
            assert np.isnan(gradients.get_xdata()[k])
            assert no_gradient.get_xdata()[k] == no_ratio.get_xdata()[k] > 0
            continue
        assert gradients.get_xdata()[k] == pytest.approx(np.sqrt(np.mean(g**2)), rel=1e-5)
        size = np.linalg.norm(net.parameters[name]) or 1
        assert ratios.get_xdata()[k] == pytest.approx(0.1 * np.linalg.norm(g) / size, rel=1e-4)
    assert ax.get_xscale() == "log"
    assert ax.yaxis_inverted()
    assert ("exactly 0" in ax.get_xlabel()) == silent
    with pytest.raises(OptionError, match="no parameters"):
        plots.gradient_flow(Network([ReLU()], inputs=2, loss=MSE()), POINTS, POINTS)


def test_labels_of_sizes_do_not_meet_where_these_are_alike() -> None:
    """A gradient of 2e-3 and a ratio of 2e-3: without room around them every 1e-4 has its label."""
    net = Network([Dense(1, use_bias=False)], inputs=1, loss=MSE(), optimizer=SGD(1.0))
    net.parameters["dense_1/W"][...] = 1
    ax = drawn(plots.gradient_flow(net, np.ones((4, 1)), np.full((4, 1), 0.999)))
    assert not [t for t in ax.get_xticklabels(minor=True) if t.get_text()]
    low, high = ax.get_xlim()
    assert low < 1e-3 < 1e-2 < high


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 1), (3, 2), (1, 1), (6, 40)])
def test_units_have_whole_numbers(inputs: int, outputs: int) -> None:
    (ax,) = plots.weights(Network([Dense(outputs)], inputs=inputs))
    drawn(ax)
    for axis, count in ((ax.xaxis, outputs), (ax.yaxis, inputs)):
        low, high = sorted(axis.get_view_interval())
        ticks = [t for t in axis.get_majorticklocs() if low <= t <= high]
        assert ticks
        assert all(t == round(t) and 0 <= t < count for t in ticks)


def test_names_in_the_place_of_axes() -> None:
    with pytest.raises(
        OptionError, match=r"not on \['cat', 'dog'\]; the classes' names are names="
    ):
        plots.confusion_matrix([0, 0, 1], [0, 1, 1], ["cat", "dog"])  # type: ignore[arg-type]


def test_activation_histograms_count_the_values(images: tuple[Network, Dataset]) -> None:
    net, data = images
    axes = plots.activation_histograms(net, data, bins=20)
    drawn(axes[0])
    names = ["rescale_1", "dense_1", "relu_1", "dense_2"]
    values = net.activations(data.x, *names)
    for ax, name in zip(axes, names, strict=True):
        counts, edges, _ = ax.patches[0].get_data()
        expected = np.histogram(values[name].astype(float), 20)
        np.testing.assert_array_equal(counts, expected[0])
        np.testing.assert_allclose(edges, expected[1])
        assert ax.get_title().startswith(
            f"{name}\n{values[name].mean():.2g} ± {values[name].std():.2g}"
        )
    zero = 100 * np.mean(values["relu_1"] == 0)
    assert f"{zero:.0f} % are 0" in axes[2].get_title()
    assert "are 0" not in axes[1].get_title()
    with pytest.raises(UnknownNameError):
        plots.activation_histograms(net, data, nodes=["dense_7"])
    broken = mlp([2, 2])
    broken.parameters["dense_1/W"] = np.full((2, 2), np.nan)
    with pytest.raises(DataError, match="nothing finite"):
        plots.activation_histograms(broken, POINTS)


def test_the_diagram_has_every_weight_in_its_colour() -> None:
    net = Network([Dense(4), Dropout(0.5), Tanh(), Dense(3)], inputs=2)
    ax = drawn(plots.diagram(net))
    lines = ax.collections[0]
    values = {
        (tuple(a), tuple(b)): v
        for (a, b), v in zip(lines.get_segments(), lines.get_array(), strict=True)
    }
    assert len(values) == 2 * 4 + 4 * 3
    for k, name in enumerate(("dense_1/W", "dense_2/W")):
        W = net.parameters[name]
        for (i, j), w in np.ndenumerate(W):
            a, b = (k, (W.shape[0] - 1) / 2 - i), (k + 1, (W.shape[1] - 1) / 2 - j)
            assert values[a, b] == pytest.approx(w)
    largest = max(np.abs(net.parameters[name]).max() for name in ("dense_1/W", "dense_2/W"))
    assert lines.get_clim() == pytest.approx((-largest, largest))
    order = np.abs(lines.get_array())
    assert (np.diff(order) >= 0).all()
    assert (np.diff(lines.get_linewidths()) >= 0).all()
    texts = [t.get_text() for t in ax.texts]
    assert texts == ["inputs\n2 units", "dense_1\n4 units", "dense_2\n3 units"]


def test_a_large_network_is_drawn_in_part_and_says_so() -> None:
    net = mlp([784, 30, 4])
    ax = drawn(plots.diagram(net, most=6))
    lines = ax.collections[0]
    assert len(lines.get_segments()) == 6 * 6 + 6 * 4
    W = net.parameters["dense_1/W"]
    kept = W[np.ix_([0, 1, 2, 781, 782, 783], [0, 1, 2, 27, 28, 29])]
    first = [
        v for (a, _), v in zip(lines.get_segments(), lines.get_array(), strict=True) if a[0] == 0
    ]
    np.testing.assert_allclose(np.sort(first), np.sort(kept.ravel()))
    texts = [t.get_text() for t in ax.texts]
    assert texts.count("⋮") == 2
    assert "inputs\n6 of 784 units" in texts
    assert "dense_2\n4 units" in texts
    with pytest.raises(OptionError, match="conv2d_1/W is of another kind"):
        plots.diagram(Network([Conv2D(2, 3), Flatten(), Dense(2)], inputs=(6, 6, 1)))
    with pytest.raises(OptionError, match="here are none"):
        plots.diagram(Network([ReLU()], inputs=2))
    with pytest.raises(OptionError, match="2 units or more"):
        plots.diagram(net, most=1)


def test_names_of_classes_are_given_or_known(plane: Network) -> None:
    net = plane.copy()
    net.classes = ("x", "y", "z")
    ax = plots.decision_surface(net, POINTS, QUADRANT, steps=5)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["x", "y", "z"]
    ax = plots.decision_surface(net, POINTS, QUADRANT, steps=5, names=["a", "b", "c"])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b", "c"]
    net.classes = ("x", "y")  # of another output
    ax = plots.decision_surface(net, POINTS, QUADRANT, steps=5)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["0", "1", "2"]
    with pytest.raises(OptionError, match="there are 3 classes, and names= has 2"):
        plots.decision_surface(net, POINTS, QUADRANT, names=["a", "b"])


def test_palette_and_many_classes() -> None:
    from pellucid.insight.plots.canvas import colours

    for count in (2, 8, 9, 40):
        found = [plt.matplotlib.colors.to_hex(c) for c in colours(count)]
        assert len(set(found)) == count
    x = RNG.normal(size=(60, 2))
    net = mlp([2, 15], loss=CrossEntropy())
    ax = drawn(plots.decision_surface(net, x, RNG.integers(0, 15, 60), steps=20))
    assert ax.get_legend() is None  # fifteen names would cover the picture


def label_boxes(ax: Any) -> list[Any]:
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
        texts += [label for place, label in ticks if low <= place <= high]
    renderer = ax.figure.canvas.get_renderer()
    return [t.get_window_extent(renderer) for t in texts if t.get_text() and t.get_visible()]


@pytest.mark.parametrize("name", SINGLE)
def test_no_label_is_cut_or_covered(
    name: str, plane: Network, images: tuple[Network, Dataset]
) -> None:
    ax = drawn(every_drawing(plane, images)[name](None))
    inside = ax.figure.bbox.padded(1)
    boxes = label_boxes(ax) if ax.axison else []
    for i, box in enumerate(boxes):
        shown = (
            box.x0 >= inside.x0
            and box.x1 <= inside.x1
            and box.y0 >= inside.y0
            and box.y1 <= inside.y1
        )
        assert shown, (name, box)
        for other in boxes[:i]:
            assert not box.padded(-1).overlaps(other.padded(-1)), name


def test_rates_draw_by_the_same_function(plane: Network) -> None:
    with pytest.warns(UserWarning, match="12 steps are too few"):  # in a trained network
        found = find_learning_rate(plane, POINTS, QUADRANT, steps=12)
    one, two = found.plot(), plots.rate_search(found)
    for a, b in zip(one.get_lines(), two.get_lines(), strict=True):
        np.testing.assert_array_equal(a.get_data(), b.get_data())
    assert re.search(r"suggestion", one.get_legend().get_texts()[2].get_text())


@pytest.mark.parametrize("name", ["training", "classes", "layers"])
def test_examples_in_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"pellucid.insight.plots.{name}"))
    assert found.attempted
    assert not found.failed
