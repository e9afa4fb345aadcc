"""Whole evaluations, held against what the reference interpreters say of each sample."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import EvaluationReport, evaluate_models
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.evaluation import right_answers
from chipfit.evaluation.candidates import candidates
from chipfit.evaluation.tally import Signal
from chipfit.exporters.tflite import to_tflite
from chipfit.graph import Array, Graph
from chipfit.model import Model
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.logistic import Logistic
from chipfit.ops.reshape import Reshape
from chipfit.quantization import quantize_model
from chipfit.quantize import Preprocessing, Samples
from chipfit.quantize.measure import agreement, signal_to_noise
from quantize.nets import Builder, mobile, normal, pictures

SCALED = Preprocessing(scale=1 / 16)
F32, INT8 = model_path("float32"), model_path("int8")
DIGITS = F32.with_name("digits_test.npz")


def before_softmax(model: Model) -> Model:
    """The same model without its last node."""
    graph = model.graph
    assert graph.nodes[-1].op.name == "softmax"
    return Model(Graph(graph.name, graph.inputs, [graph.nodes[-1]["x"]], graph.nodes[:-1]))


def scores_of(model: Model, stored: Array) -> Array:
    """(samples, classes), by the definitions of the operators."""
    judged = before_softmax(model)
    (y,) = judged.run_samples([(x,) for x in stored])
    flat, info = y.reshape(len(y), -1).astype(np.float64), judged.outputs[0]
    return flat if info.scale is None else (flat - (info.zero_point or 0)) * info.scale


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return evaluate_models([F32, INT8], DIGITS, preprocessing=SCALED, skip=3, limit=90)


def test_right_answers_are_those_that_are_counted(report: EvaluationReport) -> None:
    found = right_answers([F32, INT8], DIGITS, preprocessing=SCALED, skip=3, limit=90)
    assert found is not None
    (difference,) = report.differences
    a, b = found
    assert [int(right.sum()) for right in found] == [m.top1.count for m in report.models if m.top1]
    assert ((a & ~b).sum(), (b & ~a).sum()) == (difference.only_a, difference.only_b)
    first = int(np.flatnonzero(~b)[0])
    one = right_answers([INT8], DIGITS, preprocessing=SCALED, skip=3 + first, limit=1)
    assert one is not None
    assert one[0].tolist() == [False]
    pixels = np.load(DIGITS)["images"]
    assert right_answers([F32], {"image": pixels}, preprocessing=SCALED) is None


def test_figures_are_those_of_the_reference_interpreter(report: EvaluationReport) -> None:
    data = np.load(DIGITS)
    pixels, labels = data["images"][3:93, None, :, :, None], data["labels"][3:93]
    f32, int8 = chipfit.load(F32), chipfit.load(INT8)
    exact = scores_of(f32, pixels.astype(np.float32) / 16)
    scale = np.float32(int8.inputs[0].scale)
    rounded = scores_of(int8, (np.rint(pixels.astype(np.float32) / 16 / scale) - 128).astype(np.int8))
    first, second = report.models
    assert (report.samples, report.skipped, report.reference, report.classes) == (90, 3, "digits_f32", 10)
    assert (first.form, second.form, first.engine, second.engine) == ("float32", "int8", "LiteRT", "chipfit C")
    for model, scores in ((first, exact), (second, rounded)):
        assert model.top1 is not None
        assert model.top5 is not None
        assert model.top1.count == int((scores.argmax(axis=1) == labels).sum())
        places = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        assert model.top5.count == sum(int(y) in row for y, row in zip(labels, places.tolist(), strict=True))
        matrix = np.array(model.confusion)
        assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=10).tolist()
        assert matrix.trace() == model.top1.count
    assert (first.agreement, first.sqnr) == (None, None)
    assert second.agreement == agreement(exact, rounded)
    assert second.sqnr is not None
    assert second.sqnr == pytest.approx(signal_to_noise(exact, rounded), abs=1e-3)
    assert second.sqnr > 20
    (difference,) = report.differences
    a, b = (s.argmax(axis=1) == labels for s in (exact, rounded))
    assert (difference.a, difference.b) == ("digits_f32", "digits_int8")
    assert (difference.only_a, difference.only_b) == (
        int((a & ~b).sum()),
        int((b & ~a).sum()),
    )


def test_sizes_and_times(report: EvaluationReport) -> None:
    for model, file in zip(report.models, (F32, INT8), strict=True):
        assert model.file_bytes == file.stat().st_size
        assert 0 < model.weights_bytes < model.file_bytes
        assert [t.engine for t in model.latency] == ["LiteRT", "chipfit C"][: 1 + (file == INT8)]
        for t in model.latency:
            assert 0 < t.low <= t.median <= t.high
            assert t.runs >= 7
            assert t.how == f"measured (host: {t.engine}, 1 thread)"


def test_the_output_itself_may_hold_equal_elements() -> None:
    """An int8 softmax of many nearly equal scores cannot tell them apart; the scores can."""
    rng = np.random.default_rng(3)
    made = quantize_model(Model(mobile(rng)), Samples((pictures(rng, 40),), (None,)), calibrated=30)
    x = pictures(rng, 60)
    report = evaluate_models([made.model], {"x": x})
    stored = np.clip(np.rint(x / made.model.inputs[0].scale) + made.model.inputs[0].zero_point, -128, 127)
    (output,) = made.model.run_samples([(s,) for s in stored.astype(np.int8)])
    unclear = (
        output.reshape(60, -1).argmax(axis=1) != scores_of(made.model, stored.astype(np.int8)).argmax(axis=1)
    ).sum()
    assert report.models[0].unclear == unclear
    assert (report.models[0].top1, report.reference, report.models[0].agreement) == (None, None, None)


def test_two_inputs_of_one_model_are_run_in_batches_like_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chipfit.evaluation.run._MOST_IN_BATCH", 7)
    report = evaluate_models([F32, INT8], DIGITS, preprocessing=SCALED, limit=50)
    monkeypatch.setattr("chipfit.evaluation.run._MOST_IN_BATCH", 512)
    other = evaluate_models([F32, INT8], DIGITS, preprocessing=SCALED, limit=50)
    for a, b in zip(report.models, other.models, strict=True):
        assert (a.top1, a.top5, a.confusion, a.agreement) == (b.top1, b.top5, b.confusion, b.agreement)
        assert a.sqnr == (None if b.sqnr is None else pytest.approx(b.sqnr, abs=1e-9))


def test_signal_in_batches_is_signal_at_once() -> None:
    rng = np.random.default_rng(0)
    a = (rng.normal(50.0, 1.0, (100, 4)) * np.arange(1, 5)).astype(np.float32)
    b = a + rng.normal(0, 0.1, a.shape).astype(np.float32)
    signal = Signal()
    for start, stop in ((0, 1), (1, 40), (40, 100)):
        signal.add(a[start:stop], b[start:stop])
    assert signal.decibels == pytest.approx(signal_to_noise(a, b), abs=1e-9)
    exact = Signal()
    exact.add(a, a)
    assert exact.decibels == math.inf


def test_one_number_above_or_below_zero_is_two_classes() -> None:
    rng = np.random.default_rng(5)
    b = Builder(1, 2, 3)
    flat = b.add("flat", Reshape((1, 6)), b.x)
    z = b.add("z", FullyConnected(), flat, normal(rng, 1, 6), np.zeros(1, np.float32))
    graph = b.graph(b.add("p", Logistic(), z))
    x = rng.normal(0, 1, (50, 1, 2, 3)).astype(np.float32)
    made = quantize_model(Model(graph), Samples((x,), (None,)), calibrated=50)
    (p,) = Model(graph).run_samples([(s,) for s in x])
    labels = (p.reshape(-1) > 0.5).astype(int)
    assert 5 < labels.sum() < 45
    report = evaluate_models([Model(graph, source=to_tflite(graph)), made.model], {"x": x, "y": labels})
    assert report.classes == 2
    assert report.models[0].top1 is not None
    assert report.models[0].top1.count == 50
    assert report.models[1].agreement is not None
    assert report.models[1].agreement >= 0.9
    assert np.array(report.models[0].confusion).tolist() == [[50 - labels.sum(), 0], [0, labels.sum()]]


def test_the_reference_can_be_chosen_and_is_added() -> None:
    for models, reference in (([F32, INT8], INT8), ([F32], INT8)):
        report = evaluate_models(models, DIGITS, preprocessing=SCALED, limit=20, reference=reference)
        figures = {m.name: m for m in report.models}
        assert report.reference == "digits_int8"
        assert figures["digits_int8"].agreement is None
        assert figures["digits_f32"].agreement is not None
        assert len(figures) == 2


def test_on_a_board() -> None:
    report = evaluate_models([F32, INT8], DIGITS, preprocessing=SCALED, limit=5, board="arduino-nano-33-ble")
    int8 = report.models[1].board
    assert int8 is not None
    assert int8.problem is None
    assert int8.instructions
    assert int8.milliseconds
    assert int8.flash
    assert int8.ram
    assert int8.flash > report.models[1].weights_bytes
    float_board = report.models[0].board
    assert float_board is not None
    assert float_board.instructions
    assert float_board.instructions > int8.instructions


def test_a_board_that_is_too_small(tmp_path: Path) -> None:
    board = chipfit.load_board("arduino-nano-33-ble")
    text = (Path(chipfit.__file__).parent / "targets" / "boards" / "arduino-nano-33-ble.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace('"256K"', '"1K"').replace(f'"{board.name}"', '"small"'))
    report = evaluate_models([INT8], DIGITS, preprocessing=SCALED, limit=5, board=str(small))
    figures = report.models[0].board
    assert figures is not None
    assert figures.instructions is None
    assert "RAM" in str(figures.problem)


def test_pixels_that_were_not_scaled_are_noticed() -> None:
    report = evaluate_models([INT8], DIGITS, limit=20)
    assert any("beyond what the input of 'digits_int8' can hold" in note for note in report.notes)
    assert not evaluate_models([INT8], DIGITS, limit=20, preprocessing=SCALED).notes


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    copy = tmp_path / "a" / F32.name
    copy.write_bytes(F32.read_bytes())
    assert [c.name for c in candidates([F32, copy, chipfit.load(INT8), chipfit.load(INT8)])] == [
        "demo/digits_f32", "a/digits_f32", "digits_int8 (1)", "digits_int8 (2)",
    ]  # fmt: skip


def test_how_pixels_become_inputs_is_read_from_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files: list[Path] = []
    for i, kept in enumerate((Preprocessing(scale=1 / 255), Preprocessing(scale=1 / 128))):
        samples = Samples((pictures(rng, 10),), (None,), kept)
        made = quantize_model(Model(mobile(rng)), samples, calibrated=10)
        files.append(tmp_path / f"{i}.tflite")
        files[-1].write_bytes(made.tflite())
    shape = chipfit.load(files[0]).inputs[0].shape
    data = {"x": rng.integers(0, 256, (4, *shape), dtype=np.uint8)}
    assert evaluate_models(files[:1], data).pixels == Preprocessing(scale=1 / 255).to_json()
    for models, stated in ((files, None), (files[:1], Preprocessing(scale=0.5))):
        with pytest.raises(ChipfitError, match="in different ways") as caught:
            evaluate_models(models, data, preprocessing=stated)
        assert caught.value.code == "Q005"


def test_models_that_cannot_be_compared(tmp_path: Path) -> None:
    net = tmp_path / "net.tflite"
    net.write_bytes(to_tflite(mobile(np.random.default_rng(0))))
    b = Builder(1, 8, 8, 1)
    flat = b.add("flat", Reshape((1, 64)), b.x)
    narrow = Model(b.graph(b.add("z", FullyConnected(), flat, normal(np.random.default_rng(0), 3, 64))))
    for other, says in ((net, "different inputs"), (narrow, "10 classes.*3")):
        with pytest.raises(ChipfitError, match=says) as caught:
            evaluate_models([F32, other], DIGITS)
        assert caught.value.code == "Q005"


@pytest.mark.parametrize(
    ("arrays", "code"), [({"x": np.zeros((2, 8, 8), np.uint8), "y": np.array([0, 10])}, "Q006"), ({}, "I003")]
)
def test_labels_and_data_that_do_not_fit(arrays: dict[str, Array], code: str) -> None:
    with pytest.raises(ChipfitError) as caught:
        evaluate_models([INT8], arrays)
    assert caught.value.code == code


def test_a_model_that_keeps_state_is_refused(models_dir: Path) -> None:
    with pytest.raises(ChipfitError, match="keeps state") as caught:
        evaluate_models([models_dir / "esphome_vad_v2_stream.tflite"], {"x": np.zeros((1, 1))})
    assert caught.value.code == "Q005"


def test_a_model_that_chipfit_cannot_compile_runs_by_litert(models_dir: Path) -> None:
    rng = np.random.default_rng(0)
    models = [models_dir / f"imagenet_mnv1_025_224_{kind}.tflite" for kind in ("f32", "uint8")]
    data = {"x": rng.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)}
    report = evaluate_models(models, data, preprocessing=Preprocessing(scale=1 / 127.5, mean=(1.0,)))
    assert [m.form for m in report.models] == ["float32", "uint8"]
    assert [m.engine for m in report.models] == ["LiteRT", "LiteRT"]
    assert report.models[1].problem is not None
    assert report.models[1].sqnr is not None
    assert 0 < report.models[1].sqnr < 40
    assert any("chipfit cannot compile" in note for note in report.notes)
