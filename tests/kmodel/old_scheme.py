"""How the vendor's last compiler for version 4 made activation tables, as far as its files show."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from chipfit.kmodel.format.registers import Activation, Segment

Array = np.ndarray[Any, Any]
SAMPLES, PIECES = 1024, 15


def fixed_mul(value: float, bits: int, most_shift: int) -> tuple[int, int]:
    """``mul / 2**shift`` with as many bits as there are."""
    shift = 0
    while shift < most_shift and abs(round(value * 2.0 ** (shift + 1))) < 1 << (bits - 1):
        shift += 1
    return round(value * 2.0**shift), shift


def old_table(
    function: Callable[[Array], Array], low: float, high: float, per_unit: float, z_scale: float, z_zero: int
) -> tuple[Activation, float]:
    """The table, and how many t are in a real 1. ``per_unit``: steps of the sums in a real 1 (inputs times weights).

    The first piece gives 0; 15 straight ones between 1,024 samples of the function, neighbours merged where the error
    is least, begin at a rounded byte each.
    """
    y_scale = 255.0 / (high - low)
    _, shift = fixed_mul(y_scale / per_unit, 22, 255)
    t_scale = y_scale * 2.0 ** (shift - min(shift, 15))
    x = np.linspace(low, high, SAMPLES)
    z = function(x)
    ends = list(range(SAMPLES))

    def error(first: int, last: int) -> float:
        part = slice(ends[first], ends[last] + 1)
        line = np.interp(x[part], [x[ends[first]], x[ends[last]]], [z[ends[first]], z[ends[last]]])
        return float(((line - z[part]) ** 2).sum())

    def growth(i: int) -> float:
        return error(i, i + 2) - error(i, i + 1) - error(i + 1, i + 2) if 0 <= i < len(ends) - 2 else np.inf

    costs = [growth(i) for i in range(len(ends) - 2)]
    while len(ends) - 1 > PIECES:
        least = int(np.argmin(costs))
        del ends[least + 1], costs[least]
        for i in (least - 1, least):
            if 0 <= i < len(costs):
                costs[i] = growth(i)
    pieces = [Segment(-(1 << 35), 0, 0, 0)]
    for a, b in pairwise(ends):
        slope = (z[b] - z[a]) / (x[b] - x[a])
        mul, down = fixed_mul(slope * z_scale / t_scale, 16, 20)
        byte = int(np.clip(round(z[a] * z_scale + z_zero), 0, 255))
        pieces.append(Segment(round(x[a] * t_scale), mul, down, byte))
    return Activation(tuple(pieces)), t_scale
