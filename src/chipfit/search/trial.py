"""One candidate trained, quantized and judged, in a folder of its own that a killed search goes on with."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chipfit.build import Aim
from chipfit.deployment import Limits, Needs
from chipfit.deployment.figures import GOALS, first_that_fits
from chipfit.deployment.source import is_run, pictures_of_run, save_arrays
from chipfit.errors import ChipfitError
from chipfit.evaluation import evaluate_models
from chipfit.model import Model, load
from chipfit.quantization import quantize_model, read_data, write_file
from chipfit.quantize import Progress, no_progress
from chipfit.search.space import Point
from chipfit.targets import load_board
from chipfit.training.loop import Watch
from chipfit.training.run_folder import RunFolder
from chipfit.training.settings import TrainSettings
from chipfit.training.train import resume, source_of, train

RESULT, RUN = "trial.json", "run"
CALIBRATION = "calibration.npz"
SEARCH = "search.json"

NOBODY = Watch()


@dataclass(frozen=True)
class Task:
    """``folder``: of the trial; ``name``: of its model; ``board``: a name or a file."""

    number: int
    point: Point
    settings: TrainSettings
    data: Path
    validation: Path | None
    folder: Path
    name: str
    board: str
    limits: Limits
    goals: tuple[Aim, ...] = GOALS


@dataclass(frozen=True)
class Result:
    """``float32`` and ``integer``: shares of validation pictures that are told right; ``needs``: of the trained
    program; ``file``: the quantized model, within the trial's folder."""

    number: int
    float32: float
    integer: float
    needs: Needs
    pictures: int
    file: str
    seconds: float


def run_trial(task: Task, watch: Watch = NOBODY, progress: Progress = no_progress) -> Result:
    """What was done before is taken as it is; a training that was stopped goes on.

    Raises ChipfitError N003 where the search's folder cannot be seen from here, and as training and quantizing do.
    """
    if not (task.folder.parent.parent / SEARCH).is_file():
        hint = "all computers of a search need its folder and the pictures under the same paths: share them"
        raise ChipfitError("N003", f"there is no search in '{task.folder.parent.parent}' on this computer", hint)
    kept = task.folder / RESULT
    if kept.is_file():
        return _result(json.loads(kept.read_text(encoding="utf-8")))
    began = time.monotonic()
    folder = RunFolder(task.folder)
    folder.create()
    _train(task, watch, progress)
    model, validation = _quantized(task, progress)
    files = [task.folder / RUN / f"{task.name}.tflite", task.folder / f"{task.name}.tflite"]
    judged = evaluate_models(files, validation, progress=progress)
    shares = [found.top1.share if found.top1 else None for found in judged.models]
    if shares[0] is None or shares[1] is None:
        raise ChipfitError("N001", f"the pictures of '{task.data}' have no classes to judge by")
    needs = first_that_fits(model, load_board(task.board), task.goals, task.limits)[-1]
    seconds = time.monotonic() - began
    result = Result(task.number, shares[0], shares[1], needs, judged.samples, files[1].name, seconds)
    folder.write_json(RESULT, asdict(result))
    return result


def _train(task: Task, watch: Watch, progress: Progress) -> None:
    run = RunFolder(task.folder / RUN)
    if not is_run(run.path):
        train(
            task.data, run.path, task.settings, validation=task.validation, name=task.name, watch=watch,
            progress=progress,
        )  # fmt: skip
    elif run.read_run()["status"] != "finished":
        resume(run.path, watch=watch, progress=progress)


def _quantized(task: Task, progress: Progress) -> tuple[Model, dict[str, Any]]:
    """The integer model, and validation pictures with their labels."""
    run = task.folder / RUN
    source = source_of(run)
    trained = load(run / f"{task.name}.tflite")
    name = trained.graph.inputs[0].name
    pictures = pictures_of_run(run, source, progress)
    file = task.folder / CALIBRATION
    save_arrays(file, {name: pictures.calibration})
    samples = read_data(trained, file, source.preprocessing, progress=progress)
    made = quantize_model(trained, samples, task.point.quantization, progress=progress)
    write_file(made, task.folder / f"{task.name}.tflite")
    return made.model, {name: pictures.validation, "labels": pictures.labels}


def _result(data: dict[str, Any]) -> Result:
    values: dict[str, Any] = {**data, "needs": Needs(**data["needs"])}
    return Result(**values)
