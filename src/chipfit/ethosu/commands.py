"""The words of a command stream: operations, and registers that keep their value until they are set again.

A word: bits 0..9 the code, bit 14 whether a word of data follows, bits 16..31 a parameter. Codes from 0x100 on without
data and all with data are registers. Facts: the register description in Vela's wheel (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from chipfit.errors import ChipfitError


class Operation(IntEnum):
    STOP = 0x000
    IRQ = 0x001
    CONV = 0x002
    DEPTHWISE = 0x003
    POOL = 0x005
    ELEMENTWISE = 0x006
    DMA_START = 0x010
    DMA_WAIT = 0x011
    KERNEL_WAIT = 0x012
    PMU_MASK = 0x013


REGISTERS = {
    0x100: "IFM_PAD_TOP",
    0x101: "IFM_PAD_LEFT",
    0x102: "IFM_PAD_RIGHT",
    0x103: "IFM_PAD_BOTTOM",
    0x104: "IFM_DEPTH_M1",
    0x105: "IFM_PRECISION",
    0x107: "IFM_UPSCALE",
    0x109: "IFM_ZERO_POINT",
    0x10A: "IFM_WIDTH0_M1",
    0x10B: "IFM_HEIGHT0_M1",
    0x10C: "IFM_HEIGHT1_M1",
    0x10D: "IFM_IB_END",
    0x10F: "IFM_REGION",
    0x111: "OFM_WIDTH_M1",
    0x112: "OFM_HEIGHT_M1",
    0x113: "OFM_DEPTH_M1",
    0x114: "OFM_PRECISION",
    0x115: "OFM_BLK_WIDTH_M1",
    0x116: "OFM_BLK_HEIGHT_M1",
    0x117: "OFM_BLK_DEPTH_M1",
    0x118: "OFM_ZERO_POINT",
    0x11A: "OFM_WIDTH0_M1",
    0x11B: "OFM_HEIGHT0_M1",
    0x11C: "OFM_HEIGHT1_M1",
    0x11F: "OFM_REGION",
    0x120: "KERNEL_WIDTH_M1",
    0x121: "KERNEL_HEIGHT_M1",
    0x122: "KERNEL_STRIDE",
    0x123: "PARALLEL_MODE",
    0x124: "ACC_FORMAT",
    0x125: "ACTIVATION",
    0x126: "ACTIVATION_MIN",
    0x127: "ACTIVATION_MAX",
    0x128: "WEIGHT_REGION",
    0x129: "SCALE_REGION",
    0x12D: "AB_START",
    0x12F: "BLOCKDEP",
    0x130: "DMA0_SRC_REGION",
    0x131: "DMA0_DST_REGION",
    0x132: "DMA0_SIZE0",
    0x133: "DMA0_SIZE1",
    0x180: "IFM2_BROADCAST",
    0x181: "IFM2_SCALAR",
    0x185: "IFM2_PRECISION",
    0x189: "IFM2_ZERO_POINT",
    0x18A: "IFM2_WIDTH0_M1",
    0x18B: "IFM2_HEIGHT0_M1",
    0x18C: "IFM2_HEIGHT1_M1",
    0x18D: "IFM2_IB_START",
    0x18F: "IFM2_REGION",
}
"""Registers of 16 bits, by code."""

WIDE_REGISTERS = {
    **{0x000 + i: f"IFM_BASE{i}" for i in range(4)},
    **{0x004 + i: f"IFM_STRIDE_{axis}" for i, axis in enumerate("XYC")},
    **{0x010 + i: f"OFM_BASE{i}" for i in range(4)},
    **{0x014 + i: f"OFM_STRIDE_{axis}" for i, axis in enumerate("XYC")},
    0x020: "WEIGHT_BASE",
    0x021: "WEIGHT_LENGTH",
    0x022: "SCALE_BASE",
    0x023: "SCALE_LENGTH",
    0x024: "OFM_SCALE",
    0x025: "OPA_SCALE",
    0x026: "OPB_SCALE",
    0x030: "DMA0_SRC",
    0x031: "DMA0_DST",
    0x032: "DMA0_LEN",
    0x033: "DMA0_SKIP0",
    0x034: "DMA0_SKIP1",
    **{0x080 + i: f"IFM2_BASE{i}" for i in range(4)},
    **{0x084 + i: f"IFM2_STRIDE_{axis}" for i, axis in enumerate("XYC")},
    0x090: "WEIGHT1_BASE",
    0x091: "WEIGHT1_LENGTH",
    0x092: "SCALE1_BASE",
    0x093: "SCALE1_LENGTH",
}
"""Registers with a word of data, by code."""

_HAS_DATA = 1 << 14
_OPERATIONS = frozenset(Operation)


@dataclass(frozen=True)
class Command:
    """``at``: its word in the stream. Either an ``operation`` or a ``register`` that is set; ``data``: 32 bits."""

    at: int
    parameter: int
    operation: Operation | None = None
    register: str = ""
    data: int | None = None

    def __str__(self) -> str:
        if self.operation is not None:
            return f"{self.operation.name} {self.parameter}" if self.parameter else self.operation.name
        value = f"{self.parameter:#x}" if self.data is None else f"{self.data:#x}, {self.parameter:#x}"
        return f"{self.register} = {value}"


def commands(words: npt.NDArray[np.uint32]) -> Iterator[Command]:
    """The commands of a stream in order. Raises ChipfitError A001 for a word that is none."""
    stream = words.tolist()
    at = 0
    while at < len(stream):
        word = stream[at]
        code, parameter = word & 0x3FF, word >> 16
        if word & _HAS_DATA:
            if code not in WIDE_REGISTERS or at + 1 >= len(stream):
                raise unknown(at, word)
            yield Command(at, parameter, register=WIDE_REGISTERS[code], data=stream[at + 1])
            at += 2
        elif code in REGISTERS:
            yield Command(at, parameter, register=REGISTERS[code])
            at += 1
        elif code in _OPERATIONS:
            yield Command(at, parameter, Operation(code))
            at += 1
        else:
            raise unknown(at, word)


def unknown(at: int, word: int) -> ChipfitError:
    return ChipfitError("A001", f"word {at} of the command stream, {word:#010x}, is no command of Ethos-U55 or U65")
