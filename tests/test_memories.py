"""Boards with several memories: what goes where, what is refused, and the same bytes on the emulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

import chipfit
from chipfit.codegen import Goal, lower
from chipfit.demo import model_path
from chipfit.emulate import Elf
from chipfit.errors import ChipfitError
from chipfit.firmware import ELF_NAME
from chipfit.memories import check_memory, check_places, parse_places, rooms_for, send_constants
from chipfit.targets import Board, Memory, load_board

CHIP = load_board("nucleo-l4r5zi")
FLASH, QSPI = CHIP.flash, Memory("qspi", "flash", 0x9000_0000, 16 << 20, None, "set up QUADSPI")
SLOW = Memory("slow", "ram", 0x6000_0000, 64 << 10, 3)


def board(*memories: Memory) -> Board:
    return dataclasses.replace(CHIP, name="several", memories=memories)


def fast(nbytes: int) -> Memory:
    return Memory("fast", "ram", 0x2000_0000, nbytes, 0)


@pytest.fixture(scope="module")
def digits() -> chipfit.Model:
    return chipfit.load(model_path("int8"))


def compiled(model: chipfit.Model, where: Board, folder: Path, place: Sequence[str] = ()) -> chipfit.Firmware:
    """The firmware, after its outputs were found to be the reference's."""
    firmware = model.compile(where, folder, place=place, stack_bytes=1024, force=True)
    samples = model.samples(2)
    expected = model.run_samples(samples)
    assert [y.tobytes() for y in firmware.run(samples).outputs] == [y.tobytes() for y in expected]
    return firmware


def used(firmware: chipfit.Firmware) -> dict[str, int]:
    return {memory.name: memory.used for memory in firmware.report.memories}


# ---------------------------------------------------------------------------------------------- RAM


def test_a_model_that_needs_both_memories(digits: chipfit.Model, tmp_path: Path) -> None:
    arena = digits.compile(CHIP, tmp_path / "one").report.ram.arena
    where = board(FLASH, fast(1024 + 512 + arena // 2), dataclasses.replace(SLOW, size=4096))
    for alone in where.memories[1:]:
        with pytest.raises(ChipfitError, match="does not fit several") as caught:
            digits.compile(
                board(FLASH, dataclasses.replace(alone, size=alone.size // 2)), tmp_path / "no", stack_bytes=1024
            )
        assert caught.value.code == "M001"
    firmware = compiled(digits, where, tmp_path / "both")
    report = firmware.report
    assert used(firmware)["fast"] > 1024
    assert used(firmware)["slow"] > 0
    assert sum(used(firmware)[name] for name in ("fast", "slow")) == report.ram.total
    assert report.ram.total == report.ram.arena + 1024 + (report.ram.statics or 0)
    assert report.ram.available == where.memories[1].size + 4096
    elf = Elf.load(firmware.folder / ELF_NAME)
    blocks = {s.name: s.address for s in elf.symbols if s.name.startswith("digits_int8_memory")}
    assert {name: address in SLOW for name, address in blocks.items()} == {
        "digits_int8_memory_0": False,
        "digits_int8_memory_1": True,
    }
    exact = dataclasses.replace(SLOW, size=used(firmware)["slow"])  # what leaves its block leaves the memory
    compiled(digits, board(FLASH, where.memories[1], exact), tmp_path / "exact")
    assert "waits for data in slow not counted" in str(firmware.run(digits.samples(1)).cycles_how)


def test_what_fits_the_fast_memory_is_as_with_one(digits: chipfit.Model, tmp_path: Path) -> None:
    one = digits.compile(board(FLASH, fast(64 << 10)), tmp_path / "one")
    two = compiled(digits, board(FLASH, fast(64 << 10), SLOW), tmp_path / "two")
    for name in ("model.c", "model.h", "weights.c", "weights.h", "main.c"):
        assert (one.folder / name).read_text() == (two.folder / name).read_text()
    assert used(two)["slow"] == 0
    assert one.report.memories == ()


def test_rows_in_two_memories(models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / "mlperf_vww_mnv1_025_96_int8.tflite")
    where = board(FLASH, fast(12 << 10), SLOW)
    firmware = model.compile(where, tmp_path / "vww", optimize="ram", stack_bytes=4096)
    samples = model.samples(1)
    assert firmware.run(samples).outputs[0].tobytes() == model.run_samples(samples)[0].tobytes()
    assert used(firmware)["slow"] < 28_000 < firmware.report.ram.arena
    fed = model.compile(where, tmp_path / "fed", optimize="ram", input_rows=True, place=["input_1_int8=slow"])
    assert fed.run(samples).outputs[0].tobytes() == model.run_samples(samples)[0].tobytes()
    assert used(fed)["slow"] > 0


@pytest.mark.parametrize("place", [["state=slow"], ["arena=slow", "state=fast"], ["arena=slow"]], ids=" ".join)
def test_state_elsewhere(place: list[str], models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / "esphome_vad_v2_stream.tflite")
    firmware = model.compile(board(FLASH, fast(64 << 10), SLOW), tmp_path / "vad", place=place)
    samples = model.samples(12)
    assert firmware.run(samples).outputs[0].tobytes() == model.run_samples(samples)[0].tobytes()
    ram = firmware.report.ram
    in_slow = {"state=slow": ram.state, "arena=slow state=fast": ram.arena, "arena=slow": ram.arena}[" ".join(place)]
    assert abs(used(firmware)["slow"] - in_slow) <= (ram.state if place == ["arena=slow"] else 8)


def test_the_fastest_memory_comes_first() -> None:
    names = [room.memory for room in (rooms_for(load_board("nucleo-h743zi"), 4096) or pytest.fail("no rooms")).rooms]
    assert names == ["dtcm", "axi", "sram4", "sram123"]  # the last one needs its clocks switched on
    names = [m.name for m in load_board("stm32f746-disco").fastest("ram")]
    assert names == ["dtcm", "sram", "sdram"]
    assert rooms_for(CHIP, 4096) is None
    rooms = rooms_for(board(FLASH, fast(8192), SLOW), 4096, taken={"slow": 1000})
    assert rooms is not None
    assert [room.free for room in rooms.rooms] == [8192 - 4096 - 512, SLOW.size - 1000]


def test_each_memory_is_named_where_it_does_not_fit(digits: chipfit.Model) -> None:
    where = board(FLASH, fast(2048), dataclasses.replace(SLOW, size=512))
    program = lower(digits.graph, frozenset(), goal=Goal(rooms=rooms_for(where, 1024)))
    program.home = "fast"
    with pytest.raises(ChipfitError, match=r"fast [0-9.]+ KiB of 2.0 KiB") as caught:
        check_memory([program], where, 1024)
    assert "slow" in caught.value.message
    assert "B too many" in caught.value.message


# ---------------------------------------------------------------------------------------------- flash


def test_the_hot_constants_stay(digits: chipfit.Model) -> None:
    program = lower(digits.graph, frozenset())
    total = program.bytes_of("weights") + program.bytes_of("table")
    where = board(dataclasses.replace(FLASH, size=2 * total), CHIP.ram, QSPI)  # 3/4 of it are for constants
    send_constants([program], where)
    assert {c.memory for c in program.constants} == {None}
    where = board(dataclasses.replace(FLASH, size=total), CHIP.ram, QSPI)
    send_constants([program], where)
    inside = sum(c.data.nbytes for c in program.constants if c.memory is None)
    assert 0 < inside <= total * 3 // 4
    where = {c.symbol: c.memory for c in program.constants}
    (dense,) = (n for n in digits.graph.nodes if n.op.name == "fully_connected")
    assert where[program.constant(dense["w"].array, "weights")] == "qspi"  # each is read once
    assert where[program.constant(digits.graph.nodes[0]["w"].array, "weights")] is None  # read for every pixel


def test_constants_in_another_flash(digits: chipfit.Model, tmp_path: Path) -> None:
    where = board(FLASH, CHIP.ram, QSPI)
    inside = compiled(digits, where, tmp_path / "inside")
    outside = compiled(digits, where, tmp_path / "outside", ["weights=qspi"])
    assert used(inside)["qspi"] == 0
    assert used(outside)["qspi"] >= outside.report.flash.weights
    assert 0 <= used(inside)["flash"] - (inside.report.flash.total or 0) < 16  # gaps between sections
    assert outside.report.flash.available == FLASH.size + QSPI.size
    text = (outside.folder / "weights.c").read_text()
    assert text.count('CF_IN(".qspi")') == text.count("const int")
    one = digits.graph.nodes[0].name
    some = compiled(digits, where, tmp_path / "some", [f"{one}=qspi"])
    assert 0 < used(some)["qspi"] < used(outside)["qspi"]


# ---------------------------------------------------------------------------------------------- --place


def test_places_are_read() -> None:
    assert parse_places(["a=b", "x=y=ram"]) == [("a", "b"), ("x=y", "ram")]
    for text in ("a", "=b", "a="):
        with pytest.raises(ChipfitError, match="does not say what goes where") as caught:
            parse_places([text])
        assert caught.value.code == "U001"


@pytest.mark.parametrize(
    ("name", "memory", "message", "hint"),
    [
        ("nothing", "slow", "no layer or tensor is called 'nothing'", "arena, state, weights, "),
        ("arena", "sdram", "has no memory 'sdram'", "flash, fast, slow, qspi"),
        ("arena", "qspi", "'arena' cannot lie in qspi", "fast, slow"),
        ("weights", "slow", "'weights' cannot lie in slow", "flash, qspi"),
    ],
)
def test_places_that_are_refused(name: str, memory: str, message: str, hint: str, digits: chipfit.Model) -> None:
    with pytest.raises(ChipfitError, match=message) as caught:
        check_places([(name, memory)], [digits.graph], board(FLASH, fast(8192), SLOW, QSPI))
    assert caught.value.code == "U001"
    assert hint in caught.value.hint


def test_a_tensor_is_placed_by_name(digits: chipfit.Model, tmp_path: Path) -> None:
    value = digits.graph.inputs[0]
    firmware = compiled(digits, board(FLASH, fast(64 << 10), SLOW), tmp_path / "named", [f"{value.name}=slow"])
    assert used(firmware)["slow"] == value.type.nbytes
    header = (firmware.folder / "model.h").read_text()
    assert "#define DIGITS_INT8_BLOCKS 2" in header
    assert f"#define DIGITS_INT8_ARENA_1_BYTES {value.type.nbytes}u" in header
    assert '#define DIGITS_INT8_MEMORY_1_NAME "slow"' in header
