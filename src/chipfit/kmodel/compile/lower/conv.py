"""Convolutions on the KPU: which map a layer reads, what it keeps of its result, and what has to be moved for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chipfit.graph import Array, Node, Value
from chipfit.kmodel.compile.constraints import (
    FIRST_ROW,
    LARGE_ENOUGH,
    LEAST_SIDE,
    UPLOAD,
    Conv,
    is_large_enough,
)
from chipfit.kmodel.compile.functions import Function, function_of
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower.state import KpuMap, State, Where
from chipfit.kmodel.compile.quantize import KpuNumbers, Sums, kpu_numbers
from chipfit.kmodel.compile.view import View
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import NOWHERE, DataType
from chipfit.kmodel.format.layout import KPU_BYTES, LINE
from chipfit.kmodel.format.registers import layer_registers
from chipfit.ops._pool import Pool
from chipfit.ops._weights_only import real_weights
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D

SPARE_WEIGHTS = 16 << 10
"""Bytes that a layer may cost which only moves pixels; beyond, the CPU moves them."""

MAX_2, MEAN_2, MAX_4, MEAN_4, MAX_2_STEP_1 = 1, 2, 3, 4, 9
_LIFT = {MEAN_2: 3 / 8, MEAN_4: 15 / 32}
"""Codes that a mean loses by truncation, on the average: added before."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution with what follows it. ``weights``: (out, in, k, k), depthwise (channels, 1, k, k), float64."""

    x: Value
    sum: Value
    conv: Conv
    weights: Array
    bias: Array
    function: Function
    pool: Node | None = None
    pool_type: int = 0

    @property
    def y(self) -> Value:
        """The last tensor of the unit."""
        return self.function.y if self.pool is None else self.pool.outputs[0]

    @property
    def nodes(self) -> list[Node]:
        return [*self.function.nodes, *([] if self.pool is None else [self.pool])]


def conv_of(node: Node) -> Conv:
    """A convolution or dense layer in the terms of the rules."""
    x, y, w = node["x"], node["y"], node["w"]
    if isinstance(node.op, FullyConnected):
        images = x.type.size // w.shape[1]
        return Conv(1, 1, w.shape[1], w.shape[0], (1, 1), (1, 1), (0, 0, 0, 0), images=images, stored=w.is_const)
    a = node.op.attributes()
    images, rows, columns, channels = x.shape
    depthwise = isinstance(node.op, DepthwiseConv2D)
    kernel = (w.shape[1], w.shape[2])
    groups = channels if depthwise else channels // w.shape[3]
    return Conv(
        rows, columns, channels, y.shape[3], kernel, a["stride"], a["pad"], a["dilation"], groups, images, w.is_const
    )


def layer_of(state: State, node: Node) -> Layer:
    """The unit that begins with a convolution."""
    conv = conv_of(node)
    function = function_of(state.graph, node["y"], state.consumers)
    w = weights_of(node)
    if conv.depthwise and conv.kernel == (1, 1):
        w = np.pad(w, ((0, 0), (0, 0), (1, 1), (1, 1)))
        conv = replace(conv, kernel=(3, 3), pad=(1, 1, 1, 1))
    b = node.get("b")
    bias = np.zeros(len(w)) if b is None else b.array.astype(np.float64)
    layer = Layer(node["x"], node["y"], conv, w, bias, function)
    return _with_pool(state, layer)


def weights_of(node: Node) -> Array:
    """(out, in, k, k), depthwise (channels, 1, k, k), float64."""
    w = real_weights(node["w"], node["w"].array).astype(np.float64)
    if isinstance(node.op, FullyConnected):
        return w[:, :, None, None]
    return w.transpose(3, 0, 1, 2) if isinstance(node.op, DepthwiseConv2D) else w.transpose(0, 3, 1, 2)


def as_in_graph(node: Node, weights: Array) -> Array:
    """The inverse for a convolution: weights in the order of the graph, float32."""
    order = (1, 2, 3, 0) if isinstance(node.op, DepthwiseConv2D) else (0, 2, 3, 1)
    return np.ascontiguousarray(weights.transpose(order), np.float32)


def _with_pool(state: State, layer: Layer) -> Layer:
    """With the pooling that is all that reads it, if the KPU has it."""
    y = layer.function.y
    readers = state.consumers.get(y, [])
    if layer.conv.depthwise or layer.conv.stride != (1, 1) or len(readers) != 1 or y in state.graph.outputs:
        return layer
    node = readers[0]
    kind = _pool_type(node)
    if kind is None:
        return layer
    conv = replace(layer.conv, pooled=1 if kind == MAX_2_STEP_1 else node.op.attributes()["kernel"][0])
    return replace(layer, conv=conv, pool=node, pool_type=kind)


def _pool_type(node: Node) -> int | None:
    op = node.op
    if not isinstance(op, Pool):
        return None
    side, stride, is_max = op.kernel, op.stride, isinstance(op, MaxPool2D)
    if is_max and side == (2, 2) and stride == (1, 1) and op.pad == (0, 0, 1, 1):
        return MAX_2_STEP_1
    if side != stride or any(op.pad) or not isinstance(op, MaxPool2D | AveragePool2D):
        return None
    table = {(2, 2): (MEAN_2, MAX_2), (4, 4): (MEAN_4, MAX_4)}
    return table[side][is_max] if side in table else None


# -------------------------------------------------------------------------------------------- lowering


def lower_conv(state: State, layer: Layer, x: Value | None = None) -> list[Node]:
    """Put the layer on the KPU. Returns the nodes that are done with it. ``x``: what it reads, if not its input."""
    made, result = _input(state, layer, layer.x if x is None else x)
    pool, kept = 0, result
    if layer.pool is not None:
        found = _pooled(layer, result)
        if found is None:
            layer = replace(layer, pool=None, pool_type=0)
        else:
            pool, kept = found
    elif result.step > 1 and not layer.conv.depthwise:
        pool, kept = result.kept() or (0, result)
    y = layer.y
    grid = state.grid(y)
    numbers = numbers_of(state, layer, made.grid, grid, pool)
    state.forms_of(y).kpu = kpu_step(state, made, kept, grid, numbers, layer.conv, pool, y.name)
    return layer.nodes


def _pooled(layer: Layer, result: View) -> tuple[int, View] | None:
    assert layer.pool is not None
    _, rows, columns, _ = layer.pool.outputs[0].shape
    if layer.pool_type == MAX_2_STEP_1:
        return (MAX_2_STEP_1, result) if result.is_whole else None
    return result.pooled(layer.pool_type, layer.pool.op.attributes()["kernel"][0], rows, columns)


def numbers_of(state: State, layer: Layer, x: Grid, y: Grid, pool: int = 0) -> KpuNumbers:
    return kpu_numbers(
        layer.weights,
        layer.bias,
        x,
        y,
        layer.function,
        state.statistics.sums(layer.sum, layer.x),
        depthwise=layer.conv.depthwise,
        lift=_LIFT.get(pool, 0.0),
        rounded=state.rounded.get(layer.sum),
    )


def kpu_step(
    state: State, x: KpuMap, kept: View, grid: Grid, numbers: KpuNumbers, conv: Conv, pool: int, name: str
) -> KpuMap:
    """The layer as a step of the KPU. ``kept``: what is left of its result behind ``pool``."""
    out = state.kpu(name, kept)
    source, kernel = x.view.layout, conv.kernel[0]

    def make(at: Where) -> v4.Node:
        sent = at(step.writes[1]) if len(step.writes) > 1 else NOWHERE
        registers = layer_registers(
            source=source,
            out_channels=kept.channels,
            kernel=kernel,
            src_line=at(x.block).start // LINE,
            dst_line=at(step.writes[0]).start // LINE,
            depthwise=conv.depthwise,
            pool_type=pool,
            pad_value=numbers.pad,
            arg_x=numbers.arg_x,
            arg_w=numbers.arg_w,
            arg_add=numbers.arg_add,
            sends=sent.size > 0,
        )
        return v4.KpuConv2D(registers, numbers.batch_norm, numbers.activation, numbers.weights.ravel(), sent)

    step = state.add([x.block], out, make, is_kpu=True)
    step.view = kept
    return KpuMap(out, kept, grid, step)


# --------------------------------------------------------------------------------------- what is read


def _results(view: View, layer: Layer) -> View | str:
    conv = layer.conv
    _, rows, columns, _ = layer.sum.shape if len(layer.sum.shape) == 4 else (1, 1, 1, 0)
    return view.convolved(conv.out_channels, conv.kernel[0], conv.stride[0], conv.pad, rows, columns)


def _input(state: State, layer: Layer, x: Value) -> tuple[KpuMap, View]:
    """A map that the layer can work on, and where its results lie before pooling."""
    made = state.forms_of(x).kpu
    if made is not None and made.view.step > 1:
        made = _every_second(state, layer, made, x)
    if made is None or not is_large_enough(made.view) or _too_low(made.view, layer):
        made = None
    if made is None or isinstance(_results(made.view, layer), str):
        low = _too_low(View.whole(layer.conv.channels, layer.conv.rows, layer.conv.columns), layer)
        made = _loaded(state, layer, x, (1, 1) if low else (0, 0))
    if _lowered(made.view, layer) is not None:
        made = _shifted(state, made, 1, 0)
    result = _results(made.view, layer)
    assert not isinstance(result, str)
    return made, result


def _loaded(state: State, layer: Layer, x: Value, extra: tuple[int, int] = (0, 0)) -> KpuMap:
    """From main memory: filled up to what the KPU reads, and with ``extra`` rows of zeros before and after."""
    conv, grid = layer.conv, state.grid(x)
    block = state.bytes_(x)
    view = View.whole(conv.channels, conv.rows, conv.columns)
    down = extra[1] + max(0, LEAST_SIDE - conv.rows - sum(extra))
    right = max(0, LEAST_SIDE - conv.columns)
    if extra[0] or down or right:
        shape = (1, conv.channels, conv.rows, conv.columns)
        out = state.main(
            f"{x.name}/padded", conv.channels * (conv.rows + extra[0] + down) * (conv.columns + right), DataType.UINT8
        )
        pads = (0, 0, 0, 0, extra[0], down, 0, right)
        value, padded = bytes([grid.pad, 0, 0, 0]), block
        place = FIRST_ROW if any(extra) else LARGE_ENOUGH
        state.add([padded], out, lambda at: v4.Pad(at(padded), at(out), shape, pads, DataType.UINT8, value), place)
        height, width = conv.rows + extra[0] + down, conv.columns + right
        view = View(conv.channels, height, width, conv.rows, conv.columns, extra[0], 0, zeros=True)
        block = out
    return state.upload(block, view, grid, x.name, UPLOAD)


def _strides_badly(view: View, layer: Layer) -> View | None:
    """The result of a stride whose pixels the KPU does not keep; None: it does, or a later layer will."""
    result = _results(view, layer)
    if isinstance(result, str) or layer.conv.stride != (2, 2) or layer.conv.depthwise or result.kept() is not None:
        return None
    return result


def _too_low(view: View, layer: Layer) -> bool:
    """Whether rows of zeros above have to make odd rows even: all pixels of the result have no room in the KPU."""
    result = _strides_badly(view, layer)
    if result is None or _lowered(view, layer) is not None:
        return False
    return view.layout.size + result.layout.size > KPU_BYTES


def _lowered(view: View, layer: Layer) -> View | None:
    """For layers without zeros above: the view of the map one row further down, where odd rows are even."""
    if _strides_badly(view, layer) is None or view.step != 1:
        return None
    lower = replace(view, top=view.top + 1, zeros=False)
    result = _results(lower, layer)
    if isinstance(result, str) or result.kept() is None:
        return None
    last = result.top + (result.rows - 1) * 2 + 1
    return lower if last < view.height and 2 * view.layout.size <= KPU_BYTES else None


def _every_second(state: State, layer: Layer, made: KpuMap, x: Value) -> KpuMap | None:
    """For a map of which every second pixel counts: one that the layer can work on. None: the CPU has to help."""
    view, conv = made.view, layer.conv
    if conv.kernel == (1, 1) and not conv.depthwise and conv.stride == (1, 1) and layer.pool is None:
        if view.kept() is not None:
            return made
        if view.step == 2 and view.top % 2 and replace(view, top=view.top - 1).kept() is not None:
            return _shifted(state, made, -1, 0)
    dense = _kept_by_copy(state, made, f"{x.name}/kept")
    if dense is not None:
        state.forms_of(x).kpu = dense
    return dense


def _kept_by_copy(state: State, made: KpuMap, name: str) -> KpuMap | None:
    """A layer that copies, with the pooling unit behind it: the pixels that count side by side. None: too dear."""
    view = made.view
    up = view.top % view.step
    moved = replace(view, top=view.top - up)
    kept = moved.kept()
    side = 3 if up else 1
    if kept is None or up > 1 or view.channels**2 * side**2 > SPARE_WEIGHTS:
        return None
    if view.layout.size + kept[1].layout.size > KPU_BYTES:
        return None
    weights = np.zeros((view.channels, view.channels, side, side))
    weights[np.arange(view.channels), np.arange(view.channels), 2 if up else 0, 1 if up else 0] = 1.0
    conv = Conv(view.height, view.width, view.channels, view.channels, (side, side), (1, 1), (0, 0, 0, 0))
    return kpu_step(state, made, kept[1], made.grid, _copy_numbers(weights, depthwise=False), conv, kept[0], name)


def _shifted(state: State, made: KpuMap, down: int, right: int) -> KpuMap:
    """A depthwise layer that copies the map with its pixels moved."""
    view = made.view
    weights = np.zeros((view.channels, 1, 3, 3))
    weights[:, 0, 1 - down, 1 - right] = 1.0
    conv = Conv(
        view.height, view.width, view.channels, view.channels, (3, 3), (1, 1), (1, 1, 1, 1), groups=view.channels
    )
    moved = replace(view, top=view.top + down, left=view.left + right, zeros=False)
    if view.channels == 1:  # one channel is no depthwise layer
        conv = replace(conv, groups=1)
    numbers = _copy_numbers(weights, depthwise=conv.depthwise)
    return kpu_step(state, made, moved, made.grid, numbers, conv, 0, f"{made.block.name}/moved")


def _copy_numbers(weights: Array, *, depthwise: bool) -> KpuNumbers:
    """Of a layer that gives every byte as it is, on a grid of whole numbers: whatever its own grid is."""
    whole = Grid(np.ones(1), np.zeros(1))
    return kpu_numbers(
        weights,
        np.zeros(len(weights)),
        whole,
        whole,
        lambda x: x,
        Sums(0.0, 255.0, np.ones_like),
        depthwise=depthwise,
    )
