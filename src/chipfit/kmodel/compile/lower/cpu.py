"""What the CPU computes: which function lowers which operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Node
from chipfit.kmodel.compile.functions import is_function
from chipfit.kmodel.compile.lower import elements, layers, moves, windows
from chipfit.kmodel.compile.lower.state import State
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.pad import Pad
from chipfit.ops.prelu import PRelu
from chipfit.ops.reshape import Reshape
from chipfit.ops.resize_bilinear import ResizeBilinear
from chipfit.ops.resize_nearest import ResizeNearest
from chipfit.ops.slice import Slice
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.squeeze import Squeeze
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.ops.transpose_conv import TransposeConv


def lower_cpu(state: State, node: Node) -> list[Node]:
    """Let the CPU compute a node, and what can be done with it in one. Returns the nodes that are done.

    Raises ChipfitError O002, naming the layer, where no opcode of a kmodel computes it.
    """
    for kind, lower in _LOWER.items():
        if isinstance(node.op, kind):
            done = lower(state, node)
            return [node, *done]
    if is_function(node):
        return elements.function(state, node)
    raise ChipfitError(
        "O002",
        f"{node.op.name} '{node.name}' has no opcode in a kmodel",
        "end the model before it, and do the rest in the program that uses it",
    )


_LOWER: dict[Any, Callable[[State, Node], list[Node]]] = {
    Conv2D: layers.convolve,
    DepthwiseConv2D: layers.convolve,
    FullyConnected: layers.dense,
    TransposeConv: layers.transposed,
    MaxPool2D: windows.pool,
    AveragePool2D: windows.pool,
    tuple(windows.REDUCE): windows.reduce,
    Softmax: windows.softmax,
    PRelu: elements.prelu,
    tuple(elements.BINARY): elements.binary,
    (Reshape, Squeeze, ExpandDims): moves.reshape,
    Transpose: moves.transpose,
    Concatenation: moves.concatenate,
    Pad: moves.pad,
    (ResizeNearest, ResizeBilinear): moves.resize,
    (Slice, StridedSlice): moves.cut,
    Split: moves.split,
}
