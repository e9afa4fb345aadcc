"""Whether a layer of version 3 is sound by itself."""

from __future__ import annotations

from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format.check_nodes import MOST_TAPS, Unsound, check_kpu

_MOST_SHIFT = 62


def _need(good: bool, text: str) -> None:
    if not good:
        raise Unsound(text)


def check_layer(layer: v3.Layer) -> None:
    """Raises Unsound."""
    match layer:
        case v3.K210Conv():
            _need(layer.weights.itemsize == 1, "its weights have 16 bits, of which the exact meaning is not known")
            check_kpu(layer.registers, layer.activation)
        case v3.QuantizedAdd():
            shifts = (layer.a_shift, layer.b_shift, layer.output_shift)
            _need(all(0 <= shift <= _MOST_SHIFT for shift in shifts), f"a shift of {list(shifts)} is out of range")
            _positive(layer.count)
        case v3.QuantizedMaxPool2D() | v3.AveragePool2D():
            _pool(layer)
        case v3.Quantize() | v3.Dequantize():
            _positive(layer.count)
            _need(layer.scale != 0, "its scale is 0")
        case v3.ResizeNearestNeighbor() | v3.QuantizedResizeNearestNeighbor():
            _positive(*layer.shape, layer.out_w, layer.out_h)
        case v3.K210Upload() | v3.TensorflowFlatten():
            _positive(*layer.shape)
        case v3.GlobalAveragePool2D():
            _positive(layer.kernel_size, layer.channels)
        case v3.FullyConnected():
            _positive(layer.in_channels, layer.out_channels)
        case v3.ChannelwiseDequantize():
            _positive(layer.channels, layer.channel_size)
        case v3.Add() | v3.Requantize() | v3.Concat() | v3.QuantizedConcat():
            _positive(layer.count)
        case _:
            _positive(layer.channels)


def _positive(*extents: int) -> None:
    _need(all(extent > 0 for extent in extents), f"a size of {list(extents)} is not positive")


def _pool(layer: v3.QuantizedMaxPool2D | v3.AveragePool2D) -> None:
    _positive(*layer.shape, *layer.out_shape, layer.kernel_w, layer.kernel_h, layer.stride_w, layer.stride_h)
    _need(layer.shape[2] == layer.out_shape[2], f"it makes {layer.out_shape[2]} channels of {layer.shape[2]}")
    _need(layer.kernel_w * layer.kernel_h <= MOST_TAPS, "its window is larger than any image")
    sides = (
        (layer.shape[0], layer.out_shape[0], layer.kernel_w, layer.stride_w, layer.pad_w),
        (layer.shape[1], layer.out_shape[1], layer.kernel_h, layer.stride_h, layer.pad_h),
    )
    for size, out, taps, stride, pad in sides:
        inside = pad < taps and (out - 1) * stride - pad < size
        _need(inside, f"{out} windows of {taps} pixels, {stride} apart, leave the {size} pixels of the image")
