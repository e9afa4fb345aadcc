"""Folders as ``chipfit train``, ``compress``, ``search`` and ``deploy`` leave them, of networks that nobody trained:
they tell bright pictures from dark ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.compress.judge import quickly_quantized
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.metadata import Facts
from chipfit.model import Model, load
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.reshape import Reshape
from chipfit.quantization import quantize_model
from chipfit.quantize import Preprocessing, Samples
from chipfit.training.pictures import read_pictures
from chipfit.training.settings import TrainSettings
from chipfit.training.split import split_pictures
from quantize.nets import Builder
from training.photos import write_picture

HOW = Preprocessing(scale=1 / 127.5, mean=(1.0,), resize="stretch")
CLASSES = ("bright", "dark")


def write_photos(folder: Path, count: int, wrong: int = 0, first: int = 0) -> Path:
    """``count`` pictures of each class, of which ``wrong`` lie in the folder of the other one. No two are equal."""
    rng = np.random.default_rng(first)
    for name, level in zip(CLASSES, (190, 40), strict=True):
        for i in range(count):
            base = 230 - level if i < wrong else level
            pixels = np.clip(base + rng.integers(-20, 21, (36, 36, 3)), 0, 255).astype(np.uint8)
            write_picture(folder / name / f"{i}.png", pixels)
    return folder


def brightness(side: int, channels: int, bias: float = 0.0) -> Graph:
    """Takes pictures for bright whose mean is above ``-bias``."""
    b = Builder(1, side, side, channels)
    mean = b.add("mean", AveragePool2D(kernel=(side, side)), b.x)
    flat = b.add("flat", Reshape((1, channels)), mean)
    w = np.stack([np.full(channels, 1 / channels), np.full(channels, -1 / channels)]).astype(np.float32)
    return b.graph(b.add("scores", FullyConnected(), flat, w, np.array([bias, -bias], np.float32)))


def write_float(path: Path, side: int, channels: int, bias: float = 0.0, facts: Facts | None = None) -> Path:
    facts = Facts(None, HOW, CLASSES) if facts is None else facts
    path.write_bytes(to_tflite(brightness(side, channels, bias), facts.attached()))
    return path


def write_integer(path: Path, float_file: Path, facts: Facts | None = None) -> Path:
    """Its integers, from what pictures can be."""
    graph = load(float_file).graph
    x = np.linspace(-1, 1, 8, dtype=np.float32)
    x = np.broadcast_to(x.reshape(8, 1, 1, 1, 1), (8, *graph.inputs[0].shape)).copy()
    made = quickly_quantized(graph, Samples((x,), (None,)))
    path.write_bytes(to_tflite(made, (facts or Facts("int8", HOW, CLASSES)).attached()))
    return path


def write_run(
    folder: Path,
    photos: Path,
    side: int = 32,
    *,
    grey: bool = False,
    seed: int = 0,
    bias: float = 0.0,
    learned: bool = True,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """``learned``: it has an integer model of its own. ``more``: keys of ``run.json`` that differ."""
    folder.mkdir(parents=True)
    settings = replace(TrainSettings(backbone="ds_cnn", height=side, width=side, grey=grey, seed=seed)).resolved()
    channels = 1 if grey else 3
    pictures = read_pictures(photos, (side, side, channels), preprocessing=HOW, cache=False)
    split = split_pictures(pictures, settings.validation_share, seed)
    float_file = write_float(folder / "net.tflite", side, channels, bias)
    if learned:
        write_integer(folder / "net_int8.tflite", float_file)
    kept = {
        "schema": "chipfit.train",
        "version": 1,
        "model": "net",
        "status": "finished",
        "data": str(photos.resolve()),
        "validation_data": None,
        "settings": asdict(settings),
        "preprocessing": asdict(HOW),
        "network": settings.network(2).title,
        "files": ["net.tflite", *(["net_int8.tflite"] if learned else [])],
        **(more or {}),
    }
    (folder / "run.json").write_text(json.dumps(kept))
    (folder / "split.json").write_text(json.dumps(split.to_json(pictures)))
    return folder


def write_search(folder: Path, runs: Mapping[int, tuple[Path, bool, float]]) -> Path:
    """``runs``: by the trial's number its run, which moves there, whether it is on the front, and its accuracy."""
    trials: list[dict[str, Any]] = []
    folder.mkdir()
    for number, (run, on_front, share) in runs.items():
        home = folder / "trials" / f"{number:03}"
        home.mkdir(parents=True)
        run.rename(home / "run")
        trial = {"number": number, "file": "run/net_int8.tflite", "integer": share}
        (home / "trial.json").write_text(json.dumps(trial))
        trials.append({**trial, "on_front": on_front, "folder": str(home)})
    (folder / "search.json").write_text(json.dumps({"schema": "chipfit.search", "version": 1, "trials": trials}))
    return folder


def write_deployment(folder: Path, source: Path, model: str, made_of: Path | None = None) -> Path:
    """``made_of``: the float model whose integers it has chosen."""
    folder.mkdir()
    report = {"schema": "chipfit.deploy", "version": 1, "source": str(source), "model": model, "problem": None}
    (folder / "deploy.json").write_text(json.dumps(report))
    if made_of is not None:
        write_integer(folder / f"{model}.tflite", made_of)
    return folder


def write_arrays(path: Path, count: int, side: int = 32, wrong: Sequence[int] = ()) -> Path:
    """Real numbers in turns of the classes, and labels, of which those at ``wrong`` are not what the network says."""
    labels = np.arange(count) % 2
    x: Array = np.where(labels == 0, 0.5, -0.5).astype(np.float32)
    told = labels.copy()
    told[list(wrong)] ^= 1
    np.savez(path, x=np.broadcast_to(x[:, None, None, None], (count, side, side, 3)), labels=told)
    return path


def quickly(monkeypatch: Any, module: Any) -> list[str]:
    """Quantizing without what is fitted, in a module that calls ``quantize_model``: the names of what was."""
    made: list[str] = []

    def quick(model: Model, samples: Samples, recipe: str = "int8", **options: Any) -> Any:
        made.append(model.name)
        return quantize_model(model, samples, "int8 -bias -match -reconstruct -equalize -pool", **options)

    monkeypatch.setattr(module, "quantize_model", quick)
    return made
