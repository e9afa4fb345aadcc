"""Registers, tables and the layout of feature maps, bit by bit."""

from __future__ import annotations

import struct
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.layout import KPU_BYTES, MapLayout
from chipfit.kmodel.format.registers import Activation, BatchNorm, Registers, Segment, layer_registers
from chipfit.kmodel.simulate.memory import Memories
from kmodel.files import activation, batch_norm

WIDTHS = (1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 129, 320)
"""Around all that the layout turns on."""


@st.composite
def any_registers(draw: st.DrawFn) -> Registers:
    values: dict[str, int] = {}
    for one in fields(Registers):
        _, _, count, less_one, signed = one.metadata["bits"]
        least, most = (-(1 << count - 1), (1 << count - 1) - 1) if signed else (0, (1 << count) - 1)
        values[one.name] = draw(st.integers(least, most)) + less_one
    return Registers(**values)


@settings(max_examples=50, deadline=None)
@given(any_registers())
def test_registers_come_back(registers: Registers) -> None:
    data = registers.pack()
    assert len(data) == 96
    assert Registers.unpack(data) == registers


def test_where_the_fields_lie() -> None:
    """A few of each kind, written out: sizes less one, signed numbers, addresses."""
    registers = replace(Registers(), i_row_wid=320, o_col_high=7, arg_x=-3, arg_add=-1, image_dst_addr=5, pool_type=6)
    words = struct.unpack("<12Q", registers.pack())
    assert words[3] & 0x3FF == 319
    assert words[3] >> 42 & 0x1FF == 6
    assert words[9] >> 32 & 0xFFFFFF == 0xFFFFFD
    assert words[10] == (1 << 40) - 1
    assert words[1] >> 32 == 5
    assert words[4] >> 4 & 15 == 6


@pytest.mark.parametrize("word", range(12))
def test_bits_without_a_meaning_are_refused(word: int) -> None:
    free = {0: 5, 1: 20, 2: 15, 3: 25, 4: 12, 5: 8, 6: 20, 7: 15, 8: 25, 9: 60, 10: 45, 11: 5}
    words = list(struct.unpack("<12Q", Registers().pack()))
    words[word] |= 1 << free[word]
    with pytest.raises(ChipfitError, match=f"register {word} .* that mean nothing"):
        Registers.unpack(struct.pack("<12Q", *words))


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(ChipfitError, match=r"i_row_wid takes 1\.\.1024, not 1025"):
        replace(Registers(), i_row_wid=1025).pack()
    with pytest.raises(ChipfitError, match="arg_x"):
        replace(Registers(), arg_x=1 << 23).pack()
    with pytest.raises(ChipfitError, match="batch norm"):
        BatchNorm(np.array([1 << 23]), np.array([0]), np.array([0])).pack()
    with pytest.raises(ChipfitError, match="16 segments"):
        Activation((Segment(0, 0, 0, 0),)).pack()
    with pytest.raises(ChipfitError, match="activation"):
        Activation((Segment(0, 1 << 15, 0, 0), *[Segment(0, 0, 0, 0)] * 15)).pack()


def test_what_follows_from_a_shape() -> None:
    """192 channels of 3x3: 1,728 weights for an output channel, 17 of which fit 30 KiB."""
    r = layer_registers(
        source=MapLayout(192, 10, 20), out_channels=100, kernel=3, src_line=0, dst_line=9, pool_type=1, sends=True
    )
    assert (r.o_ch_num_coef, r.load_time, r.para_size) == (17, 6, 17 * 1728)
    assert (r.o_row_wid, r.o_col_high, r.channel_byte_num, r.dma_total_byte) == (10, 5, 50, 5000)
    assert (r.row_switch_addr, r.channel_switch_addr, r.coef_group) == (1, 10, 2)
    assert (r.wb_row_switch_addr, r.wb_channel_switch_addr, r.wb_group) == (1, 5, 4)
    depthwise = layer_registers(
        source=MapLayout(192, 10, 20), out_channels=192, kernel=3, src_line=0, dst_line=9, depthwise=True
    )
    assert (depthwise.o_ch_num_coef, depthwise.load_time, depthwise.para_size) == (192, 1, 1728)


def test_tables_come_back() -> None:
    rng = np.random.default_rng(5)
    norm, table = batch_norm(rng, 33), activation(rng)
    again = BatchNorm.unpack(norm.pack())
    assert all(np.array_equal(getattr(norm, n), getattr(again, n)) for n in ("mul", "add", "shift"))
    assert Activation.unpack(table.pack()) == table
    least, most = Segment(-(1 << 35), -(1 << 15), 255, 0), Segment((1 << 35) - 1, (1 << 15) - 1, 0, 255)
    extremes = Activation((least, *[most] * 15))
    assert Activation.unpack(extremes.pack()) == extremes
    word = struct.unpack_from("<Q", norm.pack())[0]
    assert word & 0xFFFFFF == int(norm.mul[0]) & 0xFFFFFF
    assert word >> 24 & 0xFFFFFFFF == int(norm.add[0]) & 0xFFFFFFFF
    assert word >> 56 == int(norm.shift[0])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("channels", [1, 4, 5, 8])
def test_every_pixel_lies_where_the_formula_says(channels: int, width: int) -> None:
    layout = MapLayout(channels, 3, width)
    groups = 4 if layout.width <= 16 else 2 if layout.width <= 32 else 1
    pitch, row = 64 // groups, -(-layout.width // 64) * 64
    rng = np.random.default_rng(1)
    image = rng.integers(1, 256, (layout.channels, layout.height, layout.width)).astype(np.uint8)
    memories = Memories({Memory.CONST: 0, Memory.MAIN: 0, Memory.KPU: KPU_BYTES})
    memories.write_map(128, layout, image)
    raw = memories.read(MemoryRange(Memory.KPU, DataType.UINT8, 0, KPU_BYTES))
    expected = np.zeros(KPU_BYTES, np.uint8)
    for c in range(layout.channels):
        for y in range(layout.height):
            start = 128 + (c // groups) * layout.height * row + c % groups * pitch + y * row
            expected[start : start + layout.width] = image[c, y]
    assert np.array_equal(raw, expected)
    assert layout.size == -(-layout.channels // groups) * layout.height * row
    assert np.array_equal(memories.read_map(128, layout), image)
