"""The dataclasses of a core and of a board. They hold figures only; the sources are in the TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Arch = Literal["arm", "riscv", "avr", "host"]
MemoryKind = Literal["flash", "ram"]


@dataclass(frozen=True)
class Memory:
    """One contiguous range of addresses that an application may use."""

    name: str
    kind: MemoryKind
    origin: int  # first address
    size: int  # bytes
    wait_states: int | None = None  # cycles added to a read at the board's clock; None: unknown
    setup: str | None = None  # what the application must do before it may be used; None: it is there after reset

    @property
    def end(self) -> int:
        """The first address behind this memory."""
        return self.origin + self.size

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.origin <= address < self.end


@dataclass(frozen=True)
class Cycles:
    """Cycles of a core's instructions by kind, with memories that never wait (emulate/cycles.py).

    A core's file names what is not the default: 1 for a kind, 0 for what is added.
    """

    approximate: bool = False  # True: not from a manual of this very core
    issue: int = 1  # instructions that may start in one cycle
    load: float = 1
    load_after_load: float = 1  # right behind a load, the address not depending on it
    store: float = 1
    store_indexed: float = 1  # address with an index register
    multiple: float = 1  # several registers: this, and `each` for each of them
    each: float = 1
    multiply: float = 1  # low half of the product, dual 16-bit, high half with 32 bits accumulated
    multiply_add: float = 1  # low half of the product, added or subtracted
    multiply_long: float = 1  # 64-bit product
    divide: float = 1
    float_op: float = 1
    float_multiply_add: float = 1
    float_divide: float = 1  # and square root
    branch_taken: float = 0  # added where a conditional branch is taken
    jump: float = 0  # added to an unconditional one
    call: float = 0
    jump_register: float = 0  # target in a register, or from a table
    load_pc: float = 0  # added to a load, alone or of several registers, that jumps
    load_to_use: float = 0  # cycles between a load and the first instruction that may use it
    load_narrow_to_use: float = 0  # the same for 8 and 16 bits
    address_stall: float = 0  # added to a load or store whose address the instruction before has computed


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
    emulator: str | None  # Unicorn's CPU model, without its UC_CPU_<ARCH>_ prefix; of an AVR simavr's name of the chip
    qemu: bool = False  # True: QEMU runs it, and `emulator` is the name of QEMU's machine
    cycles: Cycles | None = None  # None: unknown


@dataclass(frozen=True)
class Power:
    """Supply while the core runs from flash at the board's clock."""

    run_ma: float  # milliampere
    volt: float


@dataclass(frozen=True)
class Npu:
    """An accelerator beside the core. ``system`` and ``memory_mode``: sections of Vela's configuration file.

    ``base``: address of its registers; ``interrupt``: its number among the core's external ones. None: unknown.
    """

    accelerator: str  # ethos-u55-128 …
    system: str
    memory_mode: str
    memories: Mapping[str, str] = field(default_factory=dict[str, str])  # by Vela's name the one of the board
    base: int | None = None
    interrupt: int | None = None


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
    probes: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    npu: Npu | None = None

    @property
    def is_host(self) -> bool:
        """True for the user's own computer, which has no memory limit and is not emulated."""
        return self.core.arch == "host"

    @property
    def stack_bytes(self) -> int:
        """Stack that is reserved unless asked otherwise: 4 KiB; of a RAM below 16 KiB an eighth."""
        return 4096 if self.ram.size >= 1 << 14 else self.ram.size // 8

    @property
    def flash(self) -> Memory:
        """The memory that the program is linked into."""
        return self._first("flash")

    @property
    def ram(self) -> Memory:
        """The memory that holds the stack (at its bottom) and the variables."""
        return self._first("ram")

    def fastest(self, kind: MemoryKind) -> list[Memory]:
        """The memories of a kind, the one to prefer first: those that are there after reset, by their wait states
        (unknown: one), then in the order of the board's file."""
        found = [memory for memory in self.memories if memory.kind == kind]
        return sorted(found, key=lambda m: (m.setup is not None, 1 if m.wait_states is None else m.wait_states))

    def _first(self, kind: MemoryKind) -> Memory:
        return next(memory for memory in self.memories if memory.kind == kind)
