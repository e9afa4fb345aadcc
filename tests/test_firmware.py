"""A compiled model: runs, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit import firmware as firmware_module
from chipfit.demo import load_images, model_path
from chipfit.demo.run import quantized
from chipfit.emulate import MachineResult, run_elf
from chipfit.firmware import ELF_NAME
from chipfit.graph import Array
from chipfit.targets import Memory, load_board

CHIP = "nucleo-l4r5zi"


@pytest.fixture(scope="module")
def model() -> chipfit.Model:
    return chipfit.load(model_path("int8"))


@pytest.fixture(scope="module")
def chip(model: chipfit.Model, tmp_path_factory: pytest.TempPathFactory) -> chipfit.Firmware:
    return model.compile(CHIP, tmp_path_factory.mktemp("firmware") / "chip")


@pytest.fixture(scope="module")
def host(model: chipfit.Model, tmp_path_factory: pytest.TempPathFactory) -> chipfit.Firmware:
    return model.compile("host", tmp_path_factory.mktemp("firmware") / "host")


def pictures(model: chipfit.Model, count: int) -> Array:
    return quantized(load_images()[0][:count], model.inputs[0])


def test_several_samples(model: chipfit.Model, chip: chipfit.Firmware, host: chipfit.Firmware) -> None:
    x = pictures(model, 5)
    expected = model.run_samples([(p[np.newaxis],) for p in x])[0]
    on_chip, on_host = chip.run(x), host.run(x)
    assert on_chip.outputs[0].tobytes() == on_host.outputs[0].tobytes() == expected.tobytes()
    assert on_chip.outputs[0].shape == (5, 1, 10)
    assert "5 runs" in on_chip.proof
    assert on_chip.instructions
    assert on_chip.stack_bytes
    assert on_host.instructions is None
    assert on_host.stack_bytes is None
    assert [layer.op for layer in on_chip.layers] == [layer["op"] for layer in chip.manifest["layers"]]


def test_instructions_are_those_of_one_run(model: chipfit.Model, chip: chipfit.Firmware) -> None:
    x = pictures(model, 1)
    one, three = chip.run(x), chip.run(np.concatenate([x, x, x]))
    assert one.instructions == three.instructions
    assert one.layers == three.layers
    assert one.stack_bytes == three.stack_bytes


def test_no_samples(chip: chipfit.Firmware, host: chipfit.Firmware) -> None:
    for firmware in (chip, host):
        report = firmware.run([])
        assert report.samples == 0
        assert report.outputs[0].shape == (0, 1, 10)


def test_inputs_that_do_not_fit(chip: chipfit.Firmware) -> None:
    good = np.zeros((1, 8, 8, 1), np.int8)
    wrong: list[tuple[Any, str]] = [
        (good[:, :7], "I001"),
        (good.astype(np.uint8), "I002"),
        (good.astype(np.float32), "I002"),
        ([(good, good)], "I001"),
        ([()], "I001"),
        ({"a": good, "b": good}, "I003"),
    ]
    for source, code in wrong:
        with pytest.raises(chipfit.ChipfitError) as caught:
            chip.run(source)
        assert caught.value.code == code, source


@pytest.mark.parametrize("lie", ["fewer runs", "other output", "exit code", "silence"])
def test_a_run_that_does_not_prove_itself(
    lie: str, model: chipfit.Model, chip: chipfit.Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(elf: Path, board: chipfit.Board, *, stdin: bytes, **options: Any) -> MachineResult:
        result = run_elf(elf, board, stdin=stdin[:-1] if lie == "fewer runs" else stdin, **options)
        if lie == "other output":
            return dataclasses.replace(result, output=bytes([result.output[0] ^ 1]) + result.output[1:])
        if lie == "exit code":
            return dataclasses.replace(result, exit_code=3)
        return dataclasses.replace(result, console="") if lie == "silence" else result

    monkeypatch.setattr(firmware_module, "run_elf", run)
    with pytest.raises(chipfit.ChipfitError, match="expected 'chipfit digits_int8: 2 runs, crc32") as caught:
        chip.run(pictures(model, 2))
    assert caught.value.code == "E005"


def test_limit_of_instructions(model: chipfit.Model, chip: chipfit.Firmware) -> None:
    with pytest.raises(chipfit.ChipfitError, match="more than 1,000 instructions") as caught:
        chip.run(pictures(model, 1), max_instructions=1000)
    assert caught.value.code == "E004"


def test_stack_that_is_too_small(model: chipfit.Model, tmp_path: Path) -> None:
    firmware = model.compile(CHIP, tmp_path / "out", stack_bytes=16)
    with pytest.raises(chipfit.ChipfitError, match="below the stack of 16 B") as caught:
        firmware.run(pictures(model, 1))
    assert caught.value.code == "E002"


def test_folder_that_moved(model: chipfit.Model, tmp_path: Path) -> None:
    """A board of the user's own travels with the folder; its file may be gone."""
    board = tmp_path / "mine.toml"
    board.write_text(QEMU_BOARD)
    model.compile(str(board), tmp_path / "out")
    board.unlink()
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = chipfit.Firmware.open(tmp_path / "moved")
    x = pictures(model, 1)
    assert moved.run(x).outputs[0][0].tobytes() == model.run(x)[0].tobytes()


def test_board_that_is_no_file(model: chipfit.Model, tmp_path: Path) -> None:
    """What was compiled for is what is emulated, although a shipped board has the same name."""
    shipped = load_board(CHIP)
    ram = Memory("ram", "ram", 0x3000_0000, 64 * 1024)
    board = dataclasses.replace(shipped, memories=(shipped.flash, ram))
    report = model.compile(board, tmp_path / "out").run(model.samples(1))
    assert report.outputs[0].tobytes() == model.run_samples(model.samples(1))[0].tobytes()


def test_damaged_folder(model: chipfit.Model, chip: chipfit.Firmware, tmp_path: Path) -> None:
    shutil.copytree(chip.folder, tmp_path / "out")
    (tmp_path / "out" / ELF_NAME).unlink()
    with pytest.raises(chipfit.ChipfitError) as caught:
        chipfit.Firmware.open(tmp_path / "out").run(pictures(model, 1))
    assert caught.value.code == "F001"
    without = dict(chip.manifest, report={})
    with pytest.raises(chipfit.ChipfitError, match="no report") as caught:
        _ = chipfit.Firmware(chip.folder, without).report
    assert caught.value.code == "P002"


@pytest.mark.parametrize("optimize", ["balanced", "size", "speed"])
def test_gcc_of_the_user(optimize: Any, model: chipfit.Model, tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    x = pictures(model, 3)
    firmware = model.compile(CHIP, tmp_path / "out", cc="arm-none-eabi-gcc", optimize=optimize)
    assert firmware.report.compiler == "arm-none-eabi-gcc"
    expected = model.run_samples([(p[np.newaxis],) for p in x])[0]
    assert firmware.run(x).outputs[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("optimize", ["balanced", "size", "speed"])
@pytest.mark.parametrize("board", [CHIP, "nucleo-f103rb", "raspberry-pi-pico", "esp32-c3"])
def test_every_goal_gives_the_same_bytes(optimize: Any, board: str, model: chipfit.Model, tmp_path: Path) -> None:
    x = pictures(model, 3)
    expected = model.run_samples([(p[np.newaxis],) for p in x])[0]
    report = model.compile(board, tmp_path / "out", optimize=optimize).run(x)
    assert report.outputs[0].tobytes() == expected.tobytes()


# Arm MPS2 with the AN386 image (Cortex-M4), as qemu-system-arm has it: 4 MiB at 0 and at 0x2000_0000
QEMU_BOARD = """name = "mps2-an386"
title = "Arm MPS2 AN386 (Cortex-M4)"
core = "cortex-m4f"
clock_hz = 25_000_000
[memory]
flash = { origin = 0, size = "4M" }
ram = { origin = 0x2000_0000, size = "4M" }
"""


def test_same_bytes_on_another_emulator(model: chipfit.Model, tmp_path: Path) -> None:
    """QEMU runs the very same program: the inputs come from a file, the outputs go to one."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    board = tmp_path / "mps2-an386.toml"
    board.write_text(QEMU_BOARD)
    firmware = model.compile(str(board), tmp_path / "out")
    x = pictures(model, 10)
    ours = firmware.run(x)
    (tmp_path / "chipfit.in").write_bytes(x.tobytes())
    command = [qemu, "-M", "mps2-an386", "-semihosting", "-nographic", "-kernel", str(firmware.folder / ELF_NAME)]
    done = subprocess.run(command, cwd=tmp_path, timeout=60, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert ours.proof in (done.stdout + done.stderr).splitlines()
    assert (tmp_path / "chipfit.out").read_bytes() == ours.outputs[0].tobytes()
    expected = model.run_samples([(p[np.newaxis],) for p in x])[0]
    assert ours.outputs[0].tobytes() == expected.tobytes()
