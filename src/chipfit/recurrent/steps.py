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

_EACH_STEP = (Unary, Quantize, Dequantize, Softmax)
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
    """``moved``: values whose axis 1 counts steps, each with its new shape."""

    def __init__(self, graph: Graph, length: int, steps: int) -> None:
        self.graph, self.length, self.steps = graph, length, steps
        self.moved: set[Value] = set()

    def run(self) -> Graph:
        for value in self.graph.inputs:
            if len(value.shape) > 1 and value.shape[TIME] == self.length and self._reaches_a_loop(value):
                self._resize(value, (value.shape[0], self.steps, *value.shape[TIME + 1 :]))
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

    def _resize(self, value: Value, shape: Shape) -> None:
        value.type = TensorType(tuple(shape), value.dtype, value.type.quant)
        self.moved.add(value)

    def _node(self, node: Node) -> None:
        op = node.op
        if isinstance(op, Reshape):
            node.op = dataclasses.replace(op, shape=self._reshaped(node))
        elif isinstance(op, Scan):
            self._require(not op.backward, node, "begins with the last step")
            self._require(all(v in self.moved for v in op.taken(node)[0]), node, "takes a sequence that is none")
        elif isinstance(op, Binary):
            others = [v for v in node.operands if v not in self.moved]
            fits = all(len(v.shape) < len(node["y"].shape) or v.shape[TIME] == 1 for v in others)
            self._require(fits, node, "adds something of its own to each step")
        elif isinstance(op, Concatenation):
            fits = op.axis != TIME and all(v in self.moved for v in node.operands)
            self._require(fits, node, "puts sequences one after the other")
        elif isinstance(op, FullyConnected):
            self._require(len(node["x"].shape) > 2, node, "looks at all steps at once")
        else:
            self._require(isinstance(op, _EACH_STEP), node, "looks at several steps at once")
        for value, shape in zip(node.outputs, op_of(node).infer(node), strict=True):
            if tuple(shape) != value.shape:
                self._resize(value, shape)

    def _reshaped(self, node: Node) -> Shape:
        """The steps stay on their axis, or are one with the batch, which is 1, before them."""
        x, y = node["x"], node["y"]
        for axis, size in enumerate(y.shape[:2]):
            if size == self.length and all(n == 1 for n in y.shape[:axis]):
                return (*y.shape[:axis], self.steps, *y.shape[axis + 1 :])
        raise self._refuse(node, f"makes {list(y.shape)} of {list(x.shape)}: it mixes the steps")

    def _require(self, holds: bool, node: Node, what: str) -> None:
        if not holds:
            raise self._refuse(node, what)

    @staticmethod
    def _refuse(node: Node, what: str) -> ChipfitError:
        return ChipfitError(
            "O002", f"{node.op.name} '{node.name}' {what}: it cannot run on sequences of another length", HINT
        )
