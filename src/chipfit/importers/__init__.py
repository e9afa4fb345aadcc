"""Readers of foreign model files: bytes in, a verified graph out. The format is told by content, never by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers.formats import unknown_format
from chipfit.importers.keras import is_keras_file, is_keras_object, load_keras, load_keras_file
from chipfit.importers.onnx import is_onnx_file, is_onnx_object, load_onnx, load_onnx_file
from chipfit.importers.tensorflow import (
    MOST_SECONDS,
    convert_function,
    convert_saved_model,
    is_saved_model,
    is_tensorflow_object,
)
from chipfit.importers.tflite import (
    TFLITE_IDENTIFIER,
    Attached,
    load_tflite,
    tflite_attached,
    tflite_metadata,
    tflite_operators,
)
from chipfit.importers.torch import is_torch_file, is_torch_object, load_torch, load_torch_file

__all__ = [
    "MOST_SECONDS",
    "Attached",
    "Loaded",
    "is_saved_model",
    "is_tflite",
    "load_graph",
    "load_source",
    "load_tflite",
    "read_file",
    "tflite_attached",
    "tflite_metadata",
    "tflite_operators",
]

MAX_FILE_BYTES = 1 << 30
_ENDINGS = (".tflite", ".keras", ".h5", ".onnx", ".pt2")


def load_graph(source: str | Path | bytes | Any, name: str | None = None, **options: Any) -> Graph:
    """The graph alone: see :func:`load_source`."""
    return load_source(source, name, **options).graph


@dataclass(frozen=True)
class Loaded:
    """What was read. ``format``: of what was given (``tflite``, ``saved_model``, ``keras``, ``onnx``, ``torch``).

    ``tflite``: the file that the graph was read from, given or converted; None: it was none.
    """

    graph: Graph
    format: str
    tflite: bytes | None = None


def load_source(
    source: str | Path | bytes | Any,
    name: str | None = None,
    *,
    allow_code: bool = False,
    signature: str | None = None,
    timeout: float = MOST_SECONDS,
    example_inputs: Any = None,
) -> Loaded:
    """The graph of a model file or folder, of a file's bytes, or of a model of another framework.

    ``name`` defaults to the file's name without its ending, or to that of the model. ``allow_code``: code that a file
    holds may be run.
    ``signature``: the one of a SavedModel that is meant; ``timeout``: seconds that its converter may take. Raises
    ChipfitError F001..F005 where the file cannot be read, O001 or O002 where it holds something that chipfit cannot
    compile, G001 or G003 where the model contradicts itself, T001 where a package is missing that reads it, T003 where
    a converter fails, U001 for a signature that is not there. ``example_inputs``: what a module of PyTorch is called
    with.
    """
    if example_inputs is not None and not is_torch_object(source):
        raise ChipfitError("U001", "example_inputs are for modules and programs of PyTorch", "leave them out")
    converted = _converted(source, signature, timeout)
    if converted is None and signature is not None:
        raise ChipfitError("U001", f"signature='{signature}' is for SavedModels and tf.Module", "leave it out")
    if isinstance(source, str | Path):
        data, default = converted or read_file(Path(source)), _stem(Path(source))
    elif isinstance(source, bytes) or converted is not None:
        data, default = converted or source, "model"
    else:
        return _load_object(source, name, example_inputs)
    if is_tflite(data):
        return Loaded(load_tflite(data, name or default), "tflite" if converted is None else "saved_model", data)
    if is_keras_file(data):
        return Loaded(load_keras_file(data, name or default, allow_code), "keras")
    if is_torch_file(data):
        return Loaded(load_torch_file(data, name or default), "torch")
    if is_onnx_file(data):
        folder = Path(source).parent if isinstance(source, str | Path) else None
        return Loaded(load_onnx_file(data, name or default, folder), "onnx")
    raise unknown_format(data)


def _converted(source: Any, signature: str | None, timeout: float) -> bytes | None:
    """The ``.tflite`` file that TensorFlow makes of what is its own; None for all else."""
    if isinstance(source, str | Path):
        is_folder = is_saved_model(Path(source))
        return convert_saved_model(Path(source), signature, timeout) if is_folder else None
    return convert_function(source, signature, timeout) if is_tensorflow_object(source) else None


def _stem(path: Path) -> str:
    """The name of a model: its file's without the ending, or its folder's, where that is more than a version."""
    if not path.is_dir():
        return path.stem
    names = (path.resolve().name, path.resolve().parent.name)
    return next((name for name in names if name and not name.isdigit()), "model")


def is_tflite(data: bytes) -> bool:
    """Whether a file is a TensorFlow Lite model."""
    return data[4:8] == TFLITE_IDENTIFIER


def _load_object(model: Any, name: str | None, example_inputs: Any) -> Loaded:
    if is_keras_object(model):
        return Loaded(load_keras(model, name or str(getattr(model, "name", "model"))), "keras")
    if is_torch_object(model):
        return Loaded(load_torch(model, name, example_inputs), "torch")
    if is_onnx_object(model):
        return Loaded(load_onnx(model, name), "onnx")
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    hint = "give it a file, its bytes, or a model of Keras, ONNX, PyTorch or TensorFlow"
    raise ChipfitError("F002", f"a {kind} is no model that chipfit knows", hint)


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises ChipfitError F001 (cannot be read), F002 (a folder), F005 (too large)."""
    try:
        if path.is_dir():
            hint = "name a .tflite, .keras or .h5 file, or the folder of a SavedModel"
            raise ChipfitError("F002", f"'{path}' is a folder without a saved_model.pb", hint)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ChipfitError("F005", f"'{path}' has more than 1 GiB", "is it a model?")
        return path.read_bytes()
    except FileNotFoundError:
        raise ChipfitError("F001", f"there is no file '{path}'", _near_names(path)) from None
    except (OSError, ValueError) as error:
        raise ChipfitError("F001", f"cannot read '{path}': {error}", "check the name and its permissions") from None


def _near_names(path: Path) -> str:
    """Models that lie where the missing file was looked for."""
    found = sorted(p.name for p in path.parent.glob("*") if p.suffix in _ENDINGS)[:5] if path.parent.is_dir() else []
    return f"in that folder are: {', '.join(found)}" if found else "check the path"
