"""What a network learns from: pictures, divided, with what it should say of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.quantize import Preprocessing, Progress
from chipfit.training.loop import Data
from chipfit.training.numbers import Numbers, Standard, read_numbers
from chipfit.training.pictures import PictureSet, check_shape, read_found, read_pictures
from chipfit.training.settings import TrainSettings
from chipfit.training.split import class_weights, split_pictures, split_rows


def read_data(
    folder: Path,
    validation: Path | None,
    settings: TrainSettings,
    cache: str | Path | bool,
    progress: Progress,
    preprocessing: Preprocessing | None = None,
) -> Data:
    """``preprocessing``: how pictures become inputs; None: as the backbone of the settings wants it.

    Raises ChipfitError as :func:`read_pictures` does, or as :func:`read_numbers`; U001 for a folder to validate with
    beside numbers.
    """
    shape = (settings.height, settings.width, 1 if settings.grey else 3)
    how = preprocessing or settings.preprocessing
    if settings.labels is not None:
        if validation is not None:
            hint = "put all rows into the one file: --val-share says how many validate"
            raise ChipfitError("U001", "--labels and --val do not go together", hint)
        check_shape(shape)
        numbers = read_numbers(Path(settings.labels), folder)
        return _with_numbers(numbers, folder, shape, settings, how, cache, progress)
    pictures = read_pictures(folder, shape, preprocessing=how, validation=validation, cache=cache, progress=progress)
    split = split_pictures(pictures, settings.validation_share, settings.seed)
    count = len(pictures.classes)
    targets = np.eye(count) * (1 - settings.label_smoothing) + settings.label_smoothing / count
    weights = class_weights(pictures.labels[split.train], count) if settings.balance else np.ones(count)
    return Data(
        pictures, split, how, pictures.classes, targets.astype(np.float32),
        weights.astype(np.float32),
    )  # fmt: skip


def _with_numbers(
    numbers: Numbers,
    folder: Path,
    shape: tuple[int, int, int],
    settings: TrainSettings,
    how: Preprocessing,
    cache: str | Path | bool,
    progress: Progress,
) -> Data:
    pictures = read_found(folder, numbers.found, shape, preprocessing=how, cache=cache, progress=progress)
    if len(pictures) < 2:
        first = pictures.broken[0]
        message = f"{len(pictures)} of the pictures with numbers can be read; '{first.file}': {first.reason}"
        raise ChipfitError("N001", message, "put readable pictures in their place")
    if numbers.without:
        pictures = replace(pictures, unused=(f"{numbers.without:,} pictures that no row of the file names",))
    split = split_rows(pictures, settings.validation_share, settings.seed)
    values = numbers.values
    standard = Standard.of(values[pictures.labels[split.train]], numbers.names)
    weights = np.ones(len(values), np.float32)
    return Data(pictures, split, how, numbers.names, standard.apply(values), weights, values, standard)


def as_one_group(pictures: PictureSet) -> PictureSet:
    """Pictures with numbers as they are shown and counted: all alike."""
    return replace(pictures, classes=("all pictures",), labels=np.zeros_like(pictures.labels))
