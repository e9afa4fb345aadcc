"""READ_VARIABLE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node, Shape, Value
from chipfit.ops._base import Call, Kernel, Port, State, register
from chipfit.ops._move import Move, sample_types


@register
@dataclass(frozen=True)
class ReadVariable(Move):
    """y = the elements that ``variable`` has at this point of the run.

    y: the variable's shape and type. Whoever runs the graph keeps the variables and hands their elements over, as if
    they were an input. Source: TFLite READ_VARIABLE.
    """

    name: ClassVar[str] = "read_variable"
    inputs: ClassVar[tuple[str, ...]] = ()

    variable: str = ""

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        return [y.shape for y in node.outputs]

    def check(self, node: Node) -> None:
        """The graph compares the output with the variable."""

    def move(self, node: Node, *x: Array) -> Array:
        return x[0]

    def call(self, node: Node) -> Call:
        return Call([State(self.variable), Port("y")], {"bytes": node["y"].type.nbytes})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape in ((1,), (3, 5), (1, 2, 7, 3)):
            for y in sample_types(rng, *shape):
                yield Node(cls("state"), [], [Value("y", y)])
