"""Models compiled for an Ethos-U: the folder, the figures, the proof, and what cannot be compiled."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.npu import Executor, compile_for_npu, open_target, run_for_npu, run_streams, stacked
from chipfit.npu.compile import differences
from chipfit.targets import load_board

pytestmark = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

BOARD = "corstone-300-u55-128"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("npu") / "digits"
    compile_for_npu(chipfit.load(model_path("int8")), BOARD, path)
    return path


def test_the_demo(folder: Path) -> None:
    manifest = json.loads((folder / "chipfit.json").read_text(encoding="utf-8"))
    report = manifest["report"]
    assert {p.name for p in folder.iterdir()} == {"chipfit.json", report["file"]}
    assert (report["schema"], report["accelerator"], report["how"]) == (
        "chipfit.npu_compile",
        "ethos-u55-128",
        "estimated (Vela)",
    )
    assert report["before"]["cpu"] == 0
    assert report["proof"]["identical"]
    assert report["before"]["milliseconds"] == pytest.approx(report["before"]["cycles"] / 500e3)
    assert 0 < report["before"]["sram"] < 2 << 20
    assert report["before"]["flash"] == (folder / report["file"]).stat().st_size


def test_it_runs_again(folder: Path) -> None:
    """Many samples at once give what one at a time gives, and what the model says."""
    model, compiled = chipfit.load(model_path("int8")), open_target(folder)
    samples = model.samples(70, seed=2)
    executor = Executor(compiled.graph)
    assert executor.most_runs == 64
    (found,) = executor.run(stacked(samples))
    np.testing.assert_array_equal(found, model.run_samples(samples)[0])
    np.testing.assert_array_equal(found[:3], compiled.run_samples(samples[:3])[0])
    with pytest.raises(ChipfitError, match=r"for ethos-u55-128, not for ethos-u65-256") as caught:
        run_streams(compiled, samples[:1], board="corstone-300-u65-256")
    assert caught.value.code == "A002"


def test_both_roundings(folder: Path) -> None:
    """The report says how many elements differ; so does the trace, at the operation where it begins."""
    compiled = open_target(folder)
    samples = compiled.samples(200, seed=3)
    report = run_streams(compiled, samples, dense="single", trace=True)
    plain = Executor(compiled.graph).run(stacked(samples))
    assert report.roundings == differences(compiled.graph, plain, report.outputs)
    assert all(one.differing == 0 for one in report.trace if one.kind == "DMA")
    assert [one.kind for one in report.trace] == [o.kind for o in run_streams(compiled, samples[:1], trace=True).trace]


def test_what_differs_is_counted(folder: Path) -> None:
    graph = open_target(folder).graph
    a = np.zeros((2, *graph.outputs[0].shape), np.int8)
    b = a.copy()
    b[0, 0, 1], b[1, 0, 3] = -3, 1
    (one,) = differences(graph, [a], [b])
    assert (one.elements, one.differing, one.largest) == (a.size, 2, 3)


def test_little_memory_is_an_error(tmp_path: Path) -> None:
    text = (Path(str(load_board.__code__.co_filename)).parent / "boards" / f"{BOARD}.toml").read_text(encoding="utf-8")
    (tmp_path / "small.toml").write_text(text.replace('size = "2M"', "size = 16"), encoding="utf-8")
    with pytest.raises(ChipfitError, match=r"bytes of Sram, 'sram' of .* has 16") as caught:
        compile_for_npu(chipfit.load(model_path("int8")), str(tmp_path / "small.toml"), tmp_path / "out")
    assert caught.value.code == "M001"
    assert not (tmp_path / "out").exists()


def test_a_float_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="computes on real numbers") as caught:
        compile_for_npu(chipfit.load(model_path("float32")), BOARD, tmp_path / "out")
    assert (caught.value.code, "chipfit quantize" in caught.value.hint) == ("A004", True)


def test_a_wrong_stream_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The proof can fail: a reference that says something else stops the compilation before anything is written."""
    run = chipfit.Model.run_samples
    monkeypatch.setattr(chipfit.Model, "run_samples", lambda *a: tuple(y ^ 1 for y in run(*a)))
    with pytest.raises(ChipfitError, match="differ between the reference and the stream") as caught:
        compile_for_npu(chipfit.load(model_path("int8")), BOARD, tmp_path / "out")
    assert caught.value.code == "V001"
    assert not (tmp_path / "out").exists()


def test_a_board_without_an_npu() -> None:
    with pytest.raises(ChipfitError, match="has no NPU") as caught:
        run_for_npu(chipfit.load(model_path("int8")), "raspberry-pi-pico", [])
    assert caught.value.code == "U001"


def test_verify() -> None:
    model = chipfit.load(model_path("int8"))
    report = chipfit.verify(model, model.samples(2), boards=(BOARD,), oracles=False)
    assert [(c.against, c.identical) for c in report.comparisons] == [
        ("Vela's stream for ethos-u55-128 (simulated)", True)
    ]


def test_evaluate(folder: Path) -> None:
    """A file of Vela answers as the model that it was made of."""
    from chipfit.evaluation import evaluate_models

    rng = np.random.default_rng(0)
    model = chipfit.load(model_path("int8"))
    x = rng.uniform(0, 1, (20, *model.inputs[0].shape[1:])).astype(np.float32)
    labels = rng.integers(0, 10, 20)
    file = next(folder.glob("*.tflite"))
    found = evaluate_models([model_path("int8"), file], {model.inputs[0].name: x, "labels": labels}).models
    assert found[0].top1 == found[1].top1
    assert found[0].confusion == found[1].confusion


def test_states_of_an_lstm_live_in_the_stream(models_dir: Path, tmp_path: Path) -> None:
    """Sums of 16 bits through tanh and the logistic function; the state goes on from run to run."""
    model = chipfit.load(models_dir / "tflm_mnist_lstm_int8.tflite")
    report = compile_for_npu(model, BOARD, tmp_path / "lstm", samples=3)
    assert (report.before.cpu, report.proof.differing) == (0, 0)
    assert set(open_target(tmp_path / "lstm").graph.variables) == set(model.graph.variables)
