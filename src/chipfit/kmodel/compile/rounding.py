"""Which byte each weight becomes: together those with which a layer's sums stay nearest to what they should be.

Rounding every weight to the nearest byte is not that: pixels that lie side by side are alike, so that errors of their
weights may cancel. Columns are rounded one after the other first, each making up for those before it; then each weight
is looked at again beside all others, until none has a better byte.
"""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array
from chipfit.quantize.reconstruct import covariances, parts, rounded

SWEEPS, BLOCK = 4, 64
"""Times that each weight is looked at again; columns whose slopes are computed at a time."""
NOISE = 1.0 / 12.0
"""What rounding to bytes adds to the variance of every input."""


def rounded_rows(rows: Array, steps: Array, columns: Array, bounds: tuple[int, int]) -> Array:
    """Integers for weights, within ``bounds``, float64 in the shape of ``rows``.

    ``rows``: (groups, channels, columns), real; ``steps``: (groups, channels), of the weights; ``columns``: (groups,
    positions, columns), inputs in codes.
    """
    result = np.empty(rows.shape)
    for part in parts(columns):
        spread = shrunk(columns[part])
        result[part] = rounded(rows[part], steps[part], spread, bounds)
        _polish(result[part], rows[part], steps[part], spread, bounds)
    return result


def shrunk(columns: Array) -> Array:
    """Covariances of the columns, as they are about for other samples, too: (groups, columns, columns).

    A few positions do not show how many columns vary together: the fewer there are, the more it counts that each varies
    by itself, and all alike.
    """
    spread = covariances(columns)
    _, positions, width = columns.shape
    diagonal = np.arange(width)
    share = width / (positions + width)
    mean = spread[:, diagonal, diagonal].mean(axis=1, keepdims=True)
    spread *= 1.0 - share
    spread[:, diagonal, diagonal] += share * mean + NOISE
    return spread


def _polish(q: Array, w: Array, steps: Array, spread: Array, bounds: tuple[int, int]) -> None:
    """Give each weight in turn the integer that is best beside all others, in place, as long as that changes any."""
    width = w.shape[2]
    for _ in range(SWEEPS):
        before = q.copy()
        for start in range(0, width, BLOCK):
            part = slice(start, min(start + BLOCK, width))
            slope = (q * steps[..., None] - w) @ spread[:, :, part]
            inner = spread[:, part, part]
            for k in range(part.stop - start):
                old = q[:, :, start + k]
                best = np.clip(np.rint(old - slope[:, :, k] / (inner[:, k, k, None] * steps)), *bounds)
                slope += ((best - old) * steps)[..., None] * inner[:, None, k]
                q[:, :, start + k] = best
        if np.array_equal(q, before):
            break
