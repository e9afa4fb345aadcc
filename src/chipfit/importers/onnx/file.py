"""The model in a file: parsed, its versions looked at; arrays of its tensors, also of those in files beside it."""

from __future__ import annotations

import importlib
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array

_LEAST_OPSET = 7
_MOST_BYTES = 1 << 30
_INSTALL = 'install it with `pip install "chipfit[onnx]"`'
_CONVERT = "onnx.version_converter.convert_version(model, 17), or export the model anew"
_DAMAGED = "export or download the model again"

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Sets of operators that models are made of: those of ONNX, of its part for classic models, and of its runtime."""


def import_onnx() -> Any:
    """The package onnx. Raises ChipfitError T001 where it is missing or cannot be imported."""
    if importlib.util.find_spec("onnx") is None:
        raise ChipfitError("T001", "ONNX models are read by the package onnx, which is missing", _INSTALL)
    try:
        # the parts that are no attributes of the package by themselves
        for part in ("onnx.helper", "onnx.numpy_helper", "onnx.reference", "onnx.inliner", "onnx.shape_inference"):
            importlib.import_module(part)
    except ImportError as error:
        raise ChipfitError("T001", f"the package onnx cannot be imported: {error}", _INSTALL) from error
    return importlib.import_module("onnx")


def parse(onnx: Any, data: bytes) -> Any:
    """The ``onnx.ModelProto`` in a file. Raises ChipfitError F003."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf has several implementations, each with errors of its own
        reason = str(error).strip().split("\n")[0]
        raise ChipfitError("F003", f"this ONNX file cannot be parsed: {reason}", _DAMAGED) from None
    if not model.graph.node and not model.graph.output:
        raise ChipfitError("F003", "this ONNX file holds no graph", _DAMAGED)
    return model


def checked(onnx: Any, model: Any) -> Any:
    """The model with functions of its own put in place of their calls. Raises ChipfitError F003, F004."""
    opset = opset_of(model)
    if opset < _LEAST_OPSET:
        raise ChipfitError("F004", f"the model is of ONNX opset {opset}; {_LEAST_OPSET} and later are read", _CONVERT)
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # what the native code raises of a damaged file
        reason = str(error).strip().split("\n")[0]
        raise ChipfitError("F003", f"functions of the model cannot be resolved: {reason}", _DAMAGED) from None


def opset_of(model: Any, domain: str = "") -> int:
    """The version of a set of operators that a model uses, 0 if none."""
    names = ("", "ai.onnx") if domain in ("", "ai.onnx") else (domain,)
    return max((int(entry.version) for entry in model.opset_import if entry.domain in names), default=0)


def array_of(onnx: Any, tensor: Any, folder: Path | None) -> Array:
    """The elements of a TensorProto: numpy's types, small floats as float32, small integers as int8.

    Raises ChipfitError F001, F003, F005, or O002 for types of elements that numpy does not have.
    """
    name = tensor.name or "a constant"
    if any(d < 0 for d in tensor.dims):
        raise ChipfitError("F003", f"'{name}' has the shape {list(tensor.dims)}", _DAMAGED)
    if math.prod(tensor.dims) * 8 > 8 * _MOST_BYTES:
        raise ChipfitError("F005", f"'{name}' has {math.prod(tensor.dims):,} elements", "is it a model for a chip?")
    if tensor.data_type == onnx.TensorProto.STRING:
        return np.array([s.decode("utf-8", "replace") for s in tensor.string_data]).reshape(-1)
    try:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor = _internal(onnx, tensor, folder)
        return _plain(np.asarray(onnx.numpy_helper.to_array(tensor)))
    except (ValueError, TypeError, KeyError, OverflowError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ChipfitError("F003", f"'{name}' cannot be read: {reason}", _DAMAGED) from None


def _plain(array: Array) -> Array:
    """Types that numpy itself lacks (bfloat16, int4 ...) become those that hold them."""
    if array.dtype.kind in "biufU":
        return array
    name = array.dtype.name
    return array.astype(np.uint8 if name.startswith("uint") else np.int8 if name.startswith("int") else np.float32)


def _internal(onnx: Any, tensor: Any, folder: Path | None) -> Any:
    """A copy of a tensor with the elements that lie in another file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _beside(tensor.name, entries.get("location", ""), folder)
    offset, length = int(entries.get("offset") or 0), int(entries.get("length") or -1)
    itemsize = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    if length < 0:
        length = math.prod(tensor.dims) * itemsize
    try:
        if offset < 0 or length > _MOST_BYTES or offset + length > path.stat().st_size:
            raise ChipfitError("F003", f"'{tensor.name}' lies beyond the end of '{path.name}'", _DAMAGED)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except OSError as error:
        raise ChipfitError("F001", f"cannot read '{path.name}', which holds '{tensor.name}': {error}") from None
    copy = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    copy.raw_data = data
    return copy


def _beside(name: str, location: str, folder: Path | None) -> Path:
    """A file in the model's folder or below it; no other is read, whatever the model says."""
    if folder is None:
        hint = "load the model by its path, or as onnx.load(path)"
        raise ChipfitError("F001", f"'{name}' lies in the file '{location}' beside the model", hint)
    root = folder.resolve()
    try:
        path = (root / location).resolve()
    except (OSError, ValueError, RuntimeError):
        path = root
    if not location or Path(location).is_absolute() or not path.is_relative_to(root) or path == root:
        raise ChipfitError("F003", f"'{name}' is to be read from '{location}', which is not beside the model", _DAMAGED)
    if not path.is_file():
        raise ChipfitError("F001", f"'{name}' lies in '{location}', which is not there", "put it beside the model")
    return path
