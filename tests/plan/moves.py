"""Graphs of operators that move bytes, and a machine that runs them on one memory with views, call by call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, cast

import numpy as np

from chipfit.graph import Array, Graph, Node, OpBase, Shape, Value
from chipfit.graph.text import parse_graph
from chipfit.ops import REGISTRY, Call, Op, Port, State, op_of
from chipfit.ops._copies import only_copies, port_value
from chipfit.plan.views import View, calls_to_make, location, nodes_without_work, storage_bytes


@dataclass(frozen=True)
class Mix(Op):
    """Every element of the output depends on all elements of all inputs. No kernel: it is no copy."""

    name: ClassVar[str] = "mix"
    inputs: ClassVar[tuple[str, ...]] = ("*xs",)

    shape: Shape = ()

    def infer(self, node: Node) -> Sequence[Shape]:
        return [self.shape]

    def eval_int(self, node: Node, *x: Array) -> Array:
        elements = np.concatenate([v.reshape(-1).astype(np.int64) for v in x])
        total = int((elements * (2 * np.arange(elements.size) + 3)).sum())
        return ((total + 5 * np.arange(node["y"].type.size)) % 251 - 125).reshape(self.shape).astype(np.int8)


def resolve(name: str) -> type[OpBase]:
    return Mix if name == "mix" else REGISTRY[name]


def graph_of_text(text: str) -> Graph:
    """The graph of some lines; the first line is added."""
    return parse_graph('graph "moves"\n' + "\n".join(line.strip() for line in text.strip().splitlines()), resolve)


class Machine:
    """One memory: every root and every variable's storage somewhere else, filled with garbage in between."""

    def __init__(self, graph: Graph, views: Mapping[Value, View], order: Sequence[Node]) -> None:
        self.graph, self.views = graph, views
        idle = nodes_without_work(graph, views)
        self.order = [node for node in order if node not in idle]
        self.base: dict[Value | str, int] = {}
        end = 0
        roots: dict[Value | str, int] = {v: v.type.nbytes for v in graph.values() if v not in views and not v.is_const}
        for root, nbytes in {**roots, **storage_bytes(graph, views)}.items():
            self.base[root] = end
            end += nbytes
        self.memory = np.zeros(end, np.uint8)
        self.reset()

    def reset(self) -> None:
        """What the generated reset does: initial elements at the beginning of the storage."""
        for name, variable in self.graph.variables.items():
            self._put(self.base[name], variable.initial)

    def spoil(self, rng: np.random.Generator) -> None:
        """Garbage everywhere but in the state."""
        state = {name: self.memory[self._state(name)].copy() for name in self.graph.variables}
        self.memory[:] = rng.integers(0, 256, self.memory.size)
        for name, data in state.items():
            self.memory[self._state(name)] = data

    def give(self, inputs: Sequence[Array]) -> None:
        for value, array in zip(self.graph.inputs, inputs, strict=True):
            self._put(self._address(value), array)

    def run(self) -> None:
        for node in self.order:
            if only_copies(node):
                for call in calls_to_make(node, self.views):
                    self._copy(node, call)
            else:
                results = op_of(node).evaluate(node, *(self.read(v) for v in node.operands))
                for value, array in zip(node.outputs, results, strict=True):
                    self._put(self._address(value), array)

    def read(self, value: Value) -> Array:
        if value.is_const:
            return value.array
        at = self._address(value)
        return self.memory[at : at + value.type.nbytes].copy().view(value.dtype.numpy).reshape(value.shape)

    def _state(self, name: str) -> slice:
        return slice(self.base[name], self.base[name] + self.graph.variables[name].type.nbytes)

    def _address(self, value: Value) -> int:
        view = location(self.views, value)
        return self.base[view.root] + view.offset

    def _put(self, at: int, array: Array) -> None:
        data = np.frombuffer(array.tobytes(), np.uint8)
        self.memory[at : at + data.size] = data

    def _copy(self, node: Node, call: Call) -> None:
        """The copying kernels, run by run of bytes."""
        p = cast("dict[str, Any]", dict(call.params))
        source, at = self._source(node, call)
        target = cast("Port | State", call.args[1])
        to = self.base[target.variable] if isinstance(target, State) else self._target(node, target)
        if "rows" in p:
            pairs = [(k * p["x_stride"], k * p["y_stride"]) for k in range(p["rows"])]
        elif "size" in p:
            steps = product(*(range(size) for size in p["size"]))
            starts = (sum(i * s for i, s in zip(index, p["stride"], strict=True)) for index in steps)
            pairs = [(start, k * p["bytes"]) for k, start in enumerate(starts)]
        else:
            pairs = [(0, 0)]
        for x, y in pairs:
            self.memory[to + y : to + y + p["bytes"]] = source[at + x : at + x + p["bytes"]].copy()

    def _source(self, node: Node, call: Call) -> tuple[Array, int]:
        arg = call.args[0]
        if isinstance(arg, State):
            return self.memory, self.base[arg.variable]
        value = port_value(node, cast(Port, arg))
        assert value is not None
        if value.is_const:
            return np.frombuffer(value.array.tobytes(), np.uint8), cast(Port, arg).offset
        return self.memory, self._address(value) + cast(Port, arg).offset

    def _target(self, node: Node, port: Port) -> int:
        value = port_value(node, port)
        assert value is not None
        return self._address(value) + port.offset
