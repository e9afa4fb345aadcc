"""SavedModel folders and functions of TensorFlow -> ``.tflite``, by TensorFlow's own converter in another process."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from chipfit.apart import ApartError, call_apart
from chipfit.errors import ChipfitError
from chipfit.importers._quiet import LOG_LEVEL
from chipfit.importers.tensorflow.convert import convert

__all__ = ["MOST_SECONDS", "convert_function", "convert_saved_model", "is_saved_model", "is_tensorflow_object"]

MOST_SECONDS = 600.0
"""That the converter may take, unless the caller says otherwise."""

_LINES = 12
"""Of what the converter printed, the most that an error shows."""

_NO_DEVICES = {"CUDA_VISIBLE_DEVICES": "-1"}
"""Nothing is computed: to look for graphics cards only takes time and prints errors."""


def is_saved_model(path: Path) -> bool:
    """Whether a path is the folder of a SavedModel."""
    return (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file()


def is_tensorflow_object(source: object) -> bool:
    """Whether an object is a function or module of TensorFlow, without importing it. Models of Keras 3 are none."""
    roots = {kind.__module__.split(".")[0] for kind in type(source).__mro__}
    return "tensorflow" in roots and "keras" not in roots


def convert_saved_model(folder: Path, signature: str | None = None, seconds: float = MOST_SECONDS) -> bytes:
    """A signature of a SavedModel as a ``.tflite`` file in float32, batch 1.

    ``signature``: None takes ``serving_default``, or the only one. ``seconds``: that the converter may take. Raises
    ChipfitError T001 where TensorFlow is missing, F002, F003 or U001 where the folder or its signature cannot be
    read, O001 or O002 where the converter gives up, T003 where it crashes or takes too long.
    """
    if "tensorflow" not in sys.modules and importlib.util.find_spec("tensorflow") is None:
        hint = 'install it with `pip install "chipfit[tensorflow]"`, or save the model as .keras, .onnx or .tflite'
        raise ChipfitError("T001", "a SavedModel is converted by the package tensorflow, which is missing", hint)
    try:
        return call_apart(
            convert, folder.resolve(), signature, seconds=seconds, environment={**LOG_LEVEL, **_NO_DEVICES}
        )
    except ApartError as error:
        said = "".join(f"\n  {line[:300]}" for line in error.said[-_LINES:])
        hint = (
            "try tf.lite.TFLiteConverter.from_saved_model by itself; chipfit.load(..., timeout=...) gives it more time"
        )
        raise ChipfitError("T003", f"TensorFlow's converter {error.reason}{':' if said else ''}{said}", hint) from None


def convert_function(function: Any, signature: str | None = None, seconds: float = MOST_SECONDS) -> bytes:
    """The same for what TensorFlow holds in memory: a concrete function, a ``tf.function``, or a ``tf.Module``.

    It is saved to a temporary SavedModel first. A ``tf.function`` must have an input signature. Raises ChipfitError
    O002 where it cannot be saved.
    """
    tf: Any = importlib.import_module("tensorflow")
    with tempfile.TemporaryDirectory(prefix="chipfit-") as folder:
        try:
            concrete = _concrete(function)
            if concrete is None:
                tf.saved_model.save(function, folder)
            else:
                tf.saved_model.save(_holder(tf, concrete), folder, signatures=concrete)
        except ChipfitError:
            raise
        except Exception as error:  # code of the user may be traced, which may raise anything
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:400]
            hint = "save it with tf.saved_model.save(module, folder, signatures=...), and load the folder"
            raise ChipfitError("O002", f"TensorFlow cannot save the function: {reason}", hint) from error
        return convert_saved_model(Path(folder), signature, seconds)


def _concrete(function: Any) -> Any:
    """The concrete function that something is or stands for; None for a module, which has signatures of its own."""
    if hasattr(function, "structured_input_signature"):
        return function
    if not hasattr(function, "get_concrete_function"):
        return None
    if getattr(function, "input_signature", None) is None:
        hint = "give its concrete function: function.get_concrete_function(tf.TensorSpec([1, 32, 32, 3]))"
        raise ChipfitError("O002", "the tf.function has no input signature, so that its shapes are not known", hint)
    return function.get_concrete_function()


def _holder(tf: Any, concrete: Any) -> Any:
    """A module that holds a function's variables: only what a module holds is saved."""
    module = tf.Module()
    module.held = list(concrete.graph.variables)
    return module
