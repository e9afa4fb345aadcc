"""The twelve 64-bit registers that describe one layer to the KPU, and its three tables.

Fields have the names of the vendor's header; numbers are those that are meant: the registers keep most sizes less one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.kmodel.format.layout import MapLayout

REGISTER_BYTES = 96
SEGMENTS = 16
ACTIVATION_BYTES = SEGMENTS * 9
WEIGHT_MEMORY = 30 * 1024
"""Bytes of 8-bit weights that the KPU loads at once."""


def _bits(word: int, low: int, count: int, *, less_one: bool = False, signed: bool = False, default: int = 0) -> Any:
    """A field of ``count`` bits from bit ``low`` of a register. ``less_one``: it is kept less one."""
    return field(default=default, metadata={"bits": (word, low, count, less_one, signed)})


@dataclass(frozen=True)
class Registers:
    """One layer of the KPU. Defaults are what every compiler writes.

    Widths and heights: ``i_`` before, ``o_`` after pooling. Addresses of images count lines of 64 bytes.
    ``bwsx_base_addr`` (batch norm), ``active_addr`` and ``para_start_addr`` (weights) are set by the firmware. In a
    file of version 4 they are the bytes to skip before that table: its writer sets them, its reader makes them 0.
    """

    int_en: int = _bits(0, 0, 1)
    ram_flag: int = _bits(0, 1, 1)
    full_add: int = _bits(0, 2, 1)
    depth_wise_layer: int = _bits(0, 3, 1)
    image_src_addr: int = _bits(1, 0, 15)
    image_dst_addr: int = _bits(1, 32, 15)
    i_ch_num: int = _bits(2, 0, 10, less_one=True, default=1)
    o_ch_num: int = _bits(2, 32, 10, less_one=True, default=1)
    o_ch_num_coef: int = _bits(2, 48, 10, less_one=True, default=1)
    i_row_wid: int = _bits(3, 0, 10, less_one=True, default=1)
    i_col_high: int = _bits(3, 10, 9, less_one=True, default=1)
    o_row_wid: int = _bits(3, 32, 10, less_one=True, default=1)
    o_col_high: int = _bits(3, 42, 9, less_one=True, default=1)
    kernel_type: int = _bits(4, 0, 3)
    pad_type: int = _bits(4, 3, 1)
    pool_type: int = _bits(4, 4, 4)
    first_stride: int = _bits(4, 8, 1)
    bypass_conv: int = _bits(4, 9, 1)
    load_para: int = _bits(4, 10, 1, default=1)
    dma_burst_size: int = _bits(4, 16, 8, default=15)
    pad_value: int = _bits(4, 24, 8)
    bwsx_base_addr: int = _bits(4, 32, 32)
    load_coor: int = _bits(5, 0, 1, default=1)
    load_time: int = _bits(5, 1, 6, less_one=True, default=1)
    para_size: int = _bits(5, 15, 17)
    para_start_addr: int = _bits(5, 32, 32)
    coef_column_offset: int = _bits(6, 0, 4)
    coef_row_offset: int = _bits(6, 4, 12)
    channel_switch_addr: int = _bits(7, 0, 15)
    row_switch_addr: int = _bits(7, 16, 4)
    coef_size: int = _bits(7, 20, 8)
    coef_group: int = _bits(7, 28, 3)
    load_act: int = _bits(7, 31, 1, default=1)
    active_addr: int = _bits(7, 32, 32)
    wb_channel_switch_addr: int = _bits(8, 0, 15)
    wb_row_switch_addr: int = _bits(8, 16, 4)
    wb_group: int = _bits(8, 20, 3)
    shr_w: int = _bits(9, 0, 4)
    shr_x: int = _bits(9, 4, 4)
    arg_w: int = _bits(9, 8, 24, signed=True)
    arg_x: int = _bits(9, 32, 24, signed=True)
    arg_add: int = _bits(10, 0, 40, signed=True)
    send_data_out: int = _bits(11, 0, 1)
    channel_byte_num: int = _bits(11, 16, 16, less_one=True, default=1)
    dma_total_byte: int = _bits(11, 32, 32, less_one=True, default=1)

    @staticmethod
    def unpack(data: bytes) -> Registers:
        """From 96 bytes. Raises ChipfitError F003 where a bit is set that has no meaning."""
        words = struct.unpack("<12Q", data)
        left = list(words)
        values: dict[str, int] = {}
        for name, (word, low, count, less_one, signed) in _LAYOUT.items():
            value = words[word] >> low & (1 << count) - 1
            left[word] &= ~(((1 << count) - 1) << low)
            if signed and value >> count - 1:
                value -= 1 << count
            values[name] = value + less_one
        if any(left):
            word = next(i for i, bits in enumerate(left) if bits)
            raise ChipfitError(
                "F003", f"register {word} of a KPU layer has bits 0x{left[word]:x} that mean nothing", _DAMAGED
            )
        return Registers(**values)

    def pack(self) -> bytes:
        """As 96 bytes. Raises ChipfitError O002 where a number is out of its register's range."""
        words = [0] * 12
        for name, (word, low, count, less_one, signed) in _LAYOUT.items():
            value = getattr(self, name) - less_one
            least, most = (-(1 << count - 1), (1 << count - 1) - 1) if signed else (0, (1 << count) - 1)
            if not least <= value <= most:
                raise ChipfitError(
                    "O002",
                    f"the KPU's register {name} takes {least + less_one}..{most + less_one}, not {value + less_one}",
                    "make the layer smaller, or leave it to the CPU",
                )
            words[word] |= (value & (1 << count) - 1) << low
        return struct.pack("<12Q", *words)

    @property
    def kernel(self) -> int:
        """Side of the filter: 1 or 3."""
        return 3 if self.kernel_type == 1 else 1

    @property
    def source(self) -> MapLayout:
        return MapLayout(self.i_ch_num, self.i_col_high, self.i_row_wid)

    @property
    def result(self) -> MapLayout:
        return MapLayout(self.o_ch_num, self.o_col_high, self.o_row_wid)

    @property
    def weight_count(self) -> int:
        """Weights in the order (out, in, k, k); of a depthwise layer (channels, k, k)."""
        return self.kernel**2 * self.o_ch_num * (1 if self.depth_wise_layer else self.i_ch_num)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image: the KPU computes all pixels, also those that pooling drops."""
        return self.weight_count * self.i_row_wid * self.i_col_high


_DAMAGED = "the file is damaged, or made by a compiler that is not known"
_LAYOUT: dict[str, tuple[int, int, int, bool, bool]] = {f.name: f.metadata["bits"] for f in fields(Registers)}


class Pool(NamedTuple):
    """What follows the convolution: windows of ``side``, ``stride`` apart. ``pick``: the one pixel of a window that is
    kept is (0, ``pick``)."""

    kind: str
    side: int = 1
    stride: int = 1
    pick: int = 0


POOLS: dict[int, Pool] = {
    0: Pool("none"),
    1: Pool("max", 2, 2),
    2: Pool("mean", 2, 2),
    3: Pool("max", 4, 4),
    4: Pool("mean", 4, 4),
    5: Pool("pick", 2, 2, 0),
    6: Pool("pick", 2, 2, 1),
    7: Pool("pick", 4, 4, 0),
    8: Pool("mean", 2, 1),
    9: Pool("max", 2, 1),
}
"""By ``pool_type``. Windows of stride 1 take what lies to the right and below."""


def layer_registers(
    *,
    source: MapLayout,
    out_channels: int,
    kernel: int,
    src_line: int,
    dst_line: int,
    depthwise: bool = False,
    pool_type: int = 0,
    pad_value: int = 0,
    arg_x: int = 0,
    arg_w: int = 0,
    arg_add: int = 0,
    shr_x: int = 0,
    shr_w: int = 0,
    sends: bool = False,
) -> Registers:
    """The registers of a layer, with all that follows from its shape.

    ``source``: the map that is read, from line ``src_line``; ``sends``: the result goes to main memory, too.
    """
    stride = POOLS[pool_type].stride
    result = MapLayout(out_channels, source.height // stride, source.width // stride)
    one = kernel**2 * (1 if depthwise else source.channels)
    at_once = out_channels if depthwise else max(1, min(out_channels, WEIGHT_MEMORY // one))
    return Registers(
        depth_wise_layer=int(depthwise),
        image_src_addr=src_line,
        image_dst_addr=dst_line,
        i_ch_num=source.channels,
        o_ch_num=out_channels,
        o_ch_num_coef=at_once,
        i_row_wid=source.width,
        i_col_high=source.height,
        o_row_wid=result.width,
        o_col_high=result.height,
        kernel_type=1 if kernel == 3 else 0,
        pool_type=pool_type,
        pad_value=pad_value,
        load_time=-(-out_channels // at_once),
        para_size=one * at_once,
        channel_switch_addr=source.channel_lines,
        row_switch_addr=source.row_lines,
        coef_group=source.groups,
        wb_channel_switch_addr=result.channel_lines,
        wb_row_switch_addr=result.row_lines,
        wb_group=result.groups,
        shr_w=shr_w,
        shr_x=shr_x,
        arg_w=arg_w,
        arg_x=arg_x,
        arg_add=arg_add,
        send_data_out=int(sends),
        # 16 bits, as the vendor's compiler cuts it off; it only counts where the result is sent by DMA
        channel_byte_num=(result.width * result.height - 1) % (1 << 16) + 1,
        dma_total_byte=result.width * result.height * out_channels,
    )


# ------------------------------------------------------------------------------------------------ tables


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Per output channel: t = (acc * mul >> shift) + add. ``mul``: 24 bits, ``add``: 32, signed; ``shift``: 0..15.

    Each (channels,), int64.
    """

    mul: Array
    add: Array
    shift: Array

    @staticmethod
    def unpack(data: bytes) -> BatchNorm:
        words = np.frombuffer(data, "<u8")
        return BatchNorm(_field(words, 0, 24, True), _field(words, 24, 32, True), _field(words, 56, 4, False))

    def pack(self) -> bytes:
        """8 bytes a channel. Raises ChipfitError O002 for numbers that are out of range."""
        parts = ((self.mul, 0, 24, True), (self.add, 24, 32, True), (self.shift, 56, 4, False))
        return (
            sum((_word("batch norm", *part) for part in parts), np.zeros(len(self.mul), np.uint64))
            .astype("<u8")
            .tobytes()
        )


class Segment(NamedTuple):
    """y = ((t - x_start) * mul >> shift, rounded) + add, for t from ``x_start`` up to that of the next segment."""

    x_start: int
    mul: int
    shift: int
    add: int


@dataclass(frozen=True)
class Activation:
    """16 segments in ascending order of ``x_start`` (36 bits); ``mul``: 16 bits, both signed; ``shift``, ``add``: 8."""

    segments: tuple[Segment, ...]

    @staticmethod
    def unpack(data: bytes) -> Activation:
        words = np.frombuffer(data, "<u8", SEGMENTS)
        columns = (_field(words, 24, 36, True), _field(words, 8, 16, True), _field(words, 0, 8, False))
        adds = np.frombuffer(data, np.uint8, SEGMENTS, SEGMENTS * 8)
        return Activation(tuple(Segment(*map(int, row)) for row in zip(*columns, adds, strict=True)))

    def pack(self) -> bytes:
        """144 bytes. Raises ChipfitError O002 for numbers out of range, or another number of segments."""
        if len(self.segments) != SEGMENTS:
            raise ChipfitError("O002", f"an activation has {SEGMENTS} segments, not {len(self.segments)}")
        starts, muls, shifts, adds = (np.array(column, np.int64) for column in zip(*self.segments, strict=True))
        parts = ((starts, 24, 36, True), (muls, 8, 16, True), (shifts, 0, 8, False))
        words = sum((_word("activation", *part) for part in parts), np.zeros(SEGMENTS, np.uint64))
        return words.astype("<u8").tobytes() + _word("activation", adds, 0, 8, False).astype(np.uint8).tobytes()


def _field(words: Array, low: int, count: int, signed: bool) -> Array:
    """The bits of each word, (n,) int64."""
    up = np.uint64(64 - low - count)
    moved = words << up
    down = 64 - count
    return moved.view(np.int64) >> np.int64(down) if signed else (moved >> np.uint64(down)).astype(np.int64)


def _word(table: str, values: Array | Sequence[int], low: int, count: int, signed: bool) -> Array:
    numbers = np.asarray(values, np.int64)
    least, most = (-(1 << count - 1), (1 << count - 1) - 1) if signed else (0, (1 << count) - 1)
    if numbers.size and not least <= numbers.min() <= numbers.max() <= most:
        raise ChipfitError("O002", f"a number of the KPU's {table} table is not within {least}..{most}")
    return (numbers.astype(np.uint64) & np.uint64((1 << count) - 1)) << np.uint64(low)
