"""What is kept of the outputs of one model: a few numbers for each sample, and sums."""

from __future__ import annotations

import math

import numpy as np

from chipfit.evaluation.statistics import among_first
from chipfit.graph import Array

_PLACES = 5


class Signal:
    """Signal to noise over batches, as :func:`chipfit.quantize.measure.signal_to_noise` defines it for one array."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._spread = self._noise = 0.0

    def add(self, reference: Array, value: Array) -> None:
        exact = reference.astype(np.float64)
        count, mean = exact.size, float(exact.mean())
        total, shift = self._count + count, mean - self._mean
        # two means and two sums of squares about them become one of each
        self._spread += float(np.square(exact - mean).sum()) + shift * shift * self._count * count / total
        self._mean += shift * count / total
        self._count = total
        self._noise += float(np.square(exact - value).sum())

    @property
    def decibels(self) -> float:
        """Infinite without any noise, minus infinity without a signal."""
        if self._noise == 0.0:
            return math.inf
        return 10.0 * math.log10(self._spread / self._noise) if self._spread > 0.0 else -math.inf


class Tally:
    """``unclear``: samples for which the first place of the model's own output is not that of its scores."""

    def __init__(self) -> None:
        self.signal = Signal()
        self.unclear = 0
        self._choices: list[Array] = []
        self._labels: list[Array] = []
        self._among_five = 0

    def add(self, scores: Array, own: Array, labels: Array | None, exact: Array | None) -> None:
        """``scores``, ``exact``: (samples, classes), real numbers; ``own``, ``labels``: (samples,), classes."""
        choices = scores.argmax(axis=1)
        self._choices.append(choices)
        self.unclear += int((choices != own).sum())
        if labels is not None:
            self._labels.append(labels)
            self._among_five += int(among_first(scores, labels, _PLACES).sum())
        if exact is not None:
            self.signal.add(exact, scores)

    @property
    def choices(self) -> Array:
        """(samples,): the class with the greatest score."""
        return np.concatenate(self._choices)

    @property
    def labels(self) -> Array | None:
        return np.concatenate(self._labels) if self._labels else None

    @property
    def right(self) -> Array | None:
        """(samples,), bool: whether the greatest score is that of the label."""
        labels = self.labels
        return None if labels is None else self.choices == labels

    @property
    def among_five(self) -> int | None:
        """Samples whose label is among the five greatest scores."""
        return self._among_five if self._labels else None
