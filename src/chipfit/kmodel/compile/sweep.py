"""Layer by layer: weights as bytes whose errors make up for each other, and biases that keep the mean of each channel.

Two sides of the graph run over a few samples: the float one, and one whose tensors and weights are rounded as those of
the kmodel are. Each layer is fitted to what the rounded side gives it, so that it takes back what was lost before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from chipfit.graph import Array, Graph, Node, Value
from chipfit.kmodel.compile.functions import Function, function_of
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower.conv import as_in_graph, weights_of
from chipfit.kmodel.compile.lower.grids import is_layer
from chipfit.kmodel.compile.lower.results import BOUNDS
from chipfit.kmodel.compile.quantize import Rounded, by_input, nearest
from chipfit.kmodel.compile.rounding import rounded_rows
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.quantize.batch import evaluate
from chipfit.quantize.calibrate import last_readers
from chipfit.quantize.correct import corrected_bias, matched_bias
from chipfit.quantize.fit_layer import joined
from chipfit.quantize.layers import Layer, draw
from chipfit.quantize.reconstruct import MOST_COLUMNS, POSITIONS
from chipfit.quantize.sources import Progress, Samples, no_progress

SAMPLES = 64
MOST_BYTES = 128 << 20
"""Of the largest tensor of all samples: fewer are taken where it would have more."""


def sweep(
    graph: Graph, grids: Mapping[Value, Grid], samples: Samples, progress: Progress = no_progress
) -> dict[Value, Rounded]:
    """Bytes and biases of the KPU's convolutions, by the sum that each computes. ``graph``: from :func:`prepare`."""
    return _Sweep(graph, grids).run(_few(graph, samples), progress)


def _few(graph: Graph, samples: Samples) -> Samples:
    """Evenly spread over all."""
    largest = max(v.type.nbytes for v in graph.values() if not v.is_const)
    count = min(len(samples), SAMPLES, max(1, MOST_BYTES // largest))
    chosen = np.linspace(0, len(samples) - 1, count).astype(int)
    return replace(samples, arrays=tuple(a[chosen] for a in samples.arrays))


class _Sweep:
    """``exact`` and ``stored``: tensors of both sides, (samples, *shape), real numbers."""

    def __init__(self, graph: Graph, grids: Mapping[Value, Grid]) -> None:
        self.graph, self.grids = graph, grids
        self.consumers = graph.consumers()
        self.exact: dict[Value, Array] = {}
        self.stored: dict[Value, Array] = {}
        self.fitted: dict[Value, Rounded] = {}
        self.results: set[Value] = set()
        """Of layers, with what follows in their tables: bytes."""

    def run(self, samples: Samples, progress: Progress) -> dict[Value, Rounded]:
        for value, x in zip(self.graph.inputs, samples.arrays, strict=True):
            self.exact[value] = self.stored[value] = x
        last = last_readers(self.graph)
        for done, node in enumerate(self.graph.nodes):
            progress("rounding weights", done, len(self.graph.nodes))
            self._step(node)
            for value in {*node.operands, *node.outputs}:
                if last.get(value) in (node, None) and not value.is_const:
                    del self.exact[value], self.stored[value]
        return self.fitted

    def _step(self, node: Node) -> None:
        if is_layer(node) and not _is_widened(node):
            self._layer(node)
        else:
            for side in (self.exact, self.stored):
                results = evaluate(node, [side[v] for v in node.operands if not v.is_const])
                side.update(zip(node.outputs, results, strict=True))
        for value in node.outputs:
            if value in self.results:
                grid = self.grids[value]
                self.stored[value] = grid.reals(grid.codes(self.stored[value])).astype(np.float32)

    def _layer(self, node: Node) -> None:
        y, layer, grid = node["y"], Layer(node), self.grids[node["x"]]
        function = function_of(self.graph, y, self.consumers)
        self.results.add(function.y)
        bounds = _bounds(function, self.grids[function.y])
        wanted = layer.sums(joined(self.exact[node["x"]]), node["w"].array) + layer.bias
        x = joined(self.stored[node["x"]])
        made = self._rounded(layer, x, wanted, bounds)
        by_code = as_in_graph(node, made.stored / by_input(grid.step, layer.depthwise))
        sums = layer.sums(x, by_code)
        bias = corrected_bias(wanted, sums)
        if bounds is not None:
            bias = matched_bias(bias, wanted, sums, bounds, np.array(bounds))
        shape = (-1, *y.shape)
        self.fitted[y] = replace(made, bias=bias)
        self.exact[y] = wanted.reshape(shape)
        self.stored[y] = (sums + bias.astype(np.float32)).reshape(shape)

    def _rounded(self, layer: Layer, x: Array, wanted: Array, bounds: tuple[float, float] | None) -> Rounded:
        """Each channel's weights to the nearest, or so that their errors make up for each other: what loses less."""
        node, grid = layer.node, self.grids[layer.node["x"]]
        weights = weights_of(node)
        plain = nearest(weights, np.zeros(layer.channels), grid, None, layer.depthwise)
        flat = wanted.reshape(-1, layer.channels)
        per_code = weights * by_input(grid.step, layer.depthwise)
        rows = layer.rows_of(as_in_graph(node, per_code))
        if rows.shape[2] > MOST_COLUMNS:
            return plain
        drawn = draw(len(flat), POSITIONS)
        columns = layer.sampled_columns(x / grid.step.astype(np.float32), drawn, 0.0)
        scales = plain.steps.reshape(rows.shape[:2])
        found = rounded_rows(rows, scales, columns, (-plain.zero, 255 - plain.zero))
        order = (3, 0, 1, 2) if layer.depthwise else (0, 3, 1, 2)
        bytes_ = layer.weights_of(found.astype(np.int64)).transpose(order) + plain.zero
        made = replace(plain, bytes_=bytes_.astype(np.uint8))
        targets = flat[drawn].reshape(len(drawn), *rows.shape[:2]).transpose(1, 0, 2)
        losses = [
            _loss(layer.rows_of(as_in_graph(node, one.stored)), columns, targets, bounds) for one in (plain, made)
        ]
        better = (losses[1] < losses[0]).reshape(-1, 1, 1, 1)
        return replace(plain, bytes_=np.where(better, made.bytes_, plain.bytes_))


def _is_widened(node: Node) -> bool:
    """Whether the KPU gets other weights than the graph has: 1x1 depthwise ones as 3x3."""
    return isinstance(node.op, DepthwiseConv2D) and node["w"].shape[1:3] == (1, 1)


def _bounds(function: Function, grid: Grid) -> tuple[float, float] | None:
    """Of the sum, where the function is a clamp and no more; None: it is another one."""
    names = [n.op.name for n in function.nodes]
    if names and (len(names) > 1 or names[0] not in BOUNDS):
        return None
    low, high = BOUNDS[names[0]] if names else (-np.inf, np.inf)
    return max(low, grid.range.low), min(high, grid.range.high)


def _loss(rows: Array, columns: Array, targets: Array, bounds: tuple[float, float] | None) -> Array:
    """Mean square of what a layer loses, (groups, channels), with the best bias. ``rows``: (groups, channels,
    columns); ``targets``: (groups, positions, channels)."""
    sums = columns @ rows.transpose(0, 2, 1)
    sums += (targets - sums).mean(axis=1, keepdims=True)
    if bounds is not None:
        sums, targets = np.clip(sums, *bounds), np.clip(targets, *bounds)
    return np.square(sums - targets).mean(axis=1)
