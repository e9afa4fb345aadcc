"""Scales and zero points: from ranges to one quantization for each tensor, as the operators' roles ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from chipfit.graph import Array, Graph, Node, Quant, Value
from chipfit.ops._roles import Act, Fixed, Shared
from chipfit.ops.pad import Pad
from chipfit.quantize.observers import Range
from chipfit.quantize.prepare import ports_of
from chipfit.quantize.recipe import Granularity

_LEAST_SCALE = 1e-20
"""Below it float32 products of two scales would vanish."""

_BIAS_LIMIT = 1 << 29
"""Biases stay below it, so that the sums they are added to fit into int32."""

_PAD_LIMIT = 1e30
"""Padding beyond it only stands for the least element that there is, before a maximum."""


@dataclass
class Parameters:
    """``quants``: of each float tensor that becomes int8. ``bridges``: operands that are rescaled before their reader,
    with the quantization that it needs: ``(reader, operand)``. ``notes``: what a person should know."""

    quants: dict[Value, Quant] = field(default_factory=dict[Value, Quant])
    bridges: dict[tuple[Node, Value], Quant] = field(default_factory=dict[tuple[Node, Value], Quant])
    notes: list[str] = field(default_factory=list[str])


class _Groups:
    """Tensors that must have one quantization."""

    def __init__(self) -> None:
        self._parent: dict[Value, Value] = {}
        self.fixed: dict[Value, Quant] = {}
        """By representative."""

    def find(self, value: Value) -> Value:
        while (parent := self._parent.setdefault(value, value)) is not value:
            self._parent[value] = self._parent[parent]
            value = parent
        return value

    def join(self, a: Value, b: Value) -> None:
        a, b = self.find(a), self.find(b)
        if a is not b:
            self._parent[b] = a
            if b in self.fixed:
                self.fixed[a] = self.fixed.pop(b)

    def is_fixed(self, value: Value) -> bool:
        return self.find(value) in self.fixed


def parameters(graph: Graph, ranges: Mapping[Value, Range]) -> Parameters:
    """The quantization of every activation and of every constant that stands where an activation could.

    A tensor that an operator only copies has the range of its source. Where several tensors meet in such an operator,
    they share the union of their ranges; one whose quantization is prescribed is rescaled before.
    """
    groups, found = _Groups(), Parameters()
    copies: set[Value] = set()
    rescaled: list[tuple[Node, Value, Value]] = []
    activations: dict[Value, None] = dict.fromkeys(v for v in graph.inputs if v.dtype.is_float)
    for node in graph.nodes:
        ports = ports_of(node)
        activations.update((v, None) for v, role in ports if isinstance(role, Act | Shared | Fixed))
        for value, role in ports:
            if isinstance(role, Fixed):
                groups.fixed[groups.find(value)] = Quant.per_tensor(role.scale, role.zero_point)
        shared = [v for v, role in ports if isinstance(role, Shared)]
        if not shared:
            continue
        sources = [v for v in dict.fromkeys(shared) if v not in node.outputs]
        copies.update(v for v in shared if v in node.outputs)
        first = node.outputs[0]
        for value in shared:
            if value in sources and len(sources) > 1 and groups.is_fixed(value):
                rescaled.append((node, value, first))
            else:
                groups.join(first, value)
    united: dict[Value, Range] = {}
    for value in activations:
        if value not in copies:
            _unite(united, groups.find(value), _range_of(value, ranges))
    for node in graph.nodes:
        if isinstance(node.op, Pad) and node.op.value is not None and abs(node.op.value) < _PAD_LIMIT:
            _unite(united, groups.find(node["y"]), Range(node.op.value, node.op.value))
    for _, value, target in rescaled:
        _unite(united, groups.find(target), _range_of(value, ranges))
    made: dict[Value, Quant] = {}
    for root, whole in united.items():
        made[root] = groups.fixed.get(root) or activation_quant(whole)
        if whole.low == whole.high:
            found.notes.append(f"'{root.name}' is {whole.low:g} for all samples: its range has no width")
    found.quants = {value: made[groups.find(value)] for value in activations}
    found.bridges = {(node, value): made[groups.find(target)] for node, value, target in rescaled}
    return found


def _unite(united: dict[Value, Range], root: Value, more: Range) -> None:
    united[root] = united[root].union(more) if root in united else more


def _range_of(value: Value, ranges: Mapping[Value, Range]) -> Range:
    if value.data is None:
        return ranges[value]
    return Range(float(value.data.min()), float(value.data.max())) if value.data.size else Range(0.0, 0.0)


def activation_quant(whole: Range) -> Quant:
    """int8 over a range, widened to hold 0, which is exactly one of the integers. Without width the scale is 1."""
    low, high = min(whole.low, 0.0), max(whole.high, 0.0)
    if low == high:
        return Quant.per_tensor(1.0, 0)
    scale = max(float(np.float32((high - low) / 255.0)), _LEAST_SCALE)
    return Quant.per_tensor(scale, int(np.clip(np.rint(-128.0 - low / scale), -128, 127)))


def weight_quant(w: Array, axis: int, granularity: Granularity, bias: Array, input_scale: float) -> Quant:
    """Symmetric, -127 to 127. ``bias``: real numbers, (channels,).

    A scale is never so small that the bias would leave int32. Channels of zeros get the median of the others.
    """
    per_channel = np.moveaxis(np.abs(w), axis, 0).reshape(w.shape[axis], -1).max(axis=1).astype(np.float64)
    least = np.maximum(np.abs(bias.astype(np.float64)) / (_BIAS_LIMIT * input_scale), _LEAST_SCALE / input_scale)
    used = per_channel[per_channel > 0]
    per_channel = np.where(per_channel > 0, per_channel, np.median(used) if used.size else 1.0)
    scales = np.maximum(per_channel / 127.0, least)
    if granularity == "tensor":
        return Quant.per_tensor(float(scales.max()))
    return Quant(tuple(float(np.float32(s)) for s in scales), (0,) * len(scales), axis)


def along(quant: Quant, rank: int) -> Array:
    """The scales of weights in a shape that broadcasts against them, float64."""
    shape = [1] * rank
    if quant.axis is not None:
        shape[quant.axis] = -1
    return np.array(quant.scale).reshape(shape)


def quantize_weights(w: Array, quant: Quant) -> Array:
    return np.clip(np.rint(w / along(quant, w.ndim)), -127, 127).astype(np.int8)


def bias_scales(input_scale: float, weights: Quant, channels: int) -> Array:
    """(channels,), the unit of the accumulator, as float32 values."""
    return np.array([np.float32(input_scale * s) for s in weights.scales(channels)], np.float64)


def quantize_bias(b: Array, scales: Array) -> Array:
    limit = (1 << 31) - 1
    return np.clip(np.rint(b.astype(np.float64) / scales), -limit, limit).astype(np.int32)


def quantize_array(x: Array, quant: Quant) -> Array:
    """Real numbers on an int8 grid."""
    return np.clip(np.rint(x / np.float32(quant.s)) + quant.zp, -128, 127).astype(np.int8)


def dequantize_array(x: Array, quant: Quant) -> Array:
    """float32."""
    return (x.astype(np.float32) - np.float32(quant.zp)) * np.float32(quant.s)
