"""Projects for boards with an Ethos-U: their programs hand the right bytes to the driver, and the NPU, which the
emulator simulates, gives what the reference gives."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from chipfit.emulate.machine import MachineResult, run_elf
from chipfit.errors import ChipfitError
from chipfit.model import Model
from chipfit.npu import npu_model, streams_of
from chipfit.ops.ethos_u import EthosU
from chipfit.ops.square import Square
from chipfit.project import write_project
from chipfit.targets import load_board
from passes.chains import Builder
from projects.building import STAND_INS
from projects.small import build_cmake, pictures, table

pytestmark = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

BOARD = "corstone-300-u55-128"
DRIVER = STAND_INS / "ethosu" / "ethosu_driver.c"
REGIONS = 3


def with_core() -> Model:
    """Streams before and behind an operator that Vela leaves to the core."""
    b = Builder()
    y = b.conv(b.input(1, 4, 4, 2))
    return Model(b.done(b.conv(b.add(Square(), y))))


def run(folder: Path, *, gcc: bool = False, apart: bool = False, result: int = 0, init: int = 0) -> MachineResult:
    """The program of a project, strictly compiled, with a stand-in for Arm's driver."""
    lines = {"RESULT": result, "INIT": init, "INTERRUPT": 56}
    (folder / "build").mkdir(exist_ok=True)
    defines = "".join(f"#define STAND_IN_{key} {value}\n" for key, value in lines.items())
    (folder / "build" / "stand_in_result.h").write_text(defines, encoding="utf-8")
    board = load_board(BOARD)
    return run_elf(build_cmake(folder, board, gcc=gcc, apart=apart, more=[DRIVER]), board, stdin=b"")


def test_the_driver_gets_the_stream(tmp_path: Path) -> None:
    """The payload and the constants byte for byte, three regions where NPU and core share memory, and the registers'
    address; all test inputs are right."""
    report = write_project(pictures(), BOARD, "cmake", tmp_path, count=2, name="net")
    assert (report.verified, report.accelerator) == ("identical", "ethos-u55-128")
    result = run(tmp_path, apart=True)
    assert (result.exit_code, result.console.splitlines()[-1]) == (0, "chipfit net: 2 test inputs, 0 differ")
    if shutil.which("arm-none-eabi-gcc"):
        assert run(tmp_path, gcc=True).exit_code == 0
    (node,) = streams_of(npu_model(pictures(), BOARD).model.graph)
    op, payload, constants = node.op, node.operands[0].array.tobytes(), node.operands[1].array.tobytes()
    assert isinstance(op, EthosU)
    call = 4 + 4 * (2 + 2 * REGIONS) + len(payload) + len(constants)
    assert len(result.output) == 2 * call
    for at in (0, call):
        base, _, size, *regions = np.frombuffer(result.output[at:], "<u4", 3 + 2 * REGIONS).tolist()
        assert (base, size) == (0x48102000, len(payload))
        memories = {m.name: m for m in load_board(BOARD).memories}
        assert regions[0] in memories["ddr"]
        assert regions[2] in memories["sram"]
        assert regions[1::2] == [len(constants), op.scratch, op.scratch]
        assert regions[2] == regions[4]
        assert result.output[at + call - len(payload) - len(constants) : at + call] == payload + constants


def test_the_core_computes_what_the_npu_does_not(tmp_path: Path) -> None:
    report = write_project(with_core(), BOARD, "cmake", tmp_path, count=3, name="net")
    assert report.verified == "identical"
    result = run(tmp_path)
    assert (result.exit_code, result.console.splitlines()[-1]) == (0, "chipfit net: 3 test inputs, 0 differ")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "The core computes square." in " ".join(readme.split())


def test_a_damaged_constant_is_told(tmp_path: Path) -> None:
    """What the program prints comes from the bytes in its memory."""
    write_project(table(), BOARD, "cmake", tmp_path, count=1, name="net")
    file = tmp_path / "model" / "test_inputs.c"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        re.sub(r"(output_0\[4\] = {\s+)(-?\d+)", lambda m: f"{m[1]}{int(m[2]) ^ 1}", text), encoding="utf-8"
    )
    result = run(tmp_path)
    assert (result.exit_code, result.console.splitlines()[-1]) == (1, "chipfit net: 1 test inputs, 1 differ")


def test_errors_of_the_driver_are_told(tmp_path: Path) -> None:
    """Even where the outputs are right by chance."""
    write_project(table(), BOARD, "cmake", tmp_path, count=1, name="net")
    result = run(tmp_path, result=-1)
    assert (result.exit_code, result.console.splitlines()[-1]) == (1, "net: the NPU reported errors")
    result = run(tmp_path, init=-1)
    assert (result.exit_code, result.console) == (1, "net: the NPU does not answer, or is not the ethos-u55-128\n")


def test_a_file_of_vela(tmp_path: Path) -> None:
    """It needs no Vela, and is refused on a board with another accelerator."""
    model = npu_model(table(), BOARD).model
    report = write_project(model, BOARD, "cmake", tmp_path / "p", count=1, name="net")
    assert report.verified == "identical"
    assert "The model came as a file of Vela" in (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ChipfitError) as caught:
        write_project(model, "corstone-300-u55-64", "cmake", tmp_path / "q")
    assert caught.value.code == "A002"


def test_the_readme_names_arms_model_and_driver(tmp_path: Path) -> None:
    write_project(table(), "corstone-300-u65-256", "cmake", tmp_path / "p", count=1)
    text = (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    assert "FVP_Corstone_SSE-300_Ethos-U65 -C ethosu.num_macs=256 " in text
    build_file = (tmp_path / "p" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert 'set(ETHOSU_TARGET_NPU_CONFIG "ethos-u65-256"' in build_file
    assert "GIT_TAG 24.08" in build_file
    write_project(table(), "imx93-u65-256", "cmake", tmp_path / "q", count=1)
    text = (tmp_path / "q" / "README.md").read_text(encoding="utf-8")
    assert "FVP" not in text
    assert "aligned(1024)" in (tmp_path / "q" / "npu.c").read_text(encoding="utf-8")


def test_other_frameworks_say_that_the_npu_is_idle(tmp_path: Path) -> None:
    report = write_project(table(), BOARD, "zephyr", tmp_path, count=1)
    assert (report.accelerator, report.verified) == (None, "identical")
    assert report.notes == (
        "the project leaves the NPU idle, its C is for the core alone: -f cmake or -f tflm calls the NPU",
    )


def test_what_cannot_be() -> None:
    board = load_board(BOARD)
    assert board.npu is not None
    with pytest.raises(ChipfitError, match=r"npu\.base and npu\.interrupt are missing") as caught:
        write_project(table(), replace(board, npu=replace(board.npu, base=None)), "cmake", "never")
    assert caught.value.code == "B002"
    with pytest.raises(ChipfitError) as caught:
        write_project(pictures(is_float=True), board, "cmake", "never")
    assert caught.value.code == "A004"
