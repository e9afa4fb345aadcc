"""One sweep through the layers in order: float and integer activations side by side, each layer corrected in turn.

A layer sees what the integer layers before it really give, so that it can make up for their errors, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.graph import Array, Node, Value
from chipfit.quantize.apply import Integer
from chipfit.quantize.batch import evaluate
from chipfit.quantize.calibrate import last_readers
from chipfit.quantize.fit_layer import Rule, fit_layer
from chipfit.quantize.layers import LAYERS
from chipfit.quantize.measure import signal_to_noise
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.recipe import Recipe
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
    """Goes through the nodes of an integer graph. ``floats`` and ``integers``: what is known of tensors, by name.
    ``rule``: how layers get their weights; None: as the recipe says."""

    def __init__(
        self, integer: Integer, samples: Samples, recipe: Recipe, progress: Progress, rule: Rule | None = None
    ) -> None:
        self.integer, self.recipe, self._progress, self._rule = integer, recipe, progress, rule
        self.samples = len(samples)
        inputs = zip(integer.graph.inputs, samples.arrays, strict=True)
        self.floats: dict[str, Array] = {}
        self.integers: dict[str, Array] = {}
        for value, array in inputs:
            self.floats[value.name] = array
            self.integers[value.name] = (
                array if value.type.quant is None else quantize_array(array, value.q, value.dtype)
            )
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
        actual = stored if value.type.quant is None else dequantize_array(stored, value.q)
        return signal_to_noise(self.floats[value.name], actual)

    def _step(self, node: Node) -> None:
        real = self.integer.origin.get(node)
        if real is not None and isinstance(node.op, LAYERS):
            x, y = node["x"].name, node["y"].name
            self.floats[y], self.integers[y] = fit_layer(
                real, node, self.floats[x], self.integers[x], self.recipe, self._rule
            )
        else:
            computed = [v.name for v in node.operands if not v.is_const]
            self._put(self.integers, node, evaluate(node, [self.integers[name] for name in computed]))
            if real is None:  # a bridge: the same real numbers under another name
                self.floats[node["y"].name] = self.floats[computed[0]]
            else:
                self._put(self.floats, node, evaluate(real, [self.floats[name] for name in computed]))
        for value in node.outputs:
            if real is not None and (value.type.quant is not None or value.dtype.is_float):
                self.figures.append(LayerFigures(value.name, node.op.name, self.sqnr(value)))

    @staticmethod
    def _put(known: dict[str, Array], node: Node, results: list[Array]) -> None:
        known.update((v.name, y) for v, y in zip(node.outputs, results, strict=True))

    def _forget(self, node: Node) -> None:
        for value in {*node.operands, *node.outputs}:
            if self._last.get(value, node) is node and value.name not in self._kept:
                self.floats.pop(value.name, None)
                self.integers.pop(value.name, None)
