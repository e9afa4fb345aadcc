"""How channels go through each operator, and what becomes of it when some of them go.

``FLOWS`` is the table: for an operator a function that numbers the channels of its outputs, and one that makes the
operator's node again with fewer of them. An operator that is not in the table needs all channels of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chipfit.compress.channels.labels import FIXED, Along, Labels, found_along
from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node, Value
from chipfit.ops._broadcast import Binary
from chipfit.ops._pool import Pool
from chipfit.ops._reduce import Reduce
from chipfit.ops._resize import Resize
from chipfit.ops._unary import Unary
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.mirror_pad import MirrorPad
from chipfit.ops.pad import Pad
from chipfit.ops.prelu import PRelu
from chipfit.ops.reshape import Reshape
from chipfit.ops.select_v2 import SelectV2
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.squeeze import Squeeze
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.ops.transpose_conv import TransposeConv

Cut = Callable[[Node, "Fewer"], tuple[Any, list[Value | None]]]
"""The operator and the operands of a node with fewer channels; operands that are computed are still the old ones."""


@dataclass(frozen=True, eq=False)
class Fewer:
    """What is left. ``along``: where channels lie; ``gone``: (numbers,), bool."""

    along: dict[Value, Along]
    gone: Array

    def keeps(self, value: Value) -> Array | None:
        """(n,), bool, along the axis of the tensor's channels; None: all stay."""
        along = self.along.get(value)
        return None if along is None else self.left_of(along.numbers)

    def left_of(self, numbers: Int) -> Array | None:
        left = (numbers == FIXED) | ~self.gone[numbers]
        return None if left.all() else left

    def shape(self, value: Value) -> tuple[int, ...]:
        left = self.keeps(value)
        if left is None:
            return value.shape
        axis = self.along[value].axis
        return (*value.shape[:axis], int(left.sum()), *value.shape[axis + 1 :])


@dataclass(frozen=True)
class Flow:
    number: Callable[[Node, Labels], None]
    cut: Cut


def flow_of(node: Node) -> Flow | None:
    """The table's entry; None: the operator needs all channels of its operands."""
    return next((FLOWS[cls] for cls in type(node.op).__mro__ if cls in FLOWS), None)


def reader(node: Node) -> str:
    return f"{node.op.name} '{node.name}'"


def fix_operands(node: Node, labels: Labels, reason: str) -> None:
    for value in node.operands:
        labels.fix_value(value, reason)


# ---------------------------------------------------------------------------------------------- layers


def columns_of(node: Node, labels: dict[Value, Along]) -> Along | None:
    """The numbers of a dense layer's columns, of a convolution's input channels; None: they are none, or several."""
    x, w = node["x"], node["w"]
    along = labels.get(x)
    if along is None:
        return None
    if not isinstance(node.op, FullyConnected):
        return along if along.axis == 3 else None
    rows = along.spread(x.shape).reshape(-1, w.shape[1])
    return Along(1, rows[0]) if (rows == rows[:1]).all() else None


def _layer(node: Node, labels: Labels) -> None:
    x, w = node["x"], node["w"]
    if not w.is_const or ((b := node.get("b")) is not None and not b.is_const):
        fix_operands(node, labels, f"is read by {reader(node)}, whose weights are computed")
        return
    if x in labels.along and columns_of(node, labels.along) is None:
        labels.fix_value(x, f"is read by {reader(node)} along another axis")
    groups = _groups(node)
    if groups > 1 and w.shape[3] == 1:
        _per_channel(node, labels)
        return
    y = node["y"]
    labels.new(y, len(y.shape) - 1)
    if groups > 1:  # the k-th channels of all groups go together, so that groups stay equal
        for value in (x, y):
            if value in labels.along:
                _tie_groups(labels.along[value].numbers.reshape(groups, -1), labels, f"is in groups of {reader(node)}")


def _groups(node: Node) -> int:
    return node["x"].shape[3] // node["w"].shape[3] if isinstance(node.op, Conv2D) else 1


def _tie_groups(numbers: Int, labels: Labels, reason: str) -> None:
    for other in numbers[1:]:
        labels.unite(numbers[0], other, reason)


def _per_channel(node: Node, labels: Labels) -> None:
    """Each output channel is made of one input channel."""
    x, y = node["x"], node["y"]
    if x.shape[3] == 1:  # of one channel that stays many are made
        labels.fix_value(x, f"is the only channel of {reader(node)}")
        labels.new(y, 3)
        return
    along = labels.along.get(x)
    if along is not None and along.axis == 3:
        labels.along[y] = Along(3, np.repeat(along.numbers, y.shape[3] // x.shape[3]))
    else:
        labels.fix_value(x, f"is read by {reader(node)} along another axis")


def _depthwise(node: Node, labels: Labels) -> None:
    if not node["w"].is_const:
        fix_operands(node, labels, f"is read by {reader(node)}, whose weights are computed")
    else:
        _per_channel(node, labels)


def _cut_layer(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    w, b = node["w"], node.get("b")
    axis = 3 if isinstance(node.op, DepthwiseConv2D) else 0
    left = fewer.keeps(node["y"])
    data = w.array if left is None else np.compress(left, w.array, axis)
    columns = columns_of(node, fewer.along)
    if axis == 0 and w.shape[-1] > 1 and columns is not None:
        kept = fewer.left_of(columns.numbers[: w.shape[-1]])
        data = data if kept is None else np.compress(kept, data, data.ndim - 1)
    bias = None if b is None else Value(b.name, b.type, b.array if left is None else b.array[left])
    return node.op, [node["x"], Value(w.name, w.type, data), bias][: len(node.inputs)]


# ---------------------------------------------------------------------------------------------- element by element


def _elementwise(node: Node, labels: Labels) -> None:
    """Operands are spread over the output's shape; channels at one place go together."""
    y = node["y"]
    rank, computed = len(y.shape), [v for v in node.operands if not v.is_const]
    known = [(v, labels.along[v]) for v in computed if v in labels.along]
    axes = {along.axis + rank - len(v.shape) for v, along in known if v.shape[along.axis] == _out(y, v, along)}
    reason = f"meets other channels in {reader(node)}"
    for value, along in known:
        if value.shape[along.axis] != _out(y, value, along):
            labels.fix(along.numbers, f"is spread over all channels by {reader(node)}")
    if len(axes) != 1:
        fix_operands(node, labels, reason)
        return
    axis = axes.pop()
    numbers: Int | None = None
    for value in computed:
        own = axis - (rank - len(value.shape))
        if own < 0 or value.shape[own] != y.shape[axis]:
            continue
        along = labels.along.get(value)
        mine = along.numbers if along is not None else np.full(y.shape[axis], FIXED)
        if numbers is not None:
            labels.unite(numbers, mine, reason)
        if numbers is None or (numbers == FIXED).all():
            numbers = mine
    assert numbers is not None
    labels.along[y] = Along(axis, numbers)


def _out(y: Value, value: Value, along: Along) -> int:
    return y.shape[along.axis + len(y.shape) - len(value.shape)]


def _cut_constants(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    """Constant operands lose what the output loses."""
    y = node.outputs[0]
    left = fewer.keeps(y)
    if left is None:
        return node.op, list(node.inputs)
    axis, rank = fewer.along[y].axis, len(y.shape)
    return node.op, [v if v is None else _cut_constant(v, axis - rank, left) for v in node.inputs]


def _cut_constant(value: Value, axis_from_end: int, left: Array) -> Value:
    own = len(value.shape) + axis_from_end
    if not value.is_const or own < 0 or value.shape[own] != len(left):
        return value
    return Value(value.name, value.type, np.compress(left, value.array, own))


def _same_axis(node: Node, labels: Labels) -> None:
    """Every channel is worked on by itself: pools, resized images."""
    along = labels.along.get(node["x"])
    if along is not None and along.axis == 3:
        labels.along[node["y"]] = along
    else:
        fix_operands(node, labels, f"is read by {reader(node)} along another axis")


def _reduced(node: Node, labels: Labels) -> None:
    op, x = node.op, node["x"]
    assert isinstance(op, Reduce)
    along = labels.along.get(x)
    if along is None:
        return
    if along.axis in op.axes:
        labels.fix_value(x, f"is summed up by {reader(node)}")
        return
    before = 0 if op.keep_dims else sum(a < along.axis for a in op.axes)
    labels.along[node["y"]] = Along(along.axis - before, along.numbers)


def _unchanged(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    return node.op, list(node.inputs)


# ---------------------------------------------------------------------------------------------- moved


def _view(node: Node, labels: Labels) -> None:
    x, y = node["x"], node["y"]
    along = labels.along.get(x)
    if along is None:
        return
    found = found_along(along.spread(x.shape).reshape(y.shape)) if y.shape else None
    if found is None:
        labels.fix_value(x, f"is spread over several axes by {reader(node)}")
    else:
        labels.along[y] = found


def _cut_view(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    shape = fewer.shape(node["y"])
    return (node.op if shape == node["y"].shape else Reshape(shape)), list(node.inputs)


def _transposed(node: Node, labels: Labels) -> None:
    op = node.op
    assert isinstance(op, Transpose)
    along = labels.along.get(node["x"])
    if along is not None:
        labels.along[node["y"]] = Along(op.perm.index(along.axis), along.numbers)


def _concatenated(node: Node, labels: Labels) -> None:
    op, y = node.op, node["y"]
    assert isinstance(op, Concatenation)
    axis = op.axis % len(y.shape)
    known = {v: labels.along[v] for v in node.operands if v in labels.along}
    axes = {along.axis for along in known.values()}
    if not known:
        return
    if len(axes) > 1:
        fix_operands(node, labels, f"meets other channels in {reader(node)}")
        return
    own = axes.pop()
    parts = [known[v].numbers if v in known else np.full(v.shape[own], FIXED) for v in node.operands]
    if own == axis:
        labels.along[y] = Along(own, np.concatenate(parts))
        return
    for part in parts[1:]:
        labels.unite(parts[0], part, f"lies beside other channels in {reader(node)}")
    labels.along[y] = Along(own, parts[0])


def _cut_concatenated(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    """Constants beside the channels lose none; constants in other rows lose what all rows lose."""
    op, along = node.op, fewer.along.get(node["y"])
    assert isinstance(op, Concatenation)
    if along is None or along.axis == op.axis % len(node["y"].shape):
        return op, list(node.inputs)
    return _cut_constants(node, fewer)


def _padded(node: Node, labels: Labels) -> None:
    op = node.op
    assert isinstance(op, Pad | MirrorPad)
    along = labels.along.get(node["x"])
    if along is None:
        return
    before, after = op.pads[along.axis]
    if isinstance(op, MirrorPad) and before + after:
        labels.fix_value(node["x"], f"is mirrored by {reader(node)}")
        return
    numbers = np.concatenate([np.full(before, FIXED), along.numbers, np.full(after, FIXED)])
    labels.along[node["y"]] = Along(along.axis, numbers)


def _split(node: Node, labels: Labels) -> None:
    op, x = node.op, node["x"]
    assert isinstance(op, Split)
    along = labels.along.get(x)
    if along is None:
        return
    is_cut = op.axis % len(x.shape) == along.axis
    parts = np.split(along.numbers, np.cumsum(op.sizes)[:-1]) if is_cut else [along.numbers] * len(op.sizes)
    for value, part in zip(node.outputs, parts, strict=True):
        labels.along[value] = Along(along.axis, part)


def _cut_split(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    op = node.op
    assert isinstance(op, Split)
    sizes = tuple(fewer.shape(v)[op.axis % len(v.shape)] for v in node.outputs)
    return replace(op, sizes=sizes), list(node.inputs)


def _sliced(node: Node, labels: Labels) -> None:
    x = node["x"]
    along = labels.along.get(x)
    if along is None:
        return
    op = node.op
    if isinstance(op, StridedSlice) and (op.strides[along.axis] != 1 or op.shrink_axes):
        labels.fix_value(x, f"is read by {reader(node)}")
        return
    labels.along[node["y"]] = Along(along.axis, _along_axis(node, along))


def _along_axis(node: Node, along: Along) -> Int:
    op = node.op
    assert isinstance(op, Slice | StridedSlice)
    first = op.begin[along.axis]
    last = first + op.size[along.axis] if isinstance(op, Slice) else op.end[along.axis]
    return along.numbers[first:last]


def _cut_slice(node: Node, fewer: Fewer) -> tuple[Any, list[Value | None]]:
    op, along = node.op, fewer.along.get(node["x"])
    left = fewer.keeps(node["x"])
    if along is None or left is None:
        return op, list(node.inputs)
    assert isinstance(op, Slice | StridedSlice)
    begin = _with(op.begin, along.axis, int(left[: op.begin[along.axis]].sum()))
    size = fewer.shape(node["y"])[along.axis]
    if isinstance(op, Slice):
        return replace(op, begin=begin, size=_with(op.size, along.axis, size)), list(node.inputs)
    return replace(op, begin=begin, end=_with(op.end, along.axis, begin[along.axis] + size)), list(node.inputs)


def _with(numbers: Sequence[int], at: int, number: int) -> tuple[int, ...]:
    return (*numbers[:at], number, *numbers[at + 1 :])


FLOWS: dict[type, Flow] = {
    Conv2D: Flow(_layer, _cut_layer),
    TransposeConv: Flow(_layer, _cut_layer),
    FullyConnected: Flow(_layer, _cut_layer),
    DepthwiseConv2D: Flow(_depthwise, _cut_layer),
    Unary: Flow(_elementwise, _cut_constants),
    Binary: Flow(_elementwise, _cut_constants),
    PRelu: Flow(_elementwise, _cut_constants),
    SelectV2: Flow(_elementwise, _cut_constants),
    Pool: Flow(_same_axis, _unchanged),
    Resize: Flow(_same_axis, _unchanged),
    Reduce: Flow(_reduced, _unchanged),
    Reshape: Flow(_view, _cut_view),
    Squeeze: Flow(_view, _cut_view),
    ExpandDims: Flow(_view, _cut_view),
    Transpose: Flow(_transposed, _unchanged),
    Concatenation: Flow(_concatenated, _cut_concatenated),
    Pad: Flow(_padded, _unchanged),
    MirrorPad: Flow(_padded, _unchanged),
    Split: Flow(_split, _cut_split),
    Slice: Flow(_sliced, _cut_slice),
    StridedSlice: Flow(_sliced, _cut_slice),
}
