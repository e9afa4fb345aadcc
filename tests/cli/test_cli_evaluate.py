"""``chipfit evaluate`` from files to a table, JSON and charts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from chipfit.demo import model_path

Call = Callable[..., Result]
F32, INT8 = model_path("float32"), model_path("int8")
DATA = F32.with_name("digits_test.npz")


def test_table_for_people(cli: Call) -> None:
    result = cli("evaluate", F32, INT8, "--data", DATA, "--scale", "1/16", "--limit", 60, columns=100)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert text.startswith(f"2 models  60 samples of {DATA}"[:40])
    heads = [line.split() for line in text.splitlines() if line.startswith("model ")]
    assert heads[0] == ["model", "kind", "top-1", "95%", "within", "top-5", "agreement", "SQNR,", "dB"]
    assert heads[1] == ["model", "file,", "KiB", "weights,", "KiB", "LiteRT,", "ms", "chipfit", "C,", "ms"]
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("digits_")}
    assert set(rows) == {"digits_f32", "digits_int8"}
    assert "reference" in text
    assert "within noise" in text
    assert "chipfit compile" in text
    assert max(map(len, text.splitlines())) <= 100 + len(str(INT8))


def test_json_has_all_of_it(cli: Call, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"digit {i}" for i in range(10)))
    words = ["--scale", "1/16", "--skip", 90, "--labels", names, "-b", "arduino-nano-33-ble", "--json"]
    result = cli("evaluate", INT8, "--data", DATA, "--reference", F32, *words)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    assert (report["schema"], report["samples"], report["skipped"]) == ("chipfit.evaluate", 10, 90)
    assert report["class_names"][3] == "digit 3"
    assert [m["name"] for m in report["models"]] == ["digits_f32", "digits_int8"]
    int8 = report["models"][1]
    assert int8["agreement"] >= 0.9
    assert int8["board"]["instructions"] > 0
    assert int8["top1"]["total"] == 10
    assert np.sum(int8["confusion"]) == 10
    assert len(report["differences"]) == 1


def test_a_folder_of_pictures_with_a_folder_for_each_class(cli: Call, tmp_path: Path) -> None:
    image_module: Any = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    data = np.load(DATA)
    for i, (pixels, label) in enumerate(zip(data["images"], data["labels"], strict=True)):
        folder = tmp_path / "data" / f"digit{label}"
        folder.mkdir(parents=True, exist_ok=True)
        image_module.fromarray(pixels * 15).save(folder / f"{i:03}.png")
    words = ["--scale", "1/240", "--chart", tmp_path / "charts", "--json"]
    result = cli("evaluate", F32, "--data", tmp_path / "data", *words)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    assert report["labelled"] == "folders"
    assert report["class_names"] == [f"digit{i}" for i in range(10)]
    assert report["pixels"]["scale"] == 1 / 240
    assert report["models"][0]["top1"]["share"] > 0.9
    assert {p.name for p in (tmp_path / "charts").iterdir()} == {"evaluation.png", "confusion_digits_f32.png"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["{f32}", "--data", "{folder}"], "Q001"),
        (["{f32}", "--data", "{folder}/absent.npz"], "I004"),
        (["{f32}", "--data", "{data}", "--skip", "100"], "Q001"),
        (["{f32}", "--data", "{data}", "--labels", "name"], "Q006"),
        (["{f32}", "--data", "{data}", "--scale", "x"], "U001"),
        (["{f32}", "--data", "{data}", "--chart", "{folder}/a.pdf"], "U001"),
        (["{f32}", "{folder}/absent.tflite", "--data", "{data}"], "F001"),
        (["{f32}", "--data", "{data}", "-b", "no-such-board"], "B001"),
    ],
)
def test_refusals(words: list[str], code: str, cli: Call, tmp_path: Path) -> None:
    result = cli("evaluate", *(w.format(f32=F32, data=DATA, folder=tmp_path) for w in words))
    assert result.exit_code in (1, 2)
    assert f"error[{code}]" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_charts_need_matplotlib(cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = cli("evaluate", F32, "--data", DATA, "--chart", tmp_path / "a.png")
    assert result.exit_code == 3
    assert "error[T001]" in result.stderr
    assert "chipfit[report]" in result.stderr
