"""Keras itself, with a backend that is there."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.importers._quiet import quiet

_BACKENDS = ("tensorflow", "torch", "jax")
"""In the order in which they are taken. The numpy backend of Keras needs jax, so that it is no fourth one."""

_INSTALL = 'install it with `pip install "chipfit[keras]"`, and a backend: tensorflow, torch or jax'


def import_keras() -> Any:
    """Keras 3. Where no backend is chosen that is installed, one is, for this process; its environment stays as it is.

    Raises ChipfitError T001 where Keras or every backend is missing.
    """
    if "keras" not in sys.modules:
        require_keras()
        with quiet():
            _import_with_backend()
    keras: Any = importlib.import_module("keras")
    version = str(getattr(keras, "__version__", "2"))
    if version.startswith("2."):
        raise ChipfitError("T001", f"Keras {version} is installed, Keras 3 is needed", 'pip install "keras>=3"')
    return keras


def require_keras() -> None:
    """Raise ChipfitError T001 where Keras is missing."""
    if "keras" not in sys.modules:
        _require("keras")


def import_h5py() -> Any:
    """What reads HDF5 files. Raises ChipfitError T001 where it is missing."""
    _require("h5py")
    return importlib.import_module("h5py")


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ChipfitError("T001", f"Keras models are read by the package {package}, which is missing", _INSTALL)


def _import_with_backend() -> None:
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen is None and not _is_there(_configured()):
        backend = next((b for b in _BACKENDS if _is_there(b)), None)
        if backend is None:
            raise ChipfitError("T001", "Keras has no backend here", _INSTALL)
        os.environ["KERAS_BACKEND"] = backend
    try:
        importlib.import_module("keras")
    except ImportError as error:
        raise ChipfitError("T001", f"Keras cannot be imported: {error}", _INSTALL) from error
    finally:
        if chosen is None:
            os.environ.pop("KERAS_BACKEND", None)


def _configured() -> str:
    """The backend that Keras would take: that of its configuration file, or TensorFlow."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return str(json.loads((home / "keras.json").read_text())["backend"])
    except (OSError, ValueError, LookupError, TypeError):
        return "tensorflow"


def _is_there(backend: str) -> bool:
    return backend in _BACKENDS and importlib.util.find_spec(backend) is not None
