"""A float network learns while it already computes in integers (quantization-aware training).

Its ranges begin as ``chipfit quantize`` finds them, follow what the network computes through the first half of the
epochs, and stay. What comes of it is the integer graph of the best epoch: the one that the network was judged as.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from chipfit.graph import Graph, Quant
from chipfit.quantize import Recipe
from chipfit.trainable.fake import Fake
from chipfit.trainable.grid import prepared
from chipfit.trainable.judge import calibration_of, float_outputs, int8_outputs, labelled_of
from chipfit.trainable.model import Extra
from chipfit.trainable.tune import BEST, TuneSettings, Tuning
from chipfit.trainable.weights import Weight
from chipfit.training.loop import Data, Progress, Watch
from chipfit.training.report import QatFigures
from chipfit.training.run_folder import LAST, RunFolder

SETTINGS = TuneSettings(epochs=4, rate=2e-4)


@dataclass(frozen=True, eq=False)
class Aware:
    """``graph``: floats as they were learned; ``int8``: the network that they are in integers; ``recipe``: its own."""

    graph: Graph
    int8: Graph
    recipe: Recipe
    figures: QatFigures
    progress: Progress


def train_aware(
    graph: Graph,
    data: Data,
    folder: RunFolder,
    settings: TuneSettings = SETTINGS,
    *,
    recipe: Recipe | None = None,
    weights: Mapping[str, Weight] | None = None,
    quants: Mapping[str, Quant] | None = None,
    extra: Extra | None = None,
    files: tuple[str, str] = (LAST, BEST),
    watch: Watch | None = None,
    resume: bool = False,
) -> Aware:
    """Train a float graph in the integers of ``recipe``, of mode int8. Batch norms are folded already, so they stay.

    ``folder``: gets ``files``: what a run goes on with, and the best epoch. ``weights``, ``extra``: see
    :class:`~chipfit.trainable.tune.Tuning`. ``quants``: scales of weights, by name, that stay; the recipe must not
    equalize then. ``resume``: from the last finished epoch on, if there is one.
    Raises ChipfitError N005, Q004 (a graph that cannot learn, or not be quantized), Q002, N003, N004, T001.
    """
    began = time.perf_counter()
    recipe = recipe or Recipe()
    samples = calibration_of(graph.inputs[0], data, settings.seed)
    grids = prepared(graph, samples, recipe, quants)
    fake = Fake(grids, settle=-(-settings.epochs // 2))
    tuning = Tuning(grids.graph, data, folder, settings, weights, fake, extra, files=files)
    rounded = tuning.judge()
    tuned = tuning.run(watch, resume=resume)
    int8 = fake.integer(tuned.arrays)
    test = labelled_of(graph.inputs[0], data, data.split.validation)
    best = tuned.progress.best_epoch
    figures = QatFigures(
        recipe=str(recipe),
        float_accuracy=test.accuracy(float_outputs(graph, test.samples)),
        rounded_accuracy=rounded,
        accuracy=None if best is None else best.val_accuracy,
        int8_accuracy=test.accuracy(int8_outputs(int8, test.samples)),
        best=tuned.progress.best,
        history=tuned.progress.history,
        seconds=time.perf_counter() - began,
    )
    return Aware(tuned.graph, int8, recipe, figures, tuned.progress)
