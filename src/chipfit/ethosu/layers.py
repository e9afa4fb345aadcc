"""What the NPU computes: convolutions and pools, as the registers describe them."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from chipfit.errors import ChipfitError
from chipfit.ethosu.memory import Memory, check_size
from chipfit.ethosu.registers import Int, Registers, Rounding
from chipfit.ethosu.scaling import reciprocal, scaled, scaled_globally
from chipfit.ethosu.weights import Weights


class Pool(IntEnum):
    MAX = 0
    AVERAGE = 1
    REDUCE_SUM = 2


_UPSCALES = 3
"""None, nearest, and zeros in between."""

_MOST_MACS = 1 << 35
"""Multiply-accumulates of one operation: minutes in numpy, and far beyond what such an NPU is for."""

_FAR_BELOW = -(1 << 40)
"""Less than any element: what padding is to a maximum."""


def convolution(r: Registers, memory: Memory, weights: Weights, *, depthwise: bool, dense: Rounding | None) -> Int:
    """CONV and DEPTHWISE: (runs, height, width, channels), scaled.

    ``dense``: another rounding for outputs of one pixel.
    """
    depth = r.parameter("IFM_DEPTH_M1") + 1
    height, width, channels = r.ofm_shape
    if depthwise and depth != channels:
        raise ChipfitError("A001", f"a depthwise convolution of {depth} channels has {channels} outputs")
    taps = r.kernel.height * r.kernel.width
    check_size("a convolution", *r.ofm_shape, taps, 1 if depthwise else depth, most=_MOST_MACS)
    x = windows(r, memory, depth, 0)
    wide = r.feature_map("IFM").dtype.itemsize == 2
    w = weights.weights(r, depth, depthwise=depthwise, wide=wide)
    # sums stay below 2**53, where float64 is exact and has fast products
    if depthwise:
        acc = np.einsum("nyxchw,chw->nyxc", x.astype(np.float64), w[..., 0].astype(np.float64))
    else:
        rows = x.transpose(0, 1, 2, 4, 5, 3).astype(np.float64, order="C").reshape(memory.runs * height * width, -1)
        acc = (rows @ w.reshape(channels, -1).T.astype(np.float64)).reshape(-1, height, width, channels)
    bias, m, shift = weights.scales(r)
    rounding = r.rounding()
    if dense is not None and height * width * taps == 1:
        rounding = dense
    return scaled(acc.astype(np.int64) + bias, m, shift, rounding)


def pool(r: Registers, memory: Memory, mode: int) -> Int:
    """POOL: (runs, height, width, channels), scaled."""
    if mode not in frozenset(Pool):
        raise ChipfitError("A001", f"pooling {mode} is not modelled")
    x = windows(r, memory, r.parameter("IFM_DEPTH_M1") + 1, _FAR_BELOW if mode == Pool.MAX else 0)
    acc = x.max(axis=(4, 5)) if mode == Pool.MAX else x.sum(axis=(4, 5))
    if mode == Pool.REDUCE_SUM:
        acc = acc.sum(axis=3, keepdims=True)
    if mode == Pool.AVERAGE and any(r.padding):
        m, shift = reciprocal(_valid_taps(r))
        return scaled(acc, m[..., None], shift[..., None], r.rounding())
    if r.global_scale:
        return scaled_globally(acc, r.scale("OFM_SCALE"), r.rounding())
    if mode == Pool.AVERAGE and r.kernel.height * r.kernel.width > 1:
        raise ChipfitError("A001", "an average pool without a scale is not modelled")
    return acc


def windows(r: Registers, memory: Memory, depth: int, fill: int) -> Int:
    """What each output sees: (runs, height, width, channels, kernel height, kernel width), zero point taken off.

    ``fill``: the value of padding.
    """
    kernel, (top, left, bottom, right) = r.kernel, r.padding
    rows, columns, _ = r.ofm_shape
    height, width = input_size(r)
    seen = (height + top + bottom, width + left + right)
    check_size("an input with its padding", *seen, depth)
    check_size("what the outputs of a layer see,", rows, columns, depth, kernel.height, kernel.width)
    x = _upscaled(r, memory, height, width, depth)
    padded = np.full((memory.runs, *seen, depth), fill, np.int64)
    padded[:, top : top + height, left : left + width] = x
    every = sliding_window_view(padded, kernel.extent, axis=(1, 2))  # pyright: ignore[reportCallIssue, reportArgumentType]
    return every[:, :: kernel.stride[0], :: kernel.stride[1], :, :: kernel.dilation[0], :: kernel.dilation[1]]


def input_size(r: Registers) -> tuple[int, int]:
    """Rows and columns of a layer's input, which follow from those of its output. Raises ChipfitError A001."""
    kernel, (top, left, bottom, right) = r.kernel, r.padding
    rows, columns, _ = r.ofm_shape
    height = (rows - 1) * kernel.stride[0] + kernel.extent[0] - top - bottom
    width = (columns - 1) * kernel.stride[1] + kernel.extent[1] - left - right
    if height < 1 or width < 1:
        raise ChipfitError("A001", f"a layer with outputs of {rows}x{columns} has an input of {height}x{width}")
    return height, width


def _upscaled(r: Registers, memory: Memory, height: int, width: int, depth: int) -> Int:
    """The input, twice as large where the registers say so, without its zero point."""
    source, mode = r.feature_map("IFM"), r.parameter("IFM_UPSCALE")
    if mode == 0:
        return memory.read(source, height, width, depth) - source.zero_point
    if mode >= _UPSCALES:
        raise ChipfitError("A001", f"upscaling {mode} is not modelled")
    x = memory.read(source, (height + 1) // 2, (width + 1) // 2, depth) - source.zero_point
    if mode == 1:
        return x.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    spread = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2], depth), np.int64)
    spread[:, ::2, ::2] = x
    return spread[:, :height, :width]


def _valid_taps(r: Registers) -> Int:
    """How many taps of each output lie in the image: (height, width)."""
    top, left, bottom, right = r.padding
    rows, columns, _ = r.ofm_shape

    def along(count: int, stride: int, taps: int, before: int, after: int) -> Int:
        length = (count - 1) * stride + taps - before - after
        start = np.arange(count) * stride - before
        return np.minimum(start + taps, length) - np.maximum(start, 0)

    kernel = r.kernel
    return np.outer(
        along(rows, kernel.stride[0], kernel.extent[0], top, bottom),
        along(columns, kernel.stride[1], kernel.extent[1], left, right),
    )
