"""One layer of the KPU: convolution, batch norm, activation table, pooling, on integers throughout.

Two roundings of the activation are known: that of the vendor's simulator for files of version 4, and that of its
emulator for files of version 3. They are what the compilers calibrate with; neither was measured on the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format.registers import POOLS, Activation, BatchNorm, Registers

_BAND_BYTES = 4 << 20
"""What the columns of a few rows may take, so that they stay in the cache."""
_EXACT_IN_FLOAT32 = 1 << 24
_MOST_SHIFT = 62

Bands = Iterator[tuple[int, Array, Array]]
Rounding = Callable[[Array, Array], Array]
"""(values, shifts) to values divided by 2**shift, int64."""


def round_v4(values: Array, shift: Array) -> Array:
    """Halves go to the even number as the remainder sees it: a remainder over one half moves away from zero."""
    whole = values >> shift
    rest = values - (whole << shift)
    half = (np.int64(1) << shift) >> 1
    up = (rest > half) | ((rest == half) & (whole & 1 == 1) & (shift > 0))
    return whole + np.where(values < 0, -1, 1) * up


def round_v3(values: Array, shift: Array) -> Array:
    """One bit more is kept; where it is set the number moves away from zero."""
    doubled = values >> np.maximum(shift - 1, 0)
    moved = (doubled >> 1) + (doubled & 1) * np.where(doubled < 0, -1, 1)
    return np.where(shift > 0, moved, values)


def kpu_layer(
    x: Array, registers: Registers, batch_norm: BatchNorm, activation: Activation, weights: Array, version: int
) -> Array:
    """(channels, height, width) uint8 of one image, from the same. ``version``: of the file."""
    y = np.empty((registers.o_ch_num, registers.i_col_high, registers.i_row_wid), np.uint8)
    table = _Table(activation, version)
    mul, add, shift = (column[:, None, None] for column in (batch_norm.mul, batch_norm.add, batch_norm.shift))
    per_channel, channels = _constant(registers, weights)
    sums = _depthwise_sums if registers.depth_wise_layer else _sums
    for first, products, pixels in sums(x, registers, weights):
        acc = products + ((registers.arg_x * pixels) >> registers.shr_x)
        acc += per_channel + registers.arg_add * channels
        acc = ((acc * mul) >> shift) + add
        y[:, first : first + acc.shape[1]] = table(acc)
    return pooled(y, registers.pool_type)


def _constant(registers: Registers, weights: Array) -> tuple[Array, int]:
    """What the offset of the input adds to each output channel, and how often ``arg_add`` counts."""
    sums = weights.reshape(registers.o_ch_num, -1).sum(1, dtype=np.int64)
    channels = 1 if registers.depth_wise_layer else registers.i_ch_num
    return ((registers.arg_w * sums) >> registers.shr_w)[:, None, None], channels


def _padded(x: Array, registers: Registers, dtype: type) -> Array:
    if registers.kernel == 1:
        return x.astype(dtype)
    channels, height, width = x.shape
    result = np.full((channels, height + 2, width + 2), registers.pad_value, dtype)
    result[:, 1:-1, 1:-1] = x
    return result


def _sums(x: Array, registers: Registers, weights: Array) -> Bands:
    """Bands of rows: the first row, sums of x * w (out, rows, width), and sums of x (1, rows, width), both int64."""
    channels, height, width = x.shape
    k = registers.kernel
    depth = channels * k * k
    # all partial sums are integers below 2^24, or below 2^53: both are exact
    dtype = np.float32 if depth * 255 * 255 < _EXACT_IN_FLOAT32 else np.float64
    image = _padded(x, registers, dtype)
    filters = np.ones((registers.o_ch_num + 1, depth), dtype)
    filters[:-1] = weights.reshape(registers.o_ch_num, depth)
    rows = max(1, _BAND_BYTES // (max(depth, registers.o_ch_num) * width * 8))
    for first in range(0, height, rows):
        count = min(rows, height - first)
        columns = np.empty((channels, k * k, count, width), dtype)
        for tap in range(k * k):
            top, left = first + tap // k, tap % k
            columns[:, tap] = image[:, top : top + count, left : left + width]
        acc = (filters @ columns.reshape(depth, -1)).astype(np.int64).reshape(-1, count, width)
        yield first, acc[:-1], acc[-1:]


def _depthwise_sums(x: Array, registers: Registers, weights: Array) -> Bands:
    """As :func:`_sums`, of each channel by itself: sums of x are (channels, rows, width)."""
    channels, height, width = x.shape
    k = registers.kernel
    image = _padded(x, registers, np.int32)
    filters = weights.reshape(channels, k * k).astype(np.int32)
    rows = max(1, _BAND_BYTES // (channels * width * 8))
    for first in range(0, height, rows):
        count = min(rows, height - first)
        products = np.zeros((channels, count, width), np.int32)
        pixels = np.zeros_like(products)
        for tap in range(k * k):
            top, left = first + tap // k, tap % k
            part = image[:, top : top + count, left : left + width]
            products += part * filters[:, tap, None, None]
            pixels += part
        yield first, products.astype(np.int64), pixels.astype(np.int64)


class _Table:
    """The activation: the last segment that a number has passed decides."""

    def __init__(self, activation: Activation, version: int) -> None:
        columns = (np.array(column, np.int64) for column in zip(*activation.segments, strict=True))
        self._starts, self._muls, self._shifts, self._adds = columns
        self._shifts = np.minimum(self._shifts, _MOST_SHIFT)
        # version 4 asks for t > x_start, version 3 for t >= x_start
        self._side: Literal["left", "right"] = "left" if version == 4 else "right"
        self._round: Rounding = round_v4 if version == 4 else round_v3

    def __call__(self, t: Array) -> Array:
        index = np.searchsorted(self._starts, t, self._side) - 1
        below = index < 0
        shifts = self._shifts[index]
        y = self._round((t - self._starts[index]) * self._muls[index], shifts) + self._adds[index]
        return np.where(below, 0, np.clip(y, 0, 255)).astype(np.uint8)


def pooled(y: Array, pool_type: int) -> Array:
    """(channels, height, width) uint8, less by the stride. Windows that leave the image repeat its last pixels."""
    pool = POOLS[pool_type]
    if pool.kind == "none":
        return y
    _, height, width = y.shape
    rows = np.arange(height // pool.stride) * pool.stride
    columns = np.arange(width // pool.stride) * pool.stride
    if pool.kind == "pick":
        return y[:, rows][:, :, np.minimum(columns + pool.pick, width - 1)]
    taps = [
        y[:, np.minimum(rows + down, height - 1)][:, :, np.minimum(columns + right, width - 1)]
        for down in range(pool.side)
        for right in range(pool.side)
    ]
    if pool.kind == "max":
        return np.maximum.reduce(taps)
    return (np.sum(taps, axis=0, dtype=np.int32) // pool.side**2).astype(np.uint8)
