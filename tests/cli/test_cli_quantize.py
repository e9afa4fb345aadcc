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
from chipfit.metadata import facts_of
from chipfit.oracle import have_litert
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


def test_steps_adds_one_step_after_the_other(model: Path, data: Path, cli: Call) -> None:
    result = cli("quantize", model, "--data", data, "--samples", 30, "--recipe", "int8 -pool", "--steps", "--json")
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
    kept = facts_of(chipfit.load(tmp_path / "out.tflite")).preprocessing
    assert kept == Preprocessing(scale=1 / 127.5, mean=(0.0, 0.0, 0.0))


def test_a_folder_of_variants(model: Path, data: Path, cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "variants"
    result = cli("quantize", model, "--data", data, "-o", out, "--samples", 30, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["schema"], report["float_bytes"]) == ("chipfit.quantize_set", model.stat().st_size)
    modes = ["float16", "dynamic", "int8", "int16x8"]
    assert [v["recipe"] for v in report["variants"]] == modes
    assert sorted(p.name for p in out.iterdir()) == sorted(f"net_{mode}.tflite" for mode in modes)
    for mode, variant in zip(modes, report["variants"], strict=True):
        file = out / f"net_{mode}.tflite"
        assert (variant["file"], variant["file_bytes"]) == (str(file), file.stat().st_size)
        assert variant["file_bytes"] < report["float_bytes"]
        assert variant["result"]["sqnr"] > 15
        assert ("LiteRT" in variant["how"]) == (mode in ("float16", "dynamic") and have_litert())
    kinds = {mode: chipfit.load(out / f"net_{mode}.tflite").inputs[0].dtype for mode in modes}
    assert kinds == {"float16": "float32", "dynamic": "float32", "int8": "int8", "int16x8": "int16"}


def test_recipes_of_one_mode_get_names_of_their_own(model: Path, data: Path, cli: Call, tmp_path: Path) -> None:
    long = "int8 ; " + 60 * "a" + "{}: -bias"
    words = [w for r in ("int8", "int8 -pool", long.format(1), long.format(2), "int8") for w in ("--recipe", r)]
    out = tmp_path / "variants"
    out.mkdir()
    (out / "mine.txt").write_text("stays")
    result = cli("quantize", model, "--data", data, "-o", out, *words, columns=100)
    assert result.exit_code == 0, result.output
    cut = f"net_int8-{55 * 'a'}"
    expected = ["mine.txt", "net_int8-no-pool.tflite", "net_int8.tflite", f"{cut}.tflite", f"{cut}_2.tflite"]
    assert sorted(p.name for p in out.iterdir()) == sorted(expected)
    assert "net in 4 variants" in result.stdout
    assert f"chipfit evaluate {model}" in " ".join(result.stdout.split())


def test_without_samples(model: Path, cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    result = cli("quantize", model, "-o", out, "--recipe", "float16", "--scale", "1/255", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["result"], report["calibrated"], report["tested"]) == (None, 0, 0)
    assert report["how"].startswith("not measured")
    assert facts_of(chipfit.load(out)).preprocessing == Preprocessing(scale=1 / 255)


def test_all_variants_or_none(model: Path, data: Path, tmp_path: Path, cli: Call) -> None:
    """The third file cannot be written, since a folder has its name: the first two are not there either."""
    out = tmp_path / "variants"
    (out / "net_int8.tflite").mkdir(parents=True)
    result = cli("quantize", model, "--data", data, "-o", out, "--samples", 8)
    assert result.exit_code == 2
    assert "P003" in result.stderr
    assert [p.name for p in out.iterdir()] == ["net_int8.tflite"]


def test_the_api_takes_names_and_arrays(model: Path) -> None:
    x = pictures(np.random.default_rng(1), 30)
    made = chipfit.quantize_model(str(model), x, "int8 output=float32", calibrated=24)
    assert (made.report.calibrated, made.report.tested) == (24, 6)
    assert made.model.outputs[0].dtype == "float32"
    (scores,) = made.model.run(made.model.samples(1)[0][0])
    assert scores.shape == (1, 5)
    assert len(made.tflite()) < model.stat().st_size


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
        (["--data", "{data}", "-o", "{data}"], "P003"),
        (["--data", "{data}", "-o", "{folder}/a.tflite", "--recipe", "int8", "--recipe", "dynamic"], "U001"),
        (["--data", "{data}", "--recipe", "float16 input=uint8"], "Q003"),
        (["--recipe", "int8"], "Q001"),
        (["-o", "{folder}/variants"], "Q001"),
        (["--recipe", "float16", "--steps"], "Q001"),
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


def test_a_budget_widens_tensors(model: Path, data: Path, cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "mixed.tflite"
    words = ("quantize", model, "--data", data, "--samples", 30, "--min-sqnr", 90, "--max-int16", 1)
    result = cli(*words, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    mixed = report["mixed"]
    assert not mixed["met"]
    assert (mixed["fitted"], mixed["held_back"]) == (22, 8)
    (widened,) = mixed["widened"]
    assert report["recipe"] == f"int8 ; {widened['name']}: activations=int16"
    assert widened["arena_bytes"] == mixed["arena_bytes"] + widened["cost_bytes"]
    wide = {v.name for v in chipfit.load(out).graph.values() if v.dtype.value == "int16"}
    assert widened["name"] in wide
    shown = cli(*words)
    assert "at least 90 dB, at most 1 tensors in int16: not met" in shown.stdout


@pytest.mark.parametrize("words", [["--max-int16", 2], ["--min-sqnr", 20, "--recipe", "dynamic"], ["--max-drop", 101]])
def test_budgets_that_are_none(model: Path, data: Path, cli: Call, words: list[str | int]) -> None:
    result = cli("quantize", model, "--data", data, *words)
    assert result.exit_code == 2
    assert "error[U001]" in result.stderr
