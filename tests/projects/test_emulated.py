"""Projects are built from their own files and run on emulated boards; they say that all is as the reference says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chipfit.emulate import Elf
from chipfit.emulate.toolchain import linker_script
from chipfit.model import Model
from chipfit.project import ProjectReport, write_project
from chipfit.projects.room import PARTS_BYTES
from chipfit.quantize import Preprocessing
from chipfit.targets import board_names, load_board
from projects.building import run
from projects.small import build_cmake, build_sketch, pictures, table, two_inputs, with_state

BARE = [load_board(name) for name in board_names() if load_board(name).core.arch in ("arm", "riscv")]
# what start-up code and linker script depend on; boards that other tests here use go before, since what is compiled for
# one is compiled once
USED = ("arduino-nano-33-ble", "raspberry-pi-pico")
KINDS = {
    (b.core.arch, b.core.bits, "fpu" in b.core.features, "mve" in b.core.features): b.name
    for b in sorted(BARE, key=lambda b: b.name in USED)
}
BOARD = load_board("arduino-nano-33-ble")
HOW = Preprocessing(scale=1 / 255, mean=(0.1,))


@pytest.mark.parametrize("board", [*KINDS.values(), "stm32f746-disco"])  # which has several memories
def test_cmake_on_every_kind_of_core(board: str, tmp_path: Path) -> None:
    labels = [f"class {i}" for i in range(9)]
    report = write_project(
        pictures(), board, "cmake", tmp_path / "p", preprocessing=HOW, labels=labels, count=2, name="net"
    )
    assert report.verified == "identical"
    elf = build_cmake(tmp_path / "p", load_board(board))
    assert_counted(elf, report)
    result = run(elf, load_board(board))
    lines = result.console.splitlines()
    assert result.exit_code == 0
    assert lines[-1] == "chipfit net: 2 test inputs, 0 differ"
    assert [line.split(" ")[0:3] for line in lines[:-1]] == [["input", "0:", "class"], ["input", "1:", "class"]]
    assert all(line.endswith(": ok") for line in lines[:-1])


def assert_counted(elf: Path, report: ProjectReport) -> None:
    """The flash of the whole program is at most what was counted before test inputs were taken to fit."""
    sizes = Elf.load(elf).sizes()
    assert report.flash.total is not None
    assert sizes.code + sizes.rodata + sizes.data <= report.flash.total + report.inputs_bytes + PARTS_BYTES


@pytest.mark.parametrize("board", [board.name for board in BARE])
def test_a_linker_script_states_what_the_board_has(board: str) -> None:
    target = load_board(board)
    text = linker_script(target, 4096, strict=True)
    for memory in target.memories:
        assert f"ORIGIN = {memory.origin:#x}, LENGTH = {memory.size:#x}" in text


MODELS: dict[str, Callable[[], Model]] = {
    "float": lambda: pictures(is_float=True),
    "table": table,
    "two inputs": two_inputs,
    "state": with_state,
}


@pytest.mark.parametrize("kind", list(MODELS))
def test_models_of_all_kinds(kind: str, tmp_path: Path) -> None:
    how = HOW if kind == "float" else None
    report = write_project(MODELS[kind](), BOARD, "cmake", tmp_path, preprocessing=how, count=3)
    elf = build_cmake(tmp_path, BOARD, apart=kind == "float")
    assert_counted(elf, report)
    result = run(elf, BOARD)
    assert (result.exit_code, result.console.splitlines()[-1]) == (0, "chipfit g: 3 test inputs, 0 differ")
    assert ("class" in result.console) == (kind == "float")
    assert (tmp_path / "model" / "preprocess.c").exists() == (kind == "float")
    assert (tmp_path / "model" / "classes.c").exists() == (kind == "float")


@pytest.mark.parametrize("is_float", [False, True])
def test_a_wrong_output_is_told(is_float: bool, tmp_path: Path) -> None:
    write_project(pictures(is_float=is_float), BOARD, "cmake", tmp_path, count=2)
    file = tmp_path / "model" / "test_inputs.c"
    before, start, numbers = file.read_text().partition("output_0[18] = {\n    ")
    first, rest = numbers.split(",", 1)
    changed = f"{float(first[:-1]) * 1.01 + 0.01}f" if is_float else str(int(first) ^ 1)
    file.write_text(f"{before}{start}{changed},{rest}")
    result = run(build_cmake(tmp_path, BOARD), BOARD)
    lines = result.console.splitlines()
    assert result.exit_code == 1
    assert lines[0].endswith("differs from the reference")
    assert lines[1:] == [lines[1], "chipfit g: 2 test inputs, 1 differ"]
    assert lines[1].endswith(": ok")


@pytest.mark.parametrize(
    ("framework", "kind"), [("arduino", "pictures"), ("arduino", "table"), ("platformio", "pictures")]
)
def test_sketches(framework: str, kind: str, tmp_path: Path) -> None:
    """The sketch is C++, the library is C, and both find each other's names."""
    labels = ["über", *map(str, range(26))] if kind == "pictures" else []
    how = HOW if kind == "pictures" else None
    model = pictures(3) if kind == "pictures" else table()
    write_project(model, BOARD, framework, tmp_path, name="My Größe 2", preprocessing=how, labels=labels, count=2)
    if framework == "arduino":
        (sketch,) = tmp_path.rglob("*.ino")
        assert sketch.parent.name == sketch.stem == ("ClassifyStoredPictures" if labels else "RunStoredInputs")
    assert len(list(tmp_path.rglob("MyGroe2.h"))) == 1
    result = run(build_sketch(tmp_path, BOARD), BOARD)
    lines = result.console.splitlines()
    assert result.exit_code == 0
    assert lines[-1] == "chipfit my_gr_e_2: 2 test inputs, 0 differ"
    assert len(lines) == 3
    assert all(line.startswith(f"input {i}") and line.endswith(" us: ok") for i, line in enumerate(lines[:-1]))
    assert all((", score " in line) == bool(labels) for line in lines[:-1])


def test_sources_need_no_options(tmp_path: Path) -> None:
    """That layers share the bodies of kernels is said in the source: frameworks have no options for it."""
    write_project(pictures(), BOARD, "cmake", tmp_path, optimize="size", count=1)
    assert (tmp_path / "model" / "model.c").read_text().startswith("#define CF_SHARED ")
    assert run(build_cmake(tmp_path, BOARD), BOARD).exit_code == 0


def test_with_gcc(tmp_path: Path) -> None:
    report = write_project(pictures(is_float=True), BOARD, "cmake", tmp_path, count=1)
    elf = build_cmake(tmp_path, BOARD, gcc=True)
    assert_counted(elf, report)
    assert run(elf, BOARD).exit_code == 0


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
def test_cmake_itself(tmp_path: Path) -> None:
    """With the compiler that comes with chipfit, by the toolchain file."""
    write_project(table(), BOARD, "cmake", tmp_path, count=1)
    out = tmp_path / "build"
    python = f"-DPYTHON={sys.executable}"
    for command in (
        ["cmake", "-S", tmp_path, "-B", out, "--toolchain", "toolchain.cmake", "-DCHIPFIT_COMPILER=zig", python],
        ["cmake", "--build", out],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stderr
    assert run(out / "firmware.elf", BOARD).console.endswith("1 test inputs, 0 differ\n")
