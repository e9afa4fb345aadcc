"""Advice: each planted fault is named, and nothing else; a healthy network is told nothing; a gain is a gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from chipfit.graph import Array, Graph, Node
from chipfit.quantize import Range, Samples, parse_recipe, quantize_graph, samples_of
from chipfit.quantize.diagnose import Diagnosis, diagnose
from quantize.nets import mobile, pictures

PLAIN = "int8 -equalize -reconstruct -bias -match -pool"
IMAGES = pictures(np.random.default_rng(1), 100)
FLAT = np.broadcast_to(IMAGES.mean(axis=(1, 2, 3, 4), keepdims=True), IMAGES.shape).copy()


def node(graph: Graph, name: str) -> Node:
    return next(n for n in graph.nodes if n.name == name)


def healthy() -> Graph:
    return mobile(np.random.default_rng(0))


def one_wide_filter() -> Graph:
    graph = healthy()
    node(graph, "depthwise")["w"].array[..., 3] *= 40
    return graph


def uneven_channels() -> Graph:
    """Half of the channels use a thirtieth of relu6's range, which the depthwise layer makes up for."""
    graph = healthy()
    conv, depthwise = node(graph, "conv"), node(graph, "depthwise")
    conv["w"].array[:4] /= 30
    conv["b"].array[:4] /= 30
    depthwise["w"].array[..., :4] *= 30
    return graph


def edges_of_images() -> Graph:
    """The pooled image is small beside what is pooled: its filters see edges, and no means."""
    graph = healthy()
    w = node(graph, "second")["w"].array
    w -= w.mean(axis=(1, 2, 3), keepdims=True)
    return graph


def dead_channel() -> Graph:
    graph = healthy()
    node(graph, "pointwise")["w"].array[2] = 0
    node(graph, "pointwise")["b"].array[2] = -1
    return graph


def bright() -> Graph:
    """All weights of the first layer are positive, so that its elements grow with the input."""
    graph = healthy()
    w = node(graph, "conv")["w"].array
    np.abs(w, out=w)
    return graph


@dataclass(frozen=True)
class Fault:
    """``rule`` speaks of ``about``; of rules with measured gains others may offer another cure for the same."""

    rule: str
    about: str
    graph: Callable[[], Graph] = healthy
    recipe: str = "int8"
    x: Array = field(default_factory=lambda: IMAGES)
    declared: Range | None = None
    says: str = ""
    also: tuple[str, ...] = ()


FAULTS = [
    Fault("few_samples", "samples", x=IMAGES[:8], says="only 8: take about 100"),
    Fault("same_samples", "samples", x=np.repeat(IMAGES[:20], 5, axis=0), says="only 20 of 100 differ"),
    Fault(
        "flat_samples", "samples", x=FLAT,
        says="100 of 100 hold one number each",
    ),
    Fault("same_answer", "samples", graph=lambda: mobile(np.random.default_rng(1)), says="preprocessing"),
    Fault("declared_range", "x", declared=Range(0.0, 1.0), says="values reach 2.26, but the declared range ends at 1:"),
    Fault("declared_range", "x", declared=Range(0.0, 255.0), says="a small part of the declared range, 0 to 255"),
    Fault("clamped", "conv", graph=bright, x=100 * IMAGES, says="relu6 cuts", also=("same_answer", "dead_channels")),
    Fault("bias_correction", "depthwise", recipe=PLAIN, says="shift the means"),
    Fault(
        "shared_weight_scale", "depthwise", graph=one_wide_filter, recipe="int8 weights=tensor",
        says="1 channel spans up to 5",
    ),
    Fault("equalization", "conv", graph=uneven_channels, recipe="int8 -equalize", also=("other_range", "wider_tensor")),
    Fault(
        "pool_range",
        "pool",
        graph=edges_of_images,
        recipe="int8 -pool",
        says="its input and uses 1",
        also=("wider_tensor",),
    ),
    Fault("other_range", "logits", recipe="int8 ; logits: ranges=percentile:60", says="cuts off 75% of its elements"),
    Fault("wider_tensor", "conv", graph=uneven_channels, recipe="int8 -equalize", also=("equalization", "other_range")),
    Fault("corrected", "depthwise", recipe="int8 -reconstruct -equalize", says="bias correction, which is on"),
    Fault("dead_channels", "pointwise", graph=dead_channel, says="1 of 32 channels never change"),
]  # fmt: skip


def explained(graph: Graph, x: Array, recipe: str = "int8", declared: Range | None = None) -> Diagnosis:
    samples = samples_of(x, graph.inputs)
    samples = Samples(samples.arrays, (declared,), None)
    return diagnose(quantize_graph(graph, samples, parse_recipe(recipe)), samples)


def test_a_healthy_network_is_told_nothing() -> None:
    found = explained(healthy(), IMAGES)
    assert found.sqnr is not None
    assert found.sqnr > 30
    assert found.advice == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.rule}-{f.about}-{f.says[:20]}")
def test_a_planted_fault_is_named_and_nothing_else(fault: Fault) -> None:
    advice = explained(fault.graph(), fault.x, fault.recipe, fault.declared).advice
    of_rule = [a for a in advice if a.rule == fault.rule]
    assert [a.about for a in of_rule] == [fault.about]
    assert fault.says in of_rule[0].text
    assert {a.rule for a in advice} <= {fault.rule, *fault.also}


MEASURED = ("bias_correction", "shared_weight_scale", "equalization", "pool_range", "other_range")


def measured(graph: Graph, recipe: str) -> float:
    """Signal to noise of the network that is quantized with a recipe, in truth."""
    found = explained(graph, IMAGES, recipe).sqnr
    assert found is not None
    return found


@pytest.mark.parametrize(
    "fault",
    [f for f in FAULTS if f.rule in MEASURED],
    ids=lambda f: f.rule,
)
def test_the_gain_comes_true(fault: Fault) -> None:
    """Quantized with the recipe that is offered, the network gains what was said, or more: steps that were measured on
    the worse network (reconstruction, the choice of a pool's range) decide anew."""
    graph = fault.graph()
    found = explained(graph, IMAGES, fault.recipe)
    item = next(a for a in found.advice if a.rule == fault.rule)
    assert item.recipe is not None
    assert item.gain is not None
    assert found.sqnr is not None
    joint = " ; " if ":" in item.recipe else " "
    assert measured(graph, f"{fault.recipe}{joint}{item.recipe}") - found.sqnr > item.gain - 1.0


def test_what_takes_no_ram_comes_first() -> None:
    advice = explained(uneven_channels(), IMAGES, "int8 -equalize").advice
    assert [a.rule for a in advice][:1] == ["equalization"]
    assert advice[-1].rule == "wider_tensor"
    assert "1,152 bytes" in advice[-1].text


@pytest.mark.parametrize("name", ["a[0]", "a*b", "what?", "one; two", "a: b", "plain/name"])
def test_a_clause_means_its_tensor(name: str) -> None:
    graph = uneven_channels()
    node(graph, "conv").outputs[0].name = name
    advice = explained(graph, IMAGES, "int8 -equalize").advice
    clauses = [a.recipe for a in advice if a.rule == "equalization"]
    (rule,) = parse_recipe(f"int8 -equalize ; {clauses[0]}").rules
    assert parse_recipe(f"int8 -equalize ; {rule}").has("equalize", name)
    assert not parse_recipe(f"int8 -equalize ; {rule}").has("equalize", "depthwise")
