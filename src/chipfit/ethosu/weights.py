"""The streams of weights and scales: decoded, and brought into the order of channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu.accelerators import Accelerator
from chipfit.ethosu.memory import Bytes, Memory, check_size
from chipfit.ethosu.registers import Int, KernelShape, Registers
from chipfit.ethosu.weight_stream import damaged, decode

_IFM_UBLOCK = 8
"""Input channels that are read side by side."""

_SUB_KERNEL = 8
"""Rows and columns of a kernel, dilation included, that are computed at a time."""

_SCALE_BYTES = 10


@dataclass(frozen=True)
class Order:
    """All that the order of a stream depends on. ``shape``: (output channels, height, width, input channels)."""

    shape: tuple[int, int, int, int]
    block: int
    ublock: int
    depthwise: bool
    kernel: KernelShape
    wide: bool
    """Whether the input has elements of 16 bits."""

    @property
    def ifm_block(self) -> int:
        return 16 if self.kernel.part or self.wide else 32

    @property
    def taps_step(self) -> int:
        """Taps of a sub-kernel are filled up to a multiple of this."""
        if self.depthwise:
            return 4
        return (2 if self.wide else 4) if self.kernel.part else 1


class Weights:
    """Weights by the bytes of their streams, so that each is decoded once."""

    def __init__(self, accelerator: Accelerator, memory: Memory) -> None:
        self._accelerator, self._memory = accelerator, memory
        self._decoded: dict[tuple[bytes, Order], Int] = {}

    def weights(self, r: Registers, depth: int, *, depthwise: bool, wide: bool) -> Int:
        """(output channels, height, width, input channels; 1 of them where depthwise), their zero point taken off.

        ``depth``: input channels; ``wide``: the input has 16 bits.
        """
        kernel, channels = r.kernel, r.ofm_shape[2]
        block = r.parameter("OFM_BLK_DEPTH_M1") + 1
        inner = 1 if depthwise else depth
        check_size("the weights", channels, kernel.height, kernel.width, inner)
        parts = _parts(r, self._accelerator)
        result = np.zeros((channels, kernel.height, kernel.width, inner), np.int64)
        for core, part in enumerate(parts):
            count = len(range(channels)[part])
            if count:
                shape = (count, kernel.height, kernel.width, inner)
                share = len(range(block)[part])
                order = Order(shape, share, self._accelerator.ofm_ublock_depth, depthwise, kernel, wide)
                result[part] = self._stream(r, "WEIGHT1" if core else "WEIGHT", order)
        return result

    def scales(self, r: Registers) -> tuple[Int, Int, Int]:
        """Bias, multiplier and shift of each output channel."""
        channels = r.ofm_shape[2]
        result = np.zeros((3, channels), np.int64)
        for core, part in enumerate(_parts(r, self._accelerator)):
            count = len(range(channels)[part])
            if not count:
                continue
            address = r.address("SCALE1_BASE" if core else "SCALE_BASE")
            raw = self._memory.bytes_at(
                r.parameter("SCALE_REGION") & 7, address, _SCALE_BYTES * count, "a scale stream"
            )
            entries = _of_one_run(raw).reshape(count, _SCALE_BYTES).astype(np.int64)
            bias = (entries[:, :5] << np.arange(0, 40, 8)).sum(axis=1)
            result[0, part] = (bias ^ (1 << 39)) - (1 << 39)
            result[1, part] = (entries[:, 5:9] << np.arange(0, 32, 8)).sum(axis=1)
            result[2, part] = entries[:, 9] & 63
        return result[0], result[1], result[2]

    def _stream(self, r: Registers, name: str, order: Order) -> Int:
        region = r.parameter("WEIGHT_REGION") & 7
        raw = self._memory.bytes_at(region, r.address(f"{name}_BASE"), r.length(f"{name}_LENGTH"), "a weight stream")
        key = (_of_one_run(raw).tobytes(), order)
        if key not in self._decoded:
            places = stream_order(order)
            values = decode(key[0], len(places))
            if len(values) < len(places):
                raise damaged(f"it holds {len(values):,} weights, {len(places):,} are needed")
            weights = np.zeros(int(np.prod(order.shape)), np.int64)
            weights[places[places >= 0]] = values[: len(places)][places >= 0]
            self._decoded[key] = weights.reshape(order.shape)
        return self._decoded[key]


def _of_one_run(raw: Bytes) -> Bytes:
    """The bytes of a stream, which all runs share."""
    if len(raw) > 1 and (raw != raw[0]).any():
        raise ChipfitError("A001", "weights that depend on the input are not modelled")
    return raw[0]


def _parts(r: Registers, accelerator: Accelerator) -> list[slice]:
    """Which channels each core computes: all, or every second one."""
    is_parallel = accelerator.cores == 2 and "PARALLEL_MODE" in r and r.parameter("PARALLEL_MODE") == 1
    return [slice(0, None, 2), slice(1, None, 2)] if is_parallel else [slice(None)]


@lru_cache(maxsize=256)
def stream_order(order: Order) -> Int:
    """For each weight of a stream its index in an array of ``order.shape``; -1: a zero that fills the stream up.

    Blocks of output channels; in each, blocks of input channels; in each, sub-kernels; then micro-blocks of input
    channels (part-kernel-first), of output channels, taps, micro-blocks of input channels (depth-first), and last the
    channels of both micro-blocks. Source: what Vela's streams are, measured.
    """
    channels, height, width, inner = order.shape
    pieces: list[Int] = []
    for first, (block, count) in product(range(0, channels, order.block), _input_blocks(order)):
        outputs = min(order.block, channels - first)
        for top, left in product(
            *(range(0, n, _SUB_KERNEL // d) for n, d in zip(order.shape[1:3], order.kernel.dilation, strict=True))
        ):
            rows = min(height - top, _SUB_KERNEL // order.kernel.dilation[0])
            columns = min(width - left, _SUB_KERNEL // order.kernel.dilation[1])
            taps = -(-rows * columns // order.taps_step) * order.taps_step
            steps = np.arange(0, count, _IFM_UBLOCK)
            once = np.zeros(1, np.int64)
            outer_in, out, tap, inner_in, lane_out, lane_in = np.ix_(
                steps if order.kernel.part else once,
                np.arange(0, outputs, order.ublock),
                np.arange(taps),
                once if order.kernel.part else steps,
                np.arange(order.ublock),
                np.arange(1 if order.depthwise else _IFM_UBLOCK),
            )
            o, i = first + out + lane_out, block + outer_in + inner_in + lane_in
            y, x = np.divmod(tap, columns)
            inside = (i < inner) & (o < channels) & (y < rows)
            place = ((o * height + top + y) * width + left + x) * inner + i
            pieces.append(np.where(inside, place, -1).ravel())
    return np.concatenate(pieces)


def _input_blocks(order: Order) -> Iterator[tuple[int, int]]:
    """First channel and channels of each block of the input, as they are in the stream."""
    inner = order.shape[3]
    if order.depthwise:
        yield 0, _IFM_UBLOCK
        return
    for first in range(0, inner, order.ifm_block):
        yield first, min(order.ifm_block, inner - first) if order.kernel.part else order.ifm_block
