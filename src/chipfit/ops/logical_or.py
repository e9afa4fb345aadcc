"""LOGICAL_OR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._logical import LogicalPair, logical_samples
from chipfit.ops._steps import elements_in_order


@register
@dataclass(frozen=True)
class LogicalOr(LogicalPair):
    """y = a or b on bool, with numpy's broadcasting. Source: TFLite LOGICAL_OR."""

    name: ClassVar[str] = "logical_or"

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_logical_or", for_types("bool"), traversal=elements_in_order),)

    def eval_int(self, node: Node, *x: Array) -> Array:
        return np.logical_or(x[0], x[1])

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from logical_samples(rng, cls())
