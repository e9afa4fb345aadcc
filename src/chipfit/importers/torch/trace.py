"""An exported program becomes a graph: its calls of ATen operators are followed in order."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._channels_first import ChannelsFirst
from chipfit.importers.torch.call import Absent, CallImporter, shape_of
from chipfit.importers.torch.framework import operator_name
from chipfit.importers.torch.operators import ADVICE, DEFAULT_ADVICE, OPERATORS, SHAPE_ONLY, WITHOUT_EFFECT
from chipfit.ops.reshape import Reshape
from chipfit.ops.transpose import Transpose

_MOST_BYTES = 1 << 30
_STATE = "state between runs is not imported: take it as an input and return what it becomes"


class ProgramImporter:
    """Imports a program call by call; what cannot be imported is collected by :attr:`builder`."""

    def __init__(self, torch: Any, name: str) -> None:
        self.torch = torch
        self.builder = GraphBuilder(name)
        self.channels = ChannelsFirst(self.builder)
        self._values: dict[Any, Any] = {}
        self._names: dict[int, str] = {}
        self._constants: dict[int, Value] = {}
        self._calls: Counter[str] = Counter()

    def run(self, program: Any, outputs: Sequence[str]) -> Graph:
        """The graph, verified. ``outputs``: the names of those that are tensors.

        Raises ChipfitError O001 or O002 with all calls that cannot be imported.
        """
        nodes = list(program.graph.nodes)
        specs = program.graph_signature.input_specs
        for spec, node in zip(specs, (n for n in nodes if n.op == "placeholder"), strict=True):
            self._values[node] = self._input(program, spec, node)
        calls = [n for n in nodes if n.op == "call_function"]
        self._calls = Counter(path for n in calls if n.target is not operator.getitem and (path := _path(n)))
        for node in calls:
            self._values[node] = self._called(node)
        found = self._outputs(program, nodes[-1].args[0])
        return self.builder.finish(list(zip(outputs, found, strict=True)), "operators")

    # ------------------------------------------------------------------------------------------ ends

    def _input(self, program: Any, spec: Any, node: Any) -> Any:
        """An input of the graph, or the tensor of a parameter or buffer."""
        kind, target = spec.kind.name, spec.target
        if kind == "USER_INPUT":
            value = node.meta.get("val")
            if not isinstance(value, self.torch.Tensor):
                return getattr(spec.arg, "value", value)
            try:
                return self.builder.input(node.name, shape_of(value), self.kind(value))
            except ChipfitError as error:
                self.builder.problem(f"input '{node.name}'", error)
                return self.builder.placeholder(node.name, shape_of(value))
        if kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            tensor = program.state_dict[target] if target in program.state_dict else program.constants[target]
            self._names[id(tensor)] = target
            return tensor
        self.builder.problem(f"'{target}'", ChipfitError("O001", f"an argument of the kind {kind}"))
        return Absent(f"'{target}'")

    def _outputs(self, program: Any, results: Sequence[Any]) -> list[Value]:
        found: list[Value] = []
        for spec, result in zip(program.graph_signature.output_specs, results, strict=True):
            if spec.kind.name != "USER_OUTPUT":
                error = ChipfitError("O002", f"the model changes it when it runs ({spec.kind.name.lower()})", _STATE)
                self.builder.problem(f"'{spec.target}'", error)
            elif isinstance(result, self.torch.fx.Node):
                found.append(self._output(self._values[result]))
        return found

    def _output(self, item: Any) -> Value:
        if isinstance(item, Absent):
            if not item.is_reported:
                self.builder.problem("output", ChipfitError("O002", f"{item.what} cannot be compiled"))
            return self.builder.placeholder("output", (1,))
        return item if isinstance(item, Value) else self.constant(item)

    # ------------------------------------------------------------------------------------------ constants

    def kind(self, tensor: Any) -> DType:
        """The element type here: all floats are float32, integers of 64 bits have 32."""
        name = str(tensor.dtype).removeprefix("torch.")
        if tensor.dtype.is_floating_point:
            return DType.FLOAT32
        try:
            return DType.INT32 if name == "int64" else DType(name)
        except ValueError:
            raise ChipfitError("O002", f"elements of the type {name} cannot be compiled") from None

    def constant(self, tensor: Any) -> Value:
        """The constant that a tensor is: one, however often it is read."""
        key = id(tensor)
        if key not in self._constants:
            kind = self.kind(tensor)
            # what torch keeps in other types (bfloat16 ...) numpy may not know
            array = tensor.detach().to("cpu", self.torch.float64 if kind is DType.FLOAT32 else None).numpy()
            if kind is DType.INT32:
                array = np.clip(array, *kind.range)
            self._constants[key] = self.builder.constant(self._names.get(key, "constant"), array.astype(kind.numpy))
        return self._constants[key]

    # ------------------------------------------------------------------------------------------ calls

    def _called(self, node: Any) -> Any:
        """What a call gives; placeholders where it cannot be imported, which is a problem."""
        if node.target is operator.getitem:
            return self._values[node.args[0]][node.args[1]]
        schema = getattr(node.target, "_schema", None)
        name, result = operator_name(node.target), node.meta.get("val")
        given = [self._values.get(n) for n in node.all_input_nodes]
        # sizes that depend on numbers, and what torch asserts of them: the call that has such an output is a problem
        is_known = any(isinstance(v, Absent) and v.is_reported for v in given)
        if name in WITHOUT_EFFECT or is_known or not isinstance(result, (self.torch.Tensor, tuple, list)):
            return self._placeholders(node, result)
        try:
            args = self._arguments(node, schema, name)
            if not any(isinstance(v, Value) for v in _flat(args.values())) or name in SHAPE_ONLY:
                return self._folded(node, args, name)
            return self._imported(node, args, name)
        except ChipfitError as error:
            inputs = ", ".join(str(v.type) for v in given if isinstance(v, Value))
            where = f"{_written(node.target)} '{_path(node) or node.name}' ({inputs or 'no tensors'})"
            self.builder.problem(where, error, DEFAULT_ADVICE)
            return self._placeholders(node, result)

    def _placeholders(self, node: Any, result: Any) -> Any:
        if isinstance(result, (tuple, list)):
            return [self._placeholders(node, item) for item in result]
        if not isinstance(result, self.torch.Tensor):
            return Absent(f"what {_written(node.target)} gives", is_reported=True)
        shape = tuple(size if isinstance(size, int) else 1 for size in result.shape)
        is_bool = result.dtype == self.torch.bool
        return self.builder.placeholder(node.name, shape, DType.BOOL if is_bool else DType.FLOAT32)

    def _arguments(self, node: Any, schema: Any, name: str) -> dict[str, Any]:
        """Arguments by name. Raises ChipfitError O001 or O002 where one is not there."""
        if schema is None:
            raise ChipfitError("O001", "an operator that chipfit does not know", ADVICE.get(name, ""))
        args: dict[str, Any] = {}
        for i, argument in enumerate(schema.arguments):
            default = argument.default_value if argument.has_default_value() else None
            given = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name, default)
            args[argument.name] = self._resolved(given)
        return args

    def _resolved(self, item: Any) -> Any:
        if isinstance(item, (list, tuple)):
            return [self._resolved(part) for part in item]
        found = self._values[item] if isinstance(item, self.torch.fx.Node) else item
        if isinstance(found, Absent):
            raise ChipfitError("O002", f"it reads {found.what}, which cannot be compiled")
        return found

    def _imported(self, node: Any, args: dict[str, Any], name: str) -> Any:
        make = OPERATORS.get(name) if node.target.namespace == "aten" else None
        if make is None:
            raise ChipfitError("O001", "no operator that chipfit can compile", ADVICE.get(name, ""))
        path = _path(node)
        title = name.strip("_") if not path else path if self._calls[path] == 1 else f"{path}/{name.strip('_')}"
        base = self.builder.reserve(title)
        call = CallImporter(self, args, node, base)
        made = self._scalars(make(call), call)
        values = [v for v in (made if isinstance(made, list) else [made]) if isinstance(v, Value)]
        for value, result in zip(values, call.results, strict=False):
            if value.shape != shape_of(result):
                raise ChipfitError("O002", f"it would give {value.type} instead of the shape {list(shape_of(result))}")
        if len(values) == 1:
            self._named(values[0], base)
        return made

    def _scalars(self, made: Any, call: CallImporter) -> Any:
        """Single numbers in the shape that torch says: an operation with a constant gives them one axis."""
        if isinstance(made, Value) and made.type.size == 1 and not call.shape:
            return call.reshape(made, ())
        return made

    def _named(self, made: Value, base: str) -> None:
        """Give the call's name to what it computes; transpositions and reshapes around that are parts."""
        value, before = made, self.builder.producer(made)
        while before is not None and isinstance(before.op, (Transpose, Reshape)) and _is_part(before["x"], base):
            value = before["x"]
            before = self.builder.producer(value)
        if _is_part(value, base):
            self.builder.rename(value, base)

    def _folded(self, node: Any, args: dict[str, Any], name: str) -> Any:
        """What torch computes, of constants alone or of the shapes of what is not constant."""
        torch = self.torch
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise ChipfitError("O002", "it gives random numbers", "take them as an input of the model")
        results = node.meta.get("val")
        for result in results if isinstance(results, (tuple, list)) else [results]:
            if isinstance(result, torch.Tensor) and result.numel() * result.element_size() > _MOST_BYTES:
                raise ChipfitError("O002", f"its result {list(shape_of(result))} has more than 1 GiB")

        def real(item: Any) -> Any:
            if isinstance(item, list):
                return [real(part) for part in item]
            if isinstance(item, Value):
                return torch.zeros(item.shape, dtype=getattr(torch, item.dtype.value))
            return item.detach() if isinstance(item, torch.Tensor) else item

        positional = [a.name for a in node.target._schema.arguments if not a.kwarg_only]
        keywords = {k: real(v) for k, v in args.items() if k not in positional and v is not None and k != "device"}
        with torch.no_grad():
            made = node.target(*(real(args[k]) for k in positional), **keywords)
        sources = {self._names[id(t)] for t in _flat(args.values()) if id(t) in self._names}
        title = sources.pop() if len(sources) == 1 else f"{_path(node) or name}/constant"
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            self._names[id(tensor)] = title
        return made


def _path(node: Any) -> str:
    """The innermost module that makes a call, as in the state_dict; empty: the model itself."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _is_part(value: Value, base: str) -> bool:
    return value.name.startswith(f"{base}/")


def _written(target: Any) -> str:
    return str(target).removesuffix(".default")


def _flat(items: Any) -> list[Any]:
    """What lies in nested lists."""
    found: list[Any] = []
    for item in items:
        found += _flat(item) if isinstance(item, list) else [item]
    return found
