"""Where an integer network loses what, measured one rounding at a time.

Figures of whole networks come from the integers themselves, by the definitions of the operators. Roundings on their own
are simulated: the float network with one tensor on its integers' grid, or one layer with its integers' weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, Node, Value
from chipfit.ops import op_of
from chipfit.quantize.calibrate import trace
from chipfit.quantize.diagnose.figures import Noise, Part, TensorDetails, WeightDetails, tensor_details, weight_details
from chipfit.quantize.diagnose.simulate import Arrays, Network, grid_of
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.run import Quantized
from chipfit.quantize.sources import Progress, Samples, no_progress

SAMPLES = 32
"""That are looked at, evenly spread."""

_MACS = 3 << 29
"""Multiply-accumulates of one run over all of them: it is done about once for each tensor and layer."""

_BYTES = 1 << 30
_BYTES_EACH = 10
"""For each element of each tensor: of the float network, of the simulated one, of the integers, of a run."""


@dataclass(frozen=True)
class Sensitivity:
    """What one rounding alone leaves of the judged tensor: signal to noise, dB; None: it costs nothing."""

    name: str
    part: Part
    sqnr: float | None


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that was measured. ``samples``: all there are; ``stored``: real numbers that the integers stand for.

    ``copies``: tensors that hold what another one holds, with its grid: their rounding changes nothing.
    """

    made: Quantized
    samples: Samples
    network: Network
    stored: Arrays
    tensors: dict[Value, TensorDetails]
    copies: frozenset[Value]
    ranking: tuple[Sensitivity, ...]

    @property
    def sqnr(self) -> float | None:
        """Of the judged tensor in the integer network, dB."""
        return self.tensors[self.network.target].sqnr


def investigate(made: Quantized, samples: Samples, progress: Progress = no_progress) -> Evidence:
    """Measure an integer network on some of the samples that it was made with."""
    used = _spread(samples, _affordable(made, samples))
    progress("measuring roundings", 0, 1)
    network = Network(made.graph, made.origin, made.recipe, used)
    stored = _stored(network, used)
    copies = frozenset(_copies(network))
    ranked = [v for v in network.floats if grid_of(v) is not None and v not in copies]
    total, ranking = len(ranked) + sum(map(network.is_layer, network.nodes)), list[Sensitivity]()

    def judge(value: Value, part: Part, x: Array) -> None:
        after = network.follow({value: x}, network.floats)
        noise = Noise.of(network.floats[network.target], after)
        ranking.append(Sensitivity(value.name, part, noise.decibels))
        progress("measuring roundings", len(ranking), total)

    tensors: dict[Value, TensorDetails] = {}
    for value in network.inputs:
        if grid_of(value) is not None:
            tensors[value] = _details(network, value, "input", stored, None, None)
    for node in network.nodes:
        weights: tuple[Noise, WeightDetails] | None = None
        if network.is_layer(node):
            noise, figures, with_weights = weight_details(network, node)
            judge(node["y"], "weights", with_weights)
            weights = (noise, figures)
        inherited = network.outputs(node, stored)
        for value, x in zip(node.outputs, inherited, strict=True):
            if value.dtype.is_float or grid_of(value) is not None:
                tensors[value] = _details(network, value, node.op.name, stored, x, weights, value in copies)
    for value in ranked:
        judge(value, "tensor", network.rounded(value, network.floats[value]))
    ranking.sort(key=lambda s: (s.sqnr is None, s.sqnr))
    return Evidence(made, samples, network, stored, tensors, copies, tuple(ranking))


def _details(
    network: Network,
    value: Value,
    op: str,
    stored: Arrays,
    inherited: Array | None,
    weights: tuple[Noise, WeightDetails] | None,
    is_copy: bool = False,
) -> TensorDetails:
    exact = network.floats[value]
    before = None if inherited is None else Noise.of(exact, inherited)
    return tensor_details(value, op, exact, Noise.of(exact, stored[value]), before, weights, is_copy)


def _affordable(made: Quantized, samples: Samples) -> int:
    elements = sum(v.type.size for v in made.graph.values() if not v.is_const)
    macs = sum(op_of(node).macs(node) for node in made.graph.nodes)
    most = min(SAMPLES, _BYTES // (_BYTES_EACH * max(1, elements)), _MACS // max(1, macs))
    return min(len(samples), max(1, most))


def _spread(samples: Samples, count: int) -> Samples:
    index = np.linspace(0, len(samples) - 1, count).astype(np.int64)
    return Samples(tuple(a[index] for a in samples.arrays), samples.ranges, samples.preprocessing)


def _stored(network: Network, samples: Samples) -> Arrays:
    """Every tensor of the integer network, computed on integers, as real numbers."""
    inputs = tuple(_integers(v, x) for v, x in zip(network.inputs, samples.arrays, strict=True))
    return {
        value: x if value.type.quant is None or value.dtype.is_float else dequantize_array(x, value.q)
        for value, x in trace(network.graph, inputs)
    }


def _integers(value: Value, x: Array) -> Array:
    if value.type.quant is None or value.dtype.is_float:
        return x
    return quantize_array(x, value.q, value.dtype)


def _copies(network: Network) -> Iterator[Value]:
    """Outputs that lie on their grid already when their inputs do."""
    for node in network.nodes:
        if network.is_layer(node) or not _shares_grid(node):
            continue
        inputs = {v: network.rounded(v, network.floats[v]) for v in node.operands if not v.is_const}
        for value, y in zip(node.outputs, network.outputs(node, inputs), strict=True):
            quant = grid_of(value)
            if quant is not None and np.abs(network.rounded(value, y) - y).max(initial=0.0) <= 1e-3 * quant.s:
                yield value


def _shares_grid(node: Node) -> bool:
    grids = [v.type.quant for v in (*node.operands, *node.outputs) if grid_of(v) is not None]
    return len(grids) > 1 and grids.count(grids[0]) == len(grids)
