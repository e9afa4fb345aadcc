"""Compile C for a core, run it on an emulated one, or load it into this process."""

from chipfit.emulate.cycles import estimate_cycles, how_estimated
from chipfit.emulate.elf import Elf, Sizes, Symbol
from chipfit.emulate.library import HostLibrary
from chipfit.emulate.machine import MachineResult, Mark, run_elf
from chipfit.emulate.toolchain import build_elf, build_host_library, used_bytes

__all__ = [
    "Elf",
    "HostLibrary",
    "MachineResult",
    "Mark",
    "Sizes",
    "Symbol",
    "build_elf",
    "build_host_library",
    "estimate_cycles",
    "how_estimated",
    "run_elf",
    "used_bytes",
]
