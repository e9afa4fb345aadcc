"""Board and core files: sane figures, and strict reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipfit.errors import ChipfitError
from chipfit.targets import board_names, core_names, load_board, load_core

CORSTONE_300 = ("cortex-m55-dsp", 32, 0, 512, 0x2000_0000, 512)
BOARDS = {
    "arduino-due": ("cortex-m3", 84, 0x8_0000, 512, 0x2007_0000, 96),
    "arduino-nano-33-ble": ("cortex-m4f", 64, 0x1_0000, 960, 0x2000_0000, 256),
    "arduino-uno": ("atmega328p", 16, 0, 31.5, 0x80_0100, 2),
    "corstone-300": ("cortex-m55", *CORSTONE_300[1:]),
    "corstone-300-dsp": CORSTONE_300,
    "corstone-300-u55-128": CORSTONE_300,
    "corstone-300-u55-256": CORSTONE_300,
    "corstone-300-u55-32": CORSTONE_300,
    "corstone-300-u55-64": CORSTONE_300,
    "corstone-300-u65-256": CORSTONE_300,
    "corstone-300-u65-512": CORSTONE_300,
    "esp32-c3": ("rv32imc", 160, 0x4200_0000, 1024, 0x3FC8_0000, 312),
    "imx93-u65-256": ("cortex-m33", 200, 0x0FFE_0000, 128, 0x2000_0000, 128),
    "maix-bit": ("rv64gc", 400, 0x8000_0000, 2048, 0x8020_0000, 4096),
    "nucleo-f103rb": ("cortex-m3", 72, 0x0800_0000, 128, 0x2000_0000, 20),
    "nucleo-h743zi": ("cortex-m7", 480, 0x0800_0000, 2048, 0x2000_0000, 128),
    "nucleo-l4r5zi": ("cortex-m4f", 120, 0x0800_0000, 2048, 0x2000_0000, 640),
    "pimoroni-pico-plus-2": ("cortex-m33", 150, 0x1000_0000, 16384, 0x2000_0000, 512),
    "raspberry-pi-pico": ("cortex-m0plus", 125, 0x1000_0100, 2047.75, 0x2000_0000, 256),
    "raspberry-pi-pico-2": ("cortex-m33", 150, 0x1000_0000, 4096, 0x2000_0000, 512),
    "sparkfun-edge": ("cortex-m4f", 48, 0xC000, 976, 0x1000_0000, 384),
    "stm32f746-disco": ("cortex-m7", 216, 0x0800_0000, 1024, 0x2000_0000, 64),
}

BOARD_FILES = Path(str(load_board.__code__.co_filename)).parent / "boards"


def test_all_boards_are_listed() -> None:
    assert set(board_names()) == {*BOARDS, "host"}


@pytest.mark.parametrize("name", BOARDS)
def test_figures(name: str) -> None:
    board = load_board(name)
    figures = (board.flash.origin, board.flash.size / 1024, board.ram.origin, board.ram.size / 1024)
    assert (board.core.name, board.clock_hz / 1e6, *figures) == BOARDS[name]
    assert board.name == name
    assert not board.is_host
    assert board.core.emulator
    # Odd RAM makes the emulator slow (emulate/cpu.py).
    assert board.core.arch == "avr" or board.ram.origin % 4096 == board.ram.size % 4096 == 0
    assert board.ram.origin in board.ram
    assert board.ram.end not in board.ram


def figures_without_source(text: str) -> list[str]:
    """The clock (named so) and the tables of a board file that have no comment line ``# source: …``.

    The clock's stands above it, a table's between its header and its first key, or, where it gives several
    frameworks, above each of them.
    """
    table, sourced, missing = "", False, list[str]()
    for line in text.splitlines():
        key = line.partition("=")[0].strip()
        if line.startswith("# source: "):
            sourced = True
        elif line.startswith("["):
            table, sourced = line.strip("[] "), False
        elif key in ("name", "title", "core") and not table:
            sourced = False
        elif key and not line.startswith("#"):
            if not sourced:
                missing.append(table or key)
            if table == "frameworks" or not table:
                sourced = False
    return missing


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_has_a_source(name: str) -> None:
    text = (BOARD_FILES / f"{name}.toml").read_text(encoding="utf-8")
    assert "\n[memory]\n" in text
    assert "\n[frameworks]\n" in text
    assert figures_without_source(text) == []


def test_a_missing_source_is_found() -> None:
    assert figures_without_source(GOOD) == ["clock_hz", "memory", "memory", "memory", "power", "power", "frameworks"]
    text = (BOARD_FILES / "raspberry-pi-pico.toml").read_text(encoding="utf-8")
    assert figures_without_source(text.replace("# source: raspberrypi", "# raspberrypi")) == [
        "clock_hz",
        "memory",
        "frameworks",
    ]


def test_every_core_has_a_source() -> None:
    for name in core_names():
        text = (BOARD_FILES.parent / "cores" / f"{name}.toml").read_text(encoding="utf-8")
        assert name == "host" or "\n# source: " in text.partition("\nfeatures = ")[0], name


def test_cores() -> None:
    assert load_core("cortex-m4f").features == {"dsp", "fpu", "mulh", "unaligned"}
    assert load_core("cortex-m3").features == {"mla", "mulh", "unaligned"}
    assert load_core("cortex-m0plus").features.isdisjoint({"dsp", "fpu", "mulh", "unaligned"})
    for name in core_names():
        core = load_core(name)
        assert core.name == name
        assert core.arch == "host" or (core.zig_target and core.emulator and core.gcc)
    assert load_board("host").is_host


def test_unknown_names() -> None:
    with pytest.raises(ChipfitError, match="no board 'arduino-nano33'") as caught:
        load_board("arduino-nano33")
    assert caught.value.code == "B001"
    assert "arduino-nano-33-ble" in caught.value.hint
    with pytest.raises(ChipfitError) as caught:
        load_core("cortex-m4")
    assert "cortex-m4f" in caught.value.hint


GOOD = """
name = "mine"
title = "Mine"
core = "cortex-m4f"
clock_hz = 80_000_000
[memory]
flash = { origin = 0x0800_0000, size = "512K", wait_states = 4 }
ram = { origin = 0x2000_0000, size = 98304 }
ccm = { kind = "ram", origin = 0x1000_0000, size = "32K" }
[power]
run_ma = 10
volt = 3.3
[frameworks]
zephyr = { board = "mine" }
"""


def board_file(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_own_board(tmp_path: Path) -> None:
    path = board_file(tmp_path, GOOD)
    board = load_board(path)
    assert board == load_board(str(path))
    assert [memory.name for memory in board.memories] == ["flash", "ram", "ccm"]
    assert board.ram.size == 98304
    assert (board.flash.wait_states, board.ram.wait_states) == (4, None)
    assert board.power is not None
    assert board.power.run_ma == 10.0
    assert board.frameworks == {"zephyr": {"board": "mine"}}


BAD = [
    ("clock_hz = 80_000_000", "", "clock_hz is missing"),
    ("clock_hz = 80_000_000", "clock_hz = 0", "clock_hz must be above 0"),
    ("clock_hz = 80_000_000", 'clock_hz = "fast"', "clock_hz must be an integer"),
    ("[power]", "[powers]", "powers is not a known key"),
    ("volt = 3.3", "", "power.volt is missing"),
    ("volt = 3.3", "volt = -1", "power.volt must be a number above 0"),
    ('size = "512K"', 'size = "512 kB"', "memory.flash.size must be a size"),
    ('size = "512K"', 'size = "8192M"', "memory.flash.size must be above 0 and end below 4 GiB"),
    ("wait_states = 4", "waits = 4", "memory.flash.waits is not a known key"),
    ('kind = "ram", ', "", "memory.ccm.kind must be flash or ram"),
    ("ccm =", "data =", "memory.data is not a name for a memory"),
    ("0x1000_0000", "0x2000_1000", "memory.ccm overlaps ram"),
    ("0x1000_0000", "0x1FFF_8000", "memory.ram starts where ccm ends"),
    ("ram = { origin = 0x2000_0000, size = 98304 }", "", "ram"),
    ('"cortex-m4f"', '"cortex-m4"', "core is 'cortex-m4', which is not a core"),
    ("[memory]", "[memory", "not a valid TOML file"),
]


@pytest.mark.parametrize(("old", "new", "text"), BAD)
def test_bad_board_files(tmp_path: Path, old: str, new: str, text: str) -> None:
    assert old in GOOD
    path = board_file(tmp_path, GOOD.replace(old, new))
    if new == "" and text == "ram":  # ccm is a ram too: the board stays valid
        assert load_board(path).ram.name == "ccm"
        return
    with pytest.raises(ChipfitError, match=text) as caught:
        load_board(path)
    assert caught.value.code == "B002"
    assert "mine.toml" in caught.value.message


def test_missing_board_file(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="cannot read the board file") as caught:
        load_board(tmp_path / "gone.toml")
    assert caught.value.code == "F001"


def test_memories_that_need_setting_up(tmp_path: Path) -> None:
    """They come last; the first of a kind, where the program and its stack lie, cannot be one."""
    text = GOOD.replace('kind = "ram", ', 'kind = "ram", setup = "power it", ')
    board = load_board(board_file(tmp_path, text))
    assert [memory.setup for memory in board.memories] == [None, None, "power it"]
    assert [memory.name for memory in board.fastest("ram")] == ["ram", "ccm"]
    for setup, bad in (('size = "512K"', "flash"), ("size = 98304", "ram")):
        assert setup in text
        path = board_file(tmp_path, text.replace(setup, f'{setup}, setup = "wake it"', 1))
        with pytest.raises(ChipfitError, match=f"memory.{bad} is the first {bad}, which must be there") as caught:
            load_board(path)
        assert caught.value.code == "B002"


def test_fewer_wait_states_come_first(tmp_path: Path) -> None:
    """Unknown counts as one; among equals the order is that of the file."""
    text = GOOD.replace('kind = "ram", ', 'kind = "ram", wait_states = 0, ')
    assert [memory.name for memory in load_board(board_file(tmp_path, text)).fastest("ram")] == ["ccm", "ram"]
    assert [memory.name for memory in load_board(board_file(tmp_path, GOOD)).fastest("ram")] == ["ram", "ccm"]
