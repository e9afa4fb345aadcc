"""How the loss changes with each weight: gradients, by any backend of Keras."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from chipfit.graph import Array, Graph
from chipfit.trainable.tune import TuneSettings, Tuning
from chipfit.training.augment import batches
from chipfit.training.loop import Data
from chipfit.training.run_folder import RunFolder

_BATCHES, _BATCH = 16, 32


def slopes_of(graph: Graph, data: Data) -> dict[str, Array]:
    """By the name of weights and biases: the mean gradient over some of the pictures that are trained with.

    A step of plain gradient descent at rate 1 is the negative gradient. Raises ChipfitError as
    :class:`~chipfit.trainable.tune.Tuning` does.
    """
    with tempfile.TemporaryDirectory(prefix="chipfit-slopes-") as folder:
        learner = Tuning(graph, data, RunFolder(Path(folder)), TuneSettings()).learner
        learner.model.compile(learner.keras.optimizers.SGD(1.0))
        start = {value.name: form.array() for value, form in learner.net.forms.items()}
        variables = [learner.keras.ops.convert_to_numpy(v).copy() for v in learner.model.variables]
        sums = {name: np.zeros(array.shape) for name, array in start.items()}
        chosen = np.random.default_rng(0).permutation(data.split.train)[: _BATCHES * _BATCH]
        count = 0
        for pixels, labels in batches(data.pictures, chosen, _BATCH):
            learner.train(data.preprocessing.apply(pixels), data.targets[labels], data.weights[labels])
            for value, form in learner.net.forms.items():
                sums[value.name] += start[value.name] - form.array()
            for variable, array in zip(learner.model.variables, variables, strict=True):
                variable.assign(array)
            count += 1
    return {name: total / max(1, count) for name, total in sums.items()}
