"""What a model is judged on: samples for the emulated chip, and data with labels for this computer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.deployment.report import Accuracy
from chipfit.deployment.source import Pictures
from chipfit.evaluation import evaluate_models
from chipfit.evaluation.candidates import candidate
from chipfit.evaluation.data import DataSource, open_data
from chipfit.evaluation.engines import stored
from chipfit.evaluation.labels import wanted_labels
from chipfit.graph import Array
from chipfit.model import Model
from chipfit.quantize import Preprocessing, Progress
from chipfit.samples import Samples, random_samples


@dataclass(frozen=True, eq=False)
class Judged:
    """``samples``: for the emulated chip, as the model stores them, with their ``labels``, (n,); None: unknown.

    ``data``: all of it, for ``chipfit evaluate`` behind the first ``skip``, and ``file``, its name there; None: none.
    """

    samples: Samples
    labels: Array | None = None
    data: DataSource | None = None
    file: Path | None = None
    skip: int = 0


def judged_by_pictures(
    model: Model, pictures: Pictures, how: Preprocessing, count: int, name: str, file: Path
) -> Judged:
    """The validation pictures of a run, which are also in ``file``."""
    samples = stored(how.apply(pictures.validation[:count])[:, None], model.inputs[0])
    data = {name: pictures.validation, "labels": pictures.labels}
    return Judged([(x,) for x in samples], pictures.labels[:count], data, file)


def judged_by_data(model: Model, data: Path, how: Preprocessing | None, count: int, skip: int) -> Judged:
    """Samples of the user's, behind those that were calibrated with as far as there are others.

    Raises ChipfitError as :func:`chipfit.evaluate_models` does.
    """
    one = candidate(model)
    with ThreadPoolExecutor() as pool:
        whole = open_data(data, [one], wanted_labels([]), how, pool)
        skip = skip if whole.count > skip else 0
        part = whole.part(skip, count)
        real = part.read(0, part.count)
    columns = [stored(x, info) for x, info in zip(real, model.inputs, strict=True)]
    return Judged(list(zip(*columns, strict=True)), part.labels.index, data, data, skip)


def judged_by_random(model: Model, count: int) -> Judged:
    return Judged(random_samples(model.inputs, count))


def accuracy_of(
    float_file: Path | None,
    file: Path,
    judged: Judged,
    outputs: Array,
    how: Preprocessing | None,
    progress: Progress,
) -> Accuracy | None:
    """Both models on all of the data, and on what ran on the chip, which gave ``outputs``: (n, ...).

    None where there are no data, or none with labels.
    """
    if judged.data is None or judged.labels is None:
        return None
    models = [file] if float_file is None else [float_file, file]
    whole = evaluate_models(models, judged.data, preprocessing=how, skip=judged.skip, progress=progress)
    shares = [m.top1.share if m.top1 else None for m in whole.models]
    count = len(judged.samples)
    on_chip = None
    if float_file is not None:
        part = evaluate_models(
            [float_file], judged.data, preprocessing=how, skip=judged.skip, limit=count, progress=progress
        )
        on_chip = part.models[0].top1
    choices = outputs.reshape(count, -1).argmax(axis=1)
    return Accuracy(
        pictures=whole.samples,
        labelled=whole.labelled,
        float32=shares[0] if float_file is not None else None,
        int8=shares[-1],
        chip_pictures=count,
        chip_float32=on_chip.share if on_chip else None,
        chip_int8=float(np.mean(choices == judged.labels)) if outputs[0].size == whole.classes else None,
    )
