"""Scales and zero points: from ranges to one quantization for each tensor, as the operators' roles ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, Value
from chipfit.ops._roles import Fixed, Shared
from chipfit.ops._softmax import least_scale
from chipfit.ops.log_softmax import LogSoftmax
from chipfit.ops.pad import Pad
from chipfit.ops.scan import Scan
from chipfit.ops.softmax import Softmax
from chipfit.quantize.observers import Range
from chipfit.quantize.prepare import ports_of
from chipfit.quantize.recipe import Granularity, Recipe
from chipfit.quantize.widths import Form, Widths, activations, widths

_LEAST_SCALE = 1e-20
"""Below it float32 products of two scales would vanish."""

_BIAS_LIMIT = {DType.INT32: 1 << 29, DType.INT64: 1 << 45}
"""Biases stay below it, so that their sums fit into int32, or into the 48 bits that int16 kernels rescale."""

_BIAS_MOST = {DType.INT32: (1 << 31) - 1, DType.INT64: 1 << 46}

_WIDENING = 128
"""int16 steps in an int8 step: 255 times as many fit into int16."""

_PAD_LIMIT = 1e30
"""Padding beyond it only stands for the least element that there is, before a maximum."""


@dataclass
class Parameters:
    """``quants``: of each form in which a float tensor is stored or read. ``rescaled``: operands that get another
    quantization before their reader: ``(reader, operand)``. ``notes``: what a person should know."""

    widths: Widths
    quants: dict[Form, Quant]
    rescaled: dict[tuple[Node, Value], Quant]
    notes: list[str]
    bodies: dict[str, Graph] = field(default_factory=dict[str, Graph])
    """The integer bodies of SCANs, by the name of the node."""


class _Groups:
    """Forms that must have one quantization.

    ``forms``: all of them, in order. ``copies``: those that an operator copies from others. ``rescaled``: operands that
    get the quantization of another form before their reader: ``(reader, operand, form)``.
    """

    def __init__(
        self, graph: Graph, chosen: Widths, ties: Sequence[tuple[Value, Value]], prescribed: Mapping[Value, Quant]
    ) -> None:
        self._parent: dict[Form, Form] = {}
        self.fixed: dict[Form, Quant] = {}
        """By representative."""
        self.forms: dict[Form, None] = dict.fromkeys((v, chosen.native[v]) for v in graph.inputs if v in chosen.native)
        self.inputs = set(graph.inputs)
        self.copies: set[Form] = set()
        self.rescaled: list[tuple[Node, Value, Form]] = []
        for value, quant in prescribed.items():
            if value in chosen.native:
                self.fixed[value, chosen.native[value]] = quant
        for node in graph.nodes:
            if isinstance(node.op, Scan):
                self._add_scan(node, node.op, chosen)
            else:
                self._add(node, chosen.nodes[node])
        self.forms.update(dict.fromkeys(chosen.bridged(graph)))
        for a, b in ties:
            self._join((b, chosen.native[a]), (a, chosen.native[a]))

    def _add(self, node: Node, width: DType) -> None:
        ports = ports_of(node)
        self.forms.update(((v, width), None) for v in activations(node))
        for value, role in ports:
            if isinstance(role, Fixed) and (prescribed := role.of(width)) is not None:
                self.fixed[self.find((value, width))] = prescribed
        shared = [v for v, role in ports if isinstance(role, Shared)]
        sources = [v for v in dict.fromkeys(shared) if v not in node.outputs]
        self.copies.update((v, width) for v in shared if v in node.outputs)
        first = (node.outputs[0], width)
        for value in shared:
            if value in sources and len(sources) > 1 and self.find((value, width)) in self.fixed:
                self.rescaled.append((node, value, first))
            else:
                self._join(first, (value, width))

    def _add_scan(self, node: Node, op: Scan, chosen: Widths) -> None:
        """A state has one quantization at both ends; what is computed gets it before."""
        self.forms.update(((v, chosen.of(node, v)), None) for v in activations(node))
        for state, end in zip(op.taken(node)[1], op.given(node)[0], strict=True):
            form = (end, chosen.of(node, end))
            if state.is_const or state in self.inputs:
                self._join(form, (state, chosen.of(node, state)))
            else:
                self.rescaled.append((node, state, form))

    def find(self, form: Form) -> Form:
        while (parent := self._parent.setdefault(form, form)) != form:
            self._parent[form] = self._parent[parent]
            form = parent
        return form

    def _join(self, a: Form, b: Form) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self._parent[b] = a
            if b in self.fixed:
                self.fixed[a] = self.fixed.pop(b)

    def sources(self) -> dict[Form, list[Form]]:
        """The forms that give each group its range, by representative."""
        found: dict[Form, list[Form]] = {}
        for form in self.forms:
            if form not in self.copies:
                found.setdefault(self.find(form), []).append(form)
        return found


def parameters(
    graph: Graph,
    ranges: Mapping[Value, Range],
    recipe: Recipe,
    *,
    ties: Sequence[tuple[Value, Value]] = (),
    prescribed: Mapping[Value, Quant] | None = None,
) -> Parameters:
    """The quantization of every activation and of every constant that stands where an activation could.

    ``ties``: an input and a computed value that get the same. ``prescribed``: what is decided elsewhere.
    A tensor that an operator only copies has the range of its source. Where several tensors meet in such an operator,
    they share the union of their ranges; one whose quantization is prescribed is rescaled before.
    """
    chosen = widths(graph, recipe, ties)
    groups, notes = _Groups(graph, chosen, ties, prescribed or {}), list(chosen.notes)
    united: dict[Form, Range] = {}
    for root, members in groups.sources().items():
        for value, _ in members:
            _unite(united, root, _range_of(value, ranges))
    for node in graph.nodes:
        if isinstance(node.op, Pad) and node.op.value is not None and abs(node.op.value) < _PAD_LIMIT:
            root = groups.find((node["y"], chosen.nodes[node]))
            _unite(united, root, Range(node.op.value, node.op.value))
    for _, value, target in groups.rescaled:
        _unite(united, groups.find(target), _range_of(value, ranges))
    for name, level in {root[0].name: r.low for root, r in united.items() if r.low == r.high}.items():
        notes.append(f"'{name}' is {level:g} for all samples: its range has no width")
    made = {root: groups.fixed.get(root) or activation_quant(whole, root[1]) for root, whole in united.items()}
    _widen_exactly(groups, chosen, made)
    _widen_logits(graph, groups, chosen, made)
    quants = {form: made[groups.find(form)] for form in groups.forms}
    rescaled = {(node, value): made[groups.find(target)] for node, value, target in groups.rescaled}
    return Parameters(chosen, quants, rescaled, notes)


def _widen_exactly(groups: _Groups, chosen: Widths, made: dict[Form, Quant]) -> None:
    """An int8 tensor that alone gives int16 ones their range is copied exactly: its steps are whole int16 steps."""
    for root, members in groups.sources().items():
        (value, width), *others = members
        is_copy = width is DType.INT16 and chosen.native.get(value) is DType.INT8
        if not is_copy or others or root in groups.fixed:
            continue
        exact = Quant.per_tensor(made[groups.find((value, DType.INT8))].s / _WIDENING)
        if exact.s >= made[root].s:  # what else is in the group, such as what a PAD puts in, fits too
            made[root] = exact


def _widen_logits(graph: Graph, groups: _Groups, chosen: Widths, made: dict[Form, Quant]) -> None:
    """Logits that hardly differ, as those of a network whose last features are dead, get the least scale that the
    kernels of softmax take."""
    for node in graph.nodes:
        if isinstance(node.op, Softmax | LogSoftmax) and chosen.nodes[node] is DType.INT8:
            root = groups.find((node["x"], DType.INT8))
            least = least_scale(node.op.beta if isinstance(node.op, Softmax) else 1.0)
            if made[root].s < least and root not in groups.fixed:
                made[root] = Quant.per_tensor(least, made[root].zp)


def _unite(united: dict[Form, Range], root: Form, more: Range) -> None:
    united[root] = united[root].union(more) if root in united else more


def _range_of(value: Value, ranges: Mapping[Value, Range]) -> Range:
    if value.data is None:
        return ranges[value]
    return Range(float(value.data.min()), float(value.data.max())) if value.data.size else Range(0.0, 0.0)


def activation_quant(whole: Range, dtype: DType) -> Quant:
    """Integers over a range; 0 is exactly one of them. int16 is symmetric. Without width the scale is 1."""
    low, high = min(whole.low, 0.0), max(whole.high, 0.0)
    if low == high:
        return Quant.per_tensor(1.0, 0)
    if dtype is DType.INT16:
        return Quant.per_tensor(max(float(np.float32(max(-low, high) / 32767.0)), _LEAST_SCALE), 0)
    scale = max(float(np.float32((high - low) / 255.0)), _LEAST_SCALE)
    return Quant.per_tensor(scale, int(np.clip(np.rint(-128.0 - low / scale), -128, 127)))


def bias_dtype(x: DType) -> DType:
    """The element type of the bias of a layer on these activations."""
    return DType.FLOAT32 if x.is_float else DType.INT64 if x is DType.INT16 else DType.INT32


def weight_quant(w: Array, axis: int, granularity: Granularity, least: Array | float) -> Quant:
    """Symmetric, -127 to 127; no scale below ``least`` (channels,). Channels of zeros get the median of the others."""
    per_channel = np.moveaxis(np.abs(w), axis, 0).reshape(w.shape[axis], -1).max(axis=1).astype(np.float64)
    used = per_channel[per_channel > 0]
    per_channel = np.where(per_channel > 0, per_channel, np.median(used) if used.size else 1.0)
    scales = np.maximum(per_channel / 127.0, least)
    if granularity == "tensor":
        return Quant.per_tensor(float(scales.max()))
    return Quant(tuple(scales.astype(np.float32).tolist()), (0,) * len(scales), axis)


def least_weight_scales(bias: Array, x: Value) -> Array:
    """(channels,): scales at which neither the bias, in real numbers, nor the accumulator's unit leaves its type."""
    if x.dtype.is_float:
        return np.full(len(bias), _LEAST_SCALE)
    limit = _BIAS_LIMIT[bias_dtype(x.dtype)]
    return np.maximum(np.abs(bias.astype(np.float64)) / limit, _LEAST_SCALE) / x.q.s


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
    return (input_scale * np.array(weights.scales(channels))).astype(np.float32).astype(np.float64)


def accumulator_scales(node: Node, channels: int) -> Array:
    """(channels,): what 1 in the sums of a layer's stored operands is worth."""
    w, x = node["w"], node["x"]
    if w.type.quant is None:
        return np.ones(channels)
    return np.array(w.q.scales(channels)) if x.dtype.is_float else bias_scales(x.q.s, w.q, channels)


def quantize_bias(b: Array, scales: Array, dtype: DType) -> Array:
    """``dtype``: INT32, or INT64 beside int16 activations."""
    limit = _BIAS_MOST[dtype]
    return np.clip(np.rint(b.astype(np.float64) / scales), -limit, limit).astype(dtype.numpy)


def quantize_array(x: Array, quant: Quant, dtype: DType = DType.INT8) -> Array:
    """Real numbers on an integer grid."""
    low, high = dtype.range
    return np.clip(np.rint(x / np.float32(quant.s)) + quant.zp, low, high).astype(dtype.numpy)


def dequantize_array(x: Array, quant: Quant) -> Array:
    """float32."""
    return (x.astype(np.float32) - np.float32(quant.zp)) * np.float32(quant.s)
