"""Small float networks that are hard to quantize in the ways that real ones are."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.ops._activation import Activation
from chipfit.ops._base import Op
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.logistic import Logistic
from chipfit.ops.reshape import Reshape
from chipfit.ops.softmax import Softmax

SIDE, CHANNELS, CLASSES = 12, 8, 5


class Builder:
    """A float graph, node by node."""

    def __init__(self, *shape: int) -> None:
        self.x = Value("x", TensorType(shape, DType.FLOAT32))
        self.nodes: list[Node] = []

    def add(self, name: str, op: Op, *inputs: Value | Array) -> Value:
        values = [
            v if isinstance(v, Value) else Value(f"{name}/{i}", TensorType(tuple(v.shape), DType.FLOAT32), v)
            for i, v in enumerate(inputs)
        ]
        node = Node(op, list(values), [])
        (shape,) = op.infer(node)
        node.outputs = [Value(name, TensorType(tuple(shape), DType.FLOAT32))]
        self.nodes.append(node)
        return node.outputs[0]

    def graph(self, *outputs: Value) -> Graph:
        graph = Graph("net", [self.x], list(outputs), self.nodes)
        graph.verify()
        return graph


def normal(rng: np.random.Generator, *shape: int, scale: float = 0.3) -> Array:
    return rng.normal(0.0, scale, shape).astype(np.float32)


def mobile(rng: np.random.Generator, act: Activation = "relu6", softmax: bool = True, side: int = SIDE) -> Graph:
    """Convolution, depthwise with taps that almost cancel, pointwise, residual, pool, dense: what narrow nets are."""
    b = Builder(1, side, side, 3)
    y = b.add("conv", Conv2D(pad=(1, 1, 1, 1), act=act), b.x, normal(rng, CHANNELS, 3, 3, 3), normal(rng, CHANNELS) + 2)
    w = normal(rng, 1, 3, 3, CHANNELS, scale=6.0)
    w -= w.mean(axis=(1, 2), keepdims=True)
    d = b.add("depthwise", DepthwiseConv2D(act=act), y, w, normal(rng, CHANNELS) + 1)
    p = b.add("pointwise", Conv2D(act=act), d, normal(rng, CHANNELS, 1, 1, CHANNELS), normal(rng, CHANNELS))
    t = b.add("second", Conv2D(pad=(1, 1, 1, 1)), p, normal(rng, CHANNELS, 3, 3, CHANNELS, scale=0.1))
    s = b.add("residual", Add(), t, p)
    a = b.add("pool", AveragePool2D(kernel=(side - 2, side - 2)), s)
    f = b.add("flat", Reshape((1, CHANNELS)), a)
    z = b.add("logits", FullyConnected(), f, normal(rng, CLASSES, CHANNELS, scale=1.0), normal(rng, CLASSES))
    return b.graph(b.add("probabilities", Softmax(), z) if softmax else z)


def joined(rng: np.random.Generator) -> Graph:
    """A concatenation of a logistic, whose quantization is prescribed, and two convolutions."""
    b = Builder(1, 6, 6, 2)
    left = b.add("left", Conv2D(), b.x, normal(rng, 3, 1, 1, 2, scale=2.0))
    right = b.add("right", Conv2D(), b.x, normal(rng, 3, 1, 1, 2))
    gate = b.add("gate", Logistic(), right)
    return b.graph(b.add("all", Concatenation(axis=3), left, right, gate))


def pictures(rng: np.random.Generator, count: int) -> Array:
    """(count, 1, SIDE, SIDE, 3): of one sign and smooth, as images are."""
    base = rng.uniform(0.2, 1.8, (count, 1, 1, 1, 3))
    slope = rng.normal(0.0, 0.02, (count, 1, 1, 1, 3)) * np.arange(SIDE)[:, None, None]
    return (base + slope + rng.normal(0.0, 0.03, (count, 1, SIDE, SIDE, 3))).astype(np.float32)
