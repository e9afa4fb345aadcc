"""Run a program on an emulated core with exactly the memories of a board.

The emulator is Unicorn. The program talks by semihosting (runtime/port), which is also how it ends.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chipfit.emulate.avr import DATA_SPACE, fault, run_image
from chipfit.emulate.counter import LIMIT, STOPPED, Counter, Executed, Plan, make_counter
from chipfit.emulate.cpu import AccessError, Cpu, Event
from chipfit.emulate.elf import Elf
from chipfit.emulate.npu import EmulatedNpu
from chipfit.emulate.qemu import run_on_qemu
from chipfit.emulate.semihost import Semihost
from chipfit.errors import ChipfitError
from chipfit.targets import Board

_PAINT = 0xA5
# A stack that overflows touches memory below RAM by at most one frame: 64 KiB is more than any has.
_OVERFLOW_REACH = 1 << 16


@dataclass(frozen=True)
class Mark:
    """A function and the instructions from each of its entries to the entry of the next mark, whichever it is."""

    name: str
    visits: int
    instructions: int


@dataclass(frozen=True)
class MachineResult:
    """What one run did. Instructions, stack and bytes are measured, not estimated.

    ``cycles``: of each mark, where the emulator measures them; None: they can be estimated from the blocks.
    """

    exit_code: int
    console: str
    output: bytes  # what the program wrote with cf_port_write
    instructions: int  # all of them, start-up included
    marks: list[Mark]
    stack_bytes: int  # of the call tree of `stack_from`, its own frame included; lowest byte written
    wall_seconds: float
    elf: Elf = field(repr=False, compare=False)
    _counter: Counter | None = field(repr=False, compare=False)
    cycles: tuple[int, ...] | None = None

    @property
    def blocks(self) -> dict[int, tuple[int, int]]:
        """Address → (size in bytes, hits) of every block of instructions that ran; made when asked for."""
        return self._counter.blocks() if self._counter else {}

    @property
    def executed(self) -> list[Executed]:
        """The same for each mark, with the branches taken; ``mark`` is an index into ``marks``. Made when asked for."""
        return self._counter.executed() if self._counter else []


def run_elf(
    elf: Path,
    board: Board,
    *,
    stdin: bytes,
    marks: Sequence[str] = (),
    max_instructions: int = 2_000_000_000,
    progress: Callable[[int], None] | None = None,
    stack_from: str = "main",
    native_counter: bool | None = None,
) -> MachineResult:
    """Run a program until it exits.

    ``marks`` are names of functions; ``progress`` is called about every 20 million instructions with the number so
    far. ``stack_from`` is the function whose call tree's stack is measured (the largest of its calls).
    ``native_counter``: True or False force the native or the Python counter. Raises E001 to E006 with the function, and
    T001 for an AVR where simavr is not installed, for a core with Helium where QEMU is not.
    """
    if board.core.qemu:
        return _run_qemu(Elf.load(elf), board, stdin, marks, max_instructions, progress, stack_from)
    if board.core.arch == "avr":
        return _run_avr(Elf.load(elf), board, stdin, marks, max_instructions, stack_from)
    return _Run(Elf.load(elf), board, stdin, marks, max_instructions, progress, stack_from, native_counter).run()


def _run_avr(
    elf: Elf, board: Board, stdin: bytes, marks: Sequence[str], max_instructions: int, stack_from: str
) -> MachineResult:
    run = run_image(
        elf,
        board,
        stdin=stdin,
        marks=[_function(elf, name) for name in marks],
        stack_bottom=elf.labels["cf_stack_bottom"] - DATA_SPACE,
        stack_from=_function(elf, stack_from),
        max_instructions=max_instructions,
    )
    if run.reason != "exit":
        raise fault(run, elf, board, max_instructions)
    return MachineResult(
        exit_code=run.exit_code,
        console=run.console.decode("utf-8", "replace"),
        output=run.output,
        instructions=run.instructions,
        marks=[Mark(name, m.visits, m.instructions) for name, m in zip(marks, run.marks, strict=True)],
        stack_bytes=run.stack_bytes,
        wall_seconds=run.wall_seconds,
        elf=elf,
        _counter=None,
        cycles=tuple(mark.cycles for mark in run.marks),
    )


def _run_qemu(
    elf: Elf,
    board: Board,
    stdin: bytes,
    marks: Sequence[str],
    max_instructions: int,
    progress: Callable[[int], None] | None,
    stack_from: str,
) -> MachineResult:
    run = run_on_qemu(
        elf,
        board,
        stdin=stdin,
        marks=[_function(elf, name) for name in marks],
        stack_from=_function(elf, stack_from),
        max_instructions=max_instructions,
        progress=progress,
    )
    return MachineResult(
        exit_code=run.exit_code,
        console=run.console.decode("utf-8", "replace"),
        output=run.output,
        instructions=run.instructions,
        marks=[Mark(name, *mark) for name, mark in zip(marks, run.marks, strict=True)],
        stack_bytes=run.stack_bytes,
        wall_seconds=run.wall_seconds,
        elf=elf,
        _counter=None,
    )


def _function(elf: Elf, name: str) -> int:
    """The address of a function; U001 where there is none of that name."""
    symbol = elf.symbol(name)
    if symbol is None or not symbol.is_function:
        known = [item.name for item in elf.symbols if item.is_function]
        close = difflib.get_close_matches(name, known, n=3)
        raise ChipfitError(
            "U001", f"the program has no function {name}", f"did you mean {' or '.join(close)}?" if close else ""
        )
    return symbol.address


class _Run:
    def __init__(
        self,
        elf: Elf,
        board: Board,
        stdin: bytes,
        marks: Sequence[str],
        max_instructions: int,
        progress: Callable[[int], None] | None,
        stack_from: str,
        native_counter: bool | None,
    ) -> None:
        self.elf = elf
        self.board = board
        self.mark_names = marks
        self.max_instructions = max_instructions
        self.progress = progress
        self.cpu = Cpu(board, elf)
        npu = EmulatedNpu(self.cpu, board.npu.accelerator) if board.npu else None
        self.semihost = Semihost(self.cpu, board.core.bits // 8, stdin, npu=npu)
        self.failure: BaseException | None = None
        self.stack_entry = _function(elf, stack_from)
        self.stack_used = 0
        self.stack_pointer: int | None = None  # at the entry of stack_from while it runs
        self.counter = make_counter(
            Plan(
                marks=[_function(elf, name) for name in marks],
                is_riscv=board.core.arch == "riscv",
                limit=max_instructions,
                code_bytes=elf.sizes().code,
                watched=self._guard(self._watched),
                tick=self._guard(self._tick),
            ),
            native_counter,
        )
        self.counter.watch(self.stack_entry, None)
        self.counter.attach(self.cpu.uc)

    def run(self) -> MachineResult:
        start = time.perf_counter()
        while self.semihost.exit_code is None:
            event = self.cpu.resume()
            if self.failure is not None:
                raise self.failure
            if self.counter.problem:
                raise self._counter_error()
            if event is not None:
                raise self._fault(event)
            operation, argument = self.cpu.request()
            try:
                self.cpu.answer(self.semihost.serve(operation, argument))
            except AccessError as access:
                raise self._fault(Event("access", self.cpu.pc, access=access)) from None
        self._measure_stack()
        return MachineResult(
            exit_code=self.semihost.exit_code,
            console=self.semihost.console.decode("utf-8", "replace"),
            output=bytes(self.semihost.output),
            instructions=self.counter.total,
            marks=[
                Mark(name, visits, instructions)
                for name, (visits, instructions) in zip(self.mark_names, self.counter.marks(), strict=True)
            ],
            stack_bytes=self.stack_used,
            wall_seconds=time.perf_counter() - start,
            elf=self.elf,
            _counter=self.counter,
        )

    def _guard(self, function: Callable[[int], Any]) -> Callable[[int], bool]:
        """Called from inside the emulator, which no exception may cross: keep it and stop there."""

        def call(value: int) -> bool:
            try:
                return bool(function(value))
            except BaseException as failure:
                self.failure = failure
                self.cpu.uc.emu_stop()
                return True

        return call

    def _tick(self, total: int) -> bool:
        # Python handles Ctrl-C only while it runs: with the native counter that is here.
        if self.progress is not None:
            self.progress(total)
        return False

    def _watched(self, address: int) -> None:
        if address == self.stack_entry:
            bottom, pointer = self.elf.labels["cf_stack_bottom"], self.cpu.sp
            if bottom <= pointer and self.stack_pointer is None:
                self.cpu.write(bottom, bytes([_PAINT]) * (pointer - bottom))
                self.stack_pointer = pointer
                self.counter.watch(self.stack_entry, self.cpu.return_address)
        elif self.stack_pointer == self.cpu.sp:
            self._measure_stack()
            self.counter.watch(self.stack_entry, None)

    def _measure_stack(self) -> None:
        if self.stack_pointer is None:
            return
        bottom = self.elf.labels["cf_stack_bottom"]
        stack = self.cpu.read(bottom, self.stack_pointer - bottom)
        self.stack_used = max(self.stack_used, len(stack.lstrip(bytes([_PAINT]))))
        self.stack_pointer = None

    def _counter_error(self) -> ChipfitError:
        where = self._where(self.cpu.pc)
        if self.counter.problem == LIMIT:
            return ChipfitError(
                "E004",
                f"the program ran more than {self.max_instructions:,} instructions and was stopped {where}",
                "raise the limit if the model is that large; otherwise the program loops for ever",
            )
        reason = "was stopped" if self.counter.problem == STOPPED else "could not be followed"
        return ChipfitError("E006", f"the program {reason} {where}")

    def _fault(self, event: Event) -> ChipfitError:
        where = self._where(event.pc)
        if event.kind == "illegal":
            return ChipfitError(
                "E003",
                f"illegal instruction {event.detail} {where}",
                f"{self.board.core.title} does not have it: was the program compiled for another core?",
            )
        access = event.access
        if access is None:
            return ChipfitError("E006", f"the core raised an exception ({event.detail}) {where}")
        if self._is_stack_overflow(access):
            size = self.elf.labels["cf_stack_top"] - self.elf.labels["cf_stack_bottom"]
            return ChipfitError(
                "E002",
                f"stack overflow {where}: {access.kind} at {access.address:#010x}, below the stack of {size:,} B",
                "reserve more stack when compiling, or choose a board with more RAM",
            )
        memory = next((item for item in self.board.memories if access.address in item), None)
        place = f"{memory.name}, which does not allow it" if memory else "no memory of this board"
        return ChipfitError(
            "E001",
            f"{access.kind} of {access.size} B at {access.address:#010x} {where}: that is {place}",
            "in generated code this is a bug of chipfit: please report it",
        )

    def _is_stack_overflow(self, access: AccessError) -> bool:
        origin = self.board.ram.origin
        below = origin - _OVERFLOW_REACH <= access.address < origin
        # A push faults before it moves the stack pointer, a large frame after.
        return below and access.kind != "execution" and self.cpu.sp < origin + 1024

    def _where(self, pc: int) -> str:
        return f"in {self.elf.function_at(pc) or 'no known function'} (at {pc:#010x})"
