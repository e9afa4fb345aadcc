"""What the operators share whose output has the bytes of the input in the same order."""

from __future__ import annotations

from typing import ClassVar

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Kernel, Port
from chipfit.ops._move import Move


class View(Move):
    """Only the shape changes. The copy is for an output that cannot be the same memory."""

    is_view: ClassVar[bool] = True
    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy"),)

    def move(self, node: Node, *x: Array) -> Array:
        return x[0].reshape(node.outputs[0].shape)

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], {"bytes": node["x"].type.nbytes})
