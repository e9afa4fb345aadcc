"""``train``: what lies in a run's folder, that it repeats, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.metadata import facts_of
from chipfit.training.loop import Epoch, Phase, Watch
from chipfit.training.run_folder import BEST, CURVES, LAST, RUN, SHEET, SPLIT
from chipfit.training.settings import TrainSettings
from chipfit.training.train import resume, source_of, train, train_or_resume
from training.photos import noise, write_picture

pytest.importorskip("matplotlib", reason="curves and sheets are drawn with matplotlib")

TINY = TrainSettings("ds_cnn", 0.125, 32, 32, epochs=2, batch=6, seed=1)
FILES = {BEST, CURVES, LAST, RUN, SHEET, SPLIT, "net.tflite"}


@pytest.fixture(scope="module")
def run(keras: Any, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(photos, out, TINY, name="net", cache=False)
    return out


def weights_of(keras: Any, run: Path) -> list[Any]:
    return keras.saving.load_model(run / BEST).get_weights()


def test_the_folder_says_everything(run: Path, photos: Path) -> None:
    assert {p.name for p in run.iterdir()} == FILES
    kept = json.loads((run / RUN).read_text())
    assert (kept["schema"], kept["status"], kept["model"]) == ("chipfit.train", "finished", "net")
    assert (kept["classes"], kept["training"], kept["validation"]) == (["a", "b"], [10, 6], [2, 2])
    assert [epoch["number"] for epoch in kept["history"]] == [1, 2]
    assert sum(map(sum, kept["judgement"]["confusion"])) == 4
    best = kept["history"][kept["best"] - 1]
    assert kept["judgement"]["accuracy"] == best["val_accuracy"]
    assert kept["judgement"]["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert set(kept["files"]) == FILES
    split = json.loads((run / SPLIT).read_text())
    assert (len(split["train"]), len(split["validation"])) == (16, 4)
    source = source_of(run)
    assert (source.data, source.validation, source.settings) == (photos, None, TINY.resolved())


def test_the_tflite_file_computes_the_same(keras: Any, run: Path) -> None:
    """And says how pictures become its input, and the names of classes."""
    model = chipfit.load(run / "net.tflite")
    facts = facts_of(model)
    assert facts.labels == ("a", "b")
    assert facts.preprocessing is not None
    x = facts.preprocessing.apply(np.stack([noise(i, 32) for i in range(3)]))
    assert x.min() == np.float32(-128 / 127.5)
    wanted = keras.saving.load_model(run / BEST).predict_on_batch(x)
    np.testing.assert_allclose(np.concatenate([model.run(row[None])[0] for row in x]), wanted, atol=1e-5)


class Stop(Watch):
    """Interrupts as Ctrl-C does, in the second epoch."""

    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        if number == 2:
            raise KeyboardInterrupt


class Count(Watch):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        self.epochs.append(epoch.number)


def test_a_repeated_run_that_was_interrupted_goes_on(keras: Any, run: Path, tmp_path: Path) -> None:
    """What the folder says gives the same network, to the last bit."""
    source = source_of(run)
    with pytest.raises(KeyboardInterrupt):
        train(source.data, tmp_path / "run", source.settings, name="net", cache=False, watch=Stop())
    assert json.loads((tmp_path / "run" / RUN).read_text())["status"] == "interrupted"
    assert {p.name for p in (tmp_path / "run").iterdir()} == {BEST, LAST, RUN, SHEET, SPLIT}
    count = Count()
    report = resume(tmp_path / "run", cache=False, watch=count)
    assert (count.epochs, report.status, len(report.history)) == ([2], "finished", 2)
    for a, b in zip(weights_of(keras, tmp_path / "run"), weights_of(keras, run), strict=True):
        np.testing.assert_array_equal(a, b)
    # a run that is finished is finished again, and more epochs are possible
    more = Count()
    assert len(resume(tmp_path / "run", epochs=3, cache=False, watch=more).history) == 3
    assert more.epochs == [3]
    # by the same call each time: what is finished stays, and another training is refused
    kept = train_or_resume(source.data, tmp_path / "run", replace(source.settings, epochs=3), watch=more)
    assert (more.epochs, len(kept["history"])) == ([3], 3)
    with pytest.raises(ChipfitError, match="trained otherwise: alpha") as caught:
        train_or_resume(source.data, tmp_path / "run", replace(source.settings, alpha=0.25))
    assert caught.value.code == "P001"


def test_changed_pictures_are_refused(run: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    pictures = Path(shutil.copytree(photos, tmp_path / "pictures"))
    write_picture(pictures / "a" / "new.png", noise(99))
    kept = json.loads((run / RUN).read_text())
    (tmp_path / "run" / RUN).write_text(json.dumps({**kept, "data": str(pictures)}))
    with pytest.raises(ChipfitError, match="are others than those") as caught:
        resume(tmp_path / "run", cache=False)
    assert caught.value.code == "N003"


def test_nothing_is_left_of_what_cannot_begin(keras: Any, photos: Path, tmp_path: Path) -> None:
    """Weights that do not fit are found before the folder is made; an old run is left alone."""
    (tmp_path / "w.h5").write_bytes(b"nothing")
    settings = TrainSettings("ds_cnn", 0.125, 32, 32, weights=str(tmp_path / "w.h5"))
    with pytest.raises(ChipfitError, match="holds no weights"):
        train(photos, tmp_path / "run", settings, cache=False)
    assert not (tmp_path / "run").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / RUN).write_text("{}")
    with pytest.raises(ChipfitError, match="holds a run already"):
        train(photos, tmp_path / "old", TINY, cache=False)


# ---------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "--epochs 0 trains nothing"),
        ({"rate": -1.0}, "--rate -1"),
        ({"batch": 0}, "--batch 0"),
        ({"patience": -1}, "--patience -1 is negative"),
        ({"label_smoothing": 1.0}, "leaves no label"),
        ({"augment": "much"}, "augmentation 'much' is unknown"),
        ({"alpha": 2.0}, "no alpha 2"),
    ],
)
def test_settings_without_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ChipfitError, match=said) as caught:
        TrainSettings(**wrong)
    assert caught.value.code == "U001"


def test_what_is_not_given_depends_on_the_rest() -> None:
    assert (TrainSettings().resolved().alpha, TrainSettings().resolved().frozen_epochs) == (0.25, 0)
    assert TrainSettings("efficientnet_b0").resolved().alpha == 1.0
    assert TrainSettings(weights="w.h5").resolved().frozen_epochs == 1


def test_the_command_says_what_is_not_usual() -> None:
    settings = TrainSettings("mobilenet_v2", 0.35, 96, 64, grey=True, balance=False, rate=1e-3, weights="my w.h5")
    assert settings.command(Path("pics"), Path("judge"), Path("run")) == (
        "chipfit train pics --val judge --size 96x64 --backbone mobilenet_v2 --alpha 0.35 --weights 'my w.h5' "
        "--rate 0.001 --grey --no-balance -o run"
    )


def test_what_differs_is_named() -> None:
    """The number of epochs is free; what is not given is what it stands for."""
    assert TrainSettings(epochs=3, alpha=0.25).differences(TrainSettings()) == []
    assert TrainSettings(batch=8).differences(TrainSettings(grey=True)) == [
        "grey False instead of True",
        "batch 8 instead of 32",
    ]
