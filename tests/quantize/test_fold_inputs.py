"""Rescaling at the beginning becomes part of the first layer: bytes of pixels go into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.graph import Array, Graph, Value
from chipfit.interpret import evaluate
from chipfit.ops.add import Add
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.mul import Mul
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.sub import Sub
from chipfit.quantize import parse_recipe, quantize_graph, samples_of
from chipfit.quantize.fold_inputs import fold_inputs
from quantize.nets import Builder, normal

Layer = Callable[[Builder, Value], Value]


def number(*values: float) -> Array:
    return np.array(values, np.float32)


def conv(b: Builder, x: Value, pad: int = 0) -> Value:
    rng = np.random.default_rng(0)
    op = Conv2D(pad=(pad, pad, pad, pad), act="relu")
    return b.add("conv", op, x, normal(rng, 4, 3, 3, x.shape[3]), normal(rng, 4))


def padded_conv(b: Builder, x: Value) -> Value:
    return conv(b, x, 1)


def no_bias(b: Builder, x: Value) -> Value:
    return b.add("conv", Conv2D(), x, normal(np.random.default_rng(1), 4, 3, 3, x.shape[3]))


def depthwise(b: Builder, x: Value) -> Value:
    rng = np.random.default_rng(2)
    return b.add("depthwise", DepthwiseConv2D(), x, normal(rng, 1, 3, 3, 2 * x.shape[3]), normal(rng, 2 * x.shape[3]))


def dense(b: Builder, x: Value) -> Value:
    flat = b.add("flat", Reshape((1, x.type.size)), x)
    rng = np.random.default_rng(3)
    return b.add("dense", FullyConnected(), flat, normal(rng, 5, x.type.size), normal(rng, 5))


def two(b: Builder, x: Value) -> Value:
    return b.add("sum", Add(), conv(b, x), no_bias_beside(b, x))


def no_bias_beside(b: Builder, x: Value) -> Value:
    return b.add("beside", Conv2D(), x, normal(np.random.default_rng(4), 4, 3, 3, x.shape[3]))


def rescaled(layer: Layer, a: Array, c: Array | None, channels: int = 3) -> Graph:
    b = Builder(1, 8, 8, channels)
    y = b.add("scale", Mul(), b.x, a)
    y = y if c is None else b.add("offset", Add(), y, c)
    return b.graph(layer(b, y))


PER_CHANNEL = (number(0.02, 0.015, 0.018), number(-2.1, -2.0, -1.8))


def pixels(count: int, channels: int = 3, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 8, 8, channels)).astype(np.float32)
    images[0].flat[:2] = 0, 255
    return images


def require_same(graph: Graph, other: Graph) -> None:
    for image in pixels(3, graph.inputs[0].shape[3], seed=5):
        wanted, found = (evaluate(g, (image[None],))[0] for g in (graph, other))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        (rescaled(conv, number(1 / 127.5), number(-1)), ["conv2d"]),
        (rescaled(no_bias, number(1 / 127.5), number(-1)), ["conv2d"]),
        (rescaled(depthwise, number(1 / 127.5), number(-1)), ["depthwise_conv2d"]),
        (rescaled(dense, number(1 / 255), number(-0.5)), ["reshape", "fully_connected"]),
        (rescaled(two, number(1 / 127.5), number(-1)), ["conv2d", "conv2d", "add"]),
        (rescaled(conv, *PER_CHANNEL), ["conv2d"]),
        (rescaled(depthwise, *PER_CHANNEL), ["depthwise_conv2d"]),
        # zeros of the padding are zeros of the scaled image, too
        (rescaled(padded_conv, number(1 / 255), None), ["conv2d"]),
        # and here they are not: one addition is left
        (rescaled(padded_conv, number(1 / 127.5), number(-1)), ["add", "conv2d"]),
        (rescaled(padded_conv, *PER_CHANNEL), ["add", "conv2d"]),
    ],
)  # fmt: skip
def test_folded(graph: Graph, left: list[str]) -> None:
    """The same function of the same input."""
    folded = graph.copy()
    assert fold_inputs(folded)
    folded.verify()
    assert [node.op.name for node in folded.nodes] == left
    assert [(v.name, v.type) for v in folded.inputs] == [(v.name, v.type) for v in graph.inputs]
    require_same(graph, folded)


def test_subtractions_and_longer_chains() -> None:
    b = Builder(1, 8, 8, 3)
    y = b.add("less", Sub(), b.x, number(100, 110, 120))
    y = b.add("scaled", Mul(), y, number(0.01))
    y = b.add("turned", Sub(), number(1.5), y)
    graph = b.graph(conv(b, y))
    folded = graph.copy()
    assert "sub 'less', mul 'scaled', sub 'turned'" in fold_inputs(folded)[0]
    assert [node.op.name for node in folded.nodes] == ["conv2d"]
    require_same(graph, folded)


def _not_finite(b: Builder) -> Value:
    return conv(b, b.add("scale", Mul(), b.x, number(np.inf)))


def _zero(b: Builder) -> Value:
    return conv(b, b.add("scale", Mul(), b.x, number(0)))


def _far_apart(b: Builder) -> Value:
    return conv(b, b.add("scale", Mul(), b.x, number(0.001, 0.1, 1)))


def _activated(b: Builder) -> Value:
    return conv(b, b.add("scale", Mul(act="relu6"), b.x, number(0.1)))


def _for_each_row(b: Builder) -> Value:
    return conv(b, b.add("scale", Mul(), b.x, np.full((8, 1, 1), 0.1, np.float32)))


def _computed(b: Builder) -> Value:
    return conv(b, b.add("square", Mul(), b.x, b.x))


def _read_by_others(b: Builder) -> Value:
    y = b.add("scale", Mul(), b.x, number(0.1))
    return b.add("sum", Add(), conv(b, y), no_bias_beside(b, b.add("relu", Relu(), y)))


def _padded_offset_alone(b: Builder) -> Value:
    return conv(b, b.add("offset", Add(), b.x, number(-1)), 1)


def _flat_channels(b: Builder) -> Value:
    return dense(b, b.add("scale", Mul(), b.x, PER_CHANNEL[0]))


@pytest.mark.parametrize(
    "make",
    [
        _not_finite, _zero, _far_apart, _activated, _for_each_row, _computed, _read_by_others, _padded_offset_alone,
        _flat_channels,
    ],
)  # fmt: skip
def test_kept(make: Callable[[Builder], Value]) -> None:
    b = Builder(1, 8, 8, 3)
    graph = b.graph(make(b))
    before = list(graph.nodes)
    assert fold_inputs(graph) == []
    assert graph.nodes == before


@pytest.mark.parametrize(("edge", "zero"), [("uint8", 0), ("int8", -128)])
def test_pixels_go_into_the_first_layer(edge: str, zero: int) -> None:
    """Bytes of pixels are the input, at scale 1; no node but the change of type stands before the layer."""
    graph = rescaled(conv, number(1 / 127.5), number(-1))
    made = quantize_graph(
        graph, samples_of(pixels(32), graph.inputs), parse_recipe(f"int8 input={edge} output=float32")
    )
    x = made.graph.inputs[0]
    assert (x.dtype.value, x.q.s, x.q.zp) == (edge, 1.0, zero)
    assert [node.op.name for node in made.graph.nodes] == [*["quantize"] * (edge == "uint8"), "conv2d", "dequantize"]
    model = chipfit.Model(made.graph)
    for image in pixels(4, seed=9):
        stored = (image[None] + zero).astype(x.dtype.numpy)
        wanted, found = evaluate(graph, (image[None],))[0], model.run(stored)[0]
        assert np.abs(found - wanted).max() < 0.03 * float(np.abs(wanted).max())


def test_it_is_not_worse_than_with_its_own_layers() -> None:
    """Two roundings less: the signal is farther above the noise."""
    scaled = rescaled(conv, number(1 / 127.5), number(-1))
    plain = Builder(1, 8, 8, 3)
    direct = plain.graph(conv(plain, plain.x))
    samples = pixels(32)
    folded = quantize_graph(scaled, samples_of(samples, scaled.inputs)).report.sqnr
    wanted = quantize_graph(direct, samples_of(samples / np.float32(127.5) - 1, direct.inputs)).report.sqnr
    assert folded > wanted - 1.0


def test_c_that_takes_pixels() -> None:
    graph = rescaled(conv, number(1 / 255), None)
    made = quantize_graph(graph, samples_of(pixels(16), graph.inputs), parse_recipe("int8 input=uint8"))
    report = chipfit.Model(made.graph).verify(2, oracles=False)
    assert report.passed


@pytest.mark.parametrize(("padding", "left"), [("valid", ["conv2d"]), ("same", ["add", "conv2d"])])
def test_a_keras_model_takes_pixels(padding: str, left: list[str]) -> None:
    from importers.keras_nets import keras_or_skip, randomise

    keras: Any = keras_or_skip()
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 127.5, -1.0), keras.layers.Conv2D(4, 3, padding=padding, name="conv")]
    model = randomise(keras.Sequential([keras.Input((8, 8, 3), name="image"), *layers]), 1)
    graph = chipfit.load(model).graph
    made = quantize_graph(graph, samples_of(pixels(16), graph.inputs), parse_recipe("int8 input=uint8"))
    assert [node.op.name for node in made.graph.nodes] == ["quantize", *left]
    x = made.graph.inputs[0]
    assert (x.name, x.dtype.value, x.q.s, x.q.zp) == ("image", "uint8", 1.0, 0)
    image = pixels(16)[:1]  # one that is inside of the ranges that were seen
    wanted = np.asarray(keras.ops.convert_to_numpy(model(image)))
    stored = chipfit.Model(made.graph).run(image.astype(np.uint8))[0].astype(np.float32)
    y = made.graph.outputs[0].q
    assert np.abs((stored - y.zp) * y.s - wanted).max() < 0.03 * float(np.abs(wanted).max())
