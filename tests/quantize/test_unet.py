"""Transposed convolutions are layers with weights to the quantizer: sums, columns, and a small U-Net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType, Graph, Node
from chipfit.importers import load_tflite
from chipfit.interpret import evaluate
from chipfit.ops import REGISTRY, op_of, random_input
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.transpose_conv import TransposeConv
from chipfit.passes import PIPELINE
from chipfit.quantize import parse_recipe, quantize_graph, samples_of
from chipfit.quantize.layers import Layer, activated
from chipfit.quantize.measure import signal_to_noise
from chipfit.quantize.parameters import dequantize_array, quantize_array
from oracles import litert_run, needs_litert, needs_tflm, tflm_run
from quantize.nets import Builder, normal

SIDE = 12
SAME, AFTER = (1, 1, 1, 1), (0, 0, 1, 1)


def unet(rng: np.random.Generator) -> Graph:
    """Two levels down and up again; each level's image is put beside what comes up: kernels of 2 and 3, stride 2."""
    b = Builder(1, SIDE, SIDE, 2)
    top = b.add("top", Conv2D(pad=SAME, act="relu"), b.x, normal(rng, 6, 3, 3, 2), normal(rng, 6))
    low = b.add("low", MaxPool2D(kernel=(2, 2), stride=(2, 2)), top)
    middle = b.add("middle", Conv2D(pad=SAME, act="relu"), low, normal(rng, 8, 3, 3, 6), normal(rng, 8))
    lower = b.add("lower", MaxPool2D(kernel=(2, 2), stride=(2, 2)), middle)
    bottom = b.add("bottom", Conv2D(pad=SAME, act="relu"), lower, normal(rng, 10, 3, 3, 8), normal(rng, 10))
    # output channels of very different sizes, for which one scale would not do
    w = normal(rng, 8, 3, 3, 10) * (10.0 ** np.linspace(-2, 0, 8)).reshape(8, 1, 1, 1)
    up = b.add("up", TransposeConv((2, 2), AFTER), bottom, w.astype(np.float32), normal(rng, 8, scale=0.05))
    beside = b.add("beside", Concatenation(axis=3), up, middle)
    mixed = b.add("mixed", Conv2D(pad=SAME, act="relu"), beside, normal(rng, 6, 3, 3, 16), normal(rng, 6))
    high = b.add("high", TransposeConv((2, 2), act="relu"), mixed, normal(rng, 6, 2, 2, 6), normal(rng, 6))
    last = b.add("last", Concatenation(axis=3), high, top)
    return b.graph(b.add("mask", Conv2D(), last, normal(rng, 1, 1, 1, 12), normal(rng, 1)))


def pictures(rng: np.random.Generator, count: int) -> list[Array]:
    slopes = rng.normal(0.0, 0.2, (count, 1, 1, 1, 2)) * np.arange(SIDE)[:, None, None]
    return list((slopes + rng.normal(0.0, 0.3, (count, 1, SIDE, SIDE, 2))).astype(np.float32))


def quantized(graph: Graph, recipe: str, seed: int = 1) -> Graph:
    samples = [[x] for x in pictures(np.random.default_rng(seed), 24)]
    return quantize_graph(graph, samples_of(samples, graph.inputs), parse_recipe(recipe)).graph


def sqnr(graph: Graph, integer: Graph, seed: int = 2) -> float:
    """Of the first output on fresh samples, dB."""
    wanted: list[Array] = []
    found: list[Array] = []
    for x in pictures(np.random.default_rng(seed), 16):
        wanted.append(evaluate(graph, [x])[0])
        stored = quantize_array(x, integer.inputs[0].q, integer.inputs[0].dtype)
        found.append(dequantize_array(evaluate(integer, [stored])[0], integer.outputs[0].q))
    return signal_to_noise(np.stack(wanted), np.stack(found))


# ---------------------------------------------------------------------------------------------- layers


def float_nodes() -> list[Node]:
    nodes = REGISTRY["transpose_conv"].samples(np.random.default_rng(2))
    return [n for n in nodes if n["x"].dtype is DType.FLOAT32 and n["x"].shape[0] == 1]


@pytest.mark.parametrize("node", float_nodes(), ids=lambda n: str(n.op))
def test_sums_and_columns_are_those_of_the_operator(node: Node) -> None:
    rng, layer = np.random.default_rng(4), Layer(node)
    x = np.stack([random_input(rng, node["x"].type)[0] for _ in range(3)])
    w = node["w"].array
    wanted = [op_of(node).eval_float(node, image[None], w)[0] for image in x]  # type: ignore[index]
    sums = layer.sums(x, w)
    np.testing.assert_allclose(activated(node, sums), np.stack(wanted), rtol=0, atol=1e-5)
    drawn = np.arange(0, sums[..., 0].size, 2)
    columns = layer.sampled_columns(x, drawn, 0.0)
    rows = layer.rows_of(w)
    assert columns.shape == (1, len(drawn), rows.shape[2])
    np.testing.assert_allclose(columns[0] @ rows[0].T, sums.reshape(-1, layer.channels)[drawn], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(layer.weights_of(rows), w)


def test_what_no_input_is_put_down_on_is_filled() -> None:
    """Padding and what lies between neighbours is the zero point: it counts as the real number 0."""
    node = next(n for n in float_nodes() if n.op.attributes()["stride"] == (2, 2))
    x = np.full(node["x"].shape, 7.0, np.float32)
    columns = Layer(node).sampled_columns(x, np.arange(node["y"].shape[1] * node["y"].shape[2]), -3.0)
    assert set(np.unique(columns)) == {-3.0, 7.0}


# ---------------------------------------------------------------------------------------------- a small U-Net


def test_integers_are_near_the_float_model() -> None:
    graph = unet(np.random.default_rng(8))
    assert sqnr(graph, quantized(graph, "int8")) > 23
    assert sqnr(graph, quantized(graph, "int16x8")) > 40


def layer_alone(rng: np.random.Generator) -> Graph:
    """A transposed convolution with one large tap, and output channels of very different sizes."""
    b = Builder(1, SIDE, SIDE, 2)
    w = normal(rng, 6, 3, 3, 2) * (10.0 ** np.linspace(-2, 0, 6)).reshape(6, 1, 1, 1)
    w[:, 1, 1, 0] *= 30
    return b.graph(b.add("up", TransposeConv((2, 2), AFTER), b.x, w.astype(np.float32), normal(rng, 6, scale=0.01)))


@pytest.mark.parametrize("seed", [8, 9, 10])
def test_what_the_quantizer_does_for_layers_helps_this_one(seed: int) -> None:
    """Activations of 16 bits, so that the noise is that of the weights."""
    graph = layer_alone(np.random.default_rng(seed))
    plain, one_scale, columns, learnt = (
        sqnr(graph, quantized(graph, f"int16x8 -bias -match {recipe}"))
        for recipe in ("-reconstruct", "-reconstruct weights=tensor", "", "-reconstruct +adaround")
    )
    assert plain > one_scale + 3
    assert columns > plain + 2
    assert learnt > plain + 1


def test_every_transposed_convolution_has_a_scale_for_each_channel() -> None:
    integer = quantized(unet(np.random.default_rng(8)), "int8")
    layers = [n for n in integer.nodes if isinstance(n.op, TransposeConv)]
    assert len(layers) == 2
    for node in layers:
        assert (node["w"].dtype, node["b"].dtype) == (DType.INT8, DType.INT32)
        assert node["w"].q.axis == 0
        assert len(set(node["w"].q.scale)) == node["w"].shape[0]


@pytest.mark.parametrize("mode", ["float16", "dynamic"])
def test_small_weights_leave_it_in_float32(mode: str) -> None:
    result = quantized(unet(np.random.default_rng(8)), mode)
    assert all(n["w"].dtype is DType.FLOAT32 for n in result.nodes if isinstance(n.op, TransposeConv))


def test_a_file_gives_the_same_layers_again() -> None:
    """An activation is an operator of its own in the file, and becomes part of the layer again; no bytes change."""
    integer = quantized(unet(np.random.default_rng(8)), "int8")
    again, x = load_tflite(to_tflite(integer), "again"), random_input(np.random.default_rng(3), integer.inputs[0].type)
    assert "relu" in [n.op.name for n in again.nodes]
    PIPELINE.run(again)
    assert [n.op.name for n in again.nodes] == [n.op.name for n in integer.nodes]
    np.testing.assert_array_equal(evaluate(again, [x])[0], evaluate(integer, [x])[0])


@needs_tflm
@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_the_same_bytes_on_tflite_micro(recipe: str) -> None:
    check_bytes(quantized(unet(np.random.default_rng(8)), recipe), tflm_run)


@needs_litert
@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_the_same_bytes_on_litert(recipe: str) -> None:
    check_bytes(quantized(unet(np.random.default_rng(8)), recipe), litert_run)


def check_bytes(integer: Graph, run: Any) -> None:
    """Before the passes and after them, which move activations and padding about."""
    model, rng = to_tflite(integer), np.random.default_rng(3)
    PIPELINE.run(integer)
    for _ in range(3):
        x = random_input(rng, integer.inputs[0].type)
        (found,) = run(model, [x])
        np.testing.assert_array_equal(found, evaluate(integer, [x])[0])
