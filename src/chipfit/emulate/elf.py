"""What chipfit needs to know of a linked program: segments, sections, symbols."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from chipfit.errors import ChipfitError

_SHF_ALLOC = 0x2  # ELF specification, figure 1-12: the section occupies memory while the program runs
_CODE_SECTIONS = (".vectors", ".text")


@dataclass(frozen=True)
class Symbol:
    """A function or variable. The address of a Thumb function is given without its lowest bit."""

    name: str
    address: int
    size: int  # bytes; 0 where the assembler was not told
    is_function: bool


@dataclass(frozen=True)
class Section:
    name: str
    address: int
    size: int  # bytes


@dataclass(frozen=True)
class Segment:
    """Bytes that the loader places at ``address`` (the load address: for .data that is flash)."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Sizes:
    """Bytes of a program by kind. Flash holds code + rodata + data, RAM holds data + bss (and the stack)."""

    code: int
    rodata: int
    data: int
    bss: int


@dataclass(frozen=True)
class Elf:
    path: Path
    machine: str  # as pyelftools names it: EM_ARM, EM_RISCV
    bits: int
    entry: int
    sections: tuple[Section, ...]  # those that occupy memory on the chip
    segments: tuple[Segment, ...]
    symbols: tuple[Symbol, ...]  # functions and variables, by address
    labels: dict[str, int]  # every named address, those of the linker script among them

    @classmethod
    def load(cls, path: Path) -> Elf:
        """Read a linked program; F003 when it is not one."""
        try:
            with path.open("rb") as stream:
                return cls._parse(path, ELFFile(stream))
        except OSError as problem:
            raise ChipfitError("F001", f"cannot read {path}: {problem.strerror or problem}") from None
        except ELFError as problem:
            raise ChipfitError("F003", f"{path} is not a valid ELF file: {problem}") from None

    @classmethod
    def _parse(cls, path: Path, file: Any) -> Elf:
        is_arm = file["e_machine"] == "EM_ARM"
        symbols: list[Symbol] = []
        labels: dict[str, int] = {}
        table = file.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if table is not None else ():
            kind, value = symbol["st_info"]["type"], int(symbol["st_value"])
            # Thumb functions carry the instruction set in bit 0; $t, $d and $x are the assembler's marks.
            if not symbol.name or symbol.name.startswith("$") or symbol["st_shndx"] == "SHN_UNDEF":
                continue
            is_function = kind == "STT_FUNC"
            address = value & ~1 if is_arm and is_function else value
            if kind in ("STT_FUNC", "STT_OBJECT"):
                symbols.append(Symbol(symbol.name, address, int(symbol["st_size"]), is_function))
            if kind not in ("STT_FILE", "STT_SECTION"):
                labels[symbol.name] = address
        # Of several names for one address the plain C name goes last, where function_at finds it first:
        # zig's support library also exports "compiler_rt.memcpy.memcpy".
        symbols.sort(key=lambda item: (item.address, item.size, -item.name.count("."), item.name))
        return cls(
            path=path,
            machine=str(file["e_machine"]),
            bits=int(file.elfclass),
            entry=int(file["e_entry"]),
            sections=tuple(
                Section(section.name, int(section["sh_addr"]), int(section["sh_size"]))
                for section in file.iter_sections()
                if section["sh_flags"] & _SHF_ALLOC
            ),
            segments=tuple(
                Segment(int(segment["p_paddr"]), bytes(segment.data()))
                for segment in file.iter_segments()
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
            ),
            symbols=tuple(symbols),
            labels=labels,
        )

    def sizes(self) -> Sizes:
        """Bytes by kind. Holds for programs linked by chipfit's script."""
        by_name = {section.name: section.size for section in self.sections}
        return Sizes(
            code=sum(by_name.get(name, 0) for name in _CODE_SECTIONS),
            rodata=by_name.get(".rodata", 0),
            data=by_name.get(".data", 0),
            bss=by_name.get(".bss", 0),
        )

    def symbol(self, name: str) -> Symbol | None:
        """The function or variable of that name."""
        return self._by_name.get(name)

    def function_at(self, address: int) -> str | None:
        """The name of the function that holds the address, None where there is none."""
        index = bisect.bisect_right(self._function_starts, address) - 1
        if index < 0:
            return None
        function = self._functions[index]
        # A function written in assembly may have no size: it then reaches to the next one.
        inside = address < function.address + function.size if function.size else True
        return function.name if inside and self._in_code(address) else None

    def _in_code(self, address: int) -> bool:
        return any(
            section.address <= address < section.address + section.size
            for section in self.sections
            if section.name in _CODE_SECTIONS
        )

    @cached_property
    def _by_name(self) -> dict[str, Symbol]:
        return {symbol.name: symbol for symbol in self.symbols}

    @cached_property
    def _functions(self) -> list[Symbol]:
        return [symbol for symbol in self.symbols if symbol.is_function]

    @cached_property
    def _function_starts(self) -> list[int]:
        return [symbol.address for symbol in self._functions]
