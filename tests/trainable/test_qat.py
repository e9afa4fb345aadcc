"""``train --qat``: one accuracy for what was trained and what is deployed, the same bytes everywhere, and stops."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.compress.qat import Qat
from chipfit.compress.run import Request, compress
from chipfit.errors import ChipfitError
from chipfit.metadata import facts_of
from chipfit.model import load
from chipfit.oracle import have_tflm, tflm_run
from chipfit.targets import load_board
from chipfit.trainable.tune import TuneSettings
from chipfit.training.learner import Phase
from chipfit.training.loop import Epoch, Watch
from chipfit.training.report import QatFigures, TrainReport
from chipfit.training.run_folder import QAT_BEST, QAT_LAST, RUN
from chipfit.training.settings import TrainSettings
from chipfit.training.train import resume, source_of, train
from training.photos import write_classes

pytest.importorskip("matplotlib", reason="curves and sheets are drawn with matplotlib")

SETTINGS = TrainSettings(
    "ds_cnn", 0.125, 32, 32, grey=True, epochs=1, batch=6, augment="none", qat=True, qat_epochs=2, rate=2e-3
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("photos"), {"a": 12, "b": 8})


@pytest.fixture(scope="module")
def run(keras: Any, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainReport, Path]:
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(photos, out, SETTINGS, name="net", cache=False), out


def test_it_is_judged_as_it_is_deployed(run: tuple[TrainReport, Path]) -> None:
    report, out = run
    figures = report.qat
    assert figures is not None
    assert (report.status, len(figures.history)) == ("finished", 2)
    assert figures.accuracy == figures.int8_accuracy == max(e.val_accuracy or 0 for e in figures.history)
    assert {"net.tflite", "net_int8.tflite", QAT_BEST, QAT_LAST} <= set(report.files) <= {p.name for p in out.iterdir()}
    facts = facts_of(load(out / "net_int8.tflite"))
    assert (facts.recipe, facts.labels, facts.preprocessing) == ("int8", ("a", "b"), report.preprocessing)
    assert json.loads((out / RUN).read_text())["qat"]["int8_accuracy"] == figures.int8_accuracy


def test_pixels_go_in_as_they_are(run: tuple[TrainReport, Path]) -> None:
    """What the input can hold by its making stays its range: an int8 input is the pixel less 128."""
    quant = load(run[1] / "net_int8.tflite").graph.inputs[0].q
    assert (quant.zp, quant.s) == (0, float(np.float32(1 / 127.5)))


@pytest.mark.skipif(not have_tflm(), reason="tflite_micro is not installed")
def test_the_file_computes_the_same_elsewhere(run: tuple[TrainReport, Path]) -> None:
    file = run[1] / "net_int8.tflite"
    model = load(file)
    samples = model.samples(8)
    for ours, theirs in zip(samples, tflm_run(file.read_bytes(), samples), strict=True):
        np.testing.assert_array_equal(model.run(*ours)[0], theirs[0])


class Stop(Watch):
    """In the second epoch of integers, the third of all."""

    def __init__(self) -> None:
        self.kept: list[int] = []

    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        if (number, done) == (3, 1):
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        self.kept.append(epoch.number)


def test_a_stopped_run_goes_on_in_integers(keras: Any, run: tuple[TrainReport, Path], tmp_path: Path) -> None:
    """The same file, to the last byte."""
    source, watch, later = source_of(run[1]), Stop(), Count()
    with pytest.raises(KeyboardInterrupt):
        train(source.data, tmp_path / "run", source.settings, name="net", cache=False, watch=watch)
    assert watch.kept == [1, 2]
    assert json.loads((tmp_path / "run" / RUN).read_text())["status"] == "interrupted"
    assert not (tmp_path / "run" / "net_int8.tflite").exists()
    report = resume(tmp_path / "run", cache=False, watch=later)
    assert (later.kept, report.status) == ([3], "finished")
    ours, theirs = ((folder / "net_int8.tflite").read_bytes() for folder in (tmp_path / "run", run[1]))
    assert ours == theirs


class Count(Stop):
    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        pass


def test_settings_say_it() -> None:
    words = SETTINGS.command(Path("data"), None, Path("out"))
    assert " --qat " in words
    assert " --qat-epochs 2 " in words
    with pytest.raises(ChipfitError, match="--qat-epochs 0"):
        replace(SETTINGS, qat_epochs=0)


def test_a_run_is_compressed_so(run: tuple[TrainReport, Path], tmp_path: Path) -> None:
    """``chipfit compress qat``: a run of its own, judged as all methods are."""
    method = Qat(TuneSettings(epochs=1, rate=1e-3, batch=6, augment="none"))
    report = compress(Request(run[1], tmp_path / "out", load_board("arduino-nano-33-ble")), method)
    figures = report.details
    assert isinstance(figures, QatFigures)
    assert report.after is not None
    assert report.after.int8_accuracy == figures.int8_accuracy == figures.accuracy
    assert {"net.tflite", "net_int8.tflite", RUN} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert method.words == ["--epochs", "1", "--rate", "0.001", "--batch", "6", "--augment", "none"]
    assert not list((tmp_path / "out").glob("state-*"))
