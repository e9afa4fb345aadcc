"""What is compressed: a float model, and the data that it is tuned with and judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.deployment.source import is_run
from chipfit.errors import ChipfitError
from chipfit.evaluation.data import LABEL_NAMES
from chipfit.metadata import Facts, facts_of
from chipfit.model import Model, load
from chipfit.quantization import CALIBRATED
from chipfit.quantize import Preprocessing, Progress, Samples, no_progress
from chipfit.quantize.prepare import require_float
from chipfit.samples import read_arrays
from chipfit.trainable.judge import as_inputs, calibration_of
from chipfit.training.data import read_data
from chipfit.training.loop import Data
from chipfit.training.pictures import LARGEST_SIDE, SMALLEST_SIDE, PictureSet
from chipfit.training.run_folder import RunFolder
from chipfit.training.settings import TrainSettings
from chipfit.training.split import split_pictures

_PIXELS = (1, 3)


@dataclass(frozen=True, eq=False)
class Subject:
    """``model``: float. ``data``: with labels; None: there are none, and ``calibration`` is all there is (None: not
    even that). ``settings``: of the training that divides the data; None: they are no folder of pictures.
    ``applied``: methods that the model has gone through."""

    source: Path
    model: Model
    facts: Facts
    data: Data | None
    calibration: Samples | None
    data_path: Path | None = None
    validation_path: Path | None = None
    settings: TrainSettings | None = None
    applied: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def is_numbers(self) -> bool:
        """Whether it estimates numbers, and tells no classes."""
        return self.data is not None and self.data.standard is not None

    def require_data(self) -> Data:
        """Raises ChipfitError Q001 where there are none with labels."""
        if self.data is None:
            hint = "--data names a folder with one folder of pictures per class, or an .npz file with labels"
            raise ChipfitError("Q001", f"'{self.source}' is tuned on data with labels, and there are none", hint)
        return self.data

    def require_calibration(self) -> Samples:
        """Raises ChipfitError Q001 where there are no samples at all."""
        if self.calibration is None:
            raise ChipfitError(
                "Q001", f"'{self.source}' comes without samples", "--data names pictures or an .npz file"
            )
        return self.calibration


def open_subject(
    source: Path, data: Path | None = None, validation: Path | None = None, seed: int = 0,
    progress: Progress = no_progress, preprocessing: Preprocessing | None = None,
) -> Subject:  # fmt: skip
    """``source``: the folder of a finished run (of training or compression), which knows its data, or a float model.

    ``data``: for a model: a folder with a sub-folder of pictures for each class, or an ``.npz`` or ``.npy`` file:
    samples, and where there are ``labels`` the classes. ``preprocessing``: how pixels become inputs; None: as the
    model's file says, or as they are. Raises ChipfitError F001..F005, N001, N003, Q001, Q002, Q004
    (a model that is quantized already).
    """
    if not source.exists():
        raise ChipfitError("F001", f"there is no file or folder '{source}'", "check the path")
    subject = _of_run(source, data, validation, seed, progress) if is_run(source) else None
    if subject is None:
        model = load(source)
        facts = facts_of(model)
        facts = replace(facts, preprocessing=preprocessing or facts.preprocessing)
        subject = _with_data(Subject(source, model, facts, None, None), data, validation, seed, progress)
    require_float(subject.model.graph)
    return subject


def _of_run(run: Path, data: Path | None, validation: Path | None, seed: int, progress: Progress) -> Subject:
    kept = RunFolder(run).read_run()
    if kept["status"] != "finished":
        raise ChipfitError("N003", f"the run in '{run}' is not finished", f"go on with it: --resume -o {run}")
    model = load(run / f"{kept['model']}.tflite")
    subject = Subject(run, model, facts_of(model), None, None, applied=tuple(kept.get("applied", ())))
    if data is None and kept["data"] is not None:
        data = Path(kept["data"])
        validation = None if kept["validation_data"] is None else Path(kept["validation_data"])
        if kept["settings"] is not None:
            return _with_pictures(subject, data, validation, TrainSettings.from_json(kept["settings"]), progress)
    return _with_data(subject, data, validation, seed, progress)


def _with_data(subject: Subject, data: Path | None, validation: Path | None, seed: int, progress: Progress) -> Subject:
    if data is None:
        return subject
    if not data.exists():
        raise ChipfitError("F001", f"there is no file or folder '{data}'", "check the path")
    if data.is_dir():
        return _with_pictures(subject, data, validation, _settings_for(subject.model, seed), progress)
    return _with_arrays(subject, data, seed)


def _settings_for(model: Model, seed: int) -> TrainSettings:
    """How pictures are read and divided for a model that chipfit has not trained."""
    shape = model.graph.inputs[0].shape
    is_picture = len(model.inputs) == 1 and len(shape) == 4 and shape[3] in _PIXELS
    if not is_picture or not all(SMALLEST_SIDE <= n <= LARGEST_SIDE for n in shape[1:3]):
        what = f"input '{model.inputs[0].name}' {list(shape)} takes no pictures of {SMALLEST_SIDE} to {LARGEST_SIDE}"
        raise ChipfitError("Q002", f"{what} rows and columns, with 1 or 3 channels", "hand arrays in: an .npz file")
    return TrainSettings(height=shape[1], width=shape[2], grey=shape[3] == 1, seed=seed)


def _with_pictures(
    subject: Subject, path: Path, validation: Path | None, settings: TrainSettings, progress: Progress
) -> Subject:
    how = subject.facts.preprocessing or Preprocessing(resize="stretch")
    read = read_data(path, validation, settings, cache=True, progress=progress, preprocessing=how)
    _require_outputs(subject.model, len(read.names), path)
    facts = replace(subject.facts, preprocessing=how, labels=subject.facts.labels or read.names)
    return replace(
        subject, facts=facts, data=read, calibration=calibration_of(subject.model.graph.inputs[0], read, settings.seed),
        data_path=path, validation_path=validation, settings=settings,
    )  # fmt: skip


def _with_arrays(subject: Subject, path: Path, seed: int) -> Subject:
    """Samples of a file; uint8 ones are pixels if the model's file says how they become inputs."""
    found = read_arrays(path)
    arrays: dict[str, Any] = {"": found} if isinstance(found, np.ndarray) else dict(found)
    labels = next((arrays.pop(name) for name in LABEL_NAMES if name in arrays), None)
    inputs = subject.model.graph.inputs
    if len(arrays) != 1 or len(inputs) != 1:
        raise ChipfitError("I003", f"'{path}' has {len(arrays)} arrays beside labels; a model of one input takes one")
    value, pixels = inputs[0], next(iter(arrays.values()))
    shape = value.shape[1:] if value.shape[:1] == (1,) else value.shape
    pixels = pixels.reshape(len(pixels), *shape) if pixels[0].size == int(np.prod(shape)) else pixels
    if pixels.shape[1:] != shape or not len(pixels):
        raise ChipfitError("I001", f"'{path}' has samples of {list(pixels.shape[1:])}, the model takes {list(shape)}")
    how = subject.facts.preprocessing if pixels.dtype == np.uint8 else None
    how = how or Preprocessing()
    if labels is None:
        samples = Samples((as_inputs(value, how.apply(pixels)),), (None,), how)
        return replace(subject, calibration=samples.first(CALIBRATED), data_path=path)
    labels = np.asarray(labels).reshape(-1).astype(np.int64)
    outputs = int(np.prod(subject.model.graph.outputs[0].shape))
    if len(labels) != len(pixels) or labels.min() < 0 or labels.max() >= outputs:
        raise ChipfitError("Q006", f"the labels in '{path}' are no classes of {outputs}, one for each sample")
    names = subject.facts.labels or tuple(str(i) for i in range(outputs))
    files = tuple(str(i) for i in range(len(pixels)))
    pictures = PictureSet(path, pixels, labels, names, files, files, None, how)
    data = Data(
        pictures, split_pictures(pictures, seed=seed), how, names, np.eye(outputs, dtype=np.float32),
        np.ones(outputs, np.float32),
    )  # fmt: skip
    return replace(subject, data=data, calibration=calibration_of(value, data, seed), data_path=path)


def _require_outputs(model: Model, names: int, path: Path) -> None:
    outputs = int(np.prod(model.graph.outputs[0].shape))
    if outputs != names:
        raise ChipfitError("N001", f"the model has {outputs} outputs, '{path}' has {names} classes", "other --data")
