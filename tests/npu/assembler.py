"""Command streams of a test's own making."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from chipfit.ethosu import READ_ONLY, SCRATCH, SCRATCH_FAST, Simulator, parse_payload
from chipfit.ethosu.commands import REGISTERS, WIDE_REGISTERS, Operation

NARROW_CODES = {name: code for code, name in REGISTERS.items()}
WIDE_CODES = {name: code for code, name in WIDE_REGISTERS.items()}

U55_128 = (0x00001807, 0x10066001)

TYPES = {"uint8": 0, "int8": 1, "uint16": 2, "int16": 3, "int32": 5}
"""Sign and size of an element, as OFM_PRECISION has them; the inputs' registers have the size one bit higher."""


class Stream:
    """Commands, in order."""

    def __init__(self) -> None:
        self.words: list[int] = []

    def set(self, **registers: int) -> Stream:
        """Registers of 16 bits, or the data of wide ones."""
        for name, value in registers.items():
            if name in NARROW_CODES:
                self.words.append(NARROW_CODES[name] | (value & 0xFFFF) << 16)
            else:
                self.words += [WIDE_CODES[name] | 1 << 14, value & 0xFFFFFFFF]
        return self

    def scale(self, name: str, m: int, shift: int) -> Stream:
        self.words += [WIDE_CODES[name] | 1 << 14 | shift << 16, m]
        return self

    def op(self, operation: Operation, parameter: int = 0) -> Stream:
        self.words.append(operation | parameter << 16)
        return self

    def map(self, name: str, shape: tuple[int, int, int], base: int, kind: str = "int8", **more: int) -> Stream:
        """A feature map in NHWC, in one tile of the scratch region; ``more``: registers without the map's name."""
        height, width, depth = shape
        sign, size = TYPES[kind] & 1, TYPES[kind] >> 1
        nbytes = 1 << size
        values = {
            "PRECISION": sign | size << (1 if name == "OFM" else 2) | (0x8100 if name == "OFM" else 0),
            "REGION": SCRATCH,
            "ZERO_POINT": 0,
            "WIDTH0_M1": width - 1,
            "HEIGHT0_M1": height - 1,
            "HEIGHT1_M1": height - 1,
            "BASE0": base,
            **{f"BASE{i}": 0 for i in (1, 2, 3)},
            "STRIDE_X": depth * nbytes,
            "STRIDE_Y": width * depth * nbytes,
            "STRIDE_C": 16 * nbytes,
            **more,
        }
        if name == "OFM":
            values = {"WIDTH_M1": width - 1, "HEIGHT_M1": height - 1, "DEPTH_M1": depth - 1, **values}
        if name == "IFM":
            values = {"DEPTH_M1": depth - 1, "UPSCALE": 0, **values}
        return self.set(**{f"{name}_{key}": value for key, value in values.items()})

    def window(self, kernel: int = 1, stride: int = 1, padding: int = 0) -> Stream:
        """The kernel of a convolution or a pool, and no activation."""
        step = (stride - 1) & 1
        pads = {f"IFM_PAD_{side}": padding for side in ("TOP", "LEFT", "BOTTOM", "RIGHT")}
        self.set(KERNEL_WIDTH_M1=kernel - 1, KERNEL_HEIGHT_M1=kernel - 1, KERNEL_STRIDE=step | step << 1, **pads)
        return self.set(ACTIVATION=0, ACTIVATION_MIN=-32768, ACTIVATION_MAX=32767)

    def payload(self, config: tuple[int, int] = U55_128) -> bytes:
        actions = [0x00100001, *config, 5, 5, 5, len(self.words) << 16 | 2]  # the stream begins at byte 32
        return b"COP1" + struct.pack(f"<{len(actions) + len(self.words)}I", *actions, *self.words)

    def simulator(self, memory: npt.NDArray[np.uint8], constants: npt.NDArray[np.uint8] | None = None) -> Simulator:
        none = np.zeros(0, np.uint8)
        regions: dict[int, Any] = {
            READ_ONLY: none if constants is None else constants,
            SCRATCH: memory,
            SCRATCH_FAST: memory,
        }
        return Simulator(parse_payload(self.payload()), regions)

    def run(self, memory: npt.NDArray[np.uint8], constants: npt.NDArray[np.uint8] | None = None) -> None:
        """Execute it, up to a STOP behind the last command."""
        self.op(Operation.STOP).simulator(memory, constants).run()


def pool(shape: tuple[int, int, int], **window: int) -> Stream:
    """An average pool of int8 at 0 to int8 at 512; without more, a copy."""
    stream = Stream().map("IFM", shape, 0).window(**window)
    kernel, stride, padding = window.get("kernel", 1), window.get("stride", 1), window.get("padding", 0)
    height, width = ((n + 2 * padding - kernel) // stride + 1 for n in shape[:2])
    return stream.map("OFM", (height, width, shape[2]), 512).scale("OFM_SCALE", 1, 0)
