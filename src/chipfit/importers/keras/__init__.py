"""``.keras``, ``.h5`` and Keras models in memory -> Graph. Layers are read directly: configuration and weights."""

from __future__ import annotations

from typing import Any

from chipfit.graph import Graph
from chipfit.importers.keras.files import HDF5, is_keras_archive, load_archive, load_hdf5
from chipfit.importers.keras.framework import import_keras
from chipfit.importers.keras.trace import ModelImporter

__all__ = ["is_keras_file", "is_keras_object", "load_keras", "load_keras_file"]


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
    keras = import_keras()
    load = load_hdf5 if data.startswith(HDF5) else load_archive
    return ModelImporter(keras, name).run(load(keras, data, allow_code))


def load_keras(model: Any, name: str) -> Graph:
    """The graph of a Keras model, verified: float32, batch 1, channels last.

    Inputs and outputs have the names of their layers, or of the keys where the model takes or gives a dictionary; a
    value is named after the layer that makes it, constants ``<layer>/<part>``, layers of models within the model
    ``<model>/<layer>``. Batch normalization is folded into the layer before it, where there is one.
    Raises ChipfitError O001 or O002 with all layers that cannot be compiled.
    """
    return ModelImporter(import_keras(), name).run(model)
