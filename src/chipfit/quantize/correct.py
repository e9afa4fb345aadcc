"""Biases that make up for what rounding does to the mean of each channel.

A filter whose taps almost cancel shifts its whole channel by a constant once they are rounded; on inputs with a large
mean this is the greatest error of a narrow network, and a bias takes it back for nothing.
"""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array

ROUNDS = 4
_ROWS = 1 << 16
"""Positions that a round looks at, evenly spread: the two sums differ little, so that their mean is known well."""


def mean_by_channel(sums: Array) -> Array:
    """(..., channels) to (channels,), float64."""
    return sums.reshape(-1, sums.shape[-1]).mean(axis=0, dtype=np.float64)


def corrected_bias(float_sums: Array, integer_sums: Array) -> Array:
    """The bias for which both sums have one mean in each channel.

    ``float_sums``: with the float bias; ``integer_sums``: without any. Both (..., channels), real numbers.
    """
    return mean_by_channel(float_sums) - mean_by_channel(integer_sums)


def matched_bias(b: Array, float_sums: Array, integer_sums: Array, bounds: tuple[float, float], grid: Array) -> Array:
    """The bias for which both have one mean in each channel behind the clamp to ``bounds`` (the activation).

    ``grid``: least and greatest real number that the output's integers hold: (2,). Found in a few rounds from ``b``.
    """
    rows = max(1, -(-float_sums.size // float_sums.shape[-1] // _ROWS))
    wanted = np.clip(_flat(float_sums)[::rows], *bounds)
    target = mean_by_channel(wanted)
    have = _flat(integer_sums)[::rows]
    low, high = max(bounds[0], float(grid[0])), min(bounds[1], float(grid[1]))
    for _ in range(ROUNDS):
        b = b + target - mean_by_channel(np.clip(have + b.astype(np.float32), low, high))
    return b


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
