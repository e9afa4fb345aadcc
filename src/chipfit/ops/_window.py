"""What the sliding-window operators share: padding, windows, output multipliers."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import quantize_multipliers
from chipfit.graph import Array, DType, Node, Value

Pads = tuple[int, int, int, int]
"""Rows or columns added: top, left, bottom, right."""


def same_pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding before and after one axis so that the output has ``ceil(size / stride)`` elements (TFLite SAME)."""
    out = -(-size // stride)
    total = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def window_count(size: int, before: int, after: int, kernel: int, stride: int, dilation: int) -> int:
    """Outputs along one axis."""
    return (size + before + after - (kernel - 1) * dilation - 1) // stride + 1


def output_multipliers(x: Value, w: Value, y: Value, channels: int) -> tuple[Array, Array]:
    """Per output channel ``(m, shift)`` of ``scale_x * scale_w / scale_y``, both int32.

    Source: TFLite ``PopulateConvolutionQuantizationParams``: the product in double of float32 scales.
    """
    return quantize_multipliers(float(x.q.s) * np.array(w.q.scales(channels)) / float(y.q.s))


def require_int8_weights(node: Node) -> None:
    """Raise O002 unless x, w, y are int8 with symmetric weights and one scale or one per output channel."""
    x, w, y = node["x"], node["w"], node["y"]
    if x.dtype.is_float:
        _require_float_weights(node)
        return
    kinds = (x.dtype, w.dtype, y.dtype)
    if kinds != (DType.INT8, DType.INT8, DType.INT8):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}' has element types x={kinds[0].value}, w={kinds[1].value}, "
            f"y={kinds[2].value}; int8 throughout or float32 throughout can be compiled",
            "quantize the model to full int8 (the TensorFlow Lite converter's default since 2.3)",
        )
    _require_symmetric(node)


def _require_float_weights(node: Node) -> None:
    """Weights of a layer on real numbers: float32, or small ones, which are float16 or symmetric int8."""
    x, w, y = node["x"], node["w"], node["y"]
    small = (DType.INT8, DType.FLOAT16) if x.dtype is DType.FLOAT32 and y.dtype is DType.FLOAT32 else ()
    if w.dtype not in (DType.FLOAT32, *small):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}' has element types x={x.dtype.value}, w={w.dtype.value} ('{w.name}'), "
            f"y={y.dtype.value}; where x and y are float32, w can be float32, float16 or int8",
            "quantize the model to full int8, or leave it in float32",
        )
    _require_symmetric(node)


def _require_symmetric(node: Node) -> None:
    w = node["w"]
    if w.type.quant is not None and any(w.q.zero_point):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': weights '{w.name}' have a zero point that is not 0",
            "int8 weights are symmetric in TensorFlow Lite; convert the model with a current converter",
        )


def windows(
    x: Array,
    pad: Pads,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    fill: float,
) -> Array:
    """Every window of an NHWC array as a view: (n, out_h, out_w, kh, kw, c). Borders hold ``fill``."""
    top, left, bottom, right = pad
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    span_h, span_w = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
    view = np.lib.stride_tricks.sliding_window_view(padded, (span_h, span_w), axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)
