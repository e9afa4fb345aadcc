"""Fused activations: their ranges on real numbers and on integers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from chipfit.fixedpoint import round_half_away
from chipfit.graph import Array, DType, Quant

Activation = Literal["none", "relu", "relu6", "relu_n1_to_1"]

_RANGES: dict[str, tuple[float | None, float | None]] = {
    "none": (None, None),
    "relu": (0.0, None),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}


def activation_float(act: Activation, x: Array) -> Array:
    low, high = _RANGES[act]
    if low is None and high is None:
        return x
    return np.clip(x, low, high).astype(np.float32)


def activation_range(act: Activation, dtype: DType, quant: Quant) -> tuple[int, int]:
    """Least and greatest output integer that a fused activation allows.

    Source: TFLite ``CalculateActivationRangeQuantized``; the bound is rounded in float32, halves away from zero.
    """
    low, high = dtype.range
    real_low, real_high = _RANGES[act]
    scale = np.float32(quant.s)
    if real_low is not None:
        low = max(low, quant.zp + int(round_half_away(np.float32(real_low) / scale)))
    if real_high is not None:
        high = min(high, quant.zp + int(round_half_away(np.float32(real_high) / scale)))
    return low, high


def activation_range_float(act: Activation) -> tuple[float, float]:
    """The same for float kernels; unbounded sides are the greatest float32."""
    low, high = _RANGES[act]
    limit = float(np.finfo(np.float32).max)
    return (-limit if low is None else low, limit if high is None else high)
