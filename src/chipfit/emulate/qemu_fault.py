"""Why a program on QEMU came to its handler of exceptions.

Source: Armv8-M Architecture Reference Manual (DDI 0553), D1.2: CFSR, BFAR, MMFAR; B3.19 for what an exception saves.
"""

from __future__ import annotations

from chipfit.emulate.elf import Elf
from chipfit.emulate.gdb import Gdb
from chipfit.errors import ChipfitError
from chipfit.targets import Board

_CFSR, _MMFAR, _BFAR = 0xE000_ED28, 0xE000_ED34, 0xE000_ED38
_INSTRUCTION_ACCESS, _STACKING, _MMFAR_VALID = 1 << 0 | 1 << 8, 1 << 4 | 1 << 12, 1 << 7
_BFAR_VALID, _USAGE = 1 << 15, 0xF << 16
_SP, _SAVED_PC = 13, 24
_BELOW = 1 << 16
"""Bytes below RAM that a stack which overflows may touch: more than any frame has."""

_OUR_BUG = "in generated code this is a bug of chipfit: please report it"


def where(elf: Elf, pc: int) -> str:
    """The function at an address, in words."""
    return f"in {elf.function_at(pc) or 'no known function'} (at {pc:#010x})"


def fault_error(gdb: Gdb, elf: Elf, board: Board, last_mark: str) -> ChipfitError:
    """The error for a core that stands at the first instruction of its handler; ``last_mark`` was entered last."""
    status = _word(gdb, _CFSR)
    pc = _word(gdb, gdb.register(_SP) + _SAVED_PC)
    if status & (_MMFAR_VALID | _BFAR_VALID):
        return _access_error(elf, board, _word(gdb, _MMFAR if status & _MMFAR_VALID else _BFAR), pc)
    if status & _STACKING:  # the exception could not save its registers, so that pc is unknown
        return _overflow(elf, f"behind the entry of {last_mark}")
    if status & _INSTRUCTION_ACCESS:
        return ChipfitError("E001", f"execution at {pc:#010x}, where no program is", _OUR_BUG)
    if status & _USAGE:
        hint = f"{board.core.title} does not have it: was the program compiled for another core?"
        return ChipfitError("E003", f"illegal instruction {where(elf, pc)}", hint)
    return ChipfitError("E006", f"the core raised an exception (CFSR {status:#x}) {where(elf, pc)}")


def _access_error(elf: Elf, board: Board, address: int, pc: int) -> ChipfitError:
    if board.ram.origin - _BELOW <= address < board.ram.origin:
        return _overflow(elf, where(elf, pc))
    memory = next((item for item in board.memories if address in item), None)
    place = f"{memory.name}, which does not allow it" if memory else "no memory of this board"
    return ChipfitError("E001", f"access at {address:#010x} {where(elf, pc)}: that is {place}", _OUR_BUG)


def _overflow(elf: Elf, place: str) -> ChipfitError:
    size = elf.labels["cf_stack_top"] - elf.labels["cf_stack_bottom"]
    hint = "reserve more stack when compiling, or choose a board with more RAM"
    return ChipfitError("E002", f"stack overflow {place}, beyond the stack of {size:,} B", hint)


def _word(gdb: Gdb, address: int) -> int:
    return int.from_bytes(gdb.read(address, 4) or bytes(4), "little")
