"""Readers of foreign model files: bytes in, a verified graph out. The format is told by content, never by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers.formats import unknown_format
from chipfit.importers.keras import is_keras_file, is_keras_object, load_keras, load_keras_file
from chipfit.importers.tflite import TFLITE_IDENTIFIER, Attached, load_tflite, tflite_attached, tflite_metadata

__all__ = ["Attached", "is_tflite", "load_graph", "load_tflite", "read_file", "tflite_attached", "tflite_metadata"]

MAX_FILE_BYTES = 1 << 30
_ENDINGS = (".tflite", ".keras", ".h5")


def load_graph(source: str | Path | bytes | Any, name: str | None = None, *, allow_code: bool = False) -> Graph:
    """The graph of a model file, of its bytes, or of a model of another framework.

    ``name`` defaults to the file's name without its ending, or to that of the model. ``allow_code``: code that a file
    holds may be run. Raises ChipfitError F001..F005 where the file cannot be read, O001 or O002 where it holds
    something that chipfit cannot compile, G001 or G003 where the model contradicts itself, T001 where a package is
    missing that reads it.
    """
    if isinstance(source, bytes):
        data, default = source, "model"
    elif isinstance(source, str | Path):
        data, default = read_file(Path(source)), Path(source).stem
    else:
        return _load_object(source, name)
    if is_tflite(data):
        return load_tflite(data, name or default)
    if is_keras_file(data):
        return load_keras_file(data, name or default, allow_code)
    raise unknown_format(data)


def is_tflite(data: bytes) -> bool:
    """Whether a file is a TensorFlow Lite model."""
    return data[4:8] == TFLITE_IDENTIFIER


def _load_object(model: Any, name: str | None) -> Graph:
    if is_keras_object(model):
        return load_keras(model, name or str(getattr(model, "name", "model")))
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    hint = "give it a file, its bytes, or a Keras model; a model of tf_keras (Keras 2): save it as .h5 first"
    raise ChipfitError("F002", f"a {kind} is no model that chipfit knows", hint)


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises ChipfitError F001 (cannot be read), F002 (a folder), F005 (too large)."""
    try:
        if path.is_dir():
            raise ChipfitError("F002", f"'{path}' is a folder", _folder_hint(path))
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ChipfitError("F005", f"'{path}' has more than 1 GiB", "is it a model?")
        return path.read_bytes()
    except FileNotFoundError:
        raise ChipfitError("F001", f"there is no file '{path}'", _near_names(path)) from None
    except (OSError, ValueError) as error:
        raise ChipfitError("F001", f"cannot read '{path}': {error}", "check the name and its permissions") from None


def _folder_hint(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return "this is a TensorFlow SavedModel; convert it with tf.lite.TFLiteConverter.from_saved_model"
    return "name a .tflite, .keras or .h5 file"


def _near_names(path: Path) -> str:
    """Models that lie where the missing file was looked for."""
    found = sorted(p.name for p in path.parent.glob("*") if p.suffix in _ENDINGS)[:5] if path.parent.is_dir() else []
    return f"in that folder are: {', '.join(found)}" if found else "check the path"
