"""float32 functions as a good C library computes them, which numpy's own float32 loops do not.

C libraries evaluate expf and logf in double precision and round once; numpy's vector loops may be off by some units in
the last place. Sums run from the first element to the last, as C loops do.
"""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array


def exp32(x: Array) -> Array:
    return np.exp(x.astype(np.float64)).astype(np.float32)


def log32(x: Array) -> Array:
    return np.log(x.astype(np.float64)).astype(np.float32)


def sum_last32(x: Array) -> Array:
    """Sums along the last axis, one addition after the other; the axis stays with length 1."""
    return np.add.accumulate(x, axis=-1, dtype=np.float32)[..., -1:]
