"""Convolutions and pools: SAME and VALID become explicit padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chipfit.graph import DType, TensorType, Value
from chipfit.importers.tflite.model import schema
from chipfit.importers.tflite.operator import OperatorImporter
from chipfit.ops._window import Pads, same_pads


def conv2d(o: OperatorImporter) -> None:
    options = o.options("Conv2DOptions")
    o.emit("conv2d", [o.input(0), o.weights(4), o.optional(2)], **_convolution(o, options))


def depthwise_conv2d(o: OperatorImporter) -> None:
    options = o.options("DepthwiseConv2DOptions")
    attributes = _convolution(o, options)
    channels, out = o.input(0).shape[3], o.input(1).shape[3]
    # converters may leave the multiplier at 0: it follows from the shapes
    if options.depthMultiplier and options.depthMultiplier * channels != out:
        raise o.damaged(f"depth multiplier {options.depthMultiplier}, but {channels} channels become {out}")
    o.emit("depthwise_conv2d", [o.input(0), o.weights(4), o.optional(2)], **attributes)


def transpose_conv(o: OperatorImporter) -> None:
    """Its inputs are the output's shape, weights, x and bias. The padding is that of a convolution from y to x.

    Only what is cut off before the first output follows from the padding: the shape says what is left.
    """
    options, w, x, y = o.options("TransposeConvOptions"), o.of_rank(1, 4), o.of_rank(2, 4), o.output()
    stride = o.positive("the stride", options.strideH, options.strideW)
    kernel = o.positive("the window", w.shape[1], w.shape[2])
    if len(y.shape) != 4:
        raise o.damaged(f"its output '{y.name}' is {y.type}")
    top, left, _, _ = _pads(o, y, options.padding, kernel, stride, (1, 1))
    below, right = (
        (size - 1) * s + k - before - out
        for size, s, k, before, out in zip(x.shape[1:3], stride, kernel, (top, left), y.shape[1:3], strict=True)
    )
    pad = (top, left, below, right)
    o.emit("transpose_conv", [x, w, _bias(o, x)], stride=stride, pad=pad, act=o.activation(options))


def _bias(o: OperatorImporter, x: Value) -> Value | None:
    """The bias of a transposed convolution. Old 16x8 models have one of 16 bits, which stands for the same numbers."""
    b = o.optional(3)
    if b is None or (x.dtype, b.dtype) != (DType.INT16, DType.INT16) or b.data is None:
        return b
    type_ = TensorType(b.shape, DType.INT64, b.type.quant)
    return Value(o.subgraph.unique_name(f"{b.name}/int64"), type_, b.data.astype(np.int64))


def pool(name: str) -> Callable[[OperatorImporter], None]:
    def function(o: OperatorImporter) -> None:
        options = o.options("Pool2DOptions")
        kernel = o.positive("the window", options.filterHeight, options.filterWidth)
        stride = o.positive("the stride", options.strideH, options.strideW)
        pad = _pads(o, o.of_rank(0, 4), options.padding, kernel, stride, (1, 1))
        o.emit(name, [o.input(0)], kernel=kernel, stride=stride, pad=pad, act=o.activation(options))

    return function


def _convolution(o: OperatorImporter, options: Any) -> dict[str, Any]:
    x, w = o.of_rank(0, 4), o.of_rank(1, 4)
    stride = o.positive("the stride", options.strideH, options.strideW)
    dilation = o.positive("the dilation", options.dilationHFactor, options.dilationWFactor)
    kernel = o.positive("the window", w.shape[1], w.shape[2])
    pad = _pads(o, x, options.padding, kernel, stride, dilation)
    return {"stride": stride, "pad": pad, "dilation": dilation, "act": o.activation(options)}


def _pads(
    o: OperatorImporter,
    x: Value,
    padding: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pads:
    if padding == schema.Padding.VALID:
        return (0, 0, 0, 0)
    if padding != schema.Padding.SAME:
        raise o.damaged(f"padding is {padding}")
    _, height, width, _ = x.shape
    top, bottom = same_pads(height, kernel[0], stride[0], dilation[0])
    left, right = same_pads(width, kernel[1], stride[1], dilation[1])
    return (top, left, bottom, right)
