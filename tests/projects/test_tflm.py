"""Projects for TensorFlow Lite Micro: their programs are compiled with stand-ins for its headers and run on emulated
cores, where chipfit's C of the same model stands for the interpreter."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from chipfit.build import lower_for
from chipfit.codegen import source_files
from chipfit.emulate.machine import MachineResult, run_elf
from chipfit.errors import ChipfitError
from chipfit.importers import tflite_operators
from chipfit.model import Model
from chipfit.npu import npu_model
from chipfit.oracle import have_tflm
from chipfit.project import write_project
from chipfit.projects import resolver_methods
from chipfit.targets import load_board
from projects.building import STAND_INS, build
from projects.small import pictures, table, with_state

BOARD = "nucleo-l4r5zi"
NPU_BOARD = "corstone-300-u55-128"
TFLM = STAND_INS / "tflm"
needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")


def run(folder: Path, model: Model, board_name: str, *, arena: int = 1, variables: int = 0) -> MachineResult:
    board = load_board(board_name)
    inner = folder / "inner"
    program = lower_for(replace(model.graph, name="inner"), replace(board, npu=None))
    for name, text in source_files(program, "none").items():
        (inner / name).parent.mkdir(parents=True, exist_ok=True)
        (inner / name).write_text(text, encoding="utf-8")
    shutil.copy(TFLM / "inner.c", inner)
    lines = {"RESULT": 0, "INIT": 0, "INTERRUPT": 56, "ARENA": arena, "VARIABLES": variables}
    defines = "".join(f"#define STAND_IN_{key} {value}u\n" for key, value in lines.items())
    (inner / "stand_in_result.h").write_text(defines.replace("VARIABLES 0u", "VARIABLES 0"), encoding="utf-8")
    names = re.findall(r"(\S+\.cc?)\b", (folder / "CMakeLists.txt").read_text(encoding="utf-8"))
    sources = [folder / name for name in names if (folder / name).is_file()]
    sources += [inner / name for name in ("model.c", "weights.c", "inner.c")]
    sources += [STAND_INS / "ethosu" / "ethosu_driver.c"] if board.npu else []
    includes = [folder / "model", folder, folder / "port", TFLM, inner, STAND_INS / "ethosu"]
    script = (folder / "link.ld").read_text(encoding="utf-8")
    return run_elf(build(sources, includes, board, folder / "build" / "firmware.elf", script=script), board, stdin=b"")


def test_the_program_runs(tmp_path: Path) -> None:
    report = write_project(pictures(), BOARD, "tflm", tmp_path, count=2, name="net")
    assert (report.verified, report.instructions, report.accelerator) == (None, None, None)
    if have_tflm():
        assert "TensorFlow Lite Micro on this computer gives the reference's outputs" in report.notes
    result = run(tmp_path, pictures(), BOARD)
    lines = result.console.splitlines()
    assert (result.exit_code, lines[-1]) == (0, "chipfit net: 2 test inputs, 0 differ")
    assert all(re.fullmatch(r"input \d: class \d: ok", line) for line in lines[:-1])


def test_an_arena_that_is_too_small(tmp_path: Path) -> None:
    write_project(table(), BOARD, "tflm", tmp_path, count=1, name="net")
    result = run(tmp_path, table(), BOARD, arena=1 << 30)
    assert (result.exit_code, result.console) == (1, "net: no memory\n")


@pytest.mark.skipif(not have_tflm(), reason="tflite-micro is not installed")
def test_states_are_variables(tmp_path: Path) -> None:
    report = write_project(with_state(), BOARD, "tflm", tmp_path, count=3, name="net")
    assert report.notes[0] == "TensorFlow Lite Micro on this computer gives the reference's outputs"
    text = (tmp_path / "model" / "model.cc").read_text(encoding="utf-8")
    assert "MicroResourceVariables::Create(allocator, 1)" in text
    result = run(tmp_path, with_state(), BOARD, variables=1)
    assert (result.exit_code, result.console.splitlines()[-1]) == (0, "chipfit net: 3 test inputs, 0 differ")


@needs_vela
def test_with_an_npu(tmp_path: Path) -> None:
    """The file is Vela's, where the NPU reads it; the driver is started before the interpreter."""
    report = write_project(pictures(), NPU_BOARD, "tflm", tmp_path, count=1, name="net")
    assert report.accelerator == "ethos-u55-128"
    file = npu_model(pictures().with_integer_io(), NPU_BOARD).model.source
    assert file is not None
    text = (tmp_path / "model" / "model_file.c").read_text(encoding="utf-8")
    numbers = re.findall(r"\d+", text.partition("= {")[2])
    assert bytes(map(int, numbers))[4:8] == b"TFL3"
    assert len(numbers) == len(file)
    assert 'section(".ddr")' in text
    result = run(tmp_path, pictures(), NPU_BOARD)
    assert (result.exit_code, result.console.splitlines()[-1]) == (0, "chipfit net: 1 test inputs, 0 differ")


def test_operators() -> None:
    names = ("CONV_2D", "PADV2", "UNIDIRECTIONAL_SEQUENCE_LSTM", "ethos-u")
    assert resolver_methods(names) == ("AddConv2D", "AddPadV2", "AddUnidirectionalSequenceLSTM", "AddEthosU")
    with pytest.raises(ChipfitError, match="has no GELU, flex") as caught:
        resolver_methods(("GELU", "ADD", "flex"))
    assert caught.value.code == "O002"


def test_operators_of_a_file() -> None:
    from chipfit.exporters import to_tflite

    assert tflite_operators(to_tflite(pictures().graph)) == ("CONV_2D", "RESHAPE")
