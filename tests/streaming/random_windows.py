"""Random window models all of whose layers can follow; delays, branches and strides are frequent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.graph import DType, Graph, Quant, TensorType, Value
from chipfit.ops.add import Add
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.logistic import Logistic
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.quantize import Quantize
from chipfit.ops.reduce_max import ReduceMax
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from streaming.windows import Net

OTHER = TensorType((), DType.INT8, Quant.per_tensor(0.04, 11))
SOFTMAX = TensorType((), DType.INT8, Quant.per_tensor(1 / 256, -128))
ONES = (1, 1, 1, 1)


def random_net(seed: int, *, is_float: bool = False) -> tuple[Graph, int]:
    """The model, and which axis of its input is time."""
    rng = np.random.default_rng(seed)
    net = Net(is_float=is_float, seed=seed)
    net.across = bool(rng.integers(2))
    axis, time, other = (2 if net.across else 1), int(rng.integers(9, 26)), int(rng.integers(1, 4))
    x = net.input(1, *((other, time) if net.across else (time, other)), int(rng.integers(1, 4)))
    x = net.convolve(x, int(rng.integers(1, 4)))  # so that there is something to save
    for _ in range(int(rng.integers(0, 5))):
        if x.shape[axis] > 4:
            x = _Layers(net, x, axis, rng).pick()
    return net.done(_head(net, x, axis, rng)), axis


class _Layers:
    def __init__(self, net: Net, x: Value, axis: int, rng: np.random.Generator) -> None:
        self.net, self.x, self.axis, self.rng = net, x, axis, rng
        self.long = x.shape[axis]
        self.k, self.stride = int(rng.integers(1, 4)), int(rng.choice([1, 1, 1, 2]))

    def pick(self) -> Value:
        net, x, k, stride = self.net, self.x, self.k, self.stride
        dilation = 1 + (k < 3 and self.long > 6)
        columns = Pad(tuple((0, 1) if a == 3 - self.axis else (0, 0) for a in range(4)))
        choices: list[Callable[[], Value]] = [
            lambda: net.convolve(x, k, stride=stride, dilation=dilation),
            lambda: net.depthwise(x, k, stride=stride),
            lambda: net.average(x, k, stride=stride),
            lambda: net.most(x, k, stride=stride),
            lambda: net.add(Logistic(), x) if net.is_float else net.add(Quantize(), x, type=OTHER),
            lambda: net.add(Mul(), x, net.constant(x.shape[3])),
            lambda: net.add(columns, x),
            lambda: net.add(Concatenation(3), x, net.add(Relu(), x)),
            self.cut,
            self.skip,
            self.branches,
            self.pieces,
            self.turned,
            self.every_other,
            self.rows,
        ]
        return choices[int(self.rng.integers(len(choices)))]()

    def cut(self) -> Value:
        return self._frames(int(self.rng.integers(0, 2)), self.long - int(self.rng.integers(0, 3)))

    def skip(self) -> Value:
        """x, cut somewhere, plus a convolution of it."""
        y = self.net.convolve(self.x, self.k, self.x.shape[3])
        low = int(self.rng.integers(0, self.long - y.shape[self.axis] + 1))
        return self.net.add(Add(), self._frames(low, low + y.shape[self.axis]), y)

    def branches(self) -> Value:
        """Convolutions of 3 and of 1 frames, one behind the other."""
        y, z = self.net.convolve(self.x, 3), self.net.convolve(self.x, 1)
        late = self.net.add(StridedSlice(self._at(2, 0), z.shape, ONES), z)
        return self.net.add(Concatenation(3), y, late)

    def pieces(self) -> Value:
        one = self.x.shape[3] // 2
        if not one:
            return self.net.add(Relu(), self.x)
        return self.net.add(Split(3, (one, self.x.shape[3] - one)), self.x)

    def turned(self) -> Value:
        """Rows and columns change places, and change back after a layer."""
        net, turn = self.net, Transpose((0, 2, 1, 3))
        net.across = not net.across
        y = net.convolve(net.add(turn, self.x), self.k)
        net.across = not net.across
        return net.add(turn, y)

    def every_other(self) -> Value:
        return self.net.add(StridedSlice(self._at(1, 0), self.x.shape, self._at(2, 1)), self.x)

    def rows(self) -> Value:
        """A dense layer of each pixel."""
        return self.net.dense(self.x, 4, self.x.shape[3], keep_dims=True)

    def _at(self, time: int, other: int) -> tuple[int, ...]:
        return tuple(time if a == self.axis else other for a in range(4))

    def _frames(self, low: int, high: int) -> Value:
        size = tuple(high - low if a == self.axis else n for a, n in enumerate(self.x.shape))
        return self.net.add(Slice(self._at(low, 0), size), self.x)


def _head(net: Net, x: Value, axis: int, rng: np.random.Generator) -> Value:
    last = tuple(x.shape[a] - 1 if a == axis else 0 for a in range(4))
    choices: list[Callable[[], Value]] = [
        lambda: net.dense(net.flatten(x), 3),
        lambda: net.add(Mean((axis,)), x),
        lambda: net.add(Mean((1, 2)), x),
        lambda: net.add(ReduceMax((axis,), keep_dims=True), x),
        lambda: net.add(StridedSlice(last, x.shape, ONES, (axis,)), x),
        lambda: net.add(Mean((3,)), net.most(x, x.shape[axis])),
        lambda: net.add(Mul(), x, net.add(Mean((1, 2), keep_dims=True), x)),
        lambda: x if net.is_float else net.add(Softmax(), x, type=SOFTMAX),
        lambda: net.add(Reshape(x.shape[1:]), x),
    ]
    return choices[int(rng.integers(len(choices)))]()
