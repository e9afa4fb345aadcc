"""Programs on every emulated core: the same bytes out, exact counts, and every misdeed named."""

from __future__ import annotations

import dataclasses
import math
import struct
from pathlib import Path

import pytest

from chipfit.emulate import Elf, run_elf
from chipfit.emulate.counter import count_instructions, has_native_counter
from chipfit.errors import ChipfitError
from chipfit.targets import Board, Memory, core_names, load_board
from emulate.samples import BOARDS, DATA, EMULATED, STDIN, Build

COUNTED = ("loop", "frame", "straight", "predicated", "finish")


def fnv1a(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def f32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


@pytest.mark.parametrize("name", EMULATED)
def test_same_output_on_every_core(build: Build, name: str) -> None:
    result = run_elf(build("checksum", name), load_board(name), stdin=STDIN, marks=["checksum"])
    assert result.exit_code == 7
    assert result.console == "checksum: 1 case, 0 bad\n"
    assert struct.unpack("<I", result.output[:4]) == (fnv1a(DATA),)
    x = f32(0.37)
    tens = f32(x * 10)
    expected = [math.tanh(x), x**1.5, math.expm1(x), math.log1p(x), round(tens), math.sqrt(x), 4.0, 3.0]
    assert list(struct.unpack("<8f", result.output[4:])) == [f32(value) for value in expected]
    (mark,) = result.marks
    assert mark.visits == 1
    assert 3 * len(DATA) < mark.instructions < result.instructions
    assert 0 < result.stack_bytes < 1000


@pytest.mark.parametrize("name", EMULATED)
@pytest.mark.parametrize("native", [True, False])
def test_instructions_are_exact(build: Build, name: str, native: bool) -> None:
    if native and not has_native_counter():
        pytest.skip("the native counter cannot be built here")
    elf = build("counted", name)
    result = run_elf(elf, load_board(name), stdin=b"", marks=COUNTED, native_counter=native)
    counts = {mark.name: (mark.visits, mark.instructions) for mark in result.marks}
    # Between two marked functions lies the call of the next one, in main.
    call = 1
    assert counts["loop"] == (1, 2 + 3 * 1000 + 3 + call)
    assert counts["frame"] == (1, 7 + call)
    if load_board(name).core.features >= {"dsp"}:
        assert counts["straight"] == (1, 3001 + call)
        assert counts["predicated"] == (1, 5 + call)


@pytest.mark.parametrize("name", EMULATED)
def test_python_and_native_counter_agree(build: Build, name: str) -> None:
    if not has_native_counter():
        pytest.skip("the native counter cannot be built here")
    elf, board = build("checksum", name), load_board(name)
    marks = ("main", "checksum", "floats")
    fast, slow = (run_elf(elf, board, stdin=STDIN, marks=marks, native_counter=native) for native in (True, False))
    assert fast.instructions == slow.instructions > 0
    assert fast.marks == slow.marks
    assert fast.blocks == slow.blocks
    assert fast.stack_bytes == slow.stack_bytes
    code = {segment.address: segment.data for segment in Elf.load(elf).segments}

    def instructions(address: int, size: int) -> int:
        start = max(origin for origin in code if origin <= address)
        return count_instructions(code[start][address - start :][:size], board.core.arch == "riscv")

    assert sum(instructions(at, size) * hits for at, (size, hits) in fast.blocks.items()) == fast.instructions


@pytest.mark.parametrize("name", EMULATED)
def test_stack_of_one_function(build: Build, name: str) -> None:
    elf, board = build("counted", name), load_board(name)
    assert run_elf(elf, board, stdin=b"", stack_from="frame").stack_bytes == 100
    assert run_elf(elf, board, stdin=b"", stack_from="loop").stack_bytes == 0
    # room[0] is main's lowest byte that is written, frame lies below
    assert run_elf(elf, board, stdin=b"").stack_bytes >= 700


MISDEEDS = [
    ("overflow", "E002", "below the stack of 4,096 B"),
    ("wild_write", "E001", "write of 4 B at 0x60000000"),
    ("wild_read", "E001", "read of 4 B at 0x60000000"),
    ("flash_write", "E001", "flash, which does not allow it"),
    ("illegal", "E003", "illegal instruction"),
    ("forever", "E004", "more than 200,000 instructions"),
]


@pytest.mark.parametrize(("misdeed", "code", "text"), MISDEEDS)
@pytest.mark.parametrize("name", EMULATED)
def test_misdeeds_are_named(build: Build, name: str, misdeed: str, code: str, text: str) -> None:
    elf = build("faults", name, f"MISDEED={misdeed}", "BEYOND=0")
    with pytest.raises(ChipfitError, match=text) as caught:
        run_elf(elf, load_board(name), stdin=b"", max_instructions=200_000)
    assert caught.value.code == code
    assert f" in {misdeed} " in caught.value.message
    assert caught.value.hint


def test_core_without_dsp_refuses_it(build: Build) -> None:
    """The emulated M0 is an Armv6-M indeed, and the M4 is none."""
    pico, nano = load_board("raspberry-pi-pico"), load_board("arduino-nano-33-ble")
    with pytest.raises(ChipfitError, match="fb21 3002 in dsp") as caught:
        run_elf(build("faults", pico.name, "MISDEED=dsp", "BEYOND=0"), pico, stdin=b"")
    assert caught.value.code == "E003"
    assert run_elf(build("faults", nano.name, "MISDEED=dsp", "BEYOND=0"), nano, stdin=b"").exit_code == 0


def test_unaligned_access(build: Build) -> None:
    """A fault on Armv6-M, allowed on Armv7-M."""
    pico, nano = load_board("raspberry-pi-pico"), load_board("arduino-nano-33-ble")
    with pytest.raises(ChipfitError, match=r"not aligned.* in unaligned ") as caught:
        run_elf(build("faults", pico.name, "MISDEED=unaligned", "BEYOND=0"), pico, stdin=b"")
    assert caught.value.code == "E006"
    assert run_elf(build("faults", nano.name, "MISDEED=unaligned", "BEYOND=0"), nano, stdin=b"").exit_code == 0


def test_ram_is_not_executable(build: Build) -> None:
    board = load_board("arduino-nano-33-ble")
    with pytest.raises(ChipfitError, match="execution of") as caught:
        run_elf(build("faults", board.name, "MISDEED=run_ram", "BEYOND=0"), board, stdin=b"")
    assert caught.value.code == "E001"


def odd_board(ram_size: int) -> Board:
    board = load_board("arduino-nano-33-ble")
    memories = (board.flash, Memory("ram", "ram", 0x2000_0000, ram_size))
    return dataclasses.replace(board, memories=memories)


def test_bounds_within_a_page(build: Build) -> None:
    """RAM need not end at a page of the emulator: the last byte is there, the next one is not."""
    end = 0x2000_0000 + 10_000
    good = build("faults", "arduino-nano-33-ble", "MISDEED=beyond_ram", f"BEYOND={end - 1:#x}")
    bad = build("faults", "arduino-nano-33-ble", "MISDEED=beyond_ram", f"BEYOND={end:#x}")
    board = odd_board(10_000)
    assert run_elf(good, board, stdin=b"").exit_code == 0
    with pytest.raises(ChipfitError, match=r"write of 1 B at 0x20002710 in beyond_ram ") as caught:
        run_elf(bad, board, stdin=b"")
    assert caught.value.code == "E001"


def test_progress_and_its_exceptions(build: Build) -> None:
    elf, board = (
        build("faults", "arduino-nano-33-ble", "MISDEED=forever", "BEYOND=0"),
        load_board("arduino-nano-33-ble"),
    )
    seen: list[int] = []
    with pytest.raises(ChipfitError, match="E004"):
        run_elf(elf, board, stdin=b"", max_instructions=70_000_000, progress=seen.append)
    if has_native_counter():
        assert len(seen) == 3

    def give_up(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_elf(elf, board, stdin=b"", progress=give_up)


def test_usage_errors(build: Build) -> None:
    elf, board = build("checksum", "arduino-nano-33-ble"), load_board("arduino-nano-33-ble")
    with pytest.raises(ChipfitError, match="no function chekcsum") as caught:
        run_elf(elf, board, stdin=STDIN, marks=["chekcsum"])
    assert "checksum" in caught.value.hint
    with pytest.raises(ChipfitError, match="is not a program for esp32-c3"):
        run_elf(elf, load_board("esp32-c3"), stdin=STDIN)
    with pytest.raises(ChipfitError, match="cannot read"):
        run_elf(Path("nowhere.elf"), board, stdin=b"")


def test_input_that_ends_early(build: Build) -> None:
    result = run_elf(build("checksum", "esp32-c3"), load_board("esp32-c3"), stdin=STDIN[:-1])
    assert (result.exit_code, result.output) == (2, b"")


def test_every_emulated_core_is_tested() -> None:
    others = {"host", "atmega328p", "cortex-m55"}  # for the AVR see test_avr.py, for the core with Helium test_qemu.py
    assert set(BOARDS) == set(core_names()) - others
