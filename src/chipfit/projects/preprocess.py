"""From pixels to what a model stores, in a form that C computes exactly.

What Python makes of each of the 256 values of a pixel is computed first, for each channel. Then the simplest form in C
is taken that is proven to give the same for all of them; where none does, the values themselves are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.evaluation.engines import stored
from chipfit.graph import Array, DType
from chipfit.quantize import Preprocessing
from chipfit.report.data import TensorInfo

_VALUES = np.arange(256, dtype=np.int64)
_TYPES = ("int8", "uint8", "int16", "float32")
_MOST_SHIFT = 20
_LIMIT = (1 << 31) - 1

Form = Literal["offset", "line", "product", "table"]


@dataclass(frozen=True, eq=False)
class PixelMap:
    """What becomes of a pixel of each channel.

    ``height``, ``width``, ``channels``: of a picture, whose pixels lie channel by channel, left to right, top to
    bottom. ``values``: (``tables``, 256), as the input stores them; ``tables`` is 1 where all channels are alike.

    ``form``: how C computes them, exactly for each of the 256 values. ``offset``: the pixel plus ``offsets[0]``.
    ``line``: ``(multipliers[c] * pixel + offsets[c]) >> shift``, limited to ``low`` and ``high``. ``product``: the
    pixel minus ``offsets[0]``, times ``factor``. ``table``: looked up.
    """

    height: int
    width: int
    channels: int
    values: Array
    form: Form
    offsets: tuple[int, ...] = ()
    multipliers: tuple[int, ...] = ()
    shift: int = 0
    low: int = 0
    high: int = 0
    factor: float = 0.0

    @property
    def tables(self) -> int:
        return len(self.values)

    @property
    def c_type(self) -> str:
        return DType.of(self.values).c_type

    @property
    def count(self) -> int:
        """Pixels, each channel counted."""
        return self.height * self.width * self.channels

    def apply(self, pixels: Array) -> Array:
        """(..., channels), uint8, to what the input stores."""
        channel = np.arange(self.channels) if self.tables > 1 else 0
        return self.values[channel, pixels]


def takes_pictures(info: TensorInfo) -> bool:
    """Whether an input has the form of a picture, (1, height, width, 1 or 3), in a type that pixels can become."""
    shape = info.shape
    return len(shape) == 4 and shape[0] == 1 and shape[3] in (1, 3) and info.dtype in _TYPES


def pixel_map(info: TensorInfo, how: Preprocessing) -> PixelMap:
    """How pixels become what the input ``info`` stores: :func:`takes_pictures` must hold for it.

    Raises ChipfitError Q002 where mean or std are given for another number of channels.
    """
    _, height, width, channels = info.shape
    for name, numbers in (("mean", how.mean), ("std", how.std)):
        if len(numbers) not in (1, channels):
            raise ChipfitError(
                "Q002", f"{name} has {len(numbers)} numbers, input '{info.name}' has {channels} channels"
            )
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1)
    values = np.ascontiguousarray(stored(how.apply(pixels), info).T)
    if (values == values[0]).all():
        values = values[:1]
    made = PixelMap(height, width, channels, values, "table")
    return (_product(made) if info.dtype == "float32" else _offset(made) or _line(made)) or made


def _offset(table: PixelMap) -> PixelMap | None:
    offset = int(table.values[0, 0])
    if table.tables > 1 or (table.values[0] != _VALUES + offset).any():
        return None
    return replace(table, form="offset", offsets=(offset,))


def _line(table: PixelMap) -> PixelMap | None:
    """A line in fixed point for each channel: the coarsest that all channels have."""
    limits = DType.of(table.values).range
    for shift in range(_MOST_SHIFT + 1):
        lines = [_line_of(row.astype(np.int64), shift, *limits) for row in table.values]
        found = [line for line in lines if line is not None]
        if len(found) == len(lines):
            multipliers, offsets = zip(*found, strict=True)
            low, high = limits
            return replace(
                table, form="line", multipliers=multipliers, offsets=offsets, shift=shift, low=low, high=high
            )
    return None


def _line_of(row: Array, shift: int, low: int, high: int) -> tuple[int, int] | None:
    """Multiplier and offset so that the line, shifted down and limited, is the row; None if there are none.

    Where the row is at a limit the line may go beyond it. The slope between the ends of what is not is the true one to
    within a step over the whole way, so that few multipliers come into question.
    """
    inner = np.flatnonzero((row > low) & (row < high))
    if len(inner) < 2:
        return None
    first, last = int(inner[0]), int(inner[-1])
    slope = (int(row[last]) - int(row[first])) * (1 << shift) / (last - first)
    reach = (1 << shift) / (last - first)
    for multiplier in sorted({round(slope + reach * k / 4) for k in range(-4, 5)}, key=lambda m: abs(m - slope)):
        least = np.where(row > low, (row << shift) - multiplier * _VALUES, -_LIMIT).max()
        most = np.where(row < high, ((row + 1) << shift) - 1 - multiplier * _VALUES, _LIMIT).min()
        offset = int(least + most) // 2
        if least <= most and np.abs(multiplier * _VALUES + offset).max() <= _LIMIT:
            return multiplier, offset
    return None


def _product(table: PixelMap) -> PixelMap | None:
    """One rounding alone, which no compiler can take together with another one."""
    zero = np.flatnonzero(table.values[0] == 0)
    at = int(zero[0]) if len(zero) else -1
    if table.tables > 1 or not 0 <= at < 255:
        return None
    factor = table.values[0, at + 1]
    made = (_VALUES - at).astype(np.float32) * factor
    if made.tobytes() != table.values[0].tobytes():
        return None
    return replace(table, form="product", offsets=(at,), factor=float(factor))
