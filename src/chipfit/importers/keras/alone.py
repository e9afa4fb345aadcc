"""Keras without a backend, in a process of its own: a file is read in a tenth of the time that a framework takes.

Reading needs the classes of Keras and the weights of the file, and computes nothing. The smallest backend is the one of
numpy, which imports jax and scipy for what it computes; here empty modules stand for both. Where that does not do, the
caller reads the file by Keras as it is installed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chipfit.graph import Graph
from chipfit.importers.keras.files import load_file
from chipfit.importers.keras.trace import ModelImporter

_EMPTY = ("jax", "scipy", "keras.src.backend.jax")
"""Imported by the backend of numpy, used only by what computes."""

_ABSENT = ("tensorflow", "torch", "sklearn", "pandas")
"""Imported by Keras if they are installed, for what is not needed here."""


class _Nothing(types.ModuleType):
    """A module that has everything, and everything of it is such a module; it cannot be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(f"{self.__name__}.{name}")


class _Nothings(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds empty modules for the names of ``_EMPTY`` and all below them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in _EMPTY):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Nothing(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing in it."""


def read_alone(path: Path, name: str) -> Graph:
    """The graph of a ``.keras`` or ``.h5`` file. For a process that does nothing else: Keras is of no other use then.

    Raises what :func:`chipfit.importers.keras.load_keras_file` raises, and anything where Keras does need a backend.
    """
    os.environ["KERAS_BACKEND"] = "numpy"
    sys.modules.update(dict.fromkeys(_ABSENT))  # type: ignore[arg-type] - None: as if it were not installed
    sys.meta_path.insert(0, _Nothings())
    keras: Any = importlib.import_module("keras")
    return ModelImporter(keras, name).run(load_file(keras, path.read_bytes(), allow_code=False, is_apart=True))
