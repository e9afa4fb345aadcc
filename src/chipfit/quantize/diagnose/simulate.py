"""An integer network on real numbers, in which single roundings can be left out, added or replaced.

It answers what one rounding costs, or what another one would gain, without quantizing anew. Where the recipe corrects
biases, those of each layer follow every change, as they would if the network were quantized with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, Value
from chipfit.quantize.batch import evaluate
from chipfit.quantize.calibrate import last_readers
from chipfit.quantize.correct import mean_by_channel
from chipfit.quantize.layers import LAYERS, Layer, activated
from chipfit.quantize.parameters import along
from chipfit.quantize.prepare import judged_part
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.sources import Samples

Arrays = Mapping[Value, Array]
"""Real numbers of tensors of the integer graph, samples first."""


def grid_of(value: Value) -> Quant | None:
    """The quantization of a tensor that is computed on integers."""
    return value.type.quant if value.dtype in (DType.INT8, DType.INT16) and not value.is_const else None


def on_grid(x: Array, quant: Quant, dtype: DType = DType.INT8) -> Array:
    """Real numbers as the integers of ``quant`` hold them: rounded to the nearest, clipped. float32."""
    low, high = dtype.range
    y = np.rint(x * np.float32(1.0 / quant.s))
    np.clip(y, low - quant.zp, high - quant.zp, out=y)
    y *= np.float32(quant.s)
    return y


class Network:
    """The integer network up to what it is judged by, ``target``; values and nodes are those of the integer ``graph``.

    ``floats``: every tensor of the float network for the samples.
    """

    def __init__(self, graph: Graph, origin: Mapping[Node, Node], recipe: Recipe, samples: Samples) -> None:
        self.origin, self.recipe, self.graph = origin, recipe, judged_part(graph)
        self.nodes, self.inputs, self.target = self.graph.nodes, self.graph.inputs, self.graph.outputs[0]
        self._last = last_readers(self.graph)
        self._means: dict[Node, Array] = {}
        known: dict[Value, Array] = dict(zip(graph.inputs, samples.arrays, strict=True))
        for node in self.nodes:
            real = origin.get(node)
            if real is not None and isinstance(real.op, LAYERS):
                self._means[node] = mean_by_channel(_sums(real, known[_computed(node)[0]], real["w"].array))
            known.update(zip(node.outputs, self.outputs(node, known), strict=True))
        self.floats: Arrays = known

    @property
    def float_graph(self) -> Graph:
        """The float network, without what only rescales integers."""
        nodes = [self.origin[node] for node in self.nodes if node in self.origin]
        made = {v for node in nodes for v in node.outputs}
        given = dict.fromkeys(v for node in nodes for v in node.operands if not v.is_const and v not in made)
        return Graph(self.graph.name, list(given), nodes[-1].outputs, nodes)

    def is_layer(self, node: Node) -> bool:
        """Whether it has weights."""
        return node in self._means

    def rounded(self, value: Value, x: Array, grids: Mapping[Value, Quant | None] | None = None) -> Array:
        """A tensor's real numbers as its integers hold them. ``grids``: others than the graph's; None: no rounding."""
        quant = grid_of(value) if grids is None else grids.get(value, grid_of(value))
        return x if quant is None else on_grid(x, quant, value.dtype)

    def weights(self, node: Node) -> Array:
        """The real numbers that a layer's stored weights stand for, float32."""
        w = node["w"]
        if not w.is_const or w.type.quant is None:
            return (w if w.is_const else self.origin[node]["w"]).array.astype(np.float32)
        return (w.array * along(w.q, w.array.ndim)).astype(np.float32)

    def outputs(self, node: Node, known: Arrays, w: Array | None = None, matched: bool | None = None) -> list[Array]:
        """A node's outputs, not rounded. ``w``: a layer's weights; None: those of the float network.

        ``matched``: the bias takes back what other weights and inputs do to the mean; None: if the recipe lets it.
        """
        real, computed = self.origin.get(node), _computed(node)
        if real is None:
            return [known[computed[0]]]
        if not isinstance(real.op, LAYERS):
            return evaluate(real, [known[v] for v in computed])
        layer, y = Layer(real), node["y"]
        sums = _sums(real, known[computed[0]], real["w"].array if w is None else w)
        b = layer.bias.astype(np.float64)
        if self.corrects(node) if matched is None else matched:
            b = b + self._means[node] - mean_by_channel(sums)
        sums += b.astype(np.float32)
        return [activated(real, sums).reshape(len(known[computed[0]]), *y.shape)]

    def corrects(self, node: Node) -> bool:
        """Whether the recipe takes shifts of the mean back in this layer."""
        return self.recipe.has("bias", node.name) or self.recipe.has("match", node.name)

    def integer(self, matched: bool | None = None, grids: Mapping[Value, Quant | None] | None = None) -> Arrays:
        """Every tensor with all roundings. ``matched``: see :meth:`outputs`; ``grids``: see :meth:`rounded`."""
        known: dict[Value, Array] = {v: self.rounded(v, self.floats[v], grids) for v in self.inputs}
        for node in self.nodes:
            ys = self.outputs(node, known, self.weights(node) if self.is_layer(node) else None, matched)
            known.update((v, self.rounded(v, y, grids)) for v, y in zip(node.outputs, ys, strict=True))
        return known

    def follow(
        self, changed: Arrays, base: Arrays, grids: Mapping[Value, Quant | None] | None = None, rounding: bool = False
    ) -> Array:
        """The judged tensor where ``changed`` tensors replace those of ``base``, all others following.

        ``rounding``: whether what follows is rounded, as in the integer network (with ``grids`` instead of the graph's
        for the tensors that they name), or is float.
        """
        new = dict(changed)
        for node in self.nodes:
            touched = any(v in new for v in _computed(node))
            if touched and not any(v in changed for v in node.outputs):
                known = {v: new.get(v, base[v]) for v in _computed(node)}
                ys = self.outputs(node, known, self.weights(node) if rounding and self.is_layer(node) else None)
                for value, y in zip(node.outputs, ys, strict=True):
                    new[value] = self.rounded(value, y, grids) if rounding else y
            for value in node.operands:
                if self._last.get(value) is node and value is not self.target:
                    new.pop(value, None)
        return new.get(self.target, base[self.target])


def _computed(node: Node) -> Sequence[Value]:
    return [v for v in node.operands if not v.is_const]


def _sums(real: Node, x: Array, w: Array) -> Array:
    joined = x.reshape(-1, *x.shape[2:]) if x.ndim > 2 else x
    return Layer(real).sums(joined, w)
