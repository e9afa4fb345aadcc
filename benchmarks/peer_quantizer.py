"""ai-edge-quantizer, as the benchmark of quantization asks it: min/max ranges, its own recipes."""

from __future__ import annotations

import textwrap
from contextlib import redirect_stderr
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from typing import Any

from chipfit.graph import Array

NAME = "ai-edge-quantizer"
MISSING = f"{NAME} is not installed: its rows are left out"

#: our word for a form -> the name of its recipe there
_RECIPES = {"int8": "static_wi8_ai8", "int16x8": "static_wi8_ai16", "dynamic": "dynamic_wi8_afp32"}
FORMS = tuple(_RECIPES)


def is_installed() -> bool:
    return find_spec("ai_edge_quantizer") is not None


def quantize(model: bytes, inputs: Array, form: str) -> bytes:
    """The quantized file. ``inputs``: (samples, *shape) for the model's only input. Raises whatever the tool raises."""
    with redirect_stderr(StringIO()):  # its progress bars
        return _quantize(model, inputs, form)


def _quantize(model: bytes, inputs: Array, form: str) -> bytes:
    package: Any = import_module("ai_edge_quantizer.quantizer")
    recipes: Any = import_module("ai_edge_quantizer.recipe")
    litert: Any = import_module("ai_edge_litert.interpreter")
    tool = package.Quantizer(model, getattr(recipes, _RECIPES[form])())
    calibration = None
    if tool.need_calibration:
        signatures = litert.Interpreter(model_content=model).get_signature_list()
        data = {key: [{ports["inputs"][0]: x} for x in inputs] for key, ports in signatures.items()}
        calibration = tool.calibrate(data)
    return bytes(tool.quantize(calibration, enable_progress_bar=False, enable_progress_report=False).quantized_model)


def outcome(model: bytes, inputs: Array, form: str) -> str:
    """What becomes of a file, in words."""
    try:
        made = quantize(model, inputs, form)
    except Exception as error:
        # a tool under test may raise anything
        return f"stops: {type(error).__name__}: {_first_line(error)}"
    litert: Any = import_module("ai_edge_litert.interpreter")
    try:
        litert.Interpreter(model_content=made).allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return f"writes what LiteRT refuses: {_first_line(error)}"
    return "quantized" if has_integer_weights(made) else f"left as it was: {len(model):,} bytes became {len(made):,}"


def has_integer_weights(data: bytes) -> bool:
    """Whether a file holds constants of int8."""
    schema: Any = import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(data)
    stored = [(t.type, model.buffers[t.buffer]) for t in model.subgraphs[0].tensors]
    return any(kind == schema.TensorType.INT8 and (b.data is not None or b.size) for kind, b in stored)


def _first_line(error: Exception) -> str:
    sentence = str(error).strip().splitlines()[0].split(". ")[0]
    return textwrap.shorten(sentence, 80, placeholder=" ...")
