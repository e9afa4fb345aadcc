"""One candidate trained, compressed, quantized and judged, in a folder of its own that a killed search goes on with."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chipfit.build import Aim
from chipfit.compress.run import Method, Request, compress_or_resume
from chipfit.deployment import Limits, Needs
from chipfit.deployment.figures import GOALS
from chipfit.deployment.integers import Opened, open_run
from chipfit.errors import ChipfitError
from chipfit.evaluation import evaluate_models
from chipfit.model import load
from chipfit.quantize import Progress, no_progress
from chipfit.search.cost import needs_of
from chipfit.search.space import Point
from chipfit.targets import load_board
from chipfit.training.backend import one_thread
from chipfit.training.loop import Watch
from chipfit.training.run_folder import RUN as RUN_FILE
from chipfit.training.run_folder import RunFolder, integer_name
from chipfit.training.settings import TrainSettings
from chipfit.training.train import train_or_resume

RESULT, RUN = "trial.json", "run"
SEARCH = "search.json"

NOBODY = Watch()


@dataclass(frozen=True)
class Task:
    """``folder``: of the trial; ``name``: of its model; ``board``: a name or a file. ``methods``: of compression, which
    follow the training."""

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
    methods: tuple[Method, ...] = ()


@dataclass(frozen=True)
class Result:
    """``float32`` and ``integer``: shares of validation pictures that are told right; ``needs``: of the trained
    program; ``file``: the quantized model, a path within the trial's folder; it is that of the run beside it."""

    number: int
    float32: float
    integer: float
    needs: Needs
    pictures: int
    file: str
    seconds: float


def run_trial(task: Task, watch: Watch = NOBODY, progress: Progress = no_progress) -> Result:
    """What was done before is taken as it is; a training or a compression that was stopped goes on. It computes on one
    thread, so that the result is the same beside any other work.

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
    with one_thread():
        run = _run(task, watch, progress)
        opened = open_run(run, task.folder, recipe=task.point.recipe, progress=progress)
        file = _kept(opened)
        judged = evaluate_models([opened.float_file, file], opened.validation, progress=progress)
    shares = [found.top1.share if found.top1 else None for found in judged.models]
    if shares[0] is None or shares[1] is None:
        raise ChipfitError("N001", f"the pictures of '{task.data}' have no classes to judge by")
    needs = needs_of(load(file), task.point, task.board, task.limits, task.goals)
    seconds = time.monotonic() - began
    found = file.relative_to(task.folder).as_posix()
    result = Result(task.number, shares[0], shares[1], needs, judged.samples, found, seconds)
    folder.write_json(RESULT, asdict(result))
    return result


def _run(task: Task, watch: Watch, progress: Progress) -> Path:
    """The folder of the last run, that of the training or of what made its network smaller."""
    run = task.folder / RUN
    train_or_resume(
        task.data, run, task.settings, validation=task.validation, name=task.name, watch=watch, progress=progress
    )
    for method in task.methods:
        request = Request(run, task.folder / method.name, load_board(task.board), seed=task.settings.seed)
        compress_or_resume(request, method, watch=watch, progress=progress)
        run = request.out
    return run


def _kept(opened: Opened) -> Path:
    """The integer model, as the run's own: whoever goes on from the run takes it as it is."""
    if opened.has_learned:
        return opened.file
    run, name = RunFolder(opened.run), f"{integer_name(opened.name)}.tflite"
    opened.file.replace(run.path / name)
    kept = run.read_run()
    run.write_json(RUN_FILE, {**kept, "files": [*kept["files"], name]})
    return run.path / name


def _result(data: dict[str, Any]) -> Result:
    values: dict[str, Any] = {**data, "needs": Needs(**data["needs"])}
    return Result(**values)
