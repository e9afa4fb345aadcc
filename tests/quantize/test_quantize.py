"""Whole graphs: every step helps where it should, edges, shared ranges, hard numbers, and errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType, Graph, Value
from chipfit.interpret import evaluate, trace
from chipfit.ops.cast import Cast
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.log_softmax import LogSoftmax
from chipfit.ops.mean import Mean
from chipfit.ops.softmax import Softmax
from chipfit.quantize import Quantized, parse_recipe, quantize_graph, samples_of
from chipfit.quantize.calibrate import HEADROOM
from chipfit.quantize.measure import agreement, signal_to_noise
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.prepare import judged
from oracles import needs_litert, needs_tflm
from quantize.nets import Builder, joined, mobile, normal, pictures

NOTHING = "int8 -equalize -reconstruct -bias -match -pool"


def run(graph: Graph, recipe: str = "int8", count: int = 24, seed: int = 1) -> Quantized:
    samples = samples_of(pictures(np.random.default_rng(seed), count), graph.inputs)
    return quantize_graph(graph, samples, parse_recipe(recipe))


def logits(graph: Graph, images: Array) -> Array:
    """Real numbers that the network is judged by, of float and int8 graphs."""
    target, rows = judged(graph), list[Array]()
    for image in images:
        x = image if graph.inputs[0].dtype.is_float else quantize_array(image, graph.inputs[0].q)
        y = trace(graph, [x])[target]
        rows.append(y if target.dtype.is_float else dequantize_array(y, target.q))
    return np.stack(rows)


NETS = 5


@cache
def sqnr(recipe: str) -> float:
    """The mean over several networks, on images that were not calibrated with."""
    images, figures = pictures(np.random.default_rng(77), 16), list[float]()
    for seed in range(NETS):
        graph = mobile(np.random.default_rng(seed))
        figures.append(signal_to_noise(logits(graph, images), logits(run(graph, recipe).graph, images)))
    return float(np.mean(figures))


@pytest.fixture(scope="module")
def net() -> Graph:
    return mobile(np.random.default_rng(0))


def test_bias_correction_pays() -> None:
    assert sqnr(f"{NOTHING} +bias") > sqnr(NOTHING) + 1.5


def test_the_default_is_better_than_plain_rounding() -> None:
    assert sqnr("int8") > sqnr(NOTHING) + 3.0


def test_reconstruction_pays() -> None:
    assert sqnr(f"{NOTHING} +bias +reconstruct") > sqnr(f"{NOTHING} +bias") + 0.5


@pytest.mark.parametrize("step", ["equalize", "match", "pool"])
def test_no_step_does_harm(step: str) -> None:
    """Beyond what a choice on 24 pictures can be off."""
    assert sqnr(f"{NOTHING} +bias +{step}") > sqnr(f"{NOTHING} +bias") - 1.0


def test_biases_meet_the_float_mean_of_every_layer(net: Graph) -> None:
    """The mean of each channel, before the activation, is that of the float model within the rounding of the bias."""
    graph = mobile(np.random.default_rng(0), act="none")
    images = pictures(np.random.default_rng(1), 24)
    integer = run(graph, f"{NOTHING} +bias ranges=minmax").graph
    for name in ("conv", "depthwise", "pointwise"):
        expected, actual = (mean_of(g, name, images) for g in (graph, integer))
        step = next(v for v in integer.values() if v.name == name).q.s
        np.testing.assert_allclose(actual, expected, atol=0.06 * step)


def mean_of(graph: Graph, name: str, images: Array) -> Array:
    value = next(v for v in graph.values() if v.name == name)
    rows: list[Array] = []
    for image in images:
        x = image if graph.inputs[0].dtype.is_float else quantize_array(image, graph.inputs[0].q)
        y = trace(graph, [x])[value]
        rows.append(y if value.dtype.is_float else dequantize_array(y, value.q))
    return np.stack(rows).reshape(-1, value.shape[-1]).mean(axis=0, dtype=np.float64)


def test_the_float_graph_stays_as_it_is(net: Graph) -> None:
    before = {v.name: (v.type, None if v.data is None else v.data.copy()) for v in net.values()}
    run(net)
    for value in net.values():
        type_, data = before[value.name]
        assert value.type == type_
        if data is not None and value.data is not None:
            np.testing.assert_array_equal(data, value.data)


def test_two_runs_are_equal(net: Graph) -> None:
    assert to_tflite(run(net).graph) == to_tflite(run(net).graph)


@pytest.mark.parametrize(
    "recipe",
    [
        "int8",
        "int8 input=uint8 output=uint8",
        "int8 input=float32 output=float32",
        "int8 weights=tensor ranges=entropy",
    ],
)
@needs_tflm
@needs_litert
def test_edges_and_foreign_interpreters(net: Graph, recipe: str) -> None:
    graph = run(net, recipe).graph
    source, images = graph.inputs[0], pictures(np.random.default_rng(5), 4)
    assert (source.name, graph.outputs[0].name) == ("x", "probabilities")
    options = parse_recipe(recipe)
    assert (source.dtype.value, graph.outputs[0].dtype.value) == (options.input or "int8", options.output or "int8")
    if source.dtype is DType.UINT8:
        inner = graph.nodes[0].outputs[0].q
        assert (source.q.s, source.q.zp) == (inner.s, inner.zp + 128)
    given = [[_stored(source, image)] for image in images]
    expected = [evaluate(graph, sample) for sample in given]
    model = to_tflite(graph)
    for results in (oracle.tflm_run(model, given), oracle.litert_run(model, given)):
        for mine, its in zip(expected, results, strict=True):
            np.testing.assert_array_equal(mine[0], its[0])
    real = np.stack([_real(graph.outputs[0], y[0]) for y in expected])
    floats = np.stack([evaluate(net, [image])[0] for image in images])
    assert np.abs(real - floats).max() < 0.05
    assert agreement(floats, real) == 1.0


def _stored(value: Value, x: Array) -> Array:
    if value.dtype.is_float:
        return x
    return np.clip(np.rint(x / value.q.s) + value.q.zp, *value.dtype.range).astype(value.dtype.numpy)


def _real(value: Value, y: Array) -> Array:
    return y if value.dtype.is_float else dequantize_array(y, value.q)


def test_what_meets_in_a_concatenation_shares_a_range() -> None:
    graph = joined(np.random.default_rng(2))
    x = np.random.default_rng(3).normal(0, 1, (20, 1, 6, 6, 2)).astype(np.float32)
    result = quantize_graph(graph, samples_of(x, graph.inputs)).graph
    values = {v.name: v for v in result.values()}
    assert values["left"].q == values["right"].q == values["all"].q == values["gate/rescaled"].q
    assert (values["gate"].q.s, values["gate"].q.zp) == (1 / 256, -128)
    expected = np.stack([evaluate(graph, [i])[0] for i in x])
    actual = np.stack([evaluate(result, [quantize_array(i, result.inputs[0].q)])[0] for i in x])
    # the right convolution is ten times smaller than the left: it pays for the shared range
    assert signal_to_noise(expected, dequantize_array(actual, values["all"].q)) > 30.0


def test_equalization_fills_the_range(net: Graph) -> None:
    """Channels below the clamp are scaled up to it, so that the depthwise layer reads all 8 bits."""
    images = pictures(np.random.default_rng(1), 24)
    plain, equal = (run(net, f"{NOTHING} {option}").graph for option in ("-equalize", "+equalize"))
    assert greatest_integers(plain, images).min() < 60
    assert greatest_integers(equal, images).min() > 120


def greatest_integers(graph: Graph, images: Array) -> Array:
    value = next(v for v in graph.values() if v.name == "conv")
    rows = [trace(graph, [quantize_array(i, graph.inputs[0].q)])[value] for i in images]
    return np.stack(rows).reshape(-1, value.shape[-1]).max(axis=0)


def test_the_pooled_image_can_get_its_own_range(net: Graph) -> None:
    result = run(net, "int8")
    pool = next(n for n in result.graph.nodes if n.name == "pool")
    scores = next(note for note in result.report.notes if "its own" in note)
    own = float(scores.split("range, ")[1].split(" dB")[0])
    same = float(scores.split(": ")[1].split(" dB")[0])
    assert isinstance(pool.op, Mean) == (own > same)
    assert result.report.sqnr == pytest.approx(max(own, same), abs=0.01)
    assert not isinstance(next(n for n in run(net, NOTHING).graph.nodes if n.name == "pool").op, Mean)


def test_what_nothing_bounds_gets_headroom(net: Graph) -> None:
    """Other samples go beyond these; a clamp and an explicit method leave none."""
    auto, asked = (named_values(run(net, recipe).graph) for recipe in ("int8", "int8 ranges=minmax"))
    assert auto["logits"].q.s == pytest.approx(HEADROOM * asked["logits"].q.s, rel=1e-5)
    assert auto["conv"].q.s == asked["conv"].q.s
    assert auto["x"].q.s == asked["x"].q.s


def named_values(graph: Graph) -> dict[str, Value]:
    return {v.name: v for v in graph.values()}


def test_rules_apply_to_layers_by_name(net: Graph) -> None:
    graph = run(net, "int8 ; point*: weights=tensor ; second: ranges=percentile:60").graph
    values = {v.name: v for v in graph.values()}
    assert values["pointwise/1"].q.axis is None
    assert values["depthwise/1"].q.axis == 3
    assert values["second"].q.s < 0.75 * next(v for v in run(net).graph.values() if v.name == "second").q.s


# ---------------------------------------------------------------------------------------------- hard numbers


def dense(w: Array, b: Array) -> Graph:
    net = Builder(1, w.shape[1])
    return net.graph(net.add("y", FullyConnected(), net.x, w, b))


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1e-9, 0.0), (1e-9, 1.0), (1e9, -1e9), (1.0, 1e6), (0.0, 0.0), (0.0, 2.0)],
    ids=["tiny", "tiny beside a bias", "huge", "lost in a bias", "zeros", "a constant"],
)
def test_extreme_weights(scale: float, offset: float) -> None:
    rng = np.random.default_rng(4)
    graph = dense(normal(rng, 3, 6, scale=1.0) * np.float32(scale), np.full(3, offset, np.float32))
    x = rng.normal(0, 1, (30, 1, 6)).astype(np.float32)
    result = quantize_graph(graph, samples_of(x, graph.inputs)).graph
    expected = np.stack([evaluate(graph, [i])[0] for i in x])
    actual = np.stack([evaluate(result, [quantize_array(i, result.inputs[0].q)])[0] for i in x])
    out = result.outputs[0].q
    assert np.abs(dequantize_array(actual, out) - expected).max() <= 3 * out.s
    assert np.abs(expected).max() <= 256 * out.s


def test_a_channel_of_zeros_beside_others() -> None:
    graph = mobile(np.random.default_rng(0))
    graph.nodes[0].inputs[1].data[2] = 0.0  # type: ignore[union-attr,index]
    graph.nodes[1].inputs[1].data[..., 3] = 0.0  # type: ignore[union-attr,index]
    images = pictures(np.random.default_rng(9), 8)
    result = run(graph).graph
    assert all(s > 0 for v in result.values() if v.type.quant for s in v.q.scale)
    assert signal_to_noise(logits(graph, images), logits(result, images)) > 20.0


@pytest.mark.parametrize("op", [Softmax(), Softmax(beta=0.5), LogSoftmax()], ids=lambda op: op.name)
@pytest.mark.parametrize("size", [1e-6, 1e-9])
def test_logits_that_hardly_differ(op: Softmax | LogSoftmax, size: float) -> None:
    """Their scale is one that the kernels take, and all classes are as likely."""
    b, rng = Builder(1, 6), np.random.default_rng(3)
    z = b.add("logits", FullyConnected(), b.x, normal(rng, 3, 6, scale=size), np.zeros(3, np.float32))
    x = normal(rng, 8, 1, 6, scale=1.0)
    graph = b.graph(b.add("chances", op, z))
    made = quantize_graph(graph, samples_of(x, graph.inputs))
    node = next(n for n in made.graph.nodes if n.op.name == op.name)
    assert node["x"].q.s * (op.beta if isinstance(op, Softmax) else 1.0) > 2.0**-26
    stored = evaluate(made.graph, [np.zeros((1, 6), np.int8)])[0]
    assert len(set(stored.ravel().tolist())) == 1


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_constant_samples(level: float) -> None:
    """Nothing is known of other inputs, but what was seen must come out right, and a note says so."""
    graph = mobile(np.random.default_rng(0))
    x = np.full((4, 1, 12, 12, 3), level, np.float32)
    result = quantize_graph(graph, samples_of(x, graph.inputs))
    assert any("'x' is" in note and "no width" in note for note in result.report.notes)
    expected = logits(graph, x)
    assert np.abs(logits(result.graph, x) - expected).max() < 0.05 * np.abs(expected).max()


# ---------------------------------------------------------------------------------------------- errors


def bad(array: Array, index: Sequence[int], value: float) -> Array:
    array = array.copy()
    array[tuple(index)] = value
    return array


IMAGES = pictures(np.random.default_rng(0), 3)


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        (np.zeros((0, 1, 12, 12, 3), np.float32), "Q001", "no samples"),
        ([], "Q001", "no samples"),
        (bad(IMAGES, (1, 0, 0, 0, 0), np.nan), "Q002", "sample 1"),
        (bad(IMAGES, (2, 0, 0, 0, 0), -np.inf), "Q002", "sample 2"),
        (np.zeros((3, 1, 12, 12, 4), np.float32), "I001", "12, 12, 4"),
        ([np.zeros((1, 12, 12, 3)), np.zeros((1, 12, 3))], "I001", "different shapes"),
        ([(IMAGES[0], IMAGES[0])], "I001", "1 inputs"),
        ({"z": IMAGES}, "I003", "x"),
        (np.array([["a"]]), "Q002", "no numbers"),
        ("absent.npz", "I004", "absent.npz"),
    ],
)
def test_bad_samples(net: Graph, source: object, code: str, says: str) -> None:
    with pytest.raises(ChipfitError) as error:
        samples_of(source, net.inputs)  # type: ignore[arg-type]
    assert error.value.code == code
    assert says in error.value.message


def test_samples_that_make_the_model_infinite(net: Graph) -> None:
    graph = dense(np.full((2, 4), 1e30, np.float32), np.zeros(2, np.float32))
    samples = samples_of(np.full((2, 1, 4), 1e30, np.float32), graph.inputs)
    with pytest.raises(ChipfitError) as error:
        quantize_graph(graph, samples)
    assert error.value.code == "Q002"
    assert "'y' is not finite" in error.value.message


def test_a_model_that_is_quantized_already(net: Graph) -> None:
    integer = run(net).graph
    with pytest.raises(ChipfitError) as error:
        quantize_graph(integer, samples_of(IMAGES, net.inputs))
    assert error.value.code == "Q004"
    assert "quantized already" in error.value.message


def test_weights_that_are_no_numbers(net: Graph) -> None:
    graph = dense(np.full((2, 4), np.nan, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ChipfitError) as error:
        quantize_graph(graph, samples_of(np.ones((2, 1, 4), np.float32), graph.inputs))
    assert error.value.code == "Q004"
    assert "'y/1'" in error.value.message


def test_every_operator_without_an_int8_form_is_named() -> None:
    b = Builder(1, 4)
    y = b.add("dense", FullyConnected(), b.x, np.ones((4, 4), np.float32))
    graph = b.graph(b.add("second", Cast(), b.add("first", Cast(), y)))
    with pytest.raises(ChipfitError) as error:
        quantize_graph(graph, samples_of(np.ones((2, 1, 4), np.float32), graph.inputs))
    assert error.value.code == "Q004"
    assert all(f"cast '{name}' has no int8 form" in error.value.message for name in ("first", "second"))


def test_dtypes_are_int8_throughout(net: Graph) -> None:
    assert {v.dtype for v in run(net).graph.values()} == {DType.INT8, DType.INT32}
