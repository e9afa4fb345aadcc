"""The dataclasses of a core and of a board. They hold figures only; the sources are in the TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Arch = Literal["arm", "riscv", "host"]
MemoryKind = Literal["flash", "ram"]


@dataclass(frozen=True)
class Memory:
    """One contiguous range of addresses that an application may use."""

    name: str
    kind: MemoryKind
    origin: int  # first address
    size: int  # bytes
    wait_states: int | None = None  # cycles added to a read at the board's clock; None: unknown

    @property
    def end(self) -> int:
        """The first address behind this memory."""
        return self.origin + self.size

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.origin <= address < self.end


@dataclass(frozen=True)
class Core:
    """An instruction set with its extensions, and how to compile for it and emulate it."""

    name: str
    title: str
    arch: Arch
    bits: int
    features: frozenset[str]  # what kernels may ask for: dsp, fpu, unaligned, …
    zig_target: str  # triple for `zig cc`; empty for the host
    zig_flags: tuple[str, ...]
    gcc: str | None  # the usual name of a gcc for this core
    gcc_flags: tuple[str, ...]
    emulator: str | None  # Unicorn's name of the CPU model, without its UC_CPU_<ARCH>_ prefix


@dataclass(frozen=True)
class Power:
    """Supply while the core runs from flash at the board's clock."""

    run_ma: float  # milliampere
    volt: float


@dataclass(frozen=True)
class Board:
    """A chip on a board: a core, its clock and its memories."""

    name: str
    title: str
    core: Core
    clock_hz: int
    memories: tuple[Memory, ...]  # the first flash holds the program; the first ram stack and variables
    power: Power | None = None
    frameworks: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    @property
    def is_host(self) -> bool:
        """True for the user's own computer, which has no memory limit and is not emulated."""
        return self.core.arch == "host"

    @property
    def flash(self) -> Memory:
        """The memory that the program is linked into."""
        return self._first("flash")

    @property
    def ram(self) -> Memory:
        """The memory that holds the stack (at its bottom) and the variables."""
        return self._first("ram")

    def _first(self, kind: MemoryKind) -> Memory:
        return next(memory for memory in self.memories if memory.kind == kind)
