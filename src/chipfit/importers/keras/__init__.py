"""``.keras``, ``.h5`` and Keras models in memory -> Graph. Layers are read directly: configuration and weights."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from chipfit.apart import ApartError, call_apart
from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers._quiet import quiet
from chipfit.importers.keras.alone import read_alone
from chipfit.importers.keras.files import HDF5, is_keras_archive, load_file
from chipfit.importers.keras.framework import import_keras, require_keras
from chipfit.importers.keras.trace import ModelImporter

__all__ = ["is_keras_file", "is_keras_object", "load_keras", "load_keras_file"]

_MOST_SECONDS = 120


def is_keras_file(data: bytes) -> bool:
    """Whether a file is one that Keras reads, by its content."""
    return data.startswith(HDF5) or is_keras_archive(data)


def is_keras_object(source: object) -> bool:
    """Whether an object is of Keras 3, without importing it."""
    return any(kind.__module__.split(".")[0] == "keras" for kind in type(source).__mro__)


def load_keras_file(data: bytes, name: str, allow_code: bool = False) -> Graph:
    """The graph of a ``.keras`` or ``.h5`` file.

    ``allow_code``: Lambda layers and classes that the file names may be loaded and run. Raises ChipfitError O001 or
    O002 with all layers that cannot be compiled, F002, F003 or F005 for files, T001 where Keras is missing.
    """
    require_keras()
    if "keras" in sys.modules:
        return _read(import_keras(), data, name, allow_code)
    failed: ChipfitError | None = None
    if not allow_code:
        try:
            return _read_apart(data, name)
        except ChipfitError as error:
            if error.code != "F003":
                raise
            failed = error  # or what seems to be damaged needs a backend
    with quiet():
        return _read(_installed(failed), data, name, allow_code)


def _read(keras: Any, data: bytes, name: str, allow_code: bool) -> Graph:
    return ModelImporter(keras, name).run(load_file(keras, data, allow_code))


def _read_apart(data: bytes, name: str) -> Graph:
    """The graph of a file, by a Keras without a backend in another process.

    So the caller's process need not import Keras, whose backend would then be chosen for whatever comes later.
    """
    with tempfile.TemporaryDirectory(prefix="chipfit-") as folder:
        path = Path(folder) / "model"
        path.write_bytes(data)
        try:
            return call_apart(read_alone, path, name, seconds=_MOST_SECONDS)
        except ApartError as error:
            said = f": {error.said[-1][:300]}" if error.said else ""
            reason = f"Keras cannot read the file: its process {error.reason}{said}"
            raise ChipfitError("F003", reason, "install a backend of Keras: tensorflow, torch or jax") from None


def _installed(failed: ChipfitError | None) -> Any:
    """Keras with a backend; where there is none, what went wrong without, if anything, is raised."""
    try:
        return import_keras()
    except ChipfitError as error:
        raise failed or error from None


def load_keras(model: Any, name: str) -> Graph:
    """The graph of a Keras model, verified: float32, batch 1, channels last.

    Inputs and outputs have the names of their layers, or of the keys where the model takes or gives a dictionary; a
    value is named after the layer that makes it, constants ``<layer>/<part>``, layers of models within the model
    ``<model>/<layer>``. Batch normalization is folded into the layer before it, where there is one.
    Raises ChipfitError O001 or O002 with all layers that cannot be compiled.
    """
    return ModelImporter(import_keras(), name).run(model)
