"""Values, nodes and graphs. A graph is a list of nodes in an order in which they can run."""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chipfit.errors import ChipfitError
from chipfit.graph.types import Array, DType, Quant, Shape, TensorType


@dataclass(frozen=True)
class OpBase(ABC):
    """What the graph needs to know of an operator: its name, its ports, and (as dataclass fields) its attributes.

    ``inputs`` and ``outputs`` name the ports in order. A port that ends in ``?`` may be absent; a last port that
    begins with ``*`` stands for any number of tensors.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    outputs: ClassVar[tuple[str, ...]] = ("y",)

    def attributes(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def infer(self, node: Node) -> Sequence[Shape]:
        """Shapes of the outputs, from the inputs. Raises ChipfitError G003 where the inputs do not fit."""
        raise NotImplementedError

    def check(self, node: Node) -> None:  # noqa: B027 - most operators have nothing to add
        """Raise ChipfitError O002 where chipfit has no definition for these dtypes or parameters."""


@dataclass(eq=False)
class Value:
    """A tensor in a graph. ``data`` holds the elements of a constant, else None."""

    name: str
    type: TensorType
    data: Array | None = None

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def q(self) -> Quant:
        return self.type.q

    @property
    def is_const(self) -> bool:
        return self.data is not None

    @property
    def array(self) -> Array:
        """The elements of a constant."""
        if self.data is None:
            raise ChipfitError("G001", f"tensor '{self.name}' is not a constant")
        return self.data

    def __repr__(self) -> str:
        return f"<{'const ' if self.is_const else ''}{self.name}: {self.type}>"


@dataclass(eq=False)
class Variable:
    """State that survives a run: its type and the elements it starts from."""

    name: str
    type: TensorType
    initial: Array


@dataclass(eq=False)
class Node:
    """One operator applied to values. ``node["x"]`` is the value at port ``x``."""

    op: OpBase
    inputs: list[Value | None]
    outputs: list[Value]

    @property
    def name(self) -> str:
        return self.outputs[0].name if self.outputs else f"{self.op.name}:{self.op.attributes().get('variable', '')}"

    def __getitem__(self, port: str) -> Value:
        value = self.get(port)
        if value is None:
            raise ChipfitError("G001", f"{self.op.name} '{self.name}' has no {port}")
        return value

    def get(self, port: str) -> Value | None:
        """The value at a port, None where an optional input is absent."""
        for names, values in ((self.op.inputs, self.inputs), (self.op.outputs, self.outputs)):
            for i, name in enumerate(names):
                if name.rstrip("?") == port:
                    return values[i] if i < len(values) else None
        raise KeyError(f"{self.op.name} has no port {port}")

    @property
    def operands(self) -> list[Value]:
        """Inputs that are there."""
        return [v for v in self.inputs if v is not None]

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.name}>"


def take_name(base: str, taken: set[str]) -> str:
    """``base``, or with the first number behind it that makes a name of its own, which is ``taken`` then."""
    name, n = base, 1
    while name in taken:
        name, n = f"{base}_{n}", n + 1
    taken.add(name)
    return name


@dataclass(eq=False)
class Graph:
    name: str
    inputs: list[Value] = field(default_factory=list[Value])
    outputs: list[Value] = field(default_factory=list[Value])
    nodes: list[Node] = field(default_factory=list[Node])
    variables: dict[str, Variable] = field(default_factory=dict[str, Variable])

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.nodes)} nodes>"

    def values(self) -> Iterator[Value]:
        """Every value once: inputs, then each node's constants and outputs in order."""
        seen: set[int] = set()
        for value in self._walk():
            if id(value) not in seen:
                seen.add(id(value))
                yield value

    def _walk(self) -> Iterator[Value]:
        yield from self.inputs
        for node in self.nodes:
            yield from node.operands
            yield from node.outputs
        yield from self.outputs

    def copy(self) -> Graph:
        """Values and nodes are new; the elements of constants are shared, and never written; so are variables."""
        values = {v: Value(v.name, v.type, v.data) for v in self.values()}
        nodes = [
            Node(n.op, [None if v is None else values[v] for v in n.inputs], [values[v] for v in n.outputs])
            for n in self.nodes
        ]
        inputs, outputs = [values[v] for v in self.inputs], [values[v] for v in self.outputs]
        return Graph(self.name, inputs, outputs, nodes, dict(self.variables))

    def producers(self) -> dict[Value, Node]:
        return {value: node for node in self.nodes for value in node.outputs}

    def consumers(self) -> dict[Value, list[Node]]:
        table: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.operands):
                table.setdefault(value, []).append(node)
        return table

    def replace(self, old: Value, new: Value) -> None:
        """Let every reader of ``old`` (nodes and graph outputs) read ``new``."""
        for node in self.nodes:
            node.inputs = [new if v is old else v for v in node.inputs]
        self.outputs = [new if v is old else v for v in self.outputs]

    def unique_name(self, base: str) -> str:
        return take_name(base, {v.name for v in self.values()})

    def verify(self) -> None:
        """Raise ChipfitError G001 or G003 unless the graph keeps every rule.

        Names are unique; every operand is an input, a constant or the output of an earlier node; every value is
        produced once; ports are filled as the operator says; constants have the data their type says; shapes are
        what the operators infer; variables exist and have the type of what is read or written.
        """
        self._verify_names()
        known = set(self.inputs)
        for node in self.nodes:
            self.verify_ports(node)
            for value in node.operands:
                if value not in known and not value.is_const:
                    raise ChipfitError("G001", f"{node} reads '{value.name}' before it is produced")
            for value in node.outputs:
                if value in known or value.is_const:
                    raise ChipfitError("G001", f"'{value.name}' is produced twice")
                known.add(value)
            self._verify_variable(node)
            node.op.check(node)
            _verify_shapes(node)
        for value in self.outputs:
            if value not in known and not value.is_const:
                raise ChipfitError("G001", f"graph output '{value.name}' is never produced")

    def _verify_names(self) -> None:
        names: set[str] = set()
        for value in self.values():
            if value.name in names:
                raise ChipfitError("G001", f"two tensors are named '{value.name}'")
            names.add(value.name)
            if value.data is not None:
                _verify_data(value.name, value.type, value.data)
        for variable in self.variables.values():
            _verify_data(variable.name, variable.type, variable.initial)

    def _verify_variable(self, node: Node) -> None:
        name = node.op.attributes().get("variable")
        if name is None:
            return
        if name not in self.variables:
            raise ChipfitError("G001", f"{node} names the variable '{name}', which does not exist")
        type_ = self.variables[name].type
        for value in (*node.operands, *node.outputs):
            if (value.shape, value.dtype) != (type_.shape, type_.dtype):
                raise ChipfitError("G001", f"{node}: '{value.name}' is {value.type}, the variable is {type_}")

    @staticmethod
    def verify_ports(node: Node) -> None:
        for kind, ports, values in (
            ("input", node.op.inputs, node.inputs),
            ("output", node.op.outputs, node.outputs),
        ):
            variadic = bool(ports) and ports[-1].startswith("*")
            required = sum(1 for p in ports if not p.endswith("?") and not p.startswith("*"))
            if len(values) < required or (not variadic and len(values) > len(ports)):
                raise ChipfitError("G001", f"{node} has {len(values)} {kind}s, its ports are {', '.join(ports)}")
            for port, value in zip(ports, values, strict=False):
                if value is None and not port.endswith("?"):
                    raise ChipfitError("G001", f"{node} lacks its {kind} {port}")


def _verify_data(name: str, type_: TensorType, data: Array) -> None:
    if tuple(data.shape) != type_.shape or data.dtype != type_.dtype.numpy:
        raise ChipfitError("G001", f"'{name}' is {type_} but its data is {data.dtype}{list(data.shape)}")


def _verify_shapes(node: Node) -> None:
    shapes = node.op.infer(node)
    if len(shapes) != len(node.outputs):
        raise ChipfitError("G001", f"{node} has {len(node.outputs)} outputs, its operator makes {len(shapes)}")
    for value, shape in zip(node.outputs, shapes, strict=True):
        if value.shape != tuple(shape):
            raise ChipfitError(
                "G003",
                f"{node.op.name} '{node.name}': output has shape {list(value.shape)}, "
                f"but its inputs {', '.join(str(v.type) for v in node.operands)} give {list(shape)}",
            )
