"""The integer model of a run, and what it is judged by: opened in one way by all who go on from a run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipfit.deployment.kept import Kept
from chipfit.deployment.report import State
from chipfit.deployment.source import Pictures, pictures_of_run, save_arrays
from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.metadata import facts_of
from chipfit.model import Model, load
from chipfit.quantization import quantize_model, read_data, write_file
from chipfit.quantize import Preprocessing, Progress, no_progress
from chipfit.training.run_folder import SCHEMA, RunFolder, integer_name
from chipfit.training.train import Source, source_of

CALIBRATION_FILE = "calibration.npz"
"""Pixels that the integers were chosen with."""

LABELS = "labels"

_RECIPE = "int8"

Doing = Callable[[Sequence[str], State], AbstractContextManager[Any]]
"""Entered around what a command line would do, too; or around nothing, where that was kept."""


def _unheard(_words: Sequence[str], _state: State) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True, eq=False)
class Opened:
    """A finished run. ``name``: of its model; ``float_file`` and ``file``: its float and its integer model, which is
    ``model``; ``has_learned``: in these integers, else they were chosen on its calibration pictures. ``source``: which
    pictures it was made of, how divided; ``pictures``: these."""

    run: Path
    name: str
    source: Source
    float_file: Path
    file: Path
    model: Model
    has_learned: bool
    pictures: Pictures

    @property
    def preprocessing(self) -> Preprocessing:
        return self.source.preprocessing

    @property
    def validation(self) -> dict[str, Array]:
        """Pixels by the name of the model's input, and ``labels``: what :func:`chipfit.evaluate_models` takes."""
        return {self.model.inputs[0].name: self.pictures.validation, LABELS: self.pictures.labels}


def open_run(
    run: Path,
    folder: Path,
    *,
    recipe: str = _RECIPE,
    doing: Doing = _unheard,
    progress: Progress = no_progress,
) -> Opened:
    """``run``: the folder of a training or a compression. The integers that it has learned in are taken as they are;
    else they are chosen by ``recipe``, into ``folder``, where they are kept as long as the run stays the same.

    Raises ChipfitError N003 for a run that is not finished or was made without a folder of pictures, or whose pictures
    have changed; as :func:`~chipfit.training.pictures.read_pictures` and
    :func:`~chipfit.quantization.quantize_model` do.
    """
    kept = RunFolder(run).read_run()
    require_finished(run, kept)
    source = source_of(run)
    name = str(kept["model"])
    float_file = run / f"{name}.tflite"
    pictures = pictures_of_run(run, source, progress)
    if (learned := learned_file(run, kept)) is not None:
        return Opened(run, name, source, float_file, learned, load(learned), True, pictures)
    trained = load(float_file)
    calibration, file = folder / CALIBRATION_FILE, folder / f"{name}.tflite"
    save_arrays(calibration, {trained.graph.inputs[0].name: pictures.calibration})
    how = source.preprocessing
    model = quantized_file(float_file, trained, calibration, file, how, recipe=recipe, doing=doing, progress=progress)
    return Opened(run, name, source, float_file, file, model, False, pictures)


def require_finished(run: Path, kept: Mapping[str, Any]) -> None:
    """``kept``: its ``run.json``. Raises ChipfitError N003."""
    if kept["status"] != "finished":
        words = ["chipfit", "train", "--resume", "-o", str(run)]
        if kept["schema"] != SCHEMA:
            words = [*shlex.split(str(kept["command"])), "--resume"]
        raise ChipfitError("N003", f"the run in '{run}' is not finished", f"go on with `{shlex.join(words)}`")


def learned_file(run: Path, kept: Mapping[str, Any]) -> Path | None:
    """The integer model that a run has by itself; its integers are not chosen again."""
    name = f"{integer_name(kept['model'])}.tflite"
    return run / name if name in kept["files"] else None


def quantized_file(
    source: Path,
    model: Model,
    data: Path,
    file: Path,
    how: Preprocessing | None,
    *,
    recipe: str = _RECIPE,
    doing: Doing = _unheard,
    progress: Progress = no_progress,
) -> Model:
    """The integer model of ``model``, which ``source`` holds, in ``file``: made on ``data``, or kept if it was made of
    just these before. ``how``: pixels become inputs; None: as they are."""
    stated = how if how != facts_of(model).preprocessing else None
    said = [] if recipe == _RECIPE else ["--recipe", recipe]
    words = ("chipfit", "quantize", str(source), "--data", str(data), *said, *options_of(stated), "-o", str(file))
    kept = Kept(file.parent, words, (source, data), file)
    if kept.is_current:
        with doing(words, "kept"):
            return load(file)
    with doing(words, "ran"):
        samples = read_data(model, data, how or Preprocessing(), progress=progress)
        write_file(quantize_model(model, samples, recipe, progress=progress), file)
        kept.note()
    return load(file)


def options_of(how: Preprocessing | None) -> list[str]:
    """The options that say how pixels become inputs."""
    if how is None:
        return []
    default, words = Preprocessing(), list[str]()
    given: dict[str, Any] = {
        "--resize": how.resize,
        "--side": how.side,
        "--scale": repr(how.scale),
        "--mean": ",".join(map(repr, how.mean)),
        "--std": ",".join(map(repr, how.std)),
    }
    for (option, text), name in zip(given.items(), ("resize", "side", "scale", "mean", "std"), strict=True):
        if getattr(how, name) != getattr(default, name):
            words += [option, str(text)]
    return words
