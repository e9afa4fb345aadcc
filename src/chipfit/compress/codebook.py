"""Few integers for many numbers: the best ones, found exactly."""

from __future__ import annotations

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array

LIMIT = 127
"""Integers lie between -127 and 127."""
_BINS = 255
_ROUNDS = 12
_TINY = 1e-30
_NONE = -1
"""Instead of where a cluster starts: one less does as well."""


def codebook(histogram: Array, count: int) -> Int:
    """At most ``count`` integers for which the weighted squared distance of all numbers is least, rising.

    ``histogram``: (255,): weights of the numbers -127 to 127. Optimal k-means on a line by dynamic programming (Wang
    and Song, 2011), with centres that are integers.
    """
    x = np.arange(-LIMIT, LIMIT + 1, dtype=np.float64)
    used = np.flatnonzero(histogram)
    if len(used) <= count:
        return (used - LIMIT).astype(np.int64)
    cost, centres = _segments(x, histogram.astype(np.float64))
    best = cost[0].copy()  # best[j]: of the numbers up to j in the clusters so far
    came: list[Int] = []
    for _ in range(count - 1):
        # the last cluster is i..j, those before it end at i - 1
        total = best[:-1, None] + cost[1:]
        at = np.argmin(total, axis=0)
        new = total[at, np.arange(_BINS)]
        came.append(np.where(new < best, at + 1, _NONE))
        best = np.minimum(new, best)
    found: list[int] = []
    end = _BINS - 1
    for starts in reversed(came):
        start = int(starts[end])
        if start != _NONE:
            found.append(int(centres[start, end]))
            end = start - 1
    found.append(int(centres[0, end]))
    return np.unique(np.array(found, np.int64))


def _segments(x: Array, weights: Array) -> tuple[Array, Array]:
    """(i, j): the cost of one cluster over the numbers i to j, infinite where j < i; and its centre."""
    w, wx, wxx = (np.concatenate([[0.0], np.cumsum(weights * x**p)]) for p in range(3))
    i, j = np.arange(_BINS)[:, None], np.arange(1, _BINS + 1)[None, :]
    mass = w[j] - w[i]
    middle = np.where(mass > 0, (wx[j] - wx[i]) / np.maximum(mass, 1e-300), x[i])
    centre = np.rint(np.clip(middle, x[i], x[j - 1]))
    cost = wxx[j] - wxx[i] - 2 * centre * (wx[j] - wx[i]) + centre**2 * mass
    return np.where(j > i, np.maximum(cost, 0.0), np.inf), centre


def nearest(codes: Int, x: Array) -> Array:
    """Of the ``codes``, rising, the one that is nearest to each number."""
    edges = (codes[1:] + codes[:-1]) / 2
    return codes[np.searchsorted(edges, x)]


def fitted_codebook(
    real: Array, scales: Array, least: Array, importance: Array, count: int, shared_scale: bool
) -> tuple[Int, Array]:
    """Integers and the scale of each channel, in turns, until real weights are near to products of both.

    ``real``: (groups, channels, columns); ``scales``: (groups, channels), to begin with, 0: a channel that does not
    count; ``least``: likewise, that scales may have; ``importance``: how much an error of each weight matters, what
    broadcasts to ``real``. ``shared_scale``: the scales stay.
    """
    importance = np.broadcast_to(importance, real.shape)
    for _ in range(0 if shared_scale else _ROUNDS):
        codes = _codes(real, scales, importance, count)
        q = nearest(codes, real / np.maximum(scales, _TINY)[..., None])
        over = (importance * real * q).sum(axis=2)
        under = (importance * q * q).sum(axis=2)
        better = np.where((under > 0) & (over > 0), over / np.maximum(under, 1e-300), scales)
        # codes use all of their range, so that rounding them to integers costs little
        most = max(1.0, float(np.abs(codes).max()))
        scales = np.where(scales > 0, np.maximum(better * (most / LIMIT), least), 0.0)
    return _codes(real, scales, importance, count), scales


def _codes(real: Array, scales: Array, importance: Array, count: int) -> Int:
    steps = real / np.maximum(scales, _TINY)[..., None]
    at = np.clip(np.rint(steps), -LIMIT, LIMIT).astype(np.int64) + LIMIT
    mass = importance * np.square(scales)[..., None]
    return codebook(np.bincount(at.reshape(-1), mass.reshape(-1), minlength=_BINS), count)
