"""How a feature map lies in the memory of the KPU: planes of bytes in lines of 64, a channel or several to a line."""

from __future__ import annotations

from dataclasses import dataclass

LINE = 64
"""Bytes of a line, in which the KPU counts its addresses."""

KPU_BYTES = 2 << 20
"""Memory of the KPU: 32,768 lines."""


@dataclass(frozen=True)
class MapLayout:
    """A feature map of (channels, height, width) bytes.

    Byte (c, y, x) lies at ``(c // groups * height + y) * row_lines * 64 + c % groups * pitch + x``.
    """

    channels: int
    height: int
    width: int

    @property
    def groups(self) -> int:
        """Channels side by side in a line."""
        return 4 if self.width <= 16 else 2 if self.width <= 32 else 1

    @property
    def row_lines(self) -> int:
        """Lines of one row of the image."""
        return -(-self.width // LINE)

    @property
    def pitch(self) -> int:
        """Bytes from a channel to its neighbour in the same line."""
        return LINE // self.groups

    @property
    def channel_lines(self) -> int:
        """Lines of one channel, or of those side by side."""
        return self.row_lines * self.height

    @property
    def lines(self) -> int:
        return self.channel_lines * -(-self.channels // self.groups)

    @property
    def size(self) -> int:
        """Bytes in the memory of the KPU; a batch of several images has them one after the other."""
        return self.lines * LINE
