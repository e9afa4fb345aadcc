"""``chipfit project`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from chipfit.cli import app
from chipfit.exporters import to_tflite
from chipfit.projects import framework_names
from projects.small import pictures


def cli(*words: object, command: str = "project") -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [command, *map(str, words)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Of pictures of 4 x 4 pixels and 9 classes."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(to_tflite(pictures().graph))
    return path


def test_text(model: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join("abcdefghi"))
    np.savez(tmp_path / "data.npz", x=np.arange(48, dtype=np.uint8).reshape(3, 4, 4), labels=np.zeros(3))
    out = tmp_path / "my project"
    options = ("--inputs", tmp_path / "data.npz", "--count", 2, "--labels", tmp_path / "names.txt", "--scale", "1/16")
    result = cli(model, "-b", "arduino-nano-33-ble", "-f", "arduino", "-o", out, *options, "--name", "Zahlen größer")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("my project/  Arduino library, arduino-nano-33-ble")
    (line,) = [line for line in lines if line.startswith("tests")]
    assert line == (
        "tests  2 inputs (0.0 KiB of flash more), samples of data.npz: "
        "outputs on the emulated board are the reference's, identical"
    )
    assert lines[-4:] == [
        f"Next: cd '{out}'",
        "      arduino-cli compile -b arduino:mbed_nano:nano33ble --library . examples/ClassifyStoredPictures",
        "      arduino-cli upload -b arduino:mbed_nano:nano33ble -p PORT examples/ClassifyStoredPictures",
        "      arduino-cli monitor -p PORT -c baudrate=115200",
    ]
    assert (out / "src" / "zahlen_gr_er" / "model.h").is_file()
    assert '"c",' in (out / "src" / "zahlen_gr_er" / "classes.c").read_text()


@pytest.mark.parametrize(("board", "more"), [("nucleo-f103rb", ["chipfit flash ."]), ("raspberry-pi-pico", [])])
def test_pixels_and_json(board: str, more: list[str], model: Path, tmp_path: Path) -> None:
    """The options say how pixels become the input; then the project has preprocessing in C. A board without a probe
    that is known is not flashed by chipfit."""
    out = tmp_path / "p"
    report = json.loads(cli(model, "-b", board, "-f", "cmake", "-o", out, "--scale", "1/16", "--json").stdout)
    assert report["inputs_how"] == "random pixels (seed 0)"
    assert (report["inputs"], report["inputs_bytes"]) == (4, 4 * (16 + 9))
    assert report["verified"] == "identical"
    assert report["commands"] == ["cmake -B build --toolchain toolchain.cmake", "cmake --build build", *more]
    assert "real = pixel * 0.0625" in (out / "model" / "preprocess.h").read_text()
    result = cli(out, command="run")
    assert result.stderr.startswith(f"error[P002]: {out} holds a project for cmake, not a compiled model\n")
    assert f"`chipfit flash {out}`" in result.stderr


def test_errors(model: Path, tmp_path: Path) -> None:
    result = cli(model, "-b", "maix-bit", "-f", "arduino", "-o", tmp_path / "p")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error[U001]: there is no arduino project for the board maix-bit\n\nhint: `-f` may be"
    )
    assert cli(model, "-b", "maix-bit", "-f", "nothing").exit_code == 2
    result = cli(model, "-b", "maix-bit", "-f", "cmake", "--labels", "names.csv", "-o", tmp_path / "p")
    assert result.stderr.startswith("error[Q006]: 'names.csv' holds no names")
    assert not (tmp_path / "p").exists()


def test_help_names_all_frameworks() -> None:
    text = cli("--help").stdout
    assert all(name in text for name in framework_names())
