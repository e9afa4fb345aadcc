"""SQUEEZE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Node, Shape
from chipfit.ops._base import register
from chipfit.ops._move import normal_axis, samples_of
from chipfit.ops._view import View


@register
@dataclass(frozen=True)
class Squeeze(View):
    """y = x without the given axes of size 1.

    x: any shape and type. No axes: all those of size 1. Source: TFLite SQUEEZE.
    """

    name: ClassVar[str] = "squeeze"

    axes: tuple[int, ...] = ()

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        axes = self.axes or tuple(axis for axis, size in enumerate(x.shape) if size == 1)
        if any(x.shape[normal_axis(self, axis, len(x.shape))] != 1 for axis in axes):
            raise ChipfitError("G003", f"squeeze: '{x.name}' ({x.type}) is longer than 1 on an axis of {list(axes)}")
        return [tuple(size for axis, size in enumerate(x.shape) if axis not in axes)]

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(rng, [(cls(), (1,)), (cls(), (1, 7, 1)), (cls((0, 3)), (1, 3, 1, 1, 5))])
