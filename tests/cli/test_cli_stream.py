"""``chipfit stream`` from file to file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import chipfit
from chipfit.exporters.tflite import to_tflite
from streaming.windows import bytes_of, frames_of, on_windows, small_net, stacked

Call = Callable[..., Result]


@pytest.fixture
def window(tmp_path: Path) -> Path:
    file = tmp_path / "window.tflite"
    file.write_bytes(to_tflite(small_net()))
    return file


def test_writes_a_model_that_gives_the_window_models_outputs(window: Path, cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "stream.tflite"
    result = cli("stream", window, "-o", out, "--step", 2, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["file"], report["file_bytes"], report["step"]) == (str(out), out.stat().st_size, 2)
    model = chipfit.load(out)
    assert model.macs == report["macs"]
    frames = frames_of(model, report["warm_up"] + 4)
    assert bytes_of(model.run_samples(frames)) == stacked(on_windows(chipfit.load(window).graph, frames, 1))


def test_without_a_file_nothing_is_written(window: Path, cli: Call, tmp_path: Path) -> None:
    result = cli("stream", window)
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("-o window_stream.tflite")
    assert [p.name for p in tmp_path.iterdir()] == ["window.tflite"]


def test_the_window_model_is_not_overwritten(window: Path, cli: Call) -> None:
    before = window.read_bytes()
    result = cli("stream", window, "-o", window.parent / "." / "window.tflite")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is the window model itself" in result.stderr
    assert window.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "start"),
    [
        (["--step", "15"], 2, "error[U001]: a step of 15 is not less than the window of 15"),
        (["--axis", "2"], 2, "error[U001]: the input [1, 15, 1, 6] has no axis 2"),
        (["--axis", "3"], 1, "error[S001]: 1 layer cannot follow axis 3"),
        (["--step", "14"], 1, "error[S002]: "),
        (["--step", "0"], 2, "Usage: "),
        (["-o", "{folder}"], 2, "error[P003]: "),
    ],
)
def test_refusals(words: list[str], code: int, start: str, window: Path, cli: Call, tmp_path: Path) -> None:
    result = cli("stream", window, *(word.format(folder=tmp_path) for word in words))
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(start)
