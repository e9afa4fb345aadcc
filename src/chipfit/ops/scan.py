"""WHILE that counts through sequences: a graph that runs once for each step and hands its state on to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, Quant, Shape, TensorType, Value
from chipfit.ops._base import REGISTRY, Op, op_of, register
from chipfit.ops._roles import OWN, Roles

TIME = 1
"""The axis of a sequence that counts its steps; the first one, of batches, is 1."""

Body = Callable[[list[Array]], list[Array]]
"""Runs the body once: its inputs in order, its outputs in order."""


@register
@dataclass(frozen=True)
class Scan(Op):
    """The body runs for each step of the sequences. Its state goes from one step to the next.

    Inputs: the sequences (1, steps, ...), ``sequences`` of them, then the states at the beginning (1, ...). The body
    takes one step of each sequence, without the axis of steps, then the states; it gives the new states, then what
    else it makes. Outputs: the states at the end, then for each index in ``emitted`` a sequence of that output of the
    body. ``backward``: it begins with the last step; sequences keep their order. State has one type at both ends, and
    the body's values have the types, quantization included, of those outside. The body has no variables.

    Named after jax.lax.scan and ONNX Scan, which mean the same. It is compiled to a loop in C; ``passes.unroll`` makes
    operators of it that other tools know.
    """

    name: ClassVar[str] = "scan"
    inputs: ClassVar[tuple[str, ...]] = ("*xs",)
    outputs: ClassVar[tuple[str, ...]] = ("*ys",)
    quant: ClassVar[Roles] = OWN

    body: Graph = dataclasses.field(default_factory=lambda: Graph("body"))
    sequences: int = 1
    emitted: tuple[int, ...] = ()
    backward: bool = False

    @property
    def state_count(self) -> int:
        """How many states there are."""
        return len(self.body.inputs) - self.sequences

    def steps(self, node: Node) -> int:
        """How often the body runs."""
        return node.operands[0].shape[TIME]

    def taken(self, node: Node) -> tuple[list[Value], list[Value]]:
        """The sequences, and the states at the beginning."""
        return node.operands[: self.sequences], node.operands[self.sequences :]

    def given(self, node: Node) -> tuple[list[Value], list[Value]]:
        """The states at the end, and the sequences that the body makes."""
        return node.outputs[: self.state_count], node.outputs[self.state_count :]

    def infer(self, node: Node) -> Sequence[Shape]:
        if self.sequences < 1 or len(node.operands) != len(self.body.inputs) or self.state_count < 0:
            raise ChipfitError("G003", f"scan: {len(node.operands)} inputs for a body of {len(self.body.inputs)}")
        if len(self.body.outputs) < self.state_count or not all(0 <= i < len(self.body.outputs) for i in self.emitted):
            raise ChipfitError("G003", f"scan: its body has {len(self.body.outputs)} outputs, too few")
        sequences, states = self.taken(node)
        steps = {x.shape[TIME] for x in sequences if len(x.shape) > 1 and x.shape[0] == 1}
        if len(steps) != 1 or any(len(x.shape) < 2 or x.shape[0] != 1 for x in sequences):
            shapes = ", ".join(str(x.type) for x in sequences)
            raise ChipfitError(
                "G003", f"scan: sequences have the shape [1, steps, ...] with as many steps, not {shapes}"
            )
        for x, inner in zip((*sequences, *states), self.body.inputs, strict=True):
            shape = x.shape if x in states else (x.shape[0], *x.shape[TIME + 1 :])
            if inner.shape != shape:
                raise ChipfitError(
                    "G003", f"scan: '{x.name}' ({x.type}) is no '{inner.name}' ({inner.type}) of its body"
                )
        for i, inner in enumerate(self.body.inputs[self.sequences :]):
            if inner.shape != self.body.outputs[i].shape:
                raise ChipfitError("G003", f"scan: state {inner.type} becomes {self.body.outputs[i].type}")
        made = [self.body.outputs[i].shape for i in self.emitted]
        if any(not shape for shape in made):
            raise ChipfitError("G003", "scan: what its body gives has no axis of batches")
        ends = [v.shape for v in self.body.outputs[: self.state_count]]
        return [*ends, *((shape[0], *steps, *shape[1:]) for shape in made)]

    def check(self, node: Node) -> None:
        count = len(self.infer(node))
        if count != len(node.outputs):
            raise ChipfitError("G003", f"scan: {len(node.outputs)} outputs, its body gives {count}")
        if self.body.variables:
            raise ChipfitError("O002", f"scan '{node.name}': its body has variables")
        self.body.verify()
        sequences, states = self.taken(node)
        ends, made = self.given(node)
        outputs = self.body.outputs
        pairs = [*zip((*sequences, *states), self.body.inputs, strict=True)]
        pairs += [*zip(ends, outputs[: self.state_count], strict=True), *zip(states, ends, strict=True)]
        pairs += [(v, outputs[i]) for v, i in zip(made, self.emitted, strict=True)]
        for outer, inner in pairs:
            if (outer.dtype, outer.type.quant) != (inner.dtype, inner.type.quant):
                raise ChipfitError("O002", f"scan '{node.name}': '{outer.name}' is {outer.type}, inside {inner.type}")

    def evaluate(self, node: Node, *x: Array) -> tuple[Array, ...]:
        def body(inputs: list[Array]) -> list[Array]:
            values = dict(zip(self.body.inputs, inputs, strict=True))
            for inner in self.body.nodes:
                operands = [v.array if v.is_const else values[v] for v in inner.operands]
                values.update(zip(inner.outputs, op_of(inner).evaluate(inner, *operands), strict=True))
            return [v.array if v.is_const else values[v] for v in self.body.outputs]

        return tuple(self.scan(x, body, TIME))

    def scan(self, operands: Sequence[Array], body: Body, axis: int) -> list[Array]:
        """The node's outputs, given how its body runs. ``axis``: that of the arrays which counts the steps."""
        sequences, states = operands[: self.sequences], list(operands[self.sequences :])
        steps = sequences[0].shape[axis]
        made: dict[int, list[Array]] = {i: [] for i in self.emitted}
        for step in range(steps - 1, -1, -1) if self.backward else range(steps):
            results = body([*(x.take(step, axis) for x in sequences), *states])
            states = results[: self.state_count]
            for index, rows in made.items():
                rows.append(results[index])
        order = -1 if self.backward else 1
        return [*states, *(np.stack(made[i][::order], axis) for i in self.emitted)]

    def macs(self, node: Node) -> int:
        return self.steps(node) * sum(op_of(inner).macs(inner) for inner in self.body.nodes)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for dtype, backward in ((DType.INT8, False), (DType.INT8, True), (DType.INT16, False), (DType.FLOAT32, False)):
            for steps, width, units in ((1, 3, 2), (5, 4, 7)):
                yield _sample(rng, dtype, steps, width, units, backward)


def _sample(rng: np.random.Generator, dtype: DType, steps: int, width: int, units: int, backward: bool) -> Node:
    """A layer whose state is added to what a dense layer makes of a step; both are what it gives."""

    def typed(scale: float, *shape: int) -> TensorType:
        zero = 0 if dtype is DType.INT16 else int(rng.integers(-9, 9))
        return TensorType(shape, dtype, None if dtype.is_float else Quant.per_tensor(scale, zero))

    def weights(*shape: int) -> Value:
        if dtype.is_float:
            return Value("w", TensorType(shape, dtype), rng.normal(size=shape).astype(np.float32))
        elements = rng.integers(-90, 90, shape).astype(np.int8)
        return Value("w", TensorType(shape, DType.INT8, Quant.per_tensor(0.01)), elements)

    x, state, new = typed(0.05, 1, steps, width), typed(0.04, 1, units), "new"
    part, old = Value("part", TensorType((1, width), dtype, x.quant)), Value("old", state)
    w = weights(units, width)
    dense = Value("dense", typed(0.03, 1, units))
    result = Value(new, state)
    nodes = [
        Node(REGISTRY["fully_connected"](), [part, w, None], [dense]),
        Node(REGISTRY["add"](), [old, dense], [result]),
    ]
    body = Graph("body", [part, old], [result, dense], nodes)
    op = Scan(body, 1, (0, 1), backward)
    taken: list[Value | None] = [Value("x", x), Value("state", state)]
    sequence = TensorType((1, steps, units), dtype, state.quant)
    made = TensorType((1, steps, units), dtype, dense.type.quant)
    return Node(op, taken, [Value("end", state), Value("ys", sequence), Value("dense_ys", made)])
