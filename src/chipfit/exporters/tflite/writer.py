"""A model under construction: tensors, buffers, operator codes, and the flatbuffer made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import flatbuffers
import numpy as np

from chipfit.exporters.tflite.states import states_of_layers
from chipfit.exporters.tflite.versions import least_version
from chipfit.graph import Array, DType, Graph, Quant, TensorType, Value, Variable, take_name

#: the generated schema is untyped: fields are set by the names of the schema
schema: Any = import_module("ai_edge_litert.schema_py_generated")

SCHEMA_VERSION = 3
BUFFER_ALIGNMENT = 16
ABSENT = -1


class _AlignedBuffer(schema.BufferT):
    """A buffer whose bytes are aligned as the schema's ``force_align`` asks; the generated packer does not do it."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - overrides the generated method
        if self.data is None:
            return super().Pack(builder)
        builder.Prep(BUFFER_ALIGNMENT, len(self.data))
        data = builder.CreateByteVector(self.data)
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class SubgraphWriter:
    """One subgraph: tensors are added when they are first named."""

    def __init__(self, model: ModelWriter, name: str) -> None:
        self._model = model
        self._index: dict[Value, int] = {}
        self._names: set[str] = set()
        self._types: list[TensorType | None] = []
        self.subgraph = schema.SubGraphT()
        self.subgraph.name = name
        self.subgraph.tensors = []
        self.subgraph.operators = []
        self.subgraph.inputs = []
        self.subgraph.outputs = []

    def reserve(self, names: Sequence[str]) -> None:
        """Keep names for tensors that are still to come."""
        self._names.update(names)

    def tensor(self, value: Value | None) -> int:
        """Index of a value, ABSENT for an optional input that is not there."""
        if value is None:
            return ABSENT
        if value not in self._index:
            self._index[value] = self._add(value.name, value.type, value.data)
        return self._index[value]

    def constant(self, name: str, data: Array, quant: Quant | None = None) -> int:
        """A new constant that is not in the graph (an axis, a shape, paddings ...)."""
        return self._add(self._unique(name), TensorType(tuple(data.shape), DType.of(data), quant), data)

    def activation(self, name: str, type_: TensorType) -> int:
        """A new tensor that is not in the graph."""
        return self._add(self._unique(name), type_, None)

    def variable(self, variable: Variable) -> int:
        """A new tensor that is itself a variable: it begins with zeros, or with the zero point of int8."""
        index = self._add(self._unique(variable.name), variable.type, None)
        self.subgraph.tensors[index].isVariable = True
        return index

    def resource(self, name: str) -> int:
        """A new tensor that holds the handle of a variable."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = self._unique(name), [], schema.TensorType.RESOURCE, 0
        return self._append(tensor, None)

    def emit(
        self,
        builtin: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str | None = None,
        fields: Mapping[str, Any] | None = None,
        intermediates: Sequence[int] = (),
    ) -> None:
        """Append an operator. ``options`` names the schema's table, ``fields`` fills it."""
        types = [[None if i == ABSENT else self._types[i] for i in ports] for ports in (inputs, outputs)]
        version = least_version(builtin, types[0], types[1], fields or {})
        operator = schema.OperatorT()
        operator.opcodeIndex = self._model.operator_code(builtin, version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        operator.intermediates = list(intermediates)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, options + "T")()
            for name, value in (fields or {}).items():
                setattr(operator.builtinOptions, name, value)
        self.subgraph.operators.append(operator)

    def _unique(self, base: str) -> str:
        return take_name(base, self._names)

    def _add(self, name: str, type_: TensorType, data: Array | None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name, list(type_.shape)
        tensor.type = getattr(schema.TensorType, type_.dtype.name)
        tensor.buffer = self._model.buffer(data)
        if type_.quant is not None:
            tensor.quantization = _quantization(type_.quant)
        return self._append(tensor, type_)

    def _append(self, tensor: Any, type_: TensorType | None) -> int:
        """``type_``: None for a handle."""
        self.subgraph.tensors.append(tensor)
        self._types.append(type_)
        return len(self.subgraph.tensors) - 1


class ModelWriter:
    """The whole model. Emitters use :attr:`main`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._codes: dict[tuple[str, int], int] = {}
        self._empty_buffer = _AlignedBuffer()
        self._model = schema.ModelT()
        self._model.version = SCHEMA_VERSION
        self._model.description = "chipfit"
        self._model.operatorCodes = []
        self._model.buffers = [self._empty_buffer]
        self._model.subgraphs = []
        self._handles: dict[str, int] = {}
        #: variables of recurrent layers, which are tensors: variable -> tensor; value at a layer's port -> variable
        self._states: dict[str, int] = {}
        self._state_of: dict[Value, str] = {}
        self.main = self._new_subgraph(graph.name)
        self.main.reserve([v.name for v in graph.values()])
        self.main.subgraph.inputs = [self.main.tensor(v) for v in graph.inputs]

    def declare_variables(self) -> None:
        """A handle for each variable, and the subgraph that gives them their first elements."""
        self._state_of = states_of_layers(self._graph)
        held = set(self._state_of.values())
        self._states = {name: self.main.variable(self._graph.variables[name]) for name in sorted(held)}
        variables = [variable for name, variable in self._graph.variables.items() if name not in held]
        if not variables:
            return
        setup = self._new_subgraph("initialize_variables")
        index = len(self._model.subgraphs) - 1
        self.main.emit("CALL_ONCE", [], [], "CallOnceOptions", {"initSubgraphIndex": index})
        for variable in variables:
            handle = _emit_handle(setup, variable)
            initial = setup.constant(f"{variable.name}/initial", variable.initial, variable.type.quant)
            setup.emit("ASSIGN_VARIABLE", [handle, initial], [], "AssignVariableOptions")
            self._handles[variable.name] = _emit_handle(self.main, variable)

    def add_subgraph(self, name: str, build: Callable[[], None]) -> int:
        """The index of a new subgraph. ``build`` fills it: meanwhile it is :attr:`main`."""
        before, self.main = self.main, self._new_subgraph(name)
        index = len(self._model.subgraphs) - 1
        build()
        self.main = before
        return index

    def handle(self, variable: str) -> int | None:
        """The main subgraph's tensor that holds the variable's handle; None: the variable is a tensor."""
        return self._handles.get(variable)

    def state(self, value: Value) -> int:
        """The variable tensor of a value that a recurrent layer takes."""
        return self._states[self._state_of[value]]

    def buffer(self, data: Array | None) -> int:
        """Index of a buffer with these elements; 0 is the empty one of all tensors without data."""
        if data is None:
            return 0
        buffer = _AlignedBuffer()
        buffer.data = np.ascontiguousarray(data, data.dtype.newbyteorder("<")).tobytes()
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def add_metadata(self, name: str, data: bytes) -> None:
        """Bytes that the file keeps under a name."""
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, self.buffer(np.frombuffer(data, np.uint8))
        self._model.metadata = [*(self._model.metadata or []), entry]

    def add_signature(self, key: str) -> None:
        """The names of inputs and outputs for callers that ask for them by name."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, 0
        signature.inputs = self._tensor_maps(self._graph.inputs)
        signature.outputs = self._tensor_maps(self._graph.outputs)
        self._model.signatureDefs = [signature]

    def _tensor_maps(self, values: Sequence[Value]) -> list[Any]:
        maps: list[Any] = []
        # a tensor may be an output twice, a name may not
        for value in dict.fromkeys(values):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = value.name, self.main.tensor(value)
            maps.append(entry)
        return maps

    def operator_code(self, builtin: str, version: int) -> int:
        key = (builtin, version)
        if key not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, builtin)
            code.deprecatedBuiltinCode = min(code.builtinCode, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
            code.version = version
            self._model.operatorCodes.append(code)
            self._codes[key] = len(self._model.operatorCodes) - 1
        return self._codes[key]

    def finish(self) -> bytes:
        self.main.subgraph.outputs = [self.main.tensor(v) for v in self._graph.outputs]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _new_subgraph(self, name: str) -> SubgraphWriter:
        writer = SubgraphWriter(self, name)
        self._model.subgraphs.append(writer.subgraph)
        return writer


def _emit_handle(subgraph: SubgraphWriter, variable: Variable) -> int:
    handle = subgraph.resource(f"{variable.name}/handle")
    fields = {"container": "", "sharedName": variable.name}
    subgraph.emit("VAR_HANDLE", [], [handle], "VarHandleOptions", fields)
    return handle


def _quantization(quant: Quant) -> Any:
    table = schema.QuantizationParametersT()
    table.scale = np.array(quant.scale, np.float32)
    table.zeroPoint = np.array(quant.zero_point, np.int64)
    table.quantizedDimension = quant.axis or 0
    return table
