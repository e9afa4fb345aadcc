"""``chipfit train``: what is printed where, which options go together, and how an interrupted run is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from chipfit.training import train as module
from chipfit.training.run_folder import LAST, RUN
from chipfit.training.settings import TrainSettings
from importers.keras_nets import keras_or_skip
from training.photos import write_classes

Call = Callable[..., Result]
TINY = ("--backbone", "ds_cnn", "--alpha", "0.125", "--size", "32x40", "--grey", "--batch", "6")


def write_run(folder: Path, **settings: Any) -> Path:
    """What a run's folder says of its settings."""
    resolved = TrainSettings(**settings).resolved()
    data = {
        "schema": "chipfit.train", "version": 1, "model": "net", "data": str(folder / "pictures"),
        "validation_data": None, "pictures_digest": "", "settings": vars(resolved),
        "preprocessing": vars(resolved.preprocessing),
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / RUN).write_text(json.dumps(data))
    return folder


def test_results_to_stdout_and_talk_to_stderr(cli: Call, tmp_path: Path) -> None:
    keras_or_skip()
    photos = write_classes(tmp_path / "photos", {"cat": 6, "dog": 6})
    result = cli("train", photos, *TINY, "--epochs", "1", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("photos: ds_cnn 0.125, 32x40 grey  ")
    assert "class  pictures  recall  precision  as cat  as dog" in result.stdout
    assert f"Next: chipfit quantize {tmp_path / 'run' / 'photos.tflite'} --data {photos}" in result.stdout.replace(
        "\n", " "
    )
    lines = result.stderr.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["epoch 1", "all layers"]]
    # more epochs of the same run, as JSON
    result = cli("train", "--resume", "-o", tmp_path / "run", "--epochs", "2", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["history"]) == 2
    assert result.stderr.startswith("epoch 2  all layers")


def test_an_interruption_says_how_to_go_on(cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(data: Path, out: Path, *_: Any, **__: Any) -> None:
        out.mkdir()
        (out / LAST).write_bytes(b"")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train", stopped)
    result = cli("train", tmp_path, "-o", tmp_path / "my run")
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr == f"stopped; go on: chipfit train --resume -o '{tmp_path / 'my run'}'\n"


def test_settings_of_a_run_are_kept(cli: Call, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", batch=16)
    result = cli("train", tmp_path, "--resume", "-o", run, "--batch", "8", "--alpha", "0.25", "--epochs", "3")
    assert result.exit_code == 1
    assert f"the run in '{run}' began otherwise: batch 8 instead of 16; pictures of '{tmp_path}' instead of" in (
        result.stderr
    )


def test_a_run_is_repeated_with_changes(cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def seeing(data: Path, out: Path, settings: TrainSettings, **_: Any) -> None:
        seen.append((data, out, settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train", seeing)
    run = write_run(tmp_path / "run", batch=16, grey=True)
    cli("train", "--repeat", run, "--seed", "5", "-o", tmp_path / "other")
    assert seen == [(run / "pictures", tmp_path / "other", TrainSettings(batch=16, grey=True, seed=5).resolved())]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no pictures are named"),
        (["pics"], None),
        (["pics", "--size", "64x"], "--size 64x is no size"),
        (["pics", "--size", "x64"], "--size x64 is no size"),
        (["pics", "--size", "big"], "--size big is no size"),
        (["pics", "--backbone", "resnet"], "there is no backbone 'resnet'"),
        (["--resume"], "--resume goes on with one run"),
        (["--resume", "-o", "run", "--repeat", "run"], "--resume goes on with one run"),
    ],
)
def test_what_does_not_go_together(words: list[str], said: str | None, cli: Call, tmp_path: Path) -> None:
    result = cli("train", *[str(tmp_path / w) if w in ("pics", "run") else w for w in words])
    assert result.exit_code == (2 if said else 1)
    assert result.stderr.startswith(f"error[U001]: {said}" if said else "error[F001]: there is no folder")
