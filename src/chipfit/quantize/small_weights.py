"""The modes that make weights small and leave activations in float32: ``float16`` and ``dynamic`` (int8 weights)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.ops._weights_only import has_small_weights
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.scan import Scan
from chipfit.quantize.apply import Integer, own_bias, quantize_layer
from chipfit.quantize.layers import SMALL_LAYERS
from chipfit.quantize.prepare import all_nodes, is_finite
from chipfit.quantize.recipe import Recipe

LEAST_FLOAT16 = 64
"""Weights with fewer elements stay float32: what a file says of a tensor would take more than is saved."""

SMALL_LAYER = 1024
SMALL_SHARE = 0.01
"""In ``dynamic`` the smallest layers stay float32, each with fewer than ``SMALL_LAYER`` weights, as many as hold
``SMALL_SHARE`` of all weights together: the first layers of narrow networks, which lose most and save least."""

_MOST_LOST = 2.0**-9
"""Of the norm of weights, by which float16 may change them: rounding loses less than 2^-11, more is lost below 6e-5."""


def require_layers(graph: Graph) -> None:
    """Raise ChipfitError Q004 unless the graph has layers with constant float32 weights, all finite."""
    layers = [n for n in all_nodes(graph) if _has_weights(n)]
    if not layers:
        raise ChipfitError(
            "Q004", "the model has no layers with constant float32 weights: nothing would become smaller"
        )
    for node in layers:
        for value in node.operands[1:]:
            if value.is_const and not is_finite(value):
                raise ChipfitError("Q004", f"constant '{value.name}' of {node.op.name} '{node.name}' is not finite")


def with_small_weights(graph: Graph, recipe: Recipe) -> tuple[Integer, list[str]]:
    """A copy of a float graph whose layers have small weights, rounded to the nearest; and notes for people.

    Layers hold them themselves, as kernels read them; :func:`dequantized` says it as files do.
    """
    result = graph.copy()
    origin = dict(zip(result.nodes, graph.nodes, strict=True))
    notes = _to_float16(result) if recipe.mode == "float16" else _to_int8(result, recipe)
    for node in result.nodes:
        if isinstance(node.op, Scan):
            inner, more = with_small_weights(node.op.body, recipe)
            node.op = replace(node.op, body=inner.graph)
            notes += more
    return Integer(result, origin), notes


def dequantized(graph: Graph) -> Graph:
    """The graph with small weights in operators of their own, which give float layers float32 weights: then those who
    run its file compute in float32, too. The given graph is not changed; for chipfit both mean the same."""
    result = graph.copy()
    made: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in result.nodes:
        if isinstance(node.op, Scan):
            node.op = replace(node.op, body=dequantized(node.op.body))
        if isinstance(node.op, SMALL_LAYERS) and has_small_weights(node) and node["w"].is_const:
            w = node["w"]
            if w not in made:
                made[w] = Value(result.unique_name(f"{w.name}/float32"), TensorType(w.shape, DType.FLOAT32))
                nodes.append(Node(Dequantize(), [w], [made[w]]))
            node.inputs[1] = made[w]
        nodes.append(node)
    result.nodes = nodes
    return result


def _has_weights(node: Node) -> bool:
    return isinstance(node.op, SMALL_LAYERS) and node["w"].is_const and node["w"].dtype is DType.FLOAT32


def _to_float16(graph: Graph) -> list[str]:
    """Weights that layers share stay shared. Returns notes."""
    beyond: list[str] = []
    layers = [node for node in graph.nodes if _has_weights(node)]
    for node, names, taken in _with_names(graph):
        own_bias(_copied(node), node, names, taken)
    for value in dict.fromkeys(n["w"] for n in layers if n["w"].type.size >= LEAST_FLOAT16):
        half = _float16(value.array)
        if half is None:
            beyond.append(value.name)
        else:
            value.type, value.data = TensorType(value.shape, DType.FLOAT16), half
    return [f"float16 cannot hold these weights, which stay float32: {', '.join(beyond)}"] if beyond else []


def _float16(w: Array) -> Array | None:
    """None where too much would be lost: above 65504, or where small numbers lose their digits."""
    with np.errstate(over="ignore"):
        half = w.astype(np.float16)
    exact = w.astype(np.float64)
    lost = np.linalg.norm(exact - half.astype(np.float64))
    return half if np.isfinite(lost) and lost <= _MOST_LOST * np.linalg.norm(exact) else None


def _to_int8(graph: Graph, recipe: Recipe) -> list[str]:
    """Returns notes."""
    kept = _smallest(graph)
    for node, names, taken in _with_names(graph):
        if node in kept:
            own_bias(_copied(node), node, names, taken)
        else:
            quantize_layer(_copied(node), node, recipe, names, taken)
    return [f"the smallest layers keep float32 weights: {', '.join(n.name for n in kept)}"] if kept else []


def _smallest(graph: Graph) -> list[Node]:
    """The layers that are too small to be worth it."""
    layers = sorted((n for n in graph.nodes if _has_weights(n)), key=lambda n: n["w"].type.size)
    budget = SMALL_SHARE * sum(n["w"].type.size for n in layers)
    kept: list[Node] = []
    for node in layers:
        budget -= node["w"].type.size
        if budget < 0 or node["w"].type.size >= SMALL_LAYER:
            break
        kept.append(node)
    return kept


def _with_names(graph: Graph) -> Iterator[tuple[Node, set[str], set[str]]]:
    """Layers, with the names of the graph and those that new values have."""
    names, taken = {v.name for v in graph.values()}, {v.name for v in graph.values() if not v.is_const}
    for node in list(graph.nodes):
        if _has_weights(node):
            yield node, names, taken


def _copied(node: Node) -> Node:
    return Node(node.op, list(node.inputs), list(node.outputs))
