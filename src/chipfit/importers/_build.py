"""Building a graph of a foreign model: unique names, constants, nodes whose shapes are inferred, problems collected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, Quant, Shape, TensorType, Value
from chipfit.importers._fold import fold_scales
from chipfit.importers._problems import Problem, raise_problems
from chipfit.ops import REGISTRY
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.reshape import Reshape
from chipfit.ops.transpose import Transpose
from chipfit.ops.transpose_conv import TransposeConv


class GraphBuilder:
    """A graph in the making: float32, NHWC, batch 1.

    A node's output is named after the layer or tensor of the source that it stands for; what else a layer needs is
    named ``<layer>/<part>``. A name that is taken gets a number behind it.
    """

    def __init__(self, name: str) -> None:
        self.problems: list[Problem] = []
        self._known = 0
        """Problems that there were before."""
        self._graph = Graph(name)
        self._names: dict[str, int] = {}
        self._producers: dict[Value, Node] = {}

    # ------------------------------------------------------------------------------------------ values

    def reserve(self, name: str) -> str:
        """``name``, or with a number behind it where the name is taken; taken from now on."""
        found = name
        while count := self._names.get(found, 0):
            self._names[found] = count + 1
            found = f"{found}_{count}"
        self._names[found] = 1
        return found

    def input(self, name: str, shape: Shape, dtype: DType = DType.FLOAT32) -> Value:
        """The next input of the graph."""
        value = Value(self.reserve(name), TensorType(tuple(shape), dtype))
        self._graph.inputs.append(value)
        return value

    def constant(self, name: str, data: Array) -> Value:
        """A constant; floats of any width become float32, integers and bool keep their type."""
        array = np.asarray(data)
        if not (array.dtype.kind in "iu" or array.dtype == np.bool_):
            array = array.astype(np.float32)
        array = np.ascontiguousarray(array).reshape(array.shape)
        return Value(self.reserve(name), TensorType(tuple(array.shape), DType.of(array)), array)

    def placeholder(self, name: str, shape: Shape, dtype: DType = DType.FLOAT32) -> Value:
        """What stands for the output of a layer that cannot be imported, so that those behind it are looked at, too."""
        return Value(self.reserve(name), TensorType(tuple(shape), dtype))

    def rename(self, value: Value, name: str) -> None:
        """Give a value a name that :meth:`reserve` returned."""
        value.name = name

    def producer(self, value: Value) -> Node | None:
        """The node that makes a value; None for inputs and constants."""
        return self._producers.get(value)

    # ------------------------------------------------------------------------------------------ nodes

    def node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        name: str,
        dtype: DType | None = None,
        quant: Quant | None = None,
        **attributes: Any,
    ) -> Value:
        """The output of a new node, for operators with one. ``op``: its name in ``chipfit op list``.

        ``dtype``: element type of the output, by default that of the first input; ``quant``: its quantization. Raises
        ChipfitError O002 or G003 where the operator does not take its operands.
        """
        return self.nodes(op, inputs, [name], dtype, quant, **attributes)[0]

    def nodes(
        self,
        op: str,
        inputs: Sequence[Value | None],
        names: Sequence[str],
        dtype: DType | None = None,
        quant: Quant | None = None,
        **attributes: Any,
    ) -> list[Value]:
        """The outputs of a new node, one for each name."""
        node = Node(REGISTRY[op](**attributes), list(inputs), [])
        kind = dtype or node.operands[0].dtype
        shapes = [tuple(shape) for shape in node.op.infer(node)]
        node.outputs = [Value(name, TensorType(shape, kind, quant)) for name, shape in zip(names, shapes, strict=True)]
        Graph.verify_ports(node)
        if any(v.type.size == 0 for v in node.outputs):
            raise ChipfitError("O002", f"its output {[v.type.shape for v in node.outputs]} has no elements")
        node.op.check(node)
        for value in node.outputs:
            value.name = self.reserve(value.name)
        self._graph.nodes.append(node)
        self._producers.update(dict.fromkeys(node.outputs, node))
        return node.outputs

    def transpose(self, x: Value, perm: Sequence[int], name: str) -> Value:
        """x with its axes in another order. A transposition of a transposition is one, or none."""
        order = tuple(perm)
        before = self.producer(x)
        if before is not None and isinstance(before.op, Transpose):
            x, order = before["x"], tuple(before.op.perm[axis] for axis in order)
        if order == tuple(range(len(order))):
            return x
        return self.node("transpose", [x], name, perm=order)

    def reshape(self, x: Value, shape: Sequence[int], name: str) -> Value:
        """x with another shape. A reshape of a reshape is one, or none."""
        before = self.producer(x)
        if before is not None and isinstance(before.op, Reshape):
            x = before["x"]
        if x.shape == tuple(shape):
            return x
        return self.node("reshape", [x], name, shape=tuple(shape))

    def cast(self, x: Value, dtype: DType, name: str) -> Value:
        """x in another element type."""
        return x if x.dtype is dtype else self.node("cast", [x], name, dtype)

    # ------------------------------------------------------------------------------------------ the end

    def problem(self, where: str, error: ChipfitError, hint: str = "") -> None:
        """Note why a layer cannot be imported; :meth:`finish` raises all of them together.

        ``hint`` is for errors without one. Errors of shapes (G003) count as O002: the layer is known.
        """
        code = error.code if error.code.startswith("O") else "O002"
        self.problems.append(Problem(code, f"{where}: {error.message}", error.hint or hint))

    def finish(self, outputs: Sequence[tuple[str, Value]], kind: str = "layers") -> Graph:
        """The graph, verified: its outputs have these names, scales are folded, nodes that nothing reads are gone.

        ``kind``: what the source calls its operators. Raises ChipfitError O001 or O002 with all problems together.
        """
        raise_problems(self.problems, kind)
        return self._finished(outputs)

    def inside(self, name: str) -> GraphBuilder:
        """A builder for a graph inside of this one, such as the body of a SCAN; both collect the same problems."""
        inner = GraphBuilder(name)
        inner.problems, inner._known = self.problems, len(self.problems)
        return inner

    def close(self, outputs: Sequence[tuple[str, Value]]) -> Graph:
        """The graph inside another one. Raises ChipfitError O002 where something in it cannot be compiled."""
        if len(self.problems) > self._known:
            raise ChipfitError("O002", "something inside of it cannot be compiled")
        return self._finished(outputs)

    def _finished(self, outputs: Sequence[tuple[str, Value]]) -> Graph:
        graph = self._graph
        graph.outputs = [value for _, value in self._distinct(outputs)]
        remove_unread(graph)
        fold_scales(graph)
        self._add_biases()
        self._name_ports(outputs)
        self._part_names()
        graph.verify()
        return graph

    def _distinct(self, outputs: Sequence[tuple[str, Value]]) -> list[tuple[str, Value]]:
        """Outputs that are an input, a constant or each other become copies: a port has a name of its own."""
        found: list[tuple[str, Value]] = []
        for name, value in outputs:
            if value not in self._producers or any(value is other for _, other in found):
                value = self.node("reshape", [value], f"{name}/copy", shape=value.shape)
            found.append((name, value))
        return found

    def _name_ports(self, outputs: Sequence[tuple[str, Value]]) -> None:
        """Outputs take their names even from values inside, which get a number instead; inputs keep theirs."""
        graph = self._graph
        inputs = {v.name for v in graph.inputs}
        wanted: dict[str, Value] = {}
        for (name, _), value in zip(outputs, graph.outputs, strict=True):
            if name not in inputs:
                wanted.setdefault(name, value)
        for value in graph.values():
            if value.name in wanted and wanted[value.name] is not value:
                value.name = self.reserve(value.name)
        for name, value in wanted.items():
            value.name = name

    def _add_biases(self) -> None:
        """Convolutions without a bias get one of zeros.

        As in .tflite files, where it is optional by the schema alone: LiteRT's depthwise kernel needs it.
        """
        for node in self._graph.nodes:
            if isinstance(node.op, Conv2D | DepthwiseConv2D | TransposeConv) and node.get("b") is None:
                zeros = np.zeros(node["y"].shape[-1], np.float32)
                node.inputs = [*node.inputs[:2], self.constant(f"{node.name}/bias", zeros)]

    def _part_names(self) -> None:
        """Constants that were folded differently for several readers have one name."""
        seen: set[str] = set()
        for value in self._graph.values():
            if value.name in seen:
                value.name = self.reserve(value.name)
            seen.add(value.name)


def remove_unread(graph: Graph) -> None:
    """Remove the nodes that no output depends on."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.operands)
            kept.append(node)
    graph.nodes = kept[::-1]
