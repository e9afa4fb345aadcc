"""One sweep through the layers in order: float and integer activations side by side, each layer corrected in turn.

A layer sees what the integer layers before it really give, so that it can make up for their errors, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, DType, Node, Value
from chipfit.ops._activation import activation_range, activation_range_float
from chipfit.quantize.apply import Integer, set_bias, set_weights
from chipfit.quantize.batch import evaluate
from chipfit.quantize.calibrate import last_readers
from chipfit.quantize.correct import corrected_bias, matched_bias
from chipfit.quantize.layers import LAYERS, Layer, activated
from chipfit.quantize.measure import signal_to_noise
from chipfit.quantize.parameters import bias_scales, dequantize_array, quantize_array
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.reconstruct import MOST_COLUMNS, POSITIONS, reconstruct
from chipfit.quantize.sources import Progress, Samples

_WORKING_BYTES = 1 << 30
_SIDES = 6
"""Arrays of the size of the largest tensor that are in memory at a time, about: both inputs, sums and outputs."""


def affordable(integer: Integer, samples: Samples) -> Samples:
    """As many of the samples as a sweep can hold in memory."""
    largest = max(v.type.size for node in integer.graph.nodes for v in node.outputs)
    return samples.first(max(1, _WORKING_BYTES // (4 * _SIDES * largest)))


@dataclass(frozen=True)
class LayerFigures:
    """What became of one tensor on the calibration samples. ``sqnr``: signal to noise against the float model, dB."""

    name: str
    op: str
    sqnr: float


class Sweep:
    """Goes through the nodes of an integer graph. ``floats`` and ``integers``: what is known of tensors, by name."""

    def __init__(self, integer: Integer, samples: Samples, recipe: Recipe, progress: Progress) -> None:
        self.integer, self.recipe, self._progress = integer, recipe, progress
        self.samples = len(samples)
        inputs = zip(integer.graph.inputs, samples.arrays, strict=True)
        self.floats: dict[str, Array] = {}
        self.integers: dict[str, Array] = {}
        for value, array in inputs:
            self.floats[value.name] = array
            self.integers[value.name] = quantize_array(array, value.q) if value.dtype is DType.INT8 else array
        self.position = 0
        self.figures: list[LayerFigures] = []
        self._last = last_readers(integer.graph)
        self._kept = {v.name for v in integer.graph.outputs}

    def fork(self, other: Integer) -> Sweep:
        """A sweep over another graph that is equal up to here: it goes on from here, with the same weights so far."""
        new = object.__new__(Sweep)
        new.__dict__.update(self.__dict__)
        new.integer, new.floats, new.integers = other, dict(self.floats), dict(self.integers)
        new.figures, new._last = list(self.figures), last_readers(other.graph)
        for mine, its in zip(self.integer.graph.nodes[: self.position], other.graph.nodes, strict=False):
            its.inputs = [v if m is None or not m.is_const else m for m, v in zip(mine.inputs, its.inputs, strict=True)]
        return new

    def keep(self, value: Value) -> None:
        """Do not forget this tensor after its last reader."""
        self._kept.add(value.name)

    def run(self, until: int | None = None) -> None:
        """Go on to the node of this index, or to the end."""
        nodes = self.integer.graph.nodes
        for node in nodes[self.position : until]:
            self._step(node)
            self._forget(node)
            self.position += 1
            self._progress("fitting layers", self.position, len(nodes))

    def sqnr(self, value: Value) -> float:
        """Signal to noise of a tensor that is known, dB."""
        stored = self.integers[value.name]
        actual = dequantize_array(stored, value.q) if value.dtype is DType.INT8 else stored
        return signal_to_noise(self.floats[value.name], actual)

    def _step(self, node: Node) -> None:
        real = self.integer.origin.get(node)
        if real is not None and isinstance(node.op, LAYERS):
            self._layer(real, node)
        else:
            computed = [v.name for v in node.operands if not v.is_const]
            self._put(self.integers, node, evaluate(node, [self.integers[name] for name in computed]))
            if real is None:  # a bridge: the same real numbers under another name
                self.floats[node["y"].name] = self.floats[computed[0]]
            else:
                self._put(self.floats, real, evaluate(real, [self.floats[name] for name in computed]))
        for value in node.outputs:
            if value.dtype is DType.INT8 and real is not None:
                self.figures.append(LayerFigures(value.name, node.op.name, self.sqnr(value)))

    @staticmethod
    def _put(known: dict[str, Array], node: Node, results: list[Array]) -> None:
        known.update((v.name, y) for v, y in zip(node.outputs, results, strict=True))

    def _forget(self, node: Node) -> None:
        for value in {*node.operands, *node.outputs}:
            if self._last.get(value, node) is node and value.name not in self._kept:
                self.floats.pop(value.name, None)
                self.integers.pop(value.name, None)

    # ------------------------------------------------------------------------------------------ a layer

    def _layer(self, real: Node, node: Node) -> None:
        """Round the weights anew, then find the bias, then compute both outputs."""
        x, y = node["x"], node["y"]
        layer, float_x = Layer(real), self.floats[x.name]
        shape = (self.samples, *y.shape)
        float_sums = layer.sums(_joined(float_x), real["w"].array) + layer.bias
        counts = _joined(self.integers[x.name])
        if self.recipe.has("reconstruct", node.name):
            self._reconstruct(layer, node, counts)
        unit = bias_scales(x.q.s, node["w"].q, layer.channels)
        sums = layer.sums(_centred(counts, x.q.zp), node["w"].array.astype(np.float32))
        sums *= unit.astype(np.float32)
        b = layer.bias.astype(np.float64)
        if self.recipe.has("bias", node.name):
            b = corrected_bias(float_sums, sums)
        act = node.op.attributes()["act"]
        if self.recipe.has("match", node.name):
            grid = dequantize_array(np.array([-128, 127]), y.q)
            b = matched_bias(b, float_sums, sums, activation_range_float(act), grid)
        set_bias(node, b)
        sums += (node["b"].array * unit).astype(np.float32)
        self.floats[y.name] = activated(real, float_sums).reshape(shape)
        self.integers[y.name] = _requantized(sums, y, act).reshape(shape)

    def _reconstruct(self, layer: Layer, node: Node, counts: Array) -> None:
        real = self.integer.origin[node]
        rows = layer.rows_of(real["w"].array)
        if rows.shape[2] > MOST_COLUMNS or rows.shape[2] < 2:
            return
        rng = np.random.default_rng(0)
        columns = layer.sampled_columns(counts, POSITIONS, rng, fill=node["x"].q.zp)
        scales = np.array(node["w"].q.scales(layer.channels)).reshape(rows.shape[:2])
        set_weights(node, layer.weights_of(reconstruct(rows, scales, columns)))


def _joined(x: Array) -> Array:
    """(samples, 1, ...) as (samples, ...): images one after the other."""
    return x.reshape(-1, *x.shape[2:]) if x.ndim > 2 else x


def _centred(counts: Array, zero_point: int) -> Array:
    return counts.astype(np.float32) - np.float32(zero_point)


def _requantized(sums: Array, y: Value, act: str) -> Array:
    """Sums with bias, real numbers, as the output's integers; halves may round otherwise than in integer kernels."""
    low, high = activation_range(act, y.dtype, y.q)  # type: ignore[arg-type] - one of the activations
    scaled = np.rint(sums * np.float32(1.0 / y.q.s))
    scaled += np.float32(y.q.zp)
    return np.clip(scaled, low, high, out=scaled).astype(np.int8)
