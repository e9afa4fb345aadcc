"""What becomes of the results of a layer: zero point, activation, clamp, lookup table, and their place in memory."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu.memory import Memory
from chipfit.ethosu.registers import FeatureMap, Int, Registers

_CLIPS = {2: (0, 255), 3: (-128, 127), 5: (-32768, 32767)}
"""Ranges that an activation may name instead of the output's own."""

_INT32 = (-(1 << 31), (1 << 31) - 1)
_FIRST_TABLE = 16
_TABLE_BYTES = 256


def store(r: Registers, memory: Memory, lut_start: int, values: Int) -> None:
    """Write results, scaled, (height, width, channels). ``lut_start``: where tables begin in the internal memory."""
    target = r.feature_map("OFM")
    activation = r.parameter("ACTIVATION")
    function, clip = activation & 31, (activation >> 12) & 7
    if 0 < function < _FIRST_TABLE:
        raise ChipfitError("A001", f"the activation {function} (tanh or sigmoid of 16 bits) is not modelled")
    is_wide = target.dtype.itemsize == 4
    if not is_wide or function:  # an output of 32 bits has no zero point, but the index into a table does
        values = values + target.zero_point
    if is_wide:
        values = np.clip(values, *_INT32)
    values = _clamped(r, target, clip, values)
    if function:
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
    return table[index].astype(np.int64)
