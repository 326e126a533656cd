"""What layers on images and sequences promise beyond the table: equalities, corners and errors."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pellucid
from pellucid import Network
from pellucid.errors import OptionError, ShapeError
from pellucid.layers import (
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    AvgPool1D,
    AvgPool2D,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Cropping1D,
    Cropping2D,
    DepthwiseConv2D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    Layer,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    RMSNorm,
    SeparableConv2D,
    Spec,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from table import CASES, Case, backward, forward, parameters, slopes

RNG = np.random.default_rng(0)
MODULES = [
    "augmentation", "blocks", "convolution", "global_pooling", "layer_norm", "pooling", "resizing",
    "transposed",
]  # fmt: skip


def both(
    layer: Layer, x: np.ndarray, p: dict[str, np.ndarray] | None = None, dy: Any = None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Output, gradient of the input and gradients of the parameters."""
    case = Case("", layer, (x.shape[1:],), lambda *_: torch.zeros(()))
    p = parameters(case) if p is None else p
    y, cache = forward(case, [x], p)
    (dx,), dp = backward(case, slopes(y) if dy is None else dy, p, cache)
    assert dx is not None
    return y, dx, dp


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"pellucid.layers.{name}"))
    assert found.attempted
    assert not found.failed


def test_other_libraries_names_are_understood() -> None:
    assert pellucid.RandomTranslation is pellucid.RandomShift
    assert pellucid.MaxPooling2D is pellucid.layers.MaxPooling2D is MaxPool2D
    for other, own in pellucid.layers.OTHER_NAMES.items():
        assert getattr(pellucid, other) is getattr(pellucid, own)
        assert other not in pellucid.__all__
    with pytest.raises(AttributeError, match="Pooling3D"):
        _ = pellucid.layers.Pooling3D


# -------------------------------------------------------------------- sequences are flat images


@pytest.mark.parametrize(
    ("flat", "image"),
    [
        (Conv1D(4, 3, 2, 1, 2, 2), Conv2D(4, (1, 3), (1, 2), (0, 1), (1, 2), 2)),
        (Conv1D(2, 3, padding="same"), Conv2D(2, (1, 3), padding="same")),
        (Conv1D(2, 3, padding="causal"), Conv2D(2, (1, 3), padding=((0, 0), (2, 0)))),
        (Conv1DTranspose(2, 3, 2, 1, 1), Conv2DTranspose(2, (1, 3), (1, 2), (0, 1), (0, 1))),
        (MaxPool1D(3, 2, (1, 0)), MaxPool2D((1, 3), (1, 2), ((0, 0), (1, 0)))),
        (AvgPool1D(2), AvgPool2D((1, 2))),
        (GlobalMaxPool1D(), GlobalMaxPool2D()),
        (GlobalAvgPool1D(), GlobalAvgPool2D()),
        (UpSampling1D(3, "linear"), UpSampling2D((1, 3), "bilinear")),
        (ZeroPadding1D((1, 2)), ZeroPadding2D(((0, 0), (1, 2)))),
        (Cropping1D((1, 2)), Cropping2D(((0, 0), (1, 2)))),
    ],
    ids=repr,
)
def test_a_sequence_is_an_image_of_height_1(flat: Layer, image: Layer) -> None:
    x = RNG.normal(size=(3, 9, 4))
    p = parameters(Case("", flat, ((9, 4),), lambda *_: torch.zeros(())))
    raised = {k: a[None] if k == "W" else a for k, a in p.items()}
    y, dx, dp = both(flat, x, p)
    y2, dx2, dp2 = both(image, x[:, None], raised, slopes(y).reshape(both(image, x[:, None], raised)[0].shape))  # fmt: skip
    np.testing.assert_array_equal(y, y2.reshape(y.shape))
    np.testing.assert_array_equal(dx, dx2[:, 0])
    for name, gradient in dp.items():
        np.testing.assert_array_equal(gradient, dp2[name].reshape(gradient.shape))


def test_a_causal_convolution_never_looks_ahead() -> None:
    net = Network([Conv1D(3, 4, padding="causal", dilation_rate=3)], inputs=(20, 2))
    x = RNG.normal(size=(1, 20, 2))
    later = x.copy()
    later[:, 12:] += 1
    changed = (net(x) != net(later)).any(axis=(0, 2))
    assert not changed[:12].any()
    assert changed[12:].all()
    with pytest.raises(OptionError, match=r'"valid", "same", a whole number'):
        Conv2D(3, 4, padding="causal")


# ------------------------------------------------------------------------------- convolutions


def test_a_depthwise_convolution_is_one_of_as_many_groups_as_channels() -> None:
    x = RNG.normal(size=(2, 6, 5, 3))
    layer = DepthwiseConv2D(3, 2, 1, depth_multiplier=2)
    assert layer.as_conv2d(3) == Conv2D(6, 3, 2, 1, groups=3)
    for one, two in zip(both(layer, x), both(layer.as_conv2d(3), x), strict=True):
        if isinstance(one, dict):
            assert all((one[k] == two[k]).all() for k in one)
        else:
            np.testing.assert_array_equal(one, two)
    assert DepthwiseConv2D(3, depthwise_initializer="he_normal").kernel_initializer == "he_normal"


def test_a_separable_convolution_has_few_parameters_and_starts_as_its_parts() -> None:
    net = Network([SeparableConv2D(32, 3, depth_multiplier=2, name="s")], inputs=(8, 8, 16))
    assert {k: v.shape for k, v in net.parameters.items()} == {
        "s/W_depth": (3, 3, 1, 32), "s/W_point": (1, 1, 32, 32), "s/b": (32,),
    }  # fmt: skip
    two = Network(
        [DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), Conv2D(32, 1)], inputs=(8, 8, 16)
    )
    two.parameters["depthwise_conv2d_1/W"] = net.parameters["s/W_depth"]
    two.parameters["conv2d_1/W"] = net.parameters["s/W_point"]
    x = RNG.normal(size=(3, 8, 8, 16))
    np.testing.assert_array_equal(net(x), two(x))


@pytest.mark.parametrize(
    "options",
    [
        {}, {"strides": 2}, {"strides": (2, 3), "padding": 1}, {"padding": "same", "strides": 2},
        {"dilation_rate": 2, "padding": ((1, 0), (2, 1))}, {"groups": 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_transposed_convolution_is_the_transpose_of_the_convolution(options: Any) -> None:
    """⟨conv(x), y⟩ = ⟨x, transposed(y)⟩ for the same W, whatever x and y are."""
    x = RNG.normal(size=(2, 8, 12, 4))
    conv = Conv2D(6, 3, use_bias=False, **options)
    W = {"W": RNG.normal(size=(3, 3, 4 // conv.groups, 6))}
    y = both(conv, x, W)[0]
    rest = {}
    if conv.padding != "same":
        back = Conv2DTranspose(4, 3, use_bias=False, **options)
        wanted = [n - m for n, m in zip(x.shape[1:3], back.output_spec(Spec(y.shape[1:])).shape[:2], strict=True)]  # fmt: skip
        rest = {"output_padding": tuple(wanted)}
    back = Conv2DTranspose(4, 3, use_bias=False, **options, **rest)
    t = RNG.normal(size=y.shape)
    z = both(back, t, W)[0]
    assert z.shape == x.shape
    np.testing.assert_allclose((y * t).sum(), (x * z).sum(), rtol=1e-12)
    np.testing.assert_allclose(z, both(conv, x, W, t)[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Conv2DTranspose(4, 3, output_padding=1), "output_padding must be below strides"),
        (lambda: Conv2DTranspose(4, 3, 2, "same", 1), "leave output_padding out"),
        (lambda: Conv2DTranspose(4, 3, output_padding=-1), "output_padding must be a whole number"),
        (lambda: Conv2DTranspose(3, 3, groups=2), "3 filters do not divide into 2 groups"),
        (lambda: Conv2DTranspose(3, 3, padding="causal"), "padding is"),
        (lambda: Conv1D(3, (3, 3)), "kernel_size must be a whole number of 1 or more, not"),
        (lambda: Conv1D(3, 3, padding=((1, 1), (1, 1))), r"or \(before, after\), not"),
        (lambda: Conv1D(3, 3, padding="smae"), "Did you mean 'same'"),
        (lambda: Conv1D(0, 3), "Conv1D: filters"),
        (lambda: Conv1D(3, 3, groups=2), "Conv1D: 3 filters do not divide"),
        (lambda: DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier"),
        (lambda: DepthwiseConv2D(3, groups=2), "no option 'groups'"),
        (lambda: SeparableConv2D(0, 3), "filters"),
        (lambda: SeparableConv2D(3, 3, strides=0), "strides"),
        (lambda: MaxPool1D((2, 2)), "pool_size must be a whole number of 1 or more, not"),
        (lambda: MaxPool1D(2, padding=2), "outside the sequence"),
        (lambda: AvgPool1D(2, padding=(0, 2)), "outside the sequence"),
        (lambda: AdaptiveAvgPool2D(0), "output_size"),
        (lambda: AdaptiveMaxPool2D((1, 2, 3)), "output_size"),
        (lambda: GlobalMaxPool2D(keepdims=1), "keepdims must be True or False"),
        (lambda: UpSampling2D(1.5), "size must be a whole number"),
        (lambda: UpSampling2D(2, "linear"), "Did you mean 'bilinear'"),
        (lambda: UpSampling1D(2, "bilinear"), "Did you mean 'linear'"),
        (lambda: ZeroPadding2D("same"), "padding is a whole number of 0 or more"),
        (lambda: ZeroPadding1D(((1, 1), (1, 1))), "padding is a whole number"),
        (lambda: Cropping2D(-1), "cropping is a whole number"),
        (lambda: LayerNorm(0), "the batch"),
        (lambda: LayerNorm((1, 1)), "several different"),
        (lambda: LayerNorm(()), "axis"),
        (lambda: LayerNorm(1.5), "axis"),
        (lambda: LayerNorm(epsilon=0), "epsilon"),
        (lambda: RMSNorm(eps="x"), "epsilon"),
        (lambda: GroupNorm(0), "groups"),
        (lambda: GroupNorm(-2), "groups"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        (Conv1D(2, 5), (4, 1), "windows of 5 do not fit in 4"),
        (Conv1D(2, 3), (28,), r"sequences \(B, T, C\), not \(B, 28\).*Reshape\(\(28, 1\)\)"),
        (Conv1D(2, 3), (28, 28, 1), "sequences have a length and channels last"),
        (Conv1D(2, 3), (28, None), "known number of channels"),
        (Conv1D(2, 3, groups=2), (28, 3), "3 channels of .* 2 groups"),
        (Conv2D(2, 5), (None, 4, 1), r"do not fit in \?×4"),
        (DepthwiseConv2D(3), (8, 8, None), "known number of channels"),
        (DepthwiseConv2D(3), (28, 28), r"Reshape\(\(28, 28, 1\)\)"),
        (SeparableConv2D(3, 9), (8, 8, 2), "9×9 do not fit in 8×8"),
        (Conv2DTranspose(2, 1, padding=1), (2, 2, 1), "nothing is left of 2×2"),
        (Conv2DTranspose(2, 3, groups=2), (2, 2, 3), "3 channels of .* 2 groups"),
        (Conv2DTranspose(2, 3), (2, 2), r"Reshape\(\(2, 2, 1\)\)"),
        (Conv1DTranspose(2, 3), (2,), r"Reshape\(\(2, 1\)\)"),
        (GlobalAvgPool2D(), (28, 28), r"Reshape\(\(28, 28, 1\)\)"),
        (AdaptiveAvgPool2D(2), (28,), "height, a width and channels"),
        (UpSampling1D(2), (28,), r"Reshape\(\(28, 1\)\)"),
        (ZeroPadding2D(2), (28,), "height, a width and channels"),
        (Cropping2D(2), (4, 8, 1), r"leaves nothing of \(B, 4, 8, 1\)"),
        (LayerNorm((1, 2)), (3,), "no such axes"),
        (LayerNorm((1, -1)), (3,), "one twice"),
        (LayerNorm(), (3, None), "known lengths along -1"),
        (LayerNorm(), (), "no such axes"),
        (GroupNorm(4), (8, 8, 6), "6 channels of .* 4 groups"),
        (GroupNorm(4), (None,), "known number of channels"),
    ],
    ids=repr,
)
def test_shapes_that_do_not_fit_are_named_with_what_would(
    layer: Any, shape: Any, said: str
) -> None:
    with pytest.raises(ShapeError, match=said):
        layer.output_spec(Spec(shape))


@pytest.mark.parametrize("layer", [GlobalMaxPool2D(), UpSampling2D(), Cropping2D(), MaxPool1D()])
def test_arrays_of_the_wrong_rank_are_named_too(layer: Layer) -> None:
    with pytest.raises(ShapeError, match="needs"):
        layer(np.ones((2, 8, 8, 8, 1)))
    with pytest.raises(ShapeError, match="leaves nothing"):
        Cropping2D(2)(np.ones((2, 4, 8, 1)))


# -------------------------------------------------------------------------------------- pooling


@pytest.mark.parametrize("layer", [GlobalMaxPool2D(), AdaptiveMaxPool2D(1), AdaptiveMaxPool2D(2)])
def test_of_equal_values_the_first_has_the_gradient(layer: Layer) -> None:
    x = np.zeros((2, 4, 4, 3))
    y, dx, _ = both(layer, x, {}, np.ones_like(layer(x)))
    assert dx.sum() == y.size
    assert dx[0, 0, 0, 0] == 1
    assert set(np.unique(dx)) == {0, 1}


@pytest.mark.parametrize("layer", [GlobalMaxPool2D(), GlobalAvgPool2D(), AdaptiveMaxPool2D(1)])
def test_nan_is_passed_on(layer: Layer) -> None:
    x = np.zeros((2, 2, 2, 2))
    x[1, 1, 0, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(layer(x)).reshape(2, 2), [[0, 0], [0, 1]])


def test_adaptive_pools_that_divide_are_ordinary_pools() -> None:
    x = RNG.normal(size=(2, 6, 8, 3))
    np.testing.assert_array_equal(AdaptiveMaxPool2D((3, 2))(x), MaxPool2D((2, 4))(x))
    np.testing.assert_allclose(AdaptiveAvgPool2D((3, 2))(x), AvgPool2D((2, 4))(x), rtol=1e-13)
    np.testing.assert_array_equal(AdaptiveMaxPool2D(1)(x)[:, 0, 0], GlobalMaxPool2D()(x))
    np.testing.assert_allclose(GlobalAvgPool2D()(x), x.mean(axis=(1, 2)), rtol=1e-13)


def test_padding_and_cropping_undo_each_other() -> None:
    x = RNG.normal(size=(2, 3, 4, 2))
    around = ((1, 0), (2, 3))
    np.testing.assert_array_equal(Cropping2D(around)(ZeroPadding2D(around)(x)), x)
    assert ZeroPadding2D(0)(x).shape == x.shape
    assert Cropping2D(1)(x).base is not None  # a view


@pytest.mark.parametrize("size", [2, 3, 5])
def test_bilinear_up_sampling_keeps_constants_and_means(size: int) -> None:
    layer = UpSampling2D(size, "bilinear")
    np.testing.assert_allclose(layer(np.full((1, 3, 4, 1), 7.0)), 7, rtol=1e-15)
    x = RNG.normal(size=(2, 4, 3, 2))
    np.testing.assert_allclose(layer(x).mean(axis=(1, 2)), x.mean(axis=(1, 2)), atol=1e-14)


# ------------------------------------------------------------------------------- normalisation


def test_layer_norm_is_of_each_row_by_itself() -> None:
    net = Network([LayerNorm(epsilon=1e-12)], inputs=(3, 5), dtype="float64")
    y = net(RNG.normal(4, 3, size=(7, 3, 5)))
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-9)


def test_rms_norm_scales_and_does_not_shift() -> None:
    net = Network([RMSNorm()], inputs=6, dtype="float64")
    x = RNG.normal(4, 3, size=(7, 6))
    np.testing.assert_allclose(np.square(net(x)).mean(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(net(1000 * x), net(x), rtol=1e-6)
    np.testing.assert_allclose(net(x) / x, (net(x) / x)[:, :1] * np.ones(6), rtol=1e-12)


def test_group_norm_is_between_layer_norm_and_instance_norm() -> None:
    x = RNG.normal(2, 3, size=(4, 5, 6, 8))
    one = Network([GroupNorm(1)], inputs=(5, 6, 8), dtype="float64")(x)
    all_axes = Network([LayerNorm((1, 2, 3))], inputs=(5, 6, 8), dtype="float64")(x)
    np.testing.assert_allclose(one, all_axes, rtol=1e-10, atol=1e-12)
    each = Network([GroupNorm(-1)], inputs=(5, 6, 8), dtype="float64")(x)
    np.testing.assert_allclose(each.mean(axis=(1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(each.var(axis=(1, 2)), 1, rtol=1e-4)


@pytest.mark.parametrize("layer", [LayerNorm(), GroupNorm(2), RMSNorm()], ids=repr)
def test_norms_of_rows_do_not_care_what_else_is_in_the_batch(layer: Layer) -> None:
    assert not layer.batch_statistics
    net = Network([layer], inputs=6, dtype="float64")
    x = RNG.normal(size=(5, 6))
    np.testing.assert_allclose(net(x)[2:3], net(x[2:3]), rtol=1e-12)


@pytest.mark.parametrize("layer", [LayerNorm(), GroupNorm(1), RMSNorm()], ids=repr)
def test_a_large_offset_and_constant_rows_stay_finite(layer: Layer) -> None:
    net = Network([layer], inputs=4096)
    x = (1e4 + RNG.normal(size=(8, 4096))).astype(np.float32)
    if not isinstance(layer, RMSNorm):
        np.testing.assert_allclose(net(x).var(axis=1, dtype=np.float64), 1, rtol=1e-3)
    for constant in (0.0, 1e-20, 7.3, 1e15):
        assert np.isfinite(net(np.full((2, 4096), constant, np.float32))).all()


# ------------------------------------------------------------------------------ whole networks


def test_names_in_a_network() -> None:
    net = Network(
        [Conv2DTranspose(2, 2), SeparableConv2D(2, 1), RMSNorm(), GlobalAvgPool2D()],
        inputs=(3, 3, 1),
    )
    assert [node.name for node in net.graph.nodes][1:] == [
        "conv2d_transpose_1", "separable_conv2d_1", "rms_norm_1", "global_avg_pool2d_1",
    ]  # fmt: skip


FLOATS = [case for case in CASES if case.layer.arity == 1 and not case.below]


@pytest.mark.parametrize("case", FLOATS, ids=lambda case: case.id)
def test_networks_with_every_layer_come_back_from_a_file(case: Case, tmp_path: Path) -> None:
    net = Network([case.layer], inputs=case.shapes[0])
    net.save(tmp_path / "net.safetensors")
    again = Network.load(tmp_path / "net.safetensors")
    assert again.graph == net.graph
    x = RNG.normal(size=(2, *case.shapes[0]))
    np.testing.assert_array_equal(again(x), net(x))


def test_one_network_takes_images_of_every_size() -> None:
    from pellucid import Dense, Input

    x = Input((None, None, 1))
    h = MaxPool2D(2)(Conv2D(4, 3, padding="same")(x))
    h = Conv2DTranspose(3, 2, strides=2)(LayerNorm()(h))
    net = Network(inputs=x, outputs=Dense(2)(GlobalAvgPool2D()(AdaptiveAvgPool2D(3)(h))))
    for size in ((8, 8), (20, 6)):
        assert net(np.ones((2, *size, 1))).shape == (2, 2)
