"""What layers read and give on samples: from it channels are judged, and the weights of what stays are fitted anew.

A removed channel takes along what it added to its readers. Most of that is known from the channels that stay: they are
correlated, and what is left has a mean, which a bias can hold. So a reader's weights are found again by least squares,
towards the sums that the whole network gave (He et al., 2017, with a ridge towards the old weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.compress.channels.edit import Refit, without
from chipfit.compress.channels.structure import Structure
from chipfit.fixedpoint import Int
from chipfit.graph import Array, Graph, Node, Value
from chipfit.quantize import Samples
from chipfit.quantize.calibrate import trace
from chipfit.quantize.layers import Layer, draw

MOST_SAMPLES = 512
POSITIONS = 8192
"""Windows of a layer that are looked at, at most."""
MOST_COLUMNS = 2304
"""A layer that sums up more is not fitted: its inputs' covariances would take too long."""

_LARGEST = 128 << 20
"""Bytes of the largest tensor for all samples."""
_RIDGE = 1e-3
"""Of the mean variance of the columns: how much the old weights are trusted beside the samples."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a layer reads. ``mean``: (columns,); ``covariance``: (columns, columns), float64; ``numbers``: of each
    column's channel; ``w``: (out, columns), ``b``: (out,), float64."""

    node: Node
    numbers: Int
    mean: Array
    covariance: Array
    w: Array
    b: Array

    @property
    def power(self) -> float:
        """Variance of all its sums together."""
        return float(np.einsum("oc,cd,od->", self.w, self.covariance, self.w)) or 1.0


def affordable(graph: Graph, samples: Samples) -> Samples:
    """As many as can be in work at a time."""
    largest = max(v.type.nbytes for v in graph.values() if not v.is_const)
    return samples.first(max(1, min(MOST_SAMPLES, _LARGEST // largest)))


def readings_of(structure: Structure, samples: Samples) -> dict[Node, Reading]:
    """Of all layers that mix channels and can be fitted, on samples of the whole network."""
    wanted: dict[Value, list[tuple[Node, Int]]] = {}
    for node, numbers in structure.readers():
        if _can_fit(node):
            wanted.setdefault(node["x"], []).append((node, numbers))
    found: dict[Node, Reading] = {}
    for value, x in trace(structure.graph, affordable(structure.graph, samples).arrays):
        for node, numbers in wanted.get(value, ()):
            columns = _columns(node, x).astype(np.float64)
            mean = columns.mean(axis=0)
            columns -= mean
            layer = Layer(node)
            rows = layer.rows_of(node["w"].array)[0].astype(np.float64)
            every = numbers if len(numbers) == len(mean) else np.tile(numbers, len(mean) // len(numbers))
            covariance = columns.T @ columns / len(columns)
            found[node] = Reading(node, every, mean, covariance, rows, layer.bias.astype(np.float64))
    return found


def _can_fit(node: Node) -> bool:
    layer = Layer(node)
    return layer.groups == 1 and layer.rows_of(node["w"].array).shape[2] <= MOST_COLUMNS


def _columns(node: Node, x: Array) -> Array:
    """(positions, columns), float32: drawn windows, the same for the same numbers of samples and positions."""
    joined = x.reshape(-1, *x.shape[2:])
    total = len(x) * node["y"].type.size // Layer(node).channels
    return Layer(node).sampled_columns(joined, draw(total, POSITIONS), 0.0)[0]


def quick_refits(readings: Mapping[Node, Reading], gone: Array) -> dict[Node, Refit]:
    """Weights of readers for which the layers before them give what they gave: only their own inputs are fewer."""
    refits: dict[Node, Refit] = {}
    for node, reading in readings.items():
        lost = (reading.numbers >= 0) & gone[reading.numbers]
        if not lost.any() or lost.all():
            continue
        kept = ~lost
        c = reading.covariance
        inner = c[np.ix_(kept, kept)]
        share = np.linalg.solve(_ridged(inner), c[np.ix_(kept, lost)])
        w = reading.w.copy()
        w[:, kept] += reading.w[:, lost] @ share.T
        b = reading.b + reading.w @ reading.mean - w[:, kept] @ reading.mean[kept]
        refits[node] = Refit(w.reshape(node["w"].shape), b)
    return refits


def _ridged(covariance: Array) -> Array:
    ridge = _RIDGE * float(np.trace(covariance)) / len(covariance) + 1e-12
    return covariance + ridge * np.eye(len(covariance))


def without_refitted(structure: Structure, gone: Array, samples: Samples) -> Graph:
    """The graph without some channels, each layer fitted in turn to what the layers before it really give now."""
    whole = structure.graph
    samples = affordable(whole, samples)
    small = without(structure, gone)
    pairs = dict(zip(small.nodes, whole.nodes, strict=True))
    targets = _targets(structure, small, samples)
    readers: dict[Value, list[Node]] = {}
    for node, old in pairs.items():
        if old.name in targets:
            readers.setdefault(node["x"], []).append(node)
    for value, x in trace(small, samples.arrays):
        for node in readers.get(value, ()):
            left = _left(structure, pairs[node], gone)
            _fit(node, _columns(node, x), targets[pairs[node].name][:, left])
    small.verify()
    return small


def _left(structure: Structure, node: Node, gone: Array) -> Array:
    """Which output channels of a layer stay, (out,), bool."""
    along = structure.along.get(node["y"])
    if along is None:
        return np.ones(Layer(node).channels, bool)
    return (along.numbers < 0) | ~gone[along.numbers]


def _targets(structure: Structure, small: Graph, samples: Samples) -> dict[str, Array]:
    """(positions, out), float32: sums of the whole network's layers behind the first that changes, by name."""
    changed = _changed(structure, small)
    wanted: dict[Value, list[Node]] = {}
    for node in structure.graph.nodes:
        if node in changed and _is_mixer(node):
            wanted.setdefault(node["x"], []).append(node)
    found: dict[str, Array] = {}
    for value, x in trace(structure.graph, samples.arrays):
        for node in wanted.get(value, ()):
            layer = Layer(node)
            rows = layer.rows_of(node["w"].array)[0]
            found[node.name] = _columns(node, x) @ rows.T + layer.bias
    return found


def _is_mixer(node: Node) -> bool:
    from chipfit.quantize.layers import LAYERS

    if not isinstance(node.op, LAYERS) or not node["w"].is_const:
        return False
    return not Layer(node).depthwise and _can_fit(node)


def _changed(structure: Structure, small: Graph) -> set[Node]:
    """Nodes of the whole graph that read something else now."""
    other: set[Value] = set()
    found: set[Node] = set()
    for node, new in zip(structure.graph.nodes, small.nodes, strict=True):
        reads = any(v in other for v in node.operands)
        if reads:
            found.add(node)
        if reads or any(a.shape != b.shape for a, b in zip(node.outputs, new.outputs, strict=True)):
            other.update(node.outputs)
    return found


def _fit(node: Node, columns: Array, target: Array) -> None:
    """New weights and bias in place: ``columns`` (positions, columns), ``target`` (positions, out)."""
    layer = Layer(node)
    x, y = columns.astype(np.float64), target.astype(np.float64)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x -= mean_x
    rows = layer.rows_of(node["w"].array)[0].astype(np.float64)
    rest = (y - mean_y) - x @ rows.T
    rows += np.linalg.solve(_ridged(x.T @ x / len(x)), x.T @ rest / len(x)).T
    w = node["w"]
    w.data = rows.reshape(w.shape).astype(np.float32)
    bias = (mean_y - rows @ mean_x).astype(np.float32)
    b = node.get("b")
    if b is not None:
        b.data = bias
