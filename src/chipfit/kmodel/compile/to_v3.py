"""The same model as a kmodel of version 3, whose layers are fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.kmodel.compile.compiled import Compiled
from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType, Memory
from chipfit.kmodel.format.layout import LINE
from chipfit.kmodel.format.nodes import NO_MAX, NO_MIN, BinaryOp, ReduceOp, ResizeMode
from chipfit.kmodel.format.v3 import KmodelV3, Place

_FILL = (0, 0, 0, 0, 0, 3, 0, 3)
_CUT = (0, 0, 0, 0, 0, -3, 0, -3)
_MAIN = v3.MAIN_OUTPUT
MOST_SENT = 1 << 16
"""Pixels of a channel that firmware sends to main memory: the register that counts them has 16 bits."""
_ACTS = {(NO_MIN, NO_MAX): v3.Act.LINEAR, (0.0, NO_MAX): v3.Act.RELU, (0.0, 6.0): v3.Act.RELU6}


def to_v3(compiled: Compiled) -> KmodelV3:
    """Raises ChipfitError O002, naming the layer, for what version 3 has no layer for, and for a map that is too large
    to be sent to main memory."""
    nodes, names = compiled.model.nodes, [step.layer for step in compiled.lowered.state.steps]
    if len(compiled.model.inputs) != 1:
        raise ChipfitError("O002", "a kmodel of version 3 has one input", "write version 4: --kmodel 4")
    layers: list[v3.Layer] = []
    index = 0
    while index < len(nodes):
        layer, used = _layer(nodes[index:], compiled.model.constants)
        if layer is None:
            raise _none(nodes[index], names[index] or "the output")
        if isinstance(layer, v3.K210Conv) and layer.flags & _MAIN:
            _require_sendable(layer, names[index])
        layers.append(layer)
        index += used
    first = layers[0]
    if not isinstance(first, v3.K210Conv | v3.FullyConnected):
        raise _none(nodes[0], names[0] or "the first layer")
    outputs = tuple(Place(place.start, place.size) for place in compiled.model.outputs)
    return KmodelV3(outputs, compiled.model.main_bytes, tuple(layers))


def _require_sendable(layer: v3.K210Conv, name: str) -> None:
    rows, columns = layer.registers.o_col_high, layer.registers.o_row_wid
    if rows * columns > MOST_SENT:
        raise ChipfitError(
            "O002",
            f"'{name}' sends maps of {columns}x{rows} pixels to main memory, and version 3 counts at most "
            f"{MOST_SENT:,} of a channel",
            "write version 4: --kmodel 4; or make the image smaller, or stride before this layer",
        )


def _none(node: v4.Node, name: str) -> ChipfitError:
    return ChipfitError(
        "O002",
        f"'{name}' needs {type(node).__name__}, which a kmodel of version 3 does not have there",
        "write version 4: --kmodel 4; `chipfit check` shows which layers the CPU has to help",
    )


def _layer(nodes: Sequence[v4.Node], constants: bytes) -> tuple[v3.Layer | None, int]:
    """The layer that does what the first node does, or the first two; and how many they are."""
    node = nodes[0]
    if isinstance(node, v4.Pad):
        return _padding(node, nodes[1] if len(nodes) > 1 else None)
    made = _MAKE.get(type(node))
    return (None if made is None else made(node, constants)), 1


def _padding(node: v4.Pad, following: v4.Node | None) -> tuple[v3.Layer | None, int]:
    channels = node.shape[1]
    if node.pads == _CUT:
        return v3.K210RemovePadding(_MAIN, node.input.start, node.output.start, channels), 1
    if node.pads == _FILL and isinstance(following, v4.KpuUpload) and following.input == node.output:
        return v3.K210AddPadding(0, node.input.start, following.output.start // LINE, channels), 2
    return None, 1


def _conv(node: v4.KpuConv2D, constants: bytes) -> v3.Layer:
    sent = node.main_output.size > 0
    registers = node.registers
    return v3.K210Conv(
        int(sent), node.main_output.start if sent else 0, registers, node.batch_norm, node.activation, node.weights
    )


def _upload(node: v4.KpuUpload, constants: bytes) -> v3.Layer:
    _, c, h, w = node.shape
    return v3.K210Upload(0, node.input.start, node.output.start // LINE, (w, h, c))


def _dequantize(node: v4.Dequantize, constants: bytes) -> v3.Layer:
    step = 1.0 / node.scale
    return v3.Dequantize(_MAIN, node.input.start, node.output.start, node.input.size, step, -node.zero_point * step)


def _quantize(node: v4.Quantize, constants: bytes) -> v3.Layer:
    step = 1.0 / node.scale
    return v3.Quantize(_MAIN, node.input.start, node.output.start, node.output.size, step, -node.zero_point * step)


def _matmul(node: v4.MatMul, constants: bytes) -> v3.Layer | None:
    act = _ACTS.get((node.act_min, node.act_max))
    if act is None or node.a_rows != 1 or node.input_b.memory is not Memory.CONST:
        return None
    weights = np.frombuffer(constants, "<f4", node.a_cols * node.b_cols, node.input_b.start)
    matrix = weights.reshape(node.a_cols, node.b_cols).T
    places = node.input_a.start, node.output.start
    return v3.FullyConnected(_MAIN, *places, node.a_cols, node.b_cols, act, matrix.ravel(), node.bias)


def _reduce(node: v4.Reduce, constants: bytes) -> v3.Layer | None:
    n, c, h, w = node.shape
    if node.op is not ReduceOp.MEAN or node.out_shape != (n, c, 1, 1) or n != 1:
        return None
    return v3.GlobalAveragePool2D(_MAIN, node.input.start, node.output.start, h * w, c)


def _softmax(node: v4.Softmax, constants: bytes) -> v3.Layer | None:
    if node.outer != 1 or node.beta != 1.0:
        return None
    return v3.Softmax(_MAIN, node.input.start, node.output.start, node.inner)


def _concat(node: v4.Concat, constants: bytes) -> v3.Layer | None:
    if node.outer_size != 1:
        return None
    places = np.array([number for one in node.inputs for number in (one.start, one.size)], np.uint32)
    kind = v3.QuantizedConcat if node.output.dtype is DataType.UINT8 else v3.Concat
    return kind(_MAIN, node.output.start, len(node.inputs), places)


def _quantized_add(node: v4.QuantizedBinary, constants: bytes) -> v3.Layer | None:
    if node.op is not BinaryOp.ADD or not node.shape_a == node.shape_b == node.out_shape:
        return None
    return v3.QuantizedAdd(
        _MAIN,
        node.input_a.start,
        node.input_b.start,
        node.output.start,
        node.output.size,
        node.a_offset,
        node.a_mul,
        node.a_shift,
        node.b_offset,
        node.b_mul,
        node.b_shift,
        node.output_offset,
        node.output_mul,
        node.output_shift,
    )


def _add(node: v4.Binary, constants: bytes) -> v3.Layer | None:
    same = node.shape_a == node.shape_b == node.out_shape and (node.act_min, node.act_max) == (NO_MIN, NO_MAX)
    places = node.input_a, node.input_b
    if node.op is not BinaryOp.ADD or not same or any(p.memory is Memory.CONST for p in places):
        return None
    return v3.Add(_MAIN, places[0].start, places[1].start, node.output.start, node.output.size // 4)


def _table(node: v4.TableLookup1D, constants: bytes) -> v3.Layer:
    table = np.frombuffer(constants, np.uint8, 256, node.table.start)
    return v3.Requantize(_MAIN, node.input.start, node.output.start, node.output.size, table)


def _resize(node: v4.ResizeImage, constants: bytes) -> v3.Layer | None:
    _, c, h, w = node.shape
    if node.mode is not ResizeMode.NEAREST or node.align_corners:
        return None
    is_bytes = node.input.dtype is DataType.UINT8
    kind = v3.QuantizedResizeNearestNeighbor if is_bytes else v3.ResizeNearestNeighbor
    return kind(_MAIN, node.input.start, node.output.start, (w, h, c), node.out_w, node.out_h, 0)


def _flatten(node: v4.Transpose, constants: bytes) -> v3.Layer | None:
    _, c, h, w = node.shape
    if node.perm != (0, 2, 3, 1) or node.input.dtype is not DataType.FLOAT32:
        return None
    return v3.TensorflowFlatten(_MAIN, node.input.start, node.output.start, (w, h, c))


_MAKE: dict[type[Any], Callable[[Any, bytes], v3.Layer | None]] = {
    v4.KpuConv2D: _conv,
    v4.KpuUpload: _upload,
    v4.Dequantize: _dequantize,
    v4.Quantize: _quantize,
    v4.MatMul: _matmul,
    v4.Reduce: _reduce,
    v4.Softmax: _softmax,
    v4.Concat: _concat,
    v4.QuantizedBinary: _quantized_add,
    v4.Binary: _add,
    v4.TableLookup1D: _table,
    v4.ResizeImage: _resize,
    v4.Transpose: _flatten,
}
