"""One subgraph of the file becomes a graph: values, nodes, and what is known of small constants on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Shape, TensorType, Value
from chipfit.importers._problems import Problem
from chipfit.importers.tflite.model import OperatorRecord, SubgraphRecord, TensorRecord, damaged
from chipfit.importers.tflite.operator import OperatorImporter
from chipfit.importers.tflite.operators import CUSTOM, OPERATORS
from chipfit.importers.tflite.problems import unknown_operator
from chipfit.importers.tflite.variables import Variables
from chipfit.ops import Op

_STATE_HINT = "export the model with constant initial states"
_MOST_NESTED = 8
_MOST_FOLDED = 4096
"""Elements of a computed parameter (a shape, an axis ...) at most."""


class SubgraphImporter:
    """Imports a subgraph operator by operator; what cannot be imported is collected in :attr:`problems`."""

    def __init__(
        self, record: SubgraphRecord, name: str, variables: Variables, ports: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        """``ports``: better names for some inputs and outputs than those of their tensors."""
        self.variables = variables
        self.problems: list[Problem] = []
        self.handles: dict[int, str] = {}
        """Tensor that holds a handle -> the variable's name."""
        self.known: dict[Value, Array] = {}
        """Values that are computed from constants: parameters may come from them."""
        self._record = record
        self._values: dict[int, Value] = {}
        self._names: dict[str, int] = {}
        self._nested = False
        self._depth = 0
        self._graph = Graph(name)
        # before all others: they keep these names where another tensor has the same
        named = dict.fromkeys(i for i in (*record.inputs, *record.outputs) if i in ports)
        self._port_names = {i: self.unique_name(ports[i]) for i in named}

    def run(self) -> Graph:
        """The graph, not verified. Raises ChipfitError for damaged files; other problems are collected."""
        if len(set(self._record.inputs)) != len(self._record.inputs):
            raise damaged("a tensor is an input of the model twice")
        self._graph.inputs = [v for i in self._record.inputs if (v := self._port(i, "input")) is not None]
        for record in self._record.operators:
            self._import(record)
        self._graph.outputs = [v for i in self._record.outputs if (v := self._port(i, "output")) is not None]
        return self._graph

    def initialize_variables(self, index: int) -> None:
        """Run the subgraph of a CALL_ONCE: it assigns variables from constants."""
        if self._nested:
            raise ChipfitError("O002", "CALL_ONCE inside of a subgraph that is itself called once")
        if not self.variables.first_call(index):
            return
        inner = SubgraphImporter(self.variables.file.subgraph(index), f"{self._graph.name}/once", self.variables)
        inner._nested = True
        graph = inner.run()
        self.problems += inner.problems
        for node in graph.nodes:
            if node.op.name != "assign_variable":
                continue
            variable, value = node.op.attributes()["variable"], node["x"]
            data = value.data if value.is_const else inner.known.get(value)
            if data is None:
                self.problems.append(
                    Problem(
                        "O002",
                        f"ASSIGN_VARIABLE of '{variable}': its first elements '{value.name}' are computed",
                        _STATE_HINT,
                    )
                )
            else:
                self.variables.initialize(variable, data)

    def inside(self, record: SubgraphRecord, name: str) -> Graph:
        """The graph of a subgraph inside of an operator of this one. Raises ChipfitError O002 if it has problems."""
        inner = SubgraphImporter(record, name, self.variables)
        inner._nested, inner._depth = True, self._depth + 1
        if inner._depth > _MOST_NESTED:
            raise damaged(f"{_MOST_NESTED} loops lie within each other, or one in itself")
        graph = inner.run()
        if inner.problems:
            first, *_ = inner.problems
            raise ChipfitError(first.code, f"in its body: {first.text}", first.hint)
        return graph

    # ------------------------------------------------------------------------------------------ values

    @property
    def tensor_count(self) -> int:
        return len(self._record.tensors)

    def tensor(self, index: int) -> TensorRecord:
        return self._record.tensors[index]

    def value(self, index: int) -> Value:
        """The value of a tensor. Raises ChipfitError O002 where chipfit cannot hold it."""
        if index not in self._values:
            tensor = self.tensor(index)
            if tensor.problem:
                raise ChipfitError("O002", f"tensor {tensor} {tensor.problem}", _tensor_hint(tensor))
            data = None if index in self._record.inputs else tensor.data
            type_ = TensorType(tensor.shape, tensor.dtype, tensor.quant)
            name = self._port_names.get(index) or self.unique_name(tensor.name)
            self._values[index] = Value(name, type_, data)
        return self._values[index]

    def computed(self, index: int) -> Value:
        """The value of a tensor that the model is given or computes: it has elements."""
        value = self.value(index)
        if value.type.size == 0:
            raise ChipfitError("O002", f"tensor {self.tensor(index)} has no elements", "remove it from the model")
        return value

    def unique_name(self, base: str) -> str:
        """``base``, or with a number behind it where the name is taken."""
        name = base
        while count := self._names.get(name, 0):
            self._names[name] = count + 1
            name = f"{name}_{count}"
        self._names[name] = 1
        return name

    def _port(self, index: int, what: str) -> Value | None:
        """An input or output of the graph; None where it cannot be, which is a problem."""
        tensor = self.tensor(index)
        try:
            if what == "input" and tensor.data is not None and tensor.data.size:
                raise ChipfitError("O002", f"{tensor} is a constant", "remove it from the model's inputs")
            return self.computed(index)
        except ChipfitError as error:
            self.problems.append(Problem(error.code, f"model {what}: {error.message}", error.hint))
            return None

    # ------------------------------------------------------------------------------------------ operators

    def _import(self, record: OperatorRecord) -> None:
        function = CUSTOM.get(record.custom) if record.builtin == "CUSTOM" else OPERATORS.get(record.builtin)
        if function is None:
            self.problems.append(unknown_operator(record, self._record.tensors))
            return
        try:
            function(OperatorImporter(record, self))
        except ChipfitError as error:
            if not error.code.startswith("O"):
                raise
            where = f"{record.title} version {record.version} (operator {record.index})"
            self.problems.append(Problem(error.code, f"{where}: {error.message}", error.hint))

    def append(self, op: Op, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> None:
        """Append a node. Raises ChipfitError O002 or G003 where the operator doesn't take its operands."""
        node = Node(op, list(inputs), list(outputs))
        Graph.verify_ports(node)
        shapes = list(op.infer(node))
        op.check(node)
        self._graph.nodes.append(node)
        if _foldable(node, shapes):
            arrays = [v.data if v.is_const else self.known.get(v) for v in node.operands]
            if node.op.name == "shape":
                arrays = []
            if all(a is not None for a in arrays):
                results = op.evaluate(node, *(a for a in arrays if a is not None))
                self.known.update(zip(node.outputs, results, strict=True))


def _foldable(node: Node, shapes: Sequence[Shape]) -> bool:
    """Whether a node may compute a parameter: small integers that are no quantized numbers."""
    read = [] if node.op.name == "shape" else node.operands
    values = [*read, *node.outputs]
    declared = [v.shape for v in node.outputs] == [tuple(s) for s in shapes]
    known_inputs = node.op.name == "shape" or bool(read)
    return (
        known_inputs
        and bool(node.outputs)
        and declared
        and all(v.type.quant is None and v.dtype.value.startswith("int") for v in values)
        and sum(v.type.size for v in values) <= _MOST_FOLDED
    )


def _tensor_hint(tensor: TensorRecord) -> str:
    if "shape" in tensor.problem:
        return "export the model with a static input shape (batch 1), so that all shapes are known"
    if "sparse" in tensor.problem:
        return "convert the model without sparse weights"
    if tensor.type in ("INT4", "INT2", "UINT4"):
        return "quantize the weights to int8"
    return "use int8 or float32 tensors"
