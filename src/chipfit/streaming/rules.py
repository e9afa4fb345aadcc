"""How each operator follows a window that moves on: one table, operator -> rule.

A rule is asked for a node of which at least one input moves and no input is computed anew in every call. It answers
with a :class:`Step`, which is exact, or with a :class:`Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd, prod

import numpy as np

from chipfit.graph import Node, OpBase, Shape
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.pad import Pad
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.streaming.flow import Flow, Flows, Part, Refusal, Step

Rule = Callable[[Node, Flows], Step | Refusal]

_VALID = "export the model with padding 'valid' along time: the frames beside the window are then frames of the input"
_END = "move it behind the layer that takes the whole window (a global pool, a flatten), or out of the model"
_COMPUTED_WEIGHTS = Refusal("has weights that are computed from the input", _END)


def whole(node: Node, flows: Flows) -> Step:
    """All of the moving inputs, as in the window model: always exact, and saves nothing."""
    parts = {i: Part(flow.axis, node.operands[i].shape[flow.axis]) for i, flow in flows.items()}
    return Step(node.op, parts, None)


def _local(node: Node, flow: Flow, axis: int | None = None, op: OpBase | None = None) -> Step:
    """Every element of the output comes from the elements at the same place in time of the one input that moves."""
    return Step(op or node.op, {0: Part(flow.axis, flow.new)}, Flow(flow.axis if axis is None else axis, flow.new))


def _windows(
    node: Node,
    flow: Flow,
    axis: int,
    count: int,
    *,
    stride: int = 1,
    begin: int = 0,
    op_for: Callable[[int], OpBase] | None = None,
) -> Step | Refusal:
    """``count`` outputs along ``axis``, each from a window of inputs; the first window begins at ``begin``, each other
    one ``stride`` behind the one before.

    ``op_for`` makes the operator for a number of outputs, the first window of which begins with its first input.
    """
    if count == 1 or flow.new >= count * stride:
        new = count
    elif flow.new % stride:
        reason = f"has stride {stride} along time, and its input moves by {flow.new}"
        return Refusal(reason, "", factor=stride // gcd(stride, flow.new))
    else:
        new = flow.new // stride
    part = Part(flow.axis, node["x"].shape[flow.axis] - begin - (count - new) * stride)
    return Step(op_for(new) if op_for else node.op, {0: part}, Flow(axis, new) if new < count else None)


def _image(node: Node, flow: Flow) -> Step | Refusal:
    """Windows over rows and columns."""
    fields = node.op.attributes()
    if flow.axis == 0:
        return _local(node, flow)
    if flow.axis == 3:
        return Refusal("has time as its channels", "transpose the model's input so that time is an axis of its own")
    i = flow.axis - 1
    stride, before, after = fields["stride"][i], fields["pad"][i], fields["pad"][i + 2]
    if before or after:
        return _padded(node, flow, stride, before, after)
    return _windows(node, flow, flow.axis, node["y"].shape[flow.axis], stride=stride)


def _padded(node: Node, flow: Flow, stride: int, before: int, after: int) -> Refusal:
    """What padding adds is at the window's border in every call: it does not move."""
    text = f"pads time by {before} before and {after} behind the window (stride {stride}), and padding stands still"
    if flow.new % stride:
        return Refusal(text, _VALID, factor=stride // gcd(stride, flow.new))
    new = flow.new // stride
    return Refusal(text, _VALID, assumed=Flow(flow.axis, new) if new < node["y"].shape[flow.axis] else None)


def _convolution(node: Node, flows: Flows) -> Step | Refusal:
    return _image(node, flows[0]) if set(flows) == {0} else _COMPUTED_WEIGHTS


def _pool(node: Node, flows: Flows) -> Step | Refusal:
    return _image(node, flows[0])


def _elementwise(node: Node, flows: Flows) -> Step | Refusal:
    """Axes are counted from the end, as broadcasting does. Constants must not tell one frame from another."""
    places = {(len(node.operands[i].shape) - flow.axis, flow.new) for i, flow in flows.items()}
    if len(places) > 1:
        return Refusal("joins tensors that move differently", _END)
    back, new = next(iter(places))
    parts = {i: Part(flow.axis, new) for i, flow in flows.items()}
    for i, value in enumerate(node.operands):
        axis = len(value.shape) - back
        if i in flows or axis < 0 or value.shape[axis] == 1:
            continue
        if bool(np.any(value.array != value.array.take([0], axis))):
            reason = f"has constants ('{value.name}') that differ from frame to frame of the window"
            return Refusal(reason, "give all frames the same constants, or move the layer out of the model")
        parts[i] = Part(axis, new)
    return Step(node.op, parts, Flow(len(node.outputs[0].shape) - back, new))


def _reduction(node: Node, flows: Flows) -> Step | Refusal:
    fields, flow = node.op.attributes(), flows[0]
    if flow.axis in fields["axes"]:
        return whole(node, flows)
    gone = 0 if fields["keep_dims"] else sum(axis < flow.axis for axis in fields["axes"])
    return _local(node, flow, flow.axis - gone)


def _arg_max(node: Node, flows: Flows) -> Step | Refusal:
    flow, over = flows[0], node.op.attributes()["axis"]
    if flow.axis == over:
        return whole(node, flows)
    return _local(node, flow, flow.axis - (over < flow.axis))


def _rows(node: Node, flows: Flows) -> Step | Refusal:
    if flows[0].axis == len(node["x"].shape) - 1:
        return Refusal("normalises over time", _END)
    return _local(node, flows[0])


def _dense(node: Node, flows: Flows) -> Step | Refusal:
    """Frame by frame where a frame is a whole number of rows; else it needs the whole window."""
    if set(flows) != {0}:
        return _COMPUTED_WEIGHTS
    shape, flow, columns = node["x"].shape, flows[0], node["w"].shape[1]
    if node.op.attributes()["keep_dims"]:
        return whole(node, flows) if flow.axis == len(shape) - 1 else _local(node, flow)
    frame = prod(shape[flow.axis + 1 :])
    if frame % columns or prod(shape[: flow.axis]) != 1:
        return whole(node, flows)
    return Step(node.op, {0: Part(flow.axis, flow.new)}, Flow(0, flow.new * (frame // columns)))


def _view(node: Node, flows: Flows) -> Step | Refusal:
    """A move of n frames is a move of n * frame elements in memory: it must be one along an axis of the output.

    A flatten of what lies side by side in memory for all frames (time is not the first axis) needs the whole window.
    """
    x, y, flow = node.operands[0].shape, node.outputs[0].shape, flows[0]
    outer, moved = prod(x[: flow.axis]), flow.new * prod(x[flow.axis + 1 :])
    axis = next((b for b in range(len(y)) if prod(y[:b]) == outer and y[b] > 1), None)
    if axis is None and len(y) <= 2:
        return whole(node, flows)
    if axis is None:
        reason = f"merges time with the axes before it ({_shape(x)} to {_shape(y)})"
        return Refusal(reason, "leave time an axis of its own until the final flatten")
    frame = prod(y[axis + 1 :])
    if moved % frame:
        reason = f"makes frames of {frame} elements, and its input moves by {moved}"
        return Refusal(reason, "", factor=frame // gcd(frame, moved))
    new = moved // frame
    part = {0: Part(flow.axis, flow.new)}
    return Step(Reshape((*y[:axis], new, *y[axis + 1 :])), part, Flow(axis, new))


def _shape(shape: Shape) -> str:
    return f"[{','.join(map(str, shape))}]"


def _transpose(node: Node, flows: Flows) -> Step | Refusal:
    op = node.op
    assert isinstance(op, Transpose)
    return _local(node, flows[0], op.perm.index(flows[0].axis))


def _pad(node: Node, flows: Flows) -> Step | Refusal:
    op, flow = node.op, flows[0]
    assert isinstance(op, Pad)
    before, after = op.pads[flow.axis]
    if before or after:
        return _padded(node, flow, 1, before, after)
    return _local(node, flow)


def _concatenation(node: Node, flows: Flows) -> Step | Refusal:
    op, rank = node.op, len(node.operands[0].shape)
    assert isinstance(op, Concatenation)
    if any(flow.axis == op.axis % rank for flow in flows.values()):
        return Refusal("puts frames behind each other along time", _END)
    return _elementwise(node, flows)


def _split(node: Node, flows: Flows) -> Step | Refusal:
    op = node.op
    assert isinstance(op, Split)
    if flows[0].axis == op.axis % len(node["x"].shape):
        return Refusal("cuts time into pieces", "take them with SLICE or STRIDED_SLICE: those can follow")
    return _local(node, flows[0])


def _slice(node: Node, flows: Flows) -> Step | Refusal:
    """Frames up to the last but some: those some are a delay."""
    op, flow = node.op, flows[0]
    assert isinstance(op, Slice)
    axis, count = flow.axis, op.size[flow.axis]

    def op_for(new: int) -> Slice:
        return replace(op, begin=_with(op.begin, axis, 0), size=_with(op.size, axis, new))

    return _windows(node, flow, axis, count, begin=op.begin[axis], op_for=op_for)


def _strided_slice(node: Node, flows: Flows) -> Step | Refusal:
    op, flow = node.op, flows[0]
    assert isinstance(op, StridedSlice)
    axis, taken = flow.axis, op.ranges()[flow.axis]
    if taken.step < 0:
        return Refusal("reverses time", _END)

    def op_for(new: int) -> StridedSlice:
        end = (new - 1) * taken.step + 1
        return replace(op, begin=_with(op.begin, axis, 0), end=_with(op.end, axis, end))

    gone = sum(a < axis for a in op.shrink_axes)
    return _windows(node, flow, axis - gone, len(taken), stride=taken.step, begin=taken.start, op_for=op_for)


def _with(fields: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*fields[:axis], value, *fields[axis + 1 :])


def _no_rule(node: Node, flows: Flows) -> Step | Refusal:
    return Refusal("mixes time in a way that chipfit cannot follow", _END)


def rule_for(node: Node) -> Rule:
    """How the node's operator follows a window."""
    return _RULES.get(node.op.name, _no_rule)


_ELEMENTWISE = (
    *("add", "sub", "mul", "minimum", "maximum", "prelu", "leaky_relu", "elu", "hard_swish", "logistic", "tanh"),
    *("relu", "relu6", "relu_n1_to_1", "quantize", "dequantize", "cast"),
)

_RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("conv2d", "depthwise_conv2d"), _convolution),
    **dict.fromkeys(("average_pool2d", "max_pool2d"), _pool),
    **dict.fromkeys(("mean", "sum", "reduce_max"), _reduction),
    **dict.fromkeys(("softmax", "log_softmax"), _rows),
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), _view),
    "arg_max": _arg_max,
    "fully_connected": _dense,
    "transpose": _transpose,
    "pad": _pad,
    "concatenation": _concatenation,
    "split": _split,
    "slice": _slice,
    "strided_slice": _strided_slice,
}
