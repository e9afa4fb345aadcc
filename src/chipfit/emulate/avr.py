"""Run a program for an AVR on simavr, where it is installed: cycles are measured there, instruction by instruction.

avr.c is the other end, a process of its own. It is compiled on first use against simavr's headers and kept; simavr is
no Python package, so that it comes from the user's system.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platformdirs

from chipfit.emulate.elf import Elf
from chipfit.emulate.toolchain import replace_file, zig_cc
from chipfit.errors import ChipfitError
from chipfit.targets import Board

DATA_SPACE = 0x80_0000
"""What ELF files of AVRs add to the addresses of data. GNU binutils, bfd/elf32-avr.c."""

_SOURCE = Path(__file__).with_name("avr.c")
_PREFIXES = ("/usr", "/usr/local", "/opt/homebrew", "/opt/local")
_FOREVER = (1 << 63) - 1


@dataclass(frozen=True)
class AvrMark:
    """What ran from each entry of a function to the next mark."""

    visits: int
    instructions: int
    cycles: int


@dataclass(frozen=True)
class AvrRun:
    """What a program did. ``console`` holds what the UART sent, too.

    ``reason``: ``exit``, or ``limit``, ``stack``, ``execution`` (outside of the program) or ``crash`` (an access
    outside of RAM), then with ``pc``, the address of the instruction.
    """

    reason: str
    exit_code: int
    pc: int
    instructions: int
    cycles: int
    stack_bytes: int
    marks: tuple[AvrMark, ...]
    output: bytes
    console: bytes
    wall_seconds: float


def install_hint() -> str:
    """How to get simavr."""
    if sys.platform == "darwin":
        return "brew tap osx-cross/avr && brew install simavr"
    if sys.platform == "win32":
        return "simavr runs on Linux and macOS: use chipfit in WSL, or run the program on the board"
    return "apt install simavr libsimavr-dev"


def simavr_prefix() -> Path | None:
    """Where simavr's headers are; None where it is not installed."""
    return next((Path(p) for p in _PREFIXES if (Path(p) / "include" / "simavr" / "sim_avr.h").is_file()), None)


def run_image(
    elf: Elf,
    board: Board,
    *,
    stdin: bytes = b"",
    marks: Sequence[int] = (),
    stack_bottom: int = 0,
    stack_from: int | None = None,
    max_instructions: int = _FOREVER,
    max_cycles: int = _FOREVER,
) -> AvrRun:
    """Run a linked program, chipfit's own or any other for the board's chip, until it exits or reaches a limit.

    ``marks``, ``stack_from``: addresses of functions; ``stack_bottom``: data address that the stack may not cross.
    Raises ChipfitError T001 where simavr is not installed, U001 for a program of another chip.
    """
    if elf.machine != "EM_AVR" or board.core.emulator is None:
        raise ChipfitError("U001", f"{elf.path.name} is not a program for {board.name} ({board.core.title})")
    image = _image(elf)
    started = time.perf_counter()
    nowhere = 1  # no function begins at an odd address
    numbers = (board.clock_hz, len(image), stack_bottom, nowhere if stack_from is None else stack_from)
    limits = (min(max_instructions, _FOREVER), min(max_cycles, _FOREVER))
    with tempfile.TemporaryDirectory(prefix="chipfit-avr-") as name:
        folder = Path(name)
        (folder / "flash.bin").write_bytes(image)
        (folder / "input.bin").write_bytes(stdin)
        command = [str(_runner()), name, board.core.emulator, *map(str, (*numbers, *limits, *marks))]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        lines = done.stdout.splitlines()
        if done.returncode or len(lines) != 1 + len(marks):
            raise ChipfitError("E006", f"simavr failed: {(done.stderr or done.stdout).strip()[:500]}")
        reason, *figures = lines[0].split()
        exit_code, pc, instructions, cycles, stack = map(int, figures)
        return AvrRun(
            reason=reason,
            exit_code=exit_code,
            pc=pc,
            instructions=instructions,
            cycles=cycles,
            stack_bytes=stack,
            marks=tuple(AvrMark(*map(int, line.split())) for line in lines[1:]),
            output=(folder / "output.bin").read_bytes(),
            console=(folder / "console.bin").read_bytes(),
            wall_seconds=time.perf_counter() - started,
        )


def run_uart(elf: Path, board: Board, *, seconds: float) -> str:
    """What a program, such as a sketch, sends over its first UART in so many seconds of the chip's time.

    Raises ChipfitError T001 where simavr is not installed, E001 or E002 for what goes wrong on the chip.
    """
    program = Elf.load(elf)
    run = run_image(program, board, max_cycles=int(seconds * board.clock_hz))
    if run.reason not in ("limit", "exit"):
        raise fault(run, program, board)
    return run.console.decode("utf-8", "replace")


def fault(run: AvrRun, elf: Elf, board: Board, max_instructions: int = 0) -> ChipfitError:
    """The error for a run that did not end by itself."""
    where = f"in {elf.function_at(run.pc) or 'no known function'} (at {run.pc:#06x})"
    if run.reason == "limit":
        return ChipfitError(
            "E004",
            f"the program ran more than {max_instructions:,} instructions and was stopped {where}",
            "raise the limit if the model is that large; otherwise the program loops for ever",
        )
    if run.reason == "stack":
        size = elf.labels["cf_stack_top"] - elf.labels["cf_stack_bottom"]
        return ChipfitError(
            "E002",
            f"stack overflow {where}: it reaches the variables below the stack of {size:,} B",
            "reserve more stack when compiling, or choose a board with more RAM",
        )
    what = "execution outside of the program" if run.reason == "execution" else "access outside of RAM"
    return ChipfitError("E001", f"{what} {where}", "in generated code this is a bug of chipfit: please report it")


def _image(elf: Elf) -> bytes:
    """The flash from its first byte to the program's last one."""
    image = bytearray()
    for segment in elf.segments:
        end = segment.address + len(segment.data)
        image.extend(b"\xff" * (end - len(image)))
        image[segment.address : end] = segment.data
    return bytes(image)


def _runner() -> Path:
    """The path of avr.c compiled; once a machine, compiler and source."""
    prefix = simavr_prefix()
    if prefix is None:
        raise ChipfitError("T001", "simavr, the emulator of AVR chips, is not installed", install_hint())
    source = _SOURCE.read_bytes()
    header = (prefix / "include" / "simavr" / "sim_avr.h").read_bytes()
    facts = "\0".join([version("ziglang"), sys.platform, platform.machine(), str(prefix)])
    key = hashlib.sha256(source + header + facts.encode()).hexdigest()[:16]
    target = platformdirs.user_cache_path("chipfit", appauthor=False) / f"avr-{key}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chipfit-") as work:
        built = Path(work) / target.name
        flags = ["-O2", "-g0", "-fno-sanitize=all", "-std=gnu11"]
        places = [f"-I{prefix / 'include' / 'simavr'}", f"-L{prefix / 'lib'}"]
        command = [*zig_cc(), *flags, *places, str(_SOURCE), "-lsimavr", "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise ChipfitError("T002", f"avr.c does not compile with simavr's headers\n{done.stderr.strip()[:2000]}")
        replace_file(built, target)
    return target
