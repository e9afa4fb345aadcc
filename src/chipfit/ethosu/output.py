"""What becomes of the results of a layer: zero point, activation, clamp, lookup table, and their place in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu.memory import Memory
from chipfit.ethosu.registers import FeatureMap, Int, Registers
from chipfit.fixedpoint import logistic_of_scaled, tanh_of_scaled

_CLIPS = {2: (0, 255), 3: (-128, 127), 5: (-32768, 32767)}
"""Ranges that an activation may name instead of the output's own."""

_CURVES: dict[int, Callable[[Int], Int]] = {3: tanh_of_scaled, 4: logistic_of_scaled}
"""Functions of 16 bits, whose input the scale has brought to units of 1/12288."""

_INT32 = (-(1 << 31), (1 << 31) - 1)
_FIRST_TABLE = 16
_TABLE_BYTES = 256


def store(r: Registers, memory: Memory, lut_start: int, values: Int) -> None:
    """Write results, scaled, (runs, height, width, channels).

    ``lut_start``: where tables begin in the internal memory.
    """
    target = r.feature_map("OFM")
    activation = r.parameter("ACTIVATION")
    function, clip = activation & 31, (activation >> 12) & 7
    if 0 < function < _FIRST_TABLE and (function not in _CURVES or target.dtype.name != "int16"):
        raise ChipfitError("A001", f"the activation {function} of {target.dtype.name} is not modelled")
    is_wide = target.dtype.itemsize == 4
    if not is_wide or function >= _FIRST_TABLE:  # 32 bits have no zero point, but the index into a table has one
        values = values + target.zero_point
    if is_wide:
        values = np.clip(values, *_INT32)
    if function in _CURVES:
        values = _CURVES[function](values)
    values = _clamped(r, target, clip, values)
    if function >= _FIRST_TABLE:
        values = _looked_up(memory, target, lut_start + (function - _FIRST_TABLE) * _TABLE_BYTES, values)
    memory.write(target, values)


def _clamped(r: Registers, target: FeatureMap, clip: int, values: Int) -> Int:
    if clip == 0:
        if target.dtype.itemsize == 4:
            return values
        info = np.iinfo(target.dtype.name)
        low, high = int(info.min), int(info.max)
    elif clip in _CLIPS:
        low, high = _CLIPS[clip]
    else:
        raise ChipfitError("A001", f"the range {clip} of an activation is not modelled")
    read = r.signed if low < 0 else r.parameter
    return np.clip(values, max(low, read("ACTIVATION_MIN")), min(high, read("ACTIVATION_MAX")))


def _looked_up(memory: Memory, target: FeatureMap, start: int, values: Int) -> Int:
    """Elements of a table of 256, by the value: signed ones count from -128."""
    size = target.dtype.itemsize
    if size == 2:
        raise ChipfitError("A001", "tables for outputs of 16 bits are not modelled")
    is_signed = target.dtype.kind == "i"
    index = values + 128 if is_signed else values
    if index.min() < 0 or index.max() > 255:
        raise ChipfitError("A001", "a table is asked for elements that it does not have")
    table = memory.internal_at(start, 256 * size, "a lookup table").view(target.dtype)
    return np.take_along_axis(table, index.reshape(len(index), -1), axis=1).reshape(index.shape).astype(np.int64)
