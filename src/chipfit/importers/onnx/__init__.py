"""``.onnx`` files and ONNX models in memory -> Graph. Nodes are read one by one; no other converter lies between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chipfit.graph import Graph
from chipfit.importers.onnx.file import checked, import_onnx, parse
from chipfit.importers.onnx.model import ModelImporter

__all__ = ["is_onnx_file", "is_onnx_object", "load_onnx", "load_onnx_file"]

_IR_VERSIONS = range(3, 32)
_NEXT_TAGS = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42")
"""The fields of a ModelProto that can follow ``ir_version``, each with its wire type."""


def is_onnx_file(data: bytes) -> bool:
    """Whether a file is an ONNX model: a protobuf that begins with ``ir_version``, then another field of a model."""
    return len(data) > 2 and data[0] == 8 and data[1] in _IR_VERSIONS and data[2] in _NEXT_TAGS


def is_onnx_object(source: object) -> bool:
    """Whether an object is an ``onnx.ModelProto``, without importing onnx."""
    kind = type(source)
    return kind.__name__ == "ModelProto" and kind.__module__.split(".")[0] in ("onnx", "onnx_ml_pb2")


def load_onnx_file(data: bytes, name: str, folder: Path | None = None) -> Graph:
    """The graph of an ``.onnx`` file. ``folder``: where it lies, for weights that it keeps in files beside it.

    Raises ChipfitError O001 or O002 with all nodes that cannot be compiled, F001, F003..F005 for files, T001 where the
    package onnx is missing.
    """
    onnx = import_onnx()
    return ModelImporter(onnx, checked(onnx, parse(onnx, data)), name, folder).run()


def load_onnx(model: Any, name: str | None = None) -> Graph:
    """The graph of an ``onnx.ModelProto``, which stays as it is. Values are called like its tensors.

    Raises ChipfitError as :func:`load_onnx_file` does.
    """
    onnx = import_onnx()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return ModelImporter(onnx, checked(onnx, copy), name or model.graph.name or "model", None).run()
