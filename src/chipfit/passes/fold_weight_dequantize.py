"""Weights that a file holds in int8 or float16 stay so: the layer takes them, and not what a DEQUANTIZE gives."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.fully_connected import FullyConnected

_LAYERS = (Conv2D, DepthwiseConv2D, FullyConnected)
_SMALL = (DType.INT8, DType.FLOAT16)


def fold(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Let the layers whose weights a DEQUANTIZE of a constant makes read the constant; biases become float32 later."""
    if not isinstance(node.op, Dequantize) or not node["x"].is_const:
        return None
    stored, real = node["x"], node["y"]
    readers = uses.readers(real)
    if not readers or all(_reads_bias(reader, node) for reader in readers):
        return None
    if stored.dtype not in _SMALL:
        return f"has weights of the type {stored.dtype.value}, which no layer takes"
    if stored.dtype is DType.FLOAT16 and not np.isfinite(stored.array).all():
        return "has weights that are not finite"
    taken: list[Node] = []
    reason = f"is read by {readers[0].op.name}, whose constants are float32"
    for reader in readers:
        if not isinstance(reader.op, _LAYERS) or [v is real for v in reader.inputs].count(True) != 1:
            continue
        if reader["w"] is not real:
            continue
        inputs = [stored if v is real else v for v in reader.inputs]
        try:
            reader.op.check(Node(reader.op, inputs, reader.outputs))
        except ChipfitError as error:
            reason = f"stays: {error.message}"
            continue
        uses.set_inputs(reader, inputs)
        taken.append(reader)
    if not taken:
        return reason
    if not uses.readers(real) and real not in uses.outputs:
        uses.remove(node)
    names = ", ".join(f"{reader.op.name} '{reader.name}'" for reader in taken)
    return Changed(f"{stored.dtype.value} weights of {names}")


def _reads_bias(reader: Node, node: Node) -> bool:
    return isinstance(reader.op, _LAYERS) and reader.get("b") is node["y"] and reader["w"] is not node["y"]


FOLD_WEIGHT_DEQUANTIZE = pass_of_rules(
    "fold_weight_dequantize",
    "A layer on real numbers reads its int8 or float16 weights as they are stored, and converts them as it multiplies.",
    [fold],
)
