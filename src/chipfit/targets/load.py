"""Read cores/*.toml and boards/*.toml, strictly: an unknown or missing key is an error with file and key."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import itertools
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, cast

from chipfit.errors import ChipfitError
from chipfit.targets.board import Board, Core, Cycles, Memory, Npu, Power

# tomllib entered the standard library with Python 3.11; tomli is the same parser for 3.10.
parse_toml: Callable[[str], dict[str, Any]] = importlib.import_module(
    "tomllib" if sys.version_info >= (3, 11) else "tomli"
).loads

_HERE = Path(__file__).parent
_SIZE = re.compile(r"(\d+)\s*([KM]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
_NAME = re.compile("[a-z][a-z0-9_]*")  # it becomes a section's and a symbol's name
_RESERVED_NAMES = frozenset({"program", "stack", "data", "bss", "text", "rodata", "vectors"})
_ADDRESS_LIMIT = 1 << 32  # all supported chips have their memories below 4 GiB


def board_names() -> tuple[str, ...]:
    """The boards that come with chipfit."""
    return _names("boards")


def core_names() -> tuple[str, ...]:
    """The cores that come with chipfit."""
    return _names("cores")


def load_board(name_or_path: str | Path) -> Board:
    """A board by name, or from the user's own TOML file (anything that ends in ``.toml`` or is a Path)."""
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        return _read_board(Path(name_or_path))
    return _shipped_board(name_or_path)


@cache
def _shipped_board(name: str) -> Board:
    if name not in board_names():
        raise ChipfitError("B001", f"there is no board {name!r}", _suggest(name, board_names(), "board list"))
    return _read_board(_HERE / "boards" / f"{name}.toml")


@cache
def load_core(name: str) -> Core:
    """A core by name."""
    if name not in core_names():
        raise ChipfitError("B001", f"there is no core {name!r}", _suggest(name, core_names(), ""))
    return _read_core(_HERE / "cores" / f"{name}.toml")


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (_HERE / folder).glob("*.toml")))


def _suggest(name: str, known: tuple[str, ...], command: str) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"`chipfit {command}` shows all of them" if command else f"known: {', '.join(known)}"


def parse_size(text: str) -> int | None:
    """Bytes of a text with the unit K (1024) or M (1024 * 1024), or without any; None for what is no size."""
    match = _SIZE.fullmatch(text.strip())
    return None if match is None else int(match[1]) * _UNITS[match[2]]


class _Table:
    """A TOML table whose keys are taken out one by one; what is left at the end is unknown."""

    def __init__(self, file: Path, where: str, values: object) -> None:
        self.file = file
        self.where = where
        if not isinstance(values, Mapping):
            self.fail("", "must be a table")
        self.values = dict(cast("Mapping[str, object]", values))

    def fail(self, key: str, problem: str, hint: str = "") -> NoReturn:
        name = ".".join(part for part in (self.where, key) if part)
        raise ChipfitError("B002", f"{self.file}: {name} {problem}", hint)

    def take(self, key: str) -> object:
        if key not in self.values:
            self.fail(key, "is missing")
        return self.values.pop(key)

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str):
            self.fail(key, f"must be text, not {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key)
        if not isinstance(value, list):
            self.fail(key, f"must be a list of texts, not {value!r}")
        items = cast("list[object]", value)
        if not all(isinstance(item, str) for item in items):
            self.fail(key, f"must be a list of texts, not {value!r}")
        return tuple(cast("list[str]", items))

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self.values.pop(key, False)
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false, not {value!r}")
        return value

    def integer(self, key: str) -> int:
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.fail(key, f"must be an integer of at least 0, not {value!r}")
        return value

    def positive(self, key: str) -> float:
        value = self.take(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            self.fail(key, f"must be a number above 0, not {value!r}")
        return float(value)

    def size(self, key: str) -> int:
        """Bytes: an integer, or text with the unit K (1024) or M (1024 * 1024)."""
        value = self.values.get(key)
        if not isinstance(value, str):
            return self.integer(key)
        nbytes = parse_size(self.text(key))
        if nbytes is None:
            self.fail(key, f'must be a size such as 262144, "256K" or "1M", not {value!r}')
        return nbytes

    def table(self, key: str) -> _Table:
        return _Table(self.file, f"{self.where}.{key}" if self.where else key, self.take(key))

    def finish(self) -> None:
        for key in self.values:
            self.fail(key, "is not a known key")


def _read(file: Path) -> _Table:
    try:
        return _Table(file, "", parse_toml(file.read_text(encoding="utf-8")))
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise ChipfitError("F001", f"cannot read the board file {file}: {reason}") from None
    except ValueError as problem:  # TOML syntax, or not UTF-8
        raise ChipfitError("B002", f"{file} is not a valid TOML file: {problem}") from None


def _read_core(file: Path) -> Core:
    top = _read(file)
    arch = top.text("arch")
    if arch not in ("arm", "riscv", "avr", "host"):
        top.fail("arch", f"must be arm, riscv, avr or host, not {arch!r}")
    zig = top.table("zig")
    gcc = top.table("gcc") if "gcc" in top.values else None
    core = Core(
        name=top.text("name"),
        title=top.text("title"),
        arch=arch,
        bits=top.integer("bits"),
        features=frozenset(top.texts("features")),
        zig_target=zig.text("target"),
        zig_flags=zig.texts("flags"),
        gcc=gcc.text("command") if gcc else None,
        gcc_flags=gcc.texts("flags") if gcc else (),
        emulator=top.text("emulator") if "emulator" in top.values else None,
        qemu=top.flag("qemu"),
        cycles=_cycles(top),
    )
    for table in (zig, gcc, top):
        if table is not None:
            table.finish()
    return core


def _cycles(top: _Table) -> Cycles | None:
    if "cycles" not in top.values:
        return None
    table = top.table("cycles")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Cycles):
        if field.name in table.values:
            values[field.name] = table.take(field.name)
            if type(values[field.name]) not in ((bool,) if field.name == "approximate" else (int, float)):
                table.fail(field.name, f"must be a number, or true or false, not {values[field.name]!r}")
    table.finish()
    return Cycles(**values)


def _read_board(file: Path) -> Board:
    top = _read(file)
    core_name = top.text("core")
    if core_name not in core_names():
        top.fail("core", f"is {core_name!r}, which is not a core", _suggest(core_name, core_names(), ""))
    core = load_core(core_name)
    clock_hz = top.integer("clock_hz")
    if clock_hz == 0 and core.arch != "host":
        top.fail("clock_hz", "must be above 0")
    memories = _memories(top)
    board = Board(
        name=top.text("name"),
        title=top.text("title"),
        core=core,
        clock_hz=clock_hz,
        memories=memories,
        power=_power(top),
        frameworks=_names_for(top, "frameworks"),
        probes=_names_for(top, "probes"),
        npu=_npu(top, {memory.name for memory in memories}),
    )
    top.finish()
    return board


def _memories(top: _Table) -> tuple[Memory, ...]:
    memory = top.table("memory")
    result: list[Memory] = []
    for name in list(memory.values):
        if not _NAME.fullmatch(name) or name in _RESERVED_NAMES:
            memory.fail(name, "is not a name for a memory: lower-case letters, digits, _; not stack, data or bss")
        entry = memory.table(name)
        kind = entry.text("kind") if "kind" in entry.values else name
        if kind not in ("flash", "ram"):
            entry.fail("kind", f"must be flash or ram, not {kind!r}")
        origin, size = entry.integer("origin"), entry.size("size")
        if size == 0 or origin + size > _ADDRESS_LIMIT:
            entry.fail("size", "must be above 0 and end below 4 GiB")
        waits = entry.integer("wait_states") if "wait_states" in entry.values else None
        setup = entry.text("setup") if "setup" in entry.values else None
        entry.finish()
        result.append(Memory(name, kind, origin, size, waits, setup))
    for kind in ("flash", "ram"):
        first = next((item for item in result if item.kind == kind), None)
        if first is None:
            top.fail("memory", f"has no {kind}")
        if first.setup is not None:
            top.fail(f"memory.{first.name}", f"is the first {kind}, which must be there after reset", "list it later")
    by_address = sorted(result, key=lambda item: item.origin)
    for below, above in itertools.pairwise(by_address):
        if below.end > above.origin:
            top.fail(f"memory.{above.name}", f"overlaps {below.name}")
    _check_stack_room(top, result)
    return tuple(result)


def _check_stack_room(top: _Table, memories: list[Memory]) -> None:
    """The stack lies at the bottom of the first RAM so that an overflow leaves RAM: no RAM may end there."""
    first = next(item for item in memories if item.kind == "ram")
    for other in memories:
        if other.kind == "ram" and other.end == first.origin:
            top.fail(
                f"memory.{first.name}",
                f"starts where {other.name} ends: a stack overflow would go unnoticed",
                f"list {other.name} first, or join the two",
            )


def _power(top: _Table) -> Power | None:
    if "power" not in top.values:
        return None
    table = top.table("power")
    power = Power(run_ma=table.positive("run_ma"), volt=table.positive("volt"))
    table.finish()
    return power


def _npu(top: _Table, known: set[str]) -> Npu | None:
    if "npu" not in top.values:
        return None
    table = top.table("npu")
    accelerator, system, memory_mode = (table.text(key) for key in ("accelerator", "system", "memory_mode"))
    places = table.table("memories")
    memories = {key: places.text(key) for key in list(places.values)}
    for key, name in memories.items():
        if name not in known:
            places.fail(key, f"is {name!r}, which is not a memory of the board")
    base, interrupt = (table.integer(key) if key in table.values else None for key in ("base", "interrupt"))
    table.finish()
    return Npu(accelerator, system, memory_mode, memories, base, interrupt)


def _names_for(top: _Table, key: str) -> dict[str, dict[str, str]]:
    if key not in top.values:
        return {}
    table = top.table(key)
    result: dict[str, dict[str, str]] = {}
    for name in list(table.values):
        entry = table.table(name)
        result[name] = {key: entry.text(key) for key in list(entry.values)}
    return result
