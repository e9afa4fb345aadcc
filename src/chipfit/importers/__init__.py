"""Readers of foreign model files: bytes in, a verified graph out. The format is told by content, never by name."""

from __future__ import annotations

from pathlib import Path

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers.formats import refuse_unknown
from chipfit.importers.tflite import TFLITE_IDENTIFIER, load_tflite, tflite_metadata

__all__ = ["load_graph", "load_tflite", "read_file", "tflite_metadata"]

MAX_FILE_BYTES = 1 << 30


def load_graph(source: str | Path | bytes, name: str | None = None) -> Graph:
    """The graph of a model file, or of its bytes. ``name`` defaults to the file's name without its ending.

    Raises ChipfitError F001..F005 where the file cannot be read, O001 or O002 where it holds something that chipfit
    cannot compile, G001 or G003 where the model contradicts itself.
    """
    if isinstance(source, bytes):
        data, default = source, "model"
    else:
        data, default = read_file(Path(source)), Path(source).stem
    if data[4:8] != TFLITE_IDENTIFIER:
        refuse_unknown(data)
    return load_tflite(data, name or default)


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
    return "name a .tflite file"


def _near_names(path: Path) -> str:
    """Models that lie where the missing file was looked for."""
    found = sorted(p.name for p in path.parent.glob("*.tflite"))[:5] if path.parent.is_dir() else []
    return f"in that folder are: {', '.join(found)}" if found else "check the path"
