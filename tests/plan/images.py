"""Random networks on small images, with weights: what the tests of overlays and of rows run for real."""

from __future__ import annotations

from typing import Any

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops import Op
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.max_pool2d import MaxPool2D


class ImageNet:
    """Builds a graph on one image, layer by layer."""

    def __init__(self, seed: int, h: int, w: int, c: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("images")
        self.value = self._value("x", (1, h, w, c))
        self.graph.inputs = [self.value]

    def _value(self, name: str, shape: tuple[int, ...]) -> Value:
        quant = Quant.per_tensor(float(self.rng.uniform(0.02, 0.2)), int(self.rng.integers(-128, 128)))
        return Value(name, TensorType(shape, DType.INT8, quant))

    def _constant(self, shape: tuple[int, ...], axis: int, scale: float) -> Value:
        scales = tuple(float(s) for s in self.rng.uniform(0.5, 2, shape[axis]).astype(np.float32) * scale)
        data = self.rng.integers(-127, 128, shape, dtype=np.int8)
        name = f"w{len(self.graph.nodes)}"
        return Value(name, TensorType(shape, DType.INT8, Quant(scales, (0,) * len(scales), axis)), data)

    def layer(self, op: Op, *operands: Value, same_quant: bool = False) -> Value:
        node = Node(op, list(operands), [])
        (shape,) = op.infer(node)
        y = self._value(f"t{len(self.graph.nodes)}", tuple(shape))
        if same_quant:
            y = Value(y.name, TensorType(y.shape, y.dtype, operands[0].type.quant))
        node.outputs = [y]
        self.graph.nodes.append(node)
        self.value = y
        return y

    def conv(self, out: int, k: int, stride: int = 1, same: bool = True, act: Any = "none") -> Value:
        x, pad = self.value, self._pad(k, same)
        w = self._constant((out, k, k, x.shape[3]), 0, 0.02)
        return self.layer(Conv2D((stride, stride), pad, act=act), x, w)

    def depthwise(self, k: int, stride: int = 1, same: bool = True) -> Value:
        x, pad = self.value, self._pad(k, same)
        w = self._constant((1, k, k, x.shape[3]), 3, 0.05)
        return self.layer(DepthwiseConv2D((stride, stride), pad), x, w)

    def add(self, a: Value, b: Value) -> Value:
        return self.layer(Add(), a, b)

    def pool(self, most: bool) -> Value:
        op = MaxPool2D((2, 2), (2, 2)) if most else AveragePool2D((3, 3), (1, 1), (1, 1, 1, 1))
        return self.layer(op, self.value, same_quant=True)

    def global_pool(self) -> Value:
        h, w = self.value.shape[1:3]
        return self.layer(AveragePool2D((h, w), (h, w)), self.value, same_quant=True)

    @staticmethod
    def _pad(k: int, same: bool) -> tuple[int, int, int, int]:
        return (k // 2, k // 2, (k - 1) // 2, (k - 1) // 2) if same else (0, 0, 0, 0)

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs) or [self.value]
        self.graph.verify()
        return self.graph

    def sample(self) -> Array:
        return self.rng.integers(-128, 128, self.graph.inputs[0].shape, dtype=np.int8)


def random_net(seed: int) -> ImageNet:
    """Four to eight layers: convolutions, depthwise ones, pools, and additions around them."""
    rng = np.random.default_rng(seed)
    net = ImageNet(seed, int(rng.integers(5, 14)), int(rng.integers(4, 12)), int(rng.integers(1, 7)))
    before: list[Value] = []
    for _ in range(int(rng.integers(4, 9))):
        h, w = net.value.shape[1:3]
        same_shape = [v for v in before if v.shape == net.value.shape and v is not net.value]
        before.append(net.value)
        kind = int(rng.integers(0, 7))
        if kind == 0 and same_shape:
            net.add(same_shape[int(rng.integers(len(same_shape)))], net.value)
        elif kind == 1 and min(h, w) >= 4:
            net.pool(most=bool(rng.integers(2)))
        elif kind in (2, 3):
            net.depthwise(int(rng.choice([2, 3, 5] if min(h, w) >= 5 else [1, 3])), int(rng.choice([1, 1, 2])))
        else:
            k = int(rng.choice([1, 1, 3]))
            net.conv(
                int(rng.integers(1, 9)), k, int(rng.choice([1, 1, 2])), same=min(h, w) < 6 or bool(rng.integers(2))
            )
    if rng.integers(3) == 0:
        net.global_pool()
    return net
