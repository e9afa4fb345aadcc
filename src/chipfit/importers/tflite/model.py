"""The file's tables as plain records, read through the schema package's classes and checked one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Quant
from chipfit.importers.tflite.verifier import DAMAGED_HINT, verified

#: the generated schema is untyped
schema: Any = import_module("ai_edge_litert.schema_py_generated")

TFLITE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
MAX_BYTES = 1 << 30
MAX_RANK = 8


def _enum(cls: Any) -> dict[int, str]:
    return {value: name for name, value in vars(cls).items() if not name.startswith("_")}


BUILTINS = _enum(schema.BuiltinOperator)
OPTIONS = _enum(schema.BuiltinOptions)
TENSOR_TYPES = _enum(schema.TensorType)
ACTIVATIONS = _enum(schema.ActivationFunctionType)


def damaged(what: str) -> ChipfitError:
    return ChipfitError("F003", f"damaged model file: {what}", DAMAGED_HINT)


@dataclass(frozen=True, eq=False)
class TensorRecord:
    index: int
    name: str
    type: str
    """Name in the schema, e.g. ``INT8``."""
    shape: tuple[int, ...]
    quant: Quant | None
    data: Array | None
    """The elements of a constant."""
    problem: str = ""
    """Why chipfit cannot hold this tensor; it matters only where the tensor is used."""
    is_variable: bool = False
    """Whether its elements survive a run."""

    @property
    def dtype(self) -> DType:
        return DType[self.type]

    def __str__(self) -> str:
        return f"'{self.name}' {self.type.lower()}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False)
class OperatorRecord:
    index: int
    builtin: str
    """Name in the schema, e.g. ``CONV_2D``; a custom operator's is ``CUSTOM``."""
    custom: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: str
    options: Any
    """The schema's record of options, None where the operator has none."""

    @property
    def title(self) -> str:
        return f"{self.builtin} '{self.custom}'" if self.builtin == "CUSTOM" else self.builtin


@dataclass(frozen=True, eq=False)
class SubgraphRecord:
    tensors: Sequence[TensorRecord]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: Sequence[OperatorRecord]


@dataclass(frozen=True)
class Signature:
    """The names by which callers know the main subgraph's inputs and outputs. ``key``: its own name."""

    key: str
    names: Mapping[int, str]
    """Tensor -> its name."""


class ModelFile:
    """A model file that passed the verifier. Subgraphs are decoded when asked for."""

    def __init__(self, data: bytes) -> None:
        self._bytes, self._file_bytes = verified(data, schema.BuiltinOptions), len(data)
        self._model = schema.Model.GetRootAs(self._bytes)
        if self._model.Version() != SCHEMA_VERSION:
            raise ChipfitError(
                "F004",
                f"the file has schema version {self._model.Version()}, chipfit reads version {SCHEMA_VERSION}",
                "convert the model with a current TensorFlow Lite converter",
            )
        if self.subgraph_count == 0:
            raise damaged("it has no subgraph")
        self._total_bytes = 0

    @property
    def subgraph_count(self) -> int:
        return int(self._model.SubgraphsLength())

    @cached_property
    def metadata(self) -> dict[str, bytes]:
        """What the file keeps besides the network: bytes by name."""
        kept: dict[str, bytes] = {}
        for i in range(self._model.MetadataLength()):
            entry = self._model.Metadata(i)
            if 0 < entry.Buffer() < self._model.BuffersLength():
                kept.setdefault(_text(entry.Name()), self._buffer(entry.Buffer()).tobytes())
        return kept

    @cached_property
    def signature(self) -> Signature | None:
        """The signature of the main subgraph, the first of several; None: the file has none."""
        for i in range(self._model.SignatureDefsLength()):
            raw = self._model.SignatureDefs(i)
            if raw.SubgraphIndex() != 0:
                continue
            maps = [raw.Inputs(k) for k in range(raw.InputsLength())]
            maps += [raw.Outputs(k) for k in range(raw.OutputsLength())]
            names = {int(m.TensorIndex()): _text(m.Name()) for m in reversed(maps)}
            return Signature(_text(raw.SignatureKey()), {index: name for index, name in names.items() if name})
        return None

    def subgraph(self, index: int) -> SubgraphRecord:
        if not 0 <= index < self.subgraph_count:
            raise damaged(f"subgraph {index} of {self.subgraph_count} is asked for")
        raw = self._model.Subgraphs(index)
        count = raw.TensorsLength()
        return SubgraphRecord(
            [self._tensor(i, raw.Tensors(i)) for i in range(count)],
            _indices(raw.InputsAsNumpy(), count, "a subgraph's inputs"),
            _indices(raw.OutputsAsNumpy(), count, "a subgraph's outputs"),
            [self._operator(i, raw.Operators(i), count) for i in range(raw.OperatorsLength())],
        )

    # ------------------------------------------------------------------------------------------ operators

    @property
    def operator_names(self) -> tuple[str, ...]:
        """Builtin names, and custom names of the others; each once, sorted."""
        return tuple(sorted({custom if name == "CUSTOM" else name for name, custom, _ in self._codes}))

    @cached_property
    def _codes(self) -> list[tuple[str, str, int]]:
        """Builtin name, custom name and version of each operator code."""
        codes: list[tuple[str, str, int]] = []
        for i in range(self._model.OperatorCodesLength()):
            raw = self._model.OperatorCodes(i)
            number = max(raw.BuiltinCode(), raw.DeprecatedBuiltinCode())
            builtin = BUILTINS.get(number, f"builtin operator {number}")
            codes.append((builtin, _text(raw.CustomCode()), int(raw.Version())))
        return codes

    def _operator(self, index: int, raw: Any, tensors: int) -> OperatorRecord:
        code = raw.OpcodeIndex()
        if code >= len(self._codes):
            raise damaged(f"operator {index} has code {code} of {len(self._codes)}")
        builtin, custom, version = self._codes[code]
        options_type, options = OPTIONS.get(raw.BuiltinOptionsType(), "unknown"), raw.BuiltinOptions()
        record: Any = None
        if options is not None and options_type not in ("NONE", "unknown"):
            record = getattr(schema, options_type + "T").InitFromBuf(options.Bytes, options.Pos)
        return OperatorRecord(
            index,
            builtin,
            custom,
            version,
            _indices(raw.InputsAsNumpy(), tensors, f"the inputs of operator {index} ({builtin})", absent=True),
            _indices(raw.OutputsAsNumpy(), tensors, f"the outputs of operator {index} ({builtin})"),
            options_type,
            record,
        )

    # ------------------------------------------------------------------------------------------ tensors

    def _tensor(self, index: int, raw: Any) -> TensorRecord:
        name = _text(raw.Name()) or f"t{index}"
        kind = TENSOR_TYPES.get(raw.Type())
        if kind is None:
            raise damaged(f"tensor '{name}' has element type {raw.Type()}")
        shape, problem = _shape(name, raw)
        if raw.Sparsity() is not None:
            problem = "is sparse"
        if kind not in DType.__members__:
            problem = f"has element type {kind}"
        if problem:
            return TensorRecord(index, name, kind, shape, None, None, problem)
        dtype = DType[kind]
        nbytes = math.prod(shape) * dtype.bytes
        self._total_bytes += nbytes
        if self._total_bytes > MAX_BYTES:
            raise ChipfitError(
                "F005",
                f"the model's tensors up to '{name}' ({kind.lower()}{list(shape)}) take more than 1 GiB",
                "it is damaged or not meant for a microcontroller",
            )
        data = self._elements(name, raw.Buffer(), dtype, shape)
        quant = _quantization(name, raw.Quantization(), dtype, shape)
        return TensorRecord(index, name, kind, shape, quant, data, is_variable=bool(raw.IsVariable()))

    def _elements(self, name: str, buffer: int, dtype: DType, shape: tuple[int, ...]) -> Array | None:
        """The elements of a constant: a view of the file. None for a tensor that the model computes."""
        if buffer >= self._model.BuffersLength():
            raise damaged(f"tensor '{name}' has buffer {buffer} of {self._model.BuffersLength()}")
        data = self._buffer(buffer)
        if data.size == 0:
            # no elements need no data: empty lists of axes are constants, too
            return None if math.prod(shape) else np.zeros(shape, dtype.numpy)
        expected = math.prod(shape) * dtype.bytes
        if data.nbytes != expected:
            raise damaged(f"tensor '{name}' ({dtype.value}{list(shape)}) needs {expected} bytes, it has {data.nbytes}")
        if dtype is DType.BOOL:
            return (data != 0).reshape(shape)
        return data.view(dtype.numpy.newbyteorder("<")).astype(dtype.numpy, copy=False).reshape(shape)

    def _buffer(self, index: int) -> Array:
        """The bytes of a buffer, uint8: a view of the file. They lie in its table, or behind the model's tables."""
        raw = self._model.Buffers(index)
        start, size = int(raw.Offset()), int(raw.Size())
        if start <= 1:
            return np.asarray(raw.DataAsNumpy()) if raw.DataLength() else np.zeros(0, np.uint8)
        if start + size > self._file_bytes:
            raise damaged(f"buffer {index} ends at byte {start + size} of {self._file_bytes}")
        return np.frombuffer(self._bytes, np.uint8, size, start)


def _text(raw: bytes | None) -> str:
    """A name of the file, without anything that would break a line of text."""
    text = (raw or b"").decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else "_" for c in text).strip()


def _indices(raw: Any, count: int, what: str, absent: bool = False) -> tuple[int, ...]:
    """Tensor indices; -1 stands for an optional input that is absent."""
    indices = tuple(raw.tolist()) if isinstance(raw, np.ndarray) else ()
    least = -1 if absent else 0
    if any(not least <= i < count for i in indices):
        raise damaged(f"{what} name tensors outside the subgraph's {count}: {list(indices[:8])}")
    return indices


def _shape(name: str, raw: Any) -> tuple[tuple[int, ...], str]:
    """The static shape, and the problem where a dimension is unknown."""
    shape = tuple(raw.ShapeAsNumpy().tolist()) if raw.ShapeLength() else ()
    if any(d < -1 for d in shape):
        raise damaged(f"tensor '{name}' has the shape {list(shape)}")
    if len(shape) > MAX_RANK:
        return shape, f"has {len(shape)} dimensions"
    return shape, f"has the unknown shape {list(shape)}" if -1 in shape else ""


def _quantization(name: str, raw: Any, dtype: DType, shape: tuple[int, ...]) -> Quant | None:
    if raw is None or raw.ScaleLength() == 0 or dtype.is_float or dtype is DType.BOOL:
        return None
    scale = tuple(float(s) for s in raw.ScaleAsNumpy())
    zero = tuple(int(z) for z in raw.ZeroPointAsNumpy()) if raw.ZeroPointLength() else (0,)
    zero = zero * len(scale) if len(zero) == 1 else zero
    axis = int(raw.QuantizedDimension())
    low, high = dtype.range
    if len(zero) != len(scale) or not all(low <= z <= high for z in zero):
        raise damaged(f"tensor '{name}' has {len(scale)} scales and the zero points {list(zero[:4])}")
    # a dead channel may have scale 0
    if not all(math.isfinite(s) and s >= 0 for s in scale) or (len(scale) == 1 and scale[0] == 0):
        raise damaged(f"tensor '{name}' has a scale that is no positive number: {[s for s in scale if not s > 0][:4]}")
    if len(scale) == 1:
        return Quant(scale, zero)
    # old converters give biases the axis of their weights
    axis = 0 if len(shape) == 1 else axis
    if not 0 <= axis < len(shape) or shape[axis] != len(scale):
        raise damaged(f"tensor '{name}' ({dtype.value}{list(shape)}) has {len(scale)} scales along axis {axis}")
    return Quant(scale, zero, axis)
