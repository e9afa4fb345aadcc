"""Window models to stream, made by hand, and what they give on a history of frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.model import Model
from chipfit.ops import random_input
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.reshape import Reshape
from passes.chains import Builder

Pads = tuple[int, int, int, int]
Outputs = list[tuple[Array, ...]]
Frames = Sequence[tuple[Array, ...]]


class Net(Builder):
    """Layers of random weights on NHWC images. ``k``, ``stride``, ``dilation`` are along time: axis 1, or axis 2 if
    ``across``."""

    across = False

    def pair(self, time: int) -> tuple[int, int]:
        return (1, time) if self.across else (time, 1)

    def convolve(
        self, x: Value, k: int, channels: int = 3, *, stride: int = 1, dilation: int = 1, pad: Pads = (0, 0, 0, 0)
    ) -> Value:
        w = self._weights((channels, *self.pair(k), x.shape[3]), 0)
        op = Conv2D(self.pair(stride), pad, self.pair(dilation), "relu")
        return self.add(op, x, w, self._bias(x, w, channels))

    def depthwise(self, x: Value, k: int, *, stride: int = 1, pad: Pads = (0, 0, 0, 0)) -> Value:
        w = self._weights((1, *self.pair(k), x.shape[3]), 3)
        return self.add(DepthwiseConv2D(self.pair(stride), pad), x, w, self._bias(x, w, x.shape[3]))

    def average(self, x: Value, k: int, *, stride: int = 1, pad: Pads = (0, 0, 0, 0)) -> Value:
        return self.add(AveragePool2D(self.pair(k), self.pair(stride), pad), x)

    def most(self, x: Value, k: int, *, stride: int = 1) -> Value:
        return self.add(MaxPool2D(self.pair(k), self.pair(stride)), x)

    def dense(self, x: Value, out: int, columns: int | None = None, *, keep_dims: bool = False) -> Value:
        w = self._weights((out, columns or x.type.size), 0)
        return self.add(FullyConnected(keep_dims=keep_dims), x, w, self._bias(x, w, out))

    def flatten(self, x: Value) -> Value:
        return self.add(Reshape((1, x.type.size)), x)

    def _weights(self, shape: tuple[int, ...], axis: int) -> Value:
        name, reach = f"w{len(self.graph.nodes)}", 1 / np.sqrt(np.prod(shape) / shape[axis])
        if self.is_float:
            return Value(name, TensorType(shape, DType.FLOAT32), self.rng.normal(0, reach, shape).astype(np.float32))
        scales = tuple(float(np.float32(s)) for s in self.rng.uniform(0.01, 0.03, shape[axis]) * reach)
        kind = TensorType(shape, DType.INT8, Quant(scales, (0,) * shape[axis], axis))
        return Value(name, kind, self.rng.integers(-127, 128, shape, dtype=np.int8))

    def _bias(self, x: Value, w: Value, n: int) -> Value:
        name = f"b{len(self.graph.nodes)}"
        if self.is_float:
            return Value(name, TensorType((n,), DType.FLOAT32), self.rng.normal(0, 1, n).astype(np.float32))
        scales = tuple(float(np.float32(x.q.s * s)) for s in w.q.scale)
        kind = TensorType((n,), DType.INT32, Quant(scales, (0,) * n, 0))
        return Value(name, kind, self.rng.integers(-500, 500, n, dtype=np.int32))


def small_net(*, stride: int = 1, window: int = 15) -> Graph:
    """Convolutions, a dilated one, a skip of one frame, a global pool, a dense layer. Only axis 1 can be time."""
    net = Net(seed=5)
    x = net.depthwise(net.input(1, window, 1, 6), 3, stride=stride)
    x = net.convolve(net.convolve(x, 1, 4), 2, dilation=2)
    x = net.average(x, x.shape[1])
    return net.done(net.dense(net.flatten(x), 3))


def frames_of(model: Model, calls: int, seed: int = 0) -> list[tuple[Array, ...]]:
    """Random inputs of a stateful model."""
    rng = np.random.default_rng(seed)
    return [(random_input(rng, model.graph.inputs[0].type),) for _ in range(calls)]


def on_windows(graph: Graph, frames: Frames, axis: int) -> Outputs:
    """Outputs of the window model after each call's frames, of which zero points were the past."""
    x = graph.inputs[0]
    history = np.full(x.shape, 0 if x.dtype.is_float else x.q.zp, x.dtype.numpy)
    length, outputs = history.shape[axis], list[tuple[Array, ...]]()
    for (new,) in frames:
        history = np.concatenate([history, new], axis)
        history = history.take(range(history.shape[axis] - length, history.shape[axis]), axis)
        outputs.append(evaluate(graph, [history]))
    return outputs


def stacked(outputs: Sequence[Sequence[Array]]) -> list[bytes]:
    """All bytes of each output."""
    return [np.stack(one).tobytes() for one in zip(*outputs, strict=True)]


def bytes_of(outputs: Sequence[Array]) -> list[bytes]:
    """The same of arrays with a leading axis of calls."""
    return [one.tobytes() for one in outputs]


def nodes_of(graph: Graph, name: str) -> list[Node]:
    return [node for node in graph.nodes if node.op.name == name]
