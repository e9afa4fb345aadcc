"""Which real number a byte stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array
from chipfit.quantize.observers import Range

LEAST_WIDTH = 1e-6
"""Of a range: a tensor that is always 0 still has a step."""


@dataclass(frozen=True, eq=False)
class Grid:
    """``real = step * (code - zero)``, code 0..255. ``step`` and ``zero``: (1,), or one for each channel.

    The zero of a computed tensor is a byte; that of an image need not be.
    """

    step: Array
    zero: Array

    @staticmethod
    def of(low: float, high: float) -> Grid:
        """The grid of a range, which is widened to hold 0: that is what padding and ReLU give."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = max(high - low, LEAST_WIDTH) / 255.0
        return Grid(np.array([step]), np.array([float(np.clip(np.rint(-low / step), 0, 255))]))

    @staticmethod
    def joined(grids: list[tuple[Grid, int]]) -> Grid:
        """Of channels side by side: each grid with its number of channels."""
        return Grid(
            np.concatenate([np.broadcast_to(g.step, n) for g, n in grids]),
            np.concatenate([np.broadcast_to(g.zero, n) for g, n in grids]),
        )

    @property
    def is_plain(self) -> bool:
        """Whether one step, and one byte as zero, hold for all channels."""
        return len({*self.step.tolist()}) == 1 and len({*self.zero.tolist()}) == 1 and float(self.zero[0]).is_integer()

    @property
    def plain(self) -> tuple[float, int]:
        """The step and the zero of all channels."""
        return float(self.step[0]), int(self.zero[0])

    @property
    def pad(self) -> int:
        """The byte that stands for 0, as nearly as one can for all channels."""
        return int(np.clip(np.rint(self.zero.mean()), 0, 255))

    @property
    def range(self) -> Range:
        """Least and greatest real number, of any channel."""
        return Range(float((-self.step * self.zero).min()), float((self.step * (255.0 - self.zero)).max()))

    def same(self, other: Grid) -> bool:
        return np.array_equal(self.step, other.step) and np.array_equal(self.zero, other.zero)

    def codes(self, x: Array) -> Array:
        """Bytes for (..., channels), rounded and clamped."""
        return np.clip(np.rint(x / self.step + self.zero), 0, 255).astype(np.uint8)

    def reals(self, codes: Array) -> Array:
        """(..., channels), float64."""
        return self.step * (codes.astype(np.float64) - self.zero)
