"""Other integers in the layers of an int8 graph, chosen layer by layer against what the float layers give.

The graph is quantized as ever; then each layer in turn gets weights by a rule (few different ones, or many zeros), and
a bias that makes up for what that does to the means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from chipfit.graph import Array, Graph, Node, Quant, TensorType, Value
from chipfit.quantize import Progress, Recipe, Samples, no_progress, quantize_graph
from chipfit.quantize.apply import Integer, set_weights
from chipfit.quantize.calibrate import trace
from chipfit.quantize.correct import mean_by_channel
from chipfit.quantize.fit_layer import zero_of
from chipfit.quantize.layers import LAYERS, Layer, draw
from chipfit.quantize.parameters import least_weight_scales
from chipfit.quantize.reconstruct import MOST_COLUMNS, POSITIONS, damped
from chipfit.quantize.sweep import Sweep, affordable
from chipfit.trainable.model import with_constants

Column = Callable[[int, Array, Array], Array]
"""Integers for a column: by its index, real weights in which errors of the columns before it are made up for, (groups,
channels, columns), and how errors are shared, (groups, columns, columns), as in :attr:`Rows.upper`."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A layer's weights: ``real``: (groups, channels, columns), what they should be; ``scales``: (groups, channels), of
    plain int8; ``least``: likewise, below which no scale may be; ``spread``: (groups, columns, columns), covariances of
    what they are multiplied by; None: unknown, all alike."""

    real: Array
    scales: Array
    least: Array
    spread: Array | None

    @property
    def dead(self) -> Array:
        """(groups, channels): whose plain int8 weights are all 0; they must stay so, that the channel can go."""
        return np.abs(self.real).max(axis=2) < 0.5 * self.scales

    @property
    def has_one_scale(self) -> bool:
        """Whether all channels have the same one, by the recipe."""
        return self.scales.size > 1 and bool(np.ptp(self.scales) == 0)

    @property
    def energy(self) -> Array:
        """(groups, 1, columns): what an error in each column does to the sums."""
        if self.spread is None:
            return np.ones((self.real.shape[0], 1, self.real.shape[2]))
        return np.einsum("gcc->gc", self.spread)[:, None, :]

    @property
    def upper(self) -> Array:
        """(groups, columns, columns): how the error of a column is best shared among the later ones."""
        groups, _, columns = self.real.shape
        if self.spread is None:
            return np.broadcast_to(np.eye(columns), (groups, columns, columns))
        return np.linalg.cholesky(np.linalg.inv(self.spread)).transpose(0, 2, 1)

    def error(self, weights: Array) -> float:
        """Of the sums with other real weights, (groups, channels, columns), as a share of their power."""
        off = weights - self.real
        spread = self.energy if self.spread is None else self.spread
        form = "goc,gxc,goc->" if self.spread is None else "goc,gcd,god->"
        power = float(np.einsum(form, self.real, spread, self.real, optimize=True)) or 1.0
        return float(np.einsum(form, off, spread, off, optimize=True)) / power


Choose = Callable[[str, Rows], tuple[Array, Array]]
"""By the name of a layer's weights and what they should be: integers, (groups, channels, columns), and scales."""


def reweighted(graph: Graph, samples: Samples, choose: Choose, progress: Progress = no_progress) -> Graph:
    """The int8 form of a float graph with weights that ``choose`` gives, and biases that fit them.

    Raises ChipfitError as :func:`~chipfit.quantize.quantize_graph` does.
    """
    recipe = Recipe()
    made = quantize_graph(graph, samples, recipe, progress)
    integer = Integer(made.graph, dict(made.origin))

    def rule(layer: Layer, node: Node, x: Array, float_sums: Array) -> None:
        codes, scales = choose(layer.node["w"].name, rows_of(layer, node, x, float_sums))
        _set_scales(node, scales)
        set_weights(node, layer.weights_of(codes))

    plain = replace(recipe, steps=recipe.steps & {"bias", "match"})
    Sweep(integer, affordable(integer, samples), plain, progress, rule).run()
    integer.graph.verify()
    return integer.graph


def rows_of(layer: Layer, node: Node, x: Array, float_sums: Array) -> Rows:
    """``x``: what the node reads, stored, (samples, ...); ``float_sums``: (..., channels)."""
    real = layer.rows_of(layer.node["w"].array).astype(np.float64)
    scales = np.array(node["w"].q.scales(layer.channels)).reshape(real.shape[:2])
    least = least_weight_scales(layer.bias, node["x"]).reshape(scales.shape)
    if real.shape[2] > MOST_COLUMNS:
        return Rows(real, scales, least, None)
    positions = float_sums.size // layer.channels
    columns = layer.sampled_columns(x, draw(positions, POSITIONS), zero_of(node["x"]))
    return Rows(real, scales, least, damped(columns))


def _set_scales(node: Node, scales: Array) -> None:
    """Other scales of the weights, (groups, channels): one for each channel, or one for all where there is only one."""
    w, flat = node["w"], scales.reshape(-1)
    if w.q.axis is None:
        quant = Quant.per_tensor(float(flat.max()))
    else:
        quant = Quant(tuple(float(np.float32(s)) for s in flat), (0,) * len(flat), w.q.axis)
    node.inputs[1] = Value(w.name, TensorType(w.shape, w.dtype, quant), w.data)


def fed_back(rows: Rows, scales: Array, column: Column) -> Array:
    """Integers column by column, each column's error made up for by the later ones (Frantar et al., GPTQ, 2022).

    ``column``: which integers a column gets. Returns (groups, channels, columns), float64.
    """
    upper = rows.upper
    left = rows.real.copy()
    result = np.empty_like(left)
    for k in range(left.shape[2]):
        result[:, :, k] = q = column(k, left, upper)
        error = (left[:, :, k] - q * scales) / upper[:, k, k, None]
        left[:, :, k:] -= error[:, :, None] * upper[:, None, k, k:]
    return result


def best_scales(real: Array, codes: Array, otherwise: Array) -> Array:
    """(groups, channels): the scales at which integers are nearest to real weights; channels of zeros keep others."""
    under = np.square(codes).sum(axis=2)
    over = (real * codes).sum(axis=2)
    return np.where((under > 0) & (over > 0), over / np.maximum(under, 1e-300), otherwise)


def layers_of(graph: Graph) -> dict[str, Layer]:
    """Layers with constant weights, by the names of these."""
    return {n["w"].name: Layer(n) for n in graph.nodes if isinstance(n.op, LAYERS) and n["w"].is_const}


@dataclass(frozen=True, eq=False)
class Chosen:
    """Integers of a layer, (groups, channels, columns), with their scales, (groups, channels), for weights that should
    be ``real``: those of the float graph, each channel times a number (equalization does that)."""

    codes: Array
    scales: Array
    real: Array

    def float_scales(self, real: Array) -> Array:
        """(groups, channels): what integers are multiplied by in the float graph, where the weights are ``real``."""
        factors = best_scales(real, self.real, np.ones(self.scales.shape))
        if np.allclose(real, self.real * factors[..., None], rtol=1e-3, atol=1e-6 * float(np.abs(real).max())):
            return self.scales * factors
        return best_scales(real, self.codes, np.zeros(self.scales.shape))


def real_weights(graph: Graph, chosen: Mapping[str, Chosen]) -> dict[str, Array]:
    """Weights of a float graph, by name, as the integers that were chosen mean them."""
    arrays: dict[str, Array] = {}
    for name, layer in layers_of(graph).items():
        scales = chosen[name].float_scales(layer.rows_of(layer.node["w"].array).astype(np.float64))
        arrays[name] = layer.weights_of((chosen[name].codes * scales[..., None]).astype(np.float32))
    return arrays


def with_weights(graph: Graph, samples: Samples, arrays: Mapping[str, Array]) -> Graph:
    """A float graph with other weights, by their names, and biases for which the sums' means are as they were."""
    small = with_constants(graph, arrays)
    pairs = dict(zip(small.nodes, graph.nodes, strict=True))
    means: dict[Node, Array] = {}
    for node, sums in _sums(graph, samples, set(graph.nodes)):
        means[node] = mean_by_channel(sums)
    for node, sums in _sums(small, samples, {n for n in small.nodes if pairs[n] in means}):
        b = node.get("b")
        if b is not None:
            b.data = (b.array + means[pairs[node]] - mean_by_channel(sums)).astype(np.float32)
    return small


def _sums(graph: Graph, samples: Samples, nodes: set[Node]) -> Iterator[tuple[Node, Array]]:
    """The sums of layers with constant weights, with bias, while the graph runs."""
    readers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        if node in nodes and isinstance(node.op, LAYERS) and node["w"].is_const:
            readers.setdefault(node["x"], []).append(node)
    for value, x in trace(graph, samples.arrays):
        for node in readers.get(value, ()):
            layer = Layer(node)
            yield node, layer.sums(x.reshape(-1, *x.shape[2:]), node["w"].array) + layer.bias


def distinct(int8: Graph) -> dict[str, tuple[int, int, int]]:
    """Of each layer's weights by name: how many there are, how many different ones, how many that are 0."""
    weights = [n["w"] for n in int8.nodes if isinstance(n.op, LAYERS) and n["w"].is_const]
    return {w.name: (w.array.size, len(np.unique(w.array)), int((w.array == 0).sum())) for w in dict.fromkeys(weights)}
