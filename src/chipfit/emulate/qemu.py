"""Run a program for a core with Helium on QEMU, where it is installed: Unicorn executes no vector instruction.

chipfit holds QEMU as a debugger would. Breakpoints stand at the marks, where the program asks for a service
(semihosting: files and console are chipfit's own, QEMU opens none), and where exceptions end.

Instructions are counted by QEMU itself: in the mode that records an execution so that it could be replayed, its monitor
tells the exact number of instructions at each stop. Nothing is written; the record goes to the null device.

QEMU's machine has more memory than a program may use. The core's MPU is set up before the program starts, by a few
instructions put in the place of its own, so that it may touch exactly the board's memories and may not write to flash.
Source: Armv8-M Architecture Reference Manual (DDI 0553), D1.2: MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RLAR.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chipfit.emulate.elf import Elf
from chipfit.emulate.gdb import ClosedError, Gdb
from chipfit.emulate.qemu_fault import fault_error, where
from chipfit.emulate.semihost import Semihost
from chipfit.errors import ChipfitError
from chipfit.targets import Board, Memory

_PROGRAM = "qemu-system-arm"
# What QEMU has at the addresses of a machine.
# source: qemu/qemu, hw/arm/mps2-tz.c (an547_raminfo), hw/arm/armsse.c (TCMs).
_MEMORIES = {
    "mps3-an547": (
        (0x0000_0000, 0x0008_0000),
        (0x0100_0000, 0x0120_0000),
        (0x2000_0000, 0x2008_0000),
        (0x2100_0000, 0x2140_0000),
        (0x7000_0000, 0x8000_0000),
    )
}
_R0, _R1, _SP, _LR, _PC = 0, 1, 13, 14, 15
_BKPT_SEMIHOSTING = b"\xab\xbe"
_PAINT = 0xA5
_TICK_SECONDS = 0.2  # between two calls of `progress`
_START_SECONDS = 30
_MPU_CTRL, _MPU_RNR, _MPU_RBAR, _MPU_RLAR, _MPU_MAIR0 = 0xE000_ED94, 0xE000_ED98, 0xE000_ED9C, 0xE000_EDA0, 0xE000_EDC0
_READ_ONLY, _NEVER_EXECUTE, _ENABLE = 0b10 << 1, 1, 1
_NORMAL_MEMORY = 0x44  # not cached; QEMU has no caches
_ALSO_IN_FAULTS = 1 << 1  # HFNMIENA
# store each pair of (address, value) at r0, r1 of them, and stop: ldmia r0!, {r2, r3}; str r3, [r2]; subs r1, #1; bne
_STORE_PAIRS = bytes.fromhex("0cc8 1360 0139 fbd1 00bf 00bf")
_STORED = 8  # offset of the first nop


@dataclass(frozen=True)
class QemuRun:
    """What a program did. ``marks``: visits and instructions of each."""

    exit_code: int
    console: bytes
    output: bytes
    instructions: int
    marks: tuple[tuple[int, int], ...]
    stack_bytes: int
    wall_seconds: float


def install_hint() -> str:
    """How to get QEMU."""
    if sys.platform == "darwin":
        return "brew install qemu"
    if sys.platform == "win32":
        return "winget install SoftwareFreedomConservancy.QEMU"
    return "apt install qemu-system-arm"


def find_qemu() -> str | None:
    """The path of QEMU; None where it is not installed."""
    return shutil.which(_PROGRAM)


def run_on_qemu(
    elf: Elf,
    board: Board,
    *,
    stdin: bytes = b"",
    marks: Sequence[int] = (),
    stack_from: int,
    max_instructions: int,
    progress: Callable[[int], None] | None = None,
) -> QemuRun:
    """Run a linked program until it exits; addresses are those of functions.

    Raises ChipfitError T001 where QEMU is not installed, U001 for a program of another chip or a board whose memories
    QEMU's machine does not have, E001 to E006 for what goes wrong in the program.
    """
    if elf.machine != "EM_ARM" or board.core.emulator is None:
        raise ChipfitError("U001", f"{elf.path.name} is not a program for {board.name} ({board.core.title})")
    machine = board.core.emulator
    if board.flash.origin != 0:
        text = f"QEMU's machine {machine} starts a program at 0, {board.name} at {board.flash.origin:#x}"
        raise ChipfitError("U001", text, "compile for this board, and run on corstone-300")
    for memory in board.memories:
        if not any(low <= memory.origin and memory.end <= high for low, high in _MEMORIES.get(machine, ())):
            text = f"QEMU's machine {machine} has no memory where {board.name} has {memory.name} ({memory.origin:#x})"
            raise ChipfitError("U001", text, "compile for this board, and run on corstone-300")
    started = time.perf_counter()
    with _Machine(elf, machine) as process:
        try:
            run = _Run(process.gdb, elf, board, stdin, marks, stack_from)
            run.until_exit(max_instructions, progress)
        except (ClosedError, OSError) as problem:
            raise process.failure(problem) from None
        return QemuRun(
            exit_code=run.semihost.exit_code or 0,
            console=bytes(run.semihost.console),
            output=bytes(run.semihost.output),
            instructions=run.total,
            marks=tuple((visits, count) for visits, count in run.counts[1:]),
            stack_bytes=run.stack_used,
            wall_seconds=time.perf_counter() - started,
        )


class _Machine:
    """A process of QEMU, stopped before the program's first instruction; it ends with the block."""

    def __init__(self, elf: Elf, machine: str) -> None:
        program = find_qemu()
        if program is None:
            raise ChipfitError(
                "T001",
                f"{_PROGRAM}, the emulator of cores with Helium, is not installed",
                f"{install_hint()}; or take the board corstone-300-dsp, the same without Helium",
            )
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(_START_SECONDS)
            debugger = f"socket,id=gdb,host=127.0.0.1,port={server.getsockname()[1]},server=off,nodelay=on"
            quiet = ["-nodefaults", "-display", "none", "-net", "none"]
            # The longer an instruction takes in the machine's time, the sooner QEMU listens: 2^10 ns is the most.
            count = ["-icount", f"shift=10,rr=record,rrfile={os.devnull}"]
            load = ["-kernel", str(elf.path), "-S", "-chardev", debugger, "-gdb", "chardev:gdb"]
            self._process = subprocess.Popen(
                [program, "-M", machine, *quiet, *count, *load],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            self._said = ""
            try:
                self._connection = server.accept()[0]
                self._connection.settimeout(None)
                self.gdb = Gdb(self._connection)
            except (ClosedError, OSError) as problem:
                raise self.failure(problem) from None

    def __enter__(self) -> _Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._end()

    def failure(self, problem: Exception) -> ChipfitError:
        """QEMU ended, or never came up."""
        said = self._end()
        if "Lockup" in said:
            return ChipfitError("E006", "the core locked up: an exception in the code that handles exceptions")
        return ChipfitError("E006", f"QEMU failed: {said[:500] or problem}", "QEMU 7.2 or newer is needed")

    def _end(self) -> str:
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stderr and not self._process.stderr.closed:
            self._said = self._process.communicate()[1].decode("utf-8", "replace").strip()
        return self._said


class _Access:
    """Memory for semihosting: a request that names memory the program does not have is the program's fault."""

    def __init__(self, gdb: Gdb) -> None:
        self._gdb = gdb

    def read(self, address: int, size: int) -> bytes:
        data = self._gdb.read(address, size)
        if data is None:
            raise ChipfitError("E001", f"read of {size} B at {address:#010x} by semihosting: there is no memory")
        return data

    def write(self, address: int, data: bytes) -> None:
        if not self._gdb.write(address, data):
            raise ChipfitError("E001", f"write of {len(data)} B at {address:#010x} by semihosting: there is no memory")


class _Run:
    def __init__(self, gdb: Gdb, elf: Elf, board: Board, stdin: bytes, marks: Sequence[int], stack_from: int) -> None:
        self.gdb = gdb
        self.elf = elf
        self.board = board
        self.semihost = Semihost(_Access(gdb), 4, stdin)
        self.total = 0
        self.counts = [[0, 0] for _ in range(1 + len(marks))]  # visits, instructions; first: before any mark
        self.stack_used = 0
        self._marks = {address: index for index, address in enumerate(marks, start=1)}
        self._mark = 0
        self._services = _service_calls(elf, board)
        self._fault = elf.labels.get("cf_fault", 0) & ~1
        self._stack_from = stack_from
        self._stack_pointer: int | None = None  # at the entry of stack_from while it runs
        self._back = 0  # where stack_from returns to
        self._allow(board.memories)
        self._setup = self._counted()
        for address in {*self._marks, *self._services, stack_from, self._fault}:
            gdb.set_breakpoint(address)

    def until_exit(self, limit: int, progress: Callable[[int], None] | None) -> None:
        while self.semihost.exit_code is None:
            pc = self._next_stop(limit, progress)
            if pc == self._fault:
                raise fault_error(self.gdb, self.elf, self.board, self._last_mark())
            if pc in self._services:
                request = self.gdb.register(_R0), self.gdb.register(_R1)
                self.gdb.set_register(_R0, self.semihost.serve(*request))
                self.gdb.set_register(_PC, pc + 2)
            self._count(pc)
            self._watch_stack(pc)
        self._count(None)
        self._measure_stack()

    def _next_stop(self, limit: int, progress: Callable[[int], None] | None) -> int:
        """Run to the next breakpoint and give its address."""
        at = self.gdb.register(_PC)
        if self._is_stop(at):
            self.gdb.step()  # QEMU would stop at the same place again
            at = self.gdb.register(_PC)
            if self._is_stop(at):
                return at
        self.gdb.resume()
        while True:
            reason = self.gdb.stopped(_TICK_SECONDS) or self.gdb.interrupt()
            if reason.startswith("T05"):
                return self.gdb.register(_PC)
            self.total = self._counted() - self._setup
            if self.total > limit:
                raise ChipfitError(
                    "E004",
                    f"the program ran more than {limit:,} instructions and was stopped "
                    f"{where(self.elf, self.gdb.register(_PC))}",
                    "raise the limit if the model is that large; otherwise the program loops for ever",
                )
            if progress is not None:
                progress(self.total)
            self.gdb.resume()

    def _is_stop(self, pc: int) -> bool:
        is_back = self._stack_pointer is not None and pc == self._back
        return pc in self._marks or pc in self._services or pc in (self._stack_from, self._fault) or is_back

    def _counted(self) -> int:
        return int(self.gdb.monitor("info replay").rpartition("=")[2])

    def _count(self, pc: int | None) -> None:
        """What ran since the last mark counts for that one."""
        if pc is not None and pc not in self._marks:
            return
        self.total = self._counted() - self._setup
        before = sum(count for _, count in self.counts)
        self.counts[self._mark][1] += self.total - before
        if pc is not None:
            self._mark = self._marks[pc]
            self.counts[self._mark][0] += 1

    def _watch_stack(self, pc: int) -> None:
        if pc == self._stack_from and self._stack_pointer is None:
            bottom, pointer = self.elf.labels["cf_stack_bottom"], self.gdb.register(_SP)
            if bottom <= pointer:
                self.gdb.write(bottom, bytes([_PAINT]) * (pointer - bottom))
                self._stack_pointer = pointer
                self._back = self.gdb.register(_LR) & ~1
                self.gdb.set_breakpoint(self._back)
        elif pc == self._back and self._stack_pointer == self.gdb.register(_SP):
            self._measure_stack()
            if not self._is_stop(pc):
                self.gdb.clear_breakpoint(pc)

    def _measure_stack(self) -> None:
        if self._stack_pointer is None:
            return
        bottom = self.elf.labels["cf_stack_bottom"]
        stack = self.gdb.read(bottom, self._stack_pointer - bottom) or b""
        self.stack_used = max(self.stack_used, len(stack.lstrip(bytes([_PAINT]))))
        self._stack_pointer = None

    def _allow(self, memories: tuple[Memory, ...]) -> None:
        """Set the MPU up: the board's memories and no others, flash for reading and execution, RAM for data."""
        pairs = [(_MPU_MAIR0, _NORMAL_MEMORY)]
        for index, memory in enumerate(memories):
            rights = _READ_ONLY if memory.kind == "flash" else _NEVER_EXECUTE
            limit = (memory.end - 1) & ~31
            pairs += [(_MPU_RNR, index), (_MPU_RBAR, memory.origin | rights), (_MPU_RLAR, limit | _ENABLE)]
        pairs.append((_MPU_CTRL, _ALSO_IN_FAULTS | _ENABLE))
        at, start = self.board.flash.origin, self.gdb.register(_PC)  # RAM would stop being executable on the way
        table = b"".join(word.to_bytes(4, "little") for pair in pairs for word in pair)
        before = self.gdb.read(at, len(_STORE_PAIRS) + len(table)) or b""
        self.gdb.write(at, _STORE_PAIRS + table)
        self.gdb.set_register(_R0, at + len(_STORE_PAIRS))
        self.gdb.set_register(_R1, len(pairs))
        self.gdb.set_register(_PC, at)
        self.gdb.set_breakpoint(at + _STORED)
        self.gdb.resume()
        if self.gdb.stopped(_START_SECONDS) is None:
            raise ClosedError("the memory protection could not be set up")
        self.gdb.clear_breakpoint(at + _STORED)
        self.gdb.write(at, before)
        self.gdb.set_register(_PC, start)

    def _last_mark(self) -> str:
        address = next((at for at, index in self._marks.items() if index == self._mark), self.elf.entry & ~1)
        return self.elf.function_at(address) or "the program"


def _service_calls(elf: Elf, board: Board) -> frozenset[int]:
    """Where the program may ask for a service. A breakpoint on what only looks like that instruction never stops."""
    found: set[int] = set()
    for segment in elf.segments:
        if segment.address in board.flash:
            data = segment.data
            found |= {segment.address + i for i in range(0, len(data) - 1, 2) if data[i : i + 2] == _BKPT_SEMIHOSTING}
    return frozenset(found)
