"""The option channels_last of chipfit.load and of the commands, on a file that was made for channels first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import chipfit
from chipfit.cli import app
from chipfit.exporters import to_tflite
from passes.channels_first import Net, transposes

FIRST, LAST = (1, 3, 8, 6), (1, 8, 6, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A classifier of images with channels first, float32, as a .tflite file."""
    net, x = Net.start(*FIRST, is_float=True)
    graph = net.done(net.dense(net.flat(net.pool(net.conv(x, 4))), 5))
    (tmp_path / "net.tflite").write_bytes(to_tflite(graph))
    return tmp_path / "net.tflite"


def test_load(path: Path) -> None:
    first, last = chipfit.load(path), chipfit.load(path, channels_last=True)
    assert (len(transposes(first.graph)), len(transposes(last.graph))) == (1, 0)
    assert (first.inputs[0].shape, last.inputs[0].shape) == (FIRST, LAST)
    assert (first.inputs[0].name, first.outputs[0].name) == (last.inputs[0].name, last.outputs[0].name)
    assert first.source == path.read_bytes()
    assert last.source is None, "the file takes another input"
    assert "channels_last: 'x0' float32[1,3,8,6] is float32[1,8,6,3]" in last.passes
    image = np.random.default_rng(0).normal(0, 1, FIRST).astype(np.float32)
    np.testing.assert_array_equal(last.run(np.moveaxis(image, 1, -1))[0], first.run(image)[0])


def test_a_file_with_channels_last_is_read_as_it_is(path: Path) -> None:
    data = to_tflite(chipfit.load(path, channels_last=True).graph)
    assert chipfit.load(data, channels_last=True).source == data


def test_commands(path: Path, tmp_path: Path) -> None:
    """The picture goes in as it is; the int8 model that comes out takes it, too."""
    pictures = np.random.default_rng(0).normal(0, 1, (6, *LAST[1:])).astype(np.float32)
    np.savez(tmp_path / "data.npz", x0=pictures, y=np.arange(6) % 5)
    option, data = "--channels-last", ["--data", str(tmp_path / "data.npz")]

    def call(*words: object) -> str:
        result = CliRunner().invoke(app, [str(w) for w in words])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert json.loads(call("inspect", path, option, "--json"))["inputs"][0]["shape"] == list(LAST)
    call("quantize", path, option, *data, "-o", tmp_path / "int8.tflite")
    assert chipfit.load(tmp_path / "int8.tflite").inputs[0].shape == LAST
    report = json.loads(call("evaluate", path, tmp_path / "int8.tflite", option, *data, "--json"))
    assert (report["samples"], len(report["models"])) == (6, 2)


def test_pictures_need_channels_last(path: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pictures are written with Pillow")
    image.new("RGB", (6, 8)).save(tmp_path / "a.png")
    words = ["quantize", str(path), "--data", str(tmp_path), "-o", str(tmp_path / "int8.tflite")]
    refused = CliRunner().invoke(app, words)
    assert "channels_last=True (--channels-last)" in refused.stderr
    done = CliRunner().invoke(app, [*words, "--channels-last"])
    assert done.exit_code == 0, done.output
