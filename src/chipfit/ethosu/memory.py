"""What the NPU reads and writes: regions of bytes, its internal memory, and feature maps in them.

A stream may be executed for several inputs at once. Then each of the memories that it writes has a row of bytes for
each of these runs; constants have one row. Feature maps are (runs, height, width, channels).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from chipfit.errors import ChipfitError
from chipfit.ethosu.registers import FeatureMap, Int

Bytes = npt.NDArray[np.uint8]

READ_ONLY, SCRATCH, SCRATCH_FAST = 0, 1, 2
"""Regions, by number."""

MOST_ELEMENTS = 1 << 26
"""Of any array that an operation of one run needs: damaged registers can ask for 2**48."""

_BLOCK = 16
"""Channels of a block in NHCWB16."""


def check_size(what: str, *sizes: int, most: int = MOST_ELEMENTS) -> None:
    """Raise ChipfitError A001 unless an array of these sizes is one that a real stream can need."""
    if prod(sizes) > most:
        shape = "x".join(map(str, sizes))
        raise ChipfitError("A001", f"{what} of {shape} is more than the simulator's {most:,}", "the file is damaged")


class Memory:
    """``regions``: bytes by number, (bytes,), or (runs, bytes) where there are several runs.

    Every access is checked: ChipfitError A001 where it leaves its region.
    """

    def __init__(self, regions: dict[int, Bytes], internal_bytes: int) -> None:
        self._regions = {number: np.atleast_2d(region) for number, region in regions.items()}
        self.runs = max(len(region) for region in self._regions.values())
        self.internal = np.zeros((self.runs, internal_bytes), np.uint8)

    def clear(self) -> None:
        """Zeros in all regions that are no constants, and in the internal memory."""
        for memory in (*self._regions.values(), self.internal):
            if memory.flags.writeable:
                memory[...] = 0

    def bytes_at(self, region: int, address: int, count: int, what: str) -> Bytes:
        """A view of so many bytes: (runs, count), of constants (1, count)."""
        return self._checked(self._region(region), address, count, f"{what} in region {region}")

    def internal_at(self, address: int, count: int, what: str) -> Bytes:
        """A view of the internal memory."""
        return self._checked(self.internal, address, count, f"{what} in the internal memory")

    def read(self, tensor: FeatureMap, height: int, width: int, depth: int) -> Int:
        """The stored elements: (runs, height, width, depth)."""
        check_size(f"the {tensor.name}", height, width, depth)
        out = np.empty((self.runs, height, width, depth), np.int64)
        for rows, columns, channels, view in self._tiles(tensor, height, width, depth):
            out[:, rows, columns, channels] = view
        return out

    def write(self, tensor: FeatureMap, elements: Int) -> None:
        for rows, columns, channels, view in self._tiles(tensor, *elements.shape[1:]):
            if not view.flags.writeable:
                raise ChipfitError("A001", f"the {tensor.name} is written into region {tensor.region}, a constant")
            view[...] = elements[:, rows, columns, channels]

    def _tiles(
        self, tensor: FeatureMap, height: int, width: int, depth: int
    ) -> Iterator[tuple[slice, slice, slice, npt.NDArray[Any]]]:
        """The parts of a tensor that lie in one piece, each with a view of its bytes as elements."""
        left, right = (0, min(width, tensor.width0)), (tensor.width0, width)
        for tile, ((x0, x1), split, is_upper) in enumerate(
            (
                (left, tensor.height0, True),
                (right, tensor.height1, True),
                (left, tensor.height0, False),
                (right, tensor.height1, False),
            )
        ):
            y0, y1 = (0, min(height, split)) if is_upper else (split, height)
            if y0 < y1 and x0 < x1:
                for channels, view in self._piece(tensor, tensor.bases[tile], y1 - y0, x1 - x0, depth):
                    yield slice(y0, y1), slice(x0, x1), channels, view

    def _piece(
        self, tensor: FeatureMap, base: int, height: int, width: int, depth: int
    ) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Views (runs, height, width, channels): one in NHWC, one for each block of channels in NHCWB16."""
        to_row, to_column, to_block = tensor.strides
        size = tensor.dtype.itemsize
        if not tensor.blocked:
            strides = (to_row, to_column, size)
            yield slice(0, depth), self._view(tensor, base, (height, width, depth), strides)
            return
        for first in range(0, depth, _BLOCK):
            shape = (height, width, min(_BLOCK, depth - first))
            start = base + first // _BLOCK * to_block
            yield slice(first, first + shape[2]), self._view(tensor, start, shape, (to_row, _BLOCK * size, size))

    def _view(
        self, tensor: FeatureMap, base: int, shape: tuple[int, int, int], strides: tuple[int, int, int]
    ) -> npt.NDArray[Any]:
        if min(*strides, base) < 0:  # a stride between blocks of channels is in the base
            raise ChipfitError("A001", f"the {tensor.name} has the strides {strides}: reversed maps are not modelled")
        region = self._region(tensor.region)
        last = base + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + tensor.dtype.itemsize
        if last > region.shape[1]:
            raise ChipfitError(
                "A001",
                f"the {tensor.name} {list(shape)} at {base:#x} ends at byte {last:,} of region {tensor.region}, "
                f"which has {region.shape[1]:,}",
            )
        return np.ndarray((len(region), *shape), tensor.dtype, region.data, base, (region.strides[0], *strides))

    def _region(self, number: int) -> Bytes:
        if number not in self._regions:
            raise ChipfitError("A001", f"the command stream uses memory region {number}, which is not modelled")
        return self._regions[number]

    @staticmethod
    def _checked(memory: Bytes, address: int, count: int, what: str) -> Bytes:
        if address + count > memory.shape[1]:
            raise ChipfitError("A001", f"{what} ends at byte {address + count:,} of {memory.shape[1]:,}")
        return memory[:, address : address + count]
