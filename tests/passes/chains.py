"""Random small graphs that the passes have something to do in, and the comparison before and after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value, Variable
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import Op, random_input
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.cast import Cast
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.pad import Pad
from chipfit.ops.quantize import Quantize
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.reshape import Reshape
from chipfit.ops.shape import Shape as ShapeOp
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.squeeze import Squeeze
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose


class Builder:
    """Adds nodes to a graph; shapes are inferred. Elements are int8 of one quantization, or float32."""

    def __init__(self, *, is_float: bool = False, seed: int = 0) -> None:
        self.graph = Graph("g")
        self.is_float = is_float
        self.quant = None if is_float else Quant.per_tensor(0.05, -7)
        self.dtype = DType.FLOAT32 if is_float else DType.INT8
        self.rng = np.random.default_rng(seed)

    def type(self, *shape: int) -> TensorType:
        return TensorType(shape, self.dtype, self.quant)

    def input(self, *shape: int) -> Value:
        value = Value(f"in{len(self.graph.inputs)}", self.type(*shape))
        self.graph.inputs.append(value)
        return value

    def constant(self, *shape: int) -> Value:
        kind = self.type(*shape)
        name = f"const{sum(1 for _ in self.graph.values())}"
        return Value(name, kind, random_input(self.rng, kind))

    def add(self, op: Op, *inputs: Value, type: TensorType | None = None) -> Value:
        """The first output of the operator on these inputs; ``type`` gives its element type and quantization."""
        node = Node(op, list(inputs), [])
        kind = type or inputs[0].type
        for i, shape in enumerate(op.infer(node)):
            name = f"t{len(self.graph.nodes)}" if i == 0 else f"t{len(self.graph.nodes)}_{i}"
            node.outputs.append(Value(name, TensorType(tuple(shape), kind.dtype, kind.quant)))
        self.graph.nodes.append(node)
        return node.outputs[0]

    def state(self, name: str, kind: TensorType) -> None:
        """A variable that starts from random elements."""
        self.graph.variables[name] = Variable(name, kind, random_input(self.rng, kind))

    def read(self, name: str) -> Value:
        value = Value(f"t{len(self.graph.nodes)}", self.graph.variables[name].type)
        self.graph.nodes.append(Node(ReadVariable(name), [], [value]))
        return value

    def write(self, name: str, x: Value) -> None:
        self.graph.nodes.append(Node(AssignVariable(name), [x], []))

    def conv(self, x: Value, pad: tuple[int, int, int, int] = (0, 0, 0, 0), *, depthwise: bool = False) -> Value:
        channels = x.shape[3]
        shape = (1, 2, 2, channels) if depthwise else (channels, 2, 2, channels)
        name = f"w{len(self.graph.nodes)}"
        if self.is_float:
            w = Value(name, TensorType(shape, DType.FLOAT32), self.rng.normal(0, 0.5, shape).astype(np.float32))
        else:
            elements = self.rng.integers(-127, 128, shape, dtype=np.int8)
            w = Value(name, TensorType(shape, DType.INT8, Quant.per_tensor(0.01)), elements)
        return self.add(DepthwiseConv2D(pad=pad) if depthwise else Conv2D(pad=pad), x, w)

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        self.graph.verify()
        return self.graph


def random_graph(seed: int, steps: int = 8) -> Graph:
    """A graph in which identities, views of views, pads before convolutions and constants are frequent."""
    rng = np.random.default_rng(seed)
    b = Builder(is_float=bool(rng.integers(2)), seed=seed)
    values = [b.input(1, *(int(n) for n in rng.integers(3, 6, 2)), 2), b.constant(1, 3, 4, 2)]
    b.state("s", values[0].type)
    values.append(b.read("s"))
    for _ in range(steps):
        x = values[int(rng.integers(len(values)))]
        choices: list[Callable[[], Value]] = _choices(b, x, rng)
        values.append(choices[int(rng.integers(len(choices)))]())
    same = [v for v in values if v.shape == values[0].shape]
    b.write("s", same[int(rng.integers(len(same)))])
    made = [v for v in values[2:] if not v.is_const]
    picked = rng.choice(len(made), size=min(len(made), int(rng.integers(1, 4))), replace=False)
    return b.done(*(made[int(i)] for i in picked))


def _choices(b: Builder, x: Value, rng: np.random.Generator) -> list[Callable[[], Value]]:
    shape, rank = x.shape, len(x.shape)
    order = tuple(int(i) for i in rng.permutation(rank))
    amount = [int(n) for n in rng.integers(0, 3, 4)]
    choices: list[Callable[[], Value]] = [
        lambda: b.add(Reshape(shape), x),
        lambda: b.add(Reshape((x.type.size,)), x),
        lambda: b.add(Squeeze(), x),
        lambda: b.add(Cast(), x),
        lambda: b.add(Transpose(order), x),
        lambda: b.add(Slice((0,) * rank, shape), x),
        lambda: b.add(StridedSlice((0,) * rank, shape, (1,) * rank), x),
        lambda: b.add(StridedSlice(tuple(n - 1 for n in shape), (-1,) * rank, (-1,) * rank), x),
        lambda: b.add(Pad(((0, 0),) * rank), x),
        lambda: _shape_of(b, x),
    ]
    if rank:
        choices.append(lambda: b.add(Concatenation(0), x))
        choices.append(lambda: b.add(Split(0, (shape[0],)), x))
    if rank < 5:
        choices.append(lambda: b.add(ExpandDims(0), x))
    if not b.is_float:
        choices.append(lambda: b.add(Quantize(), x))
    if rank == 4:
        pad = Pad(((0, 0), (amount[0], amount[1]), (amount[2], amount[3]), (0, 0)), 0 if rng.integers(3) == 0 else None)
        choices += [lambda: b.add(pad, x)] * 3
        if min(shape[1:3]) >= 2:
            depthwise = bool(rng.integers(2))
            choices += [lambda: b.conv(x, (1, 0, 0, 1), depthwise=depthwise)] * 4
    return choices


def _shape_of(b: Builder, x: Value) -> Value:
    """A value computed from a shape alone, in the element type of the graph."""
    return b.add(Cast(), b.add(ShapeOp(), x, type=TensorType((), DType.INT32)), type=b.type())


def outputs_of(graph: Graph, inputs: list[Array], runs: int = 2) -> list[bytes]:
    """All output bytes of consecutive runs, and the state after them."""
    state = initial_state(graph)
    results = [y.tobytes() for _ in range(runs) for y in evaluate(graph, inputs, state)]
    return results + [state[name].tobytes() for name in sorted(state)]


def inputs_for(graph: Graph, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [random_input(rng, v.type) for v in graph.inputs]


def interface(graph: Graph) -> list[tuple[str, TensorType]]:
    """What a user of the model sees of it: names and types of inputs and outputs."""
    return [(v.name, v.type) for v in (*graph.inputs, *graph.outputs)]


def ops_of(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]
