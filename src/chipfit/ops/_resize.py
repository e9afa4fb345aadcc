"""What RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Node, Shape
from chipfit.ops._base import Op, float_type, int8_type, int16_type, make_node
from chipfit.ops._roles import SHARED, Roles

MAX_SIZE = 1 << 16
"""Rows and columns are kept as uint16."""


class Resize(Op):
    """Base: x (n, h, w, c) to y (n, height, width, c); ``size`` is (height, width)."""

    quant: ClassVar[Roles] = SHARED

    @property
    @abstractmethod
    def target(self) -> tuple[int, int]: ...

    @property
    @abstractmethod
    def both_modes(self) -> bool:
        """Whether align_corners and half_pixel_centers are both set."""

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if len(x.shape) != 4:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} has not 4 dimensions")
        if min(self.target) < 1 or 0 in x.shape:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} cannot be resized to {list(self.target)}")
        return [(x.shape[0], *self.target, x.shape[3])]

    def check(self, node: Node) -> None:
        x, y = node["x"], node["y"]
        if self.both_modes:
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' has both align_corners and half_pixel_centers; TensorFlow Lite accepts one",
                "convert the model anew with one of the two",
            )
        if x.type.quant != y.type.quant or x.dtype is not y.dtype:
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' has x {x.type} and y {y.type} in different types or quantizations",
                "TensorFlow Lite copies stored elements here: convert the model with a current converter",
            )
        if max(*x.shape[1:3], *self.target) > MAX_SIZE:
            raise ChipfitError("O002", f"{self.name} '{node.name}': {x.type} to {y.type} is too large")


def resize_samples(rng: np.random.Generator, make: type[Op]) -> Iterator[Node]:
    """Up, down, to one pixel, uneven; all three modes. ``make``: takes size, align_corners and half_pixel_centers."""
    shapes: tuple[tuple[Shape, tuple[int, int]], ...] = (
        ((1, 4, 5, 3), (8, 10)),
        ((2, 7, 5, 2), (3, 11)),
        ((1, 1, 1, 4), (3, 2)),
        ((1, 6, 9, 1), (1, 1)),
        ((1, 5, 3, 1), (60, 7)),
        ((1, 4, 4, 2), (4, 4)),
    )
    for shape, size in shapes:
        for align, half in ((False, False), (True, False), (False, True)):
            op = make(size, align, half)  # type: ignore[call-arg]
            x = int8_type(rng, *shape)
            yield make_node(op, {"x": x}, (DType.INT8, x.q))
            wide = int16_type(rng, *shape)
            yield make_node(op, {"x": wide}, (DType.INT16, wide.q))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
