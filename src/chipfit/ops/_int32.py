"""Plain int32 arithmetic (indices and sizes): no quantization, results wrap around as in C."""

from __future__ import annotations

import numpy as np

from chipfit.fixedpoint import INT32_MAX, INT32_MIN, Int, wrap_int32
from chipfit.ops._activation import Activation

_RANGES: dict[str, tuple[int, int]] = {
    "none": (INT32_MIN, INT32_MAX),
    "relu": (0, INT32_MAX),
    "relu6": (0, 6),
    "relu_n1_to_1": (-1, 1),
}


def activation_range_int32(act: Activation) -> tuple[int, int]:
    return _RANGES[act]


def clamp_int32(act: Activation, x: Int) -> Int:
    """The low 32 bits of ``x``, clamped to the activation's range."""
    return np.clip(wrap_int32(x), *_RANGES[act])
