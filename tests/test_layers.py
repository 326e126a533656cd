"""Every layer of the table against central differences, PyTorch and what a layer promises."""

from __future__ import annotations

import json
import pickle
import re
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from pellucid import layers
from pellucid.description import Description
from pellucid.errors import DataError, GraphError, OptionError, ShapeError
from pellucid.layers.base import as_float
from pellucid.layers.windows import Spatial
from table import (
    CASES,
    Arrays,
    Case,
    backward,
    forward,
    inputs,
    parameters,
    slopes,
    states,
)
from twins import around, convolution, each, pool, transposed

torch.set_num_threads(1)  # the arrays are tiny

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
both_modes = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def run(
    case: Case, x: list[np.ndarray], p: Arrays, *, training: bool = True, needs_dx: bool = True,
    start: float = 0.0,
) -> tuple[np.ndarray, list[Any], Arrays, Any]:  # fmt: skip
    """Forward, then backward from the same random slopes: y, dx, dp and the new state."""
    dtype = next((a.dtype for a in x if a.dtype.kind == "f"), np.float64)
    dtype = next(iter(p.values())).dtype if p else dtype
    y, cache = forward(case, x, p, states(case, dtype), training=training, needs_dx=needs_dx)
    dx, dp = backward(case, slopes(y), p, cache, start)
    return y, dx, dp, cache.new_state


def assert_same(one: Any, two: Any, tolerance: float = 0.0) -> None:
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------- values and derivatives


@each_case
@both_modes
def test_gradients_are_those_of_central_differences(case: Case, training: bool) -> None:
    x, p = inputs(case), {name: array.copy() for name, array in parameters(case).items()}
    y, dx, dp, _ = run(case, x, p, training=training)
    dy = slopes(y)

    def loss() -> float:
        return float((forward(case, x, p, states(case), training=training)[0] * dy).sum())

    assert case.below or all(d is not None for d in dx)
    pairs = [(a, d) for a, d in zip(x, dx, strict=True) if d is not None]
    pairs += [(p[name], dp[name]) for name in p]
    for array, gradient in pairs:
        assert gradient.shape == array.shape
        numeric = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            kept, h = array[i], 1e-5
            array[i] = kept + h
            above = loss()
            array[i] = kept - h
            numeric[i] = (above - loss()) / (2 * h)
            array[i] = kept
        scale = max(np.abs(numeric).max(initial=0), 1e-3)
        np.testing.assert_allclose(gradient, numeric, rtol=0, atol=2e-7 * scale + 1e-9)


@each_case
@both_modes
def test_pytorch_agrees_on_values_gradients_and_statistics(case: Case, training: bool) -> None:
    assert_like_pytorch(case, inputs(case), training)


def assert_like_pytorch(case: Case, x: list[np.ndarray], training: bool = False) -> None:
    p = parameters(case)
    y, dx, dp, new_state = run(case, x, p, training=training)
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in x]
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in p.items()}
    state = {name: torch.tensor(array) for name, array in states(case).items()}
    out = case.torch(weights, state, tensors[0] if len(tensors) == 1 else tensors, training)
    assert y.shape == tuple(out.shape)
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=1e-10, atol=1e-10)
    out.backward(torch.tensor(slopes(y)))
    for d, tensor in zip(dx, tensors, strict=True):
        if d is not None:
            np.testing.assert_allclose(d, tensor.grad.numpy(), rtol=1e-10, atol=1e-10)
    for name, tensor in weights.items():
        np.testing.assert_allclose(dp[name], tensor.grad.numpy(), rtol=1e-10, atol=1e-10)
    assert_same(vars(new_state), {k: v.numpy() for k, v in state.items()}, tolerance=1e-10)


@each_case
@both_modes
def test_float32_stays_float32_and_is_near_float64(case: Case, training: bool) -> None:
    exact = run(case, inputs(case), parameters(case), training=training)
    single = run(case, inputs(case, np.float32), parameters(case, np.float32), training=training)
    found = [single[0], *single[1], *single[2].values(), *vars(single[3]).values()]
    wanted = [exact[0], *exact[1], *exact[2].values(), *vars(exact[3]).values()]
    for a, b in zip(found, wanted, strict=True):
        if b is not None:
            assert a.dtype == np.float32
            scale = np.abs(b).max(initial=1e-6)
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * scale)


# ---------------------------------------------------------------------------------------- shapes


@each_case
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_output_spec_says_what_comes_out(case: Case, batch: int) -> None:
    spec = case.layer.output_spec(*case.specs)
    y, _ = forward(case, inputs(case, batch=batch), parameters(case), states(case))
    assert y.shape == (batch, *spec.shape)
    assert spec.dtype == "float"


@each_case
def test_an_unknown_length_is_allowed_where_the_layer_can_do_without(case: Case) -> None:
    if isinstance(case.layer, Spatial):
        spec = layers.Spec((*(None,) * case.layer.axes, case.shapes[0][-1]))
        known, found = (case.layer.output_spec(s).shape for s in (case.specs[0], spec))
        fixed = "Adaptive" in type(case.layer).__name__ or "Global" in type(case.layer).__name__
        assert found == (known if fixed else (*spec.shape[:-1], known[-1]))
        assert case.layer.parameter_specs(spec) == case.layer.parameter_specs(*case.specs)


@each_case
@both_modes
def test_an_empty_batch_goes_through(case: Case, training: bool) -> None:
    x, p = inputs(case, batch=0), parameters(case)
    if case.layer.batch_statistics and training:
        with pytest.raises(DataError, match="value"):
            run(case, x, p, training=True)
        return
    y, dx, dp, _ = run(case, x, p, training=training)
    assert y.shape == (0, *case.layer.output_spec(*case.specs).shape)
    assert all(d is None or d.shape == a.shape for d, a in zip(dx, x, strict=True))
    assert all(not d.any() for d in dp.values())


@each_case
def test_one_row_at_a_time_is_the_batch(case: Case) -> None:
    training = not (case.layer.batch_statistics or case.random)
    x, p = inputs(case, batch=4), parameters(case)
    y, cache = forward(case, x, p, states(case), training=training)
    dy = slopes(y)
    dx, dp = backward(case, dy, p, cache)
    total = {name: np.zeros_like(array) for name, array in p.items()}
    for i in range(4):
        one = [a[i : i + 1] for a in x]
        yi, cache = forward(case, one, p, states(case), training=training)
        np.testing.assert_allclose(yi[0], y[i], rtol=1e-12, atol=1e-12)
        dxi, dpi = backward(case, dy[i : i + 1], p, cache)
        for a, b in zip(dxi, dx, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a[0], b[i], rtol=1e-12, atol=1e-12)
        for name in total:
            total[name] += dpi[name]
    assert_same(total, dp, tolerance=1e-12)  # the bias's gradient is a sum as the weights' is


# ---------------------------------------------------------------------------- who may write where


@each_case
@both_modes
def test_inputs_and_slopes_are_never_written(case: Case, training: bool) -> None:
    x, p = inputs(case), parameters(case)  # parameters and slopes are read-only already
    before = [a.copy() for a in x]
    for a in x:
        a.flags.writeable = False
    run(case, x, p, training=training)
    for a, b in zip(x, before, strict=True):
        np.testing.assert_array_equal(a, b)


@each_case
def test_parameter_gradients_are_added(case: Case) -> None:
    x, p = inputs(case), parameters(case)
    plain, on_top = run(case, x, p)[2], run(case, x, p, start=1.0)[2]
    assert_same({name: d + 1 for name, d in plain.items()}, on_top, tolerance=1e-12)


@each_case
def test_running_statistics_change_only_in_training_and_only_the_new_ones(case: Case) -> None:
    x, p, state = inputs(case), parameters(case), states(case)
    kept = {name: array.copy() for name, array in state.items()}
    _, cache = forward(case, x, p, state, training=False)
    assert_same(vars(cache.new_state), kept)
    _, cache = forward(case, x, p, state, training=True)
    assert_same(state, kept)
    moved = any((array != kept[name]).any() for name, array in vars(cache.new_state).items())
    assert moved == isinstance(case.layer, layers.BatchNorm)


@each_case
@both_modes
def test_a_layer_keeps_nothing_between_two_passes(case: Case, training: bool) -> None:
    x, p = inputs(case), parameters(case)
    y, cache = forward(case, x, p, states(case), training=training)
    kept = y.copy()
    dx, dp = backward(case, slopes(y), p, cache)
    dx = [d if d is None else d.copy() for d in dx]
    other = [a[::-1].copy() for a in x]
    forward(case, other, p, states(case), training=training)  # another pass, of another cache
    again, second = forward(case, x, p, states(case), training=training)
    np.testing.assert_array_equal(again, y)
    np.testing.assert_array_equal(y, kept)
    for c in (cache, second):  # backward twice, and after another forward
        dx2, dp2 = backward(case, slopes(y), p, c)
        for a, b in zip(dx, dx2, strict=True):
            np.testing.assert_array_equal(a, b)
        assert_same(dp, dp2)


@each_case
@both_modes
def test_a_cache_can_be_used_for_another_step_and_another_mode(case: Case, training: bool) -> None:
    x, p = inputs(case), parameters(case)
    one = x[0] if case.layer.arity == 1 else tuple(x)
    y, fresh = forward(case, x, p, states(case), training=training)
    _, used = forward(case, x, p, states(case), training=not training)
    backward(case, slopes(y), p, used)
    used.restart(training, (0, "", 0, 0))
    np.testing.assert_array_equal(case.layer.forward(one, layers.Views(p), used), y)
    assert_same(backward(case, slopes(y), p, used)[1], backward(case, slopes(y), p, fresh)[1])


@each_case
def test_without_dx_the_parameters_have_the_same_gradients(case: Case) -> None:
    x, p = inputs(case), parameters(case)
    assert_same(run(case, x, p)[2], run(case, x, p, needs_dx=False)[2])


# -------------------------------------------------------------------------------- ways to be laid


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers, otherwise in memory."""
    strided = np.full((*x.shape[:-1], 2 * x.shape[-1]), 77, x.dtype) if x.ndim else x
    strided[..., ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "every second": strided[..., ::2],
        "backwards": x[::-1].copy()[::-1],
        "Fortran": np.asfortranarray(x),
        "batch last": np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
        "read-only": read_only,
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
    }


@each_case
@pytest.mark.parametrize("layout", list(layouts(np.zeros(1))))
def test_the_layout_in_memory_does_not_matter(case: Case, layout: str) -> None:
    x, p = inputs(case), parameters(case)
    y, dx, dp, _ = run(case, x, p)
    laid = [layouts(a)[layout] for a in x]
    y2, cache = forward(case, laid, p, states(case), training=True)
    np.testing.assert_allclose(y2, y, rtol=1e-13, atol=1e-13)
    dx2, dp2 = backward(case, layouts(slopes(y))[layout], p, cache)
    for a, b in zip(dx, dx2, strict=True):
        if a is not None:
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
    assert_same(dp, dp2, tolerance=1e-12)
    for a, b in zip(x, laid, strict=True):
        np.testing.assert_array_equal(a, b)


# ----------------------------------------------------------------------------------- descriptions


@each_case
def test_a_description_survives_json_pickle_and_its_own_repr(case: Case) -> None:
    layer = case.layer.replace(name="here", trainable=False)
    copy = Description.from_config(json.loads(json.dumps(layer.to_config())))
    assert copy == layer
    assert hash(copy) == hash(layer)
    assert pickle.loads(pickle.dumps(layer)) == layer
    names = {**vars(layers), **vars(__import__("pellucid.initializers").initializers)}
    assert eval(repr(case.layer), names) == case.layer


def test_every_layer_has_a_row() -> None:
    abstract = {"Layer", "Activation"}
    exported = {
        name
        for name in layers.__all__
        if isinstance(getattr(layers, name), type)
        and issubclass(getattr(layers, name), layers.Layer)
    }
    assert exported - abstract == {type(case.layer).__name__ for case in CASES}
    assert len({case.id for case in CASES}) == len(CASES)


@each_case
def test_parameters_say_what_decays_and_what_their_fans_are(case: Case) -> None:
    for name, spec in case.layer.parameter_specs(*case.specs).items():
        assert spec.decay == name.startswith("W")
        assert name in ("W", "W_depth", "W_point", "b", "gamma", "beta", "alpha")
        if name.startswith("W") and isinstance(case.layer, Spatial):
            *window, inside, out = spec.shape
            pixels, groups = int(np.prod(window)), getattr(case.layer, "groups", 1)
            if name == "W_depth" or isinstance(case.layer, layers.DepthwiseConv2D):
                groups = case.shapes[0][-1]
            if "Transpose" in type(case.layer).__name__:  # seen from the other side
                strides = int(np.prod(each(case.layer.strides, case.layer.axes)))
                seen = max(pixels * out // groups // strides, 1)
                assert spec.fans == (seen, pixels * inside)
            else:
                assert spec.fans == (pixels * inside, pixels * out // groups)
        elif name == "W":
            assert spec.fans == spec.shape


@each_case
def test_layers_without_parameters_work_on_plain_arrays(case: Case) -> None:
    if case.layer.parameter_specs(*case.specs) or case.layer.state_specs(*case.specs):
        with pytest.raises(GraphError, match="parameters"):
            case.layer(*inputs(case))
    else:
        wanted, _ = forward(case, inputs(case), {})
        np.testing.assert_array_equal(case.layer(*inputs(case)), wanted)
        lists = [as_float(a.tolist()) for a in inputs(case)]
        np.testing.assert_array_equal(case.layer(*lists), wanted)


# ------------------------------------------------------------------- windows of any kind, anywhere

sizes = st.integers(1, 3)
pairs = st.one_of(sizes, st.tuples(sizes, sizes))
sides = st.integers(0, 2)
any_padding = st.one_of(
    st.sampled_from(["valid", "same"]),
    sides,
    st.tuples(sides, sides),
    st.tuples(st.tuples(sides, sides), st.tuples(sides, sides)),
)
images = st.tuples(st.integers(1, 7), st.integers(1, 7))
examples = hypothesis.settings(max_examples=150, deadline=None, derandomize=True, database=None)


@examples
@hypothesis.given(
    images, pairs, pairs, any_padding, pairs, st.integers(1, 3), sizes, sizes, st.booleans(), sizes
)
def test_any_convolution_is_pytorchs(
    size: Any, kernel: Any, strides: Any, padding: Any, dilation: Any, groups: int, inside: int,
    outside: int, bias: bool, batch: int,
) -> None:  # fmt: skip
    layer = layers.Conv2D(
        groups * outside, kernel, strides, padding, dilation, groups, use_bias=bias
    )  # fmt: skip
    case = Case("", layer, ((*size, groups * inside),), convolution(layer), batch)
    compare_windows(case)


@examples
@hypothesis.given(
    images, pairs, pairs, any_padding, sides, pairs, st.integers(1, 3), sizes, sizes, st.booleans()
)
def test_any_transposed_convolution_is_pytorchs(
    size: Any, kernel: Any, strides: Any, padding: Any, rest: int, dilation: Any, groups: int,
    inside: int, outside: int, bias: bool,
) -> None:  # fmt: skip
    most = min(map(max, each(strides, 2), each(dilation, 2)))
    layer = layers.Conv2DTranspose(
        groups * outside, kernel, strides, padding, 0 if padding == "same" else min(rest, most - 1),
        dilation, groups, use_bias=bias,
    )  # fmt: skip
    compare_windows(Case("", layer, ((*size, groups * inside),), transposed(layer), 2))


@examples
@hypothesis.given(
    st.booleans(), images, pairs, st.one_of(st.none(), pairs), any_padding, st.booleans(), sizes
)
def test_any_pool_is_pytorchs(
    greatest: bool, size: Any, window: Any, strides: Any, padding: Any, include: bool, batch: int
) -> None:
    def make() -> layers.MaxPool2D | layers.AvgPool2D:
        if greatest:
            return layers.MaxPool2D(window, strides, padding)
        return layers.AvgPool2D(window, strides, padding, count_include_pad=include)

    edges = [] if padding == "same" else around(padding, 2, None, None, None, None)
    if any(max(edge) >= k for edge, k in zip(edges, each(window, 2), strict=False)):
        with pytest.raises(OptionError, match="outside the image"):
            make()
    else:
        layer = make()
        compare_windows(Case("", layer, ((*size, 2),), pool(layer), batch))


def compare_windows(case: Case) -> None:
    """Like PyTorch, or an error where PyTorch has one, or nothing at all."""
    try:
        case.layer.output_spec(*case.specs)
    except ShapeError:
        p = {name: torch.tensor(a) for name, a in parameters(case).items()}
        assert refused(lambda: case.torch(p, {}, torch.tensor(inputs(case)[0]), False))
    else:
        assert_like_pytorch(case, inputs(case))


def refused(compute: Any) -> bool:
    """Whether PyTorch says that windows do not fit, or gives nothing."""
    try:
        return not compute().numel()
    except RuntimeError as error:
        return bool(re.search(r"Kernel size|too small|at least|must be non-negative", str(error)))
