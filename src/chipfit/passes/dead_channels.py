"""Remove channels that hold one integer whatever the input is, and channels that nobody reads.

A filter of zeros gives a constant; so does a channel that its activation always clamps. A constant needs no computing:
what it adds to the sums of the next layer goes into that layer's bias. Often the constant runs through a chain
(pointwise, depthwise, pointwise), and all of the chain's channel goes. Padding is exact: it counts as the zero point,
so that a constant that differs from the zero point shows at the border. Each kind of border is computed, and the
channel goes only if the difference disappears (in the weights, the rounding or the activation).

Looked at are int8 layers with constant weights, and what lies between them and keeps channels apart: pools, means over
rows and columns, element-wise operators, additions whose operands are both constant, and views. What mixes or moves
channels (concatenation, transposition, softmax, state ...) needs all of them. Float layers are left alone: there, a sum
in another order is another sum.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.graph.rewrite import Missed, Pass, PassReport
from chipfit.ops import op_of
from chipfit.ops.reshape import Reshape
from chipfit.passes._layers import Layer, bias_quant, layers_of, sliced
from chipfit.passes._ranges import Range, range_of, ranges_of
from chipfit.passes._removable import Removable, find_removable, shares_of_constants

MULTIPLE = 4
"""Numbers of channels that are a multiple of this stay one: kernels take so many channels at once."""


def dead_channels(multiple: int = MULTIPLE) -> Pass:
    """The pass. ``multiple`` 1 removes all dead channels."""
    doc = "Channels that are constant for every input, or that nobody reads, are removed."
    return Pass("dead_channels", doc, lambda graph: _run(graph, multiple))


def _run(graph: Graph, multiple: int) -> PassReport:
    report = PassReport("dead_channels")
    layers = layers_of(graph)
    if not layers:
        return report
    ranges = ranges_of(graph, layers)
    found = find_removable(graph, layers, ranges, multiple)
    made = [node["y"] for node in found.layers]
    total, removed = sum(len(found.gone[v]) for v in made), sum(int(found.gone[v].sum()) for v in made)
    report.missed.extend(_reasons(found, ranges))
    if not removed:
        return report
    before = _macs(graph)
    for value in made:
        if found.gone[value].any():
            report.changes.append(
                f"removed {int(found.gone[value].sum())} of {value.shape[-1]} channels of '{value.name}'"
            )
    _Removal(graph, found, ranges).apply()
    report.headline = f"removed {removed:,} of {total:,} channels: {before:,} -> {_macs(graph):,} MACs"
    return report


def _macs(graph: Graph) -> int:
    return sum(op_of(node).macs(node) for node in graph.nodes)


def _reasons(found: Removable, ranges: dict[Value, Range]) -> list[Missed]:
    """For each layer's output: how many constant channels stay, for which reason."""
    missed: list[Missed] = []
    for node in found.layers:
        value = node["y"]
        stays = range_of(value, ranges).constant & found.keeps(value)
        for reason, count in Counter(found.why[value][stays].tolist()).items():
            missed.append(Missed(value.name, f"has {count} constant channels that stay: {reason}"))
    return missed


class _Removal:
    """Takes the channels out: first the weights and biases, for which shapes must still be what they were."""

    def __init__(self, graph: Graph, found: Removable, ranges: dict[Value, Range]) -> None:
        self.graph, self.found, self.ranges = graph, found, ranges
        self.readers = graph.consumers()

    def apply(self) -> None:
        losing = {value for value, gone in self.found.gone.items() if gone.any()}
        touched = [n for n in self.graph.nodes if not losing.isdisjoint(n.operands) or not losing.isdisjoint(n.outputs)]
        for node in touched:
            layer = self.found.layers.get(node)
            if layer is not None:
                self._shrink_layer(node, layer)
            else:
                self._shrink_constants(node)
        for value in losing:
            kept = int(self.found.keeps(value).sum())
            value.type = TensorType((*value.shape[:-1], kept), value.dtype, value.type.quant)
        for node in touched:
            if op_of(node).is_view:
                self._reshape(node)

    def _shrink_layer(self, node: Node, layer: Layer) -> None:
        x, w = node["x"], node["w"]
        keeps_x, keeps_y = self.found.keeps(x), self.found.keeps(node["y"])
        bias = layer.bias
        if not layer.depthwise:
            bias = bias + self._absorbed(layer, ~keeps_x)
        smaller = sliced(w, layer.channel_axis, keeps_y)
        if not layer.depthwise:
            smaller = sliced(smaller, len(w.shape) - 1, layer.columns_of(keeps_x))
        inputs = [x, self._rename(w, smaller)]
        b = node.get("b")
        if b is not None:
            whole = Value(b.name, b.type, bias.astype(np.int32))
            inputs.append(self._rename(b, sliced(whole, 0, keeps_y)))
        elif bias.any():
            name = self.graph.unique_name(f"{node.name}/bias")
            whole = Value(name, TensorType(bias.shape, DType.INT32, bias_quant(x, w)), bias.astype(np.int32))
            inputs.append(sliced(whole, 0, keeps_y))
        node.inputs = list(inputs)

    def _absorbed(self, layer: Layer, gone: Array) -> Array:
        """(out,): what the removed input channels add to the sums that stay. It is the same at every border."""
        x = range_of(layer.node["x"], self.ranges)
        if not (gone & x.constant).any():
            return np.zeros(layer.channels, np.int64)
        return shares_of_constants(layer, x)[0][:, gone[x.constant]].sum(axis=1)

    def _shrink_constants(self, node: Node) -> None:
        """The constant operands of element-wise operators lose the channels that the output loses."""
        kept = self.found.keeps(node["y"])
        node.inputs = [
            self._rename(v, sliced(v, len(v.shape) - 1, kept))
            if v is not None and v.is_const and v.shape and v.shape[-1] == len(kept)
            else v
            for v in node.inputs
        ]

    def _rename(self, old: Value, new: Value) -> Value:
        """The name stays, unless somebody else reads the constant as it was."""
        if len(self.readers.get(old, [])) > 1 or old in self.graph.outputs:
            new.name = self.graph.unique_name(old.name)
        return new

    @staticmethod
    def _reshape(node: Node) -> None:
        """A view gives its new shape, whatever its operator was."""
        if node.op != (op := Reshape(node["y"].shape)):
            node.op = op
