"""Counts the instructions of an emulated core, block by block; counter.c is the same as native code.

The native hook costs about 3 ns a block, the Python one about 1 us. Both give identical numbers.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import platform
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

_SOURCE = Path(__file__).with_name("counter.c")
_UC_HOOK_BLOCK = 8
_MIN_SLOTS = 1 << 12
_TICK = 20_000_000  # instructions between two calls of `tick`: about 0.1 s
_NEVER = (1 << 64) - 1
LIMIT, TABLE_FULL, STOPPED, UNREADABLE = 1, 2, 3, 4


@dataclass
class Block:
    """A run of instructions that always execute together."""

    size: int  # bytes
    instructions: int
    hits: int
    taken: int = 0


@dataclass(frozen=True)
class Executed:
    """What one mark executed of a block. ``taken``: executions that did not go on with the instruction behind it."""

    address: int
    size: int  # bytes
    mark: int  # its index; -1: before the first mark
    hits: int
    taken: int


class Counter(ABC):
    """What the machine needs of a counter. Addresses are those of code, without the Thumb bit.

    ``watched`` is called with the address before a block at ``entry`` or at ``back`` runs. ``tick`` is called from
    time to time with the instructions so far; when it returns True the run stops.
    """

    @abstractmethod
    def attach(self, uc: Any) -> None:
        """Start counting on a Unicorn instance."""

    @abstractmethod
    def watch(self, entry: int, back: int | None) -> None:
        """Set the two watched addresses."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Instructions executed so far."""

    @property
    @abstractmethod
    def problem(self) -> int:
        """0, or why the counter stopped the run: LIMIT, TABLE_FULL, STOPPED, UNREADABLE."""

    @abstractmethod
    def marks(self) -> list[tuple[int, int]]:
        """(visits, instructions) of each mark; call it once the run has ended."""

    @abstractmethod
    def executed(self) -> list[Executed]:
        """Every block that ran, for each mark that ran it.

        Blocks may overlap: a jump into the middle of a run of instructions starts a block of its own.
        """

    def blocks(self) -> dict[int, tuple[int, int]]:
        """Address → (size in bytes, hits) of every block that ran.

        The emulator may cut a block short once; hits then belong to the longer one.
        """
        result: dict[int, tuple[int, int]] = {}
        for block in sorted(self.executed(), key=lambda item: (item.address, item.size)):
            _, hits = result.get(block.address, (0, 0))
            result[block.address] = (block.size, hits + block.hits)
        return result


@dataclass(frozen=True)
class Plan:
    """What to count, and whom to call."""

    marks: Sequence[int]
    is_riscv: bool
    limit: int  # instructions
    code_bytes: int  # of the program: bounds the number of blocks
    watched: Callable[[int], object]
    tick: Callable[[int], bool]


def make_counter(plan: Plan, native: bool | None = None) -> Counter:
    """The native counter where it can be had (``native`` None), or the one asked for."""
    if native is not False:
        library = _library()
        if library is not None:
            return NativeCounter(plan, library)
        if native:
            raise RuntimeError("the native instruction counter could not be built")
    return PythonCounter(plan)


def has_native_counter() -> bool:
    """Whether the native counter can be built and loaded on this computer."""
    return _library() is not None


class PythonCounter(Counter):
    """The counter in Python."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._mark_at = {address: index for index, address in enumerate(plan.marks)}
        self._visits = [0] * len(plan.marks)
        self._instructions = [0] * len(plan.marks)
        self._current = -1
        self._since = 0
        self._total = 0
        self._problem = 0
        self._next_tick = _TICK
        self._watch: tuple[int, int | None] = (_NEVER, None)
        self._blocks: dict[tuple[int, int, int], Block] = {}
        self._last: Block | None = None
        self._behind = _NEVER

    def attach(self, uc: Any) -> None:
        uc.hook_add(_UC_HOOK_BLOCK, self._block)

    def watch(self, entry: int, back: int | None) -> None:
        self._watch = (entry, back)

    @property
    def total(self) -> int:
        return self._total

    @property
    def problem(self) -> int:
        return self._problem

    def marks(self) -> list[tuple[int, int]]:
        counts = list(self._instructions)
        if self._current >= 0:
            counts[self._current] += self._total - self._since
        return list(zip(self._visits, counts, strict=True))

    def executed(self) -> list[Executed]:
        return [
            Executed(address, size, mark, block.hits, block.taken)
            for (address, size, mark), block in self._blocks.items()
        ]

    def _block(self, uc: Any, address: int, size: int, _user: object) -> None:
        if self._problem:
            return
        if address in self._watch:
            self._plan.watched(address)
        mark = self._mark_at.get(address)
        if mark is not None:
            if self._current >= 0:
                self._instructions[self._current] += self._total - self._since
            self._current, self._since = mark, self._total
            self._visits[mark] += 1
        block = self._blocks.get((address, size, self._current))
        if block is None:
            block = Block(size, count_instructions(bytes(uc.mem_read(address, size)), self._plan.is_riscv), 0)
            self._blocks[address, size, self._current] = block
        if self._last is not None and address != self._behind:
            self._last.taken += 1
        self._last, self._behind = block, address + size
        block.hits += 1
        self._total += block.instructions
        if self._total >= self._plan.limit:
            self._problem = LIMIT
        elif self._total >= self._next_tick:
            self._next_tick = self._total + _TICK
            if self._plan.tick(self._total):
                self._problem = STOPPED
        if self._problem:
            uc.emu_stop()


def count_instructions(code: bytes, is_riscv: bool) -> int:
    """The number of instructions in a run of code; see counter.c for the encodings."""
    at = count = 0
    while at < len(code):
        is_long = (code[at] & 3) == 3 if is_riscv else code[at + 1] >> 3 >= 0x1D
        at += 4 if is_long else 2
        count += 1
    return count


class _Block(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint64),
        ("hits", ctypes.c_uint64),
        ("taken", ctypes.c_uint64),
        ("size", ctypes.c_uint32),
        ("instructions", ctypes.c_uint32),
        ("mark", ctypes.c_int32),
        ("owner", ctypes.c_int32),
    )


class _Mark(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint64),
        ("visits", ctypes.c_uint64),
        ("instructions", ctypes.c_uint64),
    )


_WATCHED = ctypes.CFUNCTYPE(None, ctypes.c_uint64)
_TICKED = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64)


class _State(ctypes.Structure):
    _fields_ = (
        ("read", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("watched", _WATCHED),
        ("tick", _TICKED),
        ("blocks", ctypes.c_void_p),
        ("last", ctypes.c_void_p),
        ("marks", ctypes.c_void_p),
        ("slots", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("mark_count", ctypes.c_uint64),
        ("total", ctypes.c_uint64),
        ("limit", ctypes.c_uint64),
        ("next_tick", ctypes.c_uint64),
        ("tick_step", ctypes.c_uint64),
        ("watch", ctypes.c_uint64 * 2),
        ("behind", ctypes.c_uint64),
        ("since", ctypes.c_uint64),
        ("current", ctypes.c_int64),
        ("is_riscv", ctypes.c_uint32),
        ("problem", ctypes.c_uint32),
    )


class NativeCounter(Counter):
    """The counter in C. It lives as long as the Unicorn instance that it is attached to."""

    def __init__(self, plan: Plan, library: ctypes.CDLL) -> None:
        unicorn = _unicorn_library()
        self._function = library.cf_counter_block
        # A block has 6 bytes of code or more on average, and the marks share little of it: there is ample room.
        slots = max(_MIN_SLOTS, 2 << plan.code_bytes.bit_length())
        self._blocks = (_Block * slots)()
        self._marks = (_Mark * max(1, len(plan.marks)))()
        for mark, address in zip(self._marks, plan.marks, strict=False):
            mark.address = address
        self._state = _State(
            read=ctypes.cast(unicorn.uc_mem_read, ctypes.c_void_p),
            stop=ctypes.cast(unicorn.uc_emu_stop, ctypes.c_void_p),
            watched=_WATCHED(lambda address: _ignore(plan.watched(address))),
            tick=_TICKED(lambda total: int(plan.tick(total))),
            blocks=ctypes.cast(self._blocks, ctypes.c_void_p),
            marks=ctypes.cast(self._marks, ctypes.c_void_p),
            slots=slots,
            mark_count=len(plan.marks),
            limit=plan.limit,
            next_tick=_TICK,
            tick_step=_TICK,
            current=-1,
            is_riscv=int(plan.is_riscv),
        )
        self.watch(_NEVER, None)

    def attach(self, uc: Any) -> None:
        # uc_hook_add is variadic behind `end`; nothing more is handed in for this kind of hook.
        add = _unicorn_library()["uc_hook_add"]
        add.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_uint64] * 2
        add.restype = ctypes.c_int
        handle = ctypes.c_size_t()
        status = add(
            uc._uch,
            ctypes.byref(handle),
            _UC_HOOK_BLOCK,
            ctypes.cast(self._function, ctypes.c_void_p),
            ctypes.byref(self._state),
            1,  # begin above end: everywhere
            0,
        )
        if status:
            raise RuntimeError(f"uc_hook_add failed with status {status}")

    def watch(self, entry: int, back: int | None) -> None:
        self._state.watch[0] = entry
        self._state.watch[1] = _NEVER if back is None else back

    @property
    def total(self) -> int:
        return int(self._state.total)

    @property
    def problem(self) -> int:
        return int(self._state.problem)

    def marks(self) -> list[tuple[int, int]]:
        state = self._state
        counts = [(int(mark.visits), int(mark.instructions)) for mark in self._marks[: state.mark_count]]
        if state.current >= 0:
            visits, instructions = counts[state.current]
            counts[state.current] = (visits, instructions + int(state.total) - int(state.since))
        return counts

    def executed(self) -> list[Executed]:
        table = np.ctypeslib.as_array(self._blocks)
        used = table[table["hits"] > 0]
        columns = (used[name].tolist() for name in ("address", "size", "owner", "hits", "taken"))
        return [Executed(*row) for row in zip(*columns, strict=True)]


def _ignore(_: object) -> None:
    """A C function without a result must not get one."""


def _unicorn_library() -> Any:
    """The library behind the Python package; private there, for which reason all failures mean "use Python"."""
    return importlib.import_module("unicorn.unicorn_py3.unicorn").uclib


@cache
def _library() -> ctypes.CDLL | None:
    if os.environ.get("CHIPFIT_NATIVE_COUNTER") == "0":
        return None
    try:
        _ = _unicorn_library().uc_hook_add
        return ctypes.CDLL(str(_build()))
    except (OSError, AttributeError, ImportError, subprocess.SubprocessError):
        return None


def _build() -> Path:
    """The path of the compiled counter; compiled once a machine, compiler and source."""
    source = _SOURCE.read_bytes()
    facts = [version("ziglang"), version("unicorn"), sys.platform, platform.machine()]
    key = hashlib.sha256(source + "\0".join(facts).encode()).hexdigest()[:16]
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    folder = platformdirs.user_cache_path("chipfit", appauthor=False)
    target = folder / f"counter-{key}{suffix}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as work:
        built = Path(work) / target.name
        flags = ["-shared", "-O2", "-g0", "-nostdlib", "-fno-sanitize=all", "-std=c11"]
        if sys.platform != "win32":
            flags.append("-fPIC")
        command = [sys.executable, "-m", "ziglang", "cc", *flags, str(_SOURCE), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True)
        try:
            built.replace(target)  # one step: another process sees all of it or nothing
        except OSError:
            if not target.exists():  # on Windows a library that another process has just loaded stays as it is
                raise
    return target
