"""EXPAND_DIMS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Node, Shape
from chipfit.ops._base import register
from chipfit.ops._move import normal_axis, samples_of
from chipfit.ops._view import View


@register
@dataclass(frozen=True)
class ExpandDims(View):
    """y = x with one more axis of size 1, before what was ``axis``.

    x: any shape and type. Source: TFLite EXPAND_DIMS.
    """

    name: ClassVar[str] = "expand_dims"

    axis: int = 0

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        axis = normal_axis(self, self.axis, len(x.shape) + 1)
        return [(*x.shape[:axis], 1, *x.shape[axis:])]

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(rng, [(cls(0), ()), (cls(1), (7,)), (cls(2), (3, 5, 2, 1))])
