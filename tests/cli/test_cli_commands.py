"""The commands on the demo model: what they print, write and answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from chipfit.demo import load_images

Call = Callable[..., Result]


def good(result: Result) -> str:
    """What a command printed that went well: stdout only, no talk in a pipe."""
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def good_json(result: Result) -> dict[str, Any]:
    return json.loads(good(result))


def small_board(folder: Path, ram: str) -> Path:
    """A board file with little RAM."""
    path = folder / "small.toml"
    path.write_text(
        'name = "small"\ntitle = "Small"\ncore = "cortex-m4f"\nclock_hz = 1_000_000\n'
        f'[memory]\nflash = {{ origin = 0, size = "64K" }}\nram = {{ origin = 0x2000_0000, size = "{ram}" }}\n',
        encoding="utf-8",
    )
    return path


def test_inspect(cli: Call, demo_model: Path) -> None:
    text = good(cli("inspect", demo_model))
    assert "'image' int8[1,8,8,1], scale 0.00392157, zero point -128" in text
    assert "66,624" in text
    assert text.rstrip().splitlines()[-1] == f"Next: chipfit compile {demo_model} -b arduino-nano-33-ble"
    assert good(cli("inspect", demo_model, "--text")).startswith('graph "digits_int8"\ninput %image : int8[1,8,8,1]')
    assert good(cli("inspect", demo_model, "--plan")).startswith("arena   ")


def test_compile(cli: Call, demo_model: Path, demo_folder: Path, tmp_path: Path) -> None:
    assert (demo_folder / "model.c").is_file()
    assert (demo_folder / "firmware.elf").is_file()
    text = good(cli("compile", demo_model, "-b", "arduino-nano-33-ble", "-o", tmp_path / "out", "--kernels"))
    assert "".join(text.split()).startswith(f"Compiled12layersto{tmp_path / 'out'}/")  # a long path breaks the line
    assert "cf_conv2d_s8" in text
    assert f"Next: chipfit run {tmp_path / 'out'}" in text


def test_run_a_folder(cli: Call, demo_folder: Path, tmp_path: Path) -> None:
    text = good(cli("run", demo_folder, "--random", 2, "--seed", 5, "--save", tmp_path / "out.npz"))
    assert "samples       2, random (seed 5)" in text
    assert "chipfit digits_int8: 2 runs, crc32" in text
    with np.load(tmp_path / "out.npz") as saved:
        assert saved["probabilities"].shape == (2, 1, 10)
    images = np.zeros((3, 8, 8, 1), np.int8)
    np.save(tmp_path / "x.npy", images)
    np.savez(tmp_path / "x.npz", image=images)
    outputs = [
        good_json(cli("run", demo_folder, "-i", tmp_path / name, "--json"))["outputs"] for name in ("x.npy", "x.npz")
    ]
    assert outputs[0] == outputs[1]
    assert np.shape(outputs[0][0]["values"]) == (3, 1, 10)


def test_demo_pictures_are_those_that_the_network_takes(cli: Call, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pictures are written with Pillow")
    good(cli("demo", "--pictures", tmp_path / "digits"))
    images, labels = load_images()
    files = sorted((tmp_path / "digits").rglob("*.png"), key=lambda path: path.name)
    assert [int(path.parent.name) for path in files] == labels.tolist()
    read = np.stack([np.asarray(image.open(path)) for path in files])
    assert np.abs(read / 255 - images[..., 0]).max() <= 0.5 / 255 + 1e-6
    assert cli("demo", "--pictures", tmp_path / "digits").exit_code != 0
    assert files[0].is_file()


def test_run_figures_fit_together(cli: Call, demo_folder: Path) -> None:
    data = good_json(cli("run", demo_folder, "--json"))
    assert data["samples"] == 1
    assert data["instructions_per_mac"] == data["instructions"] / data["macs"]
    assert data["macs"] == sum(layer["macs"] for layer in data["layers"]) == 66_624
    assert 0 < sum(layer["instructions"] for layer in data["layers"]) <= data["instructions"]
    assert 0 < data["stack_bytes"] < 4096


def test_run_a_model(cli: Call, demo_model: Path, demo_folder: Path) -> None:
    on_host = good_json(cli("run", demo_model, "-b", "host", "--random", 2, "--json"))
    assert on_host["instructions"] is None
    assert on_host["instructions_per_mac"] is None
    assert on_host["stack_bytes"] is None
    on_chip = good_json(cli("run", demo_folder, "--random", 2, "--json"))
    assert on_host["outputs"] == on_chip["outputs"]
    assert "instructions  unknown" in good(cli("run", demo_model, "-b", "host"))


def test_verify(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    text = good(cli("verify", demo_model, "--random", 2, "-b", "raspberry-pi-pico", "-b", "host"))
    assert "C on raspberry-pi-pico (emulated cortex-m0plus)  identical" in text
    assert text.count("C on the host") == 1
    assert "every byte of every output is identical" in text
    data = good_json(cli("verify", demo_model, "--random", 3, "--no-oracles", "--json"))
    assert (data["samples"], data["identical"], data["against"]) == (3, True, ["C on the host"])


def test_verify_fails_where_a_board_is_too_small(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    result = cli("verify", demo_model, "--random", 1, "-b", small_board(tmp_path, "2K"), "--no-oracles")
    assert result.exit_code == 1
    assert "could not run the model" in result.stdout


def test_does_not_fit(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    result = cli("compile", demo_model, "-b", small_board(tmp_path, "2K"), "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error[M001]: digits_int8 does not fit small: RAM 2.9 KiB of 2.0 KiB")
    assert "\n\nhint: " in result.stderr
    assert not (tmp_path / "out").exists()


def test_boards_ops_and_codes(cli: Call) -> None:
    assert "arduino-nano-33-ble" in good(cli("board", "list"))
    assert "256.0 KiB" in good(cli("board", "show", "arduino-nano-33-ble"))
    assert "DEPTHWISE_CONV_2D" in good(cli("op", "list"))
    assert good(cli("op", "show", "CONV_2D")) == good(cli("op", "show", "conv2d"))
    assert good(cli("explain", "m001")).startswith("M001  does not fit\n")
    assert "stack overflow" in good(cli("explain"))


def test_doctor(cli: Call) -> None:
    data = good_json(cli("doctor", "--json"))
    assert data["ok"] is True
    assert {"zig", "unicorn", "native counter"} <= {check["name"] for check in data["checks"] if check["ok"]}


def test_doctor_misses_the_compiler(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chipfit.emulate.toolchain.zig_cc", lambda: ["no-such-compiler"])
    result = cli("doctor")
    assert result.exit_code == 3
    assert "Not ready: zig." in result.stdout


def test_demo(cli: Call) -> None:
    text = good(cli("demo"))
    assert "98.0% read right (98 of 100)  int8" in text
    assert "98.0% read right (98 of 100)  float32" in text
    assert "all 1,000 bytes of output equal those of the integer reference" in text


def test_wide_and_piped(cli: Call, demo_folder: Path) -> None:
    assert "cf_softmax_s8" in good(cli("run", demo_folder, columns=120))
    assert "cf_softmax_s8" not in good(cli("run", demo_folder, columns=80))
    assert all(line == line.rstrip() for line in good(cli("run", demo_folder)).splitlines())
