"""An emulated core: Unicorn with the memories of a board, and what its faults mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from unicorn import arm_const, riscv_const, unicorn_const
from unicorn.unicorn import Uc, UcError

from chipfit.emulate.elf import Elf
from chipfit.errors import ChipfitError
from chipfit.targets import Board, Memory

_PAGE = 4096  # Unicorn maps memory in pages of this size
_BKPT_SEMIHOSTING = b"\xab\xbe"
# slli zero, zero, 0x1f; ebreak; srai zero, zero, 7
_RISCV_SEMIHOSTING = bytes.fromhex("1310f001 73001000 13507040")
# Private peripherals of a Cortex-M (SCS); start-up code turns the FPU on there. Armv7-M ARM, B3.2.1.
_SCS_ORIGIN = 0xE000_E000
# Executed where nothing is mapped exactly: `udf #0xde` on Thumb; zero is illegal on RISC-V.
_ILLEGAL = {"arm": b"\xde", "riscv": b"\0"}
_NOWHERE = 0xFFFF_FFF0  # an address that no program reaches

AccessKind = Literal["read", "write", "execution"]

# Exception numbers of the emulated Cortex-M: QEMU, target/arm/cpu.h (EXCP_*).
_ARM_BKPT = 7
_ARM_ILLEGAL = {1: "undefined", 17: "no coprocessor", 18: "invalid state"}
_ARM_OTHER = {2: "svc", 3: "instruction fetch", 4: "data access, most likely not aligned"}
# RISC-V privileged manual, table "mcause".
_RISCV_ILLEGAL = {2: "illegal instruction"}
_RISCV_OTHER = {
    0: "jump to an address that is not aligned",
    1: "instruction fetch",
    3: "breakpoint",
    4: "load from an address that is not aligned",
    5: "load",
    6: "store to an address that is not aligned",
    7: "store",
    8: "environment call",
    11: "environment call",
}


class AccessError(Exception):
    """An access that the board's memories do not allow."""

    def __init__(self, kind: AccessKind, address: int, size: int) -> None:
        super().__init__(kind, address, size)
        self.kind: AccessKind = kind
        self.address = address
        self.size = size


@dataclass(frozen=True)
class Event:
    """Why the core stopped, other than by a semihosting request."""

    kind: Literal["access", "illegal", "exception"]
    pc: int
    detail: str = ""
    access: AccessError | None = None


class Cpu:
    """A core after reset with the program in its flash."""

    def __init__(self, board: Board, elf: Elf) -> None:
        core = board.core
        expected = {"arm": "EM_ARM", "riscv": "EM_RISCV"}.get(core.arch, "")
        if core.emulator is None or (elf.machine, elf.bits) != (expected, core.bits):
            raise ChipfitError("U001", f"{elf.path.name} is not a program for {board.name} ({core.title})")
        self.board = board
        self.is_arm = core.arch == "arm"
        self.uc: Any = _open(core.arch, core.bits, core.emulator)
        registers: Any = arm_const if self.is_arm else riscv_const
        prefix = "UC_ARM_REG_" if self.is_arm else "UC_RISCV_REG_"
        names = ("PC", "SP", "LR", "R0", "R1") if self.is_arm else ("PC", "SP", "RA", "A0", "A1")
        self._pc, self._sp, self._lr, self._a0, self._a1 = (getattr(registers, prefix + name) for name in names)
        self._event: Event | None = None
        self._asked = False
        self._map(board.memories)
        for segment in elf.segments:
            self._load(segment.address, segment.data)
        self._next = self._reset(elf)
        self.uc.hook_add(unicorn_const.UC_HOOK_INTR, self._on_exception)
        self.uc.hook_add(unicorn_const.UC_HOOK_MEM_INVALID, self._on_invalid)

    @property
    def pc(self) -> int:
        return int(self.uc.reg_read(self._pc))

    @property
    def sp(self) -> int:
        return int(self.uc.reg_read(self._sp))

    @property
    def return_address(self) -> int:
        """Where the function returns to; holds at the entry of a function only."""
        value = int(self.uc.reg_read(self._lr))
        return value & ~1 if self.is_arm else value

    def read(self, address: int, size: int) -> bytes:
        """Bytes that the program could read; raises AccessError where it could not."""
        self._check("read", address, size)
        return bytes(self.uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Write where the program could; raises AccessError where it could not."""
        self._check("write", address, len(data))
        self.uc.mem_write(address, data)

    def resume(self) -> Event | None:
        """Run until the program asks for a service (None) or something stops it."""
        self._event = None
        self._asked = False
        try:
            self.uc.emu_start(self._next | int(self.is_arm), _NOWHERE)
        except UcError as error:
            if self._event is None and not self._is_riscv_request(error):
                self._event = self._from_error(error)
        if self._event is None and not self._asked:
            return Event("exception", self.pc, "stopped")  # a counter asked for it and says why
        return self._event

    def request(self) -> tuple[int, int]:
        """Operation and argument of the service asked for."""
        return int(self.uc.reg_read(self._a0)), int(self.uc.reg_read(self._a1))

    def answer(self, result: int) -> None:
        """Hand back the result and go on behind the request."""
        self.uc.reg_write(self._a0, result & ((1 << self.board.core.bits) - 1))
        self._next = self.pc + (2 if self.is_arm else 4)

    def _map(self, memories: tuple[Memory, ...]) -> None:
        last = 0
        for memory in sorted(memories, key=lambda item: item.origin):
            start, end = memory.origin & -_PAGE, -(-memory.end // _PAGE) * _PAGE
            if start < last:
                text = f"{self.board.name}: {memory.name} shares a page of 4 KiB with the memory below it"
                raise ChipfitError("B002", text, "the emulator maps memory in such pages")
            last = end
            may = unicorn_const.UC_PROT_EXEC if memory.kind == "flash" else unicorn_const.UC_PROT_WRITE
            self.uc.mem_map(start, end - start, unicorn_const.UC_PROT_READ | may)
            for low, high in ((start, memory.origin), (memory.end, end)):
                if low < high:
                    self._forbid(low, high, memory)
        if self.is_arm:
            self.uc.mem_map(_SCS_ORIGIN, _PAGE, unicorn_const.UC_PROT_READ | unicorn_const.UC_PROT_WRITE)

    def _forbid(self, low: int, high: int, memory: Memory) -> None:
        """A part of a page that is not the application's: a jump there or an access to RAM there is a fault.

        A hook on memory makes every access of the program slow (by a factor of 6), for which reason flash has none:
        writes fault anyway, and what lies beside the application in the same flash can be read on the board too.
        """
        self.uc.mem_write(low, _ILLEGAL["arm" if self.is_arm else "riscv"] * (high - low))
        if memory.kind == "ram":
            kinds = unicorn_const.UC_HOOK_MEM_READ | unicorn_const.UC_HOOK_MEM_WRITE
            self.uc.hook_add(kinds, self._on_forbidden, begin=low, end=high - 1)

    def _load(self, address: int, data: bytes) -> None:
        if not any(address in memory and address + len(data) <= memory.end for memory in self.board.memories):
            text = f"the program has {len(data):,} B at {address:#010x}, outside of {self.board.name}'s memories"
            raise ChipfitError("M001", text)
        self.uc.mem_write(address, data)

    def _reset(self, elf: Elf) -> int:
        if not self.is_arm:
            return elf.entry
        vectors = bytes(self.uc.mem_read(self.board.flash.origin, 8))
        self.uc.reg_write(self._sp, int.from_bytes(vectors[:4], "little"))
        return int.from_bytes(vectors[4:], "little") & ~1

    def _check(self, kind: AccessKind, address: int, size: int) -> None:
        for memory in self.board.memories:
            if memory.origin <= address and address + size <= memory.end:
                if kind == "write" and memory.kind == "flash":
                    break
                return
        if size:
            raise AccessError(kind, address, size)

    def _on_exception(self, uc: Any, number: int, _user: object) -> None:
        pc = self.pc
        if self.is_arm:
            if number == _ARM_BKPT and bytes(uc.mem_read(pc, 2)) == _BKPT_SEMIHOSTING:
                self._asked = True
            elif number in _ARM_ILLEGAL:
                self._event = Event("illegal", pc, self._code_at(pc))
            else:
                self._event = Event("exception", pc, _ARM_OTHER.get(number, f"number {number}"))
        else:
            pc -= 4  # the emulator has already moved on
            if number in _RISCV_ILLEGAL:
                self._event = Event("illegal", pc, self._code_at(pc))
            else:
                self._event = Event("exception", pc, _RISCV_OTHER.get(number, f"number {number}"))
        uc.emu_stop()

    def _on_invalid(self, _uc: Any, kind: int, address: int, size: int, _value: int, _user: object) -> bool:
        if kind in (unicorn_const.UC_MEM_FETCH_UNMAPPED, unicorn_const.UC_MEM_FETCH_PROT):
            what: AccessKind = "execution"
        elif kind in (unicorn_const.UC_MEM_WRITE_UNMAPPED, unicorn_const.UC_MEM_WRITE_PROT):
            what = "write"
        else:
            what = "read"
        self._event = Event("access", self.pc, access=AccessError(what, address, size))
        return False

    def _on_forbidden(self, uc: Any, kind: int, address: int, size: int, _value: int, _user: object) -> None:
        what: AccessKind = "write" if kind == unicorn_const.UC_MEM_WRITE else "read"
        if self._event is None:
            self._event = Event("access", self.pc, access=AccessError(what, address, size))
        uc.emu_stop()

    def _is_riscv_request(self, error: UcError) -> bool:
        """Unicorn calls ebreak an invalid instruction."""
        if self.is_arm or error.errno != unicorn_const.UC_ERR_INSN_INVALID:
            return False
        self._asked = bytes(self.uc.mem_read(self.pc - 4, 12)) == _RISCV_SEMIHOSTING
        return self._asked

    def _from_error(self, error: UcError) -> Event:
        if error.errno == unicorn_const.UC_ERR_INSN_INVALID:
            return Event("illegal", self.pc, self._code_at(self.pc))
        return Event("exception", self.pc, str(error))

    def _code_at(self, pc: int) -> str:
        """The instruction's bytes as halfwords in the order in which manuals print them."""
        try:
            code = bytes(self.uc.mem_read(pc, 4))
        except UcError:
            return ""
        low, high = code[:2][::-1].hex(), code[2:][::-1].hex()
        if self.is_arm:
            return f"{low} {high}" if code[1] >> 3 >= 0x1D else low
        return f"{high}{low}" if code[0] & 3 == 3 else low


def _open(arch: str, bits: int, model: str) -> Any:
    """A Unicorn instance for the CPU model.

    Not with UC_MODE_MCLASS: Unicorn 2.1 then takes a Cortex-M33, whatever model it is told, and executes DSP
    instructions on an M0. The models themselves are of profile M.
    """
    if arch == "arm":
        uc: Any = Uc(unicorn_const.UC_ARCH_ARM, unicorn_const.UC_MODE_THUMB)
        number = getattr(arm_const, f"UC_CPU_ARM_{model}", None)
    else:
        mode = unicorn_const.UC_MODE_RISCV32 if bits == 32 else unicorn_const.UC_MODE_RISCV64
        uc = Uc(unicorn_const.UC_ARCH_RISCV, mode)
        number = getattr(riscv_const, f"UC_CPU_RISCV{bits}_{model}", None)
    if number is None:
        raise ChipfitError("B002", f"the emulator has no CPU model {model} for {arch}, {bits} bits")
    uc.ctl_set_cpu_model(number)
    return uc
