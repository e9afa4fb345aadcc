"""What runs in the converter's process: TensorFlow is imported here and nowhere else."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError

_DEFAULT = "serving_default"
_MOST_LISTED = 20

_WITHOUT_FORM = re.compile(r"^\s*tf\.(\w+)\((.*)", re.MULTILINE)
"""A line of the converter's list of operators that it has no form for: ``tf.Erf(tensor<1x4xf32>) -> ...``."""

_HINT = "replace them by operators that TensorFlow Lite has; `chipfit op list` shows those that chipfit compiles"


def convert(folder: Path, signature: str | None) -> bytes:
    """A signature of a SavedModel as ``.tflite`` in float32: batch 1, inputs and outputs named as in the signature.

    ``signature``: None takes ``serving_default``, or the only one. Raises ChipfitError F003 where TensorFlow cannot
    load the model, U001 for a signature that it does not have, O001 with all operators that TensorFlow Lite does not
    have, O002 for sizes that are not known.
    """
    tf: Any = importlib.import_module("tensorflow")
    try:
        loaded: Any = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises whatever its readers come upon
        reason = _first_line(error)
        hint = "save the model again with tf.saved_model.save or model.export"
        raise ChipfitError("F003", f"TensorFlow cannot load the SavedModel: {reason}", hint) from None
    function = _chosen(dict(loaded.signatures), signature)
    specs: dict[str, Any] = function.structured_input_signature[1]
    fixed = {name: tf.TensorSpec(_one(name, spec.shape), spec.dtype, name) for name, spec in specs.items()}

    def call(**inputs: Any) -> Any:
        return function(**inputs)

    concrete = tf.function(call, autograph=False).get_concrete_function(**fixed)
    converter: Any = tf.lite.TFLiteConverter.from_concrete_functions([concrete], loaded)
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter, too
        raise _problem(str(error)) from error


def _chosen(signatures: dict[str, Any], wanted: str | None) -> Any:
    if not signatures:
        hint = "give it some: tf.saved_model.save(model, folder, signatures=function), or model.export(folder)"
        raise ChipfitError("F002", "the SavedModel has no signature, so that nothing in it can be called", hint)
    key = wanted or (_DEFAULT if _DEFAULT in signatures else next(iter(signatures)))
    if key not in signatures or (wanted is None and key != _DEFAULT and len(signatures) > 1):
        what = f"no signature '{wanted}'" if wanted else f"no signature '{_DEFAULT}', but several others"
        hint = f"choose one: chipfit.load(folder, signature=...) with {', '.join(map(repr, sorted(signatures)))}"
        raise ChipfitError("U001", f"the SavedModel has {what}", hint)
    return signatures[key]


def _one(name: str, shape: Any) -> list[int]:
    """The shape of an input for a batch of 1."""
    sizes: list[int | None] | None = None if shape.rank is None else shape.as_list()
    if sizes is not None and sizes and sizes[0] is None:
        sizes[0] = 1
    if sizes is None or None in sizes:
        hint = "save a signature whose TensorSpec has fixed sizes; only the batch may be None"
        raise ChipfitError("O002", f"input '{name}' has the shape {shape}: sizes are not known", hint)
    return [size for size in sizes if size is not None]


def _problem(text: str) -> ChipfitError:
    """Why the converter gave up: the operators that it names, else its first line."""
    found = dict.fromkeys(f"  {op} ({operands.split(') ->')[0]})" for op, operands in _WITHOUT_FORM.findall(text))
    if not found:
        return ChipfitError("O002", f"TensorFlow's converter failed: {_first_line(text)}", _HINT)
    lines = list(found)[:_MOST_LISTED]
    rest = [f"  ... and {len(found) - _MOST_LISTED} more"] if len(found) > _MOST_LISTED else []
    return ChipfitError("O001", "\n".join(["TensorFlow Lite has no form for:", *lines, *rest]), _HINT)


def _first_line(error: object) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:400]
