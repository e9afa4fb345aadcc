"""RESHAPE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Node, Shape
from chipfit.ops._base import register
from chipfit.ops._move import samples_of
from chipfit.ops._view import View


@register
@dataclass(frozen=True)
class Reshape(View):
    """y = the elements of x in the same order, with another shape.

    x: any shape and type; y: ``shape``, which has no -1. Source: TFLite RESHAPE.
    """

    name: ClassVar[str] = "reshape"

    shape: Shape = ()

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if min(self.shape, default=0) < 0 or prod(self.shape) != x.type.size:
            raise ChipfitError("G003", f"reshape: '{x.name}' ({x.type}) has not the size of {list(self.shape)}")
        return [self.shape]

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((1,)), ()),
                (cls((5, 3)), (3, 5)),
                (cls((1, 2, 3, 5, 7)), (7, 30)),
                (cls((13,)), (1, 13, 1, 1)),
            ],
        )
