"""Layers with windows: convolutions and pools. One-dimensional ones are images of one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers.keras.activations import activate
from chipfit.importers.keras.layer import Function, LayerImporter
from chipfit.ops._window import Pads, same_pads


def _sizes(o: LayerImporter, attribute: str) -> tuple[int, int]:
    """An attribute with a number for each axis, as rows and columns."""
    sizes = tuple(int(n) for n in getattr(o.layer, attribute))
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _pads(o: LayerImporter, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Pads:
    """Explicit padding of an image. Causal padding is all before: outputs only see what came earlier."""
    padding = o.layer.padding
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "causal":
        return (0, (kernel[1] - 1) * dilation[1], 0, 0)
    if padding != "same":
        raise o.refuse("padding")
    (top, bottom), (left, right) = (
        same_pads(size, k, s, d) for size, k, s, d in zip(x.shape[1:3], kernel, stride, dilation, strict=True)
    )
    return (top, left, bottom, right)


def _as_image(o: LayerImporter, function: Callable[[Value], Value]) -> Value:
    """The function of the input as (n, h, w, c); the result has the layout of the layer."""

    def image(x: Value) -> Value:
        if len(x.shape) == 4:
            return function(x)
        if len(x.shape) != 3:
            raise ChipfitError("O002", f"its input '{x.name}' is {x.type}, 3 or 4 dimensions can be compiled")
        n, length, channels = x.shape
        y = function(o.reshape(x, (n, 1, length, channels)))
        return o.reshape(y, (y.shape[0], *y.shape[2:]))

    return o.channels_last(o.real(o.x), image)


def _bias(o: LayerImporter) -> Value | None:
    return o.weight("bias", lambda: o.variable("bias")) if o.layer.use_bias else None


def _four(kernel: Array) -> Array:
    """The kernel of a convolution over columns, or over rows and columns, as one over both."""
    return kernel if kernel.ndim == 4 else kernel[None]


def _convolution(o: LayerImporter, x: Value, kernel: Sequence[int]) -> dict[str, Any]:
    stride, dilation = _sizes(o, "strides"), _sizes(o, "dilation_rate")
    return {"stride": stride, "dilation": dilation, "pad": _pads(o, x, kernel, stride, dilation)}


def conv(o: LayerImporter) -> Value:
    """Kernels of Keras are (kh, kw, in / groups, out)."""

    def function(x: Value) -> Value:
        w = o.weight("kernel", lambda: _four(o.variable("kernel")).transpose(3, 0, 1, 2))
        return o.emit("conv2d", [x, w, _bias(o)], **_convolution(o, x, w.shape[1:3]))

    return activate(o, _as_image(o, function), o.layer.activation)


def _cuts(o: LayerImporter, x: Value, kernel: Sequence[int], stride: Sequence[int]) -> Pads:
    """What is cut off the sums of a transposed convolution; negative: rows and columns that are added behind.

    Source: keras Conv2DTranspose, whose output is as large as ``output_padding`` says, or else ``stride`` times the
    input (``same``), or the sums, at least as large as one stride more than the last input (``valid``).
    """
    if o.layer.padding not in ("same", "valid"):
        raise o.refuse("padding")
    setting = o.layer.output_padding
    more = (None, None) if setting is None else tuple(int(n) for n in np.ravel(setting))
    more = (None, *more)[-2:]
    before: list[int] = []
    after: list[int] = []
    for size, k, s, extra in zip(x.shape[1:3], kernel, stride, more, strict=True):
        sums = (size - 1) * s + k
        if o.layer.padding == "valid":
            target = sums + (max(k, s) - k if extra is None else extra)
        else:
            target = size * s if extra is None else (size - 1) * s + k % 2 + extra
        before.append(0 if o.layer.padding == "valid" else max(0, sums - target) // 2)
        after.append(sums - target - before[-1])
    return (before[0], before[1], after[0], after[1])


def conv_transpose(o: LayerImporter) -> Value:
    """Kernels of Keras are (kh, kw, out, in)."""
    if set(_sizes(o, "dilation_rate")) != {1}:
        raise o.refuse("dilation_rate", "use dilation_rate=1 with a larger kernel")
    stride = _sizes(o, "strides")

    def function(x: Value) -> Value:
        w = o.weight("kernel", lambda: _four(o.variable("kernel")).transpose(2, 0, 1, 3))
        return o.emit("transpose_conv", [x, w, _bias(o)], stride=stride, pad=_cuts(o, x, w.shape[1:3], stride))

    return activate(o, _as_image(o, function), o.layer.activation)


def _depthwise_weights(o: LayerImporter, attribute: str) -> Value:
    """(kh, kw, in, multiplier) becomes (1, kh, kw, in * multiplier)."""

    def make() -> Array:
        kernel = _four(o.variable(attribute))
        return kernel.reshape(1, *kernel.shape[:2], -1)

    return o.weight(attribute, make)


def depthwise_conv(o: LayerImporter) -> Value:
    def function(x: Value) -> Value:
        w = _depthwise_weights(o, "kernel")
        return o.emit("depthwise_conv2d", [x, w, _bias(o)], **_convolution(o, x, w.shape[1:3]))

    return activate(o, _as_image(o, function), o.layer.activation)


def separable_conv(o: LayerImporter) -> Value:
    """A depthwise convolution without bias, then one by points."""

    def function(x: Value) -> Value:
        depthwise = _depthwise_weights(o, "depthwise_kernel")
        points = o.weight("pointwise_kernel", lambda: _four(o.variable("pointwise_kernel")).transpose(3, 0, 1, 2))
        middle = o.emit("depthwise_conv2d", [x, depthwise], **_convolution(o, x, depthwise.shape[1:3]))
        return o.emit("conv2d", [middle, points, _bias(o)])

    return activate(o, _as_image(o, function), o.layer.activation)


def pool(op: str) -> Function:
    def function(o: LayerImporter) -> Value:
        kernel, stride = _sizes(o, "pool_size"), _sizes(o, "strides")
        return _as_image(
            o, lambda x: o.emit(op, [x], kernel=kernel, stride=stride, pad=_pads(o, x, kernel, stride, (1, 1)))
        )

    return function


def global_pool(op: str) -> Function:
    """Over all axes but the first and that of the channels."""

    def function(o: LayerImporter) -> Value:
        keep = bool(o.layer.keepdims)

        def pooled(x: Value) -> Value:
            return o.emit(op, [x], axes=tuple(range(1, len(x.shape) - 1)), keep_dims=keep)

        return o.channels_last(o.real(o.x), pooled)

    return function


def upsampling(o: LayerImporter) -> Value:
    """UpSampling2D, and UpSampling1D as an image of one row."""
    size = o.layer.size
    factors = (1, int(size)) if isinstance(size, int) else tuple(int(n) for n in np.ravel(size))
    interpolation = getattr(o.layer, "interpolation", "nearest")
    if interpolation not in ("nearest", "bilinear"):
        raise o.refuse("interpolation", "use interpolation='bilinear' or 'nearest'")

    def function(x: Value) -> Value:
        target = (x.shape[1] * factors[0], x.shape[2] * factors[1])
        if interpolation == "nearest":
            return o.emit("resize_nearest", [x], size=target)
        return o.emit("resize_bilinear", [x], size=target, half_pixel_centers=True)

    return _as_image(o, function)


def resizing(o: LayerImporter) -> Value:
    """The preprocessing layer. Source: keras Resizing, whose pixels are squares: their centres are halves."""
    for attribute in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if getattr(o.layer, attribute, False):
            raise o.refuse(attribute, "resize before the model")
    op = {"bilinear": "resize_bilinear", "nearest": "resize_nearest"}.get(o.layer.interpolation)
    if op is None:
        raise o.refuse("interpolation", "use interpolation='bilinear' or 'nearest'")
    size = (int(o.layer.height), int(o.layer.width))
    return _as_image(o, lambda x: o.emit(op, [x], size=size, half_pixel_centers=True))


WINDOWS: dict[str, Function] = {
    **dict.fromkeys(("Conv1D", "Conv2D"), conv),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose"), conv_transpose),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), depthwise_conv),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), separable_conv),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D"), pool("max_pool2d")),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), pool("average_pool2d")),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D"), global_pool("reduce_max")),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), global_pool("mean")),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D"), upsampling),
    "Resizing": resizing,
}
