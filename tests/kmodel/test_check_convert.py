"""``chipfit check`` and ``chipfit convert``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import chipfit
import chipfit.targets
from chipfit.cli import app
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Graph
from chipfit.k210 import check_model, convert_model, rewrite_model
from chipfit.kmodel import load as load_kmodel
from chipfit.kmodel.compile.constraints import LIMITS, Conv, broken
from chipfit.kmodel.format.sidecar import read_sidecar
from chipfit.model import Model
from chipfit.ops.mean import Mean
from chipfit.ops.softmax import Softmax
from chipfit.quantize import Preprocessing, Samples
from kmodel.graphs import Net

runner = CliRunner()
GOOD = Conv(12, 12, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1))
CENTRED = Preprocessing(scale=1 / 127.5, mean=(1.0,))


def classifier(first_pad: tuple[int, int, int, int] = (1, 1, 1, 1)) -> Graph:
    net = Net(1, 16, 16, 3)
    x = net.conv(net.x, 8, stride=(2, 2), pad=first_pad, act="relu6")
    x = net.conv(net.depthwise(x, stride=(2, 2), pad=first_pad, act="relu6"), 16, 1, act="relu6")
    return net.done(net.add(Softmax(), net.dense(net.add(Mean((1, 2)), x), 3)))


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(to_tflite(classifier()))
    return path


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
    np.savez(path, x=CENTRED.apply(pixels))
    return path


@pytest.mark.parametrize(
    ("conv", "name"),
    [
        (Conv(12, 12, 8, 8, (5, 5), (1, 1), (2, 2, 2, 2)), "small_filter"),
        (Conv(12, 12, 8, 16, (3, 3), (1, 1), (1, 1, 1, 1), groups=4), "plain_or_depthwise"),
        (Conv(12, 12, 8, 8, (3, 3), (1, 2), (1, 1, 1, 1)), "equal_strides"),
        (Conv(12, 12, 8, 8, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), "no_dilation"),
        (Conv(12, 12, 8, 8, (3, 3), (1, 1), (2, 1, 1, 1)), "border_of_one"),
        (Conv(12, 12, 8, 1025, (1, 1), (1, 1), (0, 0, 0, 0)), "channels_fit"),
        (Conv(300, 12, 8, 8, (1, 1), (1, 1), (0, 0, 0, 0)), "image_fits"),
        (Conv(12, 12, 512, 512, (3, 3), (1, 1), (1, 1, 1, 1)), "weights_load"),
        (Conv(240, 320, 32, 32, (3, 3), (1, 1), (1, 1, 1, 1)), "maps_fit"),
        (Conv(12, 12, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1), images=2), "one_image"),
        (Conv(12, 12, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1), stored=False), "stored_weights"),
    ],
)
def test_each_rule_decides(conv: Conv, name: str) -> None:
    rule = broken(conv)
    assert rule is not None
    assert rule.name == name
    assert broken(GOOD) is None


def test_every_rule_is_told() -> None:
    for rule in LIMITS:
        assert rule.text.endswith(".")
        assert rule.fix


def test_check(model_file: Path) -> None:
    result = runner.invoke(app, ["check", str(model_file), "-b", "maix-bit"])
    assert result.exit_code == 0, result.output
    assert "3 fully accelerated" in result.output
    assert "fits" in result.output
    told = json.loads(runner.invoke(app, ["check", str(model_file), "--json"]).output)
    assert told["schema"] == "chipfit.check"
    assert told["fits"] is True
    assert [layer["status"] for layer in told["layers"]] == ["kpu", "kpu", "kpu", "cpu", "cpu", "cpu"]


def test_a_model_that_cannot_be_loaded(model_file: Path, tmp_path: Path) -> None:
    shipped = Path(chipfit.targets.__file__).parent / "boards" / "maix-bit.toml"
    board = tmp_path / "small.toml"
    board.write_text(shipped.read_text(encoding="utf-8").replace('heap = "3584K"', 'heap = "677K"'), encoding="utf-8")
    result = runner.invoke(app, ["check", str(model_file), "-b", str(board)])
    assert result.exit_code == 1, result.output
    assert "does not fit" in result.output


def test_a_board_without_the_chip(model_file: Path) -> None:
    result = runner.invoke(app, ["check", str(model_file), "-b", "raspberry-pi-pico"])
    assert result.exit_code == 2


@pytest.mark.parametrize("version", ["3", "4"])
def test_convert(model_file: Path, data_file: Path, tmp_path: Path, version: str) -> None:
    out = tmp_path / "net.kmodel"
    words = ["convert", str(model_file), "--for", "k210", "--data", str(data_file), "-o", str(out), "--kmodel", version]
    result = runner.invoke(app, [*words, "--scale", "1/127.5", "--mean", "1"])
    assert result.exit_code == 0, result.output
    assert "pixels 0 to 255 stand for -1 to 1" in result.output
    kmodel = load_kmodel(out)
    assert kmodel.version == int(version)
    facts = read_sidecar(out)
    assert facts is not None
    assert facts.preprocessing == CENTRED
    assert facts.outputs[0].shape == (1, 1, 1, 3)
    # pixels go in as they are, classes come out
    pixels = np.random.default_rng(5).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    model = chipfit.load(model_file)
    for x in pixels:
        wanted = model.run(CENTRED.apply(x)[None])[0]
        got = kmodel.run(x.transpose(2, 0, 1)[None, None]).samples[0].outputs[0]
        assert np.abs(got.ravel() - wanted.ravel()).max() < 0.03


def test_noise_is_told_by_layer(model_file: Path, data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.kmodel"
    result = runner.invoke(app, ["convert", str(model_file), "--data", str(data_file), "-o", str(out), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["schema"] == "chipfit.convert"
    assert told["images"] == [{"input": "x", "low": -1.0, "high": 1.0}]
    assert told["notes"]
    assert all(layer["sqnr"] > 20 for layer in told["layers"])


def test_convert_needs_data_and_a_name(model_file: Path, tmp_path: Path) -> None:
    assert runner.invoke(app, ["convert", str(model_file), "-o", str(tmp_path / "a.kmodel")]).exit_code == 2
    assert runner.invoke(app, ["convert", str(model_file), "-o", str(tmp_path / "a.bin")]).exit_code == 2
    assert not list(tmp_path.glob("a.*"))


def test_the_float_model_rewritten(tmp_path: Path) -> None:
    path, out = tmp_path / "same.tflite", tmp_path / "kpu.tflite"
    path.write_bytes(to_tflite(classifier((0, 0, 1, 1))))
    result = runner.invoke(app, ["convert", str(path), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "2 layers rewritten exactly" in result.output
    before, after = chipfit.load(path), chipfit.load(out)
    x = np.random.default_rng(0).normal(0, 1, (1, 16, 16, 3)).astype(np.float32)
    assert np.allclose(before.run(x)[0], after.run(x)[0], atol=1e-6)
    assert not any(layer.status == "helped" for layer in check_model(after).layers)


def test_what_cannot_be_rewritten_is_told() -> None:
    net = Net(1, 16, 16, 3)
    x = net.conv(net.x, 64, stride=(2, 2), pad=(0, 0, 1, 1))
    model = Model(net.done(net.conv(x, 4, 5, pad=(2, 2, 2, 2))))
    _, report = rewrite_model(model)
    assert not report.changed
    assert "36,864 weights" in report.left[0]
    assert "3x3" in report.left[1]


def test_pixels_turned_round_are_refused() -> None:
    model = Model(classifier())
    samples = Samples((np.zeros((2, 1, 16, 16, 3), np.float32),), (None,))
    with pytest.raises(ChipfitError) as caught:
        convert_model(model, samples, preprocessing=Preprocessing(scale=-1 / 255))
    assert caught.value.code == "Q002"
