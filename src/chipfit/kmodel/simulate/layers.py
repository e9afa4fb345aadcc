"""Run a file of version 3, layer by layer, as the vendor's SDK does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format.codec import DataType, Memory
from chipfit.kmodel.format.layers import MAIN_OUTPUT, Act
from chipfit.kmodel.format.layout import LINE, MapLayout
from chipfit.kmodel.format.v3 import VERSION, KmodelV3
from chipfit.kmodel.format.window import Axis
from chipfit.kmodel.simulate.floats import half_away, product_in_order, sum_in_order
from chipfit.kmodel.simulate.kpu import kpu_layer, round_v3
from chipfit.kmodel.simulate.memory import Memories
from chipfit.kmodel.simulate.moves import nearest
from chipfit.kmodel.simulate.program import Observer, ignore
from chipfit.kmodel.simulate.windows import taps

_FLOAT, _BYTE = DataType.FLOAT32, DataType.UINT8
_ZERO = np.float32(0)


def _put(memories: Memories, start: int, values: Array) -> None:
    memories.put(Memory.MAIN, start, values)


def _activate(x: Array, act: Act) -> Array:
    if act is Act.LINEAR:
        return x
    return np.maximum(x, _ZERO) if act is Act.RELU else np.clip(x, _ZERO, np.float32(6))


def _add(layer: v3.Add, memories: Memories) -> Array:
    return memories.take(layer.input_a, layer.count, _FLOAT) + memories.take(layer.input_b, layer.count, _FLOAT)


def _quantized_add(layer: v3.QuantizedAdd, memories: Memories) -> Array:
    a = (memories.take(layer.input_a, layer.count, _BYTE).astype(np.int64) + layer.a_offset) * layer.a_mul
    b = (memories.take(layer.input_b, layer.count, _BYTE).astype(np.int64) + layer.b_offset) * layer.b_mul
    same = layer.a_shift == layer.b_shift
    total = (a + b) >> layer.a_shift if same else (a >> layer.a_shift) + (b >> layer.b_shift)
    y = round_v3(total * layer.output_mul, np.full(1, layer.output_shift, np.int64)) + layer.output_offset
    return np.clip(y, 0, 255).astype(np.uint8)


def _global_average(layer: v3.GlobalAveragePool2D, memories: Memories) -> Array:
    x = memories.take(layer.input, layer.kernel_size * layer.channels, _FLOAT)
    return sum_in_order(x.reshape(layer.channels, -1), _ZERO) / np.float32(layer.kernel_size)


def _pool(layer: v3.QuantizedMaxPool2D | v3.AveragePool2D, memories: Memories) -> Array:
    """Taps outside the image do not count; the largest begins with 0."""
    width, height, channels = layer.shape
    out_width, out_height, _ = layer.out_shape
    is_max = isinstance(layer, v3.QuantizedMaxPool2D)
    x = memories.take(layer.input, width * height * channels, _BYTE if is_max else _FLOAT)
    x = x.reshape(channels, height, width)
    # a pad behind the image large enough for the stated number of positions
    rows = Axis(
        height,
        (layer.pad_h, _behind(out_height, layer.kernel_h, layer.stride_h, layer.pad_h, height)),
        layer.kernel_h,
        layer.stride_h,
        1,
    )
    columns = Axis(
        width,
        (layer.pad_w, _behind(out_width, layer.kernel_w, layer.stride_w, layer.pad_w, width)),
        layer.kernel_w,
        layer.stride_w,
        1,
    )
    y, counts = np.zeros((channels, out_height, out_width), x.dtype), np.zeros((out_height, out_width), np.float32)
    for _, to, of in taps(rows, columns):
        part = x[:, of[0], of[1]]
        y[:, to[0], to[1]] = np.maximum(y[:, to[0], to[1]], part) if is_max else y[:, to[0], to[1]] + part
        counts[to] += 1
    return y if isinstance(layer, v3.QuantizedMaxPool2D) else _activate(y / counts, layer.act)


def _behind(out: int, taps_: int, stride: int, before: int, size: int) -> int:
    return (out - 1) * stride + taps_ - before - size


def _quantize(layer: v3.Quantize, memories: Memories) -> Array:
    x = memories.take(layer.input, layer.count, _FLOAT)
    scaled = (x - np.float32(layer.bias)) * (np.float32(1) / np.float32(layer.scale))
    return np.clip(half_away(scaled), 0, 255).astype(np.uint8)


def _dequantize(layer: v3.Dequantize, memories: Memories) -> Array:
    codes = memories.take(layer.input, layer.count, _BYTE).astype(np.float32)
    return codes * np.float32(layer.scale) + np.float32(layer.bias)


def _channelwise_dequantize(layer: v3.ChannelwiseDequantize, memories: Memories) -> Array:
    codes = memories.take(layer.input, layer.channels * layer.channel_size, _BYTE).astype(np.float32)
    params = layer.params.reshape(layer.channels, 2)
    return codes.reshape(layer.channels, -1) * params[:, :1] + params[:, 1:]


def _requantize(layer: v3.Requantize, memories: Memories) -> Array:
    return layer.table[memories.take(layer.input, layer.count, _BYTE)]


def _l2_normalization(layer: v3.L2Normalization, memories: Memories) -> Array:
    x = memories.take(layer.input, layer.channels, _FLOAT)
    total = np.maximum(sum_in_order(x * x, _ZERO), np.float32(1e-10))
    return x * (np.float32(1) / np.sqrt(total))


def _softmax(layer: v3.Softmax, memories: Memories) -> Array:
    """The largest element counts as one above 0, even if all are below."""
    x = memories.take(layer.input, layer.channels, _FLOAT)
    e = np.exp(x - np.maximum(x.max(), np.finfo(np.float32).tiny))
    return e / sum_in_order(e, _ZERO)


def _logistic(layer: v3.Logistic, memories: Memories) -> Array:
    one = np.float32(1)
    return one / (one + np.exp(-memories.take(layer.input, layer.channels, _FLOAT)))


def _concat(layer: v3.Concat | v3.QuantizedConcat, memories: Memories) -> Array:
    places = layer.places.reshape(-1, 2).tolist()
    return np.concatenate([memories.take(start, size, _BYTE) for start, size in places])


def _fully_connected(layer: v3.FullyConnected, memories: Memories) -> Array:
    x = memories.take(layer.input, layer.in_channels, _FLOAT)[None]
    weights = layer.weights.reshape(layer.out_channels, layer.in_channels)
    sums = product_in_order(x, weights.T, np.zeros(layer.out_channels, np.float32))[0]
    return _activate(sums + layer.bias, layer.act)


def _flatten(layer: v3.TensorflowFlatten, memories: Memories) -> Array:
    width, height, channels = layer.shape
    return (
        memories.take(layer.input, width * height * channels, _FLOAT)
        .reshape(channels, height, width)
        .transpose(1, 2, 0)
    )


def _resize(layer: v3.ResizeNearestNeighbor | v3.QuantizedResizeNearestNeighbor, memories: Memories) -> Array:
    width, height, channels = layer.shape
    dtype = _BYTE if isinstance(layer, v3.QuantizedResizeNearestNeighbor) else _FLOAT
    x = memories.take(layer.input, width * height * channels, dtype).reshape(channels, height, width)
    return x[:, nearest(layer.out_h, height)][:, :, nearest(layer.out_w, width)]


def _remove_padding(layer: v3.K210RemovePadding, memories: Memories) -> Array:
    return memories.take(layer.input, 16 * layer.channels, _BYTE)[::16]


_TO_MAIN: dict[type[Any], Callable[[Any, Memories], Array]] = {
    v3.Add: _add,
    v3.QuantizedAdd: _quantized_add,
    v3.GlobalAveragePool2D: _global_average,
    v3.QuantizedMaxPool2D: _pool,
    v3.AveragePool2D: _pool,
    v3.Quantize: _quantize,
    v3.Dequantize: _dequantize,
    v3.Requantize: _requantize,
    v3.L2Normalization: _l2_normalization,
    v3.Softmax: _softmax,
    v3.Concat: _concat,
    v3.QuantizedConcat: _concat,
    v3.FullyConnected: _fully_connected,
    v3.TensorflowFlatten: _flatten,
    v3.ResizeNearestNeighbor: _resize,
    v3.QuantizedResizeNearestNeighbor: _resize,
    v3.ChannelwiseDequantize: _channelwise_dequantize,
    v3.Logistic: _logistic,
    v3.K210RemovePadding: _remove_padding,
}
"""Layers whose result goes to ``output`` in main memory."""


def _run_conv(layer: v3.K210Conv, memories: Memories) -> Array:
    registers = layer.registers
    x = memories.read_map(registers.image_src_addr * LINE, registers.source)
    y = kpu_layer(x, registers, layer.batch_norm, layer.activation, layer.weights, VERSION)
    memories.write_map(registers.image_dst_addr * LINE, registers.result, y)
    if layer.flags & MAIN_OUTPUT:
        _put(memories, layer.output, y)
    return y


def _run_upload(layer: v3.K210Upload, memories: Memories) -> Array:
    width, height, channels = layer.shape
    layout = MapLayout(channels, height, width)
    x = memories.take(layer.input, width * height * channels, _BYTE).reshape(channels, height, width)
    memories.write_map(layer.output_line * LINE, layout, x)
    return x


def _run_add_padding(layer: v3.K210AddPadding, memories: Memories) -> Array:
    x = memories.take(layer.input, layer.channels, _BYTE)
    layout = MapLayout(layer.channels, 4, 4)
    image = memories.read_map(layer.output_line * LINE, layout)
    image[:, 0, 0] = x
    memories.write_map(layer.output_line * LINE, layout, image)
    return x


def run_v3(model: KmodelV3, x: Array, observe: Observer = ignore) -> list[Array]:
    """One run of a checked model. ``x``: (channels, height, width) uint8, or floats where the first layer takes these.

    Outputs are bytes as they lie in main memory. ``observe`` is told each layer's result.
    """
    memories = Memories(model.memories)
    first = model.layers[0]
    if isinstance(first, v3.K210Conv):
        memories.write_map(first.registers.image_src_addr * LINE, first.registers.source, x)
    elif isinstance(first, v3.FullyConnected):
        _put(memories, first.input, np.ascontiguousarray(x, np.float32))
    for index, layer in enumerate(model.layers):
        observe(index, run_layer(layer, memories))
    return [memories.take(place.start, place.size, _BYTE) for place in model.outputs]


def run_layer(layer: v3.Layer, memories: Memories) -> Array:
    """Run one layer that :func:`chipfit.kmodel.format.check_layers.check_layer` finds sound; its result."""
    with np.errstate(all="ignore"):  # infinities and the like are what the chip computes, too
        return _run_layer(layer, memories)


def _run_layer(layer: v3.Layer, memories: Memories) -> Array:
    if isinstance(layer, v3.K210Conv):
        return _run_conv(layer, memories)
    if isinstance(layer, v3.K210Upload):
        return _run_upload(layer, memories)
    if isinstance(layer, v3.K210AddPadding):
        return _run_add_padding(layer, memories)
    y = _TO_MAIN[type(layer)](layer, memories)
    _put(memories, layer.output, y)
    return y
