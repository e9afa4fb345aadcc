"""The memories of the K210, with everything where the file puts it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.layout import LINE, MapLayout


class Memories:
    """Bytes of the constants, of main memory and of the KPU. ``sizes``: how many there are of each."""

    def __init__(self, sizes: Mapping[Memory, int], constants: bytes = b"") -> None:
        self._bytes = {memory: np.zeros(size, np.uint8) for memory, size in sizes.items()}
        self._bytes[Memory.CONST] = np.frombuffer(constants, np.uint8)

    def read(self, place: MemoryRange) -> Array:
        """A copy of a range, in its type, one-dimensional."""
        return self._bytes[place.memory][place.start : place.end].view(place.dtype.numpy).copy()

    def write(self, place: MemoryRange, values: Array) -> None:
        self.put(place.memory, place.start, np.ascontiguousarray(values, place.dtype.numpy))

    def take(self, start: int, count: int, dtype: DataType) -> Array:
        """A copy of ``count`` elements of main memory from byte ``start``, one-dimensional."""
        return self.read(MemoryRange(Memory.MAIN, dtype, start, count * dtype.numpy.itemsize))

    def put(self, memory: Memory, start: int, values: Array) -> None:
        raw = np.frombuffer(values.tobytes(), np.uint8)
        self._bytes[memory][start : start + raw.size] = raw

    def read_map(self, start: int, layout: MapLayout) -> Array:
        """(channels, height, width) uint8, a copy: a feature map from byte ``start`` of the KPU's memory."""
        lines = self._map(start, layout)
        return lines.reshape(-1, layout.height, lines.shape[3])[: layout.channels, :, : layout.width]

    def write_map(self, start: int, layout: MapLayout, values: Array) -> None:
        """``values``: (channels, height, width). Bytes between the rows stay as they are."""
        lines = self._map(start, layout)
        whole, groups = layout.channels // layout.groups, layout.groups
        shape = (whole, groups, layout.height, layout.width)
        lines[:whole, :, :, : layout.width] = values[: whole * groups].reshape(shape)
        if layout.channels % groups:
            lines[whole, : layout.channels % groups, :, : layout.width] = values[whole * groups :]

    def _map(self, start: int, layout: MapLayout) -> Array:
        """The memory as (lines of channels, channels side by side, height, bytes of a row)."""
        groups = layout.groups
        part = self._bytes[Memory.KPU][start : start + layout.size]
        return part.reshape(-1, layout.height, groups, layout.row_lines * LINE // groups).transpose(0, 2, 1, 3)
