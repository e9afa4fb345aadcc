"""``chipfit quantize`` from file to file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

import chipfit
from chipfit.exporters.tflite import to_tflite
from chipfit.quantization import preprocessing_of
from chipfit.quantize import Preprocessing
from quantize.nets import SIDE, mobile, pictures

Call = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "net.tflite"
    file.write_bytes(to_tflite(mobile(np.random.default_rng(0))))
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "net.npz", x=pictures(np.random.default_rng(1), 40))
    return tmp_path / "net.npz"


def test_writes_a_model_of_integers(model: Path, data: Path, cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    result = cli(
        "quantize", model, "--data", data, "-o", out, "--samples", 30, "--recipe", "int8 input=uint8", "--json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["calibrated"], report["tested"], report["recipe"]) == (30, 10, "int8 input=uint8")
    assert "not calibrated with" in report["how"]
    assert report["result"]["sqnr"] > 15
    assert (report["file"], report["file_bytes"]) == (str(out), out.stat().st_size)
    written = chipfit.load(out)
    assert (written.inputs[0].dtype, written.outputs[0].dtype) == ("uint8", "int8")
    assert written.is_integer
    assert not written.is_float


def test_explain_adds_one_step_after_the_other(model: Path, data: Path, cli: Call) -> None:
    result = cli("quantize", model, "--data", data, "--samples", 30, "--recipe", "int8 -pool", "--explain", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    recipes = [row["recipe"] for row in report["contributions"]]
    assert recipes[0] == "int8 -equalize -reconstruct -bias -match -pool"
    assert recipes[1] == "int8 -equalize -reconstruct -match -pool"
    assert recipes[-1] == report["recipe"] == "int8 -pool"
    assert report["contributions"][-1]["sqnr"] == report["result"]["sqnr"]


def test_the_same_samples_where_there_are_no_others(model: Path, data: Path, cli: Call) -> None:
    result = cli("quantize", model, "--data", data, columns=100)
    assert result.exit_code == 0, result.output
    assert "the samples that were calibrated with" in " ".join(result.stdout.split())
    assert "net_int8.tflite" in result.stdout


def test_a_folder_of_pictures(model: Path, cli: Call, tmp_path: Path) -> None:
    image_module: Any = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(2)
    for i in range(6):
        pixels = rng.integers(0, 256, (2 * SIDE, 3 * SIDE, 3), dtype=np.uint8)
        image_module.fromarray(pixels).save(tmp_path / f"{i}.png")
    words = ["--data", tmp_path, "--samples", 4, "--scale", "1/127.5", "--mean", "0,0,0", "--std", "1"]
    result = cli("quantize", model, *words, "-o", tmp_path / "out.tflite", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["calibrated"], report["tested"]) == (4, 2)
    assert report["inputs"][0]["scale"] == pytest.approx(2 / 255)
    kept = preprocessing_of(chipfit.load(tmp_path / "out.tflite"))
    assert kept == Preprocessing(scale=1 / 127.5, mean=(0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--data", "{data}", "--recipe", "int9"], "Q003"),
        (["--data", "{folder}/absent.npz"], "I004"),
        (["--data", "{folder}"], "Q001"),
        (["--data", "{data}", "--mean", "x"], "U001"),
        (["--data", "{data}", "--scale", "1/0"], "U001"),
        (["--data", "{data}", "-o", "{model}"], "U001"),
        (["--data", "{data}", "-o", "{folder}/absent/out.tflite"], "P003"),
    ],
)
def test_refusals(words: list[str], code: str, model: Path, data: Path, cli: Call, tmp_path: Path) -> None:
    before = model.read_bytes()
    folder = tmp_path / "empty"
    folder.mkdir()
    result = cli("quantize", model, *(w.format(data=data, folder=folder, model=model) for w in words))
    assert result.exit_code != 0
    assert code in result.stderr
    assert model.read_bytes() == before
    assert list(folder.iterdir()) == []
