"""The core with Helium on QEMU: exact counts, the stack, exactly the board's memories, and every misdeed named."""

from __future__ import annotations

import dataclasses
import re
import struct

import pytest

from chipfit.emulate import qemu, run_elf
from chipfit.errors import ChipfitError
from chipfit.targets import Memory, load_board
from emulate.samples import DATA, STDIN, Build
from emulate.test_machine import COUNTED, fnv1a

BOARD = load_board("corstone-300")
needs_qemu = pytest.mark.skipif(qemu.find_qemu() is None, reason=f"QEMU is not installed: {qemu.install_hint()}")


@needs_qemu
def test_same_output(build: Build) -> None:
    result = run_elf(build("checksum", BOARD.name), BOARD, stdin=STDIN, marks=["checksum"])
    same = run_elf(build("checksum", "corstone-300-dsp"), load_board("corstone-300-dsp"), stdin=STDIN)
    assert (result.exit_code, result.console) == (7, "checksum: 1 case, 0 bad\n")
    assert struct.unpack("<I", result.output[:4]) == (fnv1a(DATA),)
    assert result.output == same.output
    assert 3 * len(DATA) < result.marks[0].instructions < result.instructions


@needs_qemu
def test_instructions_are_exact(build: Build) -> None:
    result = run_elf(build("counted", BOARD.name), BOARD, stdin=b"", marks=COUNTED)
    counts = {mark.name: (mark.visits, mark.instructions) for mark in result.marks}
    call = 1
    assert counts["loop"] == (1, 2 + 3 * 1000 + 3 + call)
    assert counts["frame"] == (1, 7 + call)
    assert counts["straight"] == (1, 3001 + call)
    assert counts["predicated"] == (1, 5 + call)


@needs_qemu
def test_marks_do_not_change_the_count(build: Build) -> None:
    elf = build("checksum", BOARD.name)
    plain, marked = (run_elf(elf, BOARD, stdin=STDIN, marks=marks) for marks in ((), ("main", "checksum", "floats")))
    assert plain.instructions == marked.instructions
    assert sum(mark.instructions for mark in marked.marks) < marked.instructions


@needs_qemu
def test_stack_of_one_function(build: Build) -> None:
    elf = build("counted", BOARD.name)
    assert run_elf(elf, BOARD, stdin=b"", stack_from="frame").stack_bytes == 100
    assert run_elf(elf, BOARD, stdin=b"", stack_from="loop").stack_bytes == 0
    assert run_elf(elf, BOARD, stdin=b"").stack_bytes >= 700


MISDEEDS = [
    ("overflow", "E002", "stack of 4,096 B"),
    ("wild_write", "E001", "access at 0x60000000"),
    ("wild_read", "E001", "access at 0x60000000"),
    ("flash_write", "E001", "flash, which does not allow it"),
    ("illegal", "E003", "illegal instruction"),
    ("run_ram", "E001", "execution at 0x2000"),
    ("forever", "E004", "more than 200,000 instructions"),
]


@needs_qemu
@pytest.mark.parametrize(("misdeed", "code", "text"), MISDEEDS)
def test_misdeeds_are_named(build: Build, misdeed: str, code: str, text: str) -> None:
    elf = build("faults", BOARD.name, f"MISDEED={misdeed}", "BEYOND=0")
    with pytest.raises(ChipfitError, match=re.escape(text)) as caught:
        run_elf(elf, BOARD, stdin=b"", max_instructions=200_000)
    assert caught.value.code == code
    assert misdeed == "run_ram" or f" {misdeed} " in f"{caught.value.message} ".replace(",", " ")
    assert caught.value.hint


@needs_qemu
def test_only_the_boards_memories_are_there(build: Build) -> None:
    """QEMU's machine has 512 KiB there; a board with less has a fault behind its last byte."""
    small = dataclasses.replace(BOARD, memories=(BOARD.flash, Memory("dtcm", "ram", 0x2000_0000, 10_016)))
    end = small.ram.end
    assert run_elf(build("faults", BOARD.name, "MISDEED=beyond_ram", f"BEYOND={end - 1:#x}"), small, stdin=b"")
    with pytest.raises(ChipfitError, match=rf"{end:#010x} in beyond_ram .*no memory of this board"):
        run_elf(build("faults", BOARD.name, "MISDEED=beyond_ram", f"BEYOND={end:#x}"), small, stdin=b"")


@needs_qemu
def test_progress_and_its_exceptions(build: Build) -> None:
    elf = build("faults", BOARD.name, "MISDEED=forever", "BEYOND=0")

    def give_up(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_elf(elf, BOARD, stdin=b"", progress=give_up)


def test_a_board_that_qemu_does_not_have(build: Build) -> None:
    other = dataclasses.replace(BOARD, memories=(BOARD.flash, Memory("ram", "ram", 0x3000_0000, 4096)))
    with pytest.raises(ChipfitError, match="no memory where corstone-300 has ram") as caught:
        run_elf(build("checksum", BOARD.name), other, stdin=b"")
    assert caught.value.code == "U001"
    other = dataclasses.replace(BOARD, memories=(Memory("flash", "flash", 0x2100_0000, 1 << 19), *BOARD.memories[2:3]))
    with pytest.raises(ChipfitError, match="starts a program at 0, corstone-300 at 0x21000000"):
        run_elf(build("checksum", BOARD.name), other, stdin=b"")


def test_qemu_is_not_installed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "find_qemu", lambda: None)
    with pytest.raises(ChipfitError, match="qemu-system-arm") as caught:
        run_elf(build("checksum", BOARD.name), BOARD, stdin=b"")
    assert caught.value.code == "T001"
    assert "corstone-300-dsp" in caught.value.hint
