"""Small int8 networks in which dead filters, constants of all kinds and padding are frequent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops import Op
from chipfit.ops._activation import Activation
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape

Pads = tuple[int, int, int, int]
ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6", "relu_n1_to_1")


@dataclass
class Layers:
    """Adds layers to a graph. Weights, biases and quantizations are random unless given."""

    rng: np.random.Generator
    graph: Graph
    wild: bool = False
    """Zero points may be extreme, so that many channels are always clamped."""

    @staticmethod
    def start(seed: int, *shape: int, wild: bool = False) -> tuple[Layers, Value]:
        net = Layers(np.random.default_rng(seed), Graph("net"), wild)
        x = Value("x", TensorType(shape, DType.INT8, net.quant()))
        net.graph.inputs.append(x)
        return net, x

    def quant(self) -> Quant:
        zero = int(self.rng.integers(-20, 20))
        if self.wild:
            zero = int(self.rng.choice([-128, 127, 0, int(self.rng.integers(-128, 128))]))
        return Quant.per_tensor(float(self.rng.uniform(0.02, 0.1)), zero)

    def add(self, op: Op, *inputs: Value | None, quant: Quant | None = None) -> Value:
        node = Node(op, list(inputs), [])
        first = next(v for v in inputs if v is not None)
        (shape,) = op.infer(node)
        y = Value(f"t{len(self.graph.nodes)}", TensorType(tuple(shape), DType.INT8, quant or first.type.quant))
        node.outputs.append(y)
        self.graph.nodes.append(node)
        return y

    def layer(
        self,
        op: Conv2D | DepthwiseConv2D | FullyConnected,
        x: Value,
        shape: tuple[int, ...],
        dead: Sequence[int] = (),
        *,
        bias: Sequence[int] | None = None,
        quant: Quant | None = None,
    ) -> Value:
        """``dead``: output channels whose filter is zero. ``bias``: empty for none."""
        axis = 3 if isinstance(op, DepthwiseConv2D) else 0
        out = shape[axis]
        w = self.rng.integers(-127, 128, shape, dtype=np.int8)
        np.moveaxis(w, axis, 0)[list(dead)] = 0
        # scales with which one layer's sums fill the range of the next
        unit = 20.0 / np.sqrt(w.size / out) / 73
        scales = tuple(float(np.float32(s)) for s in self.rng.uniform(0.5 * unit, 2 * unit, out) / 30)
        quant = quant or self.quant()
        name = f"w{len(self.graph.nodes)}"
        weights = Value(name, TensorType(shape, DType.INT8, Quant(scales, (0,) * out, axis)), w)
        bias = [int(v) for v in self.rng.integers(-3000, 3000, out)] if bias is None else bias
        b = None
        if bias:
            kind = TensorType((out,), DType.INT32, Quant(tuple(x.q.s * s for s in scales), (0,) * out, 0))
            b = Value(f"b{len(self.graph.nodes)}", kind, np.array(bias, np.int32))
        return self.add(op, x, weights, b, quant=quant)

    def conv(self, x: Value, out: int, dead: Sequence[int] = (), kernel: int = 1, op: Conv2D | None = None) -> Value:
        return self.layer(op or Conv2D(), x, (out, kernel, kernel, x.shape[3]), dead)

    def depthwise(self, x: Value, dead: Sequence[int] = (), pad: Pads = (1, 1, 1, 1)) -> Value:
        return self.layer(DepthwiseConv2D(pad=pad), x, (1, 3, 3, x.shape[3]), dead)

    def dense(self, x: Value, out: int, dead: Sequence[int] = ()) -> Value:
        return self.layer(FullyConnected(), x, (out, x.type.size // x.shape[0]), dead)

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        self.graph.verify()
        return self.graph

    def layers(self, *names: str) -> list[Node]:
        return [n for n in self.graph.nodes if not names or n.op.name in names]


def constant_of(value: Value, quant: Quant, rng: np.random.Generator, name: str, channels: int) -> Value:
    """A constant operand with an element for each channel."""
    data: Array = rng.integers(-128, 128, channels, dtype=np.int8)
    return Value(name, TensorType((channels,), value.dtype, quant), data)


def random_net(seed: int, steps: int = 6) -> Graph:
    """A network of layers and what lies between them, with a fully connected layer at the end or not."""
    rng = np.random.default_rng(seed)
    net, x = Layers.start(seed, int(rng.integers(1, 3)), *(int(n) for n in rng.integers(3, 7, 2)), 3, wild=True)
    values = [x]
    for _ in range(steps):
        x = values[-1] if rng.integers(4) else values[int(rng.integers(len(values)))]
        choices = _choices(net, x, values, rng)
        values.append(choices[int(rng.integers(len(choices)))]())
    y = values[-1]
    if rng.integers(2):
        kind = int(rng.integers(3))
        y = net.add(Mean((1, 2)), y, quant=net.quant()) if kind == 0 else y
        y = net.add(Reshape((y.shape[0], y.type.size // y.shape[0])), y) if kind == 1 else y
        y = net.dense(y, 3)
    extra = [values[int(rng.integers(1, len(values)))]] if rng.integers(5) == 0 else []
    return net.done(y, *(v for v in extra if v is not y))


def _choices(net: Layers, x: Value, values: list[Value], rng: np.random.Generator) -> list[Callable[[], Value]]:
    _, h, w, c = x.shape
    act = ACTIVATIONS[int(rng.integers(4))]
    out = int(rng.integers(2, 9))
    repeat = int(rng.integers(1, 3))
    pads = tuple(int(n) for n in rng.integers(0, 3, 4))
    pad: Pads = (pads[0], pads[1], pads[2], pads[3])
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    kernel = int(rng.integers(1, 4))
    small = min(kernel, h + pad[0] + pad[2], w + pad[1] + pad[3])

    def some(channels: int) -> list[int]:
        return [int(i) for i in np.flatnonzero(rng.random(channels) < rng.choice([0.2, 0.6, 0.9]))]

    def bias(channels: int) -> list[int] | None:
        """None, zeros, or large numbers that the activation clamps."""
        kind = int(rng.integers(5))
        if kind == 0:
            return []
        if kind == 1:
            return [0] * channels
        return [int(v) for v in rng.choice([-1, 1], channels) * rng.integers(0, 80000, channels)] if kind == 2 else None

    def conv() -> Value:
        op = Conv2D(stride, pad, act=act)
        return net.layer(op, x, (out, small, small, c), some(out), bias=bias(out))

    def pointwise() -> Value:
        return net.layer(Conv2D(act=act), x, (out, 1, 1, c), some(out), bias=bias(out))

    def depthwise() -> Value:
        op = DepthwiseConv2D(stride, pad, act=act)
        return net.layer(op, x, (1, small, small, c * repeat), some(c * repeat), bias=bias(c * repeat))

    def pool() -> Value:
        kind = AveragePool2D if rng.integers(2) else MaxPool2D
        size = min(2, h), min(2, w)
        return net.add(kind(size, (1, 1), (0, 0, size[0] - 1, size[1] - 1), act), x)

    def add_to_other() -> Value:
        same = [v for v in values if v.shape == x.shape]
        return net.add(Add(act), x, same[int(rng.integers(len(same)))], quant=net.quant())

    def scale() -> Value:
        factor = constant_of(x, net.quant(), rng, f"c{len(net.graph.nodes)}", c)
        return net.add(Mul(act) if rng.integers(2) else Add(act), x, factor, quant=net.quant())

    choices = [conv, pointwise, pointwise, depthwise, depthwise, pool, add_to_other, scale]
    choices.append(lambda: net.add(Relu(), x, quant=net.quant()))
    choices.append(lambda: net.add(Quantize(), x, quant=net.quant()))
    choices.append(lambda: net.add(Reshape((x.shape[0], w, h, c)), x))
    choices.append(lambda: net.add(Concatenation(3), x, x))
    return choices
