"""Networks as they come from frameworks with channels first: each layer transposed to channels last and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops import Op, random_input
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.broadcast_to import BroadcastTo
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.cumsum import Cumsum
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.gather import Gather
from chipfit.ops.greater import Greater
from chipfit.ops.logistic import Logistic
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.maximum import Maximum
from chipfit.ops.mean import Mean
from chipfit.ops.mirror_pad import MirrorPad
from chipfit.ops.mul import Mul
from chipfit.ops.pack import Pack
from chipfit.ops.pad import Pad
from chipfit.ops.prelu import PRelu
from chipfit.ops.reduce_max import ReduceMax
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.resize_nearest import ResizeNearest
from chipfit.ops.reverse_v2 import ReverseV2
from chipfit.ops.select_v2 import SelectV2
from chipfit.ops.slice import Slice
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.sum import Sum
from chipfit.ops.tile import Tile
from chipfit.ops.transpose import Transpose
from chipfit.ops.unpack import Unpack

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
SOFTMAX = Quant.per_tensor(1 / 256, -128)


@dataclass
class Net:
    """Adds layers to a graph of int8 (random quantizations where the operator has its own) or float32."""

    rng: np.random.Generator
    graph: Graph
    is_float: bool = False

    @staticmethod
    def start(*shape: int, seed: int = 0, is_float: bool = False) -> tuple[Net, Value]:
        net = Net(np.random.default_rng(seed), Graph("net"), is_float)
        return net, net.input(*shape)

    def type(self, *shape: int, quant: Quant | None = None) -> TensorType:
        if self.is_float:
            return TensorType(shape, DType.FLOAT32)
        zero = int(self.rng.integers(-20, 20))
        return TensorType(shape, DType.INT8, quant or Quant.per_tensor(float(self.rng.uniform(0.02, 0.1)), zero))

    def input(self, *shape: int) -> Value:
        value = Value(f"x{len(self.graph.inputs)}", self.type(*shape))
        self.graph.inputs.append(value)
        return value

    def constant(self, *shape: int, like: Value | None = None) -> Value:
        kind = self.type(*shape, quant=like.type.quant if like else None)
        return Value(f"c{sum(1 for _ in self.graph.values())}", kind, random_input(self.rng, kind))

    def adds(
        self,
        op: Op,
        *inputs: Value | None,
        quant: Quant | None = None,
        dtype: DType | None = None,
        like: Value | None = None,
    ) -> list[Value]:
        """The outputs of a node. Elements are those of ``like`` or the first input, but for ``quant`` and ``dtype``."""
        node = Node(op, list(inputs), [])
        first = like or next(v for v in inputs if v is not None)
        for i, shape in enumerate(op.infer(node)):
            name = f"{op.name}{len(self.graph.nodes)}" + (f"_{i}" if i else "")
            kind = TensorType(tuple(shape), dtype or first.dtype, quant if quant or dtype else first.type.quant)
            node.outputs.append(Value(name, kind))
        self.graph.nodes.append(node)
        return node.outputs

    def add(
        self,
        op: Op,
        *inputs: Value | None,
        quant: Quant | None = None,
        dtype: DType | None = None,
        like: Value | None = None,
    ) -> Value:
        return self.adds(op, *inputs, quant=quant, dtype=dtype, like=like)[0]

    def compute(self, op: Op, *inputs: Value) -> Value:
        """An operator whose output has a quantization of its own."""
        return self.add(op, *inputs, quant=self.type().quant)

    def first(self, x: Value) -> Value:
        return self.add(Transpose(TO_FIRST), x)

    def last(self, x: Value) -> Value:
        return self.add(Transpose(TO_LAST), x)

    # ------------------------------------------------------------------------- layers between two transpositions

    def layer(self, op: Op, x: Value, w_shape: tuple[int, ...], axis: int) -> Value:
        """With weights, which have a scale for each output channel, and a bias."""
        out = w_shape[axis]
        bias = f"b{len(self.graph.nodes)}", f"w{len(self.graph.nodes)}"
        if self.is_float:
            w = Value(bias[1], self.type(*w_shape), self.rng.normal(0, 0.3, w_shape).astype(np.float32))
            b = Value(bias[0], self.type(out), self.rng.normal(0, 1, out).astype(np.float32))
            return self.add(op, x, w, b)
        scales = tuple(float(np.float32(s)) for s in self.rng.uniform(0.002, 0.01, out))
        w_type = TensorType(w_shape, DType.INT8, Quant(scales, (0,) * out, axis))
        w = Value(bias[1], w_type, self.rng.integers(-127, 128, w_shape, dtype=np.int8))
        b_type = TensorType((out,), DType.INT32, Quant(tuple(x.q.s * s for s in scales), (0,) * out, 0))
        b = Value(bias[0], b_type, self.rng.integers(-3000, 3000, out, dtype=np.int32))
        return self.add(op, x, w, b, quant=self.type().quant)

    def conv(self, x: Value, out: int, kernel: int = 3, stride: int = 1) -> Value:
        pad = kernel // 2
        op = Conv2D((stride, stride), (pad, pad, pad, pad))
        return self.first(self.layer(op, self.last(x), (out, kernel, kernel, x.shape[1]), 0))

    def depthwise(self, x: Value) -> Value:
        return self.first(self.layer(DepthwiseConv2D(pad=(1, 1, 1, 1)), self.last(x), (1, 3, 3, x.shape[1]), 3))

    def pool(self, x: Value, *, average: bool = False) -> Value:
        kind = AveragePool2D if average else MaxPool2D
        return self.first(self.add(kind((2, 2), (2, 2), (0, 0, 0, 0)), self.last(x)))

    def upsample(self, x: Value) -> Value:
        return self.first(self.add(ResizeNearest((2 * x.shape[2], 2 * x.shape[3])), self.last(x)))

    def dense(self, x: Value, out: int) -> Value:
        """Of rows."""
        return self.layer(FullyConnected(), x, (out, x.shape[-1]), 0)

    def flat(self, x: Value) -> Value:
        return self.add(Reshape((x.shape[0], x.type.size // x.shape[0])), x)

    def relu(self, x: Value) -> Value:
        return self.add(Relu(), x)

    def global_pool(self, x: Value, *, keep_dims: bool = True) -> Value:
        return self.compute(Mean((2, 3), keep_dims), x)

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        self.graph.verify()
        return self.graph


def transposes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Transpose)]


def moved_bytes(graph: Graph) -> int:
    return sum(node["x"].type.nbytes for node in transposes(graph))


def random_net(seed: int, steps: int = 10) -> Graph:
    """A network in which all kinds of operators lie between transpositions of all kinds."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.choice([1, 2, 3, 4, 6], 3)]
    net, x = Net.start(int(rng.integers(1, 3)), *sizes, seed=seed, is_float=bool(rng.integers(2)))
    values = [x, net.conv(x, 4)]
    if rng.integers(3) == 0:
        values.append(net.input(*values[1].shape))
    for _ in range(steps):
        x = values[-1] if rng.integers(3) else values[int(rng.integers(len(values)))]
        choices = _choices(net, x, values)
        made = choices[int(rng.integers(len(choices)))]()
        values += [v for v in (made if isinstance(made, list) else [made]) if v.type.size <= 4096]
    made = [v for v in values[1:] if v not in net.graph.inputs]
    picked = rng.choice(len(made), size=min(len(made), int(rng.integers(1, 4))), replace=False)
    return net.done(*(made[int(i)] for i in picked))


def _choices(net: Net, x: Value, values: list[Value]) -> list[Callable[[], Value | list[Value]]]:
    rng, rank = net.rng, len(x.shape)
    order = tuple(int(i) for i in rng.permutation(rank))
    same = [v for v in values if v.shape == x.shape and v.type.quant == x.type.quant]
    other = same[int(rng.integers(len(same)))]
    broadcast = [v for v in values if _fits(v.shape, x.shape)]
    operand = broadcast[int(rng.integers(len(broadcast)))]
    constant = net.constant(*(n if rng.integers(2) else 1 for n in x.shape[int(rng.integers(rank + 1)) :]))
    binary = (Add(), Mul())[int(rng.integers(2))]
    operands = (x, operand) if rng.integers(2) else (operand, x)
    choices: list[Callable[[], Value | list[Value]]] = [
        lambda: net.relu(x),
        lambda: net.add(Transpose(order), x),
        lambda: net.compute(binary, *operands),
        lambda: net.compute(Add(), x, constant),
        lambda: net.compute(PRelu(), x, constant),
        lambda: net.add(Logistic(), x, quant=None if net.is_float else SOFTMAX),
        lambda: net.add(Reshape(tuple(n for n in x.shape if n != 1)), x),
    ]
    if rank == 0:
        return choices
    axis = int(rng.integers(rank))
    size = x.shape[axis]
    axes = tuple(a for a in range(rank) if rng.integers(2))
    begin = [int(rng.integers(n)) for n in x.shape]
    length = [int(rng.integers(1, n - b + 1)) for n, b in zip(x.shape, begin, strict=True)]
    ends = [b + n for b, n in zip(begin, length, strict=True)]
    pads = tuple((int(a), int(b)) for a, b in rng.integers(0, 2, (rank, 2)))
    cut = int(rng.integers(0, size + 1))
    index = rng.integers(0, size, tuple(int(n) for n in rng.integers(1, 4, int(rng.integers(0, 3))))).astype(np.int32)
    places = Value(f"i{len(net.graph.nodes)}", TensorType(index.shape, DType.INT32), index)
    reduction = (Mean, Sum, ReduceMax)[int(rng.integers(3))](axes, bool(rng.integers(2)))
    single = (*ends[:axis], begin[axis] + 1, *ends[axis + 1 :])
    shrunk = StridedSlice(tuple(begin), single, (1,) * rank, (axis,))
    choices += [
        lambda: net.add(Concatenation(axis), x, other, *([net.constant(*x.shape, like=x)] * int(rng.integers(2)))),
        lambda: net.add(Slice(tuple(begin), tuple(length)), x),
        lambda: net.add(shrunk, x),
        lambda: net.add(StridedSlice(tuple(n - 1 for n in x.shape), (-1,) * rank, (-1,) * rank), x),
        lambda: net.add(Pad(pads), x),
        lambda: _checked(net, reduction, x),
        lambda: net.add(Maximum(), x, other),
        lambda: net.add(SelectV2(), net.add(Greater(), x, operand, dtype=DType.BOOL), x, other, like=x),
        lambda: net.add(MirrorPad(tuple((a * (n > 1), 0) for (a, _), n in zip(pads, x.shape, strict=True))), x),
        lambda: net.add(Tile(tuple(2 if a == axis else 1 for a in range(rank))), x),
        lambda: net.add(ReverseV2(axes), x),
        lambda: net.compute(Cumsum(axis), net.relu(x)),
        lambda: net.add(BroadcastTo(x.shape), operand),
        lambda: net.add(Softmax(), x, quant=None if net.is_float else SOFTMAX),
        lambda: net.add(Reshape(_merged(x.shape, axis)), x),
        lambda: net.add(Reshape(_parted(x.shape, axis)), x) if rank < 6 else net.relu(x),
        lambda: net.add(Gather(axis), x, places) if rank + index.ndim <= 6 else net.relu(x),
        lambda: net.add(Softmax(), net.add(Transpose(order), x), quant=None if net.is_float else SOFTMAX),
    ]
    if 0 < cut < size:
        choices.append(lambda: net.adds(Split(axis, (cut, size - cut)), x))
    if rank < 6:
        choices.append(lambda: net.add(Pack(axis), x, other))
        choices.append(lambda: net.add(ExpandDims(axis), x))
    if rank > 1 and size < 4:
        choices.append(lambda: net.adds(Unpack(axis), x))
    if rank == 4:
        choices += [lambda: net.conv(x, int(rng.integers(1, 5)), 1)] * 3
        choices += [lambda: net.depthwise(x)] * 2
        if min(x.shape[2:]) > 1:
            choices.append(lambda: net.pool(x))
        if not net.is_float:  # there, the order of a sum shows
            choices += [lambda: net.dense(net.flat(x), 3), lambda: net.dense(net.relu(net.flat(x)), 6)]
    if rank == 2 and not net.is_float:
        choices += [lambda: net.add(Reshape((x.shape[0], 2, 3, 1)), net.relu(net.dense(x, 6)))] * 2
        choices += [lambda: net.first(net.add(Reshape((x.shape[0], 2, 2, 2)), net.dense(x, 8)))] * 2
    return choices


def _checked(net: Net, op: Op, x: Value) -> Value:
    """The reduction where there is a kernel for it, else another one."""
    trial = Node(op, [x], [])
    trial.outputs = [Value("y", TensorType(tuple(op.infer(trial)[0]), x.dtype, x.type.quant))]
    try:
        op.check(trial)
    except ChipfitError:
        return net.relu(x)
    return net.add(op, x) if isinstance(op, ReduceMax) else net.compute(op, x)


def _fits(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(small) <= len(shape) and all(a in (1, b) for a, b in zip(small[::-1], shape[::-1], strict=False))


def _merged(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    if axis + 1 == len(shape):
        return shape
    return (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])


def _parted(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    factor = next((n for n in (2, 3) if shape[axis] % n == 0), 1)
    return (*shape[:axis], factor, shape[axis] // factor, *shape[axis + 1 :])
