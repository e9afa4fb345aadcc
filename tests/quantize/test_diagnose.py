"""The debugger's figures: against figures that are computed another way, and where faults are planted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chipfit.graph import Array, Graph, Node
from chipfit.interpret import trace
from chipfit.quantize import Quantized, Samples, parse_recipe, quantize_graph, samples_of
from chipfit.quantize.diagnose import Diagnosis, Histogram, TensorDetails, diagnose
from chipfit.quantize.measure import signal_to_noise
from chipfit.quantize.parameters import dequantize_array, quantize_array
from quantize.nets import joined, mobile, pictures

IMAGES = pictures(np.random.default_rng(1), 32)


def quantized(graph: Graph, recipe: str = "int8 -equalize", x: Array = IMAGES) -> tuple[Quantized, Samples]:
    samples = samples_of(x, graph.inputs)
    return quantize_graph(graph, samples, parse_recipe(recipe)), samples


def node(graph: Graph, name: str) -> Node:
    return next(n for n in graph.nodes if n.name == name)


def by_name(found: Diagnosis) -> dict[str, TensorDetails]:
    return {t.name: t for t in found.tensors}


@pytest.fixture(scope="module")
def net() -> Graph:
    return mobile(np.random.default_rng(0))


@pytest.fixture(scope="module")
def made(net: Graph) -> Quantized:
    return quantized(net)[0]


@pytest.fixture(scope="module")
def found(net: Graph) -> Diagnosis:
    return diagnose(*quantized(net))


def both_sides(net: Graph, made: Quantized, name: str) -> tuple[Array, Array]:
    """A tensor of both networks by their definitions, sample after sample."""
    floats = {v.name: v for v in net.values()}
    integers = {v.name: v for v in made.graph.values()}
    exact = np.stack([trace(net, [x])[floats[name]] for x in IMAGES])
    source, value = made.graph.inputs[0], integers[name]
    stored = np.stack([trace(made.graph, [quantize_array(x, source.q)])[value] for x in IMAGES])
    return exact, dequantize_array(stored, value.q)


@pytest.mark.parametrize("name", ["conv", "depthwise", "residual", "pool", "logits"])
def test_noise_in_the_network_is_that_of_its_integers(net: Graph, made: Quantized, found: Diagnosis, name: str) -> None:
    exact, stored = both_sides(net, made, name)
    assert by_name(found)[name].sqnr == pytest.approx(signal_to_noise(exact, stored), abs=0.01)
    if name == "logits":
        assert (found.judged, found.sqnr) == (name, by_name(found)[name].sqnr)


def test_rounding_alone_is_that_of_the_float_tensor(net: Graph, made: Quantized, found: Diagnosis) -> None:
    for name in ("x", "conv", "second"):
        exact, _ = both_sides(net, made, name)
        quant = next(v for v in made.graph.values() if v.name == name).q
        rounded = dequantize_array(quantize_array(exact, quant), quant)
        assert by_name(found)[name].rounding == pytest.approx(signal_to_noise(exact, rounded), abs=0.01)
        assert by_name(found)[name].seen_low == pytest.approx(float(exact.min()))
        assert by_name(found)[name].seen_high == pytest.approx(float(exact.max()))


def test_the_simulation_is_near_the_integers(found: Diagnosis) -> None:
    assert found.simulated == pytest.approx(found.sqnr, abs=1.0)


def test_every_rounding_is_ranked_once(found: Diagnosis) -> None:
    ranked = [(s.name, s.part) for s in found.ranking]
    layers = {(n, "weights") for n in ("conv", "depthwise", "pointwise", "second", "logits")}
    tensors = {(n, "tensor") for n in ("x", "conv", "depthwise", "pointwise", "second", "residual", "pool", "logits")}
    assert set(ranked) == layers | tensors  # a reshaped tensor is a copy: its rounding does nothing
    assert len(ranked) == len(set(ranked))
    decibels = [s.sqnr for s in found.ranking if s.sqnr is not None]
    assert decibels == sorted(decibels)


def test_the_layer_that_loses_is_told_from_those_that_inherit(net: Graph) -> None:
    """A range that is cut at half of the elements: its tensor is the cause, the layers behind only inherit."""
    found = diagnose(*quantized(net, "int8 -equalize -pool ; pointwise: ranges=percentile:70"))
    tensors = by_name(found)
    assert (found.ranking[0].name, found.ranking[0].part) == ("pointwise", "tensor")
    cause, heir = tensors["pointwise"], tensors["second"]
    assert cause.inherited is not None
    assert cause.sqnr is not None
    assert cause.inherited > cause.sqnr + 10
    assert cause.made is not None
    assert cause.made > 0.9
    assert heir.inherited == pytest.approx(heir.sqnr, abs=1.0)
    assert heir.made is not None
    assert heir.made < 0.2
    exact, _ = both_sides(net, quantized(net, "int8")[0], "pointwise")
    assert cause.high is not None
    assert cause.clipped == pytest.approx(float((exact > cause.high).mean()), abs=0.02)


def test_weights_that_lose_are_told_from_activations(net: Graph) -> None:
    graph = mobile(np.random.default_rng(0))
    node(graph, "pointwise")["w"].array[3] *= 50
    node(graph, "pointwise")["b"].array[3] = 3
    found = diagnose(*quantized(graph, "int8 -equalize ; pointwise: weights=tensor"))
    better = diagnose(*quantized(graph, "int8 -equalize"))
    left, of_channels = (
        {s.part: s.sqnr or math.inf for s in d.ranking if s.name == "pointwise"} for d in (found, better)
    )
    assert left["weights"] < of_channels["weights"] - 6
    assert left["tensor"] == pytest.approx(of_channels["tensor"], abs=0.01)
    weights = by_name(found)["pointwise"].weights
    assert weights is not None
    assert (weights.dtype, weights.scales, weights.wide) == ("int8", 1, 1)
    assert weights.spread > 20
    others = by_name(found)["second"].weights
    assert others is not None
    assert (others.scales, others.wide) == (8, 0)


def test_dead_channels_are_counted() -> None:
    graph = mobile(np.random.default_rng(0))
    node(graph, "conv")["w"].array[[1, 4]] = 0
    tensors = by_name(diagnose(*quantized(graph)))
    assert (tensors["conv"].dead, tensors["conv"].channels) == (2, 8)


def test_what_is_shared_and_prescribed() -> None:
    """Tensors that share a grid are ranked each; what the concatenation makes of them is a copy."""
    graph = joined(np.random.default_rng(2))
    x = np.random.default_rng(3).normal(0, 1, (20, 1, 6, 6, 2)).astype(np.float32)
    found = diagnose(*quantized(graph, "int8", x))
    tensors = [s.name for s in found.ranking if s.part == "tensor"]
    assert sorted(tensors) == ["gate", "gate/rescaled", "left", "right", "x"]
    assert by_name(found)["all"].rounding is None


@pytest.mark.parametrize("recipe", ["int8 input=uint8 output=float32", "int8 input=float32"])
def test_edges_of_other_types(net: Graph, recipe: str) -> None:
    assert diagnose(*quantized(net, f"{recipe} -equalize")).sqnr == pytest.approx(diagnose(*quantized(net)).sqnr)


@pytest.mark.parametrize(
    "recipe", ["float16", "dynamic", "dynamic compute=integer", "int16x8", "int8 ; conv: activations=int16"]
)
def test_every_mode_is_explained(net: Graph, recipe: str) -> None:
    """In the order of the noise that each leaves; a layer with float activations loses by its weights alone."""
    made, samples = quantized(net, recipe)
    found = diagnose(made, samples)
    assert found.sqnr is not None
    assert found.sqnr == pytest.approx(made.report.sqnr, abs=1.0)
    parts = {s.part for s in found.ranking}
    assert parts == ({"weights"} if recipe.startswith(("float16", "dynamic")) else {"weights", "tensor"})
    lost = by_name(found)["conv"]
    assert lost.weights is not None
    assert (lost.weights.sqnr is None) == (lost.weights.dtype == "float32")


def test_constant_samples_are_no_error(net: Graph) -> None:
    found = diagnose(*quantized(net, "int8", np.zeros((3, 1, 12, 12, 3), np.float32)))
    assert all(t.sqnr is None or math.isfinite(t.sqnr) for t in found.tensors)
    assert {a.rule for a in found.advice} >= {"few_samples", "same_samples"}


def test_a_histogram_counts_each_element_once() -> None:
    histogram = Histogram.of(np.array([0.0, 1.0, 1.0, 4.0, -2.0]), -2.0, 4.0)
    assert sum(histogram.counts) == 5
    assert (histogram.counts[0], histogram.counts[-1], histogram.counts[16]) == (1, 1, 2)
    assert sum(Histogram.of(np.full(7, 3.0), 3.0, 3.0).counts) == 7
