"""Decomposition and distillation from one end to the other, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chipfit.compress import CompressReport, Request, compress
from chipfit.compress.decompose.method import Decompose, Rule
from chipfit.compress.decompose.report import DecomposeDetails
from chipfit.compress.distill import Distill, Lesson
from chipfit.compress.distill_report import DistillDetails
from chipfit.compress.run import Method
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.model import load
from chipfit.report.text import to_text
from chipfit.report.text_compress import compress_text
from chipfit.targets import load_board
from chipfit.trainable.tune import TuneSettings
from importers.keras_nets import keras_or_skip
from quantize.nets import mobile, pictures

BOARD = load_board("arduino-nano-33-ble")
QUICK = TuneSettings(epochs=1, augment="none", batch=64)

pytestmark = pytest.mark.usefixtures("uncompiled")


def _run(method: Method, net: Path, data: Path | None, out: Path) -> CompressReport:
    return compress(Request(net, out, BOARD, data), method)


def test_layers_are_taken_apart_and_learn(net: Path, labelled: Path, tmp_path: Path) -> None:
    keras_or_skip()
    method = Decompose("auto", Rule("0.7"), tuning=QUICK)
    report = _run(method, net, labelled, tmp_path / "out")
    assert report.before is not None
    assert report.after is not None
    assert report.after.macs <= 0.7 * report.before.macs
    assert load(tmp_path / "out" / "net.tflite").macs == report.after.macs
    assert len(report.history) == 1
    details = report.details
    assert isinstance(details, DecomposeDetails)
    assert details.errors == "of what layers give on samples"
    assert details.accuracy is not None
    assert [row.name for row in details.layers] == ["conv", "pointwise", "second", "logits"]
    kept = json.loads((tmp_path / "out" / "run.json").read_text())
    assert kept["details"]["schema"] == "chipfit.compress_decompose"
    assert "--form auto --macs 0.7 --epochs 1" in kept["command"]
    text = to_text(compress_text(report, 160), 160)
    assert "conv2d" not in text
    assert "stays: costs more than it saves" in text
    assert "of what layers give on samples" in text


def test_no_data_are_needed(net: Path, tmp_path: Path) -> None:
    report = _run(Decompose("tucker", Rule(energy=0.7), tuning=QUICK), net, None, tmp_path / "out")
    details = report.details
    assert isinstance(details, DecomposeDetails)
    assert (details.errors, details.loss, details.samples) == ("of weights", None, 0)
    assert all(row.error <= 0.3 for row in details.layers)
    assert any(row.form == "tucker" for row in details.layers)
    assert "no data with labels" in report.notes[0]
    assert "of weights" in to_text(compress_text(report, 100))


def test_what_cannot_become_smaller(net: Path, labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="the least is") as caught:
        _run(Decompose(rule=Rule("0.01")), net, labelled, tmp_path / "out")
    assert caught.value.code == "N006"
    with pytest.raises(ChipfitError, match="becomes smaller within") as caught:
        _run(Decompose(rule=Rule(energy=0.99999)), net, labelled, tmp_path / "other")
    assert caught.value.code == "N006"


@pytest.mark.parametrize("aware", [False, True])
def test_a_student_learns(aware: bool, net: Path, labelled: Path, tmp_path: Path) -> None:
    """Another network of the same shape, from the one whose answers the labels are."""
    keras_or_skip()
    student = tmp_path / "student.tflite"
    student.write_bytes(to_tflite(mobile(np.random.default_rng(5))))
    settings = TuneSettings(epochs=2, rate=5e-3, augment="none", batch=32)
    method = Distill(net, Lesson(2.0, 0.5, ("second=second",)), aware, settings)
    report = _run(method, student, labelled, tmp_path / "out")
    assert (report.method, len(report.history)) == ("distill", 2)
    assert report.history[1].loss < report.history[0].loss
    details = report.details
    assert isinstance(details, DistillDetails)
    assert details.teacher == "net"
    assert (details.teacher_accuracy or 0) > 0.9
    assert details.agreement is not None
    assert details.features == (("second", "second"),)
    assert (details.qat is not None) == aware
    assert ((tmp_path / "out" / "student_int8.tflite").is_file()) == aware
    text = to_text(compress_text(report, 160), 160)
    assert "the student answers as it does for" in text
    assert f"--teacher {net} --temperature 2 --hard 0.5 --feature second=second" in report.command
    if aware:
        return
    # a run teaches, too, but not before it is finished
    again = _run(Distill(tmp_path / "out", settings=QUICK), student, labelled, tmp_path / "second")
    assert again.details.teacher == "student"
    kept = json.loads((tmp_path / "out" / "run.json").read_text())
    (tmp_path / "out" / "run.json").write_text(json.dumps({**kept, "status": "interrupted"}))
    with pytest.raises(ChipfitError, match="N003"):
        _run(Distill(tmp_path / "out", settings=QUICK), student, labelled, tmp_path / "third")


def test_a_student_needs_labels(net: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures(np.random.default_rng(3), 60)[:, 0])
    with pytest.raises(ChipfitError, match="Q001"):
        _run(Distill(net), net, tmp_path / "x.npy", tmp_path / "out")
