"""The same model on sequences of another length: of one step, for a model that is called for each."""

from __future__ import annotations

import dataclasses

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node, Shape, TensorType, Value
from chipfit.ops import op_of
from chipfit.ops._broadcast import Binary
from chipfit.ops._unary import Unary
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.quantize import Quantize
from chipfit.ops.reshape import Reshape
from chipfit.ops.scan import TIME, Scan
from chipfit.ops.softmax import Softmax

_EACH_STEP = (Unary, Quantize, Dequantize)
"""Operators that treat each step by itself."""

HINT = "ask for 'loop' or 'unroll', or let the layers behind the recurrent one see its last step alone"


def with_steps(graph: Graph, steps: int) -> Graph:
    """The graph whose sequences have so many steps; the same graph if they have. The given one stays as it is.

    Raises ChipfitError U001 if there is no sequence, O002 where a layer looks at several steps at once.
    """
    lengths = {n.op.steps(n) for n in graph.nodes if isinstance(n.op, Scan)}
    if not lengths or steps < 1:
        raise ChipfitError("U001", f"{graph.name} has no recurrent layer that could run {steps} steps")
    if len(lengths) > 1:
        raise ChipfitError("O002", f"{graph.name} has sequences of different lengths: {sorted(lengths)}", HINT)
    length = lengths.pop()
    if length == steps:
        return graph
    return _Resized(graph.copy(), length, steps).run()


class _Resized:
    """``moved``: values with a new shape, and which of their axes counts steps: 1, or 0 where steps are first."""

    def __init__(self, graph: Graph, length: int, steps: int) -> None:
        self.graph, self.length, self.steps = graph, length, steps
        self.moved: dict[Value, int] = {}

    def run(self) -> Graph:
        for value in self.graph.inputs:
            shape = self._with_steps(value.shape)
            if shape is not None and self._reaches_a_loop(value):
                self._resize(value, shape)
        for node in self.graph.nodes:
            if any(v in self.moved for v in node.operands):
                self._node(node)
        self.graph.verify()
        return self.graph

    def _reaches_a_loop(self, value: Value) -> bool:
        """Whether a sequence of a SCAN is computed of an input."""
        reached = {value}
        for node in self.graph.nodes:
            if reached.isdisjoint(node.operands):
                continue
            if isinstance(node.op, Scan):
                sequences, _ = node.op.taken(node)
                if not reached.isdisjoint(sequences):
                    return True
            else:
                reached.update(node.outputs)
        return False

    def _with_steps(self, shape: Shape) -> Shape | None:
        """The shape with another number of steps, which are on the first axis or behind a batch of 1; None: neither."""
        # of a single step nothing tells the axis: it is where SCANs have it
        first = TIME if self.length == 1 else 0
        for axis, size in enumerate(shape[: TIME + 1]):
            if axis >= first and size == self.length and all(n == 1 for n in shape[:axis]):
                return (*shape[:axis], self.steps, *shape[axis + 1 :])
        return None

    def _resize(self, value: Value, shape: Shape) -> None:
        self.moved[value] = next(i for i, (n, m) in enumerate(zip(shape, value.shape, strict=True)) if n != m)
        value.type = TensorType(tuple(shape), value.dtype, value.type.quant)

    def _node(self, node: Node) -> None:
        op = node.op
        if isinstance(op, Reshape):
            node.op = dataclasses.replace(op, shape=self._reshaped(node))
        elif isinstance(op, Scan):
            self._require(not op.backward, node, "begins with the last step")
            taken = all(self.moved.get(v) == TIME for v in op.taken(node)[0])
            self._require(taken, node, "takes a sequence that is none")
        elif isinstance(op, Binary):
            # axes are counted from the end, as they are broadcast
            behind = {len(v.shape) - self.moved[v] for v in node.operands if v in self.moved}
            others = [v for v in node.operands if v not in self.moved]
            (at, *more) = sorted(behind)
            fits = not more and all(len(v.shape) < at or v.shape[-at] == 1 for v in others)
            self._require(fits, node, "adds something of its own to each step")
        elif isinstance(op, Concatenation):
            axes = {self.moved.get(v) for v in node.operands}
            fits = len(axes) == 1 and None not in axes and op.axis not in axes
            self._require(fits, node, "puts sequences one after the other")
        elif isinstance(op, (FullyConnected, Softmax)):
            x = node["x"]
            self._require(self.moved[x] < len(x.shape) - 1, node, "looks at all steps at once")
        else:
            self._require(isinstance(op, _EACH_STEP), node, "looks at several steps at once")
        for value, shape in zip(node.outputs, op_of(node).infer(node), strict=True):
            if tuple(shape) != value.shape:
                self._resize(value, shape)

    def _reshaped(self, node: Node) -> Shape:
        """The steps stay on their axis, or are one with the batch, which is 1, before them."""
        x, y = node["x"], node["y"]
        shape = self._with_steps(y.shape)
        if shape is None:
            raise self._refuse(node, f"makes {list(y.shape)} of {list(x.shape)}: it mixes the steps")
        return shape

    def _require(self, holds: bool, node: Node, what: str) -> None:
        if not holds:
            raise self._refuse(node, what)

    @staticmethod
    def _refuse(node: Node, what: str) -> ChipfitError:
        return ChipfitError(
            "O002", f"{node.op.name} '{node.name}' {what}: it cannot run on sequences of another length", HINT
        )
