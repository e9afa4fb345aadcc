"""Rounding weights column by column, so that each column makes up for the errors of those before it.

Source: Frantar et al., GPTQ (2022), on inputs whose mean is subtracted: a bias makes up for the mean for nothing.
"""

from __future__ import annotations

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
    groups, _, width = w.shape
    result = np.empty(w.shape, np.int8)
    step = max(1, _GROUP_BYTES // (8 * width * (width + columns.shape[1])))
    for start in range(0, groups, step):
        part = slice(start, start + step)
        result[part] = _round(w[part].astype(np.float64), scales[part], columns[part].astype(np.float64))
    return result


def _round(w: Array, scales: Array, columns: Array) -> Array:
    width = w.shape[2]
    upper = _error_spread(columns)
    result = np.empty_like(w)
    for k in range(width):
        q = np.clip(np.rint(w[:, :, k] / scales), -127, 127)
        result[:, :, k] = q
        error = (w[:, :, k] - q * scales) / upper[:, k, k, None]
        w[:, :, k:] -= error[:, :, None] * upper[:, None, k, k:]
    return result


def _error_spread(columns: Array) -> Array:
    """(groups, columns, columns), upper triangular: how the error of a column is best shared among the later ones."""
    centred = columns - columns.mean(axis=1, keepdims=True)
    hessian = centred.transpose(0, 2, 1) @ centred / columns.shape[1]
    width = hessian.shape[1]
    mean = np.trace(hessian, axis1=1, axis2=2) / width
    # inputs that never change say nothing: any order of rounding is as good
    damping = np.where(mean > 0, DAMPING * mean, 1.0)
    hessian[:, np.arange(width), np.arange(width)] += damping[:, None]
    return np.linalg.cholesky(np.linalg.inv(hessian)).transpose(0, 2, 1)
