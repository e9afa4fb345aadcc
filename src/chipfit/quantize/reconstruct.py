"""Rounding weights column by column, so that each column makes up for the errors of those before it.

Source: Frantar et al., GPTQ (2022), on inputs whose mean is subtracted: a bias makes up for the mean for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chipfit.graph import Array

DAMPING = 0.01
"""Of the mean of the diagonal, added to it: keeps the inverse sane where inputs are few or alike."""

POSITIONS = 4096
"""Output positions that are sampled for each layer."""

MOST_COLUMNS = 4096
"""Of more columns the inverse would take longer than it is worth; such layers are rounded to the nearest."""

_GROUP_BYTES = 1 << 28


def reconstruct(w: Array, scales: Array, columns: Array) -> Array:
    """Integers for weights that keep the sums over ``columns`` close.

    ``w``: (groups, channels, columns), real numbers; ``scales``: (groups, channels); ``columns``: (groups, positions,
    columns) as the integer model has them. Returns int8 in the shape of ``w``, -127 to 127.
    """
    result = np.empty(w.shape, np.int8)
    for part in parts(columns):
        result[part] = rounded(w[part], scales[part], damped(columns[part]), (-127, 127))
    return result


def parts(columns: Array) -> Iterator[slice]:
    """Groups that are worked on at a time, as many as leave memory to others."""
    groups, positions, width = columns.shape
    step = max(1, _GROUP_BYTES // (8 * width * (width + positions)))
    for start in range(0, groups, step):
        yield slice(start, start + step)


def rounded(w: Array, scales: Array, spread: Array, bounds: tuple[int, int]) -> Array:
    """Integers within ``bounds``, float64 in the shape of ``w``. ``spread``: (groups, columns, columns), covariances of
    the columns, positive definite."""
    # how the error of a column is best shared among the later ones: upper triangular
    upper = np.linalg.cholesky(np.linalg.inv(spread)).transpose(0, 2, 1)
    left = w.astype(np.float64)
    result = np.empty_like(left)
    for k in range(w.shape[2]):
        q = np.clip(np.rint(left[:, :, k] / scales), *bounds)
        result[:, :, k] = q
        error = (left[:, :, k] - q * scales) / upper[:, k, k, None]
        left[:, :, k:] -= error[:, :, None] * upper[:, None, k, k:]
    return result


def covariances(columns: Array) -> Array:
    """(groups, columns, columns), float64, of (groups, positions, columns)."""
    exact = columns.astype(np.float64)
    centred = exact - exact.mean(axis=1, keepdims=True)
    return centred.transpose(0, 2, 1) @ centred / columns.shape[1]


def damped(columns: Array) -> Array:
    spread = covariances(columns)
    width = spread.shape[1]
    mean = np.trace(spread, axis1=1, axis2=2) / width
    # inputs that never change say nothing: any order of rounding is as good
    damping = np.where(mean > 0, DAMPING * mean, 1.0)
    spread[:, np.arange(width), np.arange(width)] += damping[:, None]
    return spread
