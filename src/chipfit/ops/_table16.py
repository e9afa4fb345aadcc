"""Functions of one int16 number, interpolated in a table of 513 numbers: 512 straight pieces over the whole range.

Source: TFLite ``LUTPopulate`` and ``LUTLookup`` for int16. They go wrong where neighbouring numbers are more than
32,767 apart, and where the function leaves the output's range by far within a step: here that gives a bound of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.fixedpoint import Int, round_half_away
from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Port

_STEPS = 512
_LOW, _HIGH = -32768, 32767
_FAR = np.float32(4)


def interpolation_table(
    function: Callable[[Array], Array], scale: np.float32, zero_point: int, out_scale: np.float32
) -> Array:
    """The function of real numbers, float32 to float32, at 513 points over the range of an int16 input; int16.

    Each start of a step takes half of what a straight line misses in its middle. All in float32.
    """
    two = np.float32(2)
    first, last = scale * np.float32(_LOW - zero_point), scale * np.float32(_HIGH - zero_point)
    step = (last - first) / np.float32(_STEPS)
    unit = np.float32(65536) / (out_scale * np.float32(_HIGH) - out_scale * np.float32(_LOW))
    at = first + np.arange(_STEPS + 1, dtype=np.float32) * step

    def steps(x: Array) -> Array:
        """In units of the output. Far outside of its range a value counts as nearer: lines towards it stay usable."""
        with np.errstate(over="ignore"):
            return np.clip(function(x) * unit, _FAR * np.float32(_LOW), _FAR * np.float32(_HIGH))

    value, following, middle = steps(at[:-1]), steps(at[1:]), steps(at[:-1] + step / two)
    start = round_half_away(value)
    missed = round_half_away((following + start) / two) - round_half_away(middle)
    end = round_half_away(steps(np.array([last])))
    numbers = np.concatenate([start - round_half_away(missed / two), end])
    return np.clip(numbers, _LOW, _HIGH).astype(np.int16)


def interpolate(table: Array, x: Array) -> Int:
    """Between the two numbers around x; 128 steps from number to number."""
    wide, at = table.astype(np.int64), x.astype(np.int64)
    step = 256 + (at >> 7)
    return wide[step] + (((wide[step + 1] - wide[step]) * (at & 127) + 64) >> 7)


def table_call(node: Node, table: Array) -> Call:
    """The call of ``cf_lookup_s16``."""
    return Call([Port("x"), Const("table", table), Port("y")], {"n": node["y"].type.size})
