"""A model as old converters would have written it: the same network, in files that trip some readers."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

schema: Any = import_module("ai_edge_litert.schema_py_generated")


def _no_signature(model: Any) -> None:
    model.signatureDefs = []


def _deprecated_codes(model: Any) -> None:
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = max(code.deprecatedBuiltinCode, code.builtinCode), 0


def _orphan(model: Any) -> None:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = "orphan", [1, 3], schema.TensorType.FLOAT32, 0
    model.subgraphs[0].tensors.append(tensor)


FAULTS: dict[str, Callable[[Any], None]] = {
    "no signature": _no_signature,
    "only the deprecated operator code": _deprecated_codes,
    "a tensor that nothing reads or writes": _orphan,
}


def with_fault(data: bytes, fault: str) -> bytes:
    """The file with one of FAULTS."""
    model = schema.ModelT.InitFromPackedBuf(data)
    FAULTS[fault](model)
    builder: Any = import_module("flatbuffers").Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
