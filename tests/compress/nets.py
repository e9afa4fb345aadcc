"""Small float networks whose channels are tied in the ways that real ones' are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.graph import DType, Graph, Node, TensorType, Value
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.logistic import Logistic
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.prelu import PRelu
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.transpose import Transpose
from chipfit.ops.transpose_conv import TransposeConv
from quantize.nets import Builder, normal

SIDE = 6


def residual(rng: np.random.Generator) -> Graph:
    """Two convolutions added up, a depthwise layer between them."""
    b = Builder(1, SIDE, SIDE, 3)
    first = b.add("first", Conv2D(act="relu"), b.x, normal(rng, 8, 1, 1, 3), normal(rng, 8))
    deep = b.add("deep", DepthwiseConv2D(pad=(1, 1, 1, 1), act="relu"), first, normal(rng, 1, 3, 3, 8), normal(rng, 8))
    second = b.add("second", Conv2D(), deep, normal(rng, 8, 1, 1, 8), normal(rng, 8))
    both = b.add("both", Relu(), b.add("sum", Add(), first, second))
    return _head(rng, b, both)


def concatenated(rng: np.random.Generator) -> Graph:
    """Branches side by side, then padded, then flattened before a dense layer; one branch is the input itself."""
    b = Builder(1, SIDE, SIDE, 3)
    left = b.add("left", Conv2D(), b.x, normal(rng, 4, 1, 1, 3), normal(rng, 4))
    right = b.add("right", Conv2D(act="relu6"), b.x, normal(rng, 6, 1, 1, 3))
    joined = b.add("joined", Concatenation(axis=3), left, b.x, right)
    padded = b.add("padded", Pad(((0, 0), (1, 1), (0, 1), (0, 0))), joined)
    mixed = b.add("mixed", Conv2D(stride=(2, 2)), padded, normal(rng, 5, 3, 3, 13), normal(rng, 5))
    flat = b.add("flat", Reshape((1, mixed.type.size)), mixed)
    return b.graph(b.add("out", FullyConnected(), flat, normal(rng, 3, mixed.type.size), normal(rng, 3)))


def gated(rng: np.random.Generator) -> Graph:
    """Squeeze and excite: a gate for each channel by way of the mean over rows and columns."""
    b = Builder(1, SIDE, SIDE, 3)
    x = b.add("wide", Conv2D(act="relu"), b.x, normal(rng, 8, 3, 3, 3), normal(rng, 8))
    squeezed = b.add("squeezed", Mean(axes=(1, 2), keep_dims=True), x)
    narrow = b.add("narrow", Conv2D(act="relu"), squeezed, normal(rng, 4, 1, 1, 8), normal(rng, 4))
    gate = b.add("gate", Logistic(), b.add("widened", Conv2D(), narrow, normal(rng, 8, 1, 1, 4), normal(rng, 8)))
    scaled = b.add("scaled", Mul(), x, gate)
    curved = b.add("curved", PRelu(), scaled, normal(rng, 1, 1, 8))
    return _head(rng, b, curved)


def moved(rng: np.random.Generator) -> Graph:
    """Channels split, sliced, put to the front and back, multiplied, and put down by a transposed convolution."""
    b = Builder(1, SIDE, SIDE, 3)
    wide = b.add("wide", Conv2D(act="relu"), b.x, normal(rng, 12, 1, 1, 3), normal(rng, 12))
    parts = [Value(f"part{i}", TensorType((1, SIDE, SIDE, n), DType.FLOAT32)) for i, n in enumerate((4, 8))]
    b.nodes.append(Node(Split(3, (4, 8)), [wide], parts))
    cut = b.add("cut", Slice((0, 0, 0, 2), (1, SIDE, SIDE, 4)), parts[1])
    met = b.add("met", Mul(), parts[0], cut)
    front = b.add("front", Transpose((0, 3, 1, 2)), met)
    back = b.add("back", Transpose((0, 2, 3, 1)), b.add("weighed", Mul(), front, normal(rng, 4, 1, 1)))
    twice = b.add("twice", DepthwiseConv2D(), back, normal(rng, 1, 2, 2, 8), normal(rng, 8))
    up = b.add("up", TransposeConv(stride=(2, 2)), twice, normal(rng, 6, 2, 2, 8), normal(rng, 6))
    return _head(rng, b, up)


def grouped(rng: np.random.Generator) -> Graph:
    """A convolution in two groups, and a map of one channel that is spread over all."""
    b = Builder(1, SIDE, SIDE, 3)
    x = b.add("wide", Conv2D(act="relu"), b.x, normal(rng, 8, 1, 1, 3), normal(rng, 8))
    y = b.add("halves", Conv2D(), x, normal(rng, 12, 3, 3, 4), normal(rng, 12))
    place = b.add("place", Conv2D(), x, normal(rng, 1, 3, 3, 8), normal(rng, 1))
    return _head(rng, b, b.add("placed", Mul(), y, place))


NETS: dict[str, Callable[[np.random.Generator], Graph]] = {
    net.__name__: net for net in (residual, concatenated, gated, moved, grouped)
}


def _head(rng: np.random.Generator, b: Builder, x: Value) -> Graph:
    _, height, width, channels = x.shape
    pool = b.add("pool", AveragePool2D(kernel=(height, width)), x)
    flat = b.add("flat", Reshape((1, channels)), pool)
    z = b.add("logits", FullyConnected(), flat, normal(rng, 5, channels, scale=1.0), normal(rng, 5))
    return b.graph(b.add("answer", Softmax(), z))
