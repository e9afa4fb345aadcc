"""An ONNX model becomes a graph: its nodes in order, each by its entry in the table of operators."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Shape, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._channels_first import ChannelsFirst
from chipfit.importers.onnx.constants import FOLDED, evaluate
from chipfit.importers.onnx.file import DOMAINS, array_of, opset_of
from chipfit.importers.onnx.gelu import Gelu, find_gelus
from chipfit.importers.onnx.integers import make_integer
from chipfit.importers.onnx.names import port_name, tensor_name
from chipfit.importers.onnx.node import NodeImporter
from chipfit.importers.onnx.operators import ADVICE, DEFAULT_ADVICE, OPERATORS, STORED
from chipfit.ops import dequantize

_FLOATS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")
_INTEGERS = {
    "INT8": DType.INT8,
    "UINT8": DType.UINT8,
    "INT16": DType.INT16,
    "UINT16": DType.UINT16,
    "INT32": DType.INT32,
    "INT64": DType.INT32,
    "BOOL": DType.BOOL,
}
_MOST_NESTED = 16
_MOST_ELEMENTS = 1 << 28
_FIXED = "give it fixed sizes: python -m onnxruntime.tools.make_dynamic_shape_fixed, or export it with them"


class ModelImporter:
    """Imports a model node by node; what cannot be imported is collected by :attr:`builder`.

    Tensors are arrays as long as they are constant, else values. Integers of 64 bits become int32. A tensor of
    quantized integers is an int8 value with its quantization, also where ONNX has uint8.
    """

    def __init__(self, onnx: Any, proto: Any, name: str, folder: Path | None) -> None:
        self.onnx, self.proto, self.folder = onnx, proto, folder
        self.opset = opset_of(proto)
        self.builder = GraphBuilder(name)
        self.channels = ChannelsFirst(self.builder)
        self._tensors: dict[str, Array | Value | None] = {}
        self._initializers: dict[str, Any] = {}
        self._constants: dict[int, tuple[Array, Value]] = {}
        self._real: dict[Value, Value] = {}
        self._gelus: dict[str, Gelu] = {}
        self._erfs: set[str] = set()
        self._shapes: dict[str, tuple[Shape, DType]] | None = None
        self._depth = 0

    def run(self) -> Graph:
        """The graph, verified. Raises ChipfitError O001 or O002 with all nodes that cannot be imported."""
        try:
            # weights that are not finite are seen by those that use them
            with np.errstate(all="ignore"):
                return self._graph(self.proto.graph)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # fields of a damaged file have values that no field of a valid one has
            reason = str(error).strip().split("\n")[0]
            raise ChipfitError("F003", f"the model contradicts itself: {reason}", "export the model again") from error

    def _graph(self, source: Any) -> Graph:
        self._read_initializers(source)
        self._read_inputs(source)
        self.follow(source)
        outputs = [(port_name(o.name), self._output(o.name)) for o in source.output]
        if not outputs:
            raise ChipfitError("F003", "the model has no outputs", "export the model again")
        known = [(name, value) for name, value in outputs if value is not None]
        graph = self.builder.finish(known, "nodes")
        make_integer(graph)
        return graph

    @contextmanager
    def building(self, builder: GraphBuilder) -> Generator[None]:
        """Nodes go into another graph meanwhile: one inside of this one."""
        before, self.builder = self.builder, builder
        try:
            yield
        finally:
            self.builder = before

    # ------------------------------------------------------------------------------------------ ports

    def _read_initializers(self, source: Any) -> None:
        if source.sparse_initializer:
            raise ChipfitError("O002", "the model has sparse constants", "export it with dense ones")
        self._initializers.update({tensor.name: tensor for tensor in source.initializer})

    def _read_inputs(self, source: Any) -> None:
        for info in source.input:
            if info.name in self._initializers:
                continue
            try:
                shape, dtype = self._port_type(info)
                self._tensors[info.name] = self.builder.input(port_name(info.name), shape, dtype)
            except ChipfitError as error:
                if error.code.startswith("F"):
                    raise
                self.builder.problem(f"input '{info.name}'", error)
                self._tensors[info.name] = None

    def _port_type(self, info: Any) -> tuple[Shape, DType]:
        """Shape and element type of an input, the batch as 1 where it is open."""
        if not info.type.HasField("tensor_type"):
            hint = "only tensors can be inputs of a compiled model"
            raise ChipfitError("O002", f"it is a {info.type.WhichOneof('value') or 'thing without a type'}", hint)
        tensor = info.type.tensor_type
        if not tensor.HasField("shape"):
            raise ChipfitError("O002", "its shape is not known", _FIXED)
        sizes = [int(d.dim_value) if d.HasField("dim_value") else -1 for d in tensor.shape.dim]
        if sizes and sizes[0] < 1:
            sizes[0] = 1
        if any(size < 1 for size in sizes):
            named = [d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in tensor.shape.dim]
            raise ChipfitError("O002", f"its shape is [{', '.join(map(str, named))}]: sizes are not known", _FIXED)
        if math.prod(sizes) > _MOST_ELEMENTS:
            raise ChipfitError("F005", f"input '{info.name}' has {math.prod(sizes):,} elements", "is it a model?")
        return tuple(sizes), self.dtype(tensor.elem_type)

    def dtype(self, code: int) -> DType:
        """The element type of a tensor: all floats are float32, integers of 64 bits int32."""
        names = {number: name for name, number in self.onnx.TensorProto.DataType.items()}
        name = names.get(code, f"of number {code}")
        if name in _FLOATS:
            return DType.FLOAT32
        if name not in _INTEGERS:
            raise ChipfitError("O002", f"elements of the type {name} cannot be compiled", "use float or int32")
        return _INTEGERS[name]

    def _output(self, name: str) -> Value | None:
        """What the model gives. Quantized integers are those that ONNX has: uint8 where it says so."""
        tensor = self._tensor(name)
        if not isinstance(tensor, Value):
            return None if tensor is None else self.constant(name, tensor)
        declared = next((o.type.tensor_type.elem_type for o in self.proto.graph.output if o.name == name), 0)
        if tensor.type.quant is None or tensor.dtype is not DType.INT8 or declared != self.onnx.TensorProto.UINT8:
            return tensor
        quant = dataclasses.replace(tensor.q, zero_point=tuple(z + 128 for z in tensor.q.zero_point))
        return self.builder.node("quantize", [tensor], f"{port_name(name)}/uint8", DType.UINT8, quant)

    # ------------------------------------------------------------------------------------------ nodes

    def follow(self, source: Any) -> None:
        """Import the nodes of a graph."""
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise ChipfitError("F003", f"{_MOST_NESTED} graphs lie within each other", "is the file damaged?")
        self._gelus.update(find_gelus(self.onnx, source, self._initializers))
        self._erfs = {found.inner for found in self._gelus.values()}
        for node in source.node:
            self._import(node)
        self._depth -= 1

    def _import(self, node: Any) -> None:
        operands: list[Array | Value | None] = []
        try:
            operands += [self._tensor(name) if name else None for name in node.input]
            unknown = any(name and operand is None for name, operand in zip(node.input, operands, strict=True))
            outputs = self._applied(node, operands, unknown)
        except ChipfitError as error:
            if error.code.startswith("F"):
                hint = error.hint or "export the model again"
                raise ChipfitError(error.code, f"{self._where(node, [])}: {error.message}", hint) from None
            self.builder.problem(self._where(node, operands), error, DEFAULT_ADVICE)
            outputs = [self._placeholder(name) for name in node.output]
        large = next((v for v in outputs if isinstance(v, Value) and v.type.size > _MOST_ELEMENTS), None)
        if large is not None:
            raise ChipfitError("F005", f"{self._where(node, [])} makes {large.type}", "is it a model for a chip?")
        self._tensors.update({name: v for name, v in zip(node.output, outputs, strict=False) if name})

    def _applied(
        self, node: Any, operands: Sequence[Array | Value | None], unknown: bool
    ) -> Sequence[Array | Value | None]:
        """The outputs of a node; None for those that are not known, since an input of it is not."""
        known = node.domain in DOMAINS
        if known and node.op_type == "If":
            return self._branch(node, operands[0] if operands else None)
        if node.output and node.output[0] in self._gelus:
            return self._gelu(self._gelus[node.output[0]], node)
        if node.output and node.output[0] in self._erfs:
            return [None]
        make = OPERATORS.get(node.op_type) if known else None
        if make is None and not (known and node.op_type in FOLDED):
            where = f" of the domain '{node.domain}'" if not known else ""
            hint = ADVICE.get(node.op_type, DEFAULT_ADVICE)
            raise ChipfitError("O001", f"no operator{where} that chipfit can compile", hint)
        if unknown:
            return [None] * len(node.output)
        if node.op_type in FOLDED:
            arrays = self._arrays(operands)
            if arrays is not None:
                return evaluate(self.onnx, node, arrays, self.opset)
        if make is None:
            hint = ADVICE.get(node.op_type, "let it depend on constants and shapes alone")
            raise ChipfitError("O001", "no operator that chipfit can compile, unless its inputs are constant", hint)
        base = self.builder.reserve(self.output_name(node, 0))
        importer = NodeImporter(self, node, operands, base)
        stored = next((v for v in operands if isinstance(v, Value) and v.type.quant is not None), None)
        made = make(importer)
        outputs = made if isinstance(made, list) else [made]
        if stored is not None and not stored.is_const and node.op_type not in STORED:
            outputs = self._stored_again(importer, outputs, stored)
        if len(outputs) == 1 and isinstance(outputs[0], Value) and outputs[0].name.startswith(f"{base}/"):
            self.builder.rename(outputs[0], base)
        return outputs

    def _gelu(self, found: Gelu, node: Any) -> list[Array | Value | None]:
        x = self._tensor(found.x)
        if x is None:
            return [None]
        base = self.builder.reserve(self.output_name(node, 0))
        importer = NodeImporter(self, node, [x], base)
        return [importer.emit("gelu", [importer.x], approximate=False)]

    def _stored_again(self, o: NodeImporter, outputs: Sequence[Any], stored: Value) -> list[Any]:
        """The outputs of a node that moves quantized integers, as such."""
        if o.node.op_type not in _MOVING:
            hint = "use the form of quantized models with QuantizeLinear and DequantizeLinear (QDQ)"
            raise ChipfitError("O002", f"it computes on the integers of '{stored.name}'", hint)
        return [o.emit("quantize", [y], stored.dtype, stored.q) for y in outputs]

    def _branch(self, node: Any, condition: Array | Value | None) -> list[Array | Value | None]:
        """The branch of an If that is taken, where that is known."""
        if not isinstance(condition, np.ndarray) or condition.size != 1:
            raise ChipfitError("O001", "its condition is computed", ADVICE["If"])
        taken = "then_branch" if condition.reshape(-1)[0] else "else_branch"
        source = next((a.g for a in node.attribute if a.name == taken), None)
        if source is None:
            raise ChipfitError("F003", f"it has no {taken}")
        self._read_initializers(source)
        self.follow(source)
        return [self._tensor(o.name) for o in source.output]

    def _arrays(self, operands: Sequence[Array | Value | None]) -> list[Array | None] | None:
        """The elements of the operands if all are constant; stored weights only count as such."""
        found: list[Array | None] = []
        for operand in operands:
            if isinstance(operand, Value):
                if operand.data is None:
                    return None
                operand = self.real_array(operand)
            found.append(operand)
        return found

    def _where(self, node: Any, operands: Sequence[Array | Value | None]) -> str:
        types = ", ".join(_described(v) for v in operands if v is not None)
        name = node.name or (node.output[0] if node.output else "")
        return f"{node.op_type or 'a node'} '{name}' ({types or 'no tensors'})"

    def output_name(self, node: Any, i: int) -> str:
        """What the output of a node is called in the graph."""
        return tensor_name(node.output[i] if i < len(node.output) else "", node.name, node.op_type)

    # ------------------------------------------------------------------------------------------ tensors

    def _tensor(self, name: str) -> Array | Value | None:
        if name not in self._tensors:
            tensor = self._initializers.get(name)
            if tensor is None:
                raise ChipfitError("F003", f"nothing makes the tensor '{name}'", "export the model again")
            self._tensors[name] = array_of(self.onnx, tensor, self.folder)
        return self._tensors[name]

    def constant(self, name: str, data: Array) -> Value:
        """The constant with these elements, the same for the same array."""
        found = self._constants.get(id(data))
        if found is None:
            found = self._constants[id(data)] = (data, self.builder.constant(tensor_name(name), _narrow(name, data)))
        return found[1]

    def dequantized(self, value: Value) -> Value:
        """The real numbers that quantized integers stand for."""
        if value not in self._real:
            self._real[value] = self.builder.node("dequantize", [value], f"{value.name}/real", DType.FLOAT32)
        return self._real[value]

    @staticmethod
    def real_array(value: Value) -> Array:
        """The elements of a constant, as real numbers where they are quantized."""
        return value.array if value.type.quant is None else dequantize(value.array, value.q)

    def _placeholder(self, name: str) -> Value | None:
        """What stands for the output of a node that cannot be imported, if its shape is known."""
        if self._shapes is None:
            self._shapes = self._inferred_shapes()
        if name not in self._shapes:
            return None
        return self.builder.placeholder(tensor_name(name), *self._shapes[name])

    def _inferred_shapes(self) -> dict[str, tuple[Shape, DType]]:
        """Shapes by ONNX's own inference, of the tensors for which it finds fixed ones."""
        for info in self.proto.graph.input:
            dims = info.type.tensor_type.shape.dim
            if dims and dims[0].dim_value < 1:
                dims[0].dim_value = 1
        found: dict[str, tuple[Shape, DType]] = {}
        try:
            graph = self.onnx.shape_inference.infer_shapes(self.proto, data_prop=True).graph
        except Exception:  # native code, of a model that has problems already
            return found
        for info in graph.value_info:
            sizes = tuple(int(d.dim_value) for d in info.type.tensor_type.shape.dim)
            try:
                if all(size > 0 for size in sizes) and info.type.tensor_type.HasField("shape"):
                    found[info.name] = (sizes, self.dtype(info.type.tensor_type.elem_type))
            except ChipfitError:
                continue
        return found


_MOVING = frozenset(
    (
        *("MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice"),
        *("Gather", "Split", "Concat", "Identity", "Dropout", "Expand", "Tile", "DepthToSpace"),
        *("SpaceToDepth", "Relu", "Resize", "Upsample"),
    )
)
"""Operators that quantized integers pass as they are: real numbers before and after have one quantization."""


def _described(operand: Array | Value) -> str:
    if isinstance(operand, Value):
        return str(operand.type)
    return f"{operand.dtype}[{','.join(map(str, operand.shape))}]"


def _narrow(name: str, data: Array) -> Array:
    """Integers of 64 bits as int32. Raises ChipfitError O002 where they do not fit, or are text."""
    if data.dtype.kind not in "biuf":
        raise ChipfitError("O002", f"'{name}' consists of text", "encode it as numbers before the model")
    if data.dtype.name not in ("int64", "uint64", "uint32"):
        return data
    limits = np.iinfo(np.int32)
    if data.size and (data.max() > limits.max or data.min() < limits.min):
        raise ChipfitError("O002", f"'{name}' has integers beyond 32 bits", "use int32 in the model")
    return data.astype(np.int32)
