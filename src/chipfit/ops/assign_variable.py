"""ASSIGN_VARIABLE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, Port, State, make_node, register
from chipfit.ops._move import Move, sample_types


@register
@dataclass(frozen=True)
class AssignVariable(Move):
    """From here on ``variable`` has the elements of x.

    x: the variable's shape and type; no outputs. Whoever runs the graph keeps the variables.
    Source: TFLite ASSIGN_VARIABLE.
    """

    name: ClassVar[str] = "assign_variable"
    outputs: ClassVar[tuple[str, ...]] = ()

    variable: str = ""

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        return []

    def move(self, node: Node, *x: Array) -> tuple[Array, ...]:
        return ()

    def call(self, node: Node) -> Call:
        return Call([Port("x"), State(self.variable)], {"bytes": node["x"].type.nbytes})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape in ((1,), (3, 5), (1, 2, 7, 3)):
            for x in sample_types(rng, *shape):
                yield make_node(cls("state"), {"x": x})
