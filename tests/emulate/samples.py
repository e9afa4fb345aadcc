"""The programs of this folder and the boards they run on."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
# One board for each core.
BOARDS = {
    "cortex-m3": "nucleo-f103rb",
    "cortex-m4f": "arduino-nano-33-ble",
    "cortex-m7": "stm32f746-disco",
    "cortex-m0plus": "raspberry-pi-pico",
    "cortex-m33": "raspberry-pi-pico-2",
    "cortex-m55-dsp": "corstone-300-dsp",
    "rv32imc": "esp32-c3",
    "rv64gc": "maix-bit",
}
EMULATED = tuple(BOARDS.values())

# The input of checksum.c.
DATA = bytes((i * 37 + 11) & 0xFF for i in range(777))
STDIN = struct.pack("<I", len(DATA)) + DATA

# The fixture `build`: name of a program, name of a board, defines -> ELF.
Build = Callable[..., Path]
