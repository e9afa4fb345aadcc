"""Small float graphs for the compiler of the K210."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.ops import Op
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.slice import Slice

AROUND = (1, 1, 1, 1)


class Net:
    """Adds float layers with seeded weights to a graph."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net")
        self.x = Value("x", TensorType(shape, DType.FLOAT32))
        self.graph.inputs.append(self.x)

    def add(self, op: Op, *inputs: Value) -> Value:
        node = Node(op, list(inputs), [])
        for shape in op.infer(node):
            name = f"t{len(self.graph.nodes)}_{len(node.outputs)}"
            node.outputs.append(Value(name, TensorType(tuple(shape), DType.FLOAT32)))
        self.graph.nodes.append(node)
        return node.outputs[0]

    def constant(self, array: Array | Sequence[float]) -> Value:
        data = np.asarray(array, np.float32)
        return Value(f"c{self.rng.integers(1 << 60)}", TensorType(data.shape, DType.FLOAT32), data)

    def weights(self, *shape: int) -> Value:
        fan = np.prod(shape[1:]) if len(shape) < 4 or shape[0] > 1 else shape[1] * shape[2]
        return self.constant(self.rng.normal(0.0, 1.0 / np.sqrt(fan), shape))

    def conv(self, x: Value, channels: int, side: int = 3, **options: Any) -> Value:
        options.setdefault("pad", AROUND if side == 3 else (0, 0, 0, 0))
        w, b = self.weights(channels, side, side, x.shape[3]), self.weights(channels)
        return self.add(Conv2D(**options), x, w, b)

    def depthwise(self, x: Value, **options: Any) -> Value:
        options.setdefault("pad", AROUND)
        channels = x.shape[3]
        return self.add(DepthwiseConv2D(**options), x, self.weights(1, 3, 3, channels), self.weights(channels))

    def dense(self, x: Value, units: int, **options: Any) -> Value:
        return self.add(FullyConnected(**options), x, self.weights(units, x.shape[-1]), self.weights(units))

    def part(self, x: Value, begin: tuple[int, int], size: tuple[int, int]) -> Value:
        """Rows and columns of an image."""
        return self.add(Slice((0, *begin, 0), (1, *size, x.shape[3])), x)

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        self.graph.verify()
        return self.graph
