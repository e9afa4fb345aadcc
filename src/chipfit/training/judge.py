"""How good a network is on pictures that it was not trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.evaluation.statistics import confusion_matrix
from chipfit.graph import Array
from chipfit.quantize import Preprocessing
from chipfit.training.augment import batches
from chipfit.training.pictures import PictureSet

BATCH = 64
_LEAST = 1e-7
"""Probabilities below it count as it: their logarithm has no end."""

HOW = "measured (Keras, float32, on the validation pictures)"


@dataclass(frozen=True)
class ClassFigures:
    """``recall``: share of the class's pictures that were told; ``precision``: of those told as it, how many are.
    None: there are none."""

    name: str
    pictures: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True)
class Judgement:
    """``loss``: mean cross-entropy, nats; ``confusion``: rows are actual classes, columns what the network said."""

    pictures: int
    loss: float
    accuracy: float
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    how: str = HOW


@dataclass(frozen=True)
class NumberFigures:
    """Of one column, in its unit. ``error``: mean absolute error; ``rms``: root of the mean squared error;
    ``deviation``: of the numbers themselves, which is the ``rms`` of a network that always says their mean."""

    name: str
    error: float
    rms: float
    deviation: float


@dataclass(frozen=True)
class NumberJudgement:
    pictures: int
    numbers: tuple[NumberFigures, ...]
    how: str = HOW


def outputs_of(
    predict: Callable[[Array], Any], pictures: PictureSet, indices: Array, preprocessing: Preprocessing
) -> Array:
    """(n, outputs), float64, of the pictures at ``indices``."""
    parts = [np.asarray(predict(preprocessing.apply(x))) for x, _ in batches(pictures, indices, BATCH)]
    return np.concatenate(parts).astype(np.float64)


def judge(probabilities: Array, labels: Array, names: tuple[str, ...]) -> Judgement:
    """``probabilities``: (n, classes); ``labels``: (n,)."""
    choices = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, choices, len(names))
    right, actual, said = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    figures = [
        ClassFigures(
            name, int(actual[i]), float(right[i] / actual[i]) if actual[i] else None,
            float(right[i] / said[i]) if said[i] else None,
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    return Judgement(
        pictures=len(labels),
        loss=cross_entropy(probabilities, labels),
        accuracy=float((choices == labels).mean()),
        classes=tuple(figures),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
    )


def judge_numbers(outputs: Array, values: Array, names: tuple[str, ...]) -> NumberJudgement:
    """``outputs``, ``values``: (n, columns), in their units."""
    errors = outputs - values
    figures = zip(
        names, np.abs(errors).mean(axis=0).tolist(), np.sqrt(np.square(errors).mean(axis=0)).tolist(),
        values.std(axis=0).tolist(), strict=True,
    )  # fmt: skip
    return NumberJudgement(len(values), tuple(NumberFigures(*one) for one in figures))


def cross_entropy(probabilities: Array, labels: Array) -> float:
    """Mean over the samples, nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _LEAST)).mean())
