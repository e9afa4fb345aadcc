"""How sure a share is, and whether two models differ by more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array

_Z = 1.959963984540054
"""The normal deviate that 95 % of all draws stay within."""

SIGNIFICANT = 0.05
"""A difference that chance makes more often than this is within noise."""


@dataclass(frozen=True)
class Share:
    """``count`` of ``total``, and the 95 % interval of the share that infinitely many such samples would have.

    The interval is that of Wilson (1927), which holds near 0 and 1, too; ``half_width`` is half of its length.
    """

    count: int
    total: int
    share: float
    low: float
    high: float
    half_width: float


def share_of(count: int, total: int) -> Share:
    """Raises ValueError unless 0 <= count <= total, total > 0."""
    if not 0 <= count <= total or total == 0:
        raise ValueError(f"{count} of {total}")
    p, square = count / total, _Z * _Z
    middle = (p + square / (2 * total)) / (1 + square / total)
    half = _Z * math.sqrt(p * (1 - p) / total + square / (4 * total * total)) / (1 + square / total)
    # the interval holds the share itself; sums of floats could leave it out at 0 and 1
    return Share(count, total, p, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)), half)


@dataclass(frozen=True)
class Difference:
    """Two models on the same samples: ``only_a`` and ``only_b`` are those that one gets right and the other does not.

    ``p_value``: how often chance alone divides the samples on which they differ at least as unevenly (exact test of
    McNemar, two-sided). ``is_noise``: too often to tell the models apart.
    """

    a: str
    b: str
    only_a: int
    only_b: int
    p_value: float
    is_noise: bool


def difference(names: tuple[str, str], a: Array, b: Array) -> Difference:
    """``a``, ``b``: (samples,), bool: which samples each model gets right."""
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p = _both_tails(min(only_a, only_b), only_a + only_b)
    return Difference(*names, only_a, only_b, p, p >= SIGNIFICANT)


def _both_tails(fewer: int, total: int) -> float:
    """Probability that a fair coin shows one of its sides at most ``fewer`` times in ``total`` throws."""
    log_all = math.lgamma(total + 1) - total * math.log(2.0)
    tail = sum(math.exp(log_all - math.lgamma(k + 1) - math.lgamma(total - k + 1)) for k in range(fewer + 1))
    return min(1.0, 2.0 * tail)


def among_first(scores: Array, labels: Array, places: int) -> Array:
    """(samples,), bool: whether the label is one of the ``places`` best of ``scores``, (samples, classes).

    Of equal scores the one with the lower index is better, as for argmax.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    better = (scores > own) | ((scores == own) & earlier)
    return better.sum(axis=1) < places


@dataclass(frozen=True)
class Confusion:
    """``count`` samples of class ``actual`` that the model takes for ``predicted``; both are indices of classes."""

    actual: int
    predicted: int
    count: int


def worst_confusions(labels: Array, choices: Array, most: int) -> tuple[Confusion, ...]:
    """The most frequent mistakes, at most ``most`` of them; ``labels`` and ``choices``: (samples,), indices."""
    wrong = labels != choices
    pairs, counts = np.unique(np.stack([labels[wrong], choices[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return tuple(Confusion(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order)


def confusion_matrix(labels: Array, choices: Array, classes: int) -> Array:
    """(classes, classes): row: actual class, column: what the model takes it for."""
    cells = np.bincount(labels * classes + choices, minlength=classes * classes)
    return cells.reshape(classes, classes)
