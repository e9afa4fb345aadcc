"""Layers that can be taken apart, and the graph with smaller ones in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.compress.decompose.factors import Target
from chipfit.compress.decompose.forms import Choice, Piece, Site, pieces
from chipfit.graph import Array, DType, Graph, Node, TensorType, Value, take_name
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.quantize import Samples
from chipfit.quantize.calibrate import trace
from chipfit.quantize.layers import Layer, draw
from chipfit.quantize.reconstruct import POSITIONS, damped

MOST_COLUMNS = 2304
"""Of a layer that sums up more, weights alone decide: its covariances would take too long."""


def why_not(node: Node) -> str | None:
    """Why a layer cannot be taken apart; ``""`` if the node is no such layer."""
    if not isinstance(node.op, Conv2D | FullyConnected):
        return ""
    w, b = node["w"], node.get("b")
    if not w.is_const or (b is not None and not b.is_const):
        return "has weights that are computed"
    if w.dtype is not DType.FLOAT32:
        return f"has weights of {w.dtype.value}"
    if isinstance(node.op, Conv2D) and w.shape[3] != node["x"].shape[3]:
        return "is a convolution in groups"
    return None


def sites_of(graph: Graph, samples: Samples | None) -> list[Site]:
    """All layers that can be taken apart. ``samples``: for errors of what they give; None: of weights."""
    nodes = [node for node in graph.nodes if why_not(node) is None]
    spreads: dict[Node, tuple[Array, Array]] = {}
    readers: dict[Value, list[Node]] = {}
    for node in nodes:
        if node["w"].type.size // node["w"].shape[0] <= MOST_COLUMNS:
            readers.setdefault(node["x"], []).append(node)
    for value, x in () if samples is None else trace(graph, samples.arrays):
        for node in readers.get(value, ()):
            spreads[node] = _spread(node, x)
    return [_site(node, spreads.get(node)) for node in nodes]


def _site(node: Node, spread: tuple[Array, Array] | None) -> Site:
    w = node["w"].array.astype(np.float64)
    window = w if w.ndim == 4 else w[:, None, None]
    covariance, mean = (None, None) if spread is None else spread
    return Site(node, Target(window, covariance), mean)


def _spread(node: Node, x: Array) -> tuple[Array, Array]:
    """Covariance and mean of what the weights of a layer are multiplied by."""
    joined = x.reshape(-1, *x.shape[2:])
    total = len(x) * node["y"].type.size // Layer(node).channels
    columns = Layer(node).sampled_columns(joined, draw(total, POSITIONS), 0.0)
    return damped(columns)[0], columns[0].mean(axis=0, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a layer becomes. ``bias``: (out,), float32; None: none."""

    made: list[Piece]
    bias: Array | None
    error: float


def parts_of(site: Site, choice: Choice) -> Parts:
    """With a bias that makes up for the mean of the error, where it is known."""
    made, rows = pieces(site, choice.form, choice.ranks)
    b = site.node.get("b")
    bias = None if b is None else b.array.astype(np.float64)
    if site.mean is not None:
        bias = (0.0 if bias is None else bias) + (site.target.rows - rows) @ site.mean
    return Parts(made, None if bias is None else bias.astype(np.float32), site.target.error(rows))


def taken_apart(graph: Graph, parts: Mapping[Node, Parts]) -> Graph:
    """A new graph with smaller layers in the place of some of its nodes. Tensors that were there keep their names;
    new ones are called as the layer with a number."""
    taken = {v.name for v in graph.values()}
    values = {v: Value(v.name, v.type, v.data) for v in graph.values()}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = [None if v is None else values[v] for v in node.inputs]
        outputs = [values[v] for v in node.outputs]
        if node not in parts:
            nodes.append(Node(node.op, inputs, outputs))
            continue
        nodes += _chain(node, parts[node], values, taken)
    inputs, outputs = [values[v] for v in graph.inputs], [values[v] for v in graph.outputs]
    result = Graph(graph.name, inputs, outputs, nodes, dict(graph.variables))
    result.verify()
    return result


def _chain(node: Node, parts: Parts, values: Mapping[Value, Value], taken: set[str]) -> list[Node]:
    x, nodes = values[node["x"]], list[Node]()
    for number, piece in enumerate(parts.made, 1):
        is_last = number == len(parts.made)
        w = _constant(take_name(f"{node['w'].name}/{number}", taken), piece.w)
        new = Node(piece.op, [x, w], [])
        if is_last and parts.bias is not None:
            b = node.get("b")
            name = take_name(f"{node.name}/bias" if b is None else f"{b.name}/{number}", taken)
            new.inputs.append(_constant(name, parts.bias))
        if is_last:
            new.outputs = [values[node["y"]]]
        else:
            (shape,) = piece.op.infer(new)
            new.outputs = [Value(take_name(f"{node.name}/{number}", taken), TensorType(tuple(shape), DType.FLOAT32))]
        x = new.outputs[0]
        nodes.append(new)
    return nodes


def _constant(name: str, array: Array) -> Value:
    data = np.ascontiguousarray(array, np.float32)
    return Value(name, TensorType(data.shape, DType.FLOAT32), data)
