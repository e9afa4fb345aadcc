"""What is deployed: a folder of pictures, a run of ``chipfit train``, or a model's file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.files import staged_file
from chipfit.graph import Array
from chipfit.importers import is_saved_model
from chipfit.quantization import CALIBRATED, TESTED
from chipfit.quantize import Progress
from chipfit.training.pictures import PictureSet, read_pictures
from chipfit.training.run_folder import RUN, SPLIT
from chipfit.training.split import Split, in_turns, split_pictures
from chipfit.training.train import Source

MOST_BYTES = 256 << 20
"""Pixels that are kept for validation: of more pictures, the first in turns of the classes."""


def is_run(path: Path) -> bool:
    return (path / RUN).is_file()


def is_pictures(path: Path) -> bool:
    """A folder that is neither a run nor a model."""
    return path.is_dir() and not is_run(path) and not is_saved_model(path)


@dataclass(frozen=True, eq=False)
class Pictures:
    """``calibration``: (n, h, w, c), uint8: pictures to choose integers with, then those to judge them by, which the
    network was not trained with. ``validation``: likewise, all of these, in turns of the classes; ``labels``: (n,);
    ``files``: their paths, as the run's division names them."""

    calibration: Array
    validation: Array
    labels: Array
    files: tuple[str, ...]


def pictures_of_run(run: Path, source: Source, progress: Progress) -> Pictures:
    """The pictures of a run, divided as it has divided them.

    Raises ChipfitError N003 if they are others than those that the run was trained with, and as
    :func:`~chipfit.training.pictures.read_pictures` does.
    """
    settings = source.settings
    shape = (settings.height, settings.width, 1 if settings.grey else 3)
    found = read_pictures(
        source.data, shape, preprocessing=source.preprocessing, validation=source.validation, progress=progress
    )
    split = split_pictures(found, settings.validation_share, settings.seed)
    _require_same(run, found, split)
    learned = in_turns(found.labels, split.train, settings.seed)[:CALIBRATED]
    order = in_turns(found.labels, split.validation, settings.seed)
    order = order[: max(1, MOST_BYTES // int(np.prod(shape)))]
    return Pictures(
        np.concatenate([found.pixels[np.sort(learned)], found.pixels[np.sort(order[:TESTED])]]),
        found.pixels[order],
        found.labels[order],
        tuple(found.files[i] for i in order),
    )


def _require_same(run: Path, pictures: PictureSet, split: Split) -> None:
    kept = json.loads((run / SPLIT).read_text(encoding="utf-8"))
    if split.to_json(pictures) != kept:
        message = f"the pictures in '{pictures.folder}' are others than those that '{run}' was trained with"
        raise ChipfitError("N003", message, "train again: another -o")


def save_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """An ``.npz`` file, whole or not at all."""
    with staged_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
